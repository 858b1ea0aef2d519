"""The state of Pub/Sub: topics, subscriptions and snapshots, and the way of a message."""

from __future__ import annotations

import itertools
import re
import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from ...core.call import Call
from ...core.errors import GcpError
from ...core.projects import with_project_id
from .attribute_filter import Predicate
from .backlog import Backlog
from .errors import not_found

DELETED_TOPIC = "_deleted-topic_"
_NAME = re.compile(r"projects/[^/]+/(topics|subscriptions|snapshots)/([A-Za-z][\w.~+%-]{2,254})")
_FIRST_ID = 10**15  # ids of messages look like Google's: 16 digits, and grow


class Topic:
    def __init__(self, message: Any) -> None:
        self.message = message  # google.pubsub.v1.Topic
        self.subscriptions: dict[str, Subscription] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self.log: deque[Any] = deque()  # what message_retention_duration keeps
        self.lock = (
            threading.Lock()
        )  # one publish at a time: the order of all subscriptions is the same

    def retained(self, now: datetime) -> list[Any]:
        """Return the messages that the topic itself keeps, acknowledged or not."""
        if not self.message.HasField("message_retention_duration"):
            return []
        oldest = now - self.message.message_retention_duration.ToTimedelta()
        with self.lock:
            return [message for message in self.log if published_at(message) >= oldest]


class Subscription:
    def __init__(self, message: Any, backlog: Backlog, predicate: Predicate) -> None:
        self.message = message  # google.pubsub.v1.Subscription
        self.backlog = backlog
        self.predicate = predicate
        self.on_messages: Callable[[], object] = lambda: None  # called after it got some


class Snapshot:
    def __init__(self, message: Any, pending: Iterable[Any]) -> None:
        self.message = message  # google.pubsub.v1.Snapshot
        self.pending = list(pending)  # what was not acknowledged then, and what was published since


class Hub:
    """The topics and subscriptions of one stack, by names with the project's id."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.topics: dict[str, Topic] = {}
        self.subscriptions: dict[str, Subscription] = {}
        self.snapshots: dict[str, Snapshot] = {}
        self._ids = itertools.count(_FIRST_ID)

    def topic(self, call: Call, name: str) -> Topic:
        """Return the topic of that name; raise NOT_FOUND if there is none."""
        topic = self.topics.get(with_project_id(call, name))
        if topic is None:
            raise not_found(name)
        return topic

    def subscription(self, call: Call, name: str) -> Subscription:
        """Return the subscription of that name; raise NOT_FOUND if there is none."""
        subscription = self.subscriptions.get(with_project_id(call, name))
        if subscription is None:
            raise not_found(name)
        return subscription

    def snapshot(self, call: Call, name: str) -> Snapshot:
        """Return the snapshot of that name; raise NOT_FOUND if there is none."""
        snapshot = self.snapshots.get(with_project_id(call, name))
        if snapshot is None:
            raise not_found(name)
        return snapshot

    def publish(
        self, topic: Topic, messages: Sequence[Any], now: datetime, *, copies: int = 1
    ) -> list[str]:
        """Publish messages to a topic's subscriptions, each `copies` times; return their ids."""
        with topic.lock:
            for message in messages:
                message.message_id = str(next(self._ids))
                message.publish_time.FromDatetime(now)
            published = [message for message in messages for _ in range(copies)]
            for subscription in list(topic.subscriptions.values()):
                subscription.backlog.add(
                    message for message in published if subscription.predicate(message.attributes)
                )
                subscription.on_messages()
            for snapshot in list(topic.snapshots.values()):
                snapshot.pending.extend(published)
            if topic.message.HasField("message_retention_duration"):
                oldest = now - topic.message.message_retention_duration.ToTimedelta()
                topic.log.extend(messages)
                while topic.log and published_at(topic.log[0]) < oldest:
                    topic.log.popleft()
        return [message.message_id for message in messages]


def published_at(message: Any) -> datetime:
    """Return the time at which a message was published."""
    moment: datetime = message.publish_time.ToDatetime(tzinfo=UTC)
    return moment


def new_name(call: Call, name: str, collection: str) -> str:
    """Check a new resource's name, and return it with a project's number as its id.

    `collection` is topics, subscriptions or snapshots. Raises GcpError if the name is not of it.
    """
    match = _NAME.fullmatch(name)
    if match is None or match[1] != collection or match[2].lower().startswith("goog"):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"Invalid [{collection}] name: (name={name}). It is "
            f"projects/PROJECT/{collection}/ID; an ID has 3 to 255 letters, digits and"
            " . _ ~ + % -, begins with a letter, and not with goog.",
        )
    return with_project_id(call, name)


def check_duration(field: str, duration: Any, least: timedelta, most: timedelta) -> None:
    """Raise INVALID_ARGUMENT, which names the field, unless a duration is `least` to `most`."""
    if not least <= duration.ToTimedelta() <= most:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"{field} must be {least.total_seconds():.0f}s to {most.total_seconds():.0f}s.",
        )


def overwrite_masked(source: Any, target: Any, mask: Any, fixed: Sequence[str]) -> None:
    """Copy the fields that an update mask names from `source` to `target`.

    `fixed` are the fields that cannot change. Raises GcpError if the mask is empty, or names one of
    them or an unknown one.
    """
    if not mask.paths:
        raise GcpError(
            "INVALID_ARGUMENT",
            "The update_mask in the request must be set, and must contain a valid field.",
        )
    for path in mask.paths:
        first = path.partition(".")[0]
        if first not in target.DESCRIPTOR.fields_by_name:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"Invalid update_mask provided in the request: {path!r} is no field.",
            )
        if first in fixed:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"Invalid update_mask provided in the request: {path!r} cannot be changed.",
            )
    mask.MergeMessage(source, target, replace_message_field=True, replace_repeated_field=True)
    for path in mask.paths:
        field = target.DESCRIPTOR.fields_by_name[path.partition(".")[0]]
        if (
            "." not in path and field.is_repeated
        ):  # MergeMessage adds to a map, and keeps one that is empty in the source
            target.ClearField(path)
            getattr(target, path).MergeFrom(getattr(source, path))
