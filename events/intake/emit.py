"""Take in single events, validated where they are made: only valid ones enter a stream.

References are not looked up, as that would be a query for each event: a join finds nothing for one
that leads nowhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING

import msgspec

from ...core.formats import decoder
from ...core.runtime.project import Project
from ...errors import Invalid, NotFound
from ...project.specs.description import Attribute, Event
from ..port import Rejected, Row, StreamSpec
from ..tables.column_types import COLUMN_TYPES
from ..tables.relations import CORRECTION, STORED_TIMESTAMP, raw_table
from ..validation import values

if TYPE_CHECKING:
    from ...target import Target

_OWN = frozenset(
    {"dt", "payload_digest", "source", "line", CORRECTION.name, STORED_TIMESTAMP.name}
)  # made here; what a caller sends under these names is not read

EventCheck = Callable[
    [Row, datetime, datetime], dict[str, object]
]  # of the project's clock and the wall's; raises BadValueError


def emit(
    project: Project, event_or_stream: str | StreamSpec, rows: Sequence[Row]
) -> tuple[Rejected, ...]:
    """Append events to an event of the catalogue, by name, or to an internal stream.

    A row has event_id, event_timestamp (an aware datetime, or text with a zone) and the attributes.

    Returns:
        The rows that were rejected, with reasons. Every other row is durable.

    Raises:
        NotFound: there is no such event.
        Invalid: `rows` is a single mapping and not a sequence.
    """
    if isinstance(rows, Mapping):
        raise Invalid(
            "emit takes a list of rows, not one row", remedy="put it into brackets: [{...}]"
        )
    if isinstance(event_or_stream, StreamSpec):
        return emit_stream(project, event_or_stream, rows)
    event = project.spec.events.get(event_or_stream)
    if event is None:
        raise NotFound(
            f"there is no event {event_or_stream}",
            remedy=f"project.yaml has {', '.join(project.spec.events) or 'no events'}",
        )
    check = _event_checker(msgspec.json.encode(event))
    return _append(
        project.target,
        stream_of(event),
        check,
        rows,
        now=project.now(),
        stored=project.log_time(),
    )


def emit_stream(project: Project, stream: StreamSpec, rows: Sequence[Row]) -> tuple[Rejected, ...]:
    """Append rows to a stream of Isthmus' own, such as exposures; return the rejected ones.

    Types and required columns are checked; there are no bounds. `payload_digest`, `correction` and
    `stored_timestamp` are added where the stream declares them.
    """
    return append_to_stream(
        project.target, stream, rows, now=project.now(), stored=project.log_time()
    )


def append_to_stream(
    target: Target, stream: StreamSpec, rows: Sequence[Row], *, now: datetime, stored: datetime
) -> tuple[Rejected, ...]:
    """Do as `emit_stream`, for who has a target and no project.

    `now` is the project's time, by which an event may be too early; `stored` stands in the rows.
    """
    return _append(target, stream, _stream_checker(stream), rows, now=now, stored=stored)


def stream_of(event: Event) -> StreamSpec:
    """Return the specification of the stream that events of this kind are appended to.

    It lands in the event's raw table, beside what `ingest` stores.
    """
    table = raw_table(event)
    return StreamSpec(name=table.name, columns=table.columns, key="event_id")


def _append(
    target: Target,
    stream: StreamSpec,
    check: EventCheck,
    rows: Sequence[Row],
    *,
    now: datetime,
    stored: datetime,
) -> tuple[Rejected, ...]:
    """Check rows with a function, append the valid ones to a stream; return the rejected ones.

    `check` validates one row.
    """
    now = values.naive(now)
    good: list[Row] = []
    places: list[int] = []
    rejected: list[Rejected] = []
    for index, row in enumerate(rows):
        try:
            good.append(check(row, now, stored))
            places.append(index)
        except values.BadValueError as error:
            rejected.append(Rejected(index=index, reason=str(error)))
    if good:
        refused = target.events.append(stream.name, good)
        rejected += [
            msgspec.structs.replace(rejection, index=places[rejection.index])
            for rejection in refused
        ]
    return tuple(sorted(rejected, key=lambda rejection: rejection.index))


@cache
def _event_checker(encoded: bytes) -> EventCheck:
    """Return the function that validates a row of an event; cached for each event.

    The event is passed as its JSON: specs hold dicts and cannot be hashed.
    """
    event = decoder(Event).decode(encoded)

    def own_rules(moment: object, now: datetime) -> None:
        if not isinstance(moment, datetime):
            return
        if fault := values.too_early(moment, event, now=now) or values.too_late(
            moment, event, now=now
        ):
            raise values.BadValueError(f"event_timestamp {fault}")

    return _checker(
        (values.ID, values.TIMESTAMP, *event.attributes),
        lambda name: values.unknown(name, event),
        own_rules,
        {
            "source": "emit",
            "line": None,
            "payload_digest": None,
            CORRECTION.name: 0,
            STORED_TIMESTAMP.name: None,
        },
    )


@cache
def _stream_checker(stream: StreamSpec) -> EventCheck:
    """Return the function that validates a row of an internal stream by its columns' types."""
    attributes = tuple(
        Attribute(
            name=column.name, type=COLUMN_TYPES[column.type].attribute, required=column.required
        )
        for column in stream.columns
        if column.name not in _OWN
    )
    names = ", ".join(a.name for a in attributes)
    declared = [column.name for column in stream.columns if column.name in _OWN]
    return _checker(
        attributes,
        lambda _name: f"is not a column of {stream.name} (it has {names})",
        lambda _moment, _now: None,
        dict.fromkeys(declared),
    )


def _checker(
    attributes: Sequence[Attribute],
    unknown: Callable[[str], str],
    own_rules: Callable[[object, datetime], None],  # of an event's own time
    extra: Mapping[str, object],
) -> EventCheck:
    """Return a function that checks a row against attributes, and returns it with typed values.

    `attributes` are those that a row may have; `unknown` returns the error text for any other name;
    `own_rules` checks the row's time; `extra` are values that are added to each row.
    """
    names = frozenset(a.name for a in attributes) | _OWN
    plan = [
        (a.name, a.type == "string" and a.allowed is None, a) for a in attributes
    ]  # whether any text will do
    times = [a.name for a in attributes if a.type == "timestamp"]

    def check(row: Row, now: datetime, stored: datetime) -> dict[str, object]:
        if not names.issuperset(row):
            name = next(name for name in row if name not in names)
            raise values.BadValueError(f"{name} {unknown(name)}")
        event: dict[
            str, object
        ] = {}  # without nulls, so that a stream which does not have a new column yet takes the row
        for name, any_text, attribute in plan:
            value = row.get(name)
            is_fine = any_text and isinstance(value, str) and value and value.isascii()
            if is_fine or (value := _checked(value, attribute)) is not None:
                event[name] = value
        own_rules(event.get("event_timestamp"), now)
        own = {**extra, "dt": str(event.get("event_timestamp"))[:10]}
        if "payload_digest" in own:
            own["payload_digest"] = values.digest(
                values.payload(tuple(event), tuple(event.values()))
            )
        if STORED_TIMESTAMP.name in own:
            own[STORED_TIMESTAMP.name] = stored
        for name in times:
            if isinstance(moment := event.get(name), datetime):
                event[name] = moment.replace(tzinfo=UTC)
        return event | own

    return check


def _checked(value: object, attribute: Attribute) -> object:
    """Convert a value to its attribute's type; raise BadValueError if it breaks a rule."""
    name = attribute.name
    if value is None and attribute.required:
        raise values.BadValueError(f"{name} is missing")
    if value is None:
        return None
    if value == "" and name == "event_id":
        raise values.BadValueError("event_id is empty")
    try:
        value = values.convert(_aware(value), attribute)
    except values.BadValueError as error:
        raise values.BadValueError(f"{name} {error}") from None
    if fault := values.out_of_bounds(value, attribute):
        raise values.BadValueError(f"{name} {fault}")
    return value


def _aware(value: object) -> object:
    """Return the value; raise BadValueError if it is a datetime without a time zone.

    A table's times without a zone are UTC, but a caller's may be anything.
    """
    if isinstance(value, datetime) and value.tzinfo is None:
        raise values.BadValueError("has no time zone", values.shown(value))
    return value
