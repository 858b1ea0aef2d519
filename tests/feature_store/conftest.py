import pytest

from .shop import Clock, open_shop


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def shop(tmp_path, clock):
    with open_shop(tmp_path, clock=clock) as project:
        yield project
