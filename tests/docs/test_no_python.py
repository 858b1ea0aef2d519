"""The page of a project without Python: its files are read, its commands run and say what it says."""

import re
import shlex
from pathlib import Path

import pytest

from isthmus.tests.cli.running import isthmus
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.docs.shown import masked, pattern

PAGE = (Path(__file__).parents[2] / "docs" / "no-python.md").read_text()
MODEL = "champion: {model: ranker@champion, traffic: 100}\n"
# the rollout under traffic takes minutes: the soak test does it
ROLLOUT = "isthmus rollout start home"


def blocks():
    """Yield (heading, text) of the page's YAML blocks, the heading being their first comment."""
    yield from re.findall(r"```yaml\n# ([^\n]+)\n(.+?)```", PAGE, re.DOTALL)


def commands():
    """Yield (command, lines that the page shows below it) of the page, in order."""
    for block in re.findall(r"```\n(\$ .+?)```", PAGE, re.DOTALL):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            yield command, lines


def write_files(folder):
    """Write the page's files into a project, and change its project.yaml as the page says."""
    project = folder / "project.yaml"
    for heading, text in blocks():
        described = project.read_text()
        if heading == "project.yaml: endpoints.home.variants":
            assert f"      {MODEL}" in described
            project.write_text(described.replace(f"      {MODEL}", text))
        elif heading == "project.yaml: at its end":
            project.write_text(f"{described}\n{text}")
        else:
            path = folder / heading
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)


def play(tmp_path, *, until_command):
    """Run the page's commands up to one; return the project's folder, and what differs."""
    folder, wrong = tmp_path, {}
    for command, lines in commands():
        if command == until_command:
            break
        if command.startswith("cd "):
            folder = folder / command.partition(" ")[2]
            write_files(folder)
            continue
        said = isthmus(folder, *shlex.split(command)[1:])
        shown = [masked(line) for line in said.out.splitlines() if not line.startswith("next ")]
        text = "".join(f"{line}\n" for line in shown)
        if lines and not re.fullmatch(pattern(lines), text):
            wrong[command] = shown
    return folder, wrong


@pytest.mark.slow
def test_a_log_becomes_a_served_and_tested_model_without_a_line_of_python(tmp_path):
    folder, wrong = play(tmp_path, until_command=ROLLOUT)
    try:
        assert wrong == {}
        assert [path.name for path in folder.rglob("*.py")] == ["test_project.py"]
        isthmus(folder, "rollout", "start", "home", "--no-controller")
        isthmus(folder, "rollout", "abort", "home", "--because", "without traffic it would wait")
    finally:
        isthmus(folder, "destroy", "--yes")


@pytest.mark.soak
@pytest.mark.timeout(1800)
def test_the_second_model_is_rolled_out_under_traffic(tmp_path):
    folder, wrong = play(tmp_path, until_command=ROLLOUT)
    visitors = ("experiment", "simulate", "simulations/visitors.yaml")
    try:
        assert wrong == {}
        isthmus(folder, "rollout", "start", "home")

        def promoted():
            isthmus(folder, *visitors)
            return "PROMOTED" in isthmus(folder, "rollout", "status", "home").out

        until(promoted, within=1200)
        versions = isthmus(folder, "models", "list", "--json").json
        assert {v["version"] for v in versions if "champion" in v["aliases"]} == {2}
    finally:
        isthmus(folder, "rollout", "abort", "home", "--because", "seen", ok=False)
        isthmus(folder, "destroy", "--yes", "--wait")
