"""Adapters are found by name, loaded lazily, and say what to install when they cannot be."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import pytest

from isthmus.adapters import targets
from isthmus.errors import MissingDependency, Unsupported
from isthmus.target import CallLog, Profile


def profile(adapter="local", home="unused"):
    return Profile(name="laptop", adapter=adapter, project="conf", options={"home": home})


def with_entry_point(monkeypatch, name, value):
    point = EntryPoint(name=name, value=value, group="isthmus.adapters")
    monkeypatch.setattr("importlib.metadata.entry_points", lambda *, group: [point] if group == point.group else [])


def test_an_unknown_adapter_is_unsupported_and_the_known_ones_are_named():
    with pytest.raises(Unsupported, match=r"no adapter named 'azure'.*local") as error:
        targets.load(profile("azure"))
    assert "isthmus.adapters" in error.value.remedy


def test_the_local_adapter_is_always_there():
    assert "local" in targets.names()


def test_an_adapter_whose_import_fails_names_the_package_and_the_pip_line(monkeypatch):
    with_entry_point(monkeypatch, "sagemaker", "isthmus.adapters.no_such_module:ADAPTER")
    with pytest.raises(MissingDependency, match="no_such_module") as error:
        targets.load(profile("sagemaker"))
    assert error.value.remedy == 'pip install "isthmus[sagemaker]"'


class Lacking:
    def __init__(self):
        self.capabilities = {}
        self.ports = {}

    def missing(self):
        return ("boto3", "sagemaker")


def test_an_adapter_that_lacks_packages_names_them_and_the_pip_line(monkeypatch):
    monkeypatch.setattr(EntryPoint, "load", lambda _self: Lacking())
    with_entry_point(monkeypatch, "sagemaker", "somewhere:ADAPTER")
    with pytest.raises(MissingDependency, match="boto3, sagemaker") as error:
        targets.load(profile("sagemaker"))
    assert error.value.remedy == 'pip install "isthmus[sagemaker]"'


def test_a_port_that_an_adapter_lacks_is_unsupported_on_touch(monkeypatch):
    class Bare(Lacking):
        def missing(self):
            return ()

    monkeypatch.setattr(EntryPoint, "load", lambda _self: Bare())
    with_entry_point(monkeypatch, "bare", "somewhere:ADAPTER")
    target = targets.load(profile("bare"))
    with pytest.raises(Unsupported, match="no warehouse") as error:
        _ = target.warehouse
    assert error.value.capability == "warehouse"


def test_a_target_keeps_its_profiles_name_and_the_callers_log():
    log = CallLog()
    target = targets.load(profile(), calls=log)
    assert (target.name, target.adapter, target.calls) == ("laptop", "local", log)


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
        ("target.name", ["sqlite3", "duckdb", "pyarrow", "starlette", "numpy", "isthmus.adapters.local.warehouse"]),
        ("target.state.get('k')", ["duckdb", "pyarrow", "starlette", "numpy", "isthmus.adapters.local.warehouse"]),
        ("list(target.inventory.list('conf'))", ["duckdb", "pyarrow", "starlette", "numpy"]),
        ("target.blobs.put(target.blobs.root + '/runs/x', b'')", ["duckdb", "pyarrow", "starlette", "numpy"]),
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
