"""Statements run by Athena, and the Parquet that they leave in S3."""

from __future__ import annotations

import uuid
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ....errors import Busy, Denied, Invalid, IsthmusError, LimitExceeded, Throttled, Unavailable
from ....storage import wait
from ..errors import translated
from ..session import AwsSession
from ..storage.blobs import delete_below

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

_LONGEST = timedelta(minutes=35)  # Athena ends a query after 30
_THREADS = 8
_TAIL = 64 << 10
_REASONS: tuple[tuple[str, type[IsthmusError]], ...] = (
    ("TOO_MANY_OPEN_PARTITIONS", LimitExceeded),
    ("open writers", LimitExceeded),
    ("EXCEEDED", LimitExceeded),
    ("exhausted resources", LimitExceeded),
    ("SlowDown", Throttled),
    ("Access Denied", Denied),
    ("Insufficient permissions", Denied),
    ("CONCURRENT", Busy),
)


class Object(msgspec.Struct, frozen=True, kw_only=True):
    """An object's key and size."""

    key: str
    size: int


@contextmanager
def scratch(aws: AwsSession) -> Iterator[str]:
    """Yield an S3 key prefix for the files of one statement, which are removed after the block."""
    prefix = aws.key("scratch", uuid.uuid4().hex) + "/"
    try:
        yield prefix
    finally:
        with (
            suppress(IsthmusError),
            translated("removing scratch files"),
        ):  # a lifecycle rule on scratch/ takes what is left
            delete_below(aws, prefix)


def run(aws: AwsSession, statement: str, prefix: str) -> None:
    """Run an SQL statement in Athena and wait for its end; output goes below an S3 prefix.

    Raises:
        Invalid: The statement failed, with Athena's reason. Other kinds of failures by `_REASONS`.
    """
    athena = aws.client("athena")
    aws.s3()
    with translated(
        "starting a query"
    ):  # the SDK adds a token: a start that is sent twice starts once
        started = athena.start_query_execution(
            QueryString=statement,
            QueryExecutionContext={"Database": aws.database},
            ResultConfiguration={"OutputLocation": f"s3://{aws.bucket}/{prefix}notes/"},
            WorkGroup=aws.profile.options.get("workgroup", "primary"),
        )
    name = started["QueryExecutionId"]

    def observe() -> dict[str, Any]:
        with translated("watching a query"):
            execution: dict[str, Any] = athena.get_query_execution(QueryExecutionId=name)[
                "QueryExecution"
            ]
        return execution

    try:
        ended = wait(
            observe,
            lambda observed: _state(observed) not in {"QUEUED", "RUNNING"},
            deadline=_LONGEST,
            what=f"query {name}",
        )
    except BaseException:
        with (
            suppress(IsthmusError),
            translated("stopping a query"),
        ):  # nobody reads its result any more
            athena.stop_query_execution(QueryExecutionId=name)
        raise
    if _state(ended) != "SUCCEEDED":
        raise _failure(ended, name)


def _state(execution: dict[str, Any]) -> str:
    """Return the state of an Athena query execution."""
    return str(execution["Status"]["State"])


def _failure(execution: dict[str, Any], name: str) -> IsthmusError:
    """Return the error for the failed Athena query `name`, from its description."""
    status = execution["Status"]
    reason = (
        status.get("StateChangeReason")
        or status.get("AthenaError", {}).get("ErrorMessage")
        or "no reason given"
    )
    text = f"SQL: Athena: {reason} (query {name})"
    for word, kind in _REASONS:
        if word.lower() in reason.lower():
            return kind(text)
    category = status.get("AthenaError", {}).get("ErrorCategory")
    if (
        _state(execution) == "CANCELLED" or category == 1
    ):  # 1: the service's own; 2: the statement's
        return Unavailable(text, remedy="run this again")
    return Invalid(text)


def objects(aws: AwsSession, prefix: str) -> list[Object]:
    """List the objects below an S3 prefix that have bytes, in the order of their keys."""
    nonempty = []
    with translated(f"listing s3://{aws.bucket}/{prefix}"):
        for page in (
            aws.s3().get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix)
        ):
            nonempty += [
                Object(key=item["Key"], size=item["Size"])
                for item in page.get("Contents", ())
                if item["Size"]
            ]
    return nonempty


def rows(aws: AwsSession, files: Sequence[Object], schema: pa.Schema) -> pa.Table:
    """Read Parquet files in S3 into one Arrow table, columns by position, names by `schema`.

    Athena changes names to small letters.
    """
    import pyarrow as pa

    def table_of(item: Object) -> pa.Table:
        import pyarrow.parquet as pq

        with translated(f"reading s3://{aws.bucket}/{item.key}"):
            data = aws.s3().get_object(Bucket=aws.bucket, Key=item.key)["Body"].read()
        table = pq.ParquetFile(pa.BufferReader(data), coerce_int96_timestamp_unit="ms").read()
        if table.num_columns != len(schema):
            raise Invalid(
                f"s3://{aws.bucket}/{item.key} has {table.num_columns} columns, not {len(schema)}"
            )
        return table.rename_columns(schema.names).cast(schema, safe=False)

    if not files:
        return schema.empty_table()
    with ThreadPoolExecutor(_THREADS) as pool:
        return pa.concat_tables(pool.map(table_of, files))


def footers(aws: AwsSession, files: Sequence[Object]) -> list[pq.FileMetaData]:
    """Read the Parquet footers of S3 files, which give row and null counts.

    Only the ends of the files are read.
    """

    def footer(item: Object) -> pq.FileMetaData:
        import pyarrow as pa
        import pyarrow.parquet as pq

        tail = _last_bytes(aws, item, _TAIL)
        needed = int.from_bytes(tail[-8:-4], "little") + 8
        if needed > len(tail):
            tail = _last_bytes(aws, item, needed)
        return pq.read_metadata(pa.BufferReader(tail))

    if len(files) < 2:
        return [footer(item) for item in files]
    with ThreadPoolExecutor(_THREADS) as pool:
        return list(pool.map(footer, files))


def _last_bytes(aws: AwsSession, item: Object, size: int) -> bytes:
    """Return the last bytes of an S3 object."""
    with translated(f"reading s3://{aws.bucket}/{item.key}"):
        body: bytes = (
            aws.s3()
            .get_object(
                Bucket=aws.bucket,
                Key=item.key,
                Range=f"bytes={max(item.size - size, 0)}-{item.size - 1}",
            )["Body"]
            .read()
        )
    return body
