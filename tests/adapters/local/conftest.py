import pytest

from isthmus.adapters import targets
from isthmus.target import Profile


@pytest.fixture
def home(tmp_path):
    return tmp_path / ".isthmus"


@pytest.fixture
def local(home):
    """The local target with a fresh home."""
    opened = targets.load(Profile(name="local", adapter="local", project="conf", options={"home": str(home)}))
    yield opened
    opened.close()
