"""The runner on streams with a script: whatever is cut, the world ends as the events say."""

import os
from datetime import timedelta

import pytest

from isthmus.core import lease
from isthmus.errors import Busy, Conflict, OutcomeUnknown, Throttled, Unavailable
from isthmus.events.consume import retries
from isthmus.events.consume.checkpoint import read_checkpoint, read_state
from isthmus.tests.events.consume.counting import Counting, expected
from isthmus.tests.events.consume.scripted import Call, Killed, Process, Script

SEEDS = range(int(os.environ.get("ISTHMUS_EVERY_STREAM", "3")))
LEASE = lease.LENGTH + timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _no_pause_between_writes(monkeypatch):
    monkeypatch.setattr(retries, "pause", lambda _seconds: None)


def consumer():
    return Counting(events=("click", "buy"))


def settings(seed):
    return {"own_place": seed % 2 == 0, "delay": timedelta(seconds=20 * (seed % 3))}


def whole(seed):
    """A script, and the number of calls of a process that nothing disturbs."""
    script, call = Script(consumer(), seed, **settings(seed)), Call()
    Process(script, call).work()
    check(script)
    return script, call.count


def check(script, *, late=0):
    assert script.values() == expected(script.events)
    document = stored(script)
    assert document.figures["late"] == late
    assert document.events == len(script.events)
    assert not document.lease.holder
    assert len(script.blobs) == 1, "old states are removed"


def stored(script):
    return read_checkpoint(Process(script, Call()).state, script.consumer.name).document


@pytest.mark.parametrize("seed", range(20))
def test_doubled_and_disordered_events_of_several_streams_count_once(seed):
    script, _ = whole(seed)
    doubled = sum(map(len, script.arrivals.values())) - len(script.events)
    assert doubled > 0


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("seed", SEEDS)
def test_cut_at_every_call_it_ends_as_a_run_without_a_cut(seed, after):
    _, calls = whole(seed)
    for cut in range(1, calls + 1):
        script = Script(consumer(), seed, **settings(seed))
        with pytest.raises(Killed):
            Process(script, Call(cut, after=after)).work()
        script.now += LEASE
        Process(script, Call()).work()
        assert script.values() == expected(script.events), f"cut at {cut}"
        assert stored(script).events == len(script.events), f"cut at {cut}"
        assert stored(script).figures["late"] == 0, f"cut at {cut}"


@pytest.mark.parametrize(
    ("error", "after"), [(Throttled, False), (Unavailable, False), (OutcomeUnknown, True)]
)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_provider_that_refuses_for_a_moment_at_any_call_stops_no_worker(seed, error, after):
    _, calls = whole(seed)
    for cut in range(1, calls + 1):
        script = Script(consumer(), seed, **settings(seed))

        def refuse():
            raise error("ask again later")

        Process(script, Call(cut, after=after, hook=refuse, times=3)).work()
        assert script.values() == expected(script.events), f"refused at {cut}"
        assert stored(script).events == len(script.events), f"refused at {cut}"
        assert stored(script).figures["late"] == 0, f"refused at {cut}"


def test_a_provider_that_refuses_for_longer_than_a_minute_ends_the_worker(monkeypatch):
    script = Script(consumer(), 1)
    monkeypatch.setattr(
        retries,
        "pause",
        lambda seconds: setattr(script, "now", script.now + timedelta(seconds=seconds)),
    )
    began = script.now

    def refuse():
        raise Throttled("ask again later")

    with pytest.raises(Throttled):
        Process(script, Call(30, hook=refuse, times=1000)).work()
    assert script.now - began > timedelta(seconds=60)
    script.now += LEASE
    Process(script, Call()).work()
    check(script)


@pytest.mark.parametrize("seed", SEEDS)
def test_cut_again_and_again_it_still_ends(seed):
    script = Script(consumer(), seed, **settings(seed))
    for cut in range(12, 80, 4):
        with pytest.raises(Killed):
            Process(script, Call(cut)).work(until=script.end + timedelta(days=1))
        script.now += LEASE
    script.end = max(script.end, script.now + timedelta(minutes=2))
    Process(script, Call()).work()
    assert script.values() == expected(script.events)
    assert stored(script).events == len(script.events)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_workers_one_that_is_paused_anywhere_takes_nothing_back(seed, after):
    _, calls = whole(seed)
    lost = 0
    for pause in range(1, calls + 1):
        script = Script(consumer(), seed, **settings(seed))

        def meanwhile(script=script):
            script.now += LEASE
            middle = script.now + timedelta(minutes=2)
            Process(script, Call()).work(until=middle)

        try:
            Process(script, Call(pause, after=after, hook=meanwhile)).work()
        except (Conflict, Busy):  # Busy: it had not taken the lease yet
            lost += 1
            Process(script, Call()).work()
        assert script.values() == expected(script.events), f"paused at {pause}"
        # one that slept as it was about to place the reader makes an old event come again, late
        document = stored(script)
        assert document.events - document.figures["late"] == len(script.events), pause
    assert lost > calls / 2, "who slept through its lease goes on no more"


def test_a_paused_worker_whose_lease_still_holds_keeps_others_out():
    script = Script(consumer(), 1)
    refused = []

    def meanwhile():
        script.now += timedelta(seconds=5)
        with pytest.raises(Busy) as error:
            Process(script, Call()).work()
        refused.append(str(error.value))

    Process(script, Call(30, hook=meanwhile)).work()
    assert "counts is being read by" in refused[0]
    assert "two workers would both count" in refused[0]
    check(script)


def test_an_event_that_is_too_late_is_counted_and_changes_nothing_else():
    script = Script(consumer(), 3)
    stray = {"event_id": "stray", "event_timestamp": script.now, "item_id": 1}
    arrivals = script.arrivals["click_raw"]
    arrivals += [(script.now + timedelta(minutes=4), stray)] * 2
    arrivals.sort(key=lambda arrival: arrival[0])
    Process(script, Call()).work()
    assert script.values() == expected(script.events)
    assert stored(script).figures["late"] == 1


def test_a_stream_that_stalls_closes_no_window():
    script = Script(consumer(), 4)
    process = Process(script, Call())
    stalled, read = "buy_raw", process.event_source.read

    def reading(stream, name, **arguments):
        batch = read(stream, name, **arguments)
        if stream == stalled:
            return type(batch)(events=(), receipt=arguments["after"], behind=timedelta(seconds=9))
        return batch

    process.event_source.read = reading
    process.work()
    closed = [key for key in script.values() if key.count("/") == 2 and "/click/" in key]
    known = Process(script, Call())
    progress = read_state(known.blobs, "counts", stored(script)).progress
    least = progress.watermark.timestamp() * 1000
    assert all(int(key.partition("/")[0]) + 60_000 <= least for key in closed)
    assert progress.newest["click_raw"] > progress.newest[stalled]
    assert progress.watermark == progress.newest[stalled] - script.consumer.lateness


def test_another_definition_throws_the_state_away():
    script, _ = whole(0)
    changed = consumer()
    changed.digest, changed.name = "2", "counts"
    script.served.clear()
    script.end = script.now + timedelta(minutes=2)
    Process(script, Call()).work(changed)
    assert stored(script).definition == "2"
    assert script.values() == expected(script.events), "counted again, from the warehouse"


def test_the_recent_ids_are_bounded_by_lateness_and_two_checkpoints():
    few, many = Script(consumer(), 5, count=100), Script(consumer(), 5, count=1000, minutes=60)
    sizes = []
    for script in (few, many):
        Process(script, Call()).work()
        check(script)
        state = read_state(Process(script, Call()).blobs, "counts", stored(script))
        sizes.append(sum(len(ids.ids) for ids in state.recent.values()))
    assert sizes == [0, 0], "minutes after the last event none is kept"
    middle = Script(consumer(), 5, count=1000, minutes=60)
    Process(middle, Call()).work(until=middle.end - timedelta(minutes=20))
    state = read_state(Process(middle, Call()).blobs, "counts", stored(middle))
    kept = sum(len(ids.ids) for ids in state.recent.values())
    assert 0 < kept < 150, "of about 16 events a minute: not those of an hour"
