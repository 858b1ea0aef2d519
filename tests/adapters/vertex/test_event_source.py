"""Streams that are read through Pub/Sub when calls go wrong on the way or processes are killed, and
what is particular to its subscriptions.
"""

from datetime import UTC, datetime, timedelta
from functools import partial
from operator import add

import pytest

from isthmus.adapters import targets
from isthmus.adapters.common.event_values import rules_of
from isthmus.adapters.common.warehouse.tables import TableDocument
from isthmus.adapters.vertex.events import messages
from isthmus.errors import Denied, NotFound, OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import StreamSpec
from isthmus.tests.conformance.data.clicks import COLUMNS

CLEAR = (OutcomeUnknown, Unavailable, Throttled)
STREAM = StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
TOPIC = "projects/conformance/topics/conf-clicks-raw"
SUBSCRIPTION = "projects/conformance/subscriptions/conf-clicks-raw.consumer.item-live"
CALLS = [
    ("apply", "Subscriber.CreateSubscription"),
    ("apply", "Subscriber.Seek"),
    ("apply", "Subscriber.UpdateSubscription"),
    ("begin", "Subscriber.CreateSnapshot"),
    ("begin", "Subscriber.Seek"),
    ("begin", "Subscriber.DeleteSnapshot"),
    ("begin", "Subscriber.Pull"),
    ("commit", "Subscriber.Acknowledge"),
    ("remove", "Subscriber.DeleteSubscription"),
]


def append(target, *numbers):
    events = [{"event_id": f"e{n}", "event_timestamp": T0, "item": n} for n in numbers]
    assert target.events.append("clicks_raw", events) == ()


def apply(target):
    return target.event_source.apply("clicks_raw", "item_live", since=T0)


def read(target, *, limit=1000, seconds=1.0):
    return target.event_source.read(
        "clicks_raw", "item_live", after=b"", limit=limit, patience=timedelta(seconds=seconds)
    )


def commit(target, batch):
    target.event_source.commit("clicks_raw", "item_live", batch.receipt)


def items(batch):
    return sorted(row["item"] for row in batch.events)


@pytest.fixture
def stream(target):
    target.events.apply(STREAM)
    return target


@pytest.fixture
def killed(profile):
    """A target whose process was killed: nothing is closed or given back."""
    return targets.load(profile)


@pytest.mark.parametrize("kind", ["cut-after", "throttle"])
@pytest.mark.parametrize(("verb", "operation"), CALLS)
def test_a_call_that_goes_wrong_loses_nothing(stream, killed, stack, verb, operation, kind):
    append(stream, 1, 2)
    batches = {}

    def begin():
        batches["last"] = read(stream)

    verbs = {
        "apply": lambda: apply(stream),
        "begin": begin,
        "commit": lambda: commit(stream, batches["last"]),
        "remove": lambda: stream.event_source.remove("clicks_raw", "item_live"),
    }
    if verb == "begin":  # an earlier process read, and was killed
        apply(killed)
        assert items(read(killed)) == [1, 2]
    for name, do in verbs.items():
        if name == verb:
            stack.fault(kind=kind, operation=operation)
            try:
                do()
            except CLEAR:
                do()
            assert stack.faults() == (), f"{operation} was not called"
        else:
            do()
        if name == "begin":
            assert items(batches["last"]) == [1, 2]
    with pytest.raises(NotFound):
        read(stream)


def test_what_a_killed_process_held_comes_at_once_and_what_it_committed_does_not(stream, killed):
    apply(killed)
    append(stream, 1, 2)
    commit(killed, read(killed))
    append(stream, 3, 4)
    assert items(read(killed)) == [3, 4]
    apply(stream)
    assert items(read(stream)) == [3, 4]
    commit(stream, read(stream))  # an empty one, and all before it
    assert (read(stream).events, read(stream).behind) == ((), timedelta(0))
    snapshots = stream.native.subscriber.list_snapshots(request={"project": "projects/conformance"})
    assert list(snapshots) == []


def test_a_process_that_ends_between_creation_and_seek_does_not_move_the_beginning(stream, stack):
    append(stream, 1)
    stack.fault(kind="error", operation="Subscriber.Seek", code="PERMISSION_DENIED")
    with pytest.raises(Denied) as refused:
        apply(stream)
    assert "roles/pubsub.editor" in refused.value.remedy
    stack.clear_faults()
    with pytest.raises(NotFound):  # it is not yet a consumer
        read(stream)
    append(stream, 2)
    apply(stream)
    assert items(read(stream)) == [1, 2]


def test_leases_are_extended_while_they_are_held_and_end_with_the_process(stream, killed, stack):
    apply(killed)
    append(stream, 1)
    assert items(read(killed)) == [1]
    begin = killed.clock()
    for minutes in range(1, 5):  # longer than one lease
        stack.advance(60)
        killed.clock = partial(add, begin, timedelta(minutes=minutes))
        assert read(killed, seconds=0).events == ()
    stack.advance(121)
    assert items(read(killed, seconds=0)) == [1]


def test_more_than_a_request_holds_is_read_and_committed(stream):
    apply(stream)
    append(stream, *range(3500))
    found = []
    while batch := read(stream, limit=2500).events:
        found += [row["item"] for row in batch]
    assert sorted(found) == list(range(3500))
    commit(stream, read(stream))
    stream.close()


def test_an_answer_that_takes_longer_than_the_patience_is_not_lost(stream, stack):
    apply(stream)
    append(stream, 1, 2)
    stack.fault(kind="latency", operation="Subscriber.Pull", seconds=1)
    found = items(read(stream, seconds=0.25))
    assert stack.faults() == (), "Subscriber.Pull was not called"
    assert found == [1, 2]  # what was lost would come again after two minutes


def test_topics_of_an_earlier_release_keep_their_events_from_the_next_apply_on(stream):
    publisher = stream.native.publisher
    publisher.update_topic(
        request={
            "topic": {"name": TOPIC},
            "update_mask": {"paths": ["message_retention_duration"]},
        }
    )
    assert not publisher.get_topic(request={"topic": TOPIC}).message_retention_duration
    stream.events.apply(STREAM)
    kept = publisher.get_topic(request={"topic": TOPIC}).message_retention_duration
    assert kept == timedelta(days=1) == stream.capabilities["events.replay"].value


def test_consumers_never_expire_and_go_with_their_stream(stream):
    apply(stream)
    subscriber = stream.native.subscriber
    consumer = subscriber.get_subscription(request={"subscription": SUBSCRIPTION})
    assert not consumer.expiration_policy.ttl
    labels = dict(consumer.labels)
    assert (labels["isthmus_project"], labels["isthmus_consumer"]) == ("conf", "item_live")
    (resource,) = [r for r in stream.inventory.list("conf") if r.kind == "stream"]
    stream.inventory.delete(resource)
    left = subscriber.list_subscriptions(request={"project": "projects/conformance"})
    assert list(left) == []


def test_a_message_that_is_no_event_of_the_stream_is_left_out(stream):
    apply(stream)
    wrong = (b"no json", b"[]", b'{"item": 1}', b'{"event_id": "e", "event_timestamp": 3}')
    stream.native.publisher.publish(
        request={"topic": TOPIC, "messages": [{"data": body} for body in wrong]}
    )
    append(stream, 7)
    found = []
    while not found:
        found = items(read(stream))
    assert found == [7]


def test_an_event_is_the_same_after_its_way_as_a_message():
    rules = rules_of(
        TableDocument(
            name="clicks_raw", columns=COLUMNS, time_column="event_timestamp", stream_key="item"
        )
    )
    event = {column.name: None for column in COLUMNS} | {
        "event_id": "ü",
        "event_timestamp": T0 + timedelta(milliseconds=7),
        "item": -(2**63),
    }
    assert messages.event(COLUMNS, messages.message(rules, event)) == event
