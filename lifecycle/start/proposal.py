"""A project proposed from a file of events: `isthmus init NAME --from log.parquet`.

What is guessed is told, to be corrected by hand.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid, NotFound
from ...events.sources.files import KINDS, kind_of
from ...events.sources.sql import MEMORY, THREADS, bounded
from ...project.reading.fence import line
from ...project.reading.names import column_problem, neutral

if TYPE_CHECKING:
    import duckdb

_TIMES = (
    "event_timestamp",
    "timestamp",
    "event_time",
    "time",
    "datetime",
    "created_at",
    "occurred_at",
    "ts",
    "date",
)
_IDS = ("event_id", "id", "uuid", "message_id")
_INDEX = r"__index_level_\d+__"  # a frame's row numbers, which pandas writes into Parquet
_OLD = timedelta(days=30)  # a log that ended so long ago is told its `now:`
# of attributes, by DuckDB's names of its own. Lists, structs, spans, times of day and bytes are
# none
_TYPES = {
    r"BOOLEAN": "bool",
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?": "int",
    r"FLOAT|DOUBLE|DECIMAL\([0-9,]+\)": "float",
    r"VARCHAR|UUID": "string",
    r"DATE|TIMESTAMP(_S|_MS|_NS)?( WITH TIME ZONE)?": "timestamp",
}
_EPOCHS = (
    (1e11, "to_timestamp({})"),
    (1e14, "make_timestamptz({}::BIGINT * 1000)"),
    (1e17, "make_timestamptz({}::BIGINT)"),
)  # seconds, milli-, microseconds


class Proposal(msgspec.Struct, frozen=True, kw_only=True):
    files: dict[str, str]  # texts by their paths in the project
    guesses: tuple[str, ...]


class _Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of the file.

    `name`: as an attribute, "" where another has it; `type`: an attribute's, None for a list and
    the like.
    """

    source: str
    sql: str  # quoted
    name: str
    kind: str  # DuckDB's type
    type: str | None
    nulls: int
    distinct: int


def propose(source: Path, folder: Path) -> Proposal:
    """Propose a project in `folder` from a file of events.

    Args:
        source: JSON lines, CSV, TSV or Parquet.
        folder: The project's folder, which need not be there.

    Raises:
        NotFound: The file is not there.
        Invalid: It is of another format, cannot be read, or has no rows or no time.
    """
    if not source.is_file():
        raise NotFound(f"{source} is not there", remedy="--from names one file of events")
    if kind_of(source) not in KINDS:
        raise Invalid(
            f"{source.name} is of no format of events",
            remedy=f"they end in {', '.join(KINDS)}, also with .gz or .zst",
        )
    import duckdb

    with bounded(folder.parent, reads=(source,), memory=MEMORY, threads=THREADS) as connection:
        try:
            return _proposed(connection, source, folder)
        except duckdb.Error as error:
            raise Invalid(
                f"{source}: {str(error).strip()}", remedy="DuckDB must be able to read the file"
            ) from error


def _proposed(connection: duckdb.DuckDBPyConnection, source: Path, folder: Path) -> Proposal:
    """Propose a description for a file of events: its key, time and attributes."""
    rows = "'" + str(source.resolve()).replace("'", "''") + "'"
    ask = partial(_row, connection, rows)
    (count,) = ask("count(*)")
    if not count:
        raise Invalid(
            f"{source.name} has no rows",
            remedy="--from names a file of events that happened: their types are read from it",
        )
    columns = _columns(connection, rows)
    time, instant, newest = _time(columns, ask, source)
    event = _event(source)
    identity = next(
        (
            c
            for name in _IDS
            for c in columns
            if c.name == name and not c.nulls and c.distinct == count
        ),
        None,
    )
    attributes = [
        c
        for c in columns
        if c not in (time, identity)
        and c.type is not None
        and column_problem(c.name) is None
        and not re.fullmatch(_INDEX, c.source)
    ]
    keys = {c.name.removesuffix("_id"): c for c in attributes if _is_key(c, count)}
    guesses = [
        f"each of the {count:,} rows of {source.name}, which is read where it lies, is one {event}",
        f"event_timestamp: {instant}, until {newest:%Y-%m-%d %H:%M:%S}",
    ]
    guesses.append(
        f"event_id: {identity.source}"
        if identity
        else "event_id: a digest of the row, as no column names each row once"
    )
    guesses += [
        f"entity {name}: {key.source}, about {key.distinct:,} of them" for name, key in keys.items()
    ]
    left = [c.source for c in columns if c not in (time, identity, *attributes)]
    if left:
        reason = (
            "no attribute can have such a type or name, another has the name, or they number a "
            "frame's rows"
        )
        guesses.append(f"left out: {', '.join(left)}: {reason}")
    now = newest + timedelta(seconds=1) if datetime.now(UTC) - newest > _OLD else None
    if now is not None:
        guesses.append("now: the log's end, as it is old; take the line out when events arrive")
    files = {
        "project.yaml": "".join(
            _description(event, attributes, keys, now, _declared(source, folder))
        ),
        f"sources/{event}.sql": _source(columns, identity, instant, attributes, rows),
        **{
            f"features/{name}_history.sql": _view(event, name, key.name)
            for name, key in list(keys.items())[:1]
        },
    }
    return Proposal(files=files, guesses=tuple(guesses))


def _row(connection: duckdb.DuckDBPyConnection, rows: str, what: str) -> tuple[Any, ...]:
    """Return one row of aggregates over the file."""
    row: tuple[Any, ...] = connection.sql(f"SELECT {what} FROM {rows}").fetchall()[0]
    return row


def _columns(connection: duckdb.DuckDBPyConnection, rows: str) -> list[_Column]:
    """Look at a file's columns: type, nulls, distinct values."""
    relation = connection.sql(f"FROM {rows}")
    columns: list[_Column] = []
    for source, kind in zip(relation.columns, map(str, relation.types), strict=True):
        sql = '"' + source.replace('"', '""') + '"'
        nulls, distinct = _row(
            connection, rows, f"count(*) - count({sql}), approx_count_distinct({sql})"
        )
        name = neutral(source)
        if not nulls and name in _IDS:
            (distinct,) = _row(connection, rows, f"count(DISTINCT {sql})")
        type_ = next(
            (type_ for pattern, type_ in _TYPES.items() if re.fullmatch(pattern, kind)), None
        )
        if any(column.name == name for column in columns):
            name = ""
        columns.append(
            _Column(
                source=source,
                sql=sql,
                name=name,
                kind=kind,
                type=type_,
                nulls=nulls,
                distinct=distinct,
            )
        )
    return columns


def _time(
    columns: Sequence[_Column], ask: Callable[[str], tuple[Any, ...]], source: Path
) -> tuple[_Column, str, datetime]:
    """Return the column with an event's time, its SQL as an instant, and the newest value."""
    named = [c for name in _TIMES for c in columns if c.name == name and not c.nulls]
    typed = [c for c in columns if c.type == "timestamp" and not c.nulls]
    # as JSON has them, and Parquet of frames with text
    texts = [c for c in columns if c.type == "string" and (not c.nulls)]
    for column in [*named, *typed, *texts]:
        instant = _instant(column, ask)
        if instant is not None:
            (newest,) = ask(f"epoch_ms(max({instant}))")
            return column, instant, datetime.fromtimestamp(newest / 1000, UTC)
    raise Invalid(
        f"{source.name} has no column of times that every row has: "
        f"{', '.join(c.source for c in columns)}",
        remedy=f"name one of them {_TIMES[0]}; events are points in time",
    )


def _instant(column: _Column, ask: Callable[[str], tuple[Any, ...]]) -> str | None:
    """Return the SQL of a column as a time in UTC, or None if it holds no times."""
    if column.kind == "TIMESTAMP WITH TIME ZONE":
        return column.sql
    if column.type == "timestamp":
        return f"CAST({column.sql} AS TIMESTAMP) AT TIME ZONE 'UTC'"
    if column.type == "string":
        (unread,) = ask(f"count(*) FILTER (try_cast({column.sql} AS TIMESTAMPTZ) IS NULL)")
        return None if unread else f"CAST({column.sql} AS TIMESTAMPTZ)"
    if column.type in ("int", "float"):
        (most,) = ask(f"max({column.sql})")
        return next(
            (text.format(column.sql) for below, text in _EPOCHS if 1e8 < most < below), None
        )
    return None


def _event(source: Path) -> str:
    """Return a name for the event, from the file's name."""
    stem = neutral(re.split(r"[.]", source.name)[0])
    # "bus" and "ads" are no plurals to cut
    name = stem.removesuffix("s") if len(stem) > 3 and (not stem.endswith("ss")) else stem
    return name if name and column_problem(name) is None else "event"


def _is_key(column: _Column, rows: int) -> bool:
    """Return whether a column looks like an entity's key: repeated values and a fitting name."""
    return (
        column.name.endswith("_id")
        and column.type in ("int", "string")
        and 2 * column.distinct < rows
    )


def _declared(source: Path, folder: Path) -> str:
    """Return the line of project.yaml that lets the project read a file outside of its folder.

    It is "" where the log lies in the project.
    """
    log = source.resolve()
    return "" if log.is_relative_to(folder.resolve()) else f"{line([log])}\n"


def _description(
    event: str,
    attributes: Sequence[_Column],
    keys: dict[str, _Column],
    now: datetime | None,
    declared: str,
) -> Iterator[str]:
    """Yield the lines of the proposed project.yaml."""
    yield f"name: {event}\n"  # until it is in its folder
    if now is not None:
        yield f"now: {now:%Y-%m-%dT%H:%M:%SZ}"
        yield "        # the log ends here. Live projects leave this out.\n"
    if declared:
        yield f"\n# What sources/ may read outside of this folder.\n{declared}"
    if keys:
        yield "\nentities:\n"
    yield from (
        f"  {entity}: {{key: {key.name}, type: {key.type}}}\n" for entity, key in keys.items()
    )
    yield "\nevents:                          "
    yield "# event_id and event_timestamp (UTC) come with every event"
    yield f"\n  {event}:\n"
    yield "    description: What a row means.\n    owner: you@example.com\n    attributes:\n"
    for column in attributes:
        required = ", required: false" if column.nulls else ""
        yield f"      {column.name}: {{type: {column.type}{required}}}\n"
    for entity in list(keys)[:1]:
        yield "\nfeature_views:                   # SQL in features/<name>.sql\n"
        yield f"  {entity}_history: {{entity: {entity}, ttl: 7d}}\n"
    yield "\n# A model needs an objective, of two events: which rows were followed by what, within"
    yield " which time.\n"
    yield f"# objectives:\n#   ctr: {{rate: click / {event}, within: 30m}}\n"


def _source(
    columns: Sequence[_Column],
    identity: _Column | None,
    instant: str,
    attributes: Sequence[_Column],
    rows: str,
) -> str:
    """Return the proposed source query of the event."""
    every = ", ".join(column.sql for column in columns)
    digest = (
        f"md5(CAST(row({every}) AS VARCHAR)) || '-' ||\n           row_number() OVER (PARTITION "
        f"BY {every})"
    )
    proposed = [
        f"{f'CAST({identity.sql} AS VARCHAR)' if identity else digest} AS event_id",
        f"{instant} AS event_timestamp",
        *(_attribute(column) for column in attributes),
    ]
    return "-- One row per event.\nSELECT " + ",\n       ".join(proposed) + f"\nFROM {rows}\n"


def _attribute(column: _Column) -> str:
    """Return a column of the source query, in a type that is stored."""
    if column.type == "timestamp" and column.kind != "TIMESTAMP WITH TIME ZONE":
        return f"CAST({column.sql} AS TIMESTAMP) AT TIME ZONE 'UTC' AS {column.name}"
    if column.kind == "UUID" or "DECIMAL" in column.kind or "HUGEINT" in column.kind:
        sql_type = (
            "VARCHAR"
            if column.kind == "UUID"
            else "DOUBLE"
            if "DECIMAL" in column.kind
            else "BIGINT"
        )
        return f"CAST({column.sql} AS {sql_type}) AS {column.name}"
    return column.sql if column.sql == f'"{column.name}"' else f"{column.sql} AS {column.name}"


def _view(event: str, entity: str, key: str) -> str:
    """Return the proposed feature view: how many events a key had in seven days."""
    return (
        "-- The entity's key, event_timestamp and the features.\n"
        f"SELECT {key}, event_timestamp,\n       count(*) OVER last_7d AS "
        f"{entity}_{event}s_7d\nFROM events_{event}\n"
        f"WINDOW last_7d AS (PARTITION BY {key} ORDER BY event_timestamp\n"
        "                   RANGE BETWEEN INTERVAL 7 DAY PRECEDING AND CURRENT ROW)\n"
    )
