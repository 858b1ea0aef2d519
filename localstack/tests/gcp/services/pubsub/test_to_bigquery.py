"""Subscriptions that write into BigQuery, with Google's own clients."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import bigquery
from google.pubsub_v1 import PublisherClient, SubscriberClient
from google.pubsub_v1.types import BigQueryConfig, PubsubMessage

from isthmus_stack.core.clock import Clock
from isthmus_stack.gcp.core.errors import GcpError
from isthmus_stack.gcp.services.bigquery.operations import in_process
from isthmus_stack.gcp.services.bigquery.pending_rows import PendingRows
from isthmus_stack.gcp.services.pubsub import bigquery_subscriptions
from isthmus_stack.gcp.services.pubsub.backlog import Backlog, Rules
from isthmus_stack.gcp.services.pubsub.records import Subscription

PROJECT = "projects/shop-project"
TOPIC, DEAD, SUBSCRIPTION = (
    f"{PROJECT}/topics/clicks",
    f"{PROJECT}/topics/dead",
    f"{PROJECT}/subscriptions/clicks-table",
)
TABLE = "shop-project.shop.clicks"
SCHEMA = [
    bigquery.SchemaField("event_id", "STRING", "REQUIRED"),
    bigquery.SchemaField("at", "TIMESTAMP"),
    bigquery.SchemaField("n", "INT64"),
]


@pytest.fixture
def warehouse(gcp):
    client = bigquery.Client(
        "shop-project", credentials=AnonymousCredentials(), client_options={"api_endpoint": gcp.url}
    )
    client.create_dataset("shop")
    client.create_table(bigquery.Table(TABLE, schema=SCHEMA))
    return client


@pytest.fixture
def publish(gcp, warehouse):
    """`publish(row, ...)`:

    JSON objects, or bytes, to a topic whose subscription writes into the table.
    """
    publisher, subscriber = gcp.client(PublisherClient), gcp.client(SubscriberClient)
    for topic in (TOPIC, DEAD):
        publisher.create_topic(name=topic)
    subscriber.create_subscription(name=f"{PROJECT}/subscriptions/dead-all", topic=DEAD)
    subscriber.create_subscription(
        request={
            "name": SUBSCRIPTION,
            "topic": TOPIC,
            "bigquery_config": {
                "table": TABLE,
                "use_table_schema": True,
                "drop_unknown_fields": True,
            },
            "dead_letter_policy": {"dead_letter_topic": DEAD, "max_delivery_attempts": 5},
        }
    )

    def publish(*rows):
        data = [row if isinstance(row, bytes) else json.dumps(row).encode() for row in rows]
        publisher.publish(topic=TOPIC, messages=[{"data": content} for content in data])

    return publish


def rows(warehouse):
    return [
        tuple(row.values())
        for row in warehouse.query_and_wait(
            "SELECT event_id, n FROM shop.clicks ORDER BY event_id, n"
        )
    ]


def test_what_was_published_is_in_the_table_for_whoever_reads_it(warehouse, publish):
    publish(
        {"event_id": "a", "at": "2026-01-01T00:00:00Z", "n": 1, "colour": "red"}, {"event_id": "b"}
    )
    assert rows(warehouse) == [("a", 1), ("b", None)]
    publish({"event_id": "c", "n": 3})
    assert warehouse.get_table(TABLE).num_rows == 3


def test_what_does_not_fit_goes_to_the_dead_letter_topic(gcp, warehouse, publish):
    publish({"event_id": "a", "n": 1}, {"n": 2}, b"no JSON", {"event_id": "b", "n": "many"})
    assert rows(warehouse) == [("a", 1)]
    letters = (
        gcp.client(SubscriberClient)
        .pull(subscription=f"{PROJECT}/subscriptions/dead-all", max_messages=10)
        .received_messages
    )
    assert [letter.message.data for letter in letters] == [
        b'{"n": 2}',
        b"no JSON",
        b'{"event_id": "b", "n": "many"}',
    ]
    assert (
        letters[0].message.attributes["CloudPubSubDeadLetterSourceSubscription"] == "clicks-table"
    )


def test_a_table_that_went_gets_the_messages_when_it_is_there_again(warehouse, publish):
    warehouse.delete_table(TABLE)
    publish({"event_id": "a", "n": 1})
    with pytest.raises(exceptions.NotFound):
        rows(warehouse)
    warehouse.create_table(bigquery.Table(TABLE, schema=SCHEMA))
    assert rows(warehouse) == [("a", 1)]


def test_a_duplicate_is_in_the_table_twice(gcp, warehouse, publish):
    gcp.fault(kind="duplicate", operation="Publisher.Publish")
    publish({"event_id": "a", "n": 1})
    assert rows(warehouse) == [("a", 1), ("a", 1)]


def test_what_a_seek_brings_back_is_written_again(gcp, warehouse, publish):
    subscriber = gcp.client(SubscriberClient)
    subscriber.update_subscription(
        request={
            "subscription": {"name": SUBSCRIPTION, "retain_acked_messages": True},
            "update_mask": {"paths": ["retain_acked_messages"]},
        }
    )
    publish({"event_id": "a", "n": 1})
    assert rows(warehouse) == [("a", 1)]
    subscriber.seek(
        request={"subscription": SUBSCRIPTION, "time": datetime.now(UTC) - timedelta(minutes=1)}
    )
    assert rows(warehouse) == [("a", 1), ("a", 1)]


def test_what_follows_an_unfit_message_of_its_key_waits_for_it_and_is_written_once(gcp, warehouse):
    publisher, subscriber = gcp.client(PublisherClient), gcp.client(SubscriberClient)
    publisher.create_topic(name=TOPIC)
    config = {"table": TABLE, "use_table_schema": True}
    subscriber.create_subscription(
        request={
            "name": SUBSCRIPTION,
            "topic": TOPIC,
            "bigquery_config": config,
            "enable_message_ordering": True,
        }
    )
    data = [b'{"event_id": "a"}', b"no JSON", b'{"event_id": "b"}']
    publisher.publish(
        topic=TOPIC, messages=[{"data": content, "ordering_key": "k"} for content in data]
    )
    publisher.publish(
        topic=TOPIC, messages=[{"data": b'{"event_id": "c"}', "ordering_key": "other"}]
    )
    assert rows(warehouse) == [("a", None), ("c", None)]
    assert rows(warehouse) == [("a", None), ("c", None)]


def test_the_table_must_be_there_and_the_subscription_is_not_pulled(gcp, publish):
    subscriber = gcp.client(SubscriberClient)
    config = {"table": "shop-project.shop.other", "use_table_schema": True}
    with pytest.raises(exceptions.NotFound):
        subscriber.create_subscription(
            request={
                "name": f"{PROJECT}/subscriptions/other",
                "topic": TOPIC,
                "bigquery_config": config,
            }
        )
    with pytest.raises(exceptions.FailedPrecondition):
        subscriber.pull(subscription=SUBSCRIPTION, max_messages=1)


@pytest.fixture
def slow(monkeypatch):
    """`slow.write()` appends to a table that takes a minute; `slow.rows` is what it has,
    `slow.late` who writes before the next read.

    `slow.publish()` brings a message; the first is there.
    """
    clock, written = Clock("manual"), []
    backlog = Backlog(
        clock, Rules(ack_deadline=10, retention=10**6), lambda _message, _attempts: False
    )
    config = BigQueryConfig(table=TABLE, use_table_schema=True)
    subscription = Subscription(
        SimpleNamespace(bigquery_config=config, name=SUBSCRIPTION),
        backlog,
        lambda _attributes: True,
    )
    late = PendingRows()
    call = SimpleNamespace(store=lambda _kind: late, clock=clock, without_request=lambda: call)
    slow = SimpleNamespace(
        rows=written, backlog=backlog, late=late, clock=clock, error=None, seconds=60
    )
    slow.write = lambda: bigquery_subscriptions.write_waiting(call, subscription)

    def publish():
        message = PubsubMessage.pb()(data=b'{"event_id": "a"}')
        message.publish_time.FromDatetime(datetime.now(UTC))
        backlog.add([message])
        subscription.on_messages()

    publish()
    slow.publish = publish
    slow.attach = lambda: bigquery_subscriptions.start_writing(call, subscription)

    def append(_call, _table, rows, **_):
        if slow.seconds:
            clock.advance(slow.seconds)
        if slow.error is not None:
            raise slow.error
        written.extend(rows)

    monkeypatch.setattr(in_process, "table_schema", lambda _call, _table: ())
    monkeypatch.setattr(in_process, "append_rows", append)
    monkeypatch.setattr(
        "isthmus_stack.gcp.services.bigquery.data.decode.record", lambda row, _fields, **_: row
    )
    return slow


def test_rows_that_are_written_for_longer_than_a_lease_are_written_once(slow):
    slow.write()
    slow.late.settle()
    assert slow.rows == [{"event_id": "a"}]
    assert not slow.backlog.unacknowledged()


def test_rows_whose_writer_breaks_come_again(slow):
    slow.error = RuntimeError("disk")
    with pytest.raises(RuntimeError):
        slow.write()
    slow.error = None
    slow.late.settle()
    assert slow.rows == [{"event_id": "a"}]


def test_what_is_tried_again_keeps_no_later_message_from_being_written_though_nobody_reads(slow):
    slow.attach()
    slow.error, slow.seconds = GcpError("INVALID_ARGUMENT", "the table has changed"), 0
    slow.write()
    slow.error = None
    slow.publish()
    slow.clock.advance(1)
    assert slow.rows == [{"event_id": "a"}] * 2
