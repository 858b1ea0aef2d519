"""Adapters are found by name, loaded lazily, and say what to install when they cannot be."""

import subprocess
import sys
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

import pytest

from isthmus.adapters import targets
from isthmus.core.plugins import installed
from isthmus.core.runtime.project import Project
from isthmus.errors import Invalid, MissingDependency, Unsupported
from isthmus.project.specs.description import ParsedProject, ProjectSpec
from isthmus.target import Adapter, CallLog, Packages, Profile


def profile(adapter="local", home="unused"):
    return Profile(name="laptop", adapter=adapter, project="conf", options={"home": home})


def bare(name="bare", **more):
    return Adapter(name=name, title=name.title(), capabilities={}, ports={}, **more)


def with_entry_point(monkeypatch, name, value="somewhere:ADAPTER", named=None):
    """As if a package were installed whose entry point names `named`; without it, what its value
    says is looked for.
    """
    if named is not None:
        monkeypatch.setattr(EntryPoint, "load", lambda _self: named)
    point = EntryPoint(name=name, value=value, group="isthmus.adapters")
    monkeypatch.setattr(
        "importlib.metadata.entry_points", lambda *, group: [point] if group == point.group else []
    )


def test_an_unknown_adapter_is_unsupported_and_the_known_ones_are_named():
    with pytest.raises(Unsupported, match=r"no adapter named 'azure'.*local") as error:
        targets.load(profile("azure"))
    assert "isthmus.adapters" in error.value.remedy


def test_the_local_adapter_is_always_there():
    assert "local" in installed.names()


def test_each_of_our_own_is_what_its_entry_point_says():
    """`installed` finds them by their folders, without asking the entry points."""
    points = {
        point.name: point
        for point in entry_points(group="isthmus.adapters")
        if point.value.startswith("isthmus.adapters.")
    }
    folders = {
        path.parent.name
        for path in Path(targets.__file__).parent.glob("*/__init__.py")
        if "ADAPTER = " in path.read_text()
    }
    assert set(points) == folders
    assert all(point.load() is installed.adapter(name) for name, point in points.items())


@pytest.mark.parametrize("name", ["targets", "sql_common", "no.such", "", "__init__"])
def test_what_lies_beside_the_adapters_is_none(name):
    with pytest.raises(Unsupported):
        installed.adapter(name)


def test_an_adapter_whose_import_fails_names_the_package(monkeypatch):
    with_entry_point(monkeypatch, "lake", "no_such_package.lake:ADAPTER")
    with pytest.raises(MissingDependency, match="adapter lake needs no_such_package"):
        targets.load(profile("lake"))
    assert list(installed.adapters()) == []


def test_an_adapter_whose_module_is_broken_is_refused_and_the_others_work(monkeypatch, tmp_path):
    (tmp_path / "broken_lake.py").write_text("ADAPTER = 1 / 0")
    monkeypatch.syspath_prepend(tmp_path)
    with_entry_point(monkeypatch, "lake", "broken_lake:ADAPTER")
    with pytest.raises(Invalid, match="adapter lake cannot be imported: ZeroDivisionError"):
        targets.load(profile("lake"))
    assert list(installed.adapters()) == []


@pytest.mark.parametrize(
    "named",
    [object(), pytest.param(bare("pond"), id="another name")],
    ids=lambda named: type(named).__name__,
)
def test_an_entry_point_that_names_no_adapter_of_its_name_is_refused(monkeypatch, named):
    with_entry_point(monkeypatch, "lake", "somewhere:LAKE", named)
    with pytest.raises(
        Invalid, match=r"adapter lake: somewhere:LAKE is not an isthmus.target.Adapter"
    ):
        targets.load(profile("lake"))


def test_an_adapter_that_lacks_packages_names_them_and_the_pip_line(monkeypatch):
    needs = Packages(
        modules=("no_such_package", "msgspec", "no_such_sdk"), install="lakehouse[isthmus]"
    )
    with_entry_point(monkeypatch, "lake", named=bare("lake", needs=needs))
    with pytest.raises(
        MissingDependency, match="adapter lake needs no_such_package, no_such_sdk"
    ) as error:
        targets.load(profile("lake"))
    assert error.value.remedy == 'pip install "lakehouse[isthmus]"'


@pytest.mark.parametrize("port", ["warehouse", "endpoints"])
def test_a_port_that_an_adapter_lacks_is_unsupported_on_touch(monkeypatch, port):
    with_entry_point(monkeypatch, "bare", named=bare())
    target = targets.load(profile("bare"))
    with pytest.raises(
        Unsupported, match=f"is not supported yet, nothing runs there .asked for: {port}."
    ) as error:
        getattr(target, port)
    assert error.value.capability == port


@pytest.mark.parametrize(
    "uri", ["az://bucket/p/runs/r1/run.json", "ftp://bucket/x", "nonsense", ""]
)
def test_a_uri_that_nothing_here_opens_is_unsupported(uri):
    with pytest.raises(Unsupported) as error:
        targets.blobs_for(uri)
    assert error.value.capability == "blobs"


def test_a_target_keeps_its_profiles_name_and_the_callers_log():
    log = CallLog()
    target = targets.load(profile(), calls=log)
    assert (target.name, target.adapter.name, target.calls) == ("laptop", "local", log)


def test_a_port_is_built_once_on_first_touch(tmp_path):
    home = tmp_path / "home"
    target = targets.load(profile(home=str(home)))
    assert not home.exists()
    assert target.state is target.state
    assert target.state.get("k") is None
    assert home.exists()
    target.close()


@pytest.mark.parametrize(
    ("touch", "absent"),
    [
        (
            "target.name",
            [
                "sqlite3",
                "duckdb",
                "pyarrow",
                "starlette",
                "numpy",
                "isthmus.adapters.local.warehouse.warehouse",
            ],
        ),
        (
            "target.state.get('k')",
            [
                "duckdb",
                "pyarrow",
                "starlette",
                "numpy",
                "isthmus.adapters.local.warehouse.warehouse",
            ],
        ),
        ("list(target.inventory.list('conf'))", ["duckdb", "pyarrow", "starlette", "numpy"]),
        (
            "target.blobs.put(target.blobs.root + '/runs/x', b'')",
            ["duckdb", "pyarrow", "starlette", "numpy"],
        ),
        ("target.warehouse", ["duckdb", "pyarrow", "numpy"]),
    ],
)
def test_a_port_brings_only_the_modules_that_it_needs(tmp_path, touch, absent):
    code = f"""
import sys
from isthmus.adapters import targets
from isthmus.target import Profile
target = targets.load(Profile(name="local", adapter="local", project="conf", options={{"home": {str(tmp_path)!r}}}))
{touch}
print([name for name in {absent!r} if name in sys.modules])
"""
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_a_target_without_a_provider_has_no_objects_of_one():
    project = Project(
        ParsedProject(spec=ProjectSpec(name="conf"), folder=".", places={}), targets.load(profile())
    )
    with pytest.raises(
        Unsupported, match=r"target laptop \(local\) has no objects of a provider's own"
    ) as refusal:
        _ = project.native
    assert refusal.value.capability == "native"
