"""Subscriber's snapshots, and Seek to one or to a time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf import empty_pb2
from google.pubsub_v1 import types

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import with_project_id
from ....core.registry import handles
from ....core.resources.store import page
from ..errors import already_exists
from ..records import Hub, Snapshot, Subscription, new_name, overwrite_masked, published_at

_SERVICE = "google.pubsub.v1.Subscriber"
_LIFE = timedelta(days=7)


@handles(f"{_SERVICE}.CreateSnapshot")
def create_snapshot(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    name = new_name(call, request.name, "snapshots")
    with hub.lock:
        if name in hub.snapshots:
            raise already_exists(name)
        subscription = hub.subscription(call, request.subscription)
        message = types.Snapshot.pb()(
            name=name, topic=subscription.message.topic, labels=request.labels
        )
        message.expire_time.FromDatetime(call.clock.now() + _LIFE)
        topic = hub.topics.get(message.topic)
        if topic is None:
            raise GcpError(
                "FAILED_PRECONDITION",
                "A snapshot needs a subscription whose topic has not been deleted.",
            )
        with topic.lock:
            hub.snapshots[name] = topic.snapshots[name] = Snapshot(
                message, subscription.backlog.unacknowledged()
            )
    return message


@handles(f"{_SERVICE}.GetSnapshot")
def get_snapshot(call: Call, request: Any) -> Any:
    return call.store(Hub).snapshot(call, request.snapshot).message


@handles(f"{_SERVICE}.ListSnapshots")
def list_snapshots(call: Call, request: Any) -> Any:
    prefix = f"{with_project_id(call, request.project)}/snapshots/"
    snapshots = [
        snapshot.message
        for name, snapshot in sorted(call.store(Hub).snapshots.items())
        if name.startswith(prefix)
    ]
    listed, token = page(snapshots, request)
    return types.ListSnapshotsResponse.pb()(snapshots=listed, next_page_token=token)


@handles(f"{_SERVICE}.UpdateSnapshot")
def update_snapshot(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    with hub.lock:
        snapshot = hub.snapshot(call, request.snapshot.name)
        changed = types.Snapshot.pb()()
        changed.CopyFrom(snapshot.message)
        overwrite_masked(request.snapshot, changed, request.update_mask, ("name", "topic"))
        snapshot.message = changed
    return changed


@handles(f"{_SERVICE}.DeleteSnapshot")
def delete_snapshot(call: Call, request: Any) -> Any:
    hub = call.store(Hub)
    with hub.lock:
        snapshot = hub.snapshot(call, request.snapshot)
        del hub.snapshots[snapshot.message.name]
        if (topic := hub.topics.get(snapshot.message.topic)) is not None:
            topic.snapshots.pop(snapshot.message.name, None)
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.Seek")
def seek(call: Call, request: Any) -> Any:
    """Answer Seek: reset a subscription's backlog to a snapshot or a time."""
    hub = call.store(Hub)
    with hub.lock:
        subscription = hub.subscription(call, request.subscription)
        target = request.WhichOneof("target")
        if target is None:
            raise GcpError("INVALID_ARGUMENT", "Seek needs a time or a snapshot.")
        topic = hub.topics.get(subscription.message.topic)
        if target == "snapshot":
            snapshot = hub.snapshot(call, request.snapshot)
            if snapshot.message.topic != subscription.message.topic:
                raise GcpError(
                    "INVALID_ARGUMENT", "The snapshot is of another topic than the subscription."
                )
            messages = [
                message
                for message in snapshot.pending
                if subscription.predicate(message.attributes)
            ]
        else:
            moment = request.time.ToDatetime(tzinfo=UTC)
            messages = [
                message
                for message in _retained_messages(subscription, topic, call.clock.now())
                if published_at(message) >= moment
            ]
        subscription.backlog.replace(messages)
        subscription.on_messages()
    return types.SeekResponse.pb()()


def _retained_messages(subscription: Subscription, topic: Any, now: datetime) -> list[Any]:
    """Return the messages that a seek back in time could deliver again, in a subscription.

    They are those that it has, and those that its topic retains.
    """
    messages = {message.message_id: message for message in subscription.backlog.retained()}
    for message in topic.retained(now) if topic is not None else ():
        if subscription.predicate(message.attributes):
            messages.setdefault(message.message_id, message)
    return sorted(messages.values(), key=lambda message: int(message.message_id))
