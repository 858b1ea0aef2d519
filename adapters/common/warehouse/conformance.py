"""Rows brought to the form that a table declares: every column named, typed and in order.

Invalid says which column is wrong and how.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any, TypeVar

from ....errors import Invalid
from ....events.port import Column, ColumnType
from ....events.tables.column_types import arrow_type
from .tables import PARTITION, TableDocument

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

Rows = TypeVar("Rows", "pa.Table", "pa.RecordBatch")


def check_columns(document: TableDocument, names: Sequence[str]) -> None:
    """Raise Invalid if rows with columns of these `names` cannot be added to a table.

    A column must not be unknown, twice there, or missing while required. `dt` may be among them: it
    is made from the time column.
    """
    declared = {column.name for column in document.columns}
    unknown = [name for name in names if name not in declared and name != PARTITION]
    twice = sorted({name for name in names if names.count(name) > 1})
    missing = [
        column.name for column in document.columns if column.required and column.name not in names
    ]
    if document.time_column not in names and document.time_column not in missing:
        missing.append(document.time_column)
    for what, which in (
        ("has no column", unknown),
        ("is given twice", twice),
        ("needs column", missing),
    ):
        if which:
            raise Invalid(
                f"table {document.name} {what} {', '.join(which)}",
                remedy=f"its columns: {', '.join(sorted(declared))}",
            )


def conform(document: TableDocument, data: pa.Table) -> pa.Table:
    """Return rows with the table's declared columns in order, timestamps cut to milliseconds.

    Raises:
        Invalid: A column has the wrong type, or nulls where values are required.
    """
    import pyarrow as pa

    check_columns(document, data.schema.names)
    columns = []
    for column in document.columns:
        if column.name in data.schema.names:
            values = _typed(document.name, column, data.column(column.name))
        else:
            values = pa.chunked_array([pa.nulls(data.num_rows, arrow_type(column.type))])  # type: ignore[call-overload]  # the stubs want a concrete type
        if values.null_count and (column.required or column.name == document.time_column):
            raise Invalid(
                f"table {document.name}: column {column.name} is required and null in "
                f"{values.null_count:,} rows"
            )
        columns.append(values)
    return pa.Table.from_arrays(columns, schema=arrow_schema(document.columns))


def in_time_order(document: TableDocument, data: pa.Table) -> pa.Table:
    """Sort rows by the table's time column; equal times keep the caller's order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    times = data.column(document.time_column).cast(pa.int64())
    if data.num_rows < 2 or pc.all(pc.less_equal(times[:-1], times[1:])).as_py():
        return data
    return data.take(pc.sort_indices(times))


def by_date(data: Rows, time_column: str) -> Iterator[tuple[str, Rows]]:
    """Split rows into consecutive groups of one UTC date, as (YYYY-MM-DD, rows).

    A date comes once if the rows are in the order of their time.
    """
    import numpy as np
    import pyarrow as pa

    if data.num_rows == 0:
        return
    days: NDArray[np.int64] = data.column(time_column).cast(pa.int64()).to_numpy() // 86_400_000
    starts = [0, *(np.flatnonzero(np.diff(days)) + 1).tolist(), data.num_rows]
    for start, end in pairwise(starts):
        yield str(np.datetime64(int(days[start]), "D")), data.slice(start, end - start)


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """Return the Arrow schema of columns, each with the id by which it is found in stored files.

    Reading by id finds a column in older files, too, whatever columns were added since.
    """
    import pyarrow as pa

    return pa.schema(
        [
            pa.field(c.name, arrow_type(c.type), metadata={"PARQUET:field_id": str(place)})
            for place, c in enumerate(columns)
        ]
    )


def _typed(table: str, column: Column, values: pa.ChunkedArray[Any]) -> pa.ChunkedArray[Any]:
    """Cast a column's values to its declared type; raise Invalid where something could be lost.

    `table` is named in the error.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    kind, declared = values.type, arrow_type(column.type)
    if kind == declared:
        return values
    if pa.types.is_dictionary(kind):
        return _typed(table, column, values.cast(kind.value_type))
    if not _fits(kind, column.type):
        zoned = pa.types.is_timestamp(kind) and column.type == "timestamp"
        remedy = "convert to UTC and drop the zone" if zoned else None
        raise Invalid(
            f"table {table}: column {column.name} is {column.type}, the rows have {kind}",
            remedy=remedy,
        )
    try:
        if pa.types.is_timestamp(kind) and kind.unit != "s":
            return pc.floor_temporal(values, unit="millisecond").cast(declared, safe=False)
        return values.cast(declared)
    except pa.ArrowInvalid as error:
        raise Invalid(
            f"table {table}: column {column.name} does not fit {column.type}: {error}"
        ) from error


def _fits(arrow: pa.DataType, name: ColumnType) -> bool:
    """Return whether a declared column type can hold an Arrow type without silent loss.

    An untyped null fits everywhere.
    """
    from pyarrow import types

    if types.is_null(arrow):
        return True
    match name:
        case "bool":
            return types.is_boolean(arrow)
        case "int64":
            return types.is_integer(arrow)
        case "float64":
            return types.is_floating(arrow) or types.is_integer(arrow) or types.is_decimal(arrow)
        case "string":
            return types.is_large_string(arrow) or types.is_string_view(arrow)
        case "timestamp":
            return types.is_timestamp(arrow) and arrow.tz is None
