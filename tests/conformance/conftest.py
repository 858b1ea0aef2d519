"""The harness.

`python -m isthmus.tests.conformance ADAPTER [--port PORT]` judges any installed adapter.

A test takes `target`, its file names the port that it judges and those that it also needs
(`ports`), and `@needs("row")` names its row of the parity table. Native or emulated: it must pass.
Refused: the harness expects Unsupported naming that row, and no mutating call of the test's own in
the log. There is no skip; test_capabilities.py fails for a row without a test and for a test
without a row. A port that an adapter lacks is one refusal in test_ports.py, and the tests that need
it are not collected.
"""

from __future__ import annotations

import os
from datetime import timedelta
from functools import cache

import pytest

from isthmus.adapters import targets
from isthmus.core.plugins import installed
from isthmus.errors import OutcomeUnknown, Throttled, Unavailable, Unsupported
from isthmus.target import missing
from isthmus.tests.conformance.data.clicks import SPEC
from isthmus.tests.conformance.places import fresh, named
from isthmus.tests.conformance.rows import PORTS


def pytest_addoption(parser):
    parser.addoption("--port", choices=PORTS, help="only the tests of this port")


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(row): the capability that this test asserts")
    config.addinivalue_line(
        "markers",
        "ports(judged, *needed): the port that this file judges, and those without which it cannot",
    )
    config.addinivalue_line("markers", "slow: starts real processes or whole demos")


def pytest_generate_tests(metafunc):
    if "adapter" in metafunc.fixturenames:
        metafunc.parametrize("adapter", _adapters())


def pytest_collection_modifyitems(config, items):
    """Leave out what needs a port that the adapter lacks, and with `--port` what judges another
    one.
    """
    chosen = config.getoption("port", None)  # absent in a run of more than this suite
    wanted = [item for item in items if _wanted(item, chosen)]
    if left_out := [item for item in items if not _wanted(item, chosen)]:
        config.hook.pytest_deselected(items=left_out)
    items[:] = wanted


def _wanted(item, chosen):
    params = item.callspec.params if hasattr(item, "callspec") else {}
    mark = item.get_closest_marker("ports")
    if mark is None or "adapter" not in params:
        return chosen is None or params.get("port") == chosen
    return mark.args[0] == (chosen or mark.args[0]) and set(mark.args) <= set(
        installed.adapter(params["adapter"]).ports
    )


@cache
def _adapters():
    """ISTHMUS_CONFORMANCE, or every adapter that has a place and whose packages, and those of what
    stands for its cloud, are here.
    """
    if names := os.environ.get("ISTHMUS_CONFORMANCE"):
        return names.split(",")
    return [adapter.name for adapter in installed.adapters(_here) if adapter.name in named()]


def _here(adapter):
    return not missing(adapter.needs) and not (adapter.offline and missing(adapter.offline.needs))


@pytest.fixture(autouse=True)
def _unhurried(request, monkeypatch):
    """SageMaker's host sends nothing 5 s after its look, as a lease may be over by then; a stack on
    a busy machine may take longer.
    """
    if (
        hasattr(request.node, "callspec")
        and request.node.callspec.params.get("adapter") == "sagemaker"
    ):
        monkeypatch.setattr(
            "isthmus.adapters.sagemaker.endpoints.host._FRESH", timedelta(minutes=2)
        )


@pytest.fixture
def profile(adapter, tmp_path):
    """A fresh place for one test."""
    return fresh(adapter, tmp_path / ".isthmus")


@pytest.fixture
def target(profile):
    opened = targets.load(profile)
    yield opened
    opened.close()


@pytest.fixture
def warehouse(target):
    """With an empty table `clicks_raw`."""
    target.warehouse.apply(SPEC)
    return target.warehouse


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A refused capability turns the test into its refusal."""
    mark = pyfuncitem.get_closest_marker("needs")
    target = pyfuncitem.funcargs.get("target")
    if mark is None or target is None:
        return (yield)
    row = target.capabilities[mark.args[0]]
    if row.level != "refused":
        return (yield)
    already = len(target.calls.calls)  # what the fixtures made is not the refused call's
    with pytest.raises(Unsupported) as refusal:
        yield
    assert refusal.value.capability == row.name
    assert not [call for call in target.calls.calls[already:] if call.mutating]
    return True


class Cut:
    """Ways in which a mutating call can go wrong on the way: each raises once, then the road is
    clear.
    """

    def __init__(self, target):
        self.log = target.calls

    def once(self, kind):
        error = {
            "before": Unavailable("cut before"),
            "after": OutcomeUnknown("cut after"),
            "throttled": Throttled("slow down"),
        }[kind]
        place = "after" if kind == "after" else "before"

        def raise_once(_call):
            setattr(self.log, place, None)
            raise error

        setattr(self.log, place, raise_once)
        return type(error)


@pytest.fixture(params=["before", "after", "throttled"])
def cut(request, target):
    """`with cut: ...` expects the first mutating call in the block to be cut; then repeat the verb
    and assert the end state.
    """
    cutter = Cut(target)

    class Context:
        kind = request.param

        def __enter__(self):
            self.expected = cutter.once(request.param)

        def __exit__(self, kind, error, _traceback):
            assert kind is self.expected, f"expected {self.expected.__name__}, got {error!r}"
            return True

    return Context()
