"""What holds for the tests of Isthmus: which are collected, what they may spend.

What holds for both suites: isthmus_stack.testing.suite.

Without a cloud's packages its adapter's tests are not collected: the laptop needs none (nox session
`laptop`).
"""

from datetime import timedelta
from importlib.util import find_spec

import pytest

from isthmus.adapters.common import price_list
from isthmus.cli.console import console
from isthmus.endpoints.gateway.decide import live_reader
from isthmus.tests.pipelines.runs import forked as forked_steps
from isthmus_stack.testing import suite

console.QUIET = (
    suite.SLOW_LIMIT
)  # nor is a command on a busy machine to tell that it goes on: tests compare what it says
forked_steps.install()

collect_ignore = []
collect_ignore_glob = []
if not (find_spec("boto3") and find_spec("awswrangler") and find_spec("moto")):
    collect_ignore += ["adapters/sagemaker", "cli/test_stack.py", "lifecycle/test_offline.py"]
    collect_ignore_glob += ["*/test_sagemaker*", "*/test_shift_sagemaker*"]
if not (find_spec("grpc") and find_spec("cryptography") and find_spec("google")):
    collect_ignore += ["adapters/vertex", "cli/test_stack_gcp.py"]
    collect_ignore_glob += ["*/test_vertex*"]
if not find_spec("ir_measures"):
    collect_ignore += ["pipelines/evaluation/test_ranking.py"]
if not (find_spec("mypy") and find_spec("pyright")):
    collect_ignore += ["test_types.py"]

suite.BUDGETS |= {
    "(root)": 260,
    "adapters": 680,
    "cli": 180,
    "conformance": 470,
    "core": 20,
    "deploy": 40,
    "docs": 110,
    "documents": 10,
    "endpoints": 130,
    "events": 290,
    "experiments": 220,
    "faults": 670,
    "feature_store": 220,
    "lifecycle": 550,
    "pipelines": 320,
    "project": 50,
    "rollouts": 330,
    "stored": 30,
    "ui": 60,
}


@pytest.fixture(autouse=True, scope="session")
def price_folder(tmp_path_factory):
    """A user who asked no price list: whose tests these are may have.

    The value is the real function, for tests of it.
    """
    with pytest.MonkeyPatch.context() as patch:
        real, nowhere = price_list.folder, tmp_path_factory.mktemp("prices")
        patch.setattr(price_list, "folder", lambda: nowhere)
        yield real


@pytest.fixture(autouse=True, scope="session")
def first_copy():
    """A machine that stands still for a second is no store that hangs: a gateway's first requests
    wait for their copy of what runs.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_reader, "FIRST", timedelta(minutes=2))
        yield
