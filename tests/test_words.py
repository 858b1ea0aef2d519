"""What the code is called and what it says of itself: the words of CONTRIBUTING.md, read from the
syntax.
"""

import ast
import re

import pytest

from isthmus.tests import house
from isthmus.tests.test_architecture import ADAPTERS, FILES, ROOT, nodes


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go():
    yield
    nodes.cache_clear()


SKIPPED = re.compile(r"localstack/(tests|testing)/")
PACKAGED = [path for path in house.packaged(house.sources()) if not SKIPPED.match(path)]


@pytest.mark.parametrize("room", sorted({path.partition("/")[0] for path in PACKAGED}))
def test_a_name_says_what_a_thing_is_and_not_that_it_was_found(room):
    """Fields of structs may: they are keys of stored documents or of --json."""
    vague = [
        f"{path}:{line}: {name}"
        for path in PACKAGED
        if path.partition("/")[0] == room
        for line, name in house.vague_names(ast.parse((ROOT / path).read_text()))
    ]
    assert vague == []


@pytest.mark.parametrize("room", sorted({path.partition("/")[0] for path in PACKAGED}))
def test_a_docstring_begins_a_sentence_of_its_own(room):
    """What ruff's D401 passes: a first word that continues the function's name."""
    fragments = [
        f"{path}:{line}: {text}"
        for path in PACKAGED
        if path.partition("/")[0] == room
        for line, text in house.fragments(ast.parse((ROOT / path).read_text()))
    ]
    assert fragments == []


ERRORS = "|".join(re.findall(r"^class (\w+)\(", (ROOT / "errors.py").read_text(), re.MULTILINE))


def _methods(node):
    return {
        item.name: item
        for item in node.body
        if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
    }


def _ports():
    """By name the methods of each Protocol of the ports."""
    declared = (
        node
        for path in (ROOT / "storage.py", *ROOT.glob("*/port.py"))
        for node in nodes(path)
        if isinstance(node, ast.ClassDef)
    )
    return {
        node.name: set(_methods(node))
        for node in declared
        if any(ast.unparse(base) == "Protocol" for base in node.bases)
    }


@pytest.mark.parametrize("adapter", [*sorted(ADAPTERS), "common"])
def test_each_method_of_a_port_says_what_it_does_here_and_not_its_errors_alone(adapter):
    ports = [methods for methods in _ports().values() if methods]
    for path in (path for path in FILES if path.is_relative_to(ROOT / "adapters" / adapter)):
        for node in (node for node in nodes(path) if isinstance(node, ast.ClassDef)):
            own = _methods(node)
            for name in {name for methods in ports if methods <= own.keys() for name in methods}:
                text = ast.get_docstring(own[name]) or ""
                words = (
                    re.sub(rf"({ERRORS})\b[^.]*[.]", "", text).replace("See the port.", "").strip()
                )
                assert words, f"{path.relative_to(ROOT)}: {node.name}.{name} says {text!r}"


def test_a_function_that_returns_a_table_says_of_what():
    for path in FILES:
        for node in (node for node in nodes(path) if isinstance(node, ast.ClassDef | ast.Module)):
            public = (
                item
                for item in node.body
                if isinstance(item, ast.FunctionDef) and not item.name.startswith("_")
            )
            silent = [
                item.name
                for item in public
                if "pa.Table" in ast.unparse(item.returns or ast.Pass())
                and not ast.get_docstring(item)
            ]
            assert not silent, f"{path.relative_to(ROOT)}: {silent}"
