"""Join features to rows as they were known at each row's own time (the point-in-time join).

Of the view's rows with the same key, `event_timestamp <= t` and `created_timestamp <= t`, the
newest wins by event_timestamp, then created_timestamp, then the features' canonical order (null
lowest, then by value, column by column). A row older than `ttl` (t - event_timestamp > ttl) counts
as absent. There is one output row per spine row: a null key or time finds nothing, duplicates stay.

There are two renderings of the same rule:

- `portable`, in the neutral subset, for any engine with window functions. Number each key's rows by
  (event, created, features): a row's *version*. Lay the spine's distinct (key, time) pairs among
  the rows in the order in which they became known and take the running maximum of the version: the
  newest row known by then. It is linear in rows (a join of pairs with row_number would be quadratic
  in a busy key) and needs no IGNORE NULLS, QUALIFY or ASOF.
- `asof`, for an engine that has ASOF JOIN (capability `warehouse.asof`). ASOF takes one inequality,
  on *known* = greatest(event, created). The latest known row is the newest row only while both
  orders agree: always, when created - event is the same in every row ("steady"). Otherwise rows
  that are not their key's newest when they become known (an older day's correction) can never be an
  answer, and are dropped.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Literal

import msgspec

from ...errors import Invalid, Unsupported
from ...events.port import Column
from ...events.tables.column_types import COLUMN_TYPES
from ..port import Params

if TYPE_CHECKING:
    import pyarrow as pa

    from ...target import Target
    from ..port import Warehouse

Rendering = Literal["portable", "asof"]


class JoinView(msgspec.Struct, frozen=True, kw_only=True):
    """The view's side of the join: its history table, and the features to take from it."""

    history: str  # the warehouse table: <key>, event_timestamp, created_timestamp, the features
    key: str  # the column that names the entity, in the history and in the spine
    features: tuple[Column, ...]
    ttl: timedelta | None = None
    known_until: datetime | None = (
        None  # rows created later are not published yet (the view's watermark)
    )
    # one row at most per (key, event, created), and created >= event: as `materialize` writes it
    unique: bool = False
    stamp: str | None = (
        None  # the output column for the event_timestamp of the row that is found; None: not wanted
    )
    steady: bool | None = None  # created - event is the same in every row; None: not known


def join_sql(
    spine: str,
    columns: Sequence[str],
    views: Sequence[JoinView],
    *,
    rendering: Rendering = "portable",
    time: str = "event_timestamp",
    order_by: Sequence[str] = (),
) -> str:
    """Return SQL that joins feature views to the rows of `spine` as of each row's time.

    It is one SELECT: `columns` of the spine, then every view's features and the time of the joined
    row (its stamp). `spine` is a SELECT. A view's stamp is a column only where the view names one.
    The SQL has the parameter `$known_<n>` for the n-th view that has `known_until` (see
    `join_params`).

    Raises:
        Invalid: two columns would have one name.
    """
    check_names(columns, views)
    # No name of a user's begins with isthmus_, so these can hide no table and no column.
    tables = [f"isthmus_spine AS (\n{spine}\n)"]
    joins, outputs = [], [f"isthmus_spine.{name}" for name in columns]
    for number, view in enumerate(views):
        same = f"isthmus_spine.{view.key} = isthmus_view_{number}.{view.key}"
        if rendering == "portable":
            tables += _portable_tables(number, view, time)
            condition = f"{same} AND isthmus_spine.{time} = isthmus_view_{number}.isthmus_time"
            joins.append(f"LEFT JOIN isthmus_view_{number} ON {condition}")
            outputs += [
                f"isthmus_view_{number}.{name}"
                for name in (*(feature.name for feature in view.features), *stamp_name(view))
            ]
        else:
            condition = f"{same} AND isthmus_spine.{time} >= isthmus_view_{number}.isthmus_known"
            joins.append(
                f"ASOF LEFT JOIN ({_asof_rows(number, view)}) AS isthmus_view_{number} "
                f"ON {condition}"
            )
            outputs += [_within_ttl(number, view, feature.name, time) for feature in view.features]
            outputs += [
                _within_ttl(number, view, "event_timestamp", time, name)
                for name in stamp_name(view)
            ]
    order = (
        f"\nORDER BY {', '.join(f'isthmus_spine.{name}' for name in order_by)}" if order_by else ""
    )
    separator = ",\n"
    return (
        f"WITH {separator.join(tables)}\nSELECT {', '.join(outputs)}\nFROM isthmus_spine\n"
        + "\n".join(joins)
        + order
    )


def check_names(columns: Sequence[str], views: Sequence[JoinView]) -> None:
    """Raise Invalid if a join of views to rows with these columns had two columns of one name."""
    names = [
        *columns,
        *(
            name
            for view in views
            for name in (*(feature.name for feature in view.features), *stamp_name(view))
        ),
    ]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise Invalid(
            f"the join would have two columns named {', '.join(twice)}",
            remedy="feature names are unique within a model, and differ from the objective's "
            "columns: rename one in its SQL (AS ...)",
        )


def stamp_name(view: JoinView) -> tuple[str, ...]:
    """Return the name of the column for the joined row's time, in a tuple; empty if not wanted."""
    return () if view.stamp is None else (view.stamp,)


def join_params(views: Sequence[JoinView]) -> dict[str, object]:
    """Return the values of the join's `$known_<n>`: until when each view's rows are published."""
    return {
        f"known_{number}": view.known_until
        for number, view in enumerate(views)
        if view.known_until is not None
    }


def point_in_time(
    target: Target,
    spine: str,
    columns: Sequence[str],
    views: Sequence[JoinView],
    *,
    params: Params | None = None,
    time: str = "event_timestamp",
    order_by: Sequence[str] = (),
    rendering: Rendering | None = None,
) -> pa.Table:
    """Join feature views to rows as of each row's time, and return the result as an Arrow table.

    Returns:
        `columns` of the spine, then every view's features. Without a `rendering` the join is by
        ASOF where the target's capability `warehouse.asof` is native, else portable.

    Raises:
        Unsupported: `asof` was asked for and the target has no ASOF JOIN.
    """
    row = target.capabilities.get("warehouse.asof")
    native = row is not None and row.level == "native"
    if rendering == "asof" and not native:
        raise Unsupported(
            f"target {target.name} has no ASOF JOIN",
            capability="warehouse.asof",
            remedy="leave `rendering` out: the portable join is exact too",
        )
    if rendering is None:
        rendering = "asof" if native else "portable"
    if rendering == "asof":
        views = [
            view if view.steady is not None else _scanned(target.warehouse, view) for view in views
        ]
    sql = join_sql(spine, columns, views, rendering=rendering, time=time, order_by=order_by)
    return target.warehouse.query(sql, {**(params or {}), **join_params(views)})


def _scanned(warehouse: Warehouse, view: JoinView) -> JoinView:
    """Read from a view's history what lets the ASOF join skip work; return the view with it.

    That is whether its rows are unique, and whether they became known with a constant delay. Two
    passes over three columns cost a tenth of what they can save.
    """
    lags = (
        "SELECT count(*) - count(isthmus_lag) AS isthmus_gaps, "
        "CASE WHEN min(isthmus_lag) = max(isthmus_lag) THEN 1 ELSE 0 END AS isthmus_steady, "
        "CASE WHEN min(isthmus_lag) < INTERVAL 0 SECOND THEN 1 ELSE 0 END AS isthmus_early FROM ("
        f"SELECT created_timestamp - event_timestamp AS isthmus_lag FROM {view.history} "
        "WHERE event_timestamp IS NOT NULL) AS isthmus_lags"
    )
    row = warehouse.query(lags, {}).to_pylist()[0]
    unique = view.unique
    if not unique and not row["isthmus_gaps"] and not row["isthmus_early"]:
        copies = (
            f"SELECT count(*) AS isthmus_rows FROM (SELECT {view.key} FROM {view.history} "
            f"GROUP BY {view.key}, event_timestamp, created_timestamp HAVING count(*) > 1) "
            "AS isthmus_copies"
        )
        unique = warehouse.query(copies, {})["isthmus_rows"][0].as_py() == 0
    return msgspec.structs.replace(
        view, unique=unique, steady=row["isthmus_gaps"] == 0 and row["isthmus_steady"] == 1
    )


def published_rows(number: int, view: JoinView) -> str:
    """Return SQL for a view's published rows with the time when each became known.

    `number` is the view's in the join. A row without created_timestamp was known at its own time.
    """
    names = ", ".join(feature.name for feature in view.features)
    published = "" if view.known_until is None else f" AND created_timestamp <= $known_{number}"
    return (
        f"SELECT {view.key}, event_timestamp, created_timestamp, "
        "CASE WHEN created_timestamp > event_timestamp THEN created_timestamp ELSE "
        "event_timestamp END AS isthmus_known"
        f"{', ' if names else ''}{names} FROM {view.history} "
        f"WHERE {view.key} IS NOT NULL AND event_timestamp IS NOT NULL{published}"
    )


def _versions(number: int, view: JoinView) -> str:
    """Return SQL that numbers each key's rows in a view's history, from the oldest on.

    `number` is the view's in the join, which takes the highest number known at a time.
    """
    names = "".join(f", {feature.name}" for feature in view.features)
    created = "coalesce(created_timestamp, event_timestamp)"
    ties = (
        ""
        if view.unique
        else "".join(f", {term}" for feature in view.features for term in canonical_order(feature))
    )
    return (
        f"SELECT {view.key}, event_timestamp, isthmus_known{names}, row_number() OVER (PARTITION "
        f"BY {view.key} ORDER BY event_timestamp, {created}{ties}) AS isthmus_version FROM "
        f"({published_rows(number, view)}) AS isthmus_published"
    )


def canonical_order(column: Column) -> tuple[str, str]:
    """Return the ORDER BY terms that sort a column with null first on every engine.

    NULLS FIRST is not used: BigQuery has none inside a window.
    """
    # what a null is ordered as is never compared with a value: the null's own flag comes first
    return (
        f"CASE WHEN {column.name} IS NULL THEN 0 ELSE 1 END",
        f"coalesce({column.name}, {COLUMN_TYPES[column.type].zero})",
    )


def _portable_tables(number: int, view: JoinView, time: str) -> list[str]:
    """Return the WITH clauses of one view's point-in-time join, as SQL for every target.

    `number` is the view's in the join, and `time` the column of the rows' times.
    """
    key = view.key
    versions, best, names = (
        f"isthmus_versions_{number}",
        f"isthmus_best_{number}",
        "".join(
            (
                *(f", isthmus_row.{f.name}" for f in view.features),
                *(f", isthmus_row.event_timestamp AS {name}" for name in stamp_name(view)),
            )
        ),
    )
    fresh = (
        ""
        if view.ttl is None
        else " AND isthmus_best.isthmus_moment <= isthmus_row.event_timestamp + "
        f"{interval(view.ttl)}"
    )
    # The default frame, RANGE up to the current row, takes in peers: a row known at exactly the
    # asked time counts.
    moments = (
        f"SELECT {key}, isthmus_known AS isthmus_moment, isthmus_version, 0 AS isthmus_asked FROM "
        f"{versions}\nUNION ALL\nSELECT {key}, {time} AS isthmus_moment, 0 AS isthmus_version, 1 "
        f"AS isthmus_asked FROM isthmus_spine WHERE {key} IS NOT NULL AND {time} IS NOT NULL "
        f"GROUP BY {key}, {time}"
    )
    newest = (
        f"max(isthmus_version) OVER (PARTITION BY {key} ORDER BY isthmus_moment) AS isthmus_version"
    )
    rows = (
        f"SELECT isthmus_best.{key}, isthmus_best.isthmus_moment AS isthmus_time{names} FROM "
        f"{best} AS isthmus_best JOIN {versions} AS isthmus_row ON isthmus_row.{key} = "
        f"isthmus_best.{key} AND isthmus_row.isthmus_version = isthmus_best.isthmus_version "
        f"WHERE isthmus_best.isthmus_asked = 1{fresh}"
    )
    return [
        f"{versions} AS (\n{_versions(number, view)}\n)",
        (
            f"{best} AS (\nSELECT {key}, isthmus_moment, isthmus_asked, {newest} FROM "
            f"(\n{moments}) AS isthmus_moments\n)"
        ),
        f"isthmus_view_{number} AS (\n{rows}\n)",
    ]


def _asof_rows(number: int, view: JoinView) -> str:
    """Return SQL for the rows of a view that ASOF JOIN may take, at most one per key and time.

    `number` is the view's in the join. ASOF breaks ties as it likes, so there must be none.
    """
    if view.steady and view.unique:
        return published_rows(number, view)
    names = "".join(f", {feature.name}" for feature in view.features)
    rows, order = (
        (published_rows(number, view), "event_timestamp")
        if view.unique
        else (_versions(number, view), "isthmus_version")
    )
    # Of unique rows with one event_timestamp the one known last is the newest anyway, so their
    # events are order enough.
    return (
        f"SELECT {view.key}, event_timestamp, isthmus_known{names} FROM (SELECT *, max({order}) "
        f"OVER (PARTITION BY {view.key} ORDER BY isthmus_known) AS isthmus_newest FROM ({rows})) "
        f"WHERE {order} = isthmus_newest"
    )


def _within_ttl(
    number: int, view: JoinView, feature: str, time: str, name: str | None = None
) -> str:
    """Return SQL for a feature of the joined row; null if that row is older than the view's ttl.

    `number` is the view's in the join, `time` the column of the rows' times; the result is called
    `name`.
    """
    if view.ttl is None:
        return f"isthmus_view_{number}.{feature}" + (f" AS {name}" if name else "")
    fresh = f"isthmus_spine.{time} <= isthmus_view_{number}.event_timestamp + {interval(view.ttl)}"
    return f"CASE WHEN {fresh} THEN isthmus_view_{number}.{feature} END AS {name or feature}"


def interval(length: timedelta) -> str:
    """Return a duration as a SQL INTERVAL literal that every target understands.

    Raises:
        Invalid: it is not in whole seconds.
    """
    seconds = length / timedelta(seconds=1)
    if seconds != int(seconds):
        raise Invalid(
            f"{length} is not a whole number of seconds",
            remedy="SQL intervals on every target are: use 1s or more",
        )
    return f"INTERVAL {int(seconds)} SECOND"
