"""The DuckDB that holds the tables, in a file in the stack's home.

Beside it, in memory that spills, are the queries' results. It is bounded by the stack's
`query_memory`, loads no extension, and reads and writes no other file.
"""

from __future__ import annotations

import contextlib
import threading
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..data import arrow
from ..data.types import SchemaField, quoted
from ..errors import BigQueryError

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_SPILL = 4  # times its memory is what DuckDB may put on the disk
_MOST_MEMORY = 1 << 30  # bytes, where the stack says nothing
RESULTS = "results"  # the schema of queries' results
_DATA = "data"  # the attached file


class Warehouse:
    """The database of one stack, in a folder of its own.

    Tables are named by `relation()`.
    """

    def __init__(self, folder: Path, memory: int | None) -> None:
        self.folder = folder / f"bigquery-{uuid.uuid4().hex[:8]}"
        self.memory = memory or _MOST_MEMORY
        self._locks: dict[str, threading.RLock] = {}
        self._lock = threading.Lock()
        self._connection: duckdb.DuckDBPyConnection | None = None

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """Return a new DuckDB connection to the same tables; the caller closes it."""
        with self._lock:
            if self._connection is None:
                self._connection = self._open()
            cursor = self._connection.cursor()
        cursor.execute("SET TimeZone = 'UTC'")
        return cursor

    def _open(self) -> duckdb.DuckDBPyConnection:
        """Open the DuckDB database, with limited resources and without extensions."""
        import duckdb

        from .duckdb_macros import MACROS

        self.folder.mkdir(parents=True, exist_ok=True)
        config: dict[str, str | bool | int | float | list[str]] = {
            "threads": 2,
            "memory_limit": f"{self.memory}B",
            "temp_directory": str(self.folder / "spill"),
            "max_temp_directory_size": f"{self.memory * _SPILL}B",
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        connection = duckdb.connect(":memory:", config=config)
        connection.execute(
            f"ATTACH '{str(self.folder / 'tables.duckdb').replace(chr(39), chr(39) * 2)}' AS "
            f"{_DATA}"
        )
        connection.execute(f"CREATE SCHEMA {RESULTS}")
        for statement in MACROS:
            connection.execute(statement)
        connection.execute("SET enable_external_access = false")
        return connection

    @contextlib.contextmanager
    def session(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a DuckDB connection, which is closed at the end of the `with` block.

        Raises BigQueryError `resourcesExceeded` if the memory does not suffice.
        """
        import duckdb

        cursor = self.cursor()
        try:
            yield cursor
        except duckdb.OutOfMemoryException as error:
            words = (
                "Resources exceeded during query execution: The query could not be executed in "
                "the allotted memory."
            )
            raise BigQueryError("resourcesExceeded", words) from error
        finally:
            cursor.close()

    @contextlib.contextmanager
    def transaction(self, relation: str) -> Iterator[duckdb.DuckDBPyConnection]:
        """Yield a DuckDB connection in a transaction that writes the table `relation`.

        A table has one writer at a time; an error in the block rolls the transaction back.
        """
        import duckdb

        with self._lock_of(relation), self.session() as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:  # an interrupt must not leave half of a write, either
                with contextlib.suppress(
                    duckdb.Error
                ):  # where DuckDB has ended the transaction itself
                    cursor.execute("ROLLBACK")
                raise

    def _lock_of(self, relation: str) -> threading.RLock:
        """Return the lock that a writer of the table `relation` holds."""
        with self._lock:
            return self._locks.setdefault(relation, threading.RLock())

    def close(self) -> None:
        """Close the DuckDB database."""
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def schema_of(project: str, dataset: str) -> str:
    """Return the qualified, quoted name of the DuckDB schema that holds a dataset."""
    return f"{_DATA}.{quoted(f'{project}.{dataset}')}"


def relation(project: str, dataset: str, table: str) -> str:
    """Return the qualified, quoted name of a BigQuery table in DuckDB.

    A hidden dataset's tables, such as query results, are kept in memory.
    """
    if dataset.startswith("_"):
        return f"memory.{RESULTS}.{quoted(f'{project}.{dataset}.{table}')}"
    return f"{schema_of(project, dataset)}.{quoted(table)}"


def create(cursor: duckdb.DuckDBPyConnection, name: str, fields: Sequence[SchemaField]) -> None:
    """Create an empty table in DuckDB, replacing one of the same name."""
    make_schema(cursor, name)
    columns = (
        ", ".join(f"{quoted(field.name)} {column(field)}" for field in fields) or '"_" BOOLEAN'
    )  # DuckDB has no table without columns
    cursor.execute(f"CREATE OR REPLACE TABLE {name} ({columns})")


def make_schema(cursor: duckdb.DuckDBPyConnection, name: str) -> None:
    """Create the DuckDB schema that a table's qualified name is in, if it does not exist."""
    if not name.startswith("memory."):
        cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {name.rpartition('.' + chr(34))[0]}")


def _check_constraint(field: SchemaField) -> str:
    """Return a CHECK constraint as SQL for a type such as NUMERIC(9, 2), or an empty text."""
    name, about = quoted(field.name), field.about
    if field.repeated:
        return ""
    if about.get("maxLength"):
        width = "octet_length" if field.type == "BYTES" else "length"
        return f" CHECK ({width}({name}) <= {int(about['maxLength'])})"
    if about.get("precision") and field.type == "NUMERIC":
        precision, scale = int(about["precision"]), int(about.get("scale") or 0)
        return f" CHECK (abs({name}) < 1e{precision - scale} AND {name} = round({name}, {scale}))"
    return ""


def column(field: SchemaField) -> str:
    """Return a column's type and constraints as DuckDB SQL, for CREATE TABLE."""
    from ..data.types import duckdb_type

    rule = " DEFAULT []" if field.repeated else " NOT NULL" if field.mode == "REQUIRED" else ""
    return duckdb_type(field) + rule + _check_constraint(field)


def insert(
    cursor: duckdb.DuckDBPyConnection, name: str, rows: pa.Table, fields: Sequence[SchemaField]
) -> None:
    """Append the rows of an Arrow table to a DuckDB table, matched by column name."""
    if not fields or not rows.num_rows:
        return
    cursor.register("_rows", rows)
    names = ", ".join(quoted(field.name) for field in fields)
    cursor.execute(f"INSERT INTO {name} ({names}) SELECT {arrow.selection(fields)} FROM _rows")
    cursor.unregister("_rows")  # not after an error: the transaction is over, and the view with it


def read(
    cursor: duckdb.DuckDBPyConnection,
    name: str,
    fields: Sequence[SchemaField],
    *,
    start: int = 0,
    limit: int | None = None,
) -> pa.Table:
    """Return the rows of a DuckDB table as an Arrow table, in the order of writing.

    Args:
        cursor: A connection.
        name: The relation.
        fields: The columns.
        start: The first row.
        limit: How many rows; None: all.
    """
    columns = ", ".join(quoted(field.name) for field in fields) or "1 AS none_"
    bounds = (f" LIMIT {limit}" if limit is not None else "") + (
        f" OFFSET {start}" if start else ""
    )
    rows: pa.Table | None = cursor.sql(f"SELECT {columns} FROM {name}{bounds}").to_arrow_table()
    assert rows is not None  # noqa: S101  a SELECT has rows, if only none
    return rows


def count(cursor: duckdb.DuckDBPyConnection, name: str) -> int:
    """Return the number of rows of the DuckDB table `name`."""
    row: Any = cursor.execute(f"SELECT count(*) FROM {name}").fetchall()[0]
    return int(row[0])


# Bytes that BigQuery counts for a value [docs: bigquery/pricing#data].
_SIZES = {
    "INTEGER": 8,
    "FLOAT": 8,
    "BOOLEAN": 1,
    "NUMERIC": 16,
    "BIGNUMERIC": 32,
    "DATE": 8,
    "DATETIME": 8,
    "TIME": 8,
    "TIMESTAMP": 8,
    "INTERVAL": 16,
}


def size_expression(column: str, field: SchemaField) -> str:
    """Return DuckDB SQL for the bytes that BigQuery counts for a column's value."""
    if field.repeated:
        inner = size_expression("v", SchemaField(name="v", type=field.type, fields=field.fields))
        return f"coalesce(list_sum(list_transform({column}, lambda v: {inner})), 0)"
    if field.fields:
        return (
            "("
            + " + ".join(
                size_expression(f"{column}.{quoted(child.name)}", child) for child in field.fields
            )
            + ")"
        )
    if field.type in _SIZES:
        return f"CASE WHEN {column} IS NULL THEN 0 ELSE {_SIZES[field.type]} END"
    width = f"octet_length({column})" if field.type == "BYTES" else f"strlen({column}::VARCHAR)"
    return f"coalesce({width} + 2, 0)"


def measure(
    cursor: duckdb.DuckDBPyConnection, name: str, fields: Sequence[SchemaField]
) -> tuple[int, dict[str, int]]:
    """Return a DuckDB table's number of rows, and the bytes that BigQuery counts by column."""
    sums = "".join(
        f", coalesce(sum({size_expression(quoted(field.name), field)}), 0)" for field in fields
    )
    row: Any = cursor.execute(f"SELECT count(*){sums} FROM {name}").fetchall()[0]
    return int(row[0]), {field.name: int(size) for field, size in zip(fields, row[1:], strict=True)}
