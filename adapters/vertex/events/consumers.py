"""The Pub/Sub subscriptions of consumers: how they are made, taken over and deleted.

A stream's consumers belong to its topic. They have the project's labels and that of their stream,
and go when the stream does.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from typing import Any

from ....errors import AlreadyExists, Denied, NotFound
from .. import names
from ..errors import translated
from ..session import VertexSession
from .leases import ACK_DEADLINE

KIND = "stream_consumer"
KEPT = timedelta(days=1)  # how long a stream keeps its events for those who read it
_CONSUMER_LABEL = "isthmus_consumer"
# set once the subscription begins where it should: a process may end between creation and Seek
_SOUGHT_LABEL = "isthmus_sought"
_NEVER: dict[str, Any] = {}  # expires: an idle subscription would go after 31 days
_RIGHTS = (
    "reading a stream needs roles/pubsub.editor on the project: subscriptions are created, read, "
    "sought and deleted, and snapshots with them"
)


def topic_path(session: VertexSession, stream: str) -> str:
    """Return the full name of a stream's topic."""
    return f"projects/{session.project}/topics/{names.dashed(session.name, stream)}"


def subscription_path(session: VertexSession, stream: str, consumer: str) -> str:
    """Return the full name of the subscription by which a consumer reads a stream."""
    return f"projects/{session.project}/subscriptions/{_id(session, stream, consumer)}"


def exists(session: VertexSession, path: str) -> bool:
    """Return whether there is a subscription of that full name which begins where it should."""
    subscription = _subscription(session, path)
    return subscription is not None and _SOUGHT_LABEL in subscription.labels


def create(session: VertexSession, stream: str, consumer: str, *, since: datetime) -> bool:
    """Create a consumer's subscription, which begins with what was published at `since` or later.

    One that was begun and not finished is finished.

    Returns:
        Whether it was made or finished now; False if it was there.

    Raises:
        NotFound: There is no such stream.
    """
    path = subscription_path(session, stream, consumer)
    labels = session.labels(KIND, stream) | {_CONSUMER_LABEL: consumer}
    subscription = _subscription(session, path)
    if subscription is not None and _SOUGHT_LABEL in subscription.labels:
        return False
    if subscription is None:
        _require_topic(session, stream)
        request = {
            "name": path,
            "topic": topic_path(session, stream),
            "labels": labels,
            "ack_deadline_seconds": int(ACK_DEADLINE.total_seconds()),
            "message_retention_duration": KEPT,
            "expiration_policy": _NEVER,
        }
        with _rights(), suppress(AlreadyExists), session.mutating("CreateSubscription", path):
            session.subscriber.create_subscription(request=request)
    with _rights(), session.mutating("Seek", path):
        session.subscriber.seek(request={"subscription": path, "time": since})
    with _rights(), session.mutating("UpdateSubscription", path):
        session.subscriber.update_subscription(
            request={
                "subscription": {"name": path, "labels": labels | {_SOUGHT_LABEL: "yes"}},
                "update_mask": {"paths": ["labels"]},
            }
        )
    return True


def take_over(session: VertexSession, stream: str, consumer: str) -> None:
    """Make what an earlier process pulled and did not commit available at once.

    Otherwise its messages would come when their ack deadlines are over, and perhaps too late for
    the consumer. A snapshot holds which messages are not acknowledged; Seek to it ends the leases.
    """
    path = subscription_path(session, stream, consumer)
    snapshot = f"projects/{session.project}/snapshots/{_id(session, stream, consumer)}"
    _delete_snapshot(session, snapshot)  # of a process that ended at the wrong moment: it is older
    request = {
        "name": snapshot,
        "subscription": path,
        "labels": session.labels(KIND, stream) | {_CONSUMER_LABEL: consumer},
    }
    # one that is there now is this call's own, whose answer was lost
    with _rights(), suppress(AlreadyExists), session.mutating("CreateSnapshot", snapshot):
        session.subscriber.create_snapshot(request=request)
    with _rights(), session.mutating("Seek", path):
        session.subscriber.seek(request={"subscription": path, "snapshot": snapshot})
    _delete_snapshot(session, snapshot)


def delete(session: VertexSession, stream: str, consumer: str) -> None:
    """Delete a consumer's subscription; do nothing if there is none."""
    path = subscription_path(session, stream, consumer)
    _delete_snapshot(session, f"projects/{session.project}/snapshots/{path.rpartition('/')[2]}")
    if _subscription(session, path) is None:
        return
    with _rights(), suppress(NotFound), session.mutating("DeleteSubscription", path):
        session.subscriber.delete_subscription(request={"subscription": path})


def delete_all(session: VertexSession, stream: str) -> None:
    """Delete the subscriptions of all consumers of a stream.

    The removal of the stream calls this. It finds them by their names, as the topic may be gone.
    """
    start = _id(session, stream, "")
    with session.reading("ListSubscriptions", stream):
        paths = [
            subscription.name
            for subscription in session.subscriber.list_subscriptions(
                request={"project": f"projects/{session.project}"}
            )
            if subscription.name.rpartition("/")[2].startswith(start)
        ]
    for path in paths:
        snapshot = f"projects/{session.project}/snapshots/{path.rpartition('/')[2]}"
        with suppress(NotFound), translated(f"deleting {snapshot}", effect=True):
            session.subscriber.delete_snapshot(request={"snapshot": snapshot})
        with suppress(NotFound), translated(f"deleting {path}", effect=True):
            session.subscriber.delete_subscription(request={"subscription": path})


def _id(session: VertexSession, stream: str, consumer: str) -> str:
    """Return the last part of the name of a consumer's subscription; no dashed name has a dot."""
    return f"{names.dashed(session.name, stream)}.consumer.{names.dashed(consumer)}"


def _subscription(session: VertexSession, path: str) -> Any:
    """Return Pub/Sub's description of a subscription, or None."""
    try:
        with session.reading("GetSubscription", path):
            return session.subscriber.get_subscription(request={"subscription": path})
    except NotFound:
        return None


def _require_topic(session: VertexSession, stream: str) -> None:
    """Raise NotFound if a stream has no topic."""
    try:
        with session.reading("GetTopic", stream):
            session.publisher.get_topic(request={"topic": topic_path(session, stream)})
    except NotFound as error:
        raise no_stream(stream) from error


def no_stream(stream: str) -> NotFound:
    """Return the error for a stream that is not there."""
    return NotFound(
        f"there is no stream {stream}",
        remedy="`isthmus apply` makes the streams that the project needs",
    )


def no_consumer(stream: str, consumer: str) -> NotFound:
    """Return the error for a consumer that is not there."""
    return NotFound(
        f"stream {stream} has no consumer {consumer}, or there is no such stream",
        remedy="the consumer's worker makes it when it begins",
    )


def _delete_snapshot(session: VertexSession, snapshot: str) -> None:
    """Delete a snapshot; do nothing if there is none."""
    try:
        with session.reading("GetSnapshot", snapshot):
            session.subscriber.get_snapshot(request={"snapshot": snapshot})
    except NotFound:
        return
    with _rights(), suppress(NotFound), session.mutating("DeleteSnapshot", snapshot):
        session.subscriber.delete_snapshot(request={"snapshot": snapshot})


@contextmanager
def _rights() -> Iterator[None]:
    """Name the role that a consumer needs, where Google refuses a call in the block."""
    try:
        yield
    except Denied as error:
        raise Denied(error.message, remedy=_RIGHTS) from error
