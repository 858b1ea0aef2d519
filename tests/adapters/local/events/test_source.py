"""What local's EventSource promises beyond the conformance suite: exact places, ages and keeping."""

import sqlite3
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.adapters import targets
from isthmus.adapters.local.warehouse import spool
from isthmus.errors import Invalid, NotFound
from isthmus.events.port import Column, StreamSpec
from isthmus.target import Profile

from .. import processes

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="payload_digest", type="string"),
)
SPEC = StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id")
START = datetime(2026, 3, 1, tzinfo=UTC)
OLD = datetime(2019, 11, 24, tzinfo=UTC)  # the time of the events, which nothing is kept by
SOON = timedelta(milliseconds=50)


class Clock:
    now = START

    def __call__(self):
        return self.now

    def forward(self, **by):
        self.now += timedelta(**by)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def local(home, clock):
    profile = Profile(name="local", adapter="local", project="conf", options={"home": str(home)})
    opened = targets.load(profile, clock=clock)
    opened.events.apply(SPEC)
    yield opened
    opened.close()


@pytest.fixture
def eager(monkeypatch):
    """Every reader of the warehouse makes files of the events."""
    monkeypatch.setattr(spool, "COMPACT", 1)


def append(local, *numbers):
    events = [{"event_id": f"e{n}", "event_timestamp": OLD} for n in numbers]
    assert local.events.append("clicks_raw", events) == ()


def compact(local):
    local.warehouse.observe("clicks_raw")


def begin(local, consumer="one", since=START):
    return local.event_source.apply("clicks_raw", consumer, since=since)


def read(local, after, consumer="one", limit=1000, patience=timedelta(0)):
    return local.event_source.read(
        "clicks_raw", consumer, after=after, limit=limit, patience=patience
    )


def numbers(batch):
    return [int(row["event_id"][1:]) for row in batch.events]


def stored(home, table):
    with sqlite3.connect(home / "local.db") as db:
        (count,) = db.execute(f"SELECT count(*) FROM {table}").fetchone()
    db.close()
    return count


def counted(local):
    sql = "SELECT count(*) AS n, count(DISTINCT event_id) AS ids FROM clicks_raw"
    return tuple(local.warehouse.query(sql, {}).to_pylist()[0].values())


def test_a_consumer_begins_with_the_first_event_that_was_stored_at_its_since(local, clock):
    for n in range(5):
        append(local, n)
        clock.forward(minutes=1)
    assert numbers(read(local, begin(local, "all", START), "all")) == [0, 1, 2, 3, 4]
    since = START + timedelta(minutes=2)
    assert numbers(read(local, begin(local, "two", since), "two")) == [2, 3, 4]
    just_after = since + timedelta(milliseconds=1)
    assert numbers(read(local, begin(local, "three", just_after), "three")) == [3, 4]
    place = begin(local, "none", clock())
    assert numbers(read(local, place, "none")) == []
    append(local, 5)
    assert numbers(read(local, place, "none")) == [5]


def test_a_consumer_that_is_there_keeps_its_place_whatever_its_since(local, clock):
    append(local, 1, 2)
    batch = read(local, begin(local))
    local.event_source.commit("clicks_raw", "one", batch.receipt)
    append(local, 3)
    clock.forward(hours=1)
    for since in (START, clock()):
        assert numbers(read(local, begin(local, since=since))) == [3]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 100])
def test_every_event_comes_once_to_who_goes_on_whatever_the_limit(local, eager, limit):
    place, found = begin(local), []
    append(local, *range(5))
    append(local, 5)
    compact(local)
    append(local, *range(6, 16))
    while (batch := read(local, place, limit=limit)).events:
        assert len(batch.events) <= limit
        found += numbers(batch)
        place = batch.receipt
        local.event_source.commit("clicks_raw", "one", place)
        compact(local)
    assert found == list(range(16))


def test_the_age_of_the_oldest_event_that_is_not_read_is_exact(local, clock):
    place = begin(local)
    append(local, 0, 1)
    clock.forward(seconds=10)
    append(local, 2)
    clock.forward(seconds=5)
    first = read(local, place, limit=1)
    assert first.behind == timedelta(seconds=15)
    second = read(local, first.receipt, limit=1)
    assert second.behind == timedelta(seconds=5)
    third = read(local, second.receipt, limit=1)
    assert third.behind == timedelta(0)
    assert read(local, third.receipt).behind == timedelta(0)


def test_what_became_files_stays_readable_and_readers_of_the_warehouse_see_it_once(local, eager):
    place = begin(local)
    append(local, *range(10))
    compact(local)
    append(local, 10)
    assert counted(local) == (11, 11)
    assert numbers(read(local, place)) == list(range(11))
    other = targets.load(local.profile)  # a process that has read nothing yet
    try:
        assert counted(other) == (11, 11)
    finally:
        other.close()


def test_only_what_every_consumer_has_committed_is_dropped(home, local, eager):
    one, two = begin(local, "one"), begin(local, "two")
    for n in range(3):
        append(local, n)
    compact(local)
    assert stored(home, "event_kept") == 3
    first = read(local, one, "one", limit=2)
    local.event_source.commit("clicks_raw", "one", first.receipt)
    assert stored(home, "event_kept") == 3
    assert numbers(read(local, two, "two")) == [0, 1, 2]
    local.event_source.commit("clicks_raw", "two", read(local, two, "two", limit=1).receipt)
    assert stored(home, "event_kept") == 2
    local.event_source.remove("clicks_raw", "two")
    assert stored(home, "event_kept") == 1
    local.event_source.remove("clicks_raw", "one")
    assert (stored(home, "event_kept"), stored(home, "event_arrivals")) == (0, 0)
    assert counted(local) == (3, 3)


def test_a_stream_without_consumers_keeps_nothing_that_is_in_files(home, local, eager):
    append(local, 1, 2)
    compact(local)
    assert [stored(home, t) for t in ("event_spool", "event_kept", "event_arrivals")] == [0, 0, 0]
    assert numbers(read(local, begin(local))) == []


def test_nothing_is_kept_longer_than_a_day_since_it_was_stored(local, clock, eager):
    place = begin(local)
    append(local, 1)
    compact(local)
    clock.forward(hours=23)
    append(local, 2)
    compact(local)
    assert numbers(read(local, place)) == [1, 2]
    clock.forward(hours=1, milliseconds=1)
    append(local, 3)
    compact(local)
    assert numbers(read(local, place)) == [2, 3]
    assert counted(local) == (3, 3)


def test_a_compaction_killed_after_publishing_keeps_each_event_for_a_consumer(home, local):
    place = begin(local)
    process = processes.start(
        home,
        """
        from isthmus.adapters.local.warehouse import spool
        spool.COMPACT = 10
        spool.remove = lambda *a, **k: stay()
        now = datetime(2026, 1, 1, tzinfo=UTC)
        target.events.append("clicks_raw", [{"event_id": f"e{n}", "event_timestamp": now} for n in range(10)])
        target.warehouse.observe("clicks_raw")
        """,
    )
    processes.kill_when_reached(process)
    assert numbers(read(local, place)) == list(range(10))
    assert counted(local) == (10, 10)
    append(local, *range(10, 20_011))  # the next compaction takes away what the killed one left
    assert counted(local) == (20_011, 20_011)
    assert stored(home, "event_spool") < stored(home, "event_kept")
    assert sorted(numbers(read(local, place, limit=30_000))) == list(range(20_011))


def test_a_commit_killed_in_its_transaction_changed_nothing(home, local):
    place = begin(local)
    append(local, 1, 2)
    process = processes.start(
        home,
        f"""
        from isthmus.adapters.local.events import source
        source.drop_committed = lambda *a: stay()
        batch = target.event_source.read("clicks_raw", "one", after={place!r}, limit=10, patience=timedelta(0))
        target.event_source.commit("clicks_raw", "one", batch.receipt)
        """,
    )
    processes.kill_when_reached(process)
    assert begin(local) == place
    assert numbers(read(local, place)) == [1, 2]


def test_who_waits_is_given_what_comes_before_patience_is_over(local):
    place, heard = begin(local), []

    def wait():
        batch = read(local, place, patience=timedelta(seconds=60))
        heard.extend(numbers(batch))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.3)
    assert not heard
    append(local, 7)
    waiting.join(60)
    assert heard == [7]


def test_appending_reading_and_compaction_at_once_lose_and_double_nothing(local, eager):
    place, total = begin(local), 100

    def write():
        for n in range(total):
            append(local, n)

    ended = threading.Event()

    def make_files():
        while not ended.is_set():
            compact(local)

    threads = [threading.Thread(target=write), threading.Thread(target=make_files)]
    for thread in threads:
        thread.start()
    found, deadline = [], time.monotonic() + 120
    while len(found) < total and time.monotonic() < deadline:
        batch = read(local, place, limit=17, patience=timedelta(seconds=1))
        found += numbers(batch)
        place = batch.receipt
        local.event_source.commit("clicks_raw", "one", place)
    ended.set()
    for thread in threads:
        thread.join()
    assert found == list(range(total))
    assert counted(local) == (total, total)


def test_events_of_an_older_version_have_no_moment_and_come_all_the_same(home, local, eager):
    append(local, 1, 2)
    with sqlite3.connect(home / "local.db") as db:
        db.execute("DELETE FROM event_arrivals")
    db.close()
    place = begin(local, since=START + timedelta(days=1))
    batch = read(local, place, limit=1)
    assert (numbers(batch), batch.behind) == ([1], None)
    compact(local)
    assert numbers(read(local, place)) == [1, 2]


def test_a_reader_of_a_stream_that_is_removed_while_it_waits_is_told(local):
    place, heard = begin(local), []

    def wait():
        try:
            read(local, place, patience=timedelta(seconds=60))
        except NotFound as error:
            heard.append(str(error))

    waiting = threading.Thread(target=wait)
    waiting.start()
    time.sleep(0.1)
    (stream,) = (r for r in local.inventory.list("conf") if r.kind == "stream")
    local.inventory.delete(stream)
    waiting.join(60)
    assert heard == ["there is no stream clicks_raw"]


@pytest.mark.parametrize("receipt", [b"", b"x", b"12", b"1.", b"-1.0", "49\u0663.0".encode()])
def test_what_is_no_place_is_said(local, receipt):
    begin(local)
    with pytest.raises(Invalid, match="no place in a stream"):
        read(local, receipt)
    with pytest.raises(Invalid, match="no place in a stream"):
        local.event_source.commit("clicks_raw", "one", receipt)
