"""Find the time of a log's rows, and write it as an instant in SQL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

from ...errors import Invalid
from .log_columns import Column, Log
from .role_words import likeness

_EPOCHS = (
    (1e11, "to_timestamp({})"),
    (1e14, "make_timestamptz({}::BIGINT * 1000)"),
    (1e17, "make_timestamptz({}::BIGINT)"),
)  # seconds, milli-, microseconds


def instant(log: Log, chosen: Column | None, *, zone: str) -> tuple[Column, str]:
    """Return the column with the event time, and the SQL expression that reads it.

    Args:
        log: The log.
        chosen: The column that the user named; None: it is looked for.
        zone: The time zone of times that have none.

    Raises:
        Invalid: There is no column of times that every row has, or the one named is none.
    """
    _require_zone(zone)
    if chosen is not None:
        sql = instant_of(log, chosen, zone)
        if sql is None:
            raise Invalid(
                f"{chosen.source} of {log.path.name} is no time: {_sample(log, chosen)}",
                remedy="name another column: --as time=COLUMN; or write it as 2026-03-01T00:04:00Z",
            )
        return chosen, sql
    # with nulls: an outcome's own time
    whole = [column for column in log.columns if 20 * column.nulls < log.rows]
    named = sorted(
        (column for column in whole if likeness("time", column.source)),
        key=lambda column: -likeness("time", column.source),
    )
    typed = [column for column in whole if column.type == "timestamp"]
    texts = [column for column in whole if column.type == "string"]
    for column in dict.fromkeys([*named, *typed, *texts]):
        sql = instant_of(log, column, zone)
        if sql is not None:
            return column, sql
    raise Invalid(
        f"{log.path.name} has no column of times that every row has: "
        f"{', '.join(column.source for column in log.columns)}",
        remedy="events are points in time: name their column by --as time=COLUMN",
    )


def instant_of(log: Log, column: Column, zone: str) -> str | None:
    """Return the SQL expression that reads a column as a timestamp; None if it holds no times."""
    sql = column.sql
    if column.kind == "TIMESTAMP WITH TIME ZONE":
        return sql
    if column.type == "timestamp":
        return f"CAST({sql} AS TIMESTAMP) AT TIME ZONE '{zone}'"
    if column.type == "string":
        written = log.form.time_formats.get(column.source) if log.form else None
        if written:
            format_ = written.replace("'", "''")
            return f"strptime({sql}, '{format_}') AT TIME ZONE '{zone}'"
        return _text(log.ask, sql, zone)
    if column.type in ("int", "float"):
        (most,) = log.ask(f"max({sql})")
        return next((text.format(sql) for below, text in _EPOCHS if 1e8 < most < below), None)
    return None


def _text(ask: Callable[[str], tuple[Any, ...]], sql: str, zone: str) -> str | None:
    """Return the SQL that parses a text column as ISO 8601 times; None if it mostly cannot.

    `ask` runs an aggregate query, `sql` is the column, `zone` is for times that have none.
    """
    unread, unzoned, filled = ask(
        f"count(*) FILTER (try_cast({sql} AS TIMESTAMPTZ) IS NULL AND {sql} IS NOT NULL), "
        f"count(*) FILTER (NOT regexp_matches({sql}, '(Z|UTC|[+-]\\d\\d(:?\\d\\d)?)$') OR "
        f"regexp_matches({sql}, '^\\d{{4}}-\\d\\d-\\d\\d$')), count({sql})"
    )
    if not filled or 20 * unread > filled:
        return None
    if zone != "UTC" and unzoned:
        return f"CAST({sql} AS TIMESTAMP) AT TIME ZONE '{zone}'"
    return f"CAST({sql} AS TIMESTAMPTZ)"


def _require_zone(zone: str) -> None:
    """Raise Invalid unless a text is the name of a known time zone."""
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError) as error:
        raise Invalid(
            f"{zone} is no time zone", remedy="write one as Europe/Berlin or Asia/Tokyo"
        ) from error


def _sample(log: Log, column: Column) -> str:
    """Return any one value of a column as text, to show in a message."""
    return str(log.ask(f"any_value({column.sql})")[0])
