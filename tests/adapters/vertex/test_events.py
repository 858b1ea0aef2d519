"""Events through Pub/Sub when calls go wrong on the way, and what is particular to its BigQuery
subscription.
"""

from datetime import UTC, datetime, timedelta

import pytest

from isthmus.adapters.common.event_values import rules_of
from isthmus.adapters.common.warehouse.tables import TableDocument
from isthmus.adapters.vertex.events import messages
from isthmus.errors import Denied, Invalid, NotFound, OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import StreamSpec
from isthmus.storage import wait
from isthmus.tests.conformance.data.clicks import COLUMNS, SPEC, rows

CLEAR = (OutcomeUnknown, Unavailable, Throttled)
STREAM = StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id")
T0 = datetime(2026, 1, 1, tzinfo=UTC)
CALLS = [
    ("apply", "bigquery.tables.insert"),
    ("apply", "Publisher.CreateTopic"),
    ("apply", "Subscriber.CreateSubscription"),
    ("append", "Subscriber.GetSubscription"),
    ("append", "Publisher.Publish"),
]


def event(number, **other):
    return {"event_id": f"e{number}", "event_timestamp": T0, "item": number} | other


def seen(target, count):
    """The ids in the table, once there are so many."""

    def ids():
        table = target.warehouse.query(
            "SELECT DISTINCT event_id FROM clicks_raw ORDER BY event_id", {}
        )
        return table["event_id"].to_pylist()

    return wait(ids, lambda seen: len(seen) >= count, deadline=timedelta(seconds=60))


def stream_of(target):
    return next(
        (resource for resource in target.inventory.list("conf") if resource.kind == "stream"), None
    )


@pytest.mark.parametrize("kind", ["cut-after", "throttle"])
@pytest.mark.parametrize(("verb", "operation"), CALLS)
def test_a_call_that_goes_wrong_ends_as_intended_or_in_a_clear_error_and_then_as_intended(
    target, stack, verb, operation, kind
):
    verbs = {
        "apply": lambda: target.events.apply(STREAM),
        "append": lambda: target.events.append(STREAM.name, [event(1), event(2)]),
    }
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
    assert seen(target, 2) == ["e1", "e2"]
    assert [(r.kind, r.name) for r in target.inventory.list("conf")] == [
        ("stream", "clicks_raw"),
        ("table", "clicks_raw"),
    ]


def test_half_a_stream_is_seen_by_plan_and_finished_by_apply(target, stack):
    stack.fault(kind="error", operation="Subscriber.CreateSubscription", code="PERMISSION_DENIED")
    with pytest.raises(Denied):
        target.events.apply(STREAM)
    stack.fault(
        kind="error",
        operation="Subscriber.CreateSubscription",
        name="conf-clicks-raw",
        code="PERMISSION_DENIED",
    )
    with pytest.raises(Denied) as refused:
        target.events.apply(STREAM)
    assert "roles/bigquery.dataEditor" in refused.value.remedy
    stack.clear_faults()
    assert target.events.observe("clicks_raw") == "creating"
    target.events.apply(STREAM)
    assert target.events.observe("clicks_raw") == "ready"


def test_a_stream_that_is_idle_for_months_keeps_its_subscriptions(target):
    target.events.apply(STREAM)
    for name in ("conf-clicks-raw", "conf-clicks-raw.dead"):
        path = f"projects/conformance/subscriptions/{name}"
        subscription = target.native.subscriber.get_subscription(request={"subscription": path})
        assert not subscription.expiration_policy.ttl


@pytest.mark.parametrize("operation", ["CreateTopic", "DeleteTopic"])
def test_what_a_kill_leaves_of_a_stream_is_listed_until_it_is_gone(target, stack, operation):
    """Each call is refused once, as if the one before had been the last."""
    for number in (1, 2):
        if operation == "DeleteTopic":
            target.events.apply(STREAM)
        name = ("conf-clicks-raw.dead", "conf-clicks-raw")[number - 1]
        stack.fault(
            kind="error", operation=f"Publisher.{operation}", name=name, code="PERMISSION_DENIED"
        )
        with pytest.raises(Denied):
            target.events.apply(STREAM) if operation == "CreateTopic" else target.inventory.delete(
                stream_of(target)
            )
        stack.clear_faults()
        while resource := stream_of(target):
            target.inventory.delete(resource)
        topics = target.native.publisher.list_topics(request={"project": "projects/conformance"})
        assert [topic.name for topic in topics] == []


def test_batches_and_events_are_read_together(target):
    target.warehouse.apply(SPEC)
    target.warehouse.append("clicks_raw", rows(7), batch="b1")
    target.events.apply(STREAM)
    target.events.append("clicks_raw", [event(1)])
    assert seen(target, 2) == ["e1", "e7"]


def test_what_the_table_does_not_take_waits_a_week_in_the_dead_letters(target):
    target.events.apply(STREAM)
    topic = "projects/conformance/topics/conf-clicks-raw"
    target.native.publisher.publish(
        request={"topic": topic, "messages": [{"data": b'{"event_id": "x", "item": "many"}'}]}
    )
    dead = "projects/conformance/subscriptions/conf-clicks-raw.dead"
    subscription = target.native.subscriber.get_subscription(request={"subscription": dead})
    assert subscription.message_retention_duration == timedelta(days=7)
    assert seen(target, 0) == []
    pull = lambda: (  # noqa: E731
        target.native.subscriber.pull(
            request={"subscription": dead, "max_messages": 5}
        ).received_messages
    )
    (rejected,) = wait(pull, bool, deadline=timedelta(seconds=60))
    assert b"many" in rejected.message.data


def test_a_stream_that_was_destroyed_leaves_its_table(target):
    target.events.apply(STREAM)
    target.events.append("clicks_raw", [event(1)])
    assert seen(target, 1) == ["e1"]
    (stream,) = [r for r in target.inventory.list("conf") if r.kind == "stream"]
    target.inventory.delete(stream)
    assert target.events.observe("clicks_raw") is None
    with pytest.raises(NotFound):
        target.events.append("clicks_raw", [event(2)])
    assert seen(target, 1) == ["e1"]
    target.events.apply(STREAM)
    assert target.events.append("clicks_raw", [event(2)]) == ()


@pytest.mark.parametrize("score", [float("nan"), float("inf")])
def test_a_number_that_json_has_not_is_refused_by_its_name(score):
    document = TableDocument(
        name="s", columns=COLUMNS, time_column="event_timestamp", stream_key="event_id"
    )
    with pytest.raises(Invalid, match="score"):
        messages.message(rules_of(document), event(1, score=score))


def test_a_call_holds_at_most_a_thousand_messages_and_eight_mebibytes():
    assert [len(call) for call in messages.calls([b"x"] * 2_500)] == [1000, 1000, 500]
    assert [len(call) for call in messages.calls([b"x" * (1 << 20)] * 20)] == [8, 8, 4]
