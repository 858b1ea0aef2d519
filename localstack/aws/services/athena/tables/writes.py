"""Files of CTAS, UNLOAD and INSERT INTO: a query's rows, by Hive partition."""

from __future__ import annotations

import base64
import io
import json
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from ....core import objects
from ..errors import NotRun, QueryFailed
from ..formats import types
from . import buckets
from .catalog import check_kind
from .partitions import NULL
from .result import Result, text

if TYPE_CHECKING:
    import pyarrow as pa

Properties = dict[str, "str | tuple[str, ...]"]
MOST_PARTITIONS = 100  # that CTAS, INSERT INTO and UNLOAD write in one query
COLUMNAR = ("PARQUET", "ORC")
_FORMATS = ("PARQUET", "TEXTFILE", "JSON", "ORC", "AVRO")


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """The files that a query wrote."""

    files: tuple[str, ...]
    rows: int
    size: int
    partitions: tuple[tuple[tuple[str | None, ...], str], ...]  # values, location


class Format(msgspec.Struct, frozen=True):
    """The format in which a query's rows are written."""

    name: str  # PARQUET, ORC, TEXTFILE, JSON
    compression: str
    delimiter: str = "\x01"
    bucketed_by: tuple[str, ...] = ()
    buckets: int = 0  # 0: the table has none


def format_of(properties: Properties, known_properties: Sequence[str]) -> Format:
    """Return the output format for which a statement's WITH properties ask.

    Raises:
        QueryFailed: A property does not exist, or has no such value.
        NotRun: The format is one of Athena's that is not written here.
    """
    check_kind({key: str(value) for key, value in properties.items()})
    for key in properties:
        if key not in known_properties:
            raise QueryFailed("INVALID_TABLE_PROPERTY", f"table property '{key}' does not exist")
    name = str(properties.get("format", "PARQUET")).upper()
    if name not in _FORMATS:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY", f"unable to set table property 'format' to ['{name}']"
        )
    if name == "AVRO":
        raise NotRun("writing AVRO")
    compression = str(
        properties.get("write_compression")
        or properties.get("compression")
        or properties.get("parquet_compression")
        or properties.get("orc_compression")
        or {"PARQUET": "SNAPPY", "ORC": "ZLIB"}.get(name, "GZIP")
    ).upper()
    return Format(name, compression, str(properties.get("field_delimiter", "\x01")))


def partition_columns(properties: Properties) -> tuple[str, ...]:
    """Return the names in partitioned_by of a statement's WITH properties."""
    columns = properties.get("partitioned_by", ())
    return columns if isinstance(columns, tuple) else (columns,)


def check_columns(result: Result, partitioned_by: tuple[str, ...]) -> None:
    """Check the columns of a table that CREATE TABLE AS makes, as Athena does.

    Raises:
        QueryFailed: A name is missing or doubled, a type cannot be stored, or the partition columns
            are not the last ones.
    """
    lower = [name.lower() for name in result.names]
    for index, name in enumerate(lower):
        if name in lower[:index]:
            raise QueryFailed(
                "DUPLICATE_COLUMN_NAME",
                f"Column name '{name}' specified more than once",
                position=(1, 1),
            )
        if name == f"_col{index}":
            raise QueryFailed(
                "MISSING_COLUMN_NAME",
                f"Column name not specified at position {index + 1}",
                position=(1, 1),
            )
        try:
            types.glue(result.types[index])
        except ValueError as error:
            if str(error) == "unknown":
                raise QueryFailed(
                    "COLUMN_TYPE_UNKNOWN", f"Column type is unknown: {name}", position=(1, 1)
                ) from error
            raise QueryFailed("NOT_SUPPORTED", f"Unsupported Hive type: {error}") from error
    if partitioned_by and tuple(lower[-len(partitioned_by) :]) != partitioned_by:
        partition_keys = ", ".join(partitioned_by)
        raise QueryFailed(
            "HIVE_COLUMN_ORDER_MISMATCH",
            "Partition keys must be the last columns in the table and in the same order as "
            f"the table properties: [{partition_keys}]",
        )
    if len(partitioned_by) == len(lower):
        raise QueryFailed("INVALID_TABLE_PROPERTY", "Table contains only partition columns")


def check_empty(s3: Any, location: str, what: str) -> None:
    """Raise an error if an S3 location to write to already has objects.

    `what` names the statement or the table in the error.
    """
    try:
        if next(objects.objects_below(s3, location.rstrip("/") + "/"), None) is not None:
            raise QueryFailed(
                "HIVE_PATH_ALREADY_EXISTS",
                f"Target directory for {what} already exists: {location}. You may need to "
                "manually clean the data at location before "
                "retrying.",
                category=3,
            )
    except objects.NoSuchBucket as error:
        raise QueryFailed(
            "HIVE_WRITER_OPEN_ERROR", f"The specified bucket does not exist: {error}", category=3
        ) from error


def write(
    s3: Any,
    result: Result,
    location: str,
    form: Format,
    *,
    partitioned_by: tuple[str, ...],
    now: datetime,
    keep: Callable[[bool], None],
) -> Written:
    """Write a query's rows into files below an S3 location.

    Args:
        s3: A client of S3.
        result: The rows.
        location: The folder.
        form: The format.
        partitioned_by: The partition columns, which are the last ones.
        now: The time that the files' names carry.
        keep: Called as `keep(False)` before each file and as `keep(True)` after the last. What it
            raises, or whatever else goes wrong, takes back the files that are written.

    Raises:
        QueryFailed: There are more than a hundred partitions (HIVE_TOO_MANY_OPEN_PARTITIONS).
    """
    location = location.rstrip("/")
    groups = list(_by_bucket(result, _groups(result, partitioned_by), form))
    if len(groups) > MOST_PARTITIONS:
        raise QueryFailed(
            "HIVE_TOO_MANY_OPEN_PARTITIONS",
            f"Exceeded limit of {MOST_PARTITIONS} open writers for partitions/buckets",
            category=3,
        )
    suffix = ".gz" if form.name not in COLUMNAR and form.compression == "GZIP" else ""
    files: list[str] = []
    places: list[tuple[tuple[str | None, ...], str]] = []
    size = 0
    try:
        for values, bucket, rows in groups:
            keep(False)
            folder = _folder(location, partitioned_by, values)
            if partitioned_by and (values, folder) not in places:
                places.append((values, folder))
            data = _file_content(result, rows, form)
            ending = uuid.uuid4() if bucket is None else f"bucket-{bucket:05d}"
            name = f"{now:%Y%m%d_%H%M%S}_{len(files):05d}_{uuid.uuid4().hex[:5]}"
            uri = f"{folder}/{name}_{ending}{suffix}"
            objects.write(s3, uri, data)
            files.append(uri)
            size += len(data)
        keep(True)
    except objects.NoSuchBucket as error:
        raise QueryFailed(
            "HIVE_WRITER_OPEN_ERROR", f"The specified bucket does not exist: {error}", category=3
        ) from error
    except BaseException:
        objects.erase(s3, files)
        raise
    return Written(
        files=tuple(files), rows=result.rows.num_rows, size=size, partitions=tuple(places)
    )


def _folder(location: str, keys: tuple[str, ...], values: tuple[str | None, ...]) -> str:
    """Return the S3 folder of a partition (key=value/...) below a location."""
    parts = (
        f"{key}={NULL if value is None else quote(value, safe=' -_.~+@,')}"
        for key, value in zip(keys, values, strict=True)
    )
    return "/".join([location, *parts])


def _groups(
    result: Result, partitioned_by: tuple[str, ...]
) -> list[tuple[tuple[str | None, ...], pa.Table]]:
    """Split a result's rows by partition, in the order in which the partitions appear.

    The result's last columns are the partition columns, as CREATE TABLE AS wants them. Each group
    has their values as text (None: null), and the rows without them.
    """
    rows = result.rows
    if not partitioned_by:
        return [((), rows)] if rows.num_rows else []
    count = len(result.names) - len(partitioned_by)
    keys = [
        [text(value) for value in rows.column(index).to_pylist()]
        for index in range(count, len(result.names))
    ]
    indices: dict[tuple[str | None, ...], list[int]] = {}
    for index, key in enumerate(zip(*keys, strict=True)):
        indices.setdefault(key, []).append(index)
    data = rows.select(list(range(count)))
    return [(key, data.take(some)) for key, some in indices.items()]


def _by_bucket(
    result: Result, groups: list[tuple[tuple[str | None, ...], pa.Table]], form: Format
) -> Iterator[tuple[tuple[str | None, ...], int | None, pa.Table]]:
    """Yield the rows of each output file: partition values, bucket number and rows.

    The number is None when the table has no buckets.

    Raises:
        QueryFailed: Athena does not bucket by such a type.
        NotRun: The hash of such a type is not known here.
    """
    names = [name.lower() for name in result.names]
    indices = [names.index(name) for name in form.bucketed_by]
    kinds = [types.glue(result.types[index]) for index in indices]
    for values, rows in groups:
        if form.buckets:
            yield from (
                (values, number, some)
                for number, some in buckets.by_bucket(rows, indices, kinds, form.buckets)
            )
        else:
            yield values, None, rows


def _file_content(result: Result, rows: pa.Table, form: Format) -> bytes:
    """Encode rows as the bytes of a file in the output format."""
    if form.name in COLUMNAR:
        return _columnar(result, rows, form)
    columns = [rows.column(index).to_pylist() for index in range(rows.num_columns)]
    if form.name == "JSON":
        names = result.names[: rows.num_columns]
        lines = [
            json.dumps(dict(zip(names, row, strict=True)), default=_cell)
            for row in zip(*columns, strict=True)
        ]
    else:
        lines = [
            form.delimiter.join("\\N" if v is None else str(_cell(v)) for v in row)
            for row in zip(*columns, strict=True)
        ]
    data = ("\n".join(lines) + "\n").encode()
    if form.compression == "GZIP":
        import gzip

        return gzip.compress(data, mtime=0)
    return data


def _cell(value: object) -> str | None:
    """Return a value as text for text and JSON files: binary is base64."""
    return base64.b64encode(value).decode() if isinstance(value, bytes) else text(value)


def _columnar(result: Result, rows: pa.Table, form: Format) -> bytes:
    """Encode rows as the bytes of a Parquet or ORC file.

    Times in Parquet are INT96, as Trino's Hive writer has them.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from pyarrow import orc

    fields, arrays = [], []
    for index in range(rows.num_columns):
        kind = types.arrow(types.glue(result.types[index]))
        fields.append(pa.field(result.names[index].lower(), kind))
        values = rows.column(index)
        if pa.types.is_timestamp(kind):
            values = values.cast(pa.timestamp("ms"), safe=False)
        arrays.append(values.cast(kind))
    sink = io.BytesIO()
    table = pa.table(arrays, schema=pa.schema(fields))
    codec: Any = {"NONE": "none" if form.name == "PARQUET" else "uncompressed"}.get(
        form.compression, form.compression.lower()
    )
    if form.name == "ORC":
        orc.write_table(table, sink, compression=codec)
        return sink.getvalue()
    pq.write_table(
        table, sink, compression=codec, use_deprecated_int96_timestamps=True, store_schema=False
    )
    return sink.getvalue()


PARQUET = (
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
    "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
)
ORC = (
    "org.apache.hadoop.hive.ql.io.orc.OrcInputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcOutputFormat",
    "org.apache.hadoop.hive.ql.io.orc.OrcSerde",
)
AVRO = (
    "org.apache.hadoop.hive.ql.io.avro.AvroContainerInputFormat",
    "org.apache.hadoop.hive.ql.io.avro.AvroContainerOutputFormat",
    "org.apache.hadoop.hive.serde2.avro.AvroSerDe",
)
TEXT = (
    "org.apache.hadoop.mapred.TextInputFormat",
    "org.apache.hadoop.hive.ql.io.HiveIgnoreKeyTextOutputFormat",
    "org.apache.hadoop.hive.serde2.lazy.LazySimpleSerDe",
)
_CLASSES: Mapping[str, tuple[str, str, str]] = {
    "PARQUET": PARQUET,
    "ORC": ORC,
    "TEXTFILE": TEXT,
    "JSON": (TEXT[0], TEXT[1], "org.openx.data.jsonserde.JsonSerDe"),
}


def table_input(
    name: str, result: Result, location: str, form: Format, partitioned_by: tuple[str, ...]
) -> dict[str, Any]:
    """Return Glue's TableInput for a table that CREATE TABLE AS wrote.

    `location` is its S3 folder, `form` its format, and `partitioned_by` are its partition columns,
    the result's last ones.
    """
    count = len(result.names) - len(partitioned_by)
    columns = [
        {"Name": n.lower(), "Type": types.glue(k)}
        for n, k in zip(result.names, result.types, strict=True)
    ]
    delimiter = {"field.delim": form.delimiter} if form.name == "TEXTFILE" else {}
    storage = Storage(*_CLASSES[form.name], delimiter)
    bucketed = (
        {"NumberOfBuckets": form.buckets, "BucketColumns": list(form.bucketed_by)}
        if form.buckets
        else {}
    )
    return {
        "Name": name.lower(),
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {"EXTERNAL": "TRUE", "has_encrypted_data": "false", "auto.purge": "false"},
        "PartitionKeys": columns[count:],
        "StorageDescriptor": {**descriptor(columns[:count], location, storage), **bucketed},
    }


class Storage(msgspec.Struct, frozen=True):
    """How a table's objects are read and written: its formats and serde."""

    reading: str
    writing: str
    serde: str
    parameters: dict[str, str] = {}


def descriptor(columns: list[dict[str, str]], location: str, storage: Storage) -> dict[str, Any]:
    """Return the StorageDescriptor of a table in Glue with these columns at an S3 location."""
    return {
        "Columns": columns,
        "Location": location,
        "InputFormat": storage.reading,
        "OutputFormat": storage.writing,
        "Compressed": False,
        "NumberOfBuckets": -1,
        "SerdeInfo": {
            "SerializationLibrary": storage.serde,
            "Parameters": {"serialization.format": "1", **storage.parameters},
        },
        "StoredAsSubDirectories": False,
        "BucketColumns": [],
        "SortColumns": [],
        "Parameters": {},
    }
