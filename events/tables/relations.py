"""Name the warehouse tables of events: their columns and SQL. They are made here only.

The SQL is in the neutral subset (feature_store/sql/subset.py).
"""

from __future__ import annotations

from ...feature_store.port import TableSpec
from ...project.specs.description import Attribute, Event, ProjectSpec
from ..port import Column
from .column_types import OF_ATTRIBUTE


def raw_name(event: str) -> str:
    """Return the name of the warehouse table that holds an event's raw rows."""
    return f"{event}_raw"


def view_name(event: str) -> str:
    """Return the name of the warehouse view that has each event exactly once, for readers."""
    return f"events_{event}"


def exposed_name(event: str) -> str:
    """Return the name of the view of events joined with their exposures.

    The folder endpoints/gateway/ creates it.
    """
    return f"{event}_exposed"


def quarantine_name(event: str) -> str:
    """Return the name of the table that holds an event's quarantined rows."""
    return f"quarantine_{event}"


def column(attribute: Attribute) -> Column:
    """Return the table column that stores an attribute of an event."""
    return Column(
        name=attribute.name, type=OF_ATTRIBUTE[attribute.type], required=attribute.required
    )


def event_columns(event: Event) -> tuple[Column, ...]:
    """Return the columns of an event that readers see.

    They are event_id, event_timestamp, and the attributes in their declared order.
    """
    return (
        Column(name="event_id", type="string", required=True),
        Column(name="event_timestamp", type="timestamp", required=True),
        *map(column, event.attributes),
    )


# Of a copy: how often its id was corrected before it, and when it was stored (the producer's wall
# clock; one of a whole ingest batch).
CORRECTION = Column(name="correction", type="int64")
STORED_TIMESTAMP = Column(name="stored_timestamp", type="timestamp")


def winning_order() -> str:
    """Return the SQL ORDER BY that sorts the copies of an event so that readers see the first.

    It holds for every reader on every target (PORTS.md, section 3). A correction goes before what
    it corrects; then what was stored earlier; then, within one batch, the smaller digest. Copies
    that were stored before these columns existed have nulls there: they count as not corrected, and
    as stored in 1970.
    """
    return (
        f"coalesce({CORRECTION.name}, 0) DESC, coalesce({STORED_TIMESTAMP.name}, TIMESTAMP "
        "'1970-01-01 00:00:00'), payload_digest"
    )


def raw_table(event: Event) -> TableSpec:
    """Return the specification of the table that holds every stored copy of an event.

    It has the digest of the payload, where it came from, and the columns of `winning_order`.
    """
    return TableSpec(
        name=raw_name(event.name),
        columns=(
            *event_columns(event),
            Column(name="payload_digest", type="string", required=True),
            Column(name="source", type="string"),
            Column(name="line", type="int64"),
            CORRECTION,
            STORED_TIMESTAMP,
        ),
        time_column="event_timestamp",
    )


def exactly_once_view(event: Event, table: str | None = None) -> TableSpec:
    """Return the view of an event without duplicates: one row for each date and id.

    It is the row that `winning_order` sorts first. `table` holds the copies, by default the event's
    raw table.
    """
    names = ", ".join(c.name for c in event_columns(event))
    return TableSpec(
        name=view_name(event.name),
        columns=(),
        time_column="event_timestamp",
        view_sql=(
            f"SELECT {names}, dt FROM (SELECT {names}, dt, row_number() OVER (PARTITION BY dt, "
            f"event_id ORDER BY {winning_order()}) AS isthmus_copy FROM "
            f"{table or raw_name(event.name)}) "
            "AS isthmus_copies WHERE isthmus_copy = 1"
        ),
    )


def quarantine_table(event: Event) -> TableSpec:
    """Return the specification of the table of an event's quarantined rows.

    It is partitioned by the time of refusal, as an event's own time may be what is wrong with it.
    """
    return TableSpec(
        name=quarantine_name(event.name),
        columns=(
            Column(name="quarantined_timestamp", type="timestamp", required=True),
            Column(name="event_id", type="string"),
            Column(name="attribute", type="string", required=True),
            Column(name="reason", type="string", required=True),
            Column(name="source", type="string", required=True),
            Column(name="line", type="int64"),
            Column(
                name="payload", type="string", required=True
            ),  # JSON of the event as it was read
            Column(name="payload_digest", type="string", required=True),
            Column(
                name="retry", type="bool", required=True
            ),  # it waits for its reference or its time: tried again at the next ingest
            Column(name="rule", type="string"),  # the reason without the row's own value
            Column(name="event_timestamp", type="timestamp"),  # where it has one
        ),
        time_column="quarantined_timestamp",
    )


def tables(spec: ProjectSpec) -> tuple[TableSpec, ...]:
    """Return all warehouse tables of events that `apply` creates, tables before views over them."""
    events = spec.events.values()
    return (
        *(make(event) for event in events for make in (raw_table, quarantine_table)),
        *map(exactly_once_view, events),
    )
