"""EventLog over Pub/Sub, whose subscription writes into the stream's BigQuery table.

Events come at least once: both repeat. The table is the warehouse's own, so batches and single
events are read together. What the table does not take goes to a dead letter topic, whose
subscription keeps it for a week.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, final

from ....errors import AlreadyExists, Busy, Denied, NotFound
from ....events.port import Rejected, Row, StreamSpec
from ....feature_store.port import TableSpec
from ....storage import Phase
from ....target import Target
from ...common.event_values import TIME, EventRules, check_stream, encode_events, rules_of
from ...common.warehouse.tables import without_stream
from .. import names
from ..errors import translated
from ..session import VertexSession, session_of
from ..warehouse import catalogue, warehouse
from . import consumers, messages

KIND = "stream"
_DEAD = "dead"  # ends the names of what keeps the rejected
_DELIVERIES = 5  # of a message before it counts as rejected: the fewest that Pub/Sub takes
_ACTIVE = 1
# expires a subscription; by itself one goes after 31 days without events, and what comes then is
# lost
_NEVER: dict[str, Any] = {}
_RIGHTS = (
    "who writes (`service_account:`, else the project's Pub/Sub service agent) needs "
    "roles/bigquery.dataEditor on the dataset; "
    "that agent also roles/pubsub.publisher and roles/pubsub.subscriber, for the dead letters"
)


@final
class PubSubEventLog:
    """The EventLog port over Pub/Sub."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)
        self._ready: dict[str, EventRules] = {}

    def apply(self, stream: StreamSpec) -> None:
        """Create a stream's table, its topics for events and rejected events, and subscriptions.

        It does not wait until they are ready. Raises Invalid for a spec that breaks the port's
        rules.
        """
        check_stream(stream)
        spec = TableSpec(name=stream.name, columns=stream.columns, time_column=TIME)
        warehouse.apply(self._session, spec, stream_key=stream.key)
        self._ready.pop(stream.name, None)
        session, (topic, dead) = self._session, _topics(self._session, stream.name)
        for request in (
            _topic_arguments(session, stream.name, topic),
            _topic_arguments(session, stream.name, dead),
        ):  # what is listed first: see `remove`
            existing = _topic(session, request["name"])
            if existing is None:
                self._make("CreateTopic", session.publisher.create_topic, request)
            elif "message_retention_duration" in request:
                self._keep_events(existing)
        for request in (_keeping(session, stream.name), _writing(session, stream.name)):
            if _subscription(session, request["name"]) is None:
                self._make("CreateSubscription", session.subscriber.create_subscription, request)

    def _make(self, operation: str, create: Callable[..., Any], request: dict[str, Any]) -> None:
        """Create a Pub/Sub topic or subscription by calling `create`; do nothing if it exists."""
        try:
            with (
                suppress(AlreadyExists),
                self._session.mutating(operation, request["name"]),
            ):  # another process, or this one before a crash
                create(request=request)
        except Denied as error:
            raise Denied(
                error.message, remedy=_RIGHTS if "bigquery_config" in request else error.remedy
            ) from error

    def _keep_events(self, topic: Any) -> None:
        """Make a topic that an earlier release made keep its events for the consumers."""
        if topic.message_retention_duration == consumers.KEPT:
            return
        change = {
            "topic": {"name": topic.name, "message_retention_duration": consumers.KEPT},
            "update_mask": {"paths": ["message_retention_duration"]},
        }
        with self._session.mutating("UpdateTopic", topic.name):
            self._session.publisher.update_topic(request=change)

    def observe(self, stream: str) -> Phase | None:
        """Return "ready" if a stream's BigQuery subscription is active, None if nothing exists.

        It is "creating" in between.
        """
        topic, _ = _topics(self._session, stream)
        source, delivery = (
            _topic(self._session, topic),
            _subscription(self._session, _subscription_path(self._session, stream)),
        )
        if source is None and delivery is None:
            return None
        if source is None or delivery is None:
            return "creating"  # half-made: `apply` makes the rest
        return "ready" if delivery.state == _ACTIVE else "failed"

    def append(self, stream: str, events: Sequence[Row]) -> tuple[Rejected, ...]:
        """Publish events to the stream's topic, and return those that do not fit, with reasons.

        Pub/Sub takes all events of a call or none. Raises NotFound without stream, Busy if BigQuery
        no longer takes its events, OutcomeUnknown if some may be stored: send all again.
        """
        cached = self._ready.get(stream)
        bodies, rejected = _encode(cached or self._open(stream), events)
        if rejected and cached is not None:  # another process may have added a column since
            bodies, rejected = _encode(self._open(stream), events)
        if bodies:
            topic, _ = _topics(self._session, stream)
            with self._session.mutating("Publish", stream):
                for some in messages.calls(bodies):
                    self._publish(stream, topic, some)
        return tuple(rejected)

    def _publish(self, stream: str, topic: str, bodies: list[bytes]) -> None:
        """Publish messages in one call, which takes all of them or none."""
        try:
            with translated(f"appending to {stream}", effect=True):
                self._session.publisher.publish(
                    request={"topic": topic, "messages": [{"data": body} for body in bodies]}
                )
        except NotFound:
            self._ready.pop(stream, None)
            raise

    def _open(self, stream: str) -> EventRules:
        """Return the rules for a stream's events; raise NotFound or Busy if it takes no events."""
        table = catalogue.look(self._session, stream)
        document = None if table is None else catalogue.document_of(self._session, table)
        phase = self.observe(stream)
        if document is None or phase is None or document.stream_key is None:
            raise NotFound(
                f"there is no stream {stream}",
                remedy="`isthmus apply` makes the streams that the project needs",
            )
        if phase != "ready":
            raise Busy(f"stream {stream} is {phase}", remedy="run `isthmus apply` again")
        rules = self._ready[stream] = rules_of(document)
        return rules


def remove(session: VertexSession, stream: str) -> None:
    """Delete a stream's topics and subscriptions, those of its consumers too; its table stays.

    The inventory calls this. Each may be absent; the topic by which the stream is listed goes last.
    """
    topic, dead = _topics(session, stream)
    consumers.delete_all(session, stream)
    for path in (
        _subscription_path(session, stream),
        _subscription_path(session, stream, f".{_DEAD}"),
    ):
        with suppress(NotFound), translated(f"deleting {path}", effect=True):
            session.subscriber.delete_subscription(request={"subscription": path})
    table = catalogue.read(session, stream)
    document = None if table is None else catalogue.document_of(session, table)
    if (
        document is not None and document.stream_key is not None
    ):  # it takes batches only from now on
        catalogue.write(session, stream, lambda old: without_stream(old or document))
    for path in (dead, topic):
        with suppress(NotFound), translated(f"deleting {path}", effect=True):
            session.publisher.delete_topic(request={"topic": path})


def topics(session: VertexSession) -> Iterator[tuple[str, str]]:
    """Yield this project's event streams as (our name, full name of the topic)."""
    with session.reading("ListTopics", session.project):
        for topic in session.publisher.list_topics(
            request={"project": f"projects/{session.project}"}
        ):
            labels = dict(topic.labels)
            name = labels.get(names.NAME_LABEL, "")
            if (
                labels.get(names.PROJECT_LABEL) == session.name
                and labels.get(names.KIND_LABEL) == KIND
                and name
            ):
                yield name, topic.name


def _encode(rules: EventRules, events: Sequence[Row]) -> tuple[list[bytes], list[Rejected]]:
    """Encode events as Pub/Sub messages; return these and the rejected events, with reasons."""
    return encode_events(events, partial(messages.message, rules))


def _topic_arguments(session: VertexSession, stream: str, path: str) -> dict[str, Any]:
    """Return the arguments that create one of a stream's topics.

    The topic of rejected events is of another kind, so that a stream is listed once; it keeps
    nothing, as its subscription does.
    """
    if path.endswith(f".{_DEAD}"):
        return {"name": path, "labels": session.labels(f"{KIND}_{_DEAD}", stream)}
    return {
        "name": path,
        "labels": session.labels(KIND, stream),
        "message_retention_duration": consumers.KEPT,
    }


def _writing(session: VertexSession, stream: str) -> dict[str, Any]:
    """Return the arguments to create the subscription that writes a stream's events to BigQuery."""
    topic, dead = _topics(session, stream)
    writer = {"service_account_email": session.service_account} if session.service_account else {}
    return {
        "name": _subscription_path(session, stream),
        "topic": topic,
        "labels": session.labels(KIND, stream),
        "bigquery_config": {
            "table": f"{session.project}.{session.dataset}.{stream}",
            "use_table_schema": True,
            "drop_unknown_fields": True,  # a producer may know a column before the table does
            **writer,
        },
        "dead_letter_policy": {"dead_letter_topic": dead, "max_delivery_attempts": _DELIVERIES},
        "expiration_policy": _NEVER,
    }


def _keeping(session: VertexSession, stream: str) -> dict[str, Any]:
    """Return the arguments to create the subscription that stores a stream's rejected events.

    A topic without a subscription keeps nothing.
    """
    _, dead = _topics(session, stream)
    labels = session.labels(f"{KIND}_{_DEAD}", stream)
    return {
        "name": _subscription_path(session, stream, f".{_DEAD}"),
        "topic": dead,
        "labels": labels,
        "message_retention_duration": "604800s",
        "expiration_policy": _NEVER,
    }


def _topics(session: VertexSession, stream: str) -> tuple[str, str]:
    """Return the full names of the topics for a stream's events and for its rejected ones."""
    path = consumers.topic_path(session, stream)
    return path, f"{path}.{_DEAD}"  # no dashed name has a dot


def _subscription_path(session: VertexSession, stream: str, ending: str = "") -> str:
    """Return the full resource name of a stream's subscription, with `ending` after its name."""
    return f"projects/{session.project}/subscriptions/{names.dashed(session.name, stream)}{ending}"


def _topic(session: VertexSession, path: str) -> Any:
    """Return Pub/Sub's description of a topic, or None."""
    try:
        with session.reading("GetTopic", path):
            return session.publisher.get_topic(request={"topic": path})
    except NotFound:
        return None


def _subscription(session: VertexSession, path: str) -> Any:
    """Return Pub/Sub's description of a subscription, or None."""
    try:
        with session.reading("GetSubscription", path):
            return session.subscriber.get_subscription(request={"subscription": path})
    except NotFound:
        return None
