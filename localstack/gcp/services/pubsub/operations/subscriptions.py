"""Subscriber's subscriptions: create, get, list, update, delete.

How they are read is in pulling.py.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import with_project_id
from ....core.registry import handles
from ....core.resources.store import page
from .. import attribute_filter, bigquery_subscriptions
from ..backlog import Backlog, Rules
from ..errors import already_exists
from ..records import Hub, Subscription, check_duration, new_name, overwrite_masked

_SERVICE = "google.pubsub.v1.Subscriber"
_ACK_DEADLINE = 10  # seconds, where nothing is said
_RETENTION = timedelta(days=7)
_TTL = timedelta(days=31)
_BACKOFF = (10.0, 600.0)  # seconds, where a retry_policy does not say them
_ATTEMPTS = 5  # where a dead_letter_policy does not say them
_UNSUPPORTED = ("cloud_storage_config", "bigtable_config", "message_transforms")
_FIXED = (
    "name",
    "topic",
    "filter",
    "enable_message_ordering",
    "detached",
    "state",
    "topic_message_retention_duration",
)


@handles(f"{_SERVICE}.CreateSubscription")
def create_subscription(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    request.name = new_name(call, request.name, "subscriptions")
    with hub.lock:
        if request.name in hub.subscriptions:
            raise already_exists(request.name)
        topic = hub.topic(call, request.topic)
        request.topic = topic.message.name
        _complete(request)
        _copy_topic_retention(topic.message, request)
        _check(call, request)
        predicate = _predicate(request.filter)
        backlog = Backlog(
            call.clock, rules_of(request), _dead_letters(call.without_request(), request.name)
        )
        subscription = Subscription(request, backlog, predicate)
        if request.HasField("bigquery_config"):
            bigquery_subscriptions.start_writing(call, subscription)
        hub.subscriptions[request.name] = topic.subscriptions[request.name] = subscription
        call.on_stop(backlog.close)
    return request


@handles(f"{_SERVICE}.GetSubscription")
def get_subscription(call: Call, request: Any) -> Any:
    return call.store(Hub).subscription(call, request.subscription).message


@handles(f"{_SERVICE}.ListSubscriptions")
def list_subscriptions(call: Call, request: Any) -> Any:
    prefix = f"{with_project_id(call, request.project)}/subscriptions/"
    subscriptions = [
        sub.message
        for name, sub in sorted(call.store(Hub).subscriptions.items())
        if name.startswith(prefix)
    ]
    listed, token = page(subscriptions, request)
    return types.ListSubscriptionsResponse.pb()(subscriptions=listed, next_page_token=token)


@handles(f"{_SERVICE}.UpdateSubscription")
def update_subscription(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    with hub.lock:
        subscription = hub.subscription(call, request.subscription.name)
        changed = types.Subscription.pb()()
        changed.CopyFrom(subscription.message)
        overwrite_masked(request.subscription, changed, request.update_mask, _FIXED)
        if changed.HasField("bigquery_config") != subscription.message.HasField("bigquery_config"):
            raise GcpError(
                "UNIMPLEMENTED",
                "making a subscription one of BigQuery, or no longer one, is not supported "
                "by the offline GCP yet",
            )
        _complete(changed)
        _check(call, changed)
        subscription.message = changed
        subscription.backlog.change(rules_of(changed))
    return changed


@handles(f"{_SERVICE}.DeleteSubscription")
def delete_subscription(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    with hub.lock:
        subscription = hub.subscription(call, request.subscription)
        name = subscription.message.name
        del hub.subscriptions[name]
        if (topic := hub.topics.get(subscription.message.topic)) is not None:
            topic.subscriptions.pop(name, None)
        subscription.backlog.close()
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.ModifyPushConfig")
def modify_push_config(call: Call, request: Any) -> Any:
    """Answer ModifyPushConfig: refuse push delivery; accept an empty config, which means pull."""
    call.store(Hub).subscription(call, request.subscription)
    if request.push_config.push_endpoint:
        raise GcpError(
            "UNIMPLEMENTED", "push subscriptions are not supported by the offline GCP yet"
        )
    return empty_pb2.Empty()


def note_topic_retention(subscription: Subscription, topic: Any) -> None:
    """Change how long a subscription's topic keeps messages, by the Topic message."""
    _copy_topic_retention(topic, subscription.message)
    subscription.backlog.change(rules_of(subscription.message))


def _copy_topic_retention(topic: Any, subscription: Any) -> None:
    """Copy the retention of a Topic message into a Subscription message, which shows it."""
    if topic.HasField("message_retention_duration"):
        subscription.topic_message_retention_duration.CopyFrom(topic.message_retention_duration)
    else:
        subscription.ClearField("topic_message_retention_duration")


def rules_of(subscription: Any) -> Rules:
    """Return the delivery rules (deadline, retries, ordering ...) of a Subscription message."""
    dead = subscription.HasField("dead_letter_policy")
    retry = subscription.retry_policy if subscription.HasField("retry_policy") else None
    return Rules(
        ack_deadline=float(subscription.ack_deadline_seconds),
        retention=max(
            _seconds(subscription.message_retention_duration),
            _seconds(subscription.topic_message_retention_duration),  # what the topic keeps is kept
        ),
        ordered=subscription.enable_message_ordering,
        exactly_once=subscription.enable_exactly_once_delivery,
        retains_acked=subscription.retain_acked_messages,
        backoff=(_seconds(retry.minimum_backoff), _seconds(retry.maximum_backoff))
        if retry is not None
        else None,
        most_attempts=subscription.dead_letter_policy.max_delivery_attempts if dead else None,
    )


def _seconds(duration: Any) -> float:
    """Return a protobuf duration in seconds."""
    return float(duration.ToTimedelta().total_seconds())


def _complete(subscription: Any) -> None:
    """Fill in the default values of a Subscription message, in place."""
    subscription.ack_deadline_seconds = subscription.ack_deadline_seconds or _ACK_DEADLINE
    if not subscription.HasField("message_retention_duration"):
        subscription.message_retention_duration.FromTimedelta(_RETENTION)
    if not subscription.HasField("expiration_policy"):
        subscription.expiration_policy.ttl.FromTimedelta(_TTL)
    if subscription.HasField("retry_policy"):
        policy = subscription.retry_policy
        for field, seconds in zip(("minimum_backoff", "maximum_backoff"), _BACKOFF, strict=True):
            if not policy.HasField(field):
                getattr(policy, field).FromTimedelta(timedelta(seconds=seconds))
    if subscription.HasField("dead_letter_policy"):
        policy = subscription.dead_letter_policy
        policy.max_delivery_attempts = policy.max_delivery_attempts or _ATTEMPTS
    if not subscription.HasField("push_config"):
        subscription.push_config.SetInParent()
    subscription.state = types.Subscription.State.ACTIVE


def _check(call: Call, subscription: Any) -> None:
    """Raise INVALID_ARGUMENT for a subscription that Pub/Sub does not accept."""
    fields = {field.name for field, _ in subscription.ListFields()}
    for field in _UNSUPPORTED:
        if field in fields:
            raise GcpError(
                "UNIMPLEMENTED",
                f"a subscription with {field} is not supported by the offline GCP yet",
            )
    if subscription.push_config.push_endpoint:
        raise GcpError(
            "UNIMPLEMENTED", "push subscriptions are not supported by the offline GCP yet"
        )
    if not 10 <= subscription.ack_deadline_seconds <= 600:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"ack_deadline_seconds must be 10 to 600, and not {subscription.ack_deadline_seconds}.",
        )
    check_duration(
        "message_retention_duration",
        subscription.message_retention_duration,
        timedelta(minutes=10),
        timedelta(days=31),
    )
    _check_policies(call, subscription)
    if subscription.HasField("bigquery_config"):
        bigquery_subscriptions.complete_config(call, subscription)


def _check_policies(call: Call, subscription: Any) -> None:
    """Raise an error for retry and dead letter policies that Pub/Sub does not accept."""
    if subscription.expiration_policy.HasField(
        "ttl"
    ) and subscription.expiration_policy.ttl.ToTimedelta() < timedelta(days=1):
        raise GcpError("INVALID_ARGUMENT", "expiration_policy.ttl must be at least 86400s.")
    if subscription.HasField("retry_policy"):
        policy = subscription.retry_policy
        for field in ("minimum_backoff", "maximum_backoff"):
            check_duration(field, getattr(policy, field), timedelta(), timedelta(minutes=10))
        if _seconds(policy.minimum_backoff) > _seconds(policy.maximum_backoff):
            raise GcpError(
                "INVALID_ARGUMENT", "retry_policy.minimum_backoff is larger than maximum_backoff."
            )
    if subscription.HasField("dead_letter_policy"):
        attempts = subscription.dead_letter_policy.max_delivery_attempts
        if not 5 <= attempts <= 100:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"dead_letter_policy.max_delivery_attempts must be 5 to 100, and not {attempts}.",
            )
        call.store(Hub).topic(call, subscription.dead_letter_policy.dead_letter_topic)


def _predicate(text: str) -> attribute_filter.Predicate:
    """Return a subscription's filter as a function; raise INVALID_ARGUMENT if it is wrong."""
    if not text:
        return lambda _: True
    try:
        return attribute_filter.parse(text)
    except attribute_filter.FilterError as error:
        raise GcpError(
            "INVALID_ARGUMENT", f"The subscription's filter is not valid: {error}"
        ) from error


def _dead_letters(call: Call, name: str) -> Any:
    """Return a function that publishes a message to the dead letter topic `name`."""

    def forward(message: Any, attempts: int) -> bool:
        hub = call.store(Hub)
        subscription = hub.subscriptions.get(name)
        if subscription is None:
            return True
        topic = hub.topics.get(
            with_project_id(call, subscription.message.dead_letter_policy.dead_letter_topic)
        )
        if topic is None:
            return False
        letter = types.PubsubMessage.pb()()
        letter.CopyFrom(message)
        letter.attributes["CloudPubSubDeadLetterSourceDeliveryCount"] = str(attempts)
        letter.attributes["CloudPubSubDeadLetterSourceSubscription"] = name.rpartition("/")[2]
        letter.attributes["CloudPubSubDeadLetterSourceSubscriptionProject"] = name.split("/")[1]
        letter.attributes["CloudPubSubDeadLetterSourceTopicPublishTime"] = (
            message.publish_time.ToJsonString()
        )
        hub.publish(topic, [letter], call.clock.now())
        return True

    return forward
