"""The laptop's counters: what outlives a kill, and what goes when its time is over."""

import os
import signal
from datetime import timedelta

from isthmus.adapters import targets
from isthmus.tests.conformance.places import fresh


def test_what_was_counted_outlives_the_process_that_is_killed_right_after(tmp_path):
    target = targets.load(fresh("local", tmp_path / "home"))
    target.counters.apply("ranker")
    child = os.fork()
    if child == 0:
        for _ in range(3):
            target.counters.add("ranker", "u", {"a": 1}, until=target.clock() + timedelta(hours=1))
        os.kill(os.getpid(), signal.SIGKILL)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    assert target.counters.get("ranker", "u") == {"a": 3}
    target.close()


def test_units_whose_time_is_over_are_taken_off_the_disk_by_the_next_who_counts(tmp_path):
    profile = fresh("local", tmp_path / "home")
    target = targets.load(profile)
    target.counters.apply("ranker")
    now = target.clock()
    for unit, hours in (("soon", 1), ("late", 30)):
        target.counters.add("ranker", unit, {"a": 1}, until=now + timedelta(hours=hours))
    target.close()
    later = targets.load(profile)
    later.clock = lambda: now + timedelta(hours=2)
    later.counters.add("ranker", "new", {"a": 1}, until=now + timedelta(hours=30))
    assert [later.counters.get("ranker", unit) for unit in ("soon", "late", "new")] == [
        {},
        {"a": 1},
        {"a": 1},
    ]
    later.close()
