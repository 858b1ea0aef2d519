"""Read Parquet: its columns become the table's, cast to the schema where one is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ..data import arrow
from ..data.types import SchemaField, from_arrow
from ..errors import BigQueryError, invalid, not_run

_WORDS = "Error while reading data, error message:"


def read(
    content: bytes, schema: tuple[SchemaField, ...] | None, configuration: Mapping[str, Any]
) -> tuple[tuple[SchemaField, ...], Any, list[BigQueryError]]:
    """Parse a Parquet file; return its columns, its rows as an Arrow table, and no errors.

    `configuration` is the load job's. Without a schema the columns are the file's.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(pa.BufferReader(content))
    except (pa.ArrowException, OSError) as error:
        raise invalid(
            f"Error while reading data, error message: Input file is not in Parquet format. {error}"
        ) from error
    options = configuration.get("parquetOptions") or {}
    lists = [field.name for field in table.schema if pa.types.is_list(field.type)]
    if lists and not options.get("enableListInference"):
        raise not_run(
            f"a Parquet list without enableListInference (column {lists[0]}), which BigQuery "
            "reads as a record of a record"
        )
    fields = _fields(table, schema, configuration.get("decimalTargetTypes") or ("NUMERIC",))
    arrays = [_column(table.column(_column_index(table, field)), field) for field in fields]
    return fields, pa.Table.from_arrays(arrays, names=[field.name for field in fields]), []


def _fields(
    table: Any, schema: tuple[SchemaField, ...] | None, decimals: Sequence[str]
) -> tuple[SchemaField, ...]:
    """Return a Parquet file's columns, typed by the schema if there is one.

    `decimals` are the types that a decimal column may become, in order of preference.
    """
    if schema is None:
        return tuple(_decimal(from_arrow(field), decimals) for field in table.schema)
    by_name = {field.name.lower(): field for field in schema}
    fields = []
    for column in table.schema:
        field = by_name.get(column.name.lower())
        fields.append(field if field is not None else from_arrow(column))
    missing = set(by_name) - {column.name.lower() for column in table.schema}
    for name in sorted(missing):
        if by_name[name].mode == "REQUIRED":
            raise invalid(
                "Provided schema is not compatible with the file: required field "
                f"{by_name[name].name} is not in it"
            )
    return tuple(fields)


def _decimal(field: SchemaField, targets: Sequence[str]) -> SchemaField:
    """Return a decimal column with the first type among `targets` that can hold it.

    Source: [docs: rest/v2/Job#DecimalTargetType].
    """
    if field.type not in ("NUMERIC", "BIGNUMERIC"):
        return field
    wide = ("BIGNUMERIC",) if field.type == "BIGNUMERIC" else ("NUMERIC", "BIGNUMERIC")
    kind = next((name for name in wide if name in targets), None)
    if kind is None:
        raise invalid(
            f"{_WORDS} Column '{field.name}' has values that are out of valid NUMERIC range; "
            "add BIGNUMERIC to decimalTargetTypes"
        )
    return msgspec.structs.replace(field, type=kind)


def _column_index(table: Any, field: SchemaField) -> int:
    """Return the position of a column in a Parquet file, found by name in any letter case."""
    return next(
        i for i, name in enumerate(table.column_names) if name.lower() == field.name.lower()
    )


def _column(column: Any, field: SchemaField) -> Any:
    """Cast a Parquet file's column to the type of the table's column.

    Raises:
        BigQueryError: `invalid`, where the file's type cannot become the column's.
    """
    import pyarrow as pa

    kind = arrow.arrow_type(field)
    if column.type == kind:
        return column
    if field.type == "BIGNUMERIC" and not field.repeated:
        return arrow.bignumeric_keys(column)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    read_as = from_arrow(pa.field(field.name, column.type))
    if field.type not in (read_as.type, *_TARGETS.get(read_as.type, ())):
        raise invalid(
            f"{_WORDS} Parquet column '{field.name}' has type {read_as.type} which does not "
            f"match the target type {field.type}"
        )
    if field.type == "DATETIME" and pa.types.is_timestamp(column.type) and column.type.tz:
        column = column.cast(pa.timestamp("us", "UTC")).cast(pa.timestamp("us"))
    try:
        return (
            column.cast(kind, safe=False)
            if field.type in ("TIMESTAMP", "DATETIME", "TIME")
            else column.cast(kind)
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise invalid(
            f"Error while reading data, error message: Parquet column '{field.name}': {error}"
        ) from error


# What a file's column may be read as, beside its own type.
_TARGETS = {
    "DATETIME": ("TIMESTAMP",),
    "TIMESTAMP": ("DATETIME",),
    "BYTES": ("STRING",),
    "INTEGER": ("FLOAT", "NUMERIC"),
    "FLOAT": ("NUMERIC",),
    "NUMERIC": ("BIGNUMERIC",),
    "BIGNUMERIC": ("NUMERIC",),
    "STRING": (
        *("BYTES", "RECORD", "JSON", "DATE", "INTEGER", "FLOAT"),
        *("BOOLEAN", "TIMESTAMP", "DATETIME", "TIME", "NUMERIC"),
    ),
}
