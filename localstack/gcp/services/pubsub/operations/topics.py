"""Publisher's topics, and publishing to them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import with_project_id
from ....core.registry import handles
from ....core.resources.store import page
from ..errors import already_exists
from ..records import DELETED_TOPIC, Hub, Topic, check_duration, new_name, overwrite_masked
from .subscriptions import note_topic_retention

_SERVICE = "google.pubsub.v1.Publisher"
_MOST_MESSAGES = 1000  # of one request
_MOST_BYTES = 10 * 10**6  # of one request
_LONGEST_ATTRIBUTE = (256, 1024)  # bytes of a key and of a value
_MOST_ATTRIBUTES = 100  # of one message
_LONGEST_KEY = 1024  # bytes of an ordering key
_UNSUPPORTED = ("schema_settings", "ingestion_data_source_settings", "message_transforms")


@handles(f"{_SERVICE}.CreateTopic")
def create_topic(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    request.name = new_name(call, request.name, "topics")
    _check(request)
    with hub.lock:
        if request.name in hub.topics:
            raise already_exists(request.name)
        request.state = types.Topic.State.ACTIVE
        hub.topics[request.name] = Topic(request)
    return request


@handles(f"{_SERVICE}.UpdateTopic")
def update_topic(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    with hub.lock:
        topic = hub.topic(call, request.topic.name)
        changed = types.Topic.pb()()
        changed.CopyFrom(topic.message)
        overwrite_masked(
            request.topic, changed, request.update_mask, ("name", "state", "kms_key_name")
        )
        _check(changed)
        topic.message = changed
        for subscription in topic.subscriptions.values():
            note_topic_retention(subscription, changed)
    return changed


@handles(f"{_SERVICE}.GetTopic")
def get_topic(call: Call, request: Any) -> Any:
    return call.store(Hub).topic(call, request.topic).message


@handles(f"{_SERVICE}.ListTopics")
def list_topics(call: Call, request: Any) -> Any:
    prefix = f"{with_project_id(call, request.project)}/topics/"
    topics = [
        topic.message
        for name, topic in sorted(call.store(Hub).topics.items())
        if name.startswith(prefix)
    ]
    listed, token = page(topics, request)
    return types.ListTopicsResponse.pb()(topics=listed, next_page_token=token)


@handles(f"{_SERVICE}.ListTopicSubscriptions")
def list_topic_subscriptions(call: Call, request: Any) -> Any:
    listed, token = page(sorted(call.store(Hub).topic(call, request.topic).subscriptions), request)
    return types.ListTopicSubscriptionsResponse.pb()(subscriptions=listed, next_page_token=token)


@handles(f"{_SERVICE}.ListTopicSnapshots")
def list_topic_snapshots(call: Call, request: Any) -> Any:
    listed, token = page(sorted(call.store(Hub).topic(call, request.topic).snapshots), request)
    return types.ListTopicSnapshotsResponse.pb()(snapshots=listed, next_page_token=token)


@handles(f"{_SERVICE}.DeleteTopic")
def delete_topic(call: Call, request: Any) -> Any:
    """Answer DeleteTopic: delete a topic, whose subscriptions keep their messages."""
    hub = call.store(Hub)
    with hub.lock:
        topic = hub.topic(call, request.topic)
        del hub.topics[topic.message.name]
        for subscription in topic.subscriptions.values():
            subscription.message.topic = DELETED_TOPIC
        for snapshot in topic.snapshots.values():
            snapshot.message.topic = DELETED_TOPIC
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.DetachSubscription")
def detach_subscription(call: Call, request: Any) -> Any:
    """Answer DetachSubscription: detach a subscription from its topic, and drop its messages."""
    hub = call.store(Hub)
    with hub.lock:
        subscription = hub.subscription(call, request.subscription)
        topic = hub.topics.get(subscription.message.topic)
        if topic is not None:
            topic.subscriptions.pop(subscription.message.name, None)
        subscription.message.detached = True
        subscription.backlog.replace(())
        subscription.backlog.close()
    return types.DetachSubscriptionResponse.pb()()


@handles(f"{_SERVICE}.Publish")
def publish(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    topic = hub.topic(call, request.topic)
    _check_messages(request.messages)
    copies = 2 if call.fault("duplicate", topic.message.name) else 1
    ids = hub.publish(topic, list(request.messages), call.clock.now(), copies=copies)
    return types.PublishResponse.pb()(message_ids=ids)


def _check(topic: Any) -> None:
    """Raise an error for a Topic message that is not valid or not supported."""
    for field in _UNSUPPORTED:
        if field in {descriptor.name for descriptor, _ in topic.ListFields()}:
            raise GcpError(
                "UNIMPLEMENTED", f"a topic with {field} is not supported by the offline GCP yet"
            )
    if topic.HasField("message_retention_duration"):
        check_duration(
            "message_retention_duration",
            topic.message_retention_duration,
            timedelta(minutes=10),
            timedelta(days=31),
        )


def _check_messages(messages: Sequence[Any]) -> None:
    """Raise INVALID_ARGUMENT for messages that Pub/Sub does not accept."""
    if not messages:
        raise GcpError(
            "INVALID_ARGUMENT",
            "The value for message_count is too small. You passed 0 in the request, but the "
            "minimum value is 1.",
        )
    if len(messages) > _MOST_MESSAGES:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"A request has at most {_MOST_MESSAGES} messages, and not {len(messages)}.",
        )
    size = sum(message.ByteSize() for message in messages)
    if size > _MOST_BYTES:
        raise GcpError(
            "INVALID_ARGUMENT", f"Request payload size exceeds the limit: {_MOST_BYTES} bytes."
        )
    for message in messages:
        if not message.data and not message.attributes:
            raise GcpError(
                "INVALID_ARGUMENT",
                "Some messages in the request are empty: a message needs data or an attribute.",
            )
        if len(message.ordering_key.encode()) > _LONGEST_KEY:
            raise GcpError(
                "INVALID_ARGUMENT", f"The ordering_key is longer than {_LONGEST_KEY} bytes."
            )
        if len(message.attributes) > _MOST_ATTRIBUTES:
            text = (
                f"A message has at most {_MOST_ATTRIBUTES} attributes, and not "
                f"{len(message.attributes)}."
            )
            raise GcpError("INVALID_ARGUMENT", text)
        for key, value in message.attributes.items():
            if (
                not key
                or len(key.encode()) > _LONGEST_ATTRIBUTE[0]
                or key.startswith("goog")
                or len(value.encode()) > _LONGEST_ATTRIBUTE[1]
            ):
                raise GcpError(
                    "INVALID_ARGUMENT",
                    f"The attribute {key[:50]!r} is not valid: a key has 1 to "
                    f"{_LONGEST_ATTRIBUTE[0]} bytes and does not begin with goog,"
                    f" a value has up to {_LONGEST_ATTRIBUTE[1]}.",
                )
