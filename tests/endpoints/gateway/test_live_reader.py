"""What a gateway knows of `experiments/live`: read in the background, kept when the store is away,
damaged, slow or stale.
"""

from __future__ import annotations

import gc
import os
import threading
from datetime import timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.gateway.decide import live_reader
from isthmus.endpoints.gateway.decide.live_document import LiveArm
from isthmus.endpoints.gateway.decide.live_reader import LiveReader
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints import shop
from isthmus.tests.endpoints.shop import State, live, run


class Clock:
    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


def reader(state, clock=None):
    return LiveReader(lambda: state.get("experiments/live"), clock=clock or Clock())


def test_a_store_that_is_away_for_a_minute_changes_nothing_but_the_age_and_says_so():
    clock, state = Clock(), State(live(run()))
    known = reader(state, clock)
    known.look()
    copy = known.last.value
    state.away = "no route to the store"
    for _ in range(12):
        clock.now += 5
        known.look()
    assert known.last.value is copy
    assert known.age == 60
    assert known.problems == ("experiments/live as it was 60 s ago is used: no route to the store",)
    state.away = ""
    known.look()
    assert (known.age, known.problems) == (0, ())


DAMAGED = [
    b"",
    b"{",
    b"[]",
    msgspec.json.encode(live(run()))[:-20],
    msgspec.json.encode({"schema": 99, "version": 13}),
    live(run(layer="nowhere"), version=13),
    live(run(arms=()), version=13),
    live(run(arms=(LiveArm("control", 9000),)), version=13),
    live(run(arms=(LiveArm("a", 9000), LiveArm("b", 5000), LiveArm("c", 10_000))), version=13),
    live(run(arms=(LiveArm("a", 10_000, {"explore": 101}),)), version=13),
    live(run(arms=(LiveArm("a", 10_000, {"explore": "5"}),)), version=13),
    live(run(ranges=((0, 10_000),)), version=13),
    live(run(), run("other.1", ranges=((9999, 9999),)), version=13),
    live(run(state="shipped", ships="nobody"), version=13),
    pytest.param(
        msgspec.json.encode(live(run(), version=13)).replace(
            b":0.7", b":" + 100_000 * b"[" + 100_000 * b"]"
        ),
        id="too deep",
    ),
]


@pytest.mark.parametrize("damaged", DAMAGED)
def test_a_damaged_or_newer_document_leaves_the_last_copy_until_a_sound_one_comes(damaged):
    clock, state = Clock(), State(live(run()))
    known = reader(state, clock)
    known.look()
    copy = known.last.value
    state.put(damaged)
    for _ in range(3):
        clock.now += 5
        known.look()
        assert known.last.value is copy
        assert known.age == clock.now
        assert len(known.problems) == 1
    state.put(live(run(), version=14))
    known.look()
    assert (known.last.value.version, known.problems) == (14, ())


def test_a_document_is_decoded_once_for_each_time_that_it_was_written():
    state = State(live(run()))
    known = reader(state)
    known.look()
    copy = known.last.value
    known.look()
    assert known.last.value is copy
    state.put(live(run(), version=13))
    known.look()
    assert known.last.value is not copy


def test_a_stale_copy_of_the_store_s_or_none_is_not_believed_but_a_new_beginning_is():
    state = State(live(run(), version=12))
    known = reader(state)
    known.look()
    state.put(live(version=11))
    known.look()
    assert known.last.value.version == 12
    assert "of version 11 again, after version 12" in known.problems[0]
    state.documents.clear()
    known.look()
    assert known.last.value.version == 12
    assert "any more" in known.problems[0]
    state.put(live(version=1, written=shop.NOW + timedelta(days=1)))
    known.look()
    assert (known.last.value.version, known.problems) == (1, ())


def test_without_a_document_nothing_is_assigned_and_nothing_is_wrong():
    known = reader(State())
    known.look()
    assert (known.last.value, known.age, known.problems) == (None, 0, ())


def test_without_any_answer_it_says_that_units_get_the_defaults():
    state = State(live(run()))
    state.away = "no route"
    known = reader(state)
    known.look()
    assert (known.last.value, known.age) == (None, None)
    assert "units get the defaults, nothing is assigned: no route" in known.problems[0]


STEPS = st.lists(st.sampled_from(["away", "damaged", "stale", "back", "next"]), max_size=20)


@given(STEPS)
def test_whatever_befalls_the_store_the_version_that_is_known_never_goes_back_and_is_one_that_was_written(
    steps,
):
    clock, state, written = Clock(), State(live(run(), version=10)), [10]
    known = reader(state, clock)
    known.look()
    for step in steps:
        before = known.last.value.version
        clock.now += 5
        state.away = "away" if step == "away" else ""
        if step == "damaged":
            state.put(b"{}")
        elif step == "stale":
            state.put(live(run(), version=written[0]))
        elif step == "next":
            written.append(written[-1] + 1)
            state.put(
                live(run(), version=written[-1], written=shop.NOW + timedelta(minutes=len(written)))
            )
        elif step == "back":
            state.put(
                live(run(), version=written[-1], written=shop.NOW + timedelta(minutes=len(written)))
            )
        known.look()
        after = known.last.value.version
        assert before <= after
        assert after in written
        if step in {"next", "back"}:
            assert (after, known.problems) == (written[-1], ())


def test_it_reads_in_a_thread_of_its_own_that_ends_with_it_and_begins_again_when_asked():
    state, closers = State(live(run())), set()
    known = LiveReader(
        lambda: state.get("experiments/live"), every=timedelta(milliseconds=1), closers=closers
    )
    assert state.reads == 0
    assert known.current().value.version == 12
    assert len(closers) == 1
    state.put(live(run(), version=13))
    until(lambda: known.current().value.version == 13)
    known.close()
    assert not closers
    until(lambda: "experiments/live" not in {thread.name for thread in threading.enumerate()})
    state.put(live(run(), version=14))
    until(lambda: known.current().value.version == 14)
    known.close()


def test_a_store_that_hangs_holds_the_first_request_for_a_second_at_most(monkeypatch):
    monkeypatch.setattr(
        live_reader, "FIRST", timedelta(seconds=0.1)
    )  # which tests/conftest.py makes longer
    hang = threading.Event()
    known = LiveReader(hang.wait)
    try:
        assert known.current().value is None
        assert (
            known.current().value is None
        )  # the second one does not wait: no clock in a test can say so, the deadline of the suite does
    finally:
        hang.set()
        known.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork")
def test_a_forked_process_keeps_the_copy_and_looks_again_by_itself():
    state = State(live(run()))
    known = LiveReader(lambda: state.get("experiments/live"), every=timedelta(milliseconds=1))
    known.current()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            alone, before = known._thread is None, known.last.value.version
            state.put(live(run(), version=13))
            until(lambda: known.current().value.version == 13)
            code = 0 if alone and before == 12 else 1
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    known.close()


def test_a_gateway_that_is_forgotten_leaves_no_thread():
    gateway = Gateway(shop.project(live(run())), "ranker", emit=lambda _stream, _rows: ())
    gateway.rank(shop.REQUEST)
    assert "experiments/live" in {thread.name for thread in threading.enumerate()}
    del gateway

    def forgotten():
        gc.collect()  # again: a thread that was in the middle of a look held it
        return "experiments/live" not in {thread.name for thread in threading.enumerate()}

    until(forgotten)
