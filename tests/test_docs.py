"""The pages that follow from the code are up to date."""

import ast
import importlib.util
import re
from pathlib import Path

import click
import pytest

from isthmus.cli.main import COMMANDS, main

DOCS = Path(__file__).parents[1] / "docs"
NEEDS = {"coverage.md": "moto", "coverage-gcp.md": "google.cloud.aiplatform_v1"}


def pages():
    found = importlib.util.spec_from_file_location("isthmus_docs", DOCS / "generate.py")
    module = importlib.util.module_from_spec(found)
    found.loader.exec_module(module)
    return module.PAGES


@pytest.mark.parametrize("name", sorted(pages()))
def test_a_generated_page_is_what_the_code_says(name):
    if name in NEEDS:
        pytest.importorskip(NEEDS[name])
    assert (DOCS / name).read_text() == pages()[name](), "run `make docs` and commit the page"


def promised():
    """The sections of promises.md by heading."""
    parts = re.split(r"^### (.+)$", (DOCS / "promises.md").read_text(), flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def functions(path):
    return {node.name for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.FunctionDef)}


def test_each_test_that_shows_a_promise_exists_and_each_promise_has_one():
    named = re.findall(r"(tests/[\w/]+\.py)::(\w+)", (DOCS / "promises.md").read_text())
    assert len(named) > 50
    root = DOCS.parent
    known = {file: functions(root / file) if (root / file).is_file() else set() for file, _ in named}
    assert [f"{file}::{test}" for file, test in named if test not in known[file]] == []
    assert [heading for heading, text in promised().items() if "Shown by tests/" not in text] == []


def test_each_command_that_changes_something_has_its_promise():
    headings = " ".join(promised())
    for name in COMMANDS:
        command = main.get_command(click.Context(main), name)
        group = command.commands if isinstance(command, click.Group) else {"": command}
        changing = [child for child, each in group.items() if any(parameter.name == "dry_run" for parameter in each.params)]
        assert all(re.search(rf"isthmus {name}\b.*\b{child}\b", headings) for child in changing), name
