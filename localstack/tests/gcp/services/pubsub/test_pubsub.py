"""Pub/Sub with Google's own client: topics, subscriptions, pulls, and streaming pulls."""

import threading

import pytest
from google.api_core import exceptions
from google.cloud import pubsub_v1
from google.pubsub_v1 import PublisherClient, SubscriberClient

PROJECT = "projects/shop-project"
TOPIC, SUBSCRIPTION = f"{PROJECT}/topics/clicks", f"{PROJECT}/subscriptions/clicks-all"


@pytest.fixture(params=["grpc", "rest"])
def clients(gcp, request):
    """A publisher and a subscriber, over both transports, with a topic and its subscription."""
    publisher = gcp.client(PublisherClient, rest=request.param == "rest")
    subscriber = gcp.client(SubscriberClient, rest=request.param == "rest")
    publisher.create_topic(name=TOPIC)
    subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    return publisher, subscriber


def publish(publisher, *texts, **attributes):
    messages = [{"data": text.encode(), "attributes": attributes} for text in texts]
    return publisher.publish(topic=TOPIC, messages=messages).message_ids


def pull(subscriber, most=10, name=SUBSCRIPTION):
    return subscriber.pull(
        subscription=name, max_messages=most, return_immediately=True
    ).received_messages


def create(subscriber, **fields):
    return subscriber.create_subscription(request={"name": SUBSCRIPTION, "topic": TOPIC, **fields})


def texts(received):
    return [item.message.data.decode() for item in received]


def test_what_is_published_is_pulled_until_it_is_acknowledged(gcp, clients):
    publisher, subscriber = clients
    ids = publish(publisher, "a", "b", kind="click")
    received = pull(subscriber)
    assert texts(received) == ["a", "b"]
    assert [item.message.message_id for item in received] == list(ids)
    assert dict(received[0].message.attributes) == {"kind": "click"}
    assert pull(subscriber) == []
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[received[0].ack_id])
    gcp.advance(11)
    again = pull(subscriber)
    assert texts(again) == ["b"]
    subscriber.modify_ack_deadline(
        subscription=SUBSCRIPTION, ack_ids=[again[0].ack_id], ack_deadline_seconds=60
    )
    gcp.advance(11)
    assert pull(subscriber) == []
    subscriber.modify_ack_deadline(
        subscription=SUBSCRIPTION, ack_ids=[again[0].ack_id], ack_deadline_seconds=0
    )
    assert texts(pull(subscriber)) == ["b"]


def test_names_are_there_once_or_not_at_all(clients):
    publisher, subscriber = clients
    with pytest.raises(exceptions.Conflict, match="Resource already exists"):
        publisher.create_topic(name=TOPIC)
    with pytest.raises(exceptions.NotFound, match=r"Resource not found \(resource=other\)"):
        publisher.publish(topic=f"{PROJECT}/topics/other", messages=[{"data": b"x"}])
    with pytest.raises(exceptions.NotFound):
        subscriber.create_subscription(
            name=f"{PROJECT}/subscriptions/second", topic=f"{PROJECT}/topics/other"
        )
    assert [topic.name for topic in publisher.list_topics(project=PROJECT)] == [TOPIC]
    assert list(publisher.list_topic_subscriptions(topic=TOPIC)) == [SUBSCRIPTION]
    publisher.delete_topic(topic=TOPIC)
    assert subscriber.get_subscription(subscription=SUBSCRIPTION).topic == "_deleted-topic_"
    subscriber.delete_subscription(subscription=SUBSCRIPTION)
    assert list(subscriber.list_subscriptions(project=PROJECT)) == []


@pytest.fixture
def pubsub(gcp, monkeypatch):
    """The clients that people use, led by the emulator's variable: they batch, extend leases and
    pull by stream.
    """
    monkeypatch.setenv("PUBSUB_EMULATOR_HOST", gcp.grpc_address)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    ordering = pubsub_v1.types.PublisherOptions(enable_message_ordering=True)
    with pubsub_v1.SubscriberClient() as subscriber:
        publisher = pubsub_v1.PublisherClient(publisher_options=ordering)
        publisher.create_topic(name=TOPIC)
        yield publisher, subscriber
        publisher.stop()


class Received:
    """What a streaming pull has brought, and what is said to each message."""

    def __init__(self, answer):
        self.texts = []
        self._answered = 0
        self._answer = answer
        self._changed = threading.Condition()

    def __call__(self, message):
        self.texts.append(message.data.decode())
        self._answer(message)
        with self._changed:
            self._answered += 1
            self._changed.notify_all()

    def wait(self, count):
        """Until as many have been answered: what is cancelled before forgets an answer that has not
        been given.
        """
        with self._changed:
            assert self._changed.wait_for(lambda: self._answered >= count, 60), self.texts
            return self.texts


def test_a_streaming_pull_brings_each_message_in_the_order_of_its_key(gcp, pubsub):
    publisher, subscriber = pubsub
    create(subscriber, enable_message_ordering=True)
    for place in range(20):
        publisher.publish(TOPIC, f"{place}".encode(), ordering_key="user-1")
    received = Received(lambda message: message.ack())
    future = subscriber.subscribe(SUBSCRIPTION, received)
    try:
        assert received.wait(20) == [f"{place}" for place in range(20)]
    finally:
        future.cancel()
        future.result(timeout=60)
    gcp.advance(700)
    assert texts(pull(subscriber)) == []


def test_a_nacked_message_comes_again_and_ends_in_the_dead_letter_topic(gcp, pubsub):
    publisher, subscriber = pubsub
    dead = f"{PROJECT}/topics/dead"
    publisher.create_topic(name=dead)
    subscriber.create_subscription(name=f"{PROJECT}/subscriptions/dead-all", topic=dead)
    policy = {"dead_letter_topic": dead, "max_delivery_attempts": 5}
    create(subscriber, dead_letter_policy=policy)
    publisher.publish(TOPIC, b"poison", kind="click").result(timeout=60)
    attempts = []
    received = Received(lambda message: (attempts.append(message.delivery_attempt), message.nack()))
    letters = Received(lambda message: message.ack())
    futures = [
        subscriber.subscribe(SUBSCRIPTION, received),
        subscriber.subscribe(f"{PROJECT}/subscriptions/dead-all", letters),
    ]
    try:
        assert letters.wait(1) == ["poison"]
        assert attempts == [1, 2, 3, 4, 5]
    finally:
        for future in futures:
            future.cancel()
            future.result(timeout=60)  # or what it still sends comes into the log of the next test


def test_a_retry_policy_makes_a_nacked_message_wait(gcp, pubsub):
    publisher, subscriber = pubsub
    create(subscriber, retry_policy={"minimum_backoff": "30s", "maximum_backoff": "100s"})
    publisher.publish(TOPIC, b"a").result(timeout=60)
    for backoff in (30, 60, 100):
        [message] = pull(subscriber)
        subscriber.modify_ack_deadline(
            subscription=SUBSCRIPTION, ack_ids=[message.ack_id], ack_deadline_seconds=0
        )
        gcp.advance(backoff - 5)
        assert pull(subscriber) == []
        gcp.advance(6)


def test_a_stream_gives_no_more_than_the_client_wants_outstanding(gcp, pubsub):
    publisher, subscriber = pubsub
    subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    for place in range(5):
        publisher.publish(TOPIC, f"{place}".encode()).result(timeout=60)
    requests = iter(lambda: threading.Event().wait(60), None)
    first = pubsub_v1.types.StreamingPullRequest(
        subscription=SUBSCRIPTION, stream_ack_deadline_seconds=60, max_outstanding_messages=2
    )

    def ask():
        yield first
        yield from requests

    stream = subscriber.streaming_pull(requests=ask())
    answer = next(iter(stream))
    assert len(answer.received_messages) == 2
    assert len(pull(subscriber)) == 3
    stream.cancel()


def test_a_filter_takes_messages_by_their_attributes(gcp, pubsub):
    publisher, subscriber = pubsub
    with pytest.raises(exceptions.InvalidArgument, match="filter is not valid"):
        create(subscriber, filter="kind = click")
    create(subscriber, filter='attributes.kind = "click" AND NOT attributes:test')
    for text, attributes in (
        ("a", {"kind": "click"}),
        ("b", {"kind": "view"}),
        ("c", {"kind": "click", "test": "1"}),
        ("d", {}),
    ):
        publisher.publish(TOPIC, text.encode(), **attributes).result(timeout=60)
    assert texts(pull(subscriber)) == ["a"]


def test_with_exactly_once_delivery_a_late_acknowledgement_is_refused(gcp, pubsub):
    publisher, subscriber = pubsub
    create(subscriber, enable_exactly_once_delivery=True)
    publisher.publish(TOPIC, b"a").result(timeout=60)
    [message] = pull(subscriber)
    gcp.advance(11)
    with pytest.raises(exceptions.FailedPrecondition) as refused:
        subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[message.ack_id])
    assert refused.value.reason == "EXACTLY_ONCE_ACKID_FAILURE"
    answers = []
    future = subscriber.subscribe(
        SUBSCRIPTION, lambda message: answers.append(message.ack_with_response())
    )
    try:
        deadline = threading.Event()
        while not answers:
            assert not deadline.wait(0.05)
        assert answers[0].result(timeout=60).name == "SUCCESS"
    finally:
        future.cancel()
        future.result(timeout=60)


def test_seek_goes_back_to_a_snapshot_and_to_a_time(gcp, pubsub):
    publisher, subscriber = pubsub
    create(subscriber, retain_acked_messages=True)
    snapshot = f"{PROJECT}/snapshots/before"
    publisher.publish(TOPIC, b"a").result(timeout=60)
    subscriber.create_snapshot(name=snapshot, subscription=SUBSCRIPTION)
    publisher.publish(TOPIC, b"b").result(timeout=60)
    subscriber.acknowledge(
        subscription=SUBSCRIPTION, ack_ids=[item.ack_id for item in pull(subscriber)]
    )
    subscriber.seek({"subscription": SUBSCRIPTION, "snapshot": snapshot})
    received = pull(subscriber)
    assert texts(received) == ["a", "b"]
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[item.ack_id for item in received])
    subscriber.seek({"subscription": SUBSCRIPTION, "time": received[1].message.publish_time})
    assert texts(pull(subscriber)) == ["b"]


def test_a_new_subscription_seeks_to_what_its_topic_keeps_and_no_further(gcp, pubsub):
    publisher, subscriber = pubsub
    hour, topic = {"seconds": 3600}, {"name": TOPIC}
    publisher.publish(TOPIC, b"not kept").result(timeout=60)
    publisher.update_topic(
        topic=topic | {"message_retention_duration": hour},
        update_mask={"paths": ["message_retention_duration"]},
    )
    publisher.publish(TOPIC, b"a").result(timeout=60)
    gcp.advance(1200)
    publisher.publish(TOPIC, b"b").result(timeout=60)
    made = create(subscriber, message_retention_duration={"seconds": 600})
    assert made.topic_message_retention_duration.total_seconds() == 3600
    assert pull(subscriber) == []
    subscriber.seek({"subscription": SUBSCRIPTION, "time": {"seconds": 0}})
    received = pull(subscriber)
    assert texts(received) == ["a", "b"]  # longer than the subscription itself would keep them
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[item.ack_id for item in received])
    subscriber.seek({"subscription": SUBSCRIPTION, "time": received[1].message.publish_time})
    assert texts(pull(subscriber)) == ["b"]
    gcp.advance(2500)
    subscriber.seek({"subscription": SUBSCRIPTION, "time": {"seconds": 0}})
    assert texts(pull(subscriber)) == ["b"]
    publisher.update_topic(topic=topic, update_mask={"paths": ["message_retention_duration"]})
    known = subscriber.get_subscription(subscription=SUBSCRIPTION)
    assert not known.topic_message_retention_duration


def test_seek_to_a_snapshot_ends_the_leases_and_keeps_what_was_acknowledged(gcp, pubsub):
    publisher, subscriber = pubsub
    create(subscriber, ack_deadline_seconds=600)
    for text in (b"a", b"b"):
        publisher.publish(TOPIC, text).result(timeout=60)
    first, second = pull(subscriber)
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[first.ack_id])
    snapshot = f"{PROJECT}/snapshots/now"
    subscriber.create_snapshot(name=snapshot, subscription=SUBSCRIPTION)
    assert pull(subscriber) == []
    subscriber.seek({"subscription": SUBSCRIPTION, "snapshot": snapshot})
    (again,) = pull(subscriber)
    assert again.message.message_id == second.message.message_id
    subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=[second.ack_id])  # the ended lease
    gcp.advance(601)
    assert texts(pull(subscriber)) == ["b"]


def test_a_request_holds_no_more_ack_ids_than_half_a_megabyte(gcp, pubsub):
    _, subscriber = pubsub
    create(subscriber, ack_deadline_seconds=600)
    single = gcp.client(PublisherClient)
    for _ in range(4):
        single.publish(topic=TOPIC, messages=[{"data": b"x"}] * 1000)
    ack_ids = [item.ack_id for _ in range(4) for item in pull(subscriber, most=1000)]
    assert len(ack_ids) == 4000
    for call in (
        lambda some: subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=some),
        lambda some: subscriber.modify_ack_deadline(
            subscription=SUBSCRIPTION, ack_ids=some, ack_deadline_seconds=0
        ),
    ):
        with pytest.raises(exceptions.InvalidArgument, match="524288 bytes"):
            call(ack_ids)
    for start in range(0, 4000, 1000):
        subscriber.acknowledge(subscription=SUBSCRIPTION, ack_ids=ack_ids[start : start + 1000])
    gcp.advance(601)
    assert pull(subscriber) == []


def test_a_pull_that_its_client_has_given_up_takes_no_message(gcp, pubsub):
    publisher, subscriber = pubsub
    create(subscriber)
    with pytest.raises(exceptions.DeadlineExceeded):
        subscriber.pull(subscription=SUBSCRIPTION, max_messages=10, timeout=0.3, retry=None)
    publisher.publish(TOPIC, b"a").result(timeout=60)
    assert texts(pull(subscriber)) == ["a"]


def test_a_duplicate_is_a_fault_that_can_be_asked_for(gcp, pubsub):
    publisher, subscriber = pubsub
    subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    gcp.fault(kind="duplicate", service="pubsub", operation="Publisher.Publish")
    publisher.publish(TOPIC, b"a").result(timeout=60)
    first, second = pull(subscriber)
    assert first.message == second.message
    assert first.ack_id != second.ack_id


def test_a_detached_subscription_is_refused(gcp, pubsub):
    publisher, subscriber = pubsub
    subscriber.create_subscription(name=SUBSCRIPTION, topic=TOPIC)
    publisher.detach_subscription(request={"subscription": SUBSCRIPTION})
    assert subscriber.get_subscription(subscription=SUBSCRIPTION).detached
    with pytest.raises(exceptions.FailedPrecondition, match="detached"):
        pull(subscriber)


def test_what_is_not_there_is_refused_by_its_name(gcp, pubsub):
    publisher, subscriber = pubsub
    with pytest.raises(exceptions.MethodNotImplemented, match="push"):
        create(subscriber, push_config={"push_endpoint": "https://example.com"})
    with pytest.raises(
        exceptions.MethodNotImplemented, match=r"SchemaService\.ListSchemas is not supported"
    ):
        list(pubsub_v1.SchemaServiceClient().list_schemas(parent=PROJECT))
    with pytest.raises(exceptions.InvalidArgument, match="ack_deadline_seconds"):
        create(subscriber, ack_deadline_seconds=5)
    with pytest.raises(exceptions.InvalidArgument, match=r"expiration_policy\.ttl"):
        create(subscriber, expiration_policy={"ttl": {"seconds": 60}})
    with pytest.raises(exceptions.InvalidArgument, match="at most 100 attributes"):
        publisher.publish(TOPIC, b"a", **{f"k{number}": "v" for number in range(101)}).result(
            timeout=60
        )
    with pytest.raises(exceptions.InvalidArgument, match="update_mask"):
        publisher.update_topic(topic={"name": TOPIC}, update_mask={"paths": ["colour"]})


def test_policies_of_topics_and_subscriptions_are_stored(clients):
    for client, resource in zip(clients, (TOPIC, SUBSCRIPTION), strict=True):
        policy = client.get_iam_policy(request={"resource": resource})
        policy.bindings.add(
            role="roles/pubsub.publisher",
            members=["serviceAccount:a@shop-project.iam.gserviceaccount.com"],
        )
        client.set_iam_policy(request={"resource": resource, "policy": policy})
        assert client.get_iam_policy(request={"resource": resource}).bindings == policy.bindings
        with pytest.raises(exceptions.GoogleAPICallError, match="concurrent policy changes"):
            client.set_iam_policy(request={"resource": resource, "policy": policy})
        permissions = ["pubsub.topics.get"]
        assert (
            list(
                client.test_iam_permissions(
                    request={"resource": resource, "permissions": permissions}
                ).permissions
            )
            == permissions
        )
