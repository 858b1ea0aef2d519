"""A plugin of both suites: how long a test may take, their order, the seconds by folder.

pyproject.toml loads it.
"""

import atexit
import gc
import os
import shutil
import signal
import sys
from collections import Counter, defaultdict
from itertools import zip_longest
from pathlib import Path
from tempfile import mkdtemp

import pytest
from hypothesis import HealthCheck, settings

import isthmus_stack
from isthmus_stack.testing import stack_templates
from isthmus_stack.testing.shared_folder import shared

STACK = Path(isthmus_stack.__file__).parent
# Hundreds of short processes are started here. Each would compile pandas, moto and the rest anew
# where the environment keeps Python from writing bytecode, and leave it among users' files where it
# does not. So would every worker, for all that its tests import.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.pycache_prefix = os.environ.setdefault(
    "PYTHONPYCACHEPREFIX", str(STACK.parent / ".cache" / "bytecode")
)
sys.dont_write_bytecode = False
# A background job of a script, and some CI runners, ignore SIGINT, and so would all that tests start
# and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The threads of a fit wait for each other by spinning: half of its CPU and more, and every core has
# its worker already.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}

# A user who knows no project yet, and not the one whose tests these are: for this process, its
# workers and all that they start.
if "ISTHMUS_TESTS_STATE" not in os.environ:
    os.environ["ISTHMUS_TESTS_STATE"] = mkdtemp(prefix="isthmus-state-")
    atexit.register(shutil.rmtree, os.environ["ISTHMUS_TESTS_STATE"], ignore_errors=True)
os.environ["XDG_STATE_HOME"] = os.environ["ISTHMUS_TESTS_STATE"]

# Seconds for one slow test that sets no limit of its own: generous, as none may fail because the
# machine is busy.
SLOW_LIMIT = 900
# An example, or the making of it, may take long because the machine is busy. A change is judged by
# the same examples each time; others are looked for by `make test-often`, which tells the seed that
# repeats what it finds.
settings.register_profile("often", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("isthmus", settings.get_profile("often"), derandomize=True)
settings.load_profile("isthmus")
gc.disable()  # what is imported and collected stays: see pytest_collection_finish
stack_templates.install()

# pytest names a test by its folder, and would import `localstack/__init__.py` by that name, a
# second time.
sys.modules["localstack"] = isthmus_stack

# Seconds that a folder's tests take together in `make test`, waiting for a core included: four
# processes of 20 minutes are 4,800. Measured on 2026-11-26; what a folder cannot afford goes to
# benchmarks/ or to `make test-often`.
BUDGETS = {"localstack": 860}
seconds: Counter[str] = Counter()


def pytest_configure(config):
    if not hasattr(config, "workerinput") and config.getoption(
        "numprocesses", None
    ):  # before the workers start
        shared()


def pytest_collect_directory(path, parent):
    """The stack's folder is no package of pytest's, which would import it by the folder's name."""
    return pytest.Dir.from_parent(parent, path=path) if path == STACK else None


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items[:] = mixed(items)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


def mixed(items):
    """Long modules and quick ones by turns, while there are long ones: these wait half of the time,
    and the others use the cores meanwhile.

    Quick ones are left to the end, so that the workers end together (`--no-loadscope-reorder`).
    """
    modules = defaultdict(list)
    for item in items:
        modules[item.path].append(item)
    long, quick = [], []
    for tests in modules.values():
        (long if any(test.get_closest_marker("slow") for test in tests) else quick).append(tests)
    return [
        test for pair in zip_longest(long, quick, fillvalue=()) for tests in pair for test in tests
    ]


def pytest_collection_finish():
    """Keep what was imported and collected to the end.

    To walk through all of it again and again took a third of a test's CPU.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_runtest_logreport(report):
    folders = report.nodeid.partition("::")[0].split("/")[:-1]
    seconds[folders[0] if folders[0] != "tests" else folders[1] if folders[1:] else "(root)"] += (
        report.duration
    )


def pytest_terminal_summary(terminalreporter):
    terminalreporter.section(
        "seconds of tests by folder, and the budget (an idle machine of two cores)"
    )
    for folder, taken in sorted(seconds.items()):
        budget = BUDGETS.get(folder, 0)
        over = f"  over by {taken - budget:.0f}" if taken > budget else ""
        terminalreporter.write_line(f"{folder:14} {taken:6.0f} of {budget:4}{over}")
    terminalreporter.write_line(f"{'all':14} {seconds.total():6.0f} of {sum(BUDGETS.values()):4}")
