"""`make test-starved`: whose time it takes, and that it gives it back."""

import os
import subprocess

import pytest

from . import starved

pytestmark = [
    pytest.mark.skipif(
        not starved.may_starve(), reason="who runs this may take SCHED_IDLE from nobody again"
    ),
    pytest.mark.skipif(starved.MARK in os.environ, reason="another one is at work"),
]
ASLEEP = ["sleep", "600"]


@pytest.fixture
def processes():
    """One that is to be starved, and one that is not."""
    marked = subprocess.Popen(ASLEEP, env={**os.environ, starved.MARK: "1"})
    other = subprocess.Popen(ASLEEP)
    yield marked.pid, other.pid
    for process in (marked, other):
        process.kill()
        process.wait()


def policies(processes):
    return [os.sched_getscheduler(pid) for pid in processes]


def test_who_is_marked_is_starved_for_a_while_and_nobody_else(processes):
    starver = starved.Starver()
    starver.look(0.0, share=1 - 1e-9)
    assert policies(processes) == [os.SCHED_IDLE, os.SCHED_OTHER]
    starver.look(0.0, share=0)
    assert policies(processes) == [os.SCHED_IDLE, os.SCHED_OTHER]
    starver.look(starved.LONGEST, share=0)
    assert policies(processes) == [os.SCHED_OTHER, os.SCHED_OTHER]


def test_who_a_starved_process_starts_is_let_go_too(processes):
    marked, _ = processes
    os.sched_setscheduler(marked, os.SCHED_IDLE, os.sched_param(0))  # as it was born
    starved.Starver().look(0.0, share=0)
    assert os.sched_getscheduler(marked) == os.SCHED_OTHER


def test_times_are_short_now_and_then_long_and_never_longer_than_the_longest():
    seconds = [starved._seconds() for _ in range(1000)]
    assert 0 < min(seconds) < starved.SHORT < max(seconds) <= starved.LONGEST
