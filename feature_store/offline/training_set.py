"""Make training sets: an objective's rows with every feature as it was known at the row's time.

Here is also the hash of a table, which is equal on every target.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby
from operator import itemgetter
from typing import TYPE_CHECKING, Any

from ...core.runtime.project import Project
from ...errors import Invalid, NotFound
from ...events.port import Column
from ...project.specs.description import Feature
from ...times import utc_milliseconds
from ..joins.point_in_time import JoinView, interval, point_in_time
from ..joins.view_history import ViewSource
from ..tables.relations import objective_columns
from ..views.sources import view_sources
from . import watermarks

if TYPE_CHECKING:
    import pyarrow as pa

_ROWS = 100_000  # that are Python's at a time
_YEAR_1000, _YEAR_10000 = -30_610_224_000_000, 253_402_300_800_000  # milliseconds since 1970
_EARLIER = "isthmus_earlier"
STAMP = "isthmus_stamp_"  # and a view's name: the event_timestamp of the view's row that a row got


def training_set(
    project: Project,
    objective: str,
    features: Sequence[Feature],
    *,
    start: datetime,
    end: datetime,
    as_of: datetime | None = None,
    stamps: bool = False,
    earlier: timedelta = timedelta(),
) -> pa.Table:
    """Return a training set: an objective's rows with features as of each row's time.

    Rows are those in [start, end) whose outcome was known at `as_of`.

    Args:
        project: The project.
        objective: Its name.
        features: Attributes of the exposure, and features of views.
        start: The first event_timestamp.
        end: The event_timestamp before which rows end.
        as_of: The time by which outcomes had to be known (default: now).
        stamps: Whether to add the column STAMP<view> for each view: the event_timestamp of the row
            that was joined, null without one.
        earlier: How long before the row's time the views' features must have been known.

    Returns:
        Columns event_id, event_timestamp, created_timestamp (when the outcome was known), outcome
        (int64), the exposure's attributes, then the views' features in the order of `features`.
        Timestamps are timestamp[ms], UTC. Sorted by event_timestamp, event_id.

    Raises:
        NotFound: there is no such objective, view or feature.
        Invalid: a view has not been materialized, or two columns would have one name.
    """
    if objective not in project.spec.objectives:
        raise NotFound(
            f"there is no objective {objective} (there is: "
            f"{', '.join(project.spec.objectives) or 'none'})"
        )
    attributes = [
        column.name
        for column in objective_columns(project.spec, project.spec.objectives[objective])
    ]
    leading = ["event_id", "event_timestamp", "created_timestamp", "outcome"]
    names = [*leading, *(name for name in attributes if name not in leading)]
    if unknown := [
        str(feature)
        for feature in features
        if feature.view is None and feature.name not in attributes
    ]:
        raise NotFound(
            f"{objective} has no attribute {', '.join(unknown)} (it has {', '.join(names[4:])})"
        )
    views = views_to_join(project, names, features, rows="the objective's rows", stamps=stamps)
    start, end, as_of = (
        utc_milliseconds(moment) for moment in (start, end, as_of or project.now())
    )
    time = f", event_timestamp - {interval(earlier)} AS {_EARLIER}" if earlier else ""
    spine = (
        f"SELECT {', '.join(names)}{time} FROM {objective} WHERE event_timestamp >= "
        "$start_time AND event_timestamp < $end_time "
        "AND created_timestamp <= $as_of AND dt >= $start_date AND dt <= $end_date"
    )
    params = {
        "start_time": start,
        "end_time": end,
        "as_of": as_of,
        "start_date": f"{start:%Y-%m-%d}",
        "end_date": f"{end:%Y-%m-%d}",
    }
    table = point_in_time(
        project.target,
        spine,
        names,
        views,
        params=params,
        time=_EARLIER if earlier else "event_timestamp",
        order_by=["event_timestamp", "event_id"],
    )
    feature_names = [feature.name for feature in features if feature.view is not None]
    return table.select([*names, *feature_names, *(view.stamp for view in views if view.stamp)])


def views_to_join(
    project: Project,
    columns: Sequence[str],
    features: Sequence[Feature],
    *,
    rows: str,
    stamps: bool = False,
) -> list[JoinView]:
    """Return the feature views to join to some rows, with the features to read from each.

    Args:
        project: The project.
        columns: The columns of the rows, among which are the keys of the views' entities.
        features: The features to read; those that are no view's are left out.
        rows: What the rows are called in the error of a key that they lack.
        stamps: Whether each view's column STAMP<view> is wanted.

    Raises:
        Invalid: a view has not been materialized, or its entity's key is not a column.
    """
    names_by_view: dict[str, list[str]] = {}
    for feature in features:
        if feature.view is not None:
            names_by_view.setdefault(feature.view, []).append(feature.name)
    if not names_by_view:
        return []
    sources = view_sources(project.description, tuple(names_by_view))
    for source in sources:
        if source.entity.key not in columns:
            raise Invalid(
                f"{source.view.name} is of entity {source.entity.name}, and {rows} have no "
                f"{source.entity.key}",
                remedy="use a view of an entity whose key they have",
            )
    return [
        join_view(
            project,
            source,
            names_by_view[source.view.name],
            stamp=f"{STAMP}{source.view.name}" if stamps else None,
        )
        for source in sources
    ]


def join_view(
    project: Project,
    source: ViewSource,
    features: Sequence[str] | None = None,
    *,
    stamp: str | None = None,
) -> JoinView:
    """Return a materialized view as input of the point-in-time join: its published rows only."""
    view, declared = source.view, {column.name: column for column in source.features}
    mark = watermarks.read(project, view.name).mark
    if mark.until is None:
        raise Invalid(
            f"{view.name} has not been materialized", remedy=f"isthmus materialize {view.name}"
        )
    return JoinView(
        history=view.name,
        key=source.entity.key,
        features=tuple(
            _declared(view.name, declared, name)
            for name in (declared if features is None else features)
        ),
        ttl=view.ttl,
        known_until=mark.until,
        unique=True,
        steady=mark.steady,
        stamp=stamp,
    )


def _declared(view: str, declared: dict[str, Column], name: str) -> Column:
    """Return the column of a view's feature; raise NotFound if there is none of the name.

    `declared` are the view's features by name, `view` is its name.
    """
    if name not in declared:
        raise NotFound(
            f"{view}.{name} is not a feature", remedy=f"{view} has {', '.join(declared)}"
        )
    return declared[name]


def canonical_hash(table: pa.Table, key: Sequence[str] = ("event_timestamp", "event_id")) -> str:
    """Return the SHA-256 of a table's canonical rows: equal on every target (PORTS.md, rule 5).

    Rows are sorted by `key` (those of its columns that the table has, then by the whole row), times
    are in UTC milliseconds, floats have 9 significant digits. Column names and their order count;
    integer widths and dictionary encoding do not.
    """
    positions = [table.column_names.index(name) for name in key if name in table.column_names]
    place: Callable[[tuple[str, ...]], Any] = itemgetter(*positions) if positions else len
    escaped = _escaped if any(map(_may_need_escapes, table.columns)) else iter
    digest = hashlib.sha256("\x1f".join(table.column_names).encode())
    for _, rows in groupby(_in_order(table, positions), key=place):
        for row in sorted(rows):
            digest.update(b"\x1e" + "\x1f".join(escaped(row)).encode())
    return digest.hexdigest()


def _in_order(table: pa.Table, positions: Sequence[int]) -> Iterator[tuple[str, ...]]:
    """Yield a table's rows as canonical texts, sorted by the columns at these positions.

    Where Arrow sorts in the same order, only few rows are Python's at a time.
    """
    import pyarrow.compute as pc

    if not positions or not all(_sorted_alike(table.schema.field(n).type) for n in positions):
        yield from sorted(_canonical_rows(table), key=lambda row: tuple(row[n] for n in positions))
        return
    keys: Any = [(table.column_names[n], "ascending", "at_start") for n in positions]
    order: Any = pc.sort_indices(table, keys)
    for start in range(0, table.num_rows, _ROWS):
        yield from _canonical_rows(table.take(order.slice(start, _ROWS)))


def _sorted_alike(kind: pa.DataType) -> bool:
    """Return whether Arrow sorts values of this type as their canonical texts are sorted.

    Times finer than a millisecond are not sorted alike: their text is cut.
    """
    import pyarrow as pa

    return pa.types.is_string(kind) or (pa.types.is_timestamp(kind) and kind.unit in ("s", "ms"))


def _canonical_rows(table: pa.Table) -> Iterator[tuple[str, ...]]:
    """Yield a table's rows as canonical texts, one text for each column, for its hash."""
    return zip(*map(_canonical_texts, table.columns), strict=True)


def _canonical_texts(column: pa.ChunkedArray[Any]) -> list[str]:
    """Return the canonical text of every value of a column, for the hash of a table.

    Arrow and NumPy write it where they write the same.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    kind: pa.DataType = column.type
    texts = None
    if pa.types.is_string(kind):
        texts = pc.binary_join_element_wise("s", column, "")
    elif pa.types.is_integer(kind):
        texts = pc.binary_join_element_wise("i", pc.cast(column, pa.string()), "")
    if texts is not None:
        written: list[str] = pc.fill_null(texts, "n").to_pylist()
        return written
    if kind == pa.timestamp("ms") and _years_of_four_digits(
        column
    ):  # not by Arrow's strftime, which needs the system's time zones
        moments: list[str] = np.datetime_as_string(column.to_numpy(), unit="ms").tolist()
        return ["n" if moment == "NaT" else f"t{moment}" for moment in moments]
    if pa.types.is_float64(kind):
        return [
            "n" if value is None else f"f{value + 0.0:.9g}" for value in column.to_pylist()
        ]  # as _canonical
    return [_canonical(value) for value in column.to_pylist()]


def _years_of_four_digits(column: pa.ChunkedArray[Any]) -> bool:
    """Return whether all times of a column have years of four digits.

    NumPy and Python write other years differently.
    """
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    ends = [pc.cast(end, pa.int64()).as_py() for end in (pc.min(column), pc.max(column))]
    return None in ends or (ends[0] >= _YEAR_1000 and ends[1] < _YEAR_10000)


def _may_need_escapes(column: pa.ChunkedArray[Any]) -> bool:
    """Return whether a column's texts may hold the characters that separate cells and rows.

    They separate what the digest of the table is computed over.
    """
    import pyarrow as pa
    import pyarrow.compute

    pc: Any = pyarrow.compute
    kind = column.type
    if pa.types.is_string(kind):
        return bool(pc.any(pc.match_substring_regex(column, "[\\\\\x1e\x1f]")).as_py())
    return not (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_timestamp(kind)
    )


def _escaped(row: Sequence[str]) -> Iterator[str]:
    """Yield a row's canonical texts with the hash's separators escaped."""
    return (
        cell.replace("\\", "\\\\").replace("\x1e", "\\r").replace("\x1f", "\\u") for cell in row
    )


def _canonical(value: object) -> str:
    """Return a value's text for the hash of a table: a letter for its type, then the value."""
    if value is None:
        return "n"
    if isinstance(value, bool):
        return f"b{value:d}"
    if isinstance(value, int):
        return f"i{value}"
    if isinstance(value, float):
        return f"f{value + 0.0:.9g}"  # + 0.0: minus zero is zero
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"t{moment:%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}"
    return f"s{value}"
