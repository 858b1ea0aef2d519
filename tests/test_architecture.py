"""The import rules of docs/architecture.md, read from the code.

Those inside the stacks: localstack/tests/package/test_layers.py.
"""

import ast
import re
import subprocess
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from isthmus.tests import house

ROOT = Path(__file__).parent.parent
ROOMS = (
    "events",
    "feature_store",
    "pipelines",
    "endpoints",
    "rollouts",
    "experiments",
)  # each may import those before it
SDKS = {
    "aws": {"boto3", "botocore", "awswrangler", "sagemaker", "moto"},
    "gcp": {"google", "grpc", "kfp", "vertexai", "zetasql"},
}
ALL_SDKS = set().union(*SDKS.values())
ADAPTERS = {
    path.parent.name for path in (ROOT / "adapters").glob("*/options.py")
}  # beside "common", which they share
FACADE = {
    "adapters",
    "adapters.targets",
}  # all that the rooms above see of an adapter; the rest is what its Adapter says
BOTTOM = {"core", "errors", "storage", "target", "times"}  # what knows nothing of the rooms
ABOVE = {path.stem for path in ROOT.glob("*.py")} - BOTTOM
FOLDERS = (*ROOMS, "core", "project", "reports", "lifecycle", "adapters", "ui", "cli")
# The life of the stacks, and the commands: all that knows the package isthmus_stack.
USE_STACK = {
    "core/runtime/stacks.py",
    "lifecycle/stacks/stack.py",
    "lifecycle/stacks/calls.py",
    "lifecycle/stacks/faults.py",
    "lifecycle/start/trust.py",
    "lifecycle/checks/first_account.py",
    "lifecycle/rehearsal/places.py",
    "lifecycle/rehearsal/offline.py",
    "cli/stack.py",
}
FILES = sorted(
    path
    for path in (*ROOT.glob("*.py"), *(p for f in FOLDERS for p in (ROOT / f).rglob("*.py")))
    if path.name not in ("setup.py", "noxfile.py")
)


@cache  # the files are many, and so are the rules
def nodes(path):
    """Every node of a file's syntax."""
    return tuple(ast.walk(ast.parse(path.read_text())))


@pytest.fixture(scope="module", autouse=True)
def _trees_are_let_go():
    yield
    nodes.cache_clear()


@cache
def imports(path):
    """Every module that a file imports, as dotted names relative to the root; SDKs by their own
    names.
    """
    return tuple(_imports(path))


def _imports(path):
    package = path.relative_to(ROOT).parent.parts
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name.removeprefix("isthmus.") for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            if node.level:
                base = package[: len(package) - node.level + 1]
                yield ".".join([*base, *([node.module] if node.module else [])] or ["."])
                if not node.module:
                    yield from (".".join([*base, alias.name]) for alias in node.names)
            elif node.module:
                yield node.module.removeprefix("isthmus.")
                if node.module == "isthmus":
                    yield from (alias.name for alias in node.names)


def module_name(path):
    """As it is imported, below the root: a package's is its folder's."""
    place = path.relative_to(ROOT)
    return ".".join(
        place.parent.parts if path.name == "__init__.py" else place.with_suffix("").parts
    )


FROM_OURS = re.compile(
    r"^ *from (isthmus_stack(?=[. ])|isthmus(?=[. ])|\.+)([\w.]*) import (?:\(([^)]*)\)|(.*))",
    re.MULTILINE,
)


def own_imports(path):
    """(module, name) of everything that a file imports of ours; by its text, as the tests' files
    are many, too.
    """
    package = path.relative_to(ROOT).parent.parts
    for dots, module, several, some in FROM_OURS.findall(path.read_text()):
        base = (
            package[: len(package) - len(dots) + 1]
            if dots.startswith(".")
            else ("localstack",)
            if dots == "isthmus_stack"
            else ()
        )
        names = re.sub(r"#.*", "", several or some).split(",")
        yield from (
            (".".join(filter(None, (*base, *module.split(".")))), name.split()[0])
            for name in names
            if name.strip()
        )


def allowed(importer, imported):
    room, other = importer.parts[0], imported.split(".")[0]
    if other == "isthmus_stack":
        return str(importer) in USE_STACK
    below = room in ("project", "adapters", *(f"{name}.py" for name in BOTTOM))
    if imported.startswith("core.runtime"):  # an open project stands on the rooms' floor
        return not below and (room != "core" or importer.parts[1] == "runtime")
    if (other in ROOMS and imported.endswith(".port")) or other in BOTTOM:
        return True
    if room == "target.py" and other == "project":
        return imported == "project.reading.shapes"  # the type of an adapter's keys
    if other in ABOVE:
        return not below
    if other not in FOLDERS:
        return True
    if "reports" in (room, other):
        return other == "reports" and (
            room in ROOMS or room in ("reports", "lifecycle", "ui", "cli")
        )
    if room in ROOMS:
        return other == "project" or (other in ROOMS and ROOMS.index(other) <= ROOMS.index(room))
    if room == "project":
        return other == "project"
    if room == "adapters":
        sibling = imported.split(".")[1] if other == "adapters" and "." in imported else None
        if sibling in ADAPTERS and sibling != importer.parts[1]:
            return False
        return other not in ("ui", "cli", "lifecycle")
    if room == "lifecycle":
        return imported in FACADE if other == "adapters" else other not in ("ui", "cli")
    if room == "ui":
        return other not in ("adapters", "cli")
    if room == "cli":
        return other != "adapters" or imported in FACADE
    if str(importer) == "core/runtime/project.py":
        return imported in FACADE or other == "project"
    if str(importer) == "core/runtime/stacks.py":
        return other == "project"
    return (room == "__main__.py" and other == "cli") or room == "__init__.py"


def test_every_file_imports_only_what_its_room_may():
    assert len(FILES) > 500
    importers = {path: path.relative_to(ROOT) for path in FILES}
    assert {
        (str(importer), name)
        for path, importer in importers.items()
        for name in imports(path)
        if not allowed(importer, name)
    } == set()


def test_only_cloud_adapters_import_a_cloud_sdk():
    elsewhere = [path for path in FILES if not path.is_relative_to(ROOT / "adapters")]
    elsewhere += [
        path
        for path in FILES
        if path.is_relative_to(ROOT / "adapters") and not _is_a_clouds(path.relative_to(ROOT).parts)
    ]
    assert {
        (str(path), name)
        for path in elsewhere
        for name in imports(path)
        if name.split(".")[0] in ALL_SDKS
    } == set()


def _is_a_clouds(parts):
    return len(parts) > 2 and parts[1] in ("sagemaker", "vertex")


def test_nothing_but_an_adapter_says_an_adapters_name():
    """Everything else asks its Adapter. The one exception is the target that is always there."""
    assert len(ADAPTERS) >= 3
    said = [
        (str(path.relative_to(ROOT)), node.value)
        for path in FILES
        if path.relative_to(ROOT).parts[0] != "adapters"
        for node in nodes(path)
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and node.value.strip() in ADAPTERS
    ]
    assert said == [("project/profiles/profiles.py", "local")]


@pytest.mark.parametrize(
    ("importer", "imported", "may"),
    [
        ("adapters/sagemaker/warehouse/warehouse.py", "adapters.local.errors", False),
        ("adapters/sagemaker/warehouse/warehouse.py", "adapters.common.warehouse.queries", True),
        ("adapters/sagemaker/warehouse/warehouse.py", "adapters.sagemaker.session", True),
        ("adapters/common/warehouse/queries.py", "adapters.local", False),
        ("adapters/common/warehouse/queries.py", "adapters.common.warehouse.results", True),
        ("adapters/targets.py", "adapters.local", False),
    ],
)
def test_adapters_know_what_they_share_and_not_each_other(importer, imported, may):
    assert {"local", "sagemaker", "vertex"} <= ADAPTERS
    assert allowed(Path(importer), imported) is may


def test_the_column_types_are_spelled_in_one_table_and_in_each_others_own():
    types = {"bool", "int64", "float64", "string", "timestamp"}
    tables = {
        path.relative_to(ROOT)
        for path in FILES
        for node in nodes(path)
        if isinstance(node, ast.Dict)
        and types <= {key.value for key in node.keys if isinstance(key, ast.Constant)}
    }
    assert Path("events/tables/column_types.py") in tables
    others = tables - {Path("events/tables/column_types.py")}
    assert all(
        (path.parts[0] == "adapters" or path.parts[1] == "tracking")
        and path.name == "column_types.py"
        for path in others
    ), others


def test_one_module_says_what_a_mistyped_word_was_meant_to_be():
    users = {str(path.relative_to(ROOT)) for path in FILES if "difflib" in imports(path)}
    assert users == {"project/reading/names.py"}


def test_every_root_module_that_is_imported_ships_and_what_only_builds_does_not():
    tree = ast.parse((ROOT / "setup.py").read_text())
    names = {"Path": Path, "__file__": str(ROOT / "setup.py")}
    for node in tree.body:
        if isinstance(node, ast.Assign) and node.targets[0].id == "ROOT_MODULES":
            exec(compile(ast.Module([node], []), "setup.py", "exec"), names)
    imported = {name.split(".")[0] for path in FILES for name in imports(path)} & {
        path.stem for path in ROOT.glob("*.py")
    }
    assert {"errors", "storage", "target", "times"} <= imported <= names["ROOT_MODULES"]
    assert not names["ROOT_MODULES"] & {"setup", "noxfile"}


def test_a_port_has_at_most_six_methods():
    for path in (
        ROOT / "storage.py",
        *(ROOT / room / "port.py" for room in ROOMS if (ROOT / room / "port.py").exists()),
    ):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef) and any(
                isinstance(b, ast.Name) and b.id == "Protocol" for b in node.bases
            ):
                methods = [item.name for item in node.body if isinstance(item, ast.FunctionDef)]
                assert len(methods) <= 6, f"{node.name} has {methods}"


# An empty `google` is in every interpreter, from its start, where google-cloud-aiplatform is
# installed: its -nspkg.pth makes it
GOOGLES = (
    "api_core",
    "auth",
    "cloud.aiplatform",
    "cloud.aiplatform_v1",
    "cloud.bigquery",
    "cloud.storage",
    "cloud.pubsub_v1",
    "protobuf",
)
HEAVY = (
    *(
        "pyarrow",
        "duckdb",
        "pandas",
        "numpy",
        "starlette",
        "uvicorn",
        "sqlglot",
        "sklearn",
        "matplotlib",
        "mlflow",
        "opentelemetry",
    ),
    *sorted(ALL_SDKS - {"google"}),
    *(f"google.{name}" for name in GOOGLES),
)


@pytest.mark.parametrize(
    "code",
    [
        "import isthmus",
        "import sys; sys.argv = ['isthmus', '--help']\nfrom isthmus.cli.main import run\nrun()",
    ],
)
def test_the_package_and_its_help_load_nothing_heavy(code):
    check = (
        f"import sys\ntry:\n    exec({code!r})\nexcept SystemExit: pass\nprint('LOADED', [m for "
        f"m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "LOADED []"


# above the port; each may import those before it
PIPELINES = (
    "graphs",
    "runs",
    "step",
    "transforms",
    "builtin",
    "models",
    "evaluation",
    "run_pages",
    "tracking",
    "training",
    "extraction",
    "model_graph",
    "tuning",
    "scoring",
)


def test_each_folder_of_pipelines_lies_below_the_next():
    def level(place):
        return PIPELINES.index(place[1]) + 1 if len(place) > 2 else 0

    places = {module_name(path): path for path in FILES if path.is_relative_to(ROOT / "pipelines")}
    assert {name.split(".")[1] for name in places if name.count(".") > 1} == set(PIPELINES)
    assert {
        (name, other)
        for name, path in places.items()
        if len(name.split(".")) > 1
        for other in (
            f"{module}.{word}" if f"{module}.{word}" in places else module
            for module, word in own_imports(path)
        )
        if other in places
        and len(other.split(".")) > 2
        and level(other.split(".")) > level(name.split("."))
    } == set()


def test_no_modules_import_each_other_in_a_circle():
    """Late imports count, too.

    For types alone a module may name one that imports it: the text of a record names the record.
    """
    by_name = {module_name(path): path for path in FILES}
    graph = {name: set() for name in by_name}
    for name, path in by_name.items():
        for_types = {
            id(late) for node in nodes(path) if _is_for_types(node) for late in ast.walk(node)
        }
        package = path.relative_to(ROOT).parent.parts
        for node in nodes(path):
            if isinstance(node, ast.ImportFrom) and node.level and id(node) not in for_types:
                base = ".".join(
                    [
                        *package[: len(package) - node.level + 1],
                        *([node.module] if node.module else []),
                    ]
                )
                whole = (f"{base}.{alias.name}".strip(".") for alias in node.names)
                graph[name] |= {other if other in by_name else base for other in whole} - {name}
    TopologicalSorter(graph).prepare()


def test_no_folders_import_each_other_in_a_circle():
    """Imports for types and late ones count; so do a folder and its child.

    A room's port and a module at the root are places of their own; a package's `__init__` that only
    exports its modules' names imports nothing.
    """
    graph = house.folder_imports(house.packaged(house.sources()))
    assert len(graph) > 100
    assert {
        f"{place} > {other}: {min(pairs)}"
        for group in house.knots(graph)
        for place in group
        for other, pairs in graph[place].items()
        if other in group
    } == set()


def test_no_folder_has_more_than_twenty_files():
    assert house.flat_folders(house.sources()) == {}


def test_a_circle_of_folders_is_seen():
    texts = {
        "a/one.py": "from ..b.two import two",
        "b/two.py": "def two():\n    from ..c import three",
        "c/three.py": "if TYPE_CHECKING:\n    from ..a import one",
        "d/four.py": "from ..a import one",
        "d/__init__.py": "from .four import one",
    }
    assert house.knots(house.folder_imports(texts)) == [["a", "b", "c"]]


def _is_for_types(node):
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Name)
        and node.test.id == "TYPE_CHECKING"
    )


def test_every_import_of_ours_finds_its_module_and_a_word_of_it():
    """Who lands beside a move hears of it here, not from the first who runs the file.

    That the word is bound, mypy sees.
    """
    files = [
        *FILES,
        *(
            path
            for name in ("localstack", "tests", "benchmarks", "deploy")
            for path in (ROOT / name).rglob("*.py")
        ),
    ]
    by_name = {
        module_name(folder / "__init__.py"): folder / "__init__.py"
        for folder in {path.parent for path in files}
    }
    by_name |= {module_name(path): path for path in files}
    words = cache(
        lambda path: set(re.findall(r"\w+", path.read_text())) if path.exists() else set()
    )
    assert [
        f"{path.relative_to(ROOT)}: {module} has no {name}"
        for path in files
        for module, name in own_imports(path)
        if module not in by_name
        or (f"{module}.{name}".strip(".") not in by_name and name not in words(by_name[module]))
    ] == []
