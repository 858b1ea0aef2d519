"""What is logged leaves in groups, and what does not leave is counted and told."""

import os
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from isthmus.endpoints.gateway.log.answer_ids import AnswerNumbers
from isthmus.endpoints.gateway.log.log_writer import GROUP, LogWriter
from isthmus.errors import Denied, NotFound, Unavailable
from isthmus.events.port import Rejected

MINUTE = timedelta(minutes=1)
AT_ONCE = timedelta(0)


def shown(number, count=3):
    return [{"event_id": f"q-{number}-{place}"} for place in range(1, count + 1)]


def rows(number, count=3):
    return {"exposures": shown(number, count)}


class Stream:
    """Takes groups, once its gate is open."""

    def __init__(self, *, shut=False, errors=()):
        self.groups, self.streams = [], []
        self.errors = list(errors)
        self.gate = threading.Event()
        self.asked = threading.Event()
        if not shut:
            self.gate.set()

    def __call__(self, stream, group):
        self.asked.set()
        assert self.gate.wait(60)
        if self.errors:
            raise self.errors.pop(0)
        self.groups.append([row["event_id"] for row in group])
        self.streams.append(stream)
        return ()

    @property
    def ids(self):
        return [name for group in self.groups for name in group]


def writer_of(stream, **options):
    return LogWriter(stream, name="ranker", **options)


def test_answers_that_come_while_a_group_is_on_its_way_leave_together_and_no_group_is_larger_than_a_call():
    stream = Stream(shut=True)
    writer = writer_of(stream)
    writer.put(rows(0))
    assert stream.asked.wait(60)
    for number in range(1, 401):
        assert writer.put(rows(number)) == ()
    assert writer.waiting == {"exposures": 1203}
    stream.gate.set()
    writer.close(MINUTE)
    assert [len(group) for group in stream.groups] == [3, 498, 498, 204]
    assert stream.ids == [row["event_id"] for number in range(401) for row in shown(number)]
    assert (writer.waiting.total(), writer.undelivered.total()) == (0, 0)


def test_an_answer_with_more_rows_than_a_group_leaves_whole():
    stream = Stream()
    writer = writer_of(stream)
    writer.put(rows(1, count=GROUP + 1))
    writer.close(MINUTE)
    assert [len(group) for group in stream.groups] == [GROUP + 1]


def test_a_durable_answer_waits_for_its_rows_and_hears_what_became_of_them():
    stream = Stream()
    writer = writer_of(stream, durable=True)
    assert writer.put(rows(1)) == ()
    assert stream.ids == ["q-1-1", "q-1-2", "q-1-3"], "before close"
    stream.errors = [Denied("no right to write")]
    assert writer.put(rows(2)) == ("3 of 3 exposures not delivered: no right to write",)
    writer.close(MINUTE)
    rejecting = writer_of(
        lambda _stream, _group: (Rejected(index=1, reason="no unit"),), durable=True
    )
    assert rejecting.put(rows(3)) == ("1 of 3 exposures not delivered: no unit",)
    assert rejecting.undelivered == {"exposures": 1}
    rejecting.close(MINUTE)


def test_a_group_that_a_stream_did_not_take_for_a_moment_is_sent_again():
    stream = Stream(errors=[Unavailable("it is starting")])
    writer = writer_of(stream)
    writer.put(rows(1))
    writer.close(MINUTE)
    assert (stream.ids, writer.undelivered) == (["q-1-1", "q-1-2", "q-1-3"], {})


@pytest.mark.parametrize(
    "error", [Denied("no right to write"), ZeroDivisionError("a mistake")], ids=["ours", "any"]
)
def test_a_group_that_cannot_leave_is_counted_by_the_row_told_once_by_the_next_answer_and_does_not_stop_the_others(
    error, capsys
):
    stream = Stream(errors=[error])
    writer = writer_of(stream)
    assert writer.put(rows(1)) == ()
    writer.close(MINUTE)
    assert writer.undelivered == {"exposures": 3}
    assert (
        "ranker q-1-1 .. q-1-3: 3 of 3 exposures not delivered: "
        f"{error if isinstance(error, Denied) else repr(error)}" in (capsys.readouterr().err)
    )
    (told,) = writer.put(rows(2))
    assert told.startswith("3 of 3 exposures not delivered: ")
    assert writer.put(rows(3)) == ()
    writer.close(MINUTE)
    assert stream.ids == [row["event_id"] for number in (2, 3) for row in shown(number)]


def answered(number, characters=0):
    """As the gateway puts it: not in the order of delivery."""
    assigned = {"event_id": f"a-{number}"}
    return {
        "assignments": [assigned],
        "rankings": [{"event_id": f"q-{number}", "candidates": "x" * characters}],
        **rows(number, count=2),
    }


def test_the_streams_of_a_group_leave_in_one_call_each_and_exposures_first():
    stream = Stream(shut=True)
    writer = writer_of(stream)
    writer.put({"assignments": [{"event_id": "a-0"}]})
    assert stream.asked.wait(60)
    for number in (1, 2):
        writer.put(answered(number))
    assert writer.waiting == {"exposures": 4, "rankings": 2, "assignments": 3}
    stream.gate.set()
    writer.close(MINUTE)
    assert stream.streams == ["assignments", "exposures", "rankings", "assignments"]
    assert stream.groups[1:] == [
        ["q-1-1", "q-1-2", "q-2-1", "q-2-2"],
        ["q-1", "q-2"],
        ["a-1", "a-2"],
    ]


def test_a_stream_that_is_not_there_takes_no_other_along_and_a_durable_answer_hears_of_each(capsys):
    taken = []

    def emit(stream, group):
        if stream != "exposures":
            raise NotFound(f"there is no stream {stream}", remedy="isthmus apply")
        taken.extend(group)
        return ()

    writer = writer_of(emit, durable=True)
    (told,) = writer.put(answered(1))
    assert told.split("; ") == [
        f"1 of 1 {name} not delivered: there is no stream {name} (isthmus apply)"
        for name in ("rankings", "assignments")
    ]
    writer.close(MINUTE)
    assert taken == shown(1, count=2)
    assert writer.undelivered == {"rankings": 1, "assignments": 1}
    assert "ranker q-1 .. q-1: 1 of 1 rankings" in capsys.readouterr().err


def test_a_stream_that_is_tried_again_does_not_send_another_twice():
    errors = [Unavailable("it is starting")]

    def emit(name, group):
        if name == "rankings" and errors:
            raise errors.pop()
        return stream(name, group)

    stream = Stream()
    writer = writer_of(emit)
    writer.put(answered(1))
    writer.close(MINUTE)
    assert (stream.streams, writer.undelivered) == (["exposures", "rankings", "assignments"], {})


def test_answers_of_long_texts_are_fewer_in_a_group_and_fewer_may_wait():
    stream = Stream(shut=True)
    writer = writer_of(stream, room=620, patience=AT_ONCE)
    writer.put(rows(0, count=1))
    assert stream.asked.wait(60)
    for number in range(1, 4):
        assert writer.put(answered(number, characters=200_000)) == ()
    assert writer.put(rows(4, count=7)) == ()
    (told,) = writer.put(answered(5))
    assert told.startswith("2 of 2 exposures not delivered: 20 rows wait already; 1 of 1 rankings")
    stream.gate.set()
    writer.close(MINUTE)
    assert [
        len(group)
        for name, group in zip(stream.streams, stream.groups, strict=True)
        if name == "exposures"
    ] == [1, 4, 9]


def test_a_full_queue_is_waited_for_once_then_rows_are_counted_until_a_group_leaves(capsys):
    stream = Stream(shut=True)
    writer = writer_of(stream, room=9, patience=AT_ONCE)
    for number in range(3):
        assert writer.put(rows(number)) == ()
    for number in (3, 4):
        assert writer.put(rows(number)) == ("3 of 3 exposures not delivered: 9 rows wait already",)
    assert writer.undelivered == {"exposures": 6}
    assert "ranker q-4-1 .. q-4-3: 3 of 3" in capsys.readouterr().err
    stream.gate.set()
    writer.close(MINUTE)
    writer.put(rows(5))
    writer.close(MINUTE)
    assert stream.ids == [row["event_id"] for number in (0, 1, 2, 5) for row in shown(number)]


def test_a_full_queue_lets_an_answer_in_when_a_group_leaves_in_time():
    stream = Stream(shut=True)
    writer = writer_of(stream, room=3, patience=MINUTE)
    writer.put(rows(1))
    assert stream.asked.wait(60)
    opener = threading.Timer(0.05, stream.gate.set)
    opener.start()
    assert writer.put(rows(2)) == ()
    opener.join()
    writer.close(MINUTE)
    assert not writer.undelivered
    assert len(stream.ids) == 6


def test_a_stream_that_hangs_does_not_hold_the_end_up_and_what_it_may_have_lost_is_counted(capsys):
    stream = Stream(shut=True)
    writer = writer_of(stream)
    writer.put(rows(1))
    assert stream.asked.wait(60)
    writer.put(rows(2))
    writer.close(timedelta(milliseconds=50))
    assert (writer.waiting.total(), writer.undelivered) == (0, {"exposures": 6})
    assert "6 of 6 exposures not delivered: no answer within 0.05 s" in capsys.readouterr().err
    stream.gate.set()
    writer.put(rows(3))
    writer.close(MINUTE)
    assert writer.undelivered == {"exposures": 6}, "what came after all is not counted twice"
    assert "q-3-1" in stream.ids


def test_who_closes_the_target_knows_whom_to_close_before():
    closers = set()
    writer = writer_of(Stream(), closers=closers)
    assert not closers
    writer.put(rows(1))
    assert closers == {writer.close}
    writer.close(MINUTE)
    assert not closers


def test_numbers_of_answers_follow_each_other_and_one_that_was_not_answered_is_given_again():
    numbers = AnswerNumbers()
    first, second, third = (numbers.take() for _ in range(3))
    assert [name.rpartition("-")[2] for name in (first, second, third)] == ["1", "2", "3"]
    assert len({name.rpartition("-")[0] for name in (first, second, third)}) == 1
    numbers.give_back(second)
    assert [numbers.take(), numbers.take()] == [second, f"{first.rpartition('-')[0]}-4"]
    assert AnswerNumbers().take() != first


def test_a_forked_process_has_numbers_of_its_own_from_its_first_moment():
    """Before a second thread of it can ask: what one thread renews, another one reads half renewed."""
    numbers = AnswerNumbers()
    parents = numbers.take().rpartition("-")[0]
    ours, theirs = os.pipe()
    child = os.fork()
    if not child:
        os.write(theirs, numbers._name.encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(ours, 100).decode() != parents
    assert numbers.take() == f"{parents}-2"
    os.close(ours)
    os.close(theirs)


PROGRAM = """
import multiprocessing, os, sys
from isthmus.endpoints.gateway.log.answer_ids import AnswerNumbers
from isthmus.endpoints.gateway.log.log_writer import LogWriter

def note(_stream, rows):
    with open(sys.argv[1], "a") as file:
        file.write("".join(f"{row['event_id']}\\n" for row in rows))
    return ()

writer, numbers = LogWriter(note, name="ranker"), AnswerNumbers()

def answer():
    writer.put({"exposures": [{"event_id": f"{numbers.take()}-1"}]})

answer()
if sys.argv[2] == "fork":
    child = os.fork()
    if child:
        os.waitpid(child, 0)
    else:
        answer()
        writer.close()
        os._exit(0)
elif sys.argv[2] == "worker":
    worker = multiprocessing.get_context("fork").Process(target=answer)
    worker.start()
    worker.join()
elif sys.argv[2] == "error":
    raise SystemExit(3)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("end", "processes"), [("end", 1), ("error", 1), ("fork", 2), ("worker", 2)]
)
def test_a_program_that_ends_without_closing_delivers_each_row_once_and_so_does_its_fork(
    tmp_path, end, processes
):
    file = tmp_path / "delivered"
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(file), end],
        timeout=120,
        check=False,
        env={**os.environ},
    )
    assert done.returncode == (3 if end == "error" else 0)
    delivered = file.read_text().split()
    assert [name.rpartition("-")[0].rpartition("-")[2] for name in delivered] == ["1"] * processes
    assert len(set(delivered)) == processes, "each process has a name of its own"
