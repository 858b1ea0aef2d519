"""Objects as rows: Parquet, ORC, text and JSON, in the types that Glue says."""

from __future__ import annotations

import bz2
import gzip
import io
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ....core import objects
from ..errors import NotRun, QueryFailed
from ..formats import json_lines, text, types
from ..schemas import Column, Table
from .partitions import Part

if TYPE_CHECKING:
    import pyarrow as pa

# Columns that every table has and no star shows (Athena, "$path"; Trino's Hive connector, "Metadata
# columns"), from an object.
HIDDEN: dict[str, Callable[[objects.ListedObject], object]] = {
    "$path": lambda item: item.uri,
    "$file_size": lambda item: item.size,
    "$file_modified_time": lambda item: item.modified,
}


def rows(
    s3: Any,
    table: Table,
    parts: list[Part],
    names: frozenset[str] | None,
    hidden: frozenset[str] = frozenset(),
) -> Iterator[pa.Table]:
    """Yield the rows of a table's S3 objects as Arrow tables, after an empty one.

    Args:
        s3: A client of S3.
        table: The table.
        parts: The S3 objects with its data.
        names: The columns that are needed; None: all.
        hidden: The hidden columns that are needed, such as "$path".

    Raises:
        QueryFailed: HIVE_BAD_DATA for a file that is damaged or of other types, HIVE_CURSOR_ERROR
            for one that can be read in part, HIVE_INVALID_PARTITION_VALUE for a folder's value that
            is not of its column's type.
    """
    import pyarrow as pa

    columns = [column for column in table.columns if names is None or column.name in names]
    if not columns:
        columns = list(table.columns[:1])  # rows are counted by a column
    keys = [
        (index, column)
        for index, column in enumerate(table.partitions)
        if names is None or column.name in names
    ]
    fields = [
        pa.field(column.name, types.arrow(column.type))
        for column in (*columns, *(column for _, column in keys))
    ]
    schema = pa.schema([*fields, *(pa.field(name, _hidden_type(name)) for name in sorted(hidden))])
    read = _reader(table)
    yield schema.empty_table()
    for part in parts:
        data = objects.read(s3, part.object.uri)
        if not data:
            continue
        content = read(data, part.object.uri, columns)
        for index, column in keys:
            content = _with_constant(
                content, column.name, _partition_value(part.values[index], column), schema
            )
        for name in sorted(hidden):
            content = _with_constant(content, name, HIDDEN[name](part.object), schema)
        yield content.cast(schema)


def _hidden_type(name: str) -> pa.DataType:
    """Return the Arrow type of a hidden column, such as "$path"."""
    import pyarrow as pa

    if name == "$path":
        return pa.string()
    return pa.int64() if name == "$file_size" else pa.timestamp("ms", tz="UTC")


def _with_constant(content: pa.Table, name: str, value: object, schema: pa.Schema) -> pa.Table:
    """Return an Arrow table with one more column, in which every value is the same.

    `name` is the column's, and `schema` has its type.
    """
    import pyarrow as pa

    return content.append_column(
        name, pa.array([value] * content.num_rows, schema.field(name).type)
    )


def _partition_value(written: str | None, column: Column) -> object:
    """Convert the text of a partition's value to its column's type.

    Raises:
        QueryFailed: It is not of that type (HIVE_INVALID_PARTITION_VALUE).
    """
    if written is None:
        return None
    try:
        return text.converter(types.arrow(column.type), iso=True)(unquote(written))
    except text.WRONG as error:
        raise QueryFailed(
            "HIVE_INVALID_PARTITION_VALUE",
            f"Invalid partition value '{written}' for {column.type} partition key: {column.name}",
        ) from error


def _zstd(data: bytes) -> bytes:
    """Decompress zstd data."""
    import pyarrow as pa

    return bytes(pa.CompressedInputStream(io.BytesIO(data), "zstd").read())


_CODECS: dict[str, Callable[[bytes], bytes]] = {
    "gz": lambda data: gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data,
    "bz2": bz2.decompress,
    "deflate": zlib.decompress,
    "zst": _zstd,
}
_NO_CODEC = frozenset({"snappy", "lz4", "lzo"})  # Hadoop frames these in ways of its own


def _plain(uri: str, data: bytes) -> bytes:
    """Return an object's bytes, decompressed by the codec that its name ends with (.gz ...).

    `uri` is the object's, and `data` its content.

    Raises:
        QueryFailed: They are not of that codec (HIVE_CURSOR_ERROR).
    """
    ending = uri.rpartition(".")[2].lower()
    if ending in _NO_CODEC:
        raise NotRun(f"text compressed as .{ending}")
    try:
        return _CODECS[ending](data) if ending in _CODECS else data
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise QueryFailed(
            "HIVE_CURSOR_ERROR",
            f"Failed to read file: {uri}: it is not .{ending}: {error}",
            category=3,
        ) from error


Reader = Callable[[bytes, str, list[Column]], "pa.Table"]


def _reader(table: Table) -> Reader:
    """Return the function that parses a table's files, by its format and serde."""
    serde, form = (
        table.serde.lower(),
        table.input.get("StorageDescriptor", {}).get("InputFormat", "").lower(),
    )
    if "parquet" in serde or "parquet" in form:
        return _parquet
    if "orc" in serde.rpartition(".")[2] or ".orc." in form:
        return lambda data, uri, columns: _orc(table, data, uri, columns)
    if "json" in serde:
        return lambda data, uri, columns: json_lines.rows(table, _plain(uri, data), uri, columns)
    options, skip = table.serde_parameters, _header(table)
    if "opencsvserde" in serde:
        return lambda data, uri, columns: text.typed_table(
            text.csv_lines(options, _plain(uri, data), skip), uri, table, columns, None
        )
    if "lazysimpleserde" in serde or not serde:
        lazy = text.lazy(options)
        return lambda data, uri, columns: text.typed_table(
            text.lazy_lines(lazy, _plain(uri, data), skip), uri, table, columns, lazy
        )
    raise NotRun(f"tables with the serde {table.serde}")


def _header(table: Table) -> int:
    """Return the number of header lines that a text table's files begin with."""
    name = "skip.header.line.count"
    written = table.parameters.get(name, table.serde_parameters.get(name, "0"))
    if not written.isdecimal():
        raise QueryFailed("HIVE_INVALID_METADATA", f"Invalid value for {name} property: {written}")
    return int(written)


def _parquet(data: bytes, uri: str, columns: list[Column]) -> pa.Table:
    """Read columns of a Parquet file, by name without case, in the table's types.

    Raises:
        QueryFailed: It is no Parquet file, or has other types (HIVE_BAD_DATA).
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise QueryFailed("HIVE_BAD_DATA", f"Not valid Parquet file: {uri}", category=3) from error
    names = {name.lower(): name for name in file.schema_arrow.names}
    stored = {column.name: names[column.name] for column in columns if column.name in names}
    return _columns(
        _content(file, list(stored.values()), uri), stored, columns, f"parquet file {uri}"
    )


def _orc(table: Table, data: bytes, uri: str, columns: list[Column]) -> pa.Table:
    """Read columns of an ORC file in the table's types.

    They are found by position, as Athena reads ORC unless orc.column.index.access is false.

    Raises:
        QueryFailed: HIVE_BAD_DATA for what is no ORC file or of other types, HIVE_CURSOR_ERROR for
            one whose columns cannot be read.
    """
    import pyarrow as pa
    from pyarrow import orc

    try:
        file = orc.ORCFile(io.BytesIO(data))
    except (pa.ArrowInvalid, OSError) as error:
        raise QueryFailed(
            "HIVE_BAD_DATA", f"Malformed ORC file. Invalid file metadata [{uri}]", category=3
        ) from error
    names: list[str] = file.schema.names
    by_name = {name.lower(): name for name in names}
    if table.serde_parameters.get("orc.column.index.access", "true").lower() != "false":
        by_name = {column.name: name for column, name in zip(table.columns, names, strict=False)}
    stored = {column.name: by_name[column.name] for column in columns if column.name in by_name}
    return _columns(
        _content(file, list(stored.values()) or names[:1], uri), stored, columns, f"ORC file {uri}"
    )


def _content(file: Any, names: list[str], uri: str) -> Any:
    """Read the named columns of an opened ORC or Parquet file.

    Raises:
        QueryFailed: The footer can be read and the columns cannot (HIVE_CURSOR_ERROR).
    """
    import pyarrow as pa

    try:
        return file.read(columns=names)
    except (pa.ArrowInvalid, OSError) as error:
        raise QueryFailed(
            "HIVE_CURSOR_ERROR", f"Failed to read file: {uri}: {error}", category=3
        ) from error


def _columns(
    content: pa.Table, stored: dict[str, str], columns: list[Column], place: str
) -> pa.Table:
    """Return a file's columns in the order and types in which the table declares them.

    Args:
        content: The file's columns.
        stored: Their names in the file; a column that the file lacks is null.
        columns: The table's columns.
        place: The file and its place, for the error.

    Raises:
        QueryFailed: A type is not read as the table's (HIVE_BAD_DATA).
    """
    import pyarrow as pa

    arrays = []
    for column in columns:
        kind = types.arrow(column.type)
        if column.name in stored:
            arrays.append(_as_declared(content.column(stored[column.name]), kind, column, place))
        else:
            arrays.append(nulls(content.num_rows, kind))
    return pa.table(arrays, names=[column.name for column in columns])


def nulls(count: int, kind: pa.DataType) -> Any:
    """Return an Arrow column that is null throughout."""
    import pyarrow as pa

    return pa.array([None] * count, kind)


def _as_declared(values: Any, kind: pa.DataType, column: Column, place: str) -> Any:
    """Convert a file's values to the type that the table declares for their column.

    `kind` is that type, and `place` names the file in the error. Files and tables may differ as far
    as Trino's reader allows: numbers whose value fits; times are cut to milliseconds.

    Raises:
        QueryFailed: The types differ further (HIVE_BAD_DATA).
    """
    import pyarrow as pa
    import pyarrow.types as t

    if t.is_dictionary(values.type):
        values = values.cast(values.type.value_type)
    if t.is_timestamp(kind) and t.is_timestamp(values.type):
        return values.cast(pa.timestamp("ms"), safe=False).cast(pa.timestamp("us"))
    if not _readable(values.type, kind):
        text = (
            f"Field {column.name}'s type {str(values.type).upper()} in {place} is incompatible "
            f"with type {column.type} "
        )
        raise QueryFailed("HIVE_BAD_DATA", f"{text}defined in table schema", category=3)
    try:
        return values.cast(kind)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        raise QueryFailed(
            "HIVE_BAD_DATA",
            f"Field {column.name} in {place} does not fit type {column.type}: {error}",
            category=3,
        ) from error


def _readable(stored: pa.DataType, kind: pa.DataType) -> bool:
    """Return whether Trino can read a file's type as the type of the table's column.

    It does where both are of one family, or a file's column is null throughout.
    """
    import pyarrow.types as t

    families = (t.is_integer, t.is_floating, t.is_decimal, t.is_nested, _is_bytes)
    return (
        stored == kind
        or t.is_null(stored)
        or any(family(stored) and family(kind) for family in families)
    )


def _is_bytes(kind: pa.DataType) -> bool:
    """Return whether an Arrow type is text or bytes."""
    import pyarrow.types as t

    return bool(t.is_string(kind) or t.is_large_string(kind) or t.is_binary(kind))
