"""Reading Kinesis: shards that are split and merged, refusals, old places, others' records."""

import threading
import time
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.events import pace, places, stream_records
from isthmus.adapters.sagemaker.events.places import Place, Shard
from isthmus.errors import Invalid, NotFound, Throttled
from isthmus.events.port import Column, StreamSpec
from isthmus.tests.adapters.sagemaker.data_kit import COLUMNS, T0

SPEC = StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id")
NAME = "conf-clicks_raw"
NOW = timedelta()


def event(number):
    return {"event_id": f"e{number}", "event_timestamp": T0.replace(tzinfo=UTC), "item": number}


def ids(batch):
    return {row["event_id"] for row in batch.events}


@pytest.fixture
def kinesis(target):
    return target.native.client("kinesis")


@pytest.fixture
def two_shards(target, kinesis):
    """A stream whose shard count can be changed, which one on demand does not let us."""
    kinesis.create_stream(StreamName=NAME, ShardCount=2)
    target.events.apply(SPEC)
    return target


@pytest.fixture
def stream(target):
    target.events.apply(SPEC)
    return target


def begin(target, **ago):
    since = target.clock() - timedelta(**(ago or {"hours": 1}))
    return target.event_source.apply(SPEC.name, "one", since=since)


def read(target, after, *, limit=10_000, patience=NOW):
    return target.event_source.read(SPEC.name, "one", after=after, limit=limit, patience=patience)


def read_to_the_end(target, place, *, limit=10_000):
    found, deadline = [], time.monotonic() + 60
    while time.monotonic() < deadline:
        batch = read(target, place, limit=limit)
        place = batch.receipt
        found += [row["event_id"] for row in batch.events]
        if batch.behind == NOW and not batch.events:
            return found, place
    raise AssertionError(f"after a minute there are events still: {batch}")


def reshard(kinesis, count):
    kinesis.update_shard_count(
        StreamName=NAME, TargetShardCount=count, ScalingType="UNIFORM_SCALING"
    )


def test_nothing_is_lost_or_doubled_while_shards_are_split_and_merged_under_load(
    two_shards, kinesis
):
    """From 2 to 4 to 2 to 1, while one writes and another reads, who begins anew all the time."""
    target, sent, failures = two_shards, [], []

    def write():
        try:
            for step, count in enumerate((None, 4, 2, 1, None)):
                for call in range(6):
                    numbers = range(1000 * step + 20 * call, 1000 * step + 20 * call + 20)
                    target.events.append(SPEC.name, [event(number) for number in numbers])
                    sent.extend(f"e{number}" for number in numbers)
                    time.sleep(0.05)
                if count:
                    reshard(kinesis, count)
        except BaseException as error:
            failures.append(error)
            raise

    place = begin(target)
    writer = threading.Thread(target=write)
    writer.start()
    found = []
    while writer.is_alive():
        batch = read(target, place, limit=37, patience=timedelta(milliseconds=100))
        found += [row["event_id"] for row in batch.events]
        place = batch.receipt
        target.event_source.remove(SPEC.name, "one")  # as a process that begins with its place
    writer.join()
    rest, place = read_to_the_end(target, place, limit=37)
    assert failures == []
    assert len(sent) == 600
    assert sorted(found + rest) == sorted(sent)
    shards = kinesis.list_shards(StreamName=NAME)["Shards"]
    assert len(shards) == 2 + 4 + 2 + 1
    assert len(msgspec.json.decode(place)["ended"]) == len(shards) - 1


def test_events_of_one_key_keep_their_order_across_a_split(two_shards, kinesis):
    place = begin(two_shards)
    expected = []
    for count in (4, 2, 1):
        for _ in range(30):
            row = event(0) | {"item": len(expected)}
            two_shards.events.append(SPEC.name, [row])
            expected.append(row["item"])
        reshard(kinesis, count)
    found = []
    while len(found) < len(expected):
        batch = read(two_shards, place, limit=7)
        place = batch.receipt
        found += [row["item"] for row in batch.events]
    assert found == expected


def test_a_place_goes_on_after_the_last_event_of_every_shard(stream):
    place = begin(stream)
    stream.events.append(SPEC.name, [event(number) for number in range(40)])
    found, place = read_to_the_end(stream, place, limit=9)
    assert sorted(found) == sorted(f"e{number}" for number in range(40))
    assert len(msgspec.json.decode(place)["read"]) == 4  # a stream on demand has four shards
    stream.events.append(SPEC.name, [event(40)])
    reopened = targets.load(stream.profile)
    try:
        assert ids(read(reopened, place)) == {"e40"}
    finally:
        reopened.close()


def test_only_what_arrived_since_is_read(stream, stack):
    stream.events.append(SPEC.name, [event(1)])
    stack.advance(3600)
    stream.events.append(SPEC.name, [event(2)])
    since = stack.now() - timedelta(minutes=30)
    place = stream.event_source.apply(SPEC.name, "one", since=since)
    assert read_to_the_end(stream, place)[0] == ["e2"]


def test_a_place_in_the_future_of_kinesis_clock_begins_now(stream):
    stream.events.append(SPEC.name, [event(1)])
    since = datetime.now(UTC) + timedelta(hours=1)
    place = stream.event_source.apply(SPEC.name, "one", since=since)
    place = read(stream, place).receipt
    stream.events.append(SPEC.name, [event(2)])
    assert read_to_the_end(stream, place)[0] == ["e2"]


def test_a_place_whose_record_is_trimmed_goes_on_with_the_oldest_that_is_kept(stream, stack):
    place = begin(stream)
    stream.events.append(SPEC.name, [event(number) for number in range(20)])
    _, place = read_to_the_end(stream, place)
    stack.advance(25 * 3600)
    stream.events.append(SPEC.name, [event(number) for number in range(20, 40)])
    reopened = targets.load(stream.profile)
    try:
        found, _ = read_to_the_end(reopened, place)
    finally:
        reopened.close()
    assert sorted(found) == sorted(f"e{number}" for number in range(20, 40))


def test_an_iterator_that_expired_is_made_anew(stream, stack):
    place = begin(stream)
    stream.events.append(SPEC.name, [event(1)])
    _, place = read_to_the_end(stream, place)
    stack.advance(600)
    stream.events.append(SPEC.name, [event(2)])
    assert read_to_the_end(stream, place)[0] == ["e2"]


def test_a_shard_that_refuses_once_is_asked_again(stream, stack):
    place = begin(stream)
    stream.events.append(SPEC.name, [event(1)])
    code = "ProvisionedThroughputExceededException"
    stack.fault(kind="error", service="kinesis", operation="GetRecords", code=code, status=400)
    found = set()
    while not found:
        batch = read(stream, place, patience=timedelta(seconds=5))
        found, place = ids(batch), batch.receipt
    assert found == {"e1"}


def test_shards_that_go_on_refusing_are_throttled_and_the_place_stays(stream, stack):
    place = begin(stream)
    stream.events.append(SPEC.name, [event(1)])
    code = "ProvisionedThroughputExceededException"
    stack.fault(
        kind="error", service="kinesis", operation="GetRecords", code=code, status=400, times=None
    )
    with pytest.raises(Throttled):
        read(stream, place, patience=timedelta(milliseconds=300))
    stack.clear_faults()
    assert read_to_the_end(stream, place)[0] == ["e1"]


def test_a_stream_that_is_read_without_pause_is_never_refused(stream, stack):
    """The stack refuses a sixth read of a shard in a second, as AWS does."""
    place, end = begin(stream), time.monotonic() + 3
    while time.monotonic() < end:
        place = read(stream, place).receipt
    answers = [call.status for call in stack.calls() if call.operation == "GetRecords"]
    assert set(answers) == {200}


def test_the_place_of_a_stream_that_was_made_again_begins_anew(stream, kinesis):
    place = begin(stream)
    stream.events.append(SPEC.name, [event(number) for number in range(30)])
    _, place = read_to_the_end(stream, place)
    for resource in stream.inventory.list("conf"):
        if resource.kind == "stream":
            stream.inventory.delete(resource)
    with pytest.raises(NotFound):
        read(stream, place)
    stream.events.apply(SPEC)
    stream.events.append(SPEC.name, [event(100)])
    assert read_to_the_end(stream, place)[0] == ["e100"]


def test_records_that_others_put_are_left_out_unless_they_are_events(stream, kinesis):
    place = begin(stream)
    wrong = [b"no json", b"[1]", b'{"event_id": 5}', b'{"event_id": "x", "item": "one"}']
    fitting = b'{"event_id": "y", "event_timestamp": "2026-01-01 00:00:00", "other": 1}'
    for data in (*wrong, fitting):
        kinesis.put_record(StreamName=NAME, Data=data, PartitionKey="k")
    assert read_to_the_end(stream, place)[0] == ["y"]


def test_bytes_that_are_no_place_are_refused(stream):
    with pytest.raises(Invalid, match="no place in stream clicks_raw"):
        read(stream, b"{}")


def test_nothing_is_asked_of_aws_that_changes_anything(stream):
    before = len(stream.calls.calls)
    place = begin(stream)
    place = read(stream, place).receipt
    stream.event_source.commit(SPEC.name, "one", place)
    stream.event_source.remove(SPEC.name, "one")
    assert not [call for call in stream.calls.calls[before:] if call.mutating]


SHARDS = (
    Shard(name="a", parents=()),
    Shard(name="b", parents=()),
    Shard(name="c", parents=("a", "b")),
    Shard(name="d", parents=("gone",)),
)


def test_a_merged_shard_is_read_when_both_its_parents_have_ended():
    assert places.readable(Place(created="", since=0), SHARDS) == ["a", "b", "d"]
    assert places.readable(Place(created="", since=0, ended=["a"]), SHARDS) == ["b", "d"]
    assert places.readable(Place(created="", since=0, ended=["a", "b"]), SHARDS) == ["c", "d"]
    assert places.waiting(Place(created="", since=0, ended=["a"]), SHARDS)
    assert not places.waiting(Place(created="", since=0, ended=["a", "b"]), SHARDS)


def test_a_place_forgets_shards_that_the_stream_no_longer_has():
    place = Place(created="", since=0, read={"a": "1", "z": "2"}, ended=["b", "y"])
    places.forget_absent(place, SHARDS)
    assert (place.read, place.ended) == ({"a": "1"}, ["b"])


def test_a_shard_that_gave_much_or_refused_is_left_alone_for_longer():
    keeper = pace.Pace()
    assert keeper.take("s", "a")
    assert not keeper.take("s", "a")
    assert keeper.take("s", "b")
    keeper.note_answer("s", "a", 10 << 20)
    assert keeper.wait("s", ["a"]) > 4
    assert keeper.wait("s", ["a", "b"]) <= 0.25
    waits = []
    for _ in range(6):
        keeper.note_refusal("s", "b")
        waits.append(round(keeper.wait("s", ["b"]), 1))
    assert waits == [0.5, 1, 2, 4, 8, 8]


@pytest.mark.parametrize("kind", ["int64", "bool", "float64", "string", "timestamp"])
def test_a_value_of_another_type_is_no_event(kind):
    wrong = {"int64": b"1.5", "bool": b"1", "float64": b'"x"', "string": b"1", "timestamp": b'"x"'}
    column = Column(name="x", type=kind)
    assert stream_records.events([column], [b'{"x": ' + wrong[kind] + b"}"]) == ([], frozenset())
    assert stream_records.events([column], [b"{}"]) == ([{"x": None}], frozenset())
