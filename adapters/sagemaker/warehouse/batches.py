"""Batches in S3: `warehouse/<table>/<made>/dt=D/<batch>.parquet`.

A repeat writes the same names again, and no other batch writes them. A saved query's rows are
unloaded aside first. A manifest, put if absent, then says which objects are the batch and where
they go, so that a repeat copies the same ones; it stays, and makes the second `save` of a batch
change nothing.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

import msgspec

from ....core.formats import StoredDocument, decode
from ....errors import (
    Conflict,
    Invalid,
    IsthmusError,
    LimitExceeded,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from ...common.warehouse.conformance import by_date
from ...common.warehouse.tables import PARTITION, TableDocument
from ..errors import translated
from ..session import AwsSession
from ..storage.blobs import delete_below
from . import athena, catalogue, statements
from .catalogue import StoredTable

if TYPE_CHECKING:
    import pyarrow as pa

_THREADS = 8
_ATTEMPTS = 5
_DATES = 100  # that one UNLOAD may write


class _Move(msgspec.Struct, frozen=True):
    """An unloaded object, and the date to which it goes."""

    source: str
    date: str


class _Manifest(StoredDocument, frozen=True, kw_only=True):
    """The objects of a saved batch."""

    staging: str
    moves: tuple[_Move, ...]


def append(aws: AwsSession, stored: StoredTable, data: pa.Table, batch: str) -> None:
    """Write rows of a table to S3 as a batch: one Parquet object for each date.

    `data` has the table's columns, in the order of its time.
    """
    parts = dict(by_date(data, stored.document.time_column))
    if not parts:
        return
    stored = catalogue.widen(aws, stored, min(parts), max(parts))

    def put(item: tuple[str, pa.Table]) -> None:
        key = f"{stored.prefix}{PARTITION}={item[0]}/{batch}.parquet"
        with translated(f"writing s3://{aws.bucket}/{key}", effect=True):
            aws.s3().put_object(Bucket=aws.bucket, Key=key, Body=_parquet(item[1]))

    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(put, parts.items()):
            pass


def save(aws: AwsSession, stored: StoredTable, select: str, batch: str) -> None:
    """Write the rows of a query to S3 as a batch by Athena's UNLOAD, not through this process.

    `select` is Athena's text of the table's columns and dt.
    """
    key = f"{stored.prefix}_batches/{batch}.json"
    manifest = _manifest(aws, key)
    if manifest is None:
        manifest = _stage(aws, stored.document, select, key)
    if manifest.moves:
        dates = [move.date for move in manifest.moves]
        stored = catalogue.widen(aws, stored, min(dates), max(dates))
    present = {
        item.key
        for name in {move.date for move in manifest.moves}
        for item in athena.objects(aws, _folder(stored, name))
    }
    goals = [
        (move.source, f"{_folder(stored, move.date)}{batch}-{place}.parquet")
        for place, move in enumerate(manifest.moves)
    ]
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(
            lambda pair: _copy(aws, *pair), [pair for pair in goals if pair[1] not in present]
        ):
            pass
    with (
        suppress(IsthmusError),
        translated("removing staged files"),
    ):  # what is left is below scratch/
        delete_below(aws, manifest.staging)


def _folder(stored: StoredTable, day: str) -> str:
    """Return the S3 key prefix of a table's rows of the date `day`."""
    return f"{stored.prefix}{PARTITION}={day}/"


def _copy(aws: AwsSession, source: str, goal: str) -> None:
    """Copy an unloaded S3 object to its final key `goal`, unless another process has done so.

    `source` is its present key.
    """
    try:
        with translated(f"copying to s3://{aws.bucket}/{goal}", effect=True):
            aws.s3().copy_object(
                Bucket=aws.bucket, Key=goal, CopySource={"Bucket": aws.bucket, "Key": source}
            )
    except NotFound:
        if not athena.objects(aws, goal):  # else another one copied it and removed the source
            raise Invalid(
                f"s3://{aws.bucket}/{source} is gone before it was copied",
                remedy="something removes scratch/ too early: keep it for a day",
            ) from None


def _stage(aws: AwsSession, document: TableDocument, select: str, key: str) -> _Manifest:
    """Unload a query's rows to a scratch folder; return their manifest, stored at `key`."""
    staging = aws.key("scratch", uuid.uuid4().hex) + "/"
    try:
        try:
            athena.run(
                aws,
                statements.unload(select, f"s3://{aws.bucket}/{staging}rows/0/", partitioned=True),
                staging,
            )
        except LimitExceeded:
            delete_below(aws, f"{staging}rows/")
            _in_parts(aws, document, select, staging)
        objects = athena.objects(aws, f"{staging}rows/")
        _refuse_nulls(aws, document, objects)
        moves = tuple(_Move(item.key, _date_of(item.key)) for item in objects)
        manifest = _put_if_absent(aws, key, _Manifest(staging=staging, moves=moves))
    except BaseException:
        with suppress(IsthmusError), translated("removing staged files"):
            delete_below(aws, staging)
        raise
    if manifest.staging != staging:
        with suppress(IsthmusError), translated("removing staged files"):
            delete_below(aws, staging)
    return manifest


def _in_parts(aws: AwsSession, document: TableDocument, select: str, staging: str) -> None:
    """Unload a query in several statements by groups of dates, below the prefix `staging`.

    One UNLOAD writes a limited number of partitions.
    """
    import pyarrow as pa

    dates = f"SELECT DISTINCT {PARTITION} FROM (\n{select}\n) AS isthmus_dates"
    athena.run(
        aws,
        statements.unload(dates, f"s3://{aws.bucket}/{staging}dates/", partitioned=False),
        staging,
    )
    table = athena.rows(
        aws, athena.objects(aws, f"{staging}dates/"), pa.schema([(PARTITION, pa.string())])
    )
    days = sorted(str(day) for day in table.column(0).to_pylist() if day is not None)
    if len(days) <= _DATES:
        raise LimitExceeded(
            f"table {document.name}: Athena could not write {len(days)} dates at once",
            remedy="save fewer rows at a time",
        )
    for place, start in enumerate(range(0, len(days), _DATES)):
        some = days[start : start + _DATES]
        part = (
            f"SELECT * FROM (\n{select}\n) AS isthmus_part WHERE {PARTITION} BETWEEN '{some[0]}' "
            f"AND '{some[-1]}'"
        )
        athena.run(
            aws,
            statements.unload(part, f"s3://{aws.bucket}/{staging}rows/{place}/", partitioned=True),
            staging,
        )


def _date_of(key: str) -> str:
    """Return the date in the key of a table's object."""
    return next(
        part.partition("=")[2] for part in key.split("/") if part.startswith(f"{PARTITION}=")
    )


def _refuse_nulls(
    aws: AwsSession, document: TableDocument, objects: Sequence[athena.Object]
) -> None:
    """Raise Invalid if the Parquet objects of a saved query have nulls in a required column."""
    required = {column.name.lower(): column.name for column in document.columns if column.required}
    required[document.time_column.lower()] = document.time_column
    counts: dict[str, int] = {}
    for item, footer in zip(objects, athena.footers(aws, objects), strict=True):
        if item.key.split("/")[-2].endswith("__HIVE_DEFAULT_PARTITION__"):
            counts[document.time_column] = counts.get(document.time_column, 0) + footer.num_rows
        for name, nulls in _nulls(aws, item, footer, required).items():
            counts[name] = counts.get(name, 0) + nulls
    for name, nulls in counts.items():
        if nulls:
            raise Invalid(
                f"table {document.name}: column {name} is required and null in {nulls:,} rows"
            )


def _nulls(
    aws: AwsSession, item: athena.Object, footer: object, required: Mapping[str, str]
) -> dict[str, int]:
    """Return the number of nulls in each required column of a Parquet object.

    `footer` is the file's; where it has no statistics the values are read.
    """
    counts: dict[str, int] = {}
    for group in range(footer.num_row_groups):  # type: ignore[attr-defined]  # a FileMetaData: pyarrow is imported lazily
        part = footer.row_group(group)  # type: ignore[attr-defined]
        for place in range(part.num_columns):
            column = part.column(place)
            name = required.get(column.path_in_schema.lower())
            if name is None:
                continue
            if column.statistics is None or not column.statistics.has_null_count:
                table = athena.rows(aws, [item], footer.schema.to_arrow_schema())  # type: ignore[attr-defined]
                return {
                    required[c.lower()]: table.column(c).null_count
                    for c in table.column_names
                    if c.lower() in required
                }
            counts[name] = counts.get(name, 0) + column.statistics.null_count
    return counts


def _manifest(aws: AwsSession, key: str) -> _Manifest | None:
    """Read a batch's manifest, which lists the objects to copy, or return None."""
    try:
        with translated(f"reading s3://{aws.bucket}/{key}"):
            body = aws.s3().get_object(Bucket=aws.bucket, Key=key)["Body"].read()
    except NotFound:
        return None
    return decode(body, _Manifest, what=f"s3://{aws.bucket}/{key}")


def _put_if_absent(aws: AwsSession, key: str, manifest: _Manifest) -> _Manifest:
    """Write a batch's manifest at `key` unless there is one; return the valid manifest.

    Ours is recognized by its staging folder after a lost reply.
    """
    for attempt in range(_ATTEMPTS):
        try:
            with translated(f"writing s3://{aws.bucket}/{key}", effect=True):
                aws.s3(retrying=False).put_object(
                    Bucket=aws.bucket, Key=key, Body=msgspec.json.encode(manifest), IfNoneMatch="*"
                )
        except (Conflict, OutcomeUnknown, Throttled, Unavailable):
            if (first := _manifest(aws, key)) is not None:
                return first
            if attempt == _ATTEMPTS - 1:
                raise
        else:
            return manifest
    raise Unavailable(f"writing s3://{aws.bucket}/{key} did not end")


def _parquet(data: pa.Table) -> bytes:
    """Encode rows as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    sink = pa.BufferOutputStream()
    pq.write_table(data, sink, compression="snappy", version="2.6")
    return sink.getvalue().to_pybytes()
