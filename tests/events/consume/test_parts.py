"""The pure parts of the runner: recent ids, the watermark, the lag, who holds a lease."""

import os
from datetime import UTC, datetime, timedelta

from isthmus.core.lease import take
from isthmus.events.consume.checkpoint import StreamCheckpoint
from isthmus.events.consume.holding import holder_name, is_held
from isthmus.events.consume.lag import Lag, is_hopeless
from isthmus.events.consume.recent_ids import RecentIds
from isthmus.events.consume.watermark import BEGINNING, Progress, advanced, after_read

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
MINUTE, ZERO = timedelta(minutes=1), timedelta()


def test_an_id_is_forgotten_when_its_event_is_too_late_and_two_checkpoints_have_passed():
    ids = RecentIds()
    assert ids.add("old", NOW - MINUTE, checkpoint=5)
    assert ids.add("new", NOW + MINUTE, checkpoint=5)
    assert not ids.add("old", NOW, checkpoint=6)
    ids.forget(watermark=NOW, checkpoint=7)
    assert len(ids) == 2
    ids = RecentIds(ids.stored())
    ids.forget(watermark=NOW, checkpoint=8)
    assert ids.stored().ids == ["new"]
    assert ids.add("old", NOW - MINUTE, checkpoint=8)


def _read(progress, stream, *, newest=None, behind=ZERO):
    return after_read(progress, stream, newest=newest, behind=behind, moment=NOW)


def test_the_watermark_waits_for_the_stream_that_was_read_least_far_and_never_goes_back():
    progress = _read(Progress(), "a", newest=NOW - MINUTE)
    assert advanced(progress, ["a", "b"], lateness=MINUTE).watermark == BEGINNING
    progress = advanced(_read(progress, "b", newest=NOW - 5 * MINUTE), ["a", "b"], lateness=MINUTE)
    assert progress.watermark == NOW - 6 * MINUTE
    later = advanced(_read(progress, "b", newest=NOW - 9 * MINUTE), ["a", "b"], lateness=MINUTE)
    assert later.watermark == NOW - 6 * MINUTE


def test_an_idle_stream_counts_as_read_up_to_now_unless_it_is_behind_or_does_not_say():
    assert _read(Progress(), "a").newest == {"a": NOW}
    assert _read(Progress(), "a", behind=MINUTE).newest == {}
    assert _read(Progress(), "a", behind=None).newest == {}


def test_an_event_of_the_future_moves_the_watermark_to_now_at_most():
    progress = _read(Progress(), "a", newest=NOW + timedelta(days=9000))
    assert advanced(progress, ["a"], lateness=MINUTE).watermark == NOW - MINUTE


def test_a_worker_that_catches_up_goes_on_and_one_that_does_not_gives_up():
    lag, is_over = is_hopeless(Lag(), 9 * MINUTE, 5 * MINUTE, NOW)
    assert not is_over
    assert is_hopeless(lag, 9 * MINUTE, 5 * MINUTE, NOW + MINUTE / 2) == (lag, False)
    assert is_hopeless(lag, 8 * MINUTE, 5 * MINUTE, NOW + MINUTE)[1] is False
    assert is_hopeless(lag, 9 * MINUTE, 5 * MINUTE, NOW + MINUTE)[1] is True
    assert is_hopeless(lag, 5 * MINUTE, 5 * MINUTE, NOW + MINUTE) == (Lag(), False)


def test_a_lease_is_over_when_it_has_run_out_or_its_process_on_this_machine_is_gone():
    ours = holder_name()
    held = StreamCheckpoint(lease=take(StreamCheckpoint().lease, ours, NOW))
    assert is_held(held, NOW + MINUTE / 2)
    assert not is_held(held, NOW + MINUTE)
    host, machine, _, nonce = ours.split("/")
    child = os.fork()
    if not child:
        os._exit(0)
    os.waitpid(child, 0)
    for holder, expected in (
        (f"{host}/{machine}/{child}/{nonce}", not machine),
        (f"{host}/{'0' * 12}/{child}/{nonce}", True),  # another machine's: nobody here can tell
        (f"{host}/{machine}/{os.getpid()}/00000000", not machine),  # our number, an earlier process
        ("elsewhere", True),
    ):
        lease = take(StreamCheckpoint().lease, holder, NOW)
        assert is_held(StreamCheckpoint(lease=lease), NOW) is expected, holder
