"""The SQL of the as-known check, in the neutral subset: a view over what was known at a moment, beside the view over everything. Pure.

One query computes the view `computations` times: over everything, and for each moment T twice: over what was known at T (run "removed"),
and over everything with the outcomes that became known after T turned round (run "flipped"). Rows are put side by side by
(entity_key, event_timestamp, created_timestamp), which is unique in each run. No join and no relation read twice in a run: an engine that
writes WITH out reads no more than one that keeps it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec

from ..events.port import Column
from ..events.relations import view_name
from ..project.specs import Description
from .history import ViewSource, body, changed, computed_sql
from .schema import relation_columns
from .sql import tables

NEAR = timedelta(days=1)  # what a moment says most about: rows that became known this long before it
_ALWAYS = datetime(9999, 12, 31, tzinfo=UTC)
_KEY = ("entity_key", "event_timestamp", "created_timestamp")


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that a view reads."""

    relation: str
    columns: tuple[str, ...]
    known: str | None  # SQL: when a row became known; None of a static table that does not say
    outcome: bool = False  # an objective: its outcome is 0 or 1
    dated: bool = False  # partitioned by the date of its event_timestamp, which is never after `known`


def inputs(source: ViewSource, description: Description) -> tuple[Input, ...]:
    spec = description.spec
    events = {view_name(event) for event in spec.events}
    read = tables(source.view.sql)
    return tuple(
        Input(
            relation=relation,
            columns=tuple(column.name for column in columns),
            known=_known({column.name for column in columns if column.type == "timestamp"}),
            outcome=relation in spec.objectives,
            dated=relation in events or relation in spec.objectives,
        )
        for relation, columns in relation_columns(description).items()
        if relation.lower() in read
    )


def _known(columns: set[str]) -> str | None:
    if {"created_timestamp", "event_timestamp"} <= columns:
        return "CASE WHEN created_timestamp > event_timestamp THEN created_timestamp ELSE event_timestamp END"
    return next((name for name in ("created_timestamp", "event_timestamp") if name in columns), None)


def computations(moments: int, *, again: bool = False) -> int:
    """How often a view is computed for so many moments together."""
    return 1 + 2 * moments + again


def known_times_sql(read: Sequence[Input], shares: Sequence[float]) -> str:
    """Times up to `$until` at which an input's row became known: for each share of [0, 1) the one at that place among them."""
    times = " UNION ALL ".join(f"SELECT {i.known} AS isthmus_known FROM {i.relation}" for i in read if i.known is not None)
    places = " OR ".join(f"isthmus_place = floor({share:.6e} * isthmus_total) + 1" for share in shares)
    return (
        "SELECT isthmus_known FROM (SELECT isthmus_known, row_number() OVER (ORDER BY isthmus_known) AS isthmus_place, "
        f"count(*) OVER () AS isthmus_total FROM (SELECT DISTINCT isthmus_known FROM ({times}) AS isthmus_times "
        f"WHERE isthmus_known <= $until) AS isthmus_distinct) AS isthmus_placed WHERE {places} ORDER BY isthmus_known"
    )


def compared_sql(source: ViewSource, read: Sequence[Input], moments: Sequence[datetime], *, again: bool) -> tuple[str, dict[str, object]]:
    """One row, or none when the view has none: the first row to blame, else any, with every run's values and two totals.

    isthmus_blamed: rows to blame; isthmus_near: rows of the full result that became known within `NEAR` before a moment.
    `again`: the view is computed once more over its input in another order, and a float that differs there as well is not blamed.
    """
    runs = [source.view.sql]
    for number in range(len(moments)):
        runs += [_over(source, read, _removed, number), _over(source, read, _flipped, number)]
    if again:
        runs.append(_over(source, read, _reordered, 0))
    union = "\nUNION ALL\n".join(
        f"SELECT {run} AS isthmus_run, * FROM (\n{_computed(source, sql)}\n) AS isthmus_run_{run}" for run, sql in enumerate(runs)
    )
    values = chain.from_iterable(_values(source.features, run) for run in range(len(runs)))
    grouped = f"SELECT {', '.join(_KEY)}, {', '.join(values)} FROM (\n{union}\n) AS isthmus_runs GROUP BY {', '.join(_KEY)}"
    there = (
        f"SELECT *, sum(isthmus_in_0) OVER (PARTITION BY entity_key, event_timestamp) AS isthmus_there FROM (\n{grouped}\n) AS isthmus_rows"
    )
    blamed = " OR ".join(_blamed(source.features, number, len(runs) - 1 if again else None) for number in range(len(moments)))
    near = " OR ".join(f"(created_timestamp > $near_{n} AND created_timestamp <= $moment_{n})" for n in range(len(moments)))
    judged = (
        f"SELECT *, CASE WHEN {blamed} THEN 1 ELSE 0 END AS isthmus_wrong, "
        f"CASE WHEN isthmus_in_0 = 1 AND ({near}) THEN 1 ELSE 0 END AS isthmus_close FROM (\n{there}\n) AS isthmus_placed"
    )
    params: dict[str, object] = {"until": _ALWAYS}
    for number, moment in enumerate(moments):
        params |= {f"moment_{number}": moment, f"near_{number}": moment - NEAR, f"date_{number}": f"{moment:%Y-%m-%d}"}
    sql = (
        "SELECT *, sum(isthmus_wrong) OVER () AS isthmus_blamed, sum(isthmus_close) OVER () AS isthmus_near "
        f"FROM (\n{judged}\n) AS isthmus_judged ORDER BY isthmus_wrong DESC, created_timestamp, event_timestamp, entity_key LIMIT 1"
    )
    return sql, {name: value for name, value in params.items() if f"${name}" in sql}


def value_name(feature: int, run: int) -> str:
    return f"isthmus_value_{feature}_{run}"


def _computed(source: ViewSource, sql: str) -> str:
    return computed_sql(msgspec.structs.replace(source, view=msgspec.structs.replace(source.view, sql=sql)))


def _over(source: ViewSource, read: Sequence[Input], put: Callable[[Input, int], str | None], number: int) -> str:
    """The view's SQL over other inputs: a WITH of a relation's own name stands before it."""
    instead = [f"{i.relation} AS (\n{sql}\n)" for i in read if (sql := put(i, number)) is not None]
    if not instead:
        return source.view.sql
    return f"WITH {', '.join(instead)}\nSELECT * FROM (\n{body(source.view.sql)}\n) AS isthmus_view"


def _removed(i: Input, number: int) -> str | None:
    if i.known is None:
        return None
    # `known` is null only in a static table: such a row is taken as one that was always there
    condition = f"event_timestamp <= $moment_{number}" if not i.outcome else f"created_timestamp <= $moment_{number}"
    if not i.dated:
        condition = f"({i.known} IS NULL OR {i.known} <= $moment_{number})"
    pruned = f" AND dt <= $date_{number}" if i.dated else ""
    return f"SELECT {', '.join(i.columns)} FROM {i.relation} WHERE {condition}{pruned}"


def _flipped(i: Input, number: int) -> str | None:
    if not i.outcome:
        return None
    turned = f"CASE WHEN created_timestamp > $moment_{number} THEN 1 - outcome ELSE outcome END AS outcome"
    names = ", ".join(turned if name == "outcome" else name for name in i.columns)
    return f"SELECT {names} FROM {i.relation}"


def _reordered(i: Input, number: int) -> str | None:
    """Later rows first. The relation's order means nothing, so only sums of floats may tell."""
    if i.known is None:
        return None
    select = f"SELECT {', '.join(i.columns)} FROM {i.relation} WHERE"
    return f"{select} {i.known} > $moment_{number} UNION ALL {select} {i.known} <= $moment_{number} OR {i.known} IS NULL"


def _values(features: Sequence[Column], run: int) -> Iterator[str]:
    """A run has at most one row of a key, so max() is that row's value."""
    yield f"sum(CASE WHEN isthmus_run = {run} THEN 1 ELSE 0 END) AS isthmus_in_{run}"
    for place, feature in enumerate(features):
        yield f"max(CASE WHEN isthmus_run = {run} THEN {feature.name} END) AS {value_name(place, run)}"


def _blamed(features: Sequence[Column], number: int, again: int | None) -> str:
    """A row of the full result that was known by T must be in both other runs alike; one that was there at T must still be there."""
    removed, flipped = 2 * number + 1, 2 * number + 2
    differs = [f"isthmus_in_{run} = 0" for run in (removed, flipped)]
    for place, feature in enumerate(features):
        full = value_name(place, 0)
        for run in (removed, flipped):
            different = changed(feature, full, value_name(place, run))
            if again is not None and feature.type == "float64":
                different = f"({different} AND NOT {changed(feature, full, value_name(place, again))})"
            differs.append(different)
    return (
        f"(created_timestamp <= $moment_{number} AND ((isthmus_in_0 = 1 AND ({' OR '.join(differs)})) "
        f"OR (isthmus_in_{removed} = 1 AND isthmus_there = 0)))"
    )
