"""Columns: as the REST API spells them, as DuckDB holds them, as Arrow carries them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import invalid, not_run

if TYPE_CHECKING:
    import pyarrow as pa

# Standard SQL's name -> the name that the REST API answers with.
_LEGACY = {
    "INT64": "INTEGER",
    "FLOAT64": "FLOAT",
    "BOOL": "BOOLEAN",
    "STRUCT": "RECORD",
    "DECIMAL": "NUMERIC",
    "BIGDECIMAL": "BIGNUMERIC",
}
STANDARD = {"INTEGER": "INT64", "FLOAT": "FLOAT64", "BOOLEAN": "BOOL", "RECORD": "STRUCT"}
DUCKDB = {
    "INTEGER": "BIGINT",
    "FLOAT": "DOUBLE",
    "BOOLEAN": "BOOLEAN",
    "STRING": "VARCHAR",
    "BYTES": "BLOB",
    "NUMERIC": "DECIMAL(38,9)",
    # 76 digits: more than DuckDB counts with (bignumeric.py)
    "BIGNUMERIC": "STRUCT(bignumeric VARCHAR)",
    "DATE": "DATE",
    "DATETIME": "TIMESTAMP",
    "TIME": "TIME",
    "TIMESTAMP": "TIMESTAMPTZ",
    "JSON": "JSON",
    # DuckDB's own is too narrow for Arrow
    "INTERVAL": "STRUCT(months BIGINT, days BIGINT, micros BIGINT)",
    "GEOGRAPHY": "VARCHAR",  # WKT, which is stored and read, and which no function takes
}
_ABSENT = {"FOREIGN"}
_RANGES = ("DATE", "DATETIME", "TIMESTAMP")
_MODES = ("NULLABLE", "REQUIRED", "REPEATED")
_WRITTEN = (
    "description",
    "maxLength",
    "precision",
    "scale",
    "defaultValueExpression",
    "policyTags",
    "roundingMode",
    "collation",
)
_EXTENSION = {
    "DATETIME": "google:sqlType:datetime",
    "JSON": "google:sqlType:json",
    "GEOGRAPHY": "google:sqlType:geography",
}


class SchemaField(msgspec.Struct, frozen=True, kw_only=True):
    """A column.

    `type` is what the REST API answers (INTEGER, RECORD ...). `about` is what else its owner wrote,
    such as a description.
    """

    name: str
    type: str
    mode: str = "NULLABLE"
    fields: tuple[SchemaField, ...] = ()
    about: Mapping[str, Any] = {}

    @property
    def repeated(self) -> bool:
        """Whether the column is an array (mode REPEATED)."""
        return self.mode == "REPEATED"


def from_rest(resource: Mapping[str, Any], within: str = "") -> SchemaField:
    """Return the column of a TableFieldSchema; `within` is the path of the record around it.

    Raises:
        BigQueryError: `invalid` by the field's name, or `notImplemented`.
    """
    name = str(resource.get("name", ""))
    place = f"{within}{name}"
    kind = str(resource.get("type", "")).upper()
    kind = _LEGACY.get(kind, kind)
    mode = str(resource.get("mode") or "NULLABLE").upper()
    if not name:
        raise invalid("Field name is required.", "schema")
    if kind in _ABSENT:
        raise not_run(f"type {kind} (field {place})")
    if kind not in DUCKDB and kind not in ("RECORD", "RANGE"):
        raise invalid(
            f"Invalid value for type: {resource.get('type')} is not a valid value (field {place})"
        )
    if mode not in _MODES:
        raise invalid(
            f"Invalid value for mode: {resource.get('mode')} is not a valid value (field {place})"
        )
    if kind == "RANGE":
        return range_field(
            name, str((resource.get("rangeElementType") or {}).get("type", "")).upper(), mode
        )
    children = tuple(from_rest(child, f"{place}.") for child in resource.get("fields") or ())
    if (kind == "RECORD") != bool(children):
        raise invalid(f"Field {place} is type {kind} but has {'a' if children else 'no'} schema")
    if resource.get("timestampPrecision") not in (None, 6, "6"):
        raise not_run(f"timestampPrecision {resource['timestampPrecision']} (field {place})")
    about = {
        key: resource[key] for key in _WRITTEN if resource.get(key) not in (None, {"names": []}, {})
    }
    return SchemaField(name=name, type=kind, mode=mode, fields=children, about=about)


def range_field(name: str, element: str, mode: str = "NULLABLE") -> SchemaField:
    """Return a RANGE column, whose fields are start and end.

    Either is NULL where the range is unbounded.
    """
    if element not in _RANGES:
        raise invalid(
            f"Invalid value for rangeElementType.type: {element} is not a valid value (field "
            f"{name})"
        )
    return SchemaField(
        name=name,
        type="RANGE",
        mode=mode,
        fields=tuple(SchemaField(name=bound, type=element) for bound in ("start", "end")),
    )


def schema_from_rest(schema: Mapping[str, Any] | None) -> tuple[SchemaField, ...]:
    """Return the columns of a TableSchema in JSON; no columns for None."""
    fields = tuple(from_rest(field) for field in (schema or {}).get("fields") or ())
    check_names(fields)
    return fields


def check_names(fields: Sequence[SchemaField], place: str = "") -> None:
    """Raise `invalid` if two fields of a record have one name; `place` is the record's path."""
    earlier_names: set[str] = set()
    for field in fields:
        if field.name.lower() in earlier_names:
            raise invalid(f"Duplicate field name: {place}{field.name}")
        earlier_names.add(field.name.lower())
        check_names(field.fields, f"{place}{field.name}.")


def to_rest(field: SchemaField) -> dict[str, Any]:
    """Return a column as a TableFieldSchema in JSON."""
    resource: dict[str, Any] = {
        "name": field.name,
        "type": field.type,
        "mode": field.mode,
        **field.about,
    }
    if field.type == "RANGE":
        resource["rangeElementType"] = {"type": field.fields[0].type}
    elif field.fields:
        resource["fields"] = [to_rest(child) for child in field.fields]
    return resource


def schema_to_rest(fields: Sequence[SchemaField]) -> dict[str, Any]:
    """Return columns as a TableSchema of the REST API."""
    return {"fields": [to_rest(field) for field in fields]}


def quoted(name: str) -> str:
    """Return a name as a quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def duckdb_element(field: SchemaField) -> str:
    """Return the DuckDB type of one value of a field, whether it repeats or not."""
    if field.fields:
        members = (f"{quoted(child.name)} {duckdb_type(child)}" for child in field.fields)
        return f"STRUCT({', '.join(members)})"
    return DUCKDB[field.type]


def duckdb_type(field: SchemaField) -> str:
    """Return the DuckDB type in which a BigQuery column is stored, as SQL."""
    return duckdb_element(field) + ("[]" if field.repeated else "")


def arrow_element(field: SchemaField) -> pa.DataType:
    """Return the Arrow type of one value of a field, whether it repeats or not."""
    import pyarrow as pa

    if field.fields:
        return pa.struct([arrow_field(child) for child in field.fields])
    simple: dict[str, Any] = {
        "INTEGER": pa.int64(),
        "FLOAT": pa.float64(),
        "BOOLEAN": pa.bool_(),
        "STRING": pa.string(),
        "BYTES": pa.binary(),
        "NUMERIC": pa.decimal128(38, 9),
        "BIGNUMERIC": pa.decimal256(76, 38),
        "DATE": pa.date32(),
        "DATETIME": pa.timestamp("us"),
        "TIME": pa.time64("us"),
        "TIMESTAMP": pa.timestamp("us", "UTC"),
        "JSON": pa.string(),
        "INTERVAL": pa.month_day_nano_interval(),
        "GEOGRAPHY": pa.string(),
    }
    kind: pa.DataType = simple[field.type]
    return kind


def arrow_field(field: SchemaField) -> pa.Field[Any]:
    """Return a column as the Storage Read API writes it in Arrow.

    Source: [docs: bigquery/docs/reference/storage#arrow_schema_details].
    """
    import pyarrow as pa

    metadata = (
        {"ARROW:extension:name": _EXTENSION[field.type]} if field.type in _EXTENSION else None
    )
    if field.type == "GEOGRAPHY" and metadata:
        metadata["ARROW:extension:metadata"] = '{"encoding": "WKT"}'
    if field.repeated:
        return pa.field(
            field.name,
            pa.list_(pa.field("item", arrow_element(field))),
            nullable=False,
            metadata=metadata,
        )
    return pa.field(
        field.name, arrow_element(field), nullable=field.mode != "REQUIRED", metadata=metadata
    )


def arrow_schema(fields: Sequence[SchemaField]) -> pa.Schema:
    """Return columns as an Arrow schema, with the types of the Storage Read API."""
    import pyarrow as pa

    return pa.schema([arrow_field(field) for field in fields])


def from_arrow(field: pa.Field[Any]) -> SchemaField:
    """Return the BigQuery column that a Parquet file's column becomes when no schema is given."""
    import pyarrow as pa

    kind, mode = field.type, "NULLABLE" if field.nullable else "REQUIRED"
    if pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
        kind, mode = kind.value_type, "REPEATED"
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_struct(kind):
        return SchemaField(
            name=field.name,
            type="RECORD",
            mode=mode,
            fields=tuple(from_arrow(kind.field(i)) for i in range(kind.num_fields)),
        )
    return SchemaField(name=field.name, type=_arrow_name(kind, field.name), mode=mode)


def _arrow_name(kind: pa.DataType, name: str) -> str:
    """Return the BigQuery type that the Arrow type of a Parquet file's column `name` becomes."""
    import pyarrow as pa

    if pa.types.is_timestamp(kind):
        return "TIMESTAMP" if kind.tz else "DATETIME"
    if pa.types.is_decimal(kind):
        return "NUMERIC" if kind.scale <= 9 and kind.precision - kind.scale <= 29 else "BIGNUMERIC"
    tests: dict[str, Any] = {
        "BOOLEAN": pa.types.is_boolean,
        "INTEGER": pa.types.is_integer,
        "FLOAT": pa.types.is_floating,
        "DATE": pa.types.is_date,
        "TIME": pa.types.is_time,
        "BYTES": lambda k: (
            pa.types.is_binary(k) or pa.types.is_large_binary(k) or pa.types.is_fixed_size_binary(k)
        ),
        "STRING": lambda k: (
            pa.types.is_string(k) or pa.types.is_large_string(k) or pa.types.is_null(k)
        ),
    }
    for answer, test in tests.items():
        if test(kind):
            return answer
    raise not_run(f"the Parquet type {kind} (column {name})")
