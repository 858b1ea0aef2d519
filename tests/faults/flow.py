"""A flow of commands that is disturbed, and what must be the same afterwards as without."""

import hashlib
import os
import random
import signal
import subprocess
import time

import pyarrow as pa
import pytest

import isthmus as im
from isthmus.errors import IsthmusError, NotFound
from isthmus.feature_store.offline.training_set import training_set
from isthmus.pipelines.training.training import window
from isthmus.tests.cli.running import CHILD, start

FLOW = (["apply"], ["ingest"], ["materialize"], ["train", "models/history.yaml"])
TRIES = 12  # of a verb that is disturbed
RELATIONS = (
    "impression_raw",
    "click_raw",
    "events_impression",
    "events_click",
    "ctr",
    "item_history",
)

# Sends itself a signal at its nth effect (1, 2, ...), before it or after it.
_AT_EFFECT = """
import os, sys
number, side, wanted = int(sys.argv.pop(1)), sys.argv.pop(1), int(sys.argv.pop(1))
from isthmus.target import CallLog
seen = [0]
def count(call):
    seen[0] += 1
    if seen[0] == wanted:
        os.kill(os.getpid(), number)
made = CallLog.__init__
def init(self, **settings):
    made(self, **settings)
    setattr(self, side, count)
CallLog.__init__ = init
"""


def insisted(opened, verb):
    """Run a verb until it is done, each time as a command of its own would; the errors on the way,
    each of them a clear one.
    """
    errors = []
    for _ in range(TRIES):
        with opened() as project:
            try:
                return verb(project), errors
            except IsthmusError as error:  # anything else fails the test
                errors.append(error)
    pytest.fail(
        f"not done after {TRIES} runs: {[f'{type(error).__name__}: {error}' for error in errors]}"
    )


def completed(folder, *command):
    """Run a command to its end."""
    child = start(folder, *command)
    out, err = child.communicate(timeout=120)
    assert child.returncode == 0, f"isthmus {' '.join(command)} -> {child.returncode}\n{out}{err}"
    return out


def signalled_at_effect(folder, *command, number, side, effect):
    """Run a command that gets a signal at an effect; whether it got so far."""
    child = start(folder, number.value, side, effect, *command, code=_AT_EFFECT + CHILD)
    _, err = child.communicate(timeout=120)
    assert child.returncode in _ends(number) or child.returncode == 0, err
    return child.returncode != 0


def signalled_after(folder, *command, number, seconds):
    """Run a command that gets a signal after a time, wherever it is then; whether it was still
    running.
    """
    child = start(folder, *command)
    try:
        child.wait(timeout=seconds)
    except subprocess.TimeoutExpired:
        os.kill(child.pid, number)
    _, err = child.communicate(timeout=120)
    early = (
        number is signal.SIGINT
        and child.returncode == 1
        and "KeyboardInterrupt" in err
        and "cli/main.py" not in err
    )
    assert early or child.returncode in _ends(number) or child.returncode == 0, (
        err
    )  # early: Python had not begun with a program yet
    return child.returncode != 0


def _ends(number):
    """Exit codes: 130 is ours; -2 is Python's own, when the interrupt came before we had begun."""
    return {signal.SIGKILL: {-9}, signal.SIGINT: {130, -2}}[number]


def settle(folder, *, within=300):
    """Wait for the runs that were left behind: they go on without the command that began them.

    Those that were never started.
    """
    from isthmus.pipelines.runs.watch import has_ended, observe

    deadline, not_started = time.monotonic() + within, []
    with im.open(folder / "project.yaml") as project:
        for path in sorted((folder / ".isthmus/runs").glob("*/run.json")):
            try:
                while not has_ended(observe(project, path.parent.name)):
                    assert time.monotonic() < deadline, f"run {path.parent.name} does not end"
                    time.sleep(0.05)
            except NotFound:
                not_started.append(path.parent.name)
    return not_started


def world(folder):
    """Digests of everything that a reader can see, on canonical rows."""
    with im.open(folder / "project.yaml") as project:
        model = project.spec.models["history"]
        start_, end = window(project, model)
        found = {
            name: project.target.warehouse.query(f"SELECT * FROM {name}", {}) for name in RELATIONS
        }
        found["training set"] = training_set(
            project, model.objective, model.features, start=start_, end=end
        )
        keys = [str(key) for key in range(12)]
        found["online"] = project.target.online.get({"item_history": keys})["item_history"]
        versions = [
            (v.version, v.digest, sorted(v.aliases))
            for v in project.target.registry.versions("ranker")
        ]
    return {name: digest(table) for name, table in found.items()} | {"versions": versions}


def digest(table):
    """Rows and a hash of a table, without the wall clock's time at which a row was stored: no two
    worlds have the same.
    """
    rows = table.to_pylist() if isinstance(table, pa.Table) else table
    shown = sorted(
        repr(row and sorted(item for item in row.items() if item[0] != "stored_timestamp"))
        for row in rows
    )
    return len(shown), hashlib.sha256("\n".join(shown).encode()).hexdigest()[:16]


def disturbed(folder, *, number, seed, tries):
    """The flow, each command hit `tries` times at random places before it may end."""
    chance = random.Random(seed)
    hits = 0
    for command in FLOW:
        for _ in range(1 if command[0] == "train" else tries):
            if chance.random() < 0.6:
                place = {
                    "side": chance.choice(["before", "after"]),
                    "effect": chance.randint(1, 12),
                }
                hits += signalled_at_effect(folder, *command, number=number, **place)
            else:
                hits += signalled_after(
                    folder, *command, number=number, seconds=chance.uniform(0.1, 1.2)
                )
        completed(folder, *command)
    settle(folder)
    return hits
