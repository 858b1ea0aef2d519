"""What pages show of the command line: it takes each command, and a rehearsal says what its page
says. The tutorial: test_tutorial.py.
"""

import os
import re
import shlex
from pathlib import Path

import click
import pytest

from isthmus.cli.main import COMMANDS, main
from isthmus.tests.cli.running import isthmus
from isthmus.tests.docs.printed import printed, refusal
from isthmus.tests.docs.shown import block_of, masked, pattern

ROOT = Path(__file__).parents[2]
PAGES = [
    page
    for page in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))
    if page.name not in {"reference.md", "json.md"}
]  # generated


def shown(page):
    """Each `isthmus ...` of a page's blocks, without its comment and without where its output goes."""
    for block in re.findall(r"^ *```\w*\n(.+?)^ *```", page.read_text(), re.MULTILINE | re.DOTALL):
        for line in block.splitlines():
            text = re.sub(r"\s#\s.*", "", line.strip().removeprefix("$ "))
            yield from (
                part
                for part in re.split(r"\s(?:&&|\||;|>>?)\s", text)
                if part.startswith("isthmus ")
            )


def taken(words):
    """UsageError: the command line does not take them."""
    context, command = main.make_context("isthmus", list(words)), main
    while isinstance(command, click.Group) and (rest := [*context._protected_args, *context.args]):
        name, command, rest = command.resolve_command(context, rest)
        context = command.make_context(name, rest, parent=context)


def refused(page):
    for text in shown(page):
        try:
            taken(shlex.split(text)[1:])
        except click.UsageError as error:
            yield f"{page.name}: {text}: {error.format_message()}"


def test_the_command_line_takes_every_command_that_a_page_shows():
    assert sum(1 for page in PAGES for _ in shown(page)) > 40
    assert [told for page in PAGES for told in refused(page)] == []


def test_a_command_that_it_does_not_take_would_be_found():
    for words in (["trian"], ["plan", "--fast"], ["runs", "lost"], ["deploy"]):
        with pytest.raises(click.UsageError):
            taken(words)


def test_each_command_that_a_page_names_in_its_text_exists():
    named = {
        match
        for page in PAGES
        for match in re.findall(r"`isthmus ([a-z][a-z-]*)", page.read_text())
    }
    assert len(named) > 20
    assert named - set(COMMANDS) == set()


def test_the_command_line_takes_every_command_that_an_error_or_a_hint_prints():
    commands = {command: place for place, command in printed()}
    assert len(commands) > 80
    refusals = {command: refusal(command) for command in commands}
    assert [f"{commands[c]}: isthmus {c}: {why}" for c, why in refusals.items() if why] == []


@pytest.mark.parametrize(
    "command",
    [
        "trian models/history.yaml",
        "deploy PLACEHOLDER makes them",
        "experiment stop PLACEHOLDER --becaus PLACEHOLDER",
        "rollout lost PLACEHOLDER",
        "rollout abort PLACEHOLDER --because",
    ],
)
def test_a_printed_command_that_would_not_run_would_be_found(command):
    assert refusal(command)


def test_a_placeholder_in_a_printed_command_stands_for_any_value():
    assert refusal('rollout promote PLACEHOLDER --because "..."') == ""
    assert refusal("traffic PLACEHOLDER PLACEHOLDER=0 ...") == ""
    assert refusal("rollout PLACEHOLDER PLACEHOLDER") == ""


def as_shown(folder, page, command):
    """What a command prints that a page does not show, where that is another thing."""
    said = isthmus(folder, *shlex.split(command)[1:])
    lines = [masked(line) for line in said.out.splitlines() if not line.startswith("next ")]
    return (
        []
        if re.fullmatch(pattern(block_of(page, command)), "".join(f"{line}\n" for line in lines))
        else lines
    )


def test_a_rehearsal_says_what_the_page_of_rollouts_says(tmp_path):
    isthmus(tmp_path, "init", "shop", "--example", "openbandit")
    assert (
        as_shown(
            tmp_path / "shop",
            "rollouts.md",
            "isthmus rollout rehearse ranker --scenario scenarios/errors.yaml",
        )
        == []
    )


def test_the_commands_before_a_rollout_run_in_a_new_project_with_the_bakes_of_the_page(tmp_path):
    text = (ROOT / "docs" / "rollouts.md").read_text()
    typed = re.findall(r"^\$ isthmus (.+)$", text.partition("## Start it\n")[2], re.MULTILINE)
    typed = typed[: typed.index("rollout start home")]
    assert typed[0] == "init shop --targets local"
    isthmus(tmp_path, *shlex.split(typed[0]))
    folder = tmp_path / "shop"
    file = folder / "project.yaml"
    file.write_text(re.sub("bake: (15|30)m", "bake: 3m", file.read_text()))
    for words in typed[1:]:
        isthmus(folder, *shlex.split(words))
    try:
        said = isthmus(folder, "rollout", "start", "home", "--no-controller").out
        assert "10 % -> 25 % 3m -> 50 % 3m -> 100 % 3m" in said
        assert "what it sees is not foreseen" in said
    finally:
        isthmus(folder, "rollout", "abort", "home", "--because", "tried")
        isthmus(folder, "destroy", "--yes")


@pytest.mark.parametrize(("target", "least"), [("sagemaker", "5m"), ("vertex", "7m")])
def test_the_bakes_that_the_page_says_a_cloud_refuses_are_refused(tmp_path, target, least):
    isthmus(tmp_path, "init", "shop")
    file = tmp_path / "shop" / "project.yaml"
    for bake, ok in (("3m", False), (least, True)):
        changed = re.sub("bake: [0-9]+m", f"bake: {bake}", file.read_text())
        file.write_text(changed)
        said = isthmus(tmp_path / "shop", "validate", "--target", target, ok=ok)
        assert (f"write {least} or more" in said.out + said.err) is not ok


@pytest.mark.slow
@pytest.mark.skipif(
    "ISTHMUS_EVERY_BLOCK" not in os.environ,
    reason="it starts a stack of its own, half a minute: make test-often",
)
def test_a_rehearsal_on_sagemakers_stack_says_what_the_page_of_rollouts_says(tmp_path):
    command = (
        "isthmus rollout rehearse ranker --scenario scenarios/errors.yaml --target sagemaker "
        "--offline"
    )
    isthmus(tmp_path, "init", "shop", "--example", "openbandit")
    try:
        assert as_shown(tmp_path / "shop", "rollouts.md", command) == []
    finally:
        isthmus(tmp_path / "shop", "stack", "down")


def test_promises_md_says_of_every_page_with_commands_what_runs_them_or_why_nothing_does():
    table = (
        (ROOT / "docs" / "promises.md")
        .read_text()
        .partition("## What the pages show\n")[2]
        .partition("\n## ")[0]
    )
    rows = dict(re.findall(r"^\| (?:\[.+?\]\()?([\w.-]+\.md)\)? \| (.+) \|$", table, re.MULTILINE))
    assert sorted(page.name for page in PAGES if page.name not in rows and any(shown(page))) == []
    named = {name for row in rows.values() for name in re.findall(r"tests/[\w/]+\.py", row)}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []
