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


FLOORS = {  # folder -> the folders that it may import
    "core": {"core"},
    "jobs": {"core", "jobs"},
    "serving": {"core", "jobs", "serving"},
    "aws": {"core", "jobs", "serving", "aws"},
    "gcp": {"core", "jobs", "serving", "gcp"},
    "cli": {"core", "aws", "gcp", "cli"},
}


def test_each_floor_imports_only_those_below_it():
    """The modules at the root, which are the public addresses, are imported by none of ours."""
    assert {name.partition(".")[0] for name in graph() if "." in name} == set(FLOORS)
    assert not {
        (name, other)
        for name, imported in graph().items()
        for other in imported
        if (floor := name.partition(".")[0]) in FLOORS
        and other.partition(".")[0] not in FLOORS[floor]
    }


def test_only_a_clouds_own_folder_imports_its_sdks():
    for path in FILES:
        used = ALL_SDKS & {name.split(".")[0] for name in imports(path)}
        assert used <= SDKS.get(path.relative_to(ROOT).parts[0], set()), f"{path} imports {used}"


def test_athenas_tables_and_its_language_stand_without_its_queries():
    athena = "aws.services.athena"
    tables = tuple(f"{athena}.{part}" for part in ("errors", "formats", "schemas", "tables"))
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


@pytest.mark.parametrize(
    ("floor", "below"),
    [
        ("aws.core", ()),
        ("aws.services", ("aws.core",)),
        ("gcp.googlesql", ()),
        ("gcp.core", ()),
        ("gcp.services", ("gcp.core", "gcp.googlesql")),
    ],
)
def test_each_floor_of_a_cloud_knows_only_those_below_it(floor, below):
    """Services are put together above both floors: aws/handler_modules.py, gcp/composition.py."""
    cloud = floor.partition(".")[0]
    assert any(is_of(name, floor) for name in graph())
    for name, imported in graph().items():
        if is_of(name, floor):
            above = {
                other
                for other in imported
                if is_of(other, cloud) and not is_of(other, floor, *below)
            }
            assert not above, name


def test_the_handlers_of_every_gcp_service_are_its_operations():
    services = ROOT / "gcp" / "services"
    folders = {path.parent for path in services.glob("*/api.py")}
    assert folders == {path.parent for path in services.glob("*/__init__.py")}
    parts = {path.parent for path in services.glob("aiplatform/*/__init__.py")}
    for folder in (folders | parts) - {services / "aiplatform"}:
        assert (folder / "operations.py").is_file() or (folder / "operations").is_dir(), folder
    with_handlers = {
        path.relative_to(services)
        for path in services.rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("handles", "route")
    }
    assert len(with_handlers) > 30
    for path in with_handlers:
        assert path.stem == "operations" or path.parent.name == "operations", path
