"""What the code is called and what it says of itself: the words of CONTRIBUTING.md, read from the
syntax.
"""

import ast
import re

import pytest

from isthmus.tests.test_architecture import ADAPTERS, FILES, FOLDERS, ROOT, nodes


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go():
    yield
    nodes.cache_clear()


NO_NAMES = frozenset(("found", "said", "given", "held", "made", "kept", "one", "each"))
KEYS = {  # fields whose names are keys of a stored document or of --json
    ("lifecycle/resources/apply.py", "made"),
    ("lifecycle/resources/destroy.py", "kept"),
    ("lifecycle/resources/status.py", "made"),
    ("pipelines/models/predictor.py", "kept"),
    ("rollouts/rehearsal/results.py", "kept"),
}


def _bound(node):
    """The name that a node of syntax binds; a function's without its leading underscore."""
    if isinstance(node, ast.Name):
        return node.id if isinstance(node.ctx, ast.Store) else None
    if isinstance(node, ast.arg):
        return node.arg
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.MatchAs | ast.ExceptHandler):
        return (node.name or "").strip("_")
    return None


def _targets(node):
    if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
        return [generator.target for generator in node.generators]
    if isinstance(node, ast.For | ast.AsyncFor):
        return [node.target] if node.end_lineno <= node.lineno + 1 else []
    return [node.args] if isinstance(node, ast.Lambda) else []


def _unnamed(path):
    """(file, word) of whatever is called by one of those words, but in a loop or a lambda of one
    line.
    """
    if unnamed := [node for node in nodes(path) if _bound(node) in NO_NAMES]:
        free = {
            id(name)
            for node in nodes(path)
            for target in _targets(node)
            for name in ast.walk(target)
        }
        return {
            (str(path.relative_to(ROOT)), _bound(node)): node.lineno
            for node in unnamed
            if id(node) not in free
        }
    return {}


@pytest.mark.parametrize(
    "room", [*FOLDERS, "localstack", "benchmarks", "deploy", "docs", "examples", ""]
)
def test_a_name_says_what_a_thing_is_and_not_that_it_was_found(room):
    """In a field that is a key of a stored document or of --json the word stays."""
    for path in (ROOT / room).rglob("*.py") if room else ROOT.glob("*.py"):
        if path.relative_to(ROOT).parts[:2] in (("localstack", "tests"), ("localstack", "testing")):
            continue
        unnamed = {place: line for place, line in _unnamed(path).items() if place not in KEYS}
        assert not unnamed, f"these say nothing, with the last line of each: {unnamed}"


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
