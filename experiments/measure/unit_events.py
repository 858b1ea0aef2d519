"""Which events come to which unit, in the neutral subset.

By an attribute, by the exposure that they followed, or by what was credited.
"""

from __future__ import annotations

import msgspec

from ...events.tables.relations import exposed_name, view_name
from ...project.specs.description import Event, ProjectSpec
from ...project.specs.reach import EXPOSURE_ID, path, to_exposure

_CREDITS = (
    "SELECT event_id AS isthmus_id, min(unit) AS unit, min(CASE WHEN credit = "
    "$control_credit THEN -1 ELSE 1 END) AS win FROM exposures "
    "WHERE dt >= $since AND (credit = $control_credit OR credit = $treatment_credit) GROUP "
    "BY event_id"
)


class Source(msgspec.Struct, frozen=True):
    """The rows that are scanned once: of an event, or an objective's exposures with their outcomes.

    `credited`: of those alone that credit somebody.
    """

    event: str
    objective: str | None = None
    credited: bool = False


def unit_events_sql(spec: ProjectSpec, event: str, unit: str, *, until: str) -> str:
    """Return an SQL query of the events of one type, each with the unit that it belongs to.

    Columns: unit (text), dt, happened_at. Parameters: $earliest, a date, and `until`, a time.

    Raises:
        ValueError: The event's references do not lead to the unit.
    """
    return source_rows_sql(spec, Source(event), (), unit, until=until)


def source_rows_sql(
    spec: ProjectSpec, source: Source, values: tuple[str, ...], unit: str, *, until: str = "$until"
) -> str:
    """Return an SQL query of the events of a source before a time, each with its unit.

    Columns: unit (text), dt, happened_at and `values` as isthmus_<value>. Parameters: $earliest, a
    date; `until`, a time; for an objective's outcomes $known; for credited events $since and both
    credits.

    Args:
        spec: The project's events.
        source: The events that are read.
        values: Attributes that the rows carry.
        unit: The attribute that names a unit.
        until: The SQL parameter with the time before which events count.

    Raises:
        ValueError: The event's references do not lead to the unit.
    """
    event = spec.events[source.event]
    if source.credited:
        return _credited_rows(spec, source, event, until=until)
    table = source.objective or view_name(event.name)
    read = f"dt >= $earliest AND event_timestamp < {until}" + (
        " AND created_timestamp <= $known" if source.objective else ""
    )
    own = (
        f"isthmus_row.{value} AS isthmus_{value}" for value in values
    )  # whatever an attribute is called
    columns = "".join(f", {column}" for column in ("dt", "event_timestamp AS happened_at", *own))
    steps = path(event.name, unit, spec.events)
    if steps is None:
        raise ValueError(f"{event.name} does not reach {unit}")
    if steps == (unit,):
        return (
            f"SELECT CAST({unit} AS VARCHAR) AS unit{columns} FROM {table} AS isthmus_row WHERE "
            f"{read}"
        )
    referred, via = (
        (event, "event_id")
        if len(steps) == 1
        else (_referred_event(spec, event, steps[0]), steps[0])
    )
    further = steps[1:] or steps
    return (
        f"SELECT isthmus_of.unit{columns} FROM {table} AS isthmus_row JOIN "
        f"({_units_of(spec, referred, further)}) AS isthmus_of "
        f"ON isthmus_row.{via} = isthmus_of.isthmus_id WHERE {read}"
    )


def _credited_rows(spec: ProjectSpec, source: Source, event: Event, *, until: str) -> str:
    """Return an SQL query of the events that follow an item credited to a variant.

    Columns: unit, happened_at, isthmus_counts (1, or an outcome) and isthmus_win (below 0 for the
    control).
    """
    steps = to_exposure(event.name, spec.events)
    if steps is None:
        raise ValueError(f"{event.name} does not say which exposure it followed")
    count = "outcome" if source.objective else "1"
    read = f"dt >= $earliest AND event_timestamp < {until}" + (
        " AND created_timestamp <= $known" if source.objective else ""
    )
    via, *further = steps
    credits_sql = (
        _credits_of(spec, _referred_event(spec, event, via), tuple(further))
        if further
        else _CREDITS
    )
    return (
        f"SELECT isthmus_of.unit, event_timestamp AS happened_at, {count} AS isthmus_counts, "
        f"{count} * isthmus_of.win AS isthmus_win FROM "
        f"{source.objective or view_name(event.name)} AS isthmus_row JOIN ({credits_sql}) AS "
        f"isthmus_of ON isthmus_row.{via} = isthmus_of.isthmus_id WHERE {read}"
    )


def _credits_of(spec: ProjectSpec, event: Event, steps: tuple[str, ...]) -> str:
    """Return an SQL query of the unit and the win of each credited event, by the event's id.

    Columns: isthmus_id, unit and win (below 0 for the control). `steps` are the references that
    lead from the event to the exposure.
    """
    step, *further = steps
    of_next = (
        _credits_of(spec, _referred_event(spec, event, step), tuple(further))
        if further
        else _CREDITS
    )
    return (
        "SELECT isthmus_event.event_id AS isthmus_id, min(isthmus_next.unit) AS unit, "
        f"min(isthmus_next.win) AS win FROM {view_name(event.name)} AS isthmus_event JOIN "
        f"({of_next}) AS isthmus_next ON isthmus_event.{step} = isthmus_next.isthmus_id GROUP BY "
        "isthmus_event.event_id"
    )


def _units_of(spec: ProjectSpec, event: Event, steps: tuple[str, ...]) -> str:
    """Return an SQL query of the units of events, by event id.

    Columns: isthmus_id and unit. `steps` are the references that lead from the event to the unit.
    Each id has one row, even if its event was logged on two dates.
    """
    step, *further = steps
    if further:
        rows = (
            f"{view_name(event.name)} AS isthmus_event JOIN "
            f"({_units_of(spec, _referred_event(spec, event, step), tuple(further))}) "
            f"AS isthmus_next ON isthmus_event.{step} = isthmus_next.isthmus_id"
        )
        columns = "isthmus_event.event_id AS isthmus_id, min(isthmus_next.unit) AS unit"
        return f"SELECT {columns} FROM {rows} GROUP BY isthmus_event.event_id"
    name, table = (
        ("unit", exposed_name(event.name))
        if step == EXPOSURE_ID
        else (f"CAST({step} AS VARCHAR)", view_name(event.name))
    )
    return f"SELECT event_id AS isthmus_id, min({name}) AS unit FROM {table} GROUP BY event_id"


def _referred_event(spec: ProjectSpec, event: Event, attribute: str) -> Event:
    """Return the event to which an attribute refers."""
    return next(
        spec.events[a.event]
        for a in event.attributes
        if a.name == attribute and a.event is not None
    )
