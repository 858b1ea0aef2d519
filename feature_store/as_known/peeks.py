"""Describe the row that the as-known check blames, and the likely cause.

The check's query puts the row's values of every run side by side (queries.py).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

import msgspec

from ..joins.view_history import ViewSource
from .queries import value_name


class Peek(msgspec.Struct, frozen=True, kw_only=True):
    """The first row to blame.

    `feature` is None where the row itself comes or goes.
    """

    what: Literal["seen the future", "disappears"]
    moment: datetime
    key: str  # the entity's
    entity_key: str
    event_timestamp: datetime
    created_timestamp: datetime
    feature: str | None = None
    value: Any = None  # over everything
    other: Any = (
        None  # over what was known at the moment, or, `flipped`, with later outcomes turned round
    )
    flipped: bool = False


def peek_text(peek: Peek) -> str:
    """Return text on which row of a view leaks later data, and how that shows."""
    row = (
        f"the row of {peek.key} {peek.entity_key} at {_time(peek.event_timestamp)}, known at "
        f"{_time(peek.created_timestamp)},"
    )
    if peek.what == "disappears":
        return f"{row} was there at {_time(peek.moment)} and disappears when later data come"
    how = (
        "with the outcomes turned round that became known later"
        if peek.flipped
        else "without what became known later"
    )
    if peek.feature is None:
        return f"{row} has seen the future: at {_time(peek.moment)}, {how}, it is not there"
    values = f"{peek.feature} is {peek.value}; at {_time(peek.moment)}, {how}, {peek.other}"
    return f"{row} has seen the future: {values}"


def likely_cause(source: ViewSource, peek: Peek) -> str:
    """Return text on the likely cause of a leak, as a place in the view's SQL file."""
    from sqlglot import exp

    from ..sql.rules import definition
    from ..sql.subset import line_of, parse

    path, tree = source.view.path, parse(source.view.sql)
    if peek.what == "disappears":
        return (
            f"{path}: a filter that later rows undo (newest only, never clicked): keep the rows, "
            "each with its own times"
        )
    for window in tree.find_all(exp.Window):
        frame = definition(window)
        spec = frame.args.get("spec") if frame is not None else None
        if isinstance(window.this, exp.Lead) or (
            spec is not None and str(spec.args.get("end_side")).upper() == "FOLLOWING"
        ):
            return (
                f"{path}:{line_of(window)}: a frame that FOLLOWs its row reads what comes later: "
                "end it at CURRENT ROW"
            )
        if frame is not None and window.arg_key != "windows" and not frame.args.get("order"):
            return (
                f"{path}:{line_of(window)}: a window without ORDER BY takes later rows, too: "
                "order it by event_timestamp"
            )
    line = next(
        (line_of(s) for s in tree.selects if s.alias_or_name == "created_timestamp"), line_of(tree)
    )
    return (
        f"{path}:{line}: created_timestamp is earlier than that of a row which it is made of: "
        "return the greatest of all of them"
    )


def first_peek(
    source: ViewSource, row: Mapping[str, Any], moments: Sequence[datetime], *, again: bool = False
) -> Peek:
    """Convert a row of the check's query to the leak that it shows: time, feature and values.

    `again` says that the query computed the view once more, over its input in another order.

    `source` is the view and `moments` the times of the query.
    """
    where: dict[str, Any] = {"key": source.entity.key} | {
        name: row[name] for name in ("entity_key", "event_timestamp", "created_timestamp")
    }
    repeat = 2 * len(moments) + 1 if again else None
    for number, moment in enumerate(moments):
        if (
            row["created_timestamp"] <= moment
            and (difference := _difference(source, row, number, repeat)) is not None
        ):
            return Peek(moment=moment, **where, **difference)
    return Peek(
        what="seen the future", moment=moments[-1], **where
    )  # floats at the very edge of 9 digits


def _difference(
    source: ViewSource, row: Mapping[str, Any], number: int, repeat: int | None
) -> dict[str, Any] | None:
    """Return how a view's row as of one time differs from the row over all data, or None.

    `number` is the time's, `repeat` the run over input in another order. The computations of that
    time are those without later input rows and with later outcomes flipped.
    """
    removed, flipped = 2 * number + 1, 2 * number + 2
    if not row["isthmus_in_0"]:
        return (
            {"what": "disappears"}
            if row[f"isthmus_in_{removed}"] and not row["isthmus_there"]
            else None
        )
    for run in (
        run for run in (removed, flipped) if f"isthmus_in_{run}" in row
    ):  # nothing is flipped where no outcome is read
        change = {} if not row[f"isthmus_in_{run}"] else _changed_feature(source, row, run, repeat)
        if change is not None:
            return {"what": "seen the future", "flipped": run == flipped} | change
    return None


def _changed_feature(
    source: ViewSource, row: Mapping[str, Any], run: int, repeat: int | None
) -> dict[str, Any] | None:
    """Return the first feature whose value in a run differs from that over all data, or None.

    The keys of the result are `feature` (its name), `value` (over all data) and `other`. A float
    that also differs in the run `repeat`, over input in another order, shows nothing.
    """
    for place, feature in enumerate(source.features):
        value, other = row[value_name(place, 0)], row[value_name(place, run)]
        unsteady = (
            repeat is not None
            and feature.type == "float64"
            and not _same(value, row[value_name(place, repeat)])
        )
        if not (_same(value, other) or unsteady):
            return {"feature": feature.name, "value": value, "other": other}
    return None


def _same(mine: Any, theirs: Any) -> bool:
    """Return whether two values of a feature are equal: floats to 9 digits, nan as nan.

    `view_history.changed` is the same rule in SQL.
    """
    if isinstance(mine, float) and isinstance(theirs, float):
        return (
            mine == theirs
            or (math.isnan(mine) and math.isnan(theirs))
            or abs(mine - theirs) <= 1e-9 * (abs(mine) + abs(theirs))
        )
    return bool(mine == theirs)


def _time(moment: datetime) -> str:
    """Return a point in time as text, to the millisecond."""
    return moment.isoformat(sep=" ", timespec="milliseconds")[:23]
