"""The rows of INSERT INTO, in the types that a table's columns take."""

from __future__ import annotations

from typing import Any

from ..errors import NotRun, QueryFailed
from ..formats import types
from ..formats.text import lazy
from ..schemas import Column, Table
from ..sql import lengths
from ..tables import files, writes
from ..tables.result import Result


def format_of(table: Table) -> writes.Format:
    """Return the file format in which INSERT INTO writes rows of a table."""
    serde = table.serde.lower()
    if table.input["StorageDescriptor"].get("BucketColumns"):
        raise QueryFailed("NOT_SUPPORTED", "INSERT INTO is not supported for bucketed tables")
    if "parquet" in serde:
        return writes.Format("PARQUET", "SNAPPY")
    if "orc" in serde.rpartition(".")[2]:
        return writes.Format("ORC", "ZLIB")
    if "json" in serde:
        return writes.Format("JSON", "NONE")
    if "opencsv" in serde:
        raise QueryFailed("NOT_SUPPORTED", "Cannot write to a table with OpenCSVSerde")
    if serde and "lazysimpleserde" not in serde:
        raise NotRun(f"INSERT INTO tables with the serde {table.serde}")
    return writes.Format("TEXTFILE", "NONE", lazy(table.serde_parameters).delimiters[0])


def fit(result: Result, table: Table, targets: tuple[str, ...]) -> Result:
    """Return the rows of an INSERT with all of the table's columns, in the columns' types.

    Partition columns are last. A column that is not in `targets` is null.

    Raises:
        QueryFailed: TYPE_MISMATCH for another number of columns or a type that Trino does not
            coerce, INVALID_CAST_ARGUMENT for a value that does not fit.
    """
    import pyarrow as pa

    if len(targets) != len(result.names):
        raise QueryFailed(
            "TYPE_MISMATCH",
            f"Insert query has {len(result.names)} expression(s) but expected {len(targets)} "
            f"target column(s). Mismatch at column {min(len(targets), len(result.names)) + 1}",
            position=(1, 1),
        )
    arrays = []
    for column in table.every:
        arrow_type = types.arrow(column.type)
        if column.name not in targets:
            arrays.append(files.nulls(result.rows.num_rows, arrow_type))
            continue
        index = targets.index(column.name)
        if not _assignable(result.types[index], column):
            raise QueryFailed(
                "TYPE_MISMATCH",
                f"Insert query has mismatched column types: Table: [{column.type}], Query: "
                f"[{types.athena(result.types[index])}]",
                position=(1, 1),
            )
        values = _not_cut(result.rows.column(index), result.types[index], column)
        try:
            arrays.append(
                _as_double(values).cast(arrow_type)
                if pa.types.is_floating(arrow_type)
                else values.cast(arrow_type)
            )
        except pa.ArrowInvalid as error:
            raise QueryFailed("INVALID_CAST_ARGUMENT", str(error)) from error
    return Result(
        names=tuple(column.name for column in table.every),
        types=tuple(types.duckdb(column.type) for column in table.every),
        rows=pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))]),
    )


def _as_double(values: Any) -> Any:
    """Convert an Arrow column of decimals to doubles, before they become reals.

    Arrow would cast a decimal to a real next to the nearest one.
    """
    import pyarrow as pa

    return values.cast(pa.float64()) if pa.types.is_decimal(values.type) else values


def _not_cut(values: Any, duck: str, column: Column) -> Any:
    """Cut spaces at the end of an Arrow column's texts that varchar(n) has no room for.

    `duck` is the values' type in DuckDB, and `column` the column of the table.

    Raises:
        QueryFailed: A text would lose more than spaces (INVALID_CAST_ARGUMENT).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    limit = lengths.length_of_type(column.type)
    if limit is None:
        return values
    values = values.cast(pa.string())
    cut = pc.utf8_slice_codeunits(values, 0, limit)
    if not pc.all(
        pc.equal(pc.utf8_rtrim(cut, " "), pc.utf8_rtrim(values, " ")), min_count=0
    ).as_py():
        words = (
            f"Cannot truncate non-space characters when casting from {duck.lower()} to "
            f"{column.type} on INSERT"
        )
        raise QueryFailed("INVALID_CAST_ARGUMENT", words)
    return cut


_WIDENS = ("tinyint", "smallint", "integer", "bigint", "decimal", "float", "double")


def _assignable(duck: str, column: Column) -> bool:
    """Return whether Trino coerces values of the DuckDB type `duck` to a column on insert.

    It coerces numbers to wider ones, anything to its own type, and an untyped null to all.
    """
    source, target = types.athena(duck), types.athena(types.duckdb(column.type))
    if source in (target, "unknown") or (source, target) == ("char", "varchar"):
        return True
    if source in _WIDENS and target in _WIDENS:
        return _WIDENS.index(source) <= _WIDENS.index(target) or (
            source == "double" and target == "float"
        )
    return (source, target) == ("date", "timestamp")
