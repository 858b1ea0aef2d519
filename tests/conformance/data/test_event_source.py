"""EventSource: events as they come, for named consumers. At least once, in no order.

Where a provider keeps no consumers there is nothing to apply, commit or remove there; the place is
then the caller's, who hands in the receipt that it stored. The tests hand it in everywhere.
"""

import time
from datetime import UTC, datetime, timedelta

import pytest

from isthmus.adapters import targets
from isthmus.errors import NotFound, Throttled
from isthmus.events.port import Column, StreamSpec

pytestmark = pytest.mark.ports("event_source", "events")

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="payload_digest", type="string", required=True),
    Column(name="item", type="int64"),
    Column(name="score", type="float64"),
    Column(name="seen", type="bool"),
    Column(name="shown_at", type="timestamp"),
)
SPEC = StreamSpec(name="click_raw", columns=COLUMNS, key="event_id")
OTHER = StreamSpec(name="view_raw", columns=COLUMNS, key="event_id")
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
PATIENCE = timedelta(seconds=2)
# the longest wait for an event to come (again); a provider may take its time to deliver it
_AT_MOST = 60.0


def event(number, **other):
    row = {"event_id": f"e{number}", "event_timestamp": NOON, "payload_digest": f"d{number}"}
    return row | {"item": number} | other


def names(*numbers):
    return {f"e{number}" for number in numbers}


def append(target, *numbers, stream=SPEC):
    assert target.events.append(stream.name, [event(number) for number in numbers]) == ()


def before_all(target):
    return target.clock() - timedelta(hours=1)


class Reader:
    """A consumer's process: it reads on from the receipt of its last batch."""

    def __init__(self, target, consumer="one", *, stream=SPEC, after=None):
        self.target, self.consumer, self.stream = target, consumer, stream.name
        begin = target.event_source.apply(stream.name, consumer, since=before_all(target))
        self.place = begin if after is None else after

    def read(self, *, limit=1000, patience=PATIENCE):
        batch = self.target.event_source.read(
            self.stream, self.consumer, after=self.place, limit=limit, patience=patience
        )
        self.place = batch.receipt
        return batch

    def until(self, ids, *, limit=1000):
        """All events up to the moment when each of `ids` has come."""
        found, deadline = [], time.monotonic() + _AT_MOST
        while not ids <= {row["event_id"] for row in found}:
            assert time.monotonic() < deadline, f"only {found} of {sorted(ids)} came"
            try:
                found += self.read(limit=limit).events
            except Throttled:
                time.sleep(0.2)
        return found

    def commit(self):
        self.target.event_source.commit(self.stream, self.consumer, self.place)


@pytest.fixture
def stream(target):
    target.events.apply(SPEC)
    return target


@pytest.fixture
def restarted(target):
    """The target as a process that begins later opens it, once the earlier one has ended."""
    opened = []

    def restart():
        target.close()
        opened.append(targets.load(target.profile))
        return opened[-1]

    yield restart
    for other in opened:
        other.close()


def may_be_cut(target, cut, call):
    """Cut the first change that `call` makes; of a provider that has none to make it makes none."""
    already = len(target.calls.calls)
    with cut:
        call()
        assert not [made for made in target.calls.calls[already:] if made.mutating]
        target.calls.before = target.calls.after = None
        raise cut.expected("there was nothing to cut")


@pytest.mark.needs("events.read")
def test_every_event_comes_with_the_columns_of_its_stream_and_their_types(stream):
    reader = Reader(stream)
    later = NOON + timedelta(hours=1)
    sent = [
        event(2**53 + 1, score=0.1 + 0.2, seen=True, shown_at=later),
        event(2, score=1, dt="2026-03-01"),
    ]
    assert stream.events.append(SPEC.name, sent) == ()
    rows = {row["item"]: row for row in reader.until(names(2**53 + 1, 2))}
    assert dict(rows[2**53 + 1]) == {
        "event_id": f"e{2**53 + 1}",
        "event_timestamp": NOON.replace(microsecond=123000),
        "payload_digest": f"d{2**53 + 1}",
        "item": 2**53 + 1,
        "score": 0.1 + 0.2,
        "seen": True,
        "shown_at": later.replace(microsecond=123000),
    }
    assert rows[2**53 + 1]["seen"] is True
    assert rows[2**53 + 1]["shown_at"].utcoffset() == timedelta(0)
    assert (rows[2]["seen"], rows[2]["shown_at"]) == (None, None)
    assert isinstance(rows[2]["score"], float)
    assert list(rows[2]) == [column.name for column in COLUMNS]


@pytest.mark.needs("events.read")
def test_a_read_goes_on_where_the_last_one_ended_and_takes_no_more_than_its_limit(stream):
    reader = Reader(stream)
    append(stream, *range(10))
    append(stream, *range(10, 15))
    found, deadline = set(), time.monotonic() + _AT_MOST
    while found != names(*range(15)):
        batch = reader.read(limit=4)
        assert len(batch.events) <= 4
        found |= {row["event_id"] for row in batch.events}
        assert time.monotonic() < deadline
    append(stream, 15)
    assert names(15) <= {row["event_id"] for row in reader.until(names(15))}


def test_a_stream_without_new_events_gives_an_empty_batch_when_patience_is_over(stream):
    reader = Reader(stream)
    append(stream, 1)
    reader.until(names(1))
    reader.commit()
    begin = time.monotonic()
    batch = reader.read(patience=timedelta(milliseconds=300))
    assert batch.events == ()
    assert batch.behind in {None, timedelta(0)}
    assert time.monotonic() - begin < _AT_MOST
    append(stream, 2)
    assert {row["event_id"] for row in reader.until(names(2))} == names(2)


def test_the_age_of_what_is_not_read_is_told_or_not_known(stream):
    reader = Reader(stream)
    append(stream, *range(6))
    found = []
    while len(found) < 6:
        batch = reader.read(limit=2)
        found += batch.events
        assert batch.behind is None or timedelta(0) <= batch.behind < timedelta(hours=1)


def test_a_new_consumer_begins_with_what_arrived_since_as_far_as_it_is_kept(stream):
    append(stream, 1, 2)
    reader = Reader(stream)
    append(stream, 3)
    reader.until(names(1, 2, 3))


@pytest.mark.needs("events.replay")
def test_what_was_committed_need_not_come_again_and_the_rest_does(stream, restarted):
    first = Reader(stream)
    append(stream, 1, 2)
    first.until(names(1, 2))
    first.commit()
    committed = first.place
    append(stream, 3, 4)
    first.until(names(3, 4))  # it dies before it commits them
    second = Reader(restarted(), after=committed)
    found = {row["event_id"] for row in second.until(names(3, 4))}
    assert found == names(3, 4)


@pytest.mark.needs("events.replay")
def test_a_consumer_that_never_committed_gets_everything_again(stream, restarted):
    first = Reader(stream)
    append(stream, *range(5))
    first.until(names(*range(5)))
    assert {row["event_id"] for row in Reader(restarted()).until(names(*range(5)))} == names(
        *range(5)
    )


def test_a_commit_of_an_earlier_batch_takes_nothing_back(stream, restarted):
    reader = Reader(stream)
    append(stream, 1)
    reader.until(names(1))
    earlier = reader.place
    append(stream, 2)
    reader.until(names(2))
    reader.commit()
    last = reader.place
    for _ in range(2):
        stream.event_source.commit(SPEC.name, "one", earlier)
    append(stream, 3)
    second = Reader(restarted(), after=last)
    assert {row["event_id"] for row in second.until(names(3))} == names(3)


def test_a_commit_is_of_all_batches_before_it(stream, restarted):
    reader = Reader(stream)
    for number in range(4):
        append(stream, number)
        reader.until(names(number))
    reader.commit()
    last = reader.place
    append(stream, 4)
    second = Reader(restarted(), after=last)
    assert {row["event_id"] for row in second.until(names(4))} == names(4)


def test_two_consumers_of_a_stream_do_not_know_of_each_other(stream):
    one, two = Reader(stream, "one"), Reader(stream, "two")
    append(stream, 1, 2)
    one.until(names(1, 2))
    one.commit()
    stream.event_source.remove(SPEC.name, "one")
    assert {row["event_id"] for row in two.until(names(1, 2))} == names(1, 2)


def test_a_consumer_reads_several_streams_each_by_itself(stream):
    stream.events.apply(OTHER)
    of_clicks, of_views = Reader(stream), Reader(stream, stream=OTHER)
    append(stream, 1)
    append(stream, 2, stream=OTHER)
    assert {row["event_id"] for row in of_views.until(names(2))} == names(2)
    of_views.commit()
    assert {row["event_id"] for row in of_clicks.until(names(1))} == names(1)


def test_a_stream_gains_columns_and_earlier_events_have_nulls_in_them(stream):
    reader = Reader(stream)
    append(stream, 1)
    place = Column(name="place", type="string")
    stream.events.apply(StreamSpec(name=SPEC.name, columns=(*COLUMNS, place), key="event_id"))
    assert stream.events.append(SPEC.name, [event(2, place="top")]) == ()
    rows = {row["event_id"]: row["place"] for row in reader.until(names(1, 2))}
    assert rows == {"e1": None, "e2": "top"}


def test_a_consumer_of_no_stream_is_not_found(target):
    with pytest.raises(NotFound):
        target.event_source.apply("none", "one", since=before_all(target))
    with pytest.raises(NotFound):
        target.event_source.read(
            "none", "one", after=b"", limit=10, patience=timedelta(milliseconds=100)
        )
    assert not [call for call in target.calls.calls if call.mutating]


def test_a_consumer_that_was_removed_begins_anew_and_one_that_never_was_can_be_removed(stream):
    for _ in range(2):
        stream.event_source.remove(SPEC.name, "one")
    first = Reader(stream)
    append(stream, 1)
    first.until(names(1))
    for _ in range(2):
        stream.event_source.remove(SPEC.name, "one")
    stream.event_source.commit(SPEC.name, "one", first.place)  # of one that is gone: no error
    again = Reader(stream)
    append(stream, 2)
    again.until(names(2))


def test_a_consumer_of_a_removed_stream_can_be_removed(stream):
    stream.event_source.apply(SPEC.name, "one", since=before_all(stream))
    for resource in stream.inventory.list(stream.profile.project):
        if resource.kind == "stream":
            stream.inventory.delete(resource)
    for _ in range(2):
        stream.event_source.remove(SPEC.name, "one")


def test_an_apply_that_was_cut_can_be_repeated_and_moves_nobody(stream, cut):
    append(stream, 1, 2)
    since = before_all(stream)
    may_be_cut(stream, cut, lambda: stream.event_source.apply(SPEC.name, "one", since=since))
    for _ in range(2):
        place = stream.event_source.apply(SPEC.name, "one", since=since)
    reader = Reader(stream, after=place)
    reader.until(names(1, 2))
    reader.commit()
    committed = reader.place
    for _ in range(2):
        stream.event_source.apply(SPEC.name, "one", since=stream.clock())
    append(stream, 3)
    assert {row["event_id"] for row in Reader(stream, after=committed).until(names(3))} == names(3)


def test_a_read_that_was_cut_loses_nothing(stream, cut):
    reader, found = Reader(stream), set()
    append(stream, 1, 2)

    def read():
        found.update(row["event_id"] for row in reader.read().events)

    may_be_cut(stream, cut, read)
    found.update(row["event_id"] for row in reader.until(names(1, 2) - found))
    assert found == names(1, 2)


def test_a_commit_that_was_cut_can_be_repeated(stream, restarted, cut):
    reader = Reader(stream)
    append(stream, 1, 2)
    reader.until(names(1, 2))
    may_be_cut(stream, cut, reader.commit)
    for _ in range(2):
        reader.commit()
    append(stream, 3)
    second = Reader(restarted(), after=reader.place)
    assert {row["event_id"] for row in second.until(names(3))} == names(3)


def test_a_removal_that_was_cut_can_be_repeated(stream, cut):
    Reader(stream)
    may_be_cut(stream, cut, lambda: stream.event_source.remove(SPEC.name, "one"))
    for _ in range(2):
        stream.event_source.remove(SPEC.name, "one")
    append(stream, 1)
    Reader(stream).until(names(1))
