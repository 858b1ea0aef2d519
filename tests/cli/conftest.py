import json
import shutil
from datetime import timedelta

import pytest

from isthmus.storage import wait
from isthmus.tests.cli.running import create, isthmus, made


@pytest.fixture(scope="session")
def _data(tmp_path_factory):
    return made(tmp_path_factory.mktemp("data") / "shop")


@pytest.fixture
def new(tmp_path):
    """The starter as `init` makes it."""
    return create(tmp_path / "shop")


@pytest.fixture
def shop(tmp_path, _data):
    """The starter with events and views, for a test to change."""
    return shutil.copytree(_data, tmp_path / "shop")


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    """The starter, trained and deployed; shared by a module's tests, which leave it as it is."""
    folder = made(tmp_path_factory.mktemp("served") / "shop", train=True)
    isthmus(folder, "deploy", "home")
    about = (
        folder / ".isthmus/endpoints/home/supervisor.json"
    )  # a thread of the supervisor writes it when the server was started
    wait(
        lambda: json.loads(about.read_bytes()).get("servers"),
        bool,
        deadline=timedelta(minutes=2),
        what="supervisor.json",
    )
    yield folder
    isthmus(folder, "destroy", "--yes")
