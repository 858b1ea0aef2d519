"""The conformance suite's GCP stack, with its faults, for the tests of this adapter."""

import pytest

from isthmus.adapters import targets
from isthmus.tests.conformance.places import fresh
from isthmus_stack.client import Stack


@pytest.fixture
def profile(tmp_path):
    return fresh("vertex", tmp_path / "home")


@pytest.fixture
def target(profile):
    opened = targets.load(profile)
    yield opened
    opened.close()


@pytest.fixture
def stack(profile):  # the profile has reset it
    return Stack(profile.options["endpoint_url"], "gcp")
