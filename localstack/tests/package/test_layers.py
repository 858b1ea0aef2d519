"""The import rules of the stacks, read from the code."""

import ast
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import isthmus_stack

ROOT = Path(isthmus_stack.__file__).parent
SDKS = {
    "aws": {"boto3", "botocore", "awswrangler", "sagemaker", "moto"},
    "gcp": {"google", "grpc", "kfp", "vertexai", "zetasql"},
}
ALL_SDKS = set().union(*SDKS.values())
SUITE = ("tests", "testing")
FILES = sorted(
    path
    for path in ROOT.rglob("*.py")
    if path.relative_to(ROOT).parts[0] not in (*SUITE, "docs", "build", "setup.py")
)


@cache
def nodes(path):
    return tuple(ast.walk(ast.parse(path.read_text())))


def imports(path):
    """Every module that a file imports by its whole name."""
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            yield node.module


@cache
def graph():
    """Each module -> the modules of ours that it imports, for types only or late, too."""
    modules = {}
    for path in FILES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    imported = {}
    for name, path in modules.items():
        package = path.relative_to(ROOT).parent.parts
        imported[name] = set()
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.level:
                base = ".".join(
                    [
                        *package[: len(package) - node.level + 1],
                        *([node.module] if node.module else []),
                    ]
                )
                targets = (f"{base}.{alias.name}".strip(".") for alias in node.names)
                imported[name] |= {target if target in modules else base for target in targets}
    return imported


def is_of(name, *packages):
    return any(name == package or name.startswith(f"{package}.") for package in packages)


def test_neither_the_stacks_nor_their_tests_import_isthmus():
    files = [*FILES, *(path for folder in SUITE for path in (ROOT / folder).rglob("*.py"))]
    assert len(files) > 500
    assert [str(path) for path in files for name in imports(path) if is_of(name, "isthmus")] == []


def test_the_package_has_one_name_and_every_other_one_is_refused():
    code = compile((ROOT / "__init__.py").read_text(), "__init__.py", "exec")
    with pytest.raises(
        ImportError,
        match=r"isthmus\.localstack is the package isthmus_stack: import it by that name",
    ):
        exec(code, {"__name__": "isthmus.localstack"})


def test_what_no_cloud_owns_imports_no_cloud():
    common = {name: imported for name, imported in graph().items() if not is_of(name, *SDKS)}
    assert len(common) > 10
    late = {
        ("cli.verbs", "aws.coverage"),
        ("cli.verbs", "gcp.coverage"),
        ("cli.texts", "aws.coverage"),
        ("cli.texts", "gcp.coverage"),
    }  # for types
    late |= {
        ("cli.verbs", "aws.recorded"),
        ("cli.verbs", "aws.recorded.compare"),
        ("cli.verbs", "aws.recorded.form"),
    }  # of which one cloud has any
    assert {
        (name, other)
        for name, imported in common.items()
        for other in imported
        if is_of(other, *SDKS)
    } <= late
    for path in FILES:
        used = ALL_SDKS & {name.split(".")[0] for name in imports(path)}
        assert used <= SDKS.get(path.relative_to(ROOT).parts[0], set()), f"{path} imports {used}"


def test_neither_stack_imports_the_other():
    for stack in SDKS:
        others = [other for other in SDKS if other != stack]
        assert any(is_of(name, stack) for name in graph())
        assert not {
            (name, other)
            for name, seen in graph().items()
            if is_of(name, stack)
            for other in seen
            if is_of(other, *others)
        }


def test_athenas_tables_and_its_language_stand_without_its_queries():
    athena = "aws.services.athena"
    tables = tuple(f"{athena}.{part}" for part in ("errors", "schemas", "formats", "tables"))
    below = {
        f"{athena}.formats": tables,
        f"{athena}.tables": tables,
        f"{athena}.sql": (*tables, f"{athena}.sql"),
    }
    for package, allowed in below.items():
        for name, imported in graph().items():
            if is_of(name, package):
                assert not {
                    other
                    for other in imported
                    if is_of(other, athena) and not is_of(other, *allowed)
                }, name


def test_moto_is_imported_in_one_module():
    users = {path for path in FILES if any(is_of(name, "moto") for name in imports(path))}
    assert users == {ROOT / "aws" / "core" / "moto_internals.py"}


@pytest.mark.parametrize(
    ("floor", "below"), [("aws.core", ()), ("aws.services", ("aws.core", "aws.services"))]
)
def test_each_floor_of_the_aws_stack_knows_only_those_below_it(floor, below):
    assert any(is_of(name, floor) for name in graph())
    for name, imported in graph().items():
        if is_of(name, floor):
            above = {
                other
                for other in imported
                if is_of(other, "aws") and not is_of(other, floor, *below)
            }
            assert not above, name


def test_the_handlers_of_every_aws_service_are_its_operations():
    services = ROOT / "aws" / "services"
    parts = [*services.iterdir(), *(services / "sagemaker").iterdir()]
    for folder in parts:
        if folder.is_dir() and folder.name not in ("__pycache__", "sagemaker"):
            assert (folder / "operations.py").is_file() or (folder / "operations").is_dir(), folder
    with_handlers = [
        path.relative_to(services)
        for path in services.rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "handles"
    ]
    assert len(with_handlers) > 100
    for path in with_handlers:
        assert path.stem == "operations" or path.parent.name == "operations", path


def test_no_modules_import_each_other_in_a_circle():
    TopologicalSorter({name: imported - {name} for name, imported in graph().items()}).prepare()
