"""What holds for the whole suite: which tests are collected, how long one may take, and the seconds by folder at the end.

Without a cloud's packages its adapter's and its stack's tests are not collected: the laptop needs none (nox session `laptop`).
"""

import atexit
import gc
import os
import shutil
import sys
from collections import Counter, defaultdict
from datetime import timedelta
from importlib.util import find_spec
from itertools import zip_longest
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings

from isthmus.adapters.common import price_list
from isthmus.cli import console
from isthmus.endpoints.gateway import live_reader
from isthmus.tests.cli import running
from isthmus.tests.pipelines import forked as forked_steps
from isthmus_stack.testing import forked as forked_stacks
from isthmus_stack.testing import workers

# Hundreds of short processes are started here. Each would compile pandas, moto and the rest anew where the environment keeps Python from
# writing bytecode, and leave it among users' files where it does not. So would every worker, for all that its tests import.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", str(Path(__file__).parent.parent / ".cache" / "bytecode"))
sys.dont_write_bytecode = False
# The threads of a fit wait for each other by spinning: half of its CPU and more, and every core has its worker already.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# A user who knows no project yet, and not the one whose tests these are: for this process, its workers and all that they start.
if "ISTHMUS_TESTS_STATE" not in os.environ:
    os.environ["ISTHMUS_TESTS_STATE"] = mkdtemp(prefix="isthmus-state-")
    atexit.register(shutil.rmtree, os.environ["ISTHMUS_TESTS_STATE"], ignore_errors=True)
os.environ["XDG_STATE_HOME"] = os.environ["ISTHMUS_TESTS_STATE"]

# Seconds for one slow test that sets no limit of its own: generous, as none may fail because the machine is busy.
SLOW_LIMIT = 900
# An example, or the making of it, may take long because the machine is busy. A change is judged by the same examples each time; others are
# looked for by `make test-often`, which tells the seed that repeats what it finds.
settings.register_profile("often", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("isthmus", settings.get_profile("often"), derandomize=True)
settings.load_profile("isthmus")
console.QUIET = SLOW_LIMIT  # nor is a command on a busy machine to tell that it goes on: tests compare what it says
gc.disable()  # what is imported and collected stays: see pytest_collection_finish
forked_stacks.install()
forked_steps.install()

collect_ignore = []
collect_ignore_glob = []
if not (find_spec("boto3") and find_spec("awswrangler") and find_spec("moto")):
    collect_ignore += ["localstack", "adapters/sagemaker", "lifecycle/test_offline.py"]
    collect_ignore_glob += ["*/test_sagemaker*", "*/test_shift_sagemaker*"]
if not (find_spec("grpc") and find_spec("cryptography") and find_spec("google")):
    collect_ignore += ["localstack/gcp", "adapters/vertex"]
    collect_ignore_glob += ["*/test_vertex*"]
if not find_spec("ir_measures"):
    collect_ignore += ["pipelines/test_ranking.py"]
if not (find_spec("mypy") and find_spec("pyright")):
    collect_ignore += ["test_types.py"]

# Seconds that a folder's tests take together in `make test`, waiting for a core included: four processes of 20 minutes are 4,800.
# Measured on 2026-11-26; what a folder cannot afford goes to benchmarks/ or to `make test-often`.
BUDGETS = {
    "(root)": 170,
    "adapters": 680,
    "cli": 180,
    "conformance": 470,
    "deploy": 40,
    "documents": 10,
    "endpoints": 130,
    "events": 290,
    "experiments": 220,
    "faults": 670,
    "feature_store": 220,
    "lifecycle": 550,
    "localstack": 860,
    "pipelines": 320,
    "project": 50,
    "rollouts": 330,
    "stored": 30,
    "ui": 60,
}
seconds: Counter[str] = Counter()


@pytest.fixture(autouse=True, scope="session")
def price_folder(tmp_path_factory):
    """A user who asked no price list: whose tests these are may have. The value is the real function, for tests of it."""
    with pytest.MonkeyPatch.context() as patch:
        real, nowhere = price_list.folder, tmp_path_factory.mktemp("prices")
        patch.setattr(price_list, "folder", lambda: nowhere)
        yield real


@pytest.fixture(autouse=True, scope="session")
def first_copy():
    """A machine that stands still for a second is no store that hangs: a gateway's first requests wait for their copy of what runs."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(live_reader, "FIRST", timedelta(minutes=2))
        yield


def pytest_configure(config):
    if not hasattr(config, "workerinput") and config.getoption("numprocesses", None):  # before the workers start
        running.shared()
        workers.install()


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items[:] = mixed(items)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


def mixed(items):
    """Long modules and quick ones by turns, while there are long ones: these wait half of the time, and the others use the cores meanwhile.

    Quick ones are left to the end, so that the workers end together (`--no-loadscope-reorder`).
    """
    modules = defaultdict(list)
    for item in items:
        modules[item.path].append(item)
    long, quick = [], []
    for tests in modules.values():
        (long if any(test.get_closest_marker("slow") for test in tests) else quick).append(tests)
    return [test for pair in zip_longest(long, quick, fillvalue=()) for tests in pair for test in tests]


def pytest_collection_finish():
    """What was imported and collected stays to the end. To walk through all of it again and again took a third of a test's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_runtest_logreport(report):
    folders = report.nodeid.partition("::")[0].split("/")[1:-1]
    seconds[folders[0] if folders else "(root)"] += report.duration


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("seconds of tests by folder, and the budget (an idle machine of two cores)")
    for folder, taken in sorted(seconds.items()):
        budget = BUDGETS.get(folder, 0)
        over = f"  over by {taken - budget:.0f}" if taken > budget else ""
        terminalreporter.write_line(f"{folder:14} {taken:6.0f} of {budget:4}{over}")
    terminalreporter.write_line(f"{'all':14} {seconds.total():6.0f} of {sum(BUDGETS.values()):4}")
