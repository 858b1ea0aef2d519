"""A data set's worker: whatever comes late, twice or is cut, its examples are the definition's."""

import os
from datetime import timedelta

import pytest

from isthmus.core import lease
from isthmus.errors import Busy, Conflict, Invalid
from isthmus.events.consume import retries
from isthmus.events.consume.checkpoint import read_checkpoint
from isthmus.events.port import Rejected
from isthmus.tests.events.consume.scripted import Call, Killed, Process

from .worlds import DWELL, RATE, appended, consumer, expected, script

SEEDS = range(int(os.environ.get("ISTHMUS_EVERY_STREAM", "1")))
LEASE = lease.LENGTH + timedelta(seconds=1)


@pytest.fixture(autouse=True)
def _no_pause_between_writes(monkeypatch):
    monkeypatch.setattr(retries, "pause", lambda _seconds: None)


def figures(world):
    return read_checkpoint(Process(world, Call()).state, "served").document.figures


@pytest.mark.parametrize("objective", [RATE, DWELL], ids=lambda objective: objective.name)
@pytest.mark.parametrize("seed", range(20))
def test_examples_are_the_definitions_in_a_world_of_disorder(seed, objective):
    world = script(seed, objective)
    Process(world, Call()).work()
    examples = expected(world.events, objective)
    assert appended(world) == examples
    known = figures(world)
    assert (known["examples"], known["waiting"], known["late"]) == (len(examples), 0, 0)
    exposures = {row["event_id"]: row for name, row in world.events if name == "exposures"}
    assert known["without a row"] == len(exposures) - len(examples)
    stays = [row for name, row in world.events if name == "stay"]
    strangers = [row for row in stays if row["exposure_id"] not in {None, *exposures}]
    assert known["unknown exposure"] >= len(strangers) > 0
    assert 0 < known["with an outcome"] < len(examples)


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("seed", SEEDS)
def test_cut_at_every_call_each_example_is_there_once(seed, after):
    whole, call = script(seed), Call()
    Process(whole, call).work()
    for cut in range(1, call.count + 1):
        world = script(seed)
        with pytest.raises(Killed):
            Process(world, Call(cut, after=after)).work()
        world.now += LEASE
        Process(world, Call()).work()
        assert appended(world) == expected(world.events), f"cut at {cut}"
        assert figures(world)["late"] == 0


@pytest.mark.parametrize("seed", SEEDS)
def test_of_two_workers_one_that_is_paused_anywhere_appends_nothing_else(seed):
    whole, call = script(seed), Call()
    Process(whole, call).work()
    for pause in range(1, call.count + 1, 3):
        world = script(seed)

        def meanwhile(world=world):
            world.now += LEASE
            Process(world, Call()).work(until=world.now + timedelta(minutes=2))

        try:
            Process(world, Call(pause, hook=meanwhile)).work()
        except (Conflict, Busy):
            Process(world, Call()).work()
        assert appended(world) == expected(world.events), f"paused at {pause}"


def test_a_positive_goes_out_at_once_and_a_negative_when_the_wait_is_over():
    counting = consumer()
    source, outcomes = counting.inputs
    (name, shown) = next(e for e in script(0).events if e[0] == "exposures" and e[1]["features"])
    begin = shown["event_timestamp"]
    assert name == source.event
    state = counting.apply(counting.empty(), source, [shown], watermark=begin)
    stay = {"event_id": "s", "event_timestamp": begin + timedelta(seconds=5)}
    stay |= {"exposure_id": shown["event_id"], "seconds": 1.0}
    other = counting.decode(counting.encode(state))
    state = counting.apply(state, outcomes, [stay], watermark=begin)
    (effect,) = counting.advance(state, watermark=begin, now=begin).effects
    assert [row["outcome"] for row in effect.rows()] == [1]
    over = begin + timedelta(minutes=2)
    assert counting.advance(other, watermark=over, now=over).effects == ()
    over += timedelta(milliseconds=1)
    (effect,) = counting.advance(other, watermark=over, now=over).effects
    assert [row["outcome"] for row in effect.rows()] == [0]
    counting.apply(other, outcomes, [stay | {"event_timestamp": over}], watermark=begin)
    assert counting.figures(other)["after within"] == 1


def test_a_stream_that_refuses_an_example_is_an_error_and_nothing_is_lost():
    world = script(0)
    process = Process(world, Call())
    process.events.append = lambda _stream, _rows: (Rejected(index=0, reason="no column credit"),)
    with pytest.raises(Invalid, match="examples_served_raw does not take the example e"):
        process.work()
    Process(world, Call()).work()
    assert appended(world) == expected(world.events)
