"""The harness. `ISTHMUS_CONFORMANCE=local pytest --pyargs isthmus.tests.conformance` judges any installed adapter.

A test takes `target` and names its row of the parity table with `@needs("row")`. Native or emulated: it must pass. Refused: the harness
expects Unsupported naming that row, and no mutating call of the test's own in the log. There is no skip; test_capabilities.py fails for a
row without a test and for a test without a row.
"""

from __future__ import annotations

import os
from importlib.util import find_spec

import pytest

from isthmus.adapters import targets
from isthmus.errors import OutcomeUnknown, Throttled, Unavailable, Unsupported
from isthmus.tests.conformance.places import fresh


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(row): the capability that this test asserts")
    config.addinivalue_line("markers", "slow: starts real processes or whole demos")


def pytest_generate_tests(metafunc):
    if "adapter" in metafunc.fixturenames:
        metafunc.parametrize("adapter", os.environ.get("ISTHMUS_CONFORMANCE", ",".join(_installed())).split(","))


def _installed():
    """The laptop, and every cloud whose adapter and offline stack are there."""
    stack = all(find_spec(name) for name in ("boto3", "awswrangler", "moto"))
    return ["local", *(["sagemaker"] if stack else [])]


@pytest.fixture
def profile(adapter, tmp_path):
    """A fresh place for one test."""
    return fresh(adapter, tmp_path / ".isthmus")


@pytest.fixture
def target(profile):
    opened = targets.load(profile)
    yield opened
    opened.close()


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
    """Ways in which a mutating call can go wrong on the way: each raises once, then the road is clear."""

    def __init__(self, target):
        self.log = target.calls

    def once(self, kind):
        error = {"before": Unavailable("cut before"), "after": OutcomeUnknown("cut after"), "throttled": Throttled("slow down")}[kind]
        place = "after" if kind == "after" else "before"

        def raise_once(_call):
            setattr(self.log, place, None)
            raise error

        setattr(self.log, place, raise_once)
        return type(error)


@pytest.fixture(params=["before", "after", "throttled"])
def cut(request, target):
    """`with cut: ...` expects the first mutating call in the block to be cut; then repeat the verb and assert the end state."""
    cutter = Cut(target)

    class Context:
        kind = request.param

        def __enter__(self):
            self.expected = cutter.once(request.param)

        def __exit__(self, kind, error, _traceback):
            assert kind is self.expected, f"expected {self.expected.__name__}, got {error!r}"
            return True

    return Context()
