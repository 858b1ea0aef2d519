"""Write the SQL of the as-known check: a view over what was known at a moment, beside all of it.

Pure, in the neutral subset. One query computes the view several times: over everything, and for
each moment T over what was known at T (run "removed") and, if the view reads an objective, over
everything with the outcomes that became known after T turned round (run "flipped"). Rows are put
side by side by (entity_key, event_timestamp, created_timestamp), which is unique in each run. There
is no join, and no relation is read twice in a run: an engine that writes WITH out reads no more
than one that keeps it.

How many rows are to blame is asked first, by aggregates alone: nothing wide is sorted, however long
a history is. Which row is the first of them is asked only where there are any.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain

import msgspec

from ...events.port import Column
from ...events.tables.relations import view_name
from ...project.specs.description import ParsedProject
from ..joins.view_history import ViewSource, changed, computed_sql, without_semicolon
from ..sql.subset import tables
from ..views.schema import relation_columns

NEAR = timedelta(
    days=1
)  # what a moment says most about: rows that became known this long before it
_ALWAYS = datetime(9999, 12, 31, tzinfo=UTC)
_KEY = ("entity_key", "event_timestamp", "created_timestamp")


class Input(msgspec.Struct, frozen=True, kw_only=True):
    """A relation that a view reads."""

    relation: str
    columns: tuple[str, ...]
    known: str | None  # SQL: when a row became known; None of a static table that does not say
    outcome: bool = False  # an objective: its outcome is 0 or 1 ...
    number: bool = False  # ... or a number
    dated: bool = (
        False  # partitioned by the date of its event_timestamp, which is never after `known`
    )


def inputs_of(source: ViewSource, description: ParsedProject) -> tuple[Input, ...]:
    """Return the relations that a view's SQL reads, with their columns.

    Each has the SQL for the time at which a row of it became known.
    """
    spec = description.spec
    events = {view_name(event) for event in spec.events}
    read = tables(source.view.sql)
    return tuple(
        Input(
            relation=relation,
            columns=tuple(column.name for column in columns),
            known=_known_time_sql(
                {column.name for column in columns if column.type == "timestamp"}
            ),
            outcome=relation in spec.objectives,
            number=relation in spec.objectives and spec.objectives[relation].is_number,
            dated=relation in events or relation in spec.objectives,
        )
        for relation, columns in relation_columns(description).items()
        if relation.lower() in read
    )


def _known_time_sql(columns: set[str]) -> str | None:
    """Return SQL for the time when a relation's row became known, or None if it has no times."""
    if {"created_timestamp", "event_timestamp"} <= columns:
        return (
            "CASE WHEN created_timestamp > event_timestamp THEN created_timestamp ELSE "
            "event_timestamp END"
        )
    return next(
        (name for name in ("created_timestamp", "event_timestamp") if name in columns), None
    )


def reads_outcomes(read: Sequence[Input]) -> bool:
    """Return whether one of a view's inputs is an objective, whose rows hold outcomes (labels)."""
    return any(i.outcome for i in read)


def computations(moments: int, *, flipped: bool = True, again: bool = False) -> int:
    """Return how many times one query of the leakage check computes a view.

    Args:
        moments: The number of points in time that the query checks.
        flipped: Whether the view reads outcomes, so that it is computed with flipped ones, too.
        again: Whether it is computed once more over its input in another order.
    """
    return 1 + moments * (1 + flipped) + again


def known_times_sql(read: Sequence[Input], shares: Sequence[float]) -> str:
    """Return SQL that picks some of the times at which an input's row became known.

    For each of the `shares` from 0 to 1 it returns the time at that quantile of all distinct ones.
    """
    times = " UNION ALL ".join(
        f"SELECT {i.known} AS isthmus_known FROM {i.relation}" for i in read if i.known is not None
    )
    places = " OR ".join(
        f"isthmus_place = floor({share:.6e} * isthmus_total) + 1" for share in shares
    )
    return (
        "SELECT isthmus_known FROM (SELECT isthmus_known, row_number() OVER (ORDER BY "
        "isthmus_known) AS isthmus_place, count(*) OVER () AS isthmus_total FROM (SELECT "
        f"DISTINCT isthmus_known FROM ({times}) AS isthmus_times WHERE isthmus_known <= $until) "
        f"AS isthmus_distinct) AS isthmus_placed WHERE {places} ORDER BY isthmus_known"
    )


def totals_sql(
    source: ViewSource, read: Sequence[Input], moments: Sequence[datetime]
) -> tuple[str, dict[str, object]]:
    """Return SQL that counts a view's leaking rows at these points in time, and its parameters.

    It returns one row: `isthmus_blamed`, the number of leaking rows, and `isthmus_near`, the number
    of rows of the full result that became known within `NEAR` before a point in time. Both are null
    when the view has no rows.
    """
    runs = _runs(source, read, len(moments), again=False)
    ways = [_blame_conditions(source.features, number, runs) for number in range(len(moments))]
    changed, gone = (" OR ".join(conditions) for conditions in zip(*ways, strict=True))
    near = " OR ".join(
        f"(created_timestamp > $near_{n} AND created_timestamp <= $moment_{n})"
        for n in range(len(moments))
    )
    flags = ", ".join(
        f"CASE WHEN {condition} THEN 1 ELSE 0 END AS {name}"
        for name, condition in (
            ("isthmus_changed", changed),
            ("isthmus_gone", gone),
            ("isthmus_close", f"isthmus_in_0 = 1 AND ({near})"),
        )
    )
    judged = (
        f"SELECT entity_key, event_timestamp, isthmus_in_0, {flags} FROM "
        f"(\n{_side_by_side(source, runs)}\n) AS isthmus_rows"
    )
    sums = ", ".join(
        f"sum({name}) AS {name}"
        for name in ("isthmus_in_0", "isthmus_changed", "isthmus_gone", "isthmus_close")
    )
    events = (
        f"SELECT {sums} FROM (\n{judged}\n) AS isthmus_judged GROUP BY entity_key, event_timestamp"
    )
    blamed = "CASE WHEN isthmus_in_0 = 0 THEN isthmus_gone ELSE isthmus_changed END"
    sql = (
        f"SELECT sum({blamed}) AS isthmus_blamed, sum(isthmus_close) AS isthmus_near FROM "
        f"(\n{events}\n) AS isthmus_events"
    )
    return sql, _params(sql, moments)


def blamed_sql(
    source: ViewSource, read: Sequence[Input], moments: Sequence[datetime], *, again: bool
) -> tuple[str, dict[str, object]]:
    """Return SQL for a view's first leaking row with its values in every run, and its parameters.

    The row's `isthmus_blamed` is the number of leaking rows; without any the result is empty.
    `again`: the view is computed once more over its input in another order, and a float that
    differs there as well is no leak.
    """
    runs = _runs(source, read, len(moments), again=again)
    counted_runs = (
        "SELECT *, sum(isthmus_in_0) OVER (PARTITION BY entity_key, event_timestamp) AS "
        f"isthmus_there FROM (\n{_side_by_side(source, runs)}\n) AS isthmus_rows"
    )
    repeat = 2 * len(moments) + 1 if again else None
    ways = (
        _blame_conditions(source.features, number, runs, repeat) for number in range(len(moments))
    )
    blamed = " OR ".join(f"{changed} OR (isthmus_there = 0 AND {gone})" for changed, gone in ways)
    sql = (
        f"SELECT *, count(*) OVER () AS isthmus_blamed FROM (\n{counted_runs}\n) AS "
        f"isthmus_placed WHERE {blamed} ORDER BY created_timestamp, event_timestamp, entity_key "
        "LIMIT 1"
    )
    return sql, _params(sql, moments)


def _params(sql: str, moments: Sequence[datetime]) -> dict[str, object]:
    """Return the values of a query's `$` parameters, of those it names, for these times."""
    params: dict[str, object] = {"until": _ALWAYS}
    for number, moment in enumerate(moments):
        params |= {
            f"moment_{number}": moment,
            f"near_{number}": moment - NEAR,
            f"date_{number}": f"{moment:%Y-%m-%d}",
        }
    return {name: value for name, value in params.items() if f"${name}" in sql}


def _runs(
    source: ViewSource, read: Sequence[Input], moments: int, *, again: bool
) -> dict[int, str]:
    """Return the SQL of each computation (run) of a view that the leakage check compares.

    `moments` is the number of times that are checked. Run 0 is over all data. Run 2n + 1 is without
    what was unknown at time n; run 2n + 2 has the outcomes that became known later flipped. With
    `again` the last run reads its input in another order.
    """
    runs = {0: source.view.sql}
    for number in range(moments):
        runs[2 * number + 1] = _sql_over_inputs(source, read, _removed, number)
        if reads_outcomes(read):
            runs[2 * number + 2] = _sql_over_inputs(source, read, _flipped, number)
    if again:
        runs[2 * moments + 1] = _sql_over_inputs(source, read, _reordered, 0)
    return runs


def _side_by_side(source: ViewSource, runs: Mapping[int, str]) -> str:
    """Return SQL that computes a view in several ways and joins the results by row.

    `runs` has the SQL of each computation by its number.
    """
    union = "\nUNION ALL\n".join(
        f"SELECT {run} AS isthmus_run, * FROM (\n{_computed(source, sql)}\n) AS isthmus_run_{run}"
        for run, sql in runs.items()
    )
    values = chain.from_iterable(_run_columns(source.features, run) for run in runs)
    return (
        f"SELECT {', '.join(_KEY)}, {', '.join(values)} FROM (\n{union}\n) AS isthmus_runs GROUP "
        f"BY {', '.join(_KEY)}"
    )


def value_name(feature: int, run: int) -> str:
    """Return the name of the query's column that holds a feature's value in a run.

    Both are numbers.
    """
    return f"isthmus_value_{feature}_{run}"


def _computed(source: ViewSource, sql: str) -> str:
    """Return SQL that computes a view's history rows by another SELECT than the view's own."""
    return computed_sql(
        msgspec.structs.replace(source, view=msgspec.structs.replace(source.view, sql=sql))
    )


def _sql_over_inputs(
    source: ViewSource,
    read: Sequence[Input],
    replacement: Callable[[Input, int], str | None],
    number: int,
) -> str:
    """Return a view's SQL with a WITH clause in which some of its tables have other rows.

    So a view is computed as if it had not seen what came later.

    Args:
        source: The view.
        read: The tables that its SQL reads.
        replacement: Returns the SELECT that stands for a table, None to leave it, from the table
            and the run's number.
        number: The number of the run, which names its parameters.
    """
    instead = [
        f"{i.relation} AS (\n{sql}\n)" for i in read if (sql := replacement(i, number)) is not None
    ]
    if not instead:
        return source.view.sql
    sql = without_semicolon(source.view.sql)
    return f"WITH {', '.join(instead)}\nSELECT * FROM (\n{sql}\n) AS isthmus_view"


def _removed(i: Input, number: int) -> str | None:
    """Return SQL for an input without the rows that became known after a time.

    `number` is the time's. None if the input has no times.
    """
    if i.known is None:
        return None
    # `known` is null only in a static table: such a row is taken as one that was always there
    condition = (
        f"event_timestamp <= $moment_{number}"
        if not i.outcome
        else f"created_timestamp <= $moment_{number}"
    )
    if not i.dated:
        condition = f"({i.known} IS NULL OR {i.known} <= $moment_{number})"
    pruned = f" AND dt <= $date_{number}" if i.dated else ""
    return f"SELECT {', '.join(i.columns)} FROM {i.relation} WHERE {condition}{pruned}"


def _flipped(i: Input, number: int) -> str | None:
    """Return SQL for an input with those outcomes flipped that became known after a time.

    `number` is the time's. An outcome that is a number changes its sign, and 0 becomes 1. None if
    the input holds no outcomes.
    """
    if not i.outcome:
        return None
    other = "1 - outcome"
    if i.number:
        other = "CASE WHEN outcome = 0 THEN CAST(1 AS DOUBLE) ELSE -outcome END"
    turned = (
        f"CASE WHEN created_timestamp > $moment_{number} THEN {other} ELSE outcome END AS outcome"
    )
    names = ", ".join(turned if name == "outcome" else name for name in i.columns)
    return f"SELECT {names} FROM {i.relation}"


def _reordered(i: Input, number: int) -> str | None:
    """Return SQL for an input with its later rows first, or None if it has no times.

    A relation has no order, so this can change nothing but sums of floats.
    """
    if i.known is None:
        return None
    select = f"SELECT {', '.join(i.columns)} FROM {i.relation} WHERE"
    return (
        f"{select} {i.known} > $moment_{number} UNION ALL {select} {i.known} <= $moment_{number} "
        f"OR {i.known} IS NULL"
    )


def _run_columns(features: Sequence[Column], run: int) -> Iterator[str]:
    """Yield the SQL columns of one computation (run) of a view, for the query that joins them all.

    `features` are the view's. A run has at most one row of a key, so max() is that row's value.
    """
    yield f"max(CASE WHEN isthmus_run = {run} THEN 1 ELSE 0 END) AS isthmus_in_{run}"
    for place, feature in enumerate(features):
        value = f"CASE WHEN isthmus_run = {run} THEN {feature.name} END"
        yield f"max({value}) AS {value_name(place, run)}"


def _blame_conditions(
    features: Sequence[Column], number: int, runs: Container[int], repeat: int | None = None
) -> tuple[str, str]:
    """Return two SQL conditions for leaking rows: those that changed, those that disappeared.

    `number` is that of a past time and `runs` are the numbers of the computations made for it. The
    first condition holds for a row of the full result that is not the same in these runs. The
    second holds for a row that was there at that time; it leaks if nothing of its event is in the
    full result. `repeat` is the run over input in another order.
    """
    removed, was_known = 2 * number + 1, f"created_timestamp <= $moment_{number}"
    differs = []
    for run in (run for run in (removed, removed + 1) if run in runs):
        differs.append(f"isthmus_in_{run} = 0")
        for place, feature in enumerate(features):
            different = changed(feature, value_name(place, 0), value_name(place, run))
            if repeat is not None and feature.type == "float64":
                different = (
                    f"({different} AND NOT "
                    f"{changed(feature, value_name(place, 0), value_name(place, repeat))})"
                )
            differs.append(different)
    return (
        f"({was_known} AND isthmus_in_0 = 1 AND ({' OR '.join(differs)}))",
        f"({was_known} AND isthmus_in_{removed} = 1)",
    )
