"""A plugin of both suites (pyproject.toml): limits of tests, their order, the seconds by folder."""

import gc
import os
import signal
import sys
from collections import Counter, defaultdict
from itertools import chain, zip_longest
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

import isthmus_stack
from isthmus_stack.testing import stack_templates
from isthmus_stack.testing.shared_folder import shared

STACK = Path(isthmus_stack.__file__).parent
# Hundreds of short processes are started here: each would compile pandas, moto and the rest anew
# where the environment keeps Python from writing bytecode, else leave it among users' files.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
bytecode = str(STACK.parent / ".cache" / "bytecode")
sys.pycache_prefix = os.environ.setdefault("PYTHONPYCACHEPREFIX", bytecode)
sys.dont_write_bytecode = False
# A background job of a script ignores SIGINT, and so would all that tests start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
# The threads of a fit wait for each other by spinning, and every core has its worker already.
os.environ |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
# A user who knows no project yet: for this process, its workers and all that they start.
os.environ["XDG_STATE_HOME"] = str(shared() / "state")

SLOW_LIMIT = 900  # seconds of a slow test that sets none: generous, for a busy machine
# An example may take long on a busy machine. A change is judged by the same examples each time;
# others are looked for by `make test-often`, which tells the seed that repeats what it finds.
settings.register_profile("often", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("isthmus", settings.get_profile("often"), derandomize=True)
settings.load_profile("isthmus")
gc.disable()  # what is imported and collected stays: see pytest_collection_finish
stack_templates.install()

# pytest names a test by its folder, by which it would import the stack's package a second time.
sys.modules["localstack"] = isthmus_stack
# Seconds of a folder's tests in `make test`, waiting for a core included, measured on 2026-11-26:
# what a folder cannot afford goes to benchmarks/ or to `make test-often`.
BUDGETS = {"localstack": 860}
seconds: Counter[str] = Counter()


def pytest_collect_directory(path, parent):
    """Keep pytest from importing the stack's package by its folder's name."""
    return pytest.Dir.from_parent(parent, path=path) if path == STACK else None


def pytest_collection_modifyitems(config, items):
    if hasattr(config, "workerinput"):
        items[:] = mixed(items)
    for item in items:
        if item.get_closest_marker("slow") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(SLOW_LIMIT))


def mixed(items):
    """Return the tests with long modules, which wait half of their time, and quick ones by turns.

    Quick ones are left to the end, so that the workers end together (`--no-loadscope-reorder`).
    """
    modules = defaultdict(list)
    for item in items:
        modules[item.path].append(item)
    long, quick = [], []
    for tests in modules.values():
        slow = any(test.get_closest_marker("slow") for test in tests)
        (long if slow else quick).append(tests)
    by_turns = chain.from_iterable(zip_longest(long, quick, fillvalue=()))
    return list(chain.from_iterable(by_turns))


def pytest_collection_finish():
    """Keep what was imported to the end: walking through it again took a third of a test's CPU."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)
    gc.enable()


def pytest_runtest_logreport(report):
    """Add a test's seconds to those of its folder."""
    folders = report.nodeid.partition("::")[0].split("/")[:-1]
    folder = folders[0] if folders[0] != "tests" else folders[1] if folders[1:] else "(root)"
    seconds[folder] += report.duration


def pytest_terminal_summary(terminalreporter):
    """Show the seconds of tests by folder beside their budgets."""
    write = terminalreporter.write_line
    terminalreporter.section("seconds of tests by folder, and the budget (idle, two cores)")
    for folder, taken in sorted(seconds.items()):
        budget = BUDGETS.get(folder, 0)
        over = f"  over by {taken - budget:.0f}" if taken > budget else ""
        write(f"{folder:14} {taken:6.0f} of {budget:4}{over}")
    write(f"{'all':14} {seconds.total():6.0f} of {sum(BUDGETS.values()):4}")
