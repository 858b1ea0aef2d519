"""Objects made of records. Pure: they are returned, not written."""

from __future__ import annotations

import base64
import gzip
import io
import json
import uuid
from collections import defaultdict
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ..athena.errors import QueryFailed
from ..athena.formats import json_lines, types
from . import jq, prefix

if TYPE_CHECKING:
    import pyarrow as pa

_PARTITIONS = 500  # active at a time; beyond, records go to the error prefix


class Record(msgspec.Struct, frozen=True):
    """A record, and when it arrived."""

    data: bytes
    arrived: datetime


class Failure(msgspec.Struct, frozen=True):
    """A record that could not be delivered, and why."""

    record: Record
    kind: str  # processing-failed, format-conversion-failed
    code: str
    message: str


class Plan(msgspec.Struct, frozen=True):
    """The way in which a stream treats its records."""

    name: str
    version: str
    prefix: str | None
    error_prefix: str | None
    query: str | None  # jq, for the partition keys
    delimiter: bytes  # appended to a record
    split: str | None  # JSON or DELIMITED: a record holds several
    compression: str
    # column, Hive's type, JSON key; None: records stay as they are
    schema: tuple[tuple[str, str, str], ...] | None
    codec: str = "SNAPPY"


class Object(msgspec.Struct, frozen=True):
    """An object to write."""

    key: str
    data: bytes
    records: int
    failed: bool = False


def partition_keys(query: str) -> frozenset[str]:
    """Return the names of the partition keys that a jq query for metadata extraction yields.

    Raises:
        JqError: The query does not parse, or makes no object.
    """
    extract = jq.compile_filter(query)
    try:
        keys = extract({})
    except (jq.JqError, TypeError, AttributeError):
        keys = None
    if isinstance(keys, dict):
        return frozenset(keys)
    names = query.strip()
    if not names.startswith("{"):
        raise jq.JqError(
            f"the metadata extraction query {query!r} has to make an object, such as {{dt: .dt}}"
        )
    return frozenset(part.split(":")[0].strip().strip('"') for part in names.strip("{}").split(","))


def objects(plan: Plan, records: list[Record], now: datetime) -> list[Object]:
    """Return the S3 objects to write for buffered records: names and contents.

    They are in the order of the partitions' first records, error objects last.
    """
    failures: list[Failure] = []
    groups: dict[tuple[tuple[str, str], ...], list[Record]] = defaultdict(list)
    extract = jq.compile_filter(plan.query) if plan.query else None
    for record in _split(plan, records):
        try:
            keys = _keys(extract, record) if extract else {}
        except (ValueError, TypeError, AttributeError) as error:
            failures.append(
                Failure(
                    record,
                    "processing-failed",
                    "DynamicPartitioning.MetadataExtractionFailed",
                    str(error),
                )
            )
            continue
        group = tuple(sorted(keys.items()))
        if group not in groups and len(groups) >= _PARTITIONS:
            failures.append(
                Failure(
                    record,
                    "processing-failed",
                    "DynamicPartitioning.ActivePartitionLimitExceeded",
                    f"more than {_PARTITIONS} partitions",
                )
            )
            continue
        groups[group].append(record)
    delivered: list[Object] = []
    for group, some in groups.items():
        data, count = _encoded(plan, some, failures)
        if count:
            folder = prefix.fill(plan.prefix, min(record.arrived for record in some), dict(group))
            delivered.append(Object(folder + _name(plan, now), data, count))
    return [*delivered, *_error_objects(plan, failures, now)]


def _split(plan: Plan, records: list[Record]) -> list[Record]:
    """Split aggregated records (several JSON objects or lines in one) into single ones.

    `plan` says which, if any.
    """
    if plan.split is None:
        return records
    parts: list[Record] = []
    for record in records:
        if plan.split == "DELIMITED":
            parts += [Record(part, record.arrived) for part in record.data.split(b"\n") if part]
            continue
        text, position, decoder = record.data.decode("utf-8", "replace"), 0, json.JSONDecoder()
        while position < len(text):
            try:
                _, end = decoder.raw_decode(text, position)
            except ValueError:
                parts.append(Record(text[position:].encode(), record.arrived))
                break
            parts.append(Record(text[position:end].encode(), record.arrived))
            position = len(text) - len(text[end:].lstrip())
    return parts


def _keys(extract: jq.JqFilter, record: Record) -> dict[str, str]:
    """Return the partition keys of a record, extracted by the stream's jq query, `extract`.

    Raises:
        ValueError: A key is null, empty, an object or a list.
    """
    values = extract(json.loads(record.data))
    keys = {}
    for name, value in values.items():
        if value is None or value == "" or isinstance(value, (dict, list)):
            raise ValueError(f"partitionKeys values must not be null or empty: {name}")
        keys[name] = value if isinstance(value, str) else json.dumps(value)
    return keys


def _encoded(plan: Plan, records: list[Record], failures: list[Failure]) -> tuple[bytes, int]:
    """Return the content of an S3 object with these records, and how many records it has.

    Records that cannot be converted are added to `failures`.
    """
    if plan.schema is not None:
        return _parquet(plan.schema, plan.codec, records, failures)
    data = b"".join(record.data + plan.delimiter for record in records)
    return (gzip.compress(data) if plan.compression == "GZIP" else data), len(records)


def _parquet(
    schema: tuple[tuple[str, str, str], ...],
    codec: str,
    records: list[Record],
    failures: list[Failure],
) -> tuple[bytes, int]:
    """Return the content of a Parquet object with these records, and how many records it has.

    `schema` are the columns (name, type, JSON key), and `codec` the compression. Records that
    cannot be converted are added to `failures`.
    """
    import pyarrow.parquet as pq

    columns = _Columns(schema)
    try:
        rows = columns.table(records)
    except columns.refusals:
        rows = columns.table([record for record in records if _converts(columns, record, failures)])
    sink = io.BytesIO()
    chosen: Any = "none" if codec == "UNCOMPRESSED" else codec.lower()
    pq.write_table(rows, sink, compression=chosen, use_deprecated_int96_timestamps=True)
    return sink.getvalue(), rows.num_rows


def _converts(columns: _Columns, record: Record, failures: list[Failure]) -> bool:
    """Return whether a JSON record fits the schema, `columns`.

    Of one that does not, the reason is added to `failures`.
    """
    try:
        columns.table([record])
    except columns.refusals as error:
        malformed = isinstance(error, (ValueError, AttributeError))
        code = (
            "DataFormatConversion.MalformedData" if malformed else "DataFormatConversion.ParseError"
        )
        failures.append(Failure(record, "format-conversion-failed", code, str(error)))
        return False
    return True


class _Columns:
    """The columns of a schema (`Plan.schema`), and how a record's JSON is read into them."""

    def __init__(self, schema: tuple[tuple[str, str, str], ...]) -> None:
        import pyarrow as pa

        kinds = {name: types.arrow(kind) for name, kind, _ in schema}
        self._schema = pa.schema(list(kinds.items()))
        self._reads = [
            (key.lower(), json_lines.reader(kinds[name], "record")) for name, _, key in schema
        ]
        self.refusals = (
            ValueError,
            AttributeError,
            QueryFailed,
            pa.ArrowInvalid,
            pa.ArrowTypeError,
            OverflowError,
        )

    def table(self, records: list[Record]) -> pa.Table:
        """Parse JSON records into an Arrow table with the columns and types of the Glue schema.

        Raises: one of `refusals` for a record that does not fit the schema.
        """
        import pyarrow as pa

        rows = [self._row(record) for record in records]
        values = [[row[place] for row in rows] for place in range(len(self._reads))]
        return pa.table(
            [
                pa.array(column, field.type)
                for column, field in zip(values, self._schema, strict=True)
            ],
            schema=self._schema,
        )

    def _row(self, record: Record) -> list[object]:
        """Parse a JSON record into the values of a row, in the order of the schema."""
        by_key = {key.lower(): value for key, value in json.loads(record.data).items()}
        return [read(by_key.get(key)) for key, read in self._reads]


def _name(plan: Plan, now: datetime, *, plain: bool = False) -> str:
    """Return a generated name, without its prefix, for an S3 object that Firehose writes.

    It ends as the content's format and compression ask; with `plain`, in neither.
    """
    ending = (
        ".parquet"
        if plan.schema is not None and not plain
        else ".gz"
        if plan.compression == "GZIP" and not plain
        else ""
    )
    return f"{plan.name}-{plan.version}-{now:%Y-%m-%d-%H-%M-%S}-{uuid.uuid4()}{ending}"


def _error_objects(plan: Plan, failures: list[Failure], now: datetime) -> list[Object]:
    """Return the S3 objects, JSON lines, for records that could not be delivered."""
    by_kind: dict[str, list[Failure]] = defaultdict(list)
    for failure in failures:
        by_kind[failure.kind].append(failure)
    error_objects = []
    for kind, some in by_kind.items():
        lines = "".join(json.dumps(_line(failure, now)) + "\n" for failure in some)
        arrived = min(failure.record.arrived for failure in some)
        folder = prefix.fill(plan.error_prefix, arrived, {}, error=kind)
        error_objects.append(
            Object(folder + _name(plan, now, plain=True), lines.encode(), len(some), failed=True)
        )
    return error_objects


def _line(failure: Failure, now: datetime) -> Mapping[str, Any]:
    """Return the JSON object that describes one undelivered record in an error object."""
    return {
        "attemptsMade": 1,
        "arrivalTimestamp": int(failure.record.arrived.timestamp() * 1000),
        "errorCode": failure.code,
        "errorMessage": failure.message,
        "attemptEndingTimestamp": int(now.timestamp() * 1000),
        "rawData": base64.b64encode(failure.record.data).decode(),
    }
