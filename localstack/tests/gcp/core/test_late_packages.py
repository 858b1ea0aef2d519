"""Packages whose `__init__` waits until somebody asks for what it makes."""

import importlib
import sys
import threading
import types

import pytest

from isthmus_stack.gcp.core.rpc import late_packages

FILES = {
    "__init__.py": "from .services.shop import Client\nRUNS = 1\n__all__ = ['Client', 'RUNS']\n__version__ "
    "= '2'\n",
    "version.py": "NUMBER = 7\n",
    "types.py": "from late_toy import version\nNUMBER = version.NUMBER\n",
    "services/__init__.py": "",
    "services/shop/__init__.py": "from .client import Client\n",
    "services/shop/client.py": "from late_toy import version\nfrom .transports import Wire\nclass Client:\n    wire = "
    "Wire\n",
    "services/shop/transports/__init__.py": "from .wire import Wire\n",
    "services/shop/transports/wire.py": "from late_toy import types\nclass Wire:\n    pass\n",
}


@pytest.fixture
def toy(tmp_path, monkeypatch):
    for name, text in FILES.items():
        path = tmp_path / "late_toy" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    monkeypatch.syspath_prepend(tmp_path)
    before = list(sys.meta_path)
    late_packages.install(["late_toy"])
    yield
    sys.meta_path[:] = before
    for name in [name for name in sys.modules if name.partition(".")[0] == "late_toy"]:
        del sys.modules[name]


@pytest.mark.usefixtures("toy")
def test_messages_and_transports_are_imported_without_the_clients():
    wire = importlib.import_module("late_toy.services.shop.transports.wire")
    assert (wire.Wire.__name__, sys.modules["late_toy.types"].NUMBER) == ("Wire", 7)
    assert "late_toy.services.shop.client" not in sys.modules
    assert "RUNS" not in vars(sys.modules["late_toy"])


@pytest.mark.usefixtures("toy")
def test_a_client_is_there_for_whoever_asks():
    importlib.import_module("late_toy.types")
    package = importlib.import_module("late_toy")
    assert package.Client.wire is sys.modules["late_toy.services.shop.transports.wire"].Wire
    assert (package.RUNS, package.__version__, package.__all__) == (1, "2", ["Client", "RUNS"])


@pytest.mark.usefixtures("toy")
def test_what_is_nowhere_in_the_package_is_an_attribute_error():
    package = importlib.import_module("late_toy")
    with pytest.raises(AttributeError, match="late_toy"):
        package.Nobody  # noqa: B018  the look itself
    assert not hasattr(package, "__wrapped__")
    with pytest.raises(ImportError, match="Nobody"):
        exec("from late_toy import Nobody")


@pytest.mark.usefixtures("toy")
def test_who_imports_a_module_below_while_another_asks_for_a_client_waits_for_nobody(tmp_path):
    """One thread runs the `__init__`, the other holds the lock of a module that it needs and asks
    the package for another module.
    """
    (tmp_path / "late_toy" / "__init__.py").write_text(
        "import late_meeting\nlate_meeting.begun.set()\n" + FILES["__init__.py"]
    )
    (tmp_path / "late_toy" / "services" / "shop" / "client.py").write_text(
        "import late_meeting\nlate_meeting.met()\nfrom late_toy import version\nclass "
        "Client:\n    pass\n"
    )
    meeting = types.ModuleType("late_meeting")
    inside, meeting.begun = threading.Event(), threading.Event()
    meeting.met = lambda: (inside.set(), meeting.begun.wait(120))
    sys.modules["late_meeting"] = meeting
    try:
        package = importlib.import_module("late_toy")
        below = threading.Thread(
            target=importlib.import_module, args=("late_toy.services.shop.client",)
        )
        below.start()
        assert inside.wait(120)
        above = threading.Thread(target=lambda: package.Client)
        above.start()
        below.join(120)
        above.join(120)
        assert not below.is_alive()
        assert not above.is_alive()
    finally:
        del sys.modules["late_meeting"]
