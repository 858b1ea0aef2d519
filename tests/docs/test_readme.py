"""The README is true: its commands run, and its table of packages is what the imports say."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from isthmus.project.scaffold import create
from isthmus.tests.cli.running import isthmus
from isthmus.tests.sampled import EVERY

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
NOT_OURS = {".venv", ".alias", "build", "benchmarks"}
SUITES = ("tests/", "localstack/tests/", "localstack/testing/")
BIN = Path(sys.executable).parent
OFTEN = pytest.mark.skipif(
    not EVERY, reason="what the suite of `isthmus init` does, on other data: make test-often"
)


def packages():
    """package -> the places that the README's table names for it."""
    table = README.partition("## Which package is used where\n")[2].partition("\n\n")[0]
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()[2:]
    ]
    return {
        package: re.findall(r"`([\w/.]+/[\w/.]*)`", where)
        for names, where in rows
        for package in names.split(", ")
    }


@cache
def sources():
    """File -> its code, of all of ours."""
    folders = [path for path in ROOT.iterdir() if path.is_dir() and path.name not in NOT_OURS]
    return {
        str(path.relative_to(ROOT)): path.read_text()
        for path in (*ROOT.glob("*.py"), *(p for f in folders for p in f.rglob("*.py")))
    }


def importers(package):
    imports = re.compile(rf"^\s*(import|from) {package}\b|importorskip\(.{package}\b", re.MULTILINE)
    return [path for path, code in sources().items() if imports.search(code)]


@pytest.mark.parametrize(
    "package", ["sagemaker", "boto3", "awswrangler", "pandas", "moto", "pytest"]
)
def test_a_package_is_imported_where_the_readme_says_and_nowhere_else_but_in_tests(package):
    places, files = packages()[package], importers(package)
    assert [
        place
        for place in places
        if not any(file.startswith(place) for file in files) and package != "pandas"
    ] == []
    assert [file for file in files if not file.startswith((*places, *SUITES))] == []


def test_googles_packages_are_imported_where_the_readme_says_and_nowhere_else_but_in_tests():
    places = packages()["google-cloud-aiplatform and the other google-cloud packages"]
    files = [file for name in ("google", "grpc") for file in importers(name)]
    assert [place for place in places if not any(file.startswith(place) for file in files)] == []
    assert [file for file in files if not file.startswith((*places, *SUITES))] == []


def test_every_file_that_the_readme_links_is_there():
    links = [link for link in re.findall(r"\]\(([^)#]+)\)", README) if not link.startswith("http")]
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_first_screen_is_short():
    first = README.partition("## Why")[0]
    assert len(first.splitlines()) <= 46
    assert "Try it" in first
    assert "offline AWS for code you already have" in first


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_plain_boto3_script_splits_its_calls_as_it_asked():
    command = re.search(r"\$ cd (\S+) && isthmus (stack run .*)\n", README)
    words = f'"{BIN}/isthmus" {command[2]}'.replace("-- python ", f'-- "{sys.executable}" ')
    done = subprocess.run(
        ["sh", "-c", words],
        cwd=ROOT / command[1],
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    counts = [
        ast.literal_eval(line.partition(" ")[2])
        for line in done.stdout.splitlines()
        if line.startswith(("90/10", "50/50"))
    ]
    assert [sum(split.values()) for split in counts] == [500, 500]
    assert (
        450 - 40 <= counts[0]["counted"] <= 450 + 40
    )  # six sigma of 500 at 90 %: nobody seeds these
    assert 250 - 67 <= counts[1]["counted"] <= 250 + 67  # and at 50 %


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "example", ["boto3_ab", pytest.param("openbandit", marks=OFTEN), "of `isthmus init`"]
)
def test_an_examples_own_suite_passes_as_a_user_runs_it(example, tmp_path):
    folder = ROOT / "examples" / example
    if not folder.exists():
        create(folder := tmp_path / "shop")
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", "-p", "no:cacheprovider"],
        cwd=folder, capture_output=True, text=True, timeout=500, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped" not in done.stdout


def test_the_commands_of_a_project_run_one_after_the_other(tmp_path):
    block = README.partition("## Use it as a project\n```\n")[2].partition("```")[0]
    commands = [
        command.split()
        for line in block.splitlines()
        for command in line.partition("#")[0].split(" && ")
    ]
    assert [" ".join(words[:2]) for words in commands] == [
        "isthmus init",
        "cd shop",
        "isthmus validate",
        "isthmus plan",
        "isthmus apply",
    ]
    folder = tmp_path
    for name, *arguments in commands:
        if name == "cd":
            folder /= arguments[0]
        else:
            isthmus(folder, *arguments)
    assert (folder / ".isthmus/local.db").is_file()
