"""Rows that arrive before somebody reads: pure, without a stack."""

import threading

import pytest

from isthmus_stack.gcp.services.bigquery.pending_rows import PendingRows


@pytest.fixture
def late():
    return PendingRows()


def test_a_writer_that_reads_while_more_comes_is_not_called_within_itself(late):
    rows = []

    def write():
        rows.append(len(rows))
        late.note("table", write)  # what came meanwhile
        late.settle()  # it looks at its table

    late.note("table", write)
    late.settle()
    assert rows == [0]
    late.settle()
    assert rows == [0, 1]


def test_what_a_writer_notes_for_another_table_arrives_with_it(late):
    arrived = []
    late.note(
        "table",
        lambda: (
            arrived.append("table"),
            late.note("dead letters", lambda: arrived.append("dead letters")),
        ),
    )
    late.settle()
    assert arrived == ["table", "dead letters"]


def test_who_cannot_write_keeps_nobody_from_writing_or_from_reading_later(late, capsys):
    arrived = []
    late.note("broken", lambda: 1 / 0)
    late.note("table", lambda: arrived.append("table"))
    late.settle()
    late.note("table", lambda: arrived.append("again"))
    late.settle()
    assert arrived == ["table", "again"]
    assert "ZeroDivisionError" in capsys.readouterr().err


def test_who_reads_while_another_writes_waits_for_the_rows(late):
    begun, go, arrived = threading.Event(), threading.Event(), []
    late.note("table", lambda: (begun.set(), go.wait(60), arrived.append("table")))
    writing = threading.Thread(target=late.settle)
    writing.start()
    assert begun.wait(60)
    seen = []
    reading = threading.Thread(target=lambda: (late.settle(), seen.extend(arrived)))
    reading.start()
    go.set()
    for thread in (writing, reading):
        thread.join(60)
    assert seen == ["table"]
