import pytest

from isthmus.adapters import targets
from isthmus.target import Profile


@pytest.fixture
def home(tmp_path):
    return tmp_path / ".isthmus"


@pytest.fixture
def local(home):
    """The local target with a fresh home."""
    opened = targets.load(
        Profile(name="local", adapter="local", project="conf", options={"home": str(home)})
    )
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def shared_router():
    from .router_kit import Served

    served = Served()
    yield served
    served.end()


@pytest.fixture
def served(shared_router):
    shared_router.variant.asked.clear()
    shared_router.variant.hold, shared_router.variant.reply, shared_router.broken = (
        False,
        b"{}",
        False,
    )
    return shared_router
