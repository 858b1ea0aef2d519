"""Objects as rows: Parquet, OpenCSVSerde, delimited text and JSON, in the types that Glue says."""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from .. import objects
from . import types
from .catalog import Column, Table
from .errors import NotRun, QueryFailed
from .partitions import Part

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001


def rows(s3: Any, table: Table, parts: list[Part], wanted: frozenset[str] | None) -> Iterator[pa.Table]:
    """The table's rows, an object at a time after an empty one; with the columns in `wanted` (None: all), the partition columns last."""
    import pyarrow as pa

    columns = [column for column in table.columns if wanted is None or column.name in wanted]
    if not columns:
        columns = list(table.columns[:1])  # rows are counted by a column
    keys = [(index, column) for index, column in enumerate(table.partitions) if wanted is None or column.name in wanted]
    schema = pa.schema([(c.name, types.arrow(c.type)) for c in columns] + [(c.name, types.arrow(c.type)) for _, c in keys])
    read = _reader(table)
    yield schema.empty_table()
    for part in parts:
        data = objects.read(s3, part.object.uri)
        if not data:
            continue
        content = read(_plain(part.object.uri, data), part.object.uri, columns)
        for index, column in keys:
            value = _partition_value(part.values[index], column)
            content = content.append_column(column.name, pa.array([value] * content.num_rows, types.arrow(column.type)))
        yield content.cast(schema)


def _partition_value(text: str | None, column: Column) -> object:
    if text is None:
        return None
    try:
        return _convert(unquote(text), column.type, iso=True)
    except (ValueError, InvalidOperation) as error:
        raise QueryFailed(
            "HIVE_INVALID_PARTITION_VALUE", f"Invalid partition value '{text}' for {column.type} partition key: {column.name}"
        ) from error


def _plain(uri: str, data: bytes) -> bytes:
    return gzip.decompress(data) if uri.endswith(".gz") and data[:2] == b"\x1f\x8b" else data


Reader = Callable[[bytes, str, list[Column]], "pa.Table"]


def _reader(table: Table) -> Reader:
    serde = table.serde.lower()
    if "parquet" in serde or "parquet" in table.input.get("StorageDescriptor", {}).get("InputFormat", "").lower():
        return _parquet
    every = table.columns
    skip = int(table.parameters.get("skip.header.line.count", table.serde_parameters.get("skip.header.line.count", "0")))
    if "opencsvserde" in serde:
        return lambda data, uri, columns: _typed(_open_csv(table, data, skip), uri, every, columns, strict=True)
    if "json" in serde:
        return lambda data, uri, columns: _json(table, data, uri, columns)
    if "lazysimpleserde" in serde or not serde:
        return lambda data, uri, columns: _typed(_delimited(table, data, skip), uri, every, columns, strict=False)
    raise NotRun(f"tables with the serde {table.serde}")


def _parquet(data: bytes, uri: str, columns: list[Column]) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise QueryFailed("HIVE_BAD_DATA", f"Not valid Parquet file: {uri}", category=3) from error
    names = {name.lower(): name for name in file.schema_arrow.names}
    present = [column for column in columns if column.name in names]
    content = file.read(columns=[names[column.name] for column in present])
    arrays = []
    for column in columns:
        kind = types.arrow(column.type)
        if column.name not in names:
            arrays.append(nulls(content.num_rows, kind))  # a column that a file lacks is null
            continue
        arrays.append(_as_table_says(content.column(names[column.name]), kind, column, uri))
    return pa.table(arrays, names=[column.name for column in columns])


def nulls(count: int, kind: pa.DataType) -> Any:
    import pyarrow as pa

    return pa.array([None] * count, kind)


def _as_table_says(values: Any, kind: pa.DataType, column: Column, uri: str) -> Any:
    """Files and tables may differ as far as Trino's reader allows: numbers widen; times are cut to milliseconds."""
    import pyarrow as pa
    import pyarrow.types as t

    stored = values.type
    if t.is_dictionary(stored):
        values, stored = values.cast(stored.value_type), stored.value_type
    if t.is_timestamp(kind) and t.is_timestamp(stored):
        return values.cast(pa.timestamp("ms"), safe=False).cast(pa.timestamp("us"))
    fine = (
        stored == kind
        or (t.is_integer(stored) and t.is_integer(kind) and stored.bit_width <= max(kind.bit_width, 64))
        or (t.is_floating(stored) and t.is_floating(kind))
        or (t.is_decimal(stored) and t.is_decimal(kind))
        or ((t.is_string(stored) or t.is_large_string(stored) or t.is_binary(stored)) and (t.is_string(kind) or t.is_binary(kind)))
        or (t.is_nested(stored) and t.is_nested(kind))
        or t.is_null(stored)
    )
    try:
        if fine:
            return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise QueryFailed(
            "HIVE_BAD_DATA", f"Field {column.name} in parquet file {uri} does not fit type {column.type}: {error}", category=3
        ) from error
    raise QueryFailed(
        "HIVE_BAD_DATA",
        f"Field {column.name}'s type {str(stored).upper()} in parquet file {uri} is incompatible with type {column.type} "
        "defined in table schema",
        category=3,
    )


def _open_csv(table: Table, data: bytes, skip: int) -> Iterator[list[str | None]]:
    options = table.serde_parameters
    quote, escape = options.get("quoteChar", '"'), options.get("escapeChar", "\\")
    reader = csv.reader(
        io.StringIO(data.decode("utf-8"), newline=""),
        delimiter=options.get("separatorChar", ","),
        quotechar=quote[:1] or None,
        escapechar=escape[:1] if escape[:1] != quote[:1] else None,
        doublequote=True,
    )
    for index, line in enumerate(reader):
        if index >= skip and line:
            yield list(line)


def _delimited(table: Table, data: bytes, skip: int) -> Iterator[list[str | None]]:
    options = table.serde_parameters
    delimiter = options.get("field.delim", options.get("serialization.format", "\x01"))
    delimiter = "\x01" if delimiter == "1" else delimiter
    null = options.get("serialization.null.format", "\\N")
    for index, line in enumerate(data.decode("utf-8").split("\n")):
        if index >= skip and line:
            yield [None if cell == null else cell for cell in line.rstrip("\r").split(delimiter)]


def _typed(lines: Iterator[list[str | None]], uri: str, every: tuple[Column, ...], columns: list[Column], *, strict: bool) -> pa.Table:
    """Cells by position. OpenCSVSerde fails at a cell that is not of its type, LazySimpleSerDe reads null."""
    import pyarrow as pa

    position = {column.name: index for index, column in enumerate(every)}
    values: dict[str, list[object]] = {column.name: [] for column in columns}
    for line in lines:
        for column in columns:
            index = position[column.name]
            cell = line[index] if index < len(line) else None
            values[column.name].append(_cell(cell, column, uri, strict=strict))
    return pa.table({column.name: pa.array(values[column.name], types.arrow(column.type)) for column in columns})


def _cell(cell: str | None, column: Column, uri: str, *, strict: bool) -> object:
    if cell is None:
        return None
    try:
        return _convert(cell, column.type, iso=not strict)
    except (ValueError, InvalidOperation, OverflowError) as error:
        if not strict:
            return None
        text = f"Error parsing field value '{cell}' for field {column.name}: it is not of type {column.type}. This error occurred in {uri}"
        raise QueryFailed("HIVE_BAD_DATA", text, category=3) from error


def _convert(text: str, kind: str, *, iso: bool) -> object:  # noqa: PLR0911  one line a kind
    """ValueError, InvalidOperation. OpenCSVSerde (not `iso`) has dates as days and timestamps as milliseconds since 1970."""
    kind = kind.lower()
    name = kind.partition("(")[0]
    if name in ("string", "varchar", "char"):
        return text
    if name in ("tinyint", "smallint", "int", "integer", "bigint"):
        return int(text)
    if name in ("double", "float", "real"):
        return float(text)
    if name == "boolean":
        if text.lower() not in ("true", "false"):
            raise ValueError(text)
        return text.lower() == "true"
    if name == "decimal":
        return Decimal(text)
    if name == "date":
        return date.fromisoformat(text) if iso or "-" in text else date(1970, 1, 1) + timedelta(days=int(text))
    if name == "timestamp":
        if iso or not text.lstrip("-").isdigit():
            return datetime.fromisoformat(text).replace(tzinfo=None)
        return _EPOCH + timedelta(milliseconds=int(text))
    raise NotRun(f"columns of type {kind} in text files")


def _json(table: Table, data: bytes, uri: str, columns: list[Column]) -> pa.Table:
    import pyarrow as pa

    fold = table.serde_parameters.get("case.insensitive", "true").lower() != "false"
    ignore = table.serde_parameters.get("ignore.malformed.json", "false").lower() == "true"
    values: dict[str, list[object]] = {column.name: [] for column in columns}
    count = 0
    for line in data.decode("utf-8").split("\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if not isinstance(row, dict):
                raise ValueError(line)  # noqa: TRY301, TRY004  it is as malformed as what does not parse
        except ValueError as error:
            if not ignore:
                raise QueryFailed("HIVE_CURSOR_ERROR", f"Row is not a valid JSON Object: {uri}", category=3) from error
            row = {}
        count += 1
        by_name = {key.lower(): value for key, value in row.items()} if fold else row
        for column in columns:
            key = table.serde_parameters.get(f"mapping.{column.name}", column.name)
            values[column.name].append(json_value(by_name.get(key.lower() if fold else key), types.arrow(column.type), uri))
    return pa.table({column.name: pa.array(values[column.name], types.arrow(column.type)) for column in columns})


def json_value(value: object, kind: pa.DataType, uri: str) -> object:  # noqa: C901, PLR0911  one line a kind
    import pyarrow.types as t

    if value is None:
        return None
    try:
        if t.is_string(kind):
            return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        if t.is_struct(kind):
            members = {key.lower(): inner for key, inner in value.items()} if isinstance(value, dict) else {}
            return {field.name: json_value(members.get(field.name.lower()), field.type, uri) for field in kind}
        if t.is_list(kind):
            return [json_value(inner, kind.value_type, uri) for inner in value] if isinstance(value, list) else None
        if t.is_map(kind):
            return [(key, json_value(inner, kind.item_type, uri)) for key, inner in value.items()] if isinstance(value, dict) else None
        if t.is_timestamp(kind) and isinstance(value, (int, float)):
            return _EPOCH + (timedelta(milliseconds=value) if isinstance(value, int) and abs(value) > 10**11 else timedelta(seconds=value))
        if t.is_timestamp(kind):
            moment = datetime.fromisoformat(str(value))
            return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment
        if t.is_date(kind):
            return date.fromisoformat(str(value))
        if t.is_boolean(kind):
            return bool(value)
        if t.is_integer(kind):
            return int(value) if isinstance(value, (int, float, str)) else None
        if t.is_floating(kind):
            return float(value) if isinstance(value, (int, float, str)) else None
        return Decimal(str(value))
    except (ValueError, InvalidOperation) as error:
        raise QueryFailed("HIVE_BAD_DATA", f"Error parsing a column in the table: {value!r} in {uri}", category=3) from error
