"""Arrow tables as BigQuery shows them, and as DuckDB holds them.

They differ in BIGNUMERIC, INTERVAL, JSON and arrays that are NULL.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from .bignumeric import key, number
from .types import SchemaField, arrow_schema, duckdb_type, quoted

if TYPE_CHECKING:
    import pyarrow as pa


def arrow_type(field: SchemaField) -> pa.DataType:
    """Return the Arrow type in which a BigQuery column's values are passed to DuckDB."""
    import pyarrow as pa

    if field.type == "BIGNUMERIC":
        element: pa.DataType = pa.struct([("bignumeric", pa.string())])
    elif field.type == "INTERVAL":
        element = pa.struct([(part, pa.int64()) for part in ("months", "days", "micros")])
    elif field.fields:
        element = pa.struct([(child.name, arrow_type(child)) for child in field.fields])
    else:
        from .types import arrow_element

        element = arrow_element(field)
    return pa.list_(element) if field.repeated else element


def table(columns: Mapping[str, Sequence[Any]], fields: Sequence[SchemaField]) -> pa.Table:
    """Return an Arrow table for DuckDB, made of Python values by column name.

    Raises:
        pyarrow.ArrowException: A value does not fit its column.
    """
    import pyarrow as pa

    arrays = [pa.array(columns[field.name], arrow_type(field)) for field in fields]
    return pa.Table.from_arrays(
        arrays, schema=pa.schema([(field.name, arrow_type(field)) for field in fields])
    )


def expression(column: str, field: SchemaField) -> str:
    """Return SQL that casts a column to its field's DuckDB type; a NULL array becomes empty."""
    cast = f"CAST({column} AS {duckdb_type(field)})"
    return f"coalesce({cast}, [])" if field.repeated else cast


def selection(fields: Sequence[SchemaField]) -> str:
    """Return a SELECT list that casts each column to the DuckDB type of its field."""
    return ", ".join(
        f"{expression(quoted(field.name), field)} AS {quoted(field.name)}" for field in fields
    )


def read_api_table(rows: pa.Table, fields: Sequence[SchemaField]) -> pa.Table:
    """Return an Arrow table cast to the types of the Storage Read API.

    Columns are matched by position. They get the fields' names, and times in microseconds.
    """
    import pyarrow as pa

    schema = arrow_schema(fields)
    arrays = [
        _read_api_column(rows.column(i), field, schema.field(i).type)
        for i, field in enumerate(fields)
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def _read_api_column(column: Any, field: SchemaField, kind: Any) -> Any:
    """Return an Arrow column cast to `kind`, its type in the Storage Read API."""
    import pyarrow as pa

    if differs_in_duckdb(field):
        return pa.chunked_array(
            [pa.array([_read_api_value(value, field) for value in column.to_pylist()], kind)], kind
        )
    if isinstance(column.type, pa.ExtensionType):
        storage: Any = column.type.storage_type
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], storage)
    return column.cast(kind) if column.type != kind else column


def differs_in_duckdb(field: SchemaField) -> bool:
    """Return whether DuckDB stores a column's values in a form that Arrow's type cannot take."""
    return field.type in ("BIGNUMERIC", "INTERVAL") or any(map(differs_in_duckdb, field.fields))


def _read_api_value(value: Any, field: SchemaField, *, member: bool = False) -> Any:
    """Convert a value read from DuckDB to the Python value from which pyarrow builds its type.

    `member` is True for one element of a repeated field.
    """
    import pyarrow as pa

    if value is None:
        return None
    if field.repeated and not member:
        return [_read_api_value(element, field, member=True) for element in value]
    if field.fields:
        return {child.name: _read_api_value(value[child.name], child) for child in field.fields}
    if field.type == "INTERVAL":
        kind: Any = pa.MonthDayNano
        return kind([value["months"], value["days"], value["micros"] * 1000])
    return number(value["bignumeric"]) if field.type == "BIGNUMERIC" else value


def bignumeric_keys(column: Any) -> Any:
    """Convert an Arrow column of decimals to the structs in which DuckDB stores BIGNUMERIC."""
    import pyarrow as pa

    kind: Any = pa.struct([("bignumeric", pa.string())])
    values = [
        None
        if value is None
        else {"bignumeric": key(value if isinstance(value, Decimal | int) else str(value))}
        for value in column.to_pylist()
    ]
    return pa.chunked_array([pa.array(values, kind)], kind)
