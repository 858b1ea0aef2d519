"""Query parameters for DuckDB, and its results in the five column types that every target has."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from ....errors import Invalid
from ....events.port import Column
from ....events.tables.column_types import of_arrow

if TYPE_CHECKING:
    import pyarrow as pa


def parameters(params: Mapping[str, object], used: set[str]) -> dict[str, object]:
    """Return the values of the `$name` parameters that a query uses.

    `params` may hold more than the names in `used`. Raises Invalid if a value is missing or has a
    type that no column has.
    """
    missing = sorted(used - set(params))
    if missing:
        raise Invalid(f"SQL: no value is given for {', '.join('$' + name for name in missing)}")
    return {name: _duckdb_value(name, params[name]) for name in used}


def _duckdb_value(name: str, value: object) -> object:
    """Return a query parameter's value for DuckDB: times in UTC, zoneless, decimals as floats."""
    item = getattr(value, "item", None)  # NumPy's scalars
    if callable(item):
        value = item()
    if isinstance(value, datetime):
        return value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"SQL: ${name} is {value}", remedy="a parameter is a finite number")
    if value is None or isinstance(value, bool | int | float | str):
        return value
    raise Invalid(
        f"SQL: ${name} is a {type(value).__name__}",
        remedy="a parameter is a bool, int, float, string or timestamp",
    )


def canonical(data: pa.Table) -> pa.Table:
    """Cast a query result to the ports' types: int64, float64, string, bool, timestamp[ms].

    Raises:
        Invalid: A column has any other type; the message names it.
    """
    import pyarrow as pa

    names = data.schema.names
    if len(set(names)) != len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise Invalid(f"SQL: the result has two columns {twice}", remedy="rename one with AS")
    fields = [pa.field(field.name, _canonical(field)) for field in data.schema]
    schema = pa.schema(fields)
    if data.schema.equals(schema):
        return data
    columns = []
    for values, field in zip(data.columns, fields, strict=True):
        try:
            columns.append(values.cast(field.type, safe=not pa.types.is_timestamp(field.type)))
        except pa.ArrowInvalid as error:
            raise Invalid(f"SQL: column {field.name} does not fit {field.type}: {error}") from error
    return pa.Table.from_arrays(columns, schema=schema)


def _canonical(field: pa.Field[Any]) -> pa.DataType:
    """Return the canonical Arrow type for a result's column; raise Invalid if it has none."""
    import pyarrow as pa

    types, kind = pa.types, field.type
    if types.is_dictionary(kind):
        kind = kind.value_type
    if types.is_timestamp(kind) and kind.tz is not None:
        raise Invalid(
            f"SQL: column {field.name} is a timestamp with a zone",
            remedy="CAST it AS TIMESTAMP: every time here is UTC",
        )
    for fits, column_type in (
        (types.is_boolean(kind), pa.bool_()),
        # sums of integers are HUGEINT in DuckDB, a decimal without a scale here
        (
            types.is_integer(kind)
            or types.is_null(kind)
            or (types.is_decimal(kind) and kind.scale == 0),
            pa.int64(),
        ),
        (types.is_floating(kind) or types.is_decimal(kind), pa.float64()),
        (
            types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind),
            pa.string(),
        ),
        (types.is_timestamp(kind) or types.is_date(kind), pa.timestamp("ms")),
    ):
        if fits:
            return column_type
    raise Invalid(
        f"SQL: column {field.name} is {kind}",
        remedy="a column is a BOOLEAN, BIGINT, DOUBLE, VARCHAR or TIMESTAMP: CAST it",
    )


def columns(schema: pa.Schema) -> tuple[Column, ...]:
    """Convert a canonical Arrow schema to the columns of a table."""
    return tuple(Column(name=field.name, type=of_arrow(field.type)) for field in schema)
