"""BigQuery's rows as an online store's answers: one for each entity, ready to be sent.

A key is the tuple of the entity's ID columns as text. An answer is the bytes of a
FetchFeatureValuesResponse with `key_values`.

BigQuery -> FeatureValue: BOOL, INT64, FLOAT64, STRING, BYTES, TIMESTAMP (INT64: microseconds since
1970) and arrays of the first four. A null has a name and no value. What Vertex AI makes of other
types is not known: their sync fails, naming the column.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
from google.cloud.aiplatform_v1.types import FetchFeatureValuesResponse as _Response

if TYPE_CHECKING:
    import pyarrow as pa

Key = tuple[str, ...]
Response = _Response.pb()
_LONGEST_KEY = 4096  # bytes of one ID column [docs: prepare-data-source]


class SourceError(Exception):
    """The source cannot be served: a sync fails with this message."""


class Column(msgspec.Struct, frozen=True, kw_only=True):
    field: str  # of FeatureValue
    convert: Callable[[Any], Any] | None  # what Arrow gives -> what the field takes; None: as it is


def rows(
    table: pa.Table, id_columns: Sequence[str], features: Mapping[str, str] | None = None
) -> dict[Key, bytes]:
    """Return each entity's feature values as a serialized response, by the entity's key.

    Args:
        table: The rows.
        id_columns: The columns that make the key.
        features: The column of each feature, by the feature's name. None: all columns that are no
            ID.

    Raises:
        SourceError: An ID column is missing, null or too long, an entity comes twice, or a type
            cannot be served.
    """
    names = (
        features
        if features is not None
        else {name: name for name in table.column_names if name not in id_columns}
    )
    columns = {name: _column(table, column) for name, column in names.items()}
    values = {name: _values(table, names[name], column) for name, column in columns.items()}
    entities: dict[Key, bytes] = {}
    for place, key in enumerate(keys(table, id_columns)):
        if key in entities:
            raise SourceError(
                f"multiple occurrences of entity ID {'/'.join(key)!r}: each row must hold "
                "another entity"
            )
        pairs = [
            {"name": name}
            if (value := values[name][place]) is None
            else {"name": name, "value": {column.field: value}}
            for name, column in columns.items()
        ]
        entities[key] = Response(key_values={"features": pairs}).SerializeToString()
    return entities


def struct_answer(row: bytes) -> Any:
    """Return a serialized response of the KEY_VALUE format as one of the PROTO_STRUCT format."""
    pairs = Response.FromString(row).key_values.features
    response = Response()
    response.proto_struct.SetInParent()
    response.proto_struct.update({pair.name: _json(pair.value) for pair in pairs})
    return response


def _json(value: Any) -> Any:
    """Return a FeatureValue's content as a JSON value."""
    field = value.WhichOneof("value")
    if field is None:
        return None
    content = getattr(value, field)
    if field == "bytes_value":
        return base64.b64encode(content).decode()
    return list(content.values) if field.endswith("_array_value") else content


def keys(table: pa.Table, id_columns: Sequence[str]) -> list[Key]:
    """Return the entity key of each row of a table: the texts of its ID columns."""
    import pyarrow as pa

    parts = []
    for name in id_columns:
        if name not in table.column_names:
            raise SourceError(f"the entity ID column {name} is not in the source")
        kind = table.schema.field(name).type
        if not (
            pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_integer(kind)
        ):
            raise SourceError(f"the entity ID column {name} is neither STRING nor INT64")
        values = table.column(name).to_pylist()
        if None in values:
            raise SourceError(f"the entity ID column {name} has a null")
        texts = [str(value) for value in values]
        if any(
            len(text) * 4 > _LONGEST_KEY and len(text.encode()) >= _LONGEST_KEY for text in texts
        ):
            raise SourceError(f"the entity ID column {name} has a value of 4 KB or more")
        parts.append(texts)
    return list(zip(*parts, strict=True))


def latest(table: pa.Table, id_columns: Sequence[str], timestamp: str, *, dense: bool) -> pa.Table:
    """Return the latest row of each entity in a table, by the time column `timestamp`.

    With `dense` False it takes each column's latest value that is not null. Raises SourceError if
    there is no column `timestamp`.
    """
    import pyarrow as pa

    if timestamp not in table.column_names:
        raise SourceError(f"the timestamp column {timestamp} is not in the source")
    ordered = table.sort_by([(timestamp, "descending")])
    newest: dict[Key, list[Any]] = {}
    columns = [column.to_pylist() for column in ordered.columns]
    for key, values in zip(keys(ordered, id_columns), zip(*columns, strict=True), strict=True):
        if key not in newest:
            newest[key] = list(values)
        elif not dense:
            newest[key] = [
                new if new is not None else old
                for new, old in zip(newest[key], values, strict=True)
            ]
    merged = list(zip(*newest.values(), strict=True)) or [()] * ordered.num_columns
    return pa.table(
        [
            pa.array(values, field.type)
            for values, field in zip(merged, ordered.schema, strict=True)
        ],
        schema=ordered.schema,
    )


def _column(table: pa.Table, name: str) -> Column:
    """Return the FeatureValue field and the conversion for the values of a table's column."""
    import pyarrow as pa

    if name not in table.column_names:
        raise SourceError(f"the feature column {name} is not in the source")
    kind = table.schema.field(name).type
    column = _scalar(kind)
    if column is None and (pa.types.is_list(kind) or pa.types.is_large_list(kind)):
        item = _scalar(kind.value_type)
        if item is not None and item.convert is None and item.field != "bytes_value":
            column = Column(
                field=item.field.replace("_value", "_array_value"),
                convert=lambda values: {"values": values},
            )
    if column is None:
        raise SourceError(
            f"the feature column {name} has the type {kind}, which this stack cannot serve"
        )
    return column


def _scalar(kind: pa.DataType) -> Column | None:
    """Return how values of a scalar Arrow type become FeatureValues; None if they cannot."""
    from pyarrow import types

    if types.is_timestamp(kind) and kind.tz is not None:
        return Column(field="int64_value", convert=None)  # cast to its microseconds before
    for field, tests in (
        ("bool_value", (types.is_boolean,)),
        ("int64_value", (types.is_integer,)),
        ("double_value", (types.is_floating,)),
        ("string_value", (types.is_string, types.is_large_string)),
        ("bytes_value", (types.is_binary, types.is_large_binary)),
    ):
        if any(test(kind) for test in tests):
            return Column(field=field, convert=None)
    return None


def _values(table: pa.Table, name: str, column: Column) -> list[Any]:
    """Return a table column's values, converted for FeatureValues."""
    import pyarrow as pa

    data = table.column(name)
    if pa.types.is_timestamp(data.type):
        data = data.cast(pa.timestamp("us", data.type.tz)).cast(pa.int64())
    values: list[Any] = data.to_pylist()
    convert = column.convert
    return (
        values
        if convert is None
        else [None if value is None else convert(value) for value in values]
    )


def joined(tables: Iterable[tuple[pa.Table, Sequence[str]]]) -> pa.Table:
    """Return one table with the features of several sources, joined by the entity keys.

    Every entity of any source has a row; what a source lacks is null. The ID columns are named as
    in the first source.

    Raises:
        SourceError: The sources have keys of different lengths.
    """
    pairs = list(tables)
    table, id_columns = pairs[0]
    for other, other_ids in pairs[1:]:
        if len(other_ids) != len(id_columns):
            raise SourceError(
                "the feature groups of a feature view must have the same number of entity ID "
                "columns"
            )
        table = table.join(
            other, keys=list(id_columns), right_keys=list(other_ids), join_type="full outer"
        )
    return table
