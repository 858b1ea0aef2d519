"""The conformance suite's stack, with its faults, for the tests of one adapter."""

from datetime import timedelta

import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.endpoints import host
from isthmus.tests.conformance import places
from isthmus.tests.conformance.places import aws_stack, fresh
from isthmus_stack.client import Stack


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch):
    """A call that is tried again is tried at once: how long the SDK waits before that is its
    affair.
    """
    monkeypatch.setattr("botocore.retries.standard.ExponentialBackoff.delay_amount", lambda *_: 0.0)


@pytest.fixture(autouse=True)
def _unhurried(monkeypatch):
    """A look at an endpoint may take long where the machine is busy."""
    monkeypatch.setattr(host, "_FRESH", timedelta(minutes=2))


@pytest.fixture
def profile(tmp_path):
    return fresh("sagemaker", tmp_path / "home")


@pytest.fixture
def target(profile):
    opened = targets.load(profile)
    yield opened
    opened.close()


@pytest.fixture
def stack(profile):  # the profile has reset it
    return Stack(aws_stack().url)


@pytest.fixture(scope="session")
def still_stack():
    """A stack whose clock stands still: an update goes on until it is moved."""
    return places.stack("aws", "manual")
