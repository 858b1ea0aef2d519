"""Read which columns a log has, and what their values say."""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid, NotFound
from ...events.sources.files import KINDS, kind_of
from ...events.sources.sniffing import TextFormat, sniff
from ...events.sources.sql import MEMORY, THREADS, bounded
from ...events.sources.text_tables import TextReader, load

if TYPE_CHECKING:
    import duckdb

_FRAME_INDEX = r"__index_level_\d+__"  # a frame's row numbers, which pandas writes into Parquet
# of attributes, by DuckDB's names of its own. Lists, structs, spans, times of day and bytes are
# none
_TYPES = {
    r"BOOLEAN": "bool",
    r"U?(TINY|SMALL|BIG|HUGE)?INT(EGER)?": "int",
    r"FLOAT|DOUBLE|DECIMAL\([0-9,]+\)": "float",
    r"VARCHAR|UUID": "string",
    r"DATE|TIMESTAMP(_S|_MS|_NS)?( WITH TIME ZONE)?": "timestamp",
}
_EXACT = 1_000_000  # rows of which distinct values are counted and not estimated
_VALUES = 12  # distinct values of a column that are looked at one by one


class Column(msgspec.Struct, frozen=True, kw_only=True):
    """A column of a log, with what its values say.

    `type` is an attribute's type, None for a list and the like. `values` are all values in their
    order, as text, of a column that has few.
    """

    source: str  # its name in the file
    kind: str  # DuckDB's type
    type: str | None
    nulls: int
    distinct: int
    values: tuple[str, ...] = ()

    @property
    def sql(self) -> str:
        """The column's name as a quoted SQL identifier."""
        return '"' + self.source.replace('"', '""') + '"'

    @property
    def numbers_rows(self) -> bool:
        """Whether the column is only a row number, as the index of a data frame is."""
        return re.fullmatch(_FRAME_INDEX, self.source) is not None


class Log(msgspec.Struct, frozen=True, kw_only=True):
    """A log that is open: its rows are the table `rows` of the connection."""

    path: Path
    connection: Any  # duckdb.DuckDBPyConnection
    table: str  # SQL for its rows, in this connection
    relation: str  # SQL for its rows, in a source
    rows: int
    columns: tuple[Column, ...]
    form: TextFormat | None = None  # of a text file
    broken: int = 0  # rows that could not be read

    def ask(self, what: str) -> tuple[Any, ...]:
        """Return the row of an aggregate query over the log; `what` is its SELECT list, as SQL."""
        return self.query(f"SELECT {what} FROM {self.table}")

    def query(self, sql: str) -> tuple[Any, ...]:
        """Return the first row of an SQL query."""
        row: tuple[Any, ...] = self.connection.sql(sql).fetchall()[0]
        return row


@contextmanager
def open_logs(paths: tuple[Path, ...], spill: Path) -> Generator[tuple[Log, ...]]:
    """Open event files for inspection by SQL, and describe their columns.

    Args:
        paths: JSON lines, CSV, TSV or Parquet, also packed by gzip or zstd.
        spill: A folder for what does not fit into memory.

    Raises:
        NotFound: A file is not there.
        Invalid: It is of another format, cannot be read, or has no rows.
    """
    import duckdb

    for path in paths:
        if not path.is_file():
            raise NotFound(f"{path} is not there", remedy="--from names a file of events")
        if kind_of(path) not in KINDS:
            raise Invalid(
                f"{path.name} is of no format of events",
                remedy=f"they end in {', '.join(KINDS)}, also with .gz or .zst",
            )
    with bounded(spill, reads=(*paths, spill), memory=MEMORY, threads=THREADS) as connection:
        logs: list[Log] = []
        for number, path in enumerate(paths):
            try:
                logs.append(_opened(connection, path, spill / f"log{number}"))
            except duckdb.Error as error:
                raise Invalid(
                    f"{path}: {str(error).strip().splitlines()[0]}",
                    remedy="DuckDB must be able to read the file",
                ) from error
        yield tuple(logs)


def _opened(connection: duckdb.DuckDBPyConnection, path: Path, place: Path) -> Log:
    """Load an event file into DuckDB; return its format, columns and number of rows.

    `place` is the file that is read: the file itself, or a converted copy.
    """
    whole = _literal(path.resolve())
    form, table, relation, broken = None, whole, whole, 0
    if kind_of(path) != ".parquet" and not _is_array(path):
        form = sniff(path)
        loaded = load(connection, TextReader.sniffed(path.resolve(), form), place)
        table, relation = _literal(loaded.parquet), form.relation(str(path.resolve()))
        broken = len(loaded.broken)
    (rows,) = connection.sql(f"SELECT count(*) FROM {table}").fetchall()[0]
    if not rows:
        raise Invalid(
            f"{path.name} has no rows",
            remedy="--from names a file of events that happened: their types are read from it",
        )
    return Log(
        path=path,
        connection=connection,
        table=table,
        relation=relation,
        rows=rows,
        columns=tuple(_columns(connection, table, rows)),
        form=form,
        broken=broken,
    )


def _literal(path: Path) -> str:
    """Return a path as an SQL string literal."""
    return "'" + str(path).replace("'", "''") + "'"


def _is_array(path: Path) -> bool:
    """Return whether a file holds one JSON array, instead of a JSON object on each line."""
    if path.suffix != ".json":
        return False
    with path.open("rb") as stream:
        return stream.read(64).lstrip()[:1] == b"["


def _columns(connection: duckdb.DuckDBPyConnection, table: str, rows: int) -> Iterator[Column]:
    """Yield the columns of a table with their types, nulls and distinct values."""
    relation = connection.sql(f"FROM {table}")
    for source, kind in zip(relation.columns, map(str, relation.types), strict=True):
        sql = '"' + source.replace('"', '""') + '"'
        count = f"count(DISTINCT {sql})" if rows <= _EXACT else f"approx_count_distinct({sql})"
        nulls, distinct = connection.sql(
            f"SELECT count(*) - count({sql}), {count} FROM {table}"
        ).fetchall()[0]
        values: tuple[str, ...] = ()
        if distinct <= _VALUES:
            answer = connection.sql(
                f"SELECT DISTINCT {sql} AS v FROM {table} WHERE v IS NOT NULL ORDER BY v"
            ).fetchall()
            values, distinct = tuple(str(value) for (value,) in answer), len(answer)
        elif rows > _EXACT and 2 * distinct > rows:
            (distinct,) = connection.sql(f"SELECT count(DISTINCT {sql}) FROM {table}").fetchall()[0]
        yield Column(
            source=source,
            kind=kind,
            type=next((t for pattern, t in _TYPES.items() if re.fullmatch(pattern, kind)), None),
            nulls=nulls,
            distinct=distinct,
            values=values,
        )
