"""The offline store: Parquet in S3 in the real layout, and its Glue table.

Layout: <S3Uri>/<account>/sagemaker/<region>/offline-store/<group>-<created>/data/
year=/month=/day=/hour=/<time>_<16 characters>.parquet (Amazon SageMaker developer guide, "Feature
Store storage configurations").
"""

from __future__ import annotations

import io
import re
import secrets
import string
from collections import defaultdict
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from ....core import objects
from ....core.registry import AwsError, Context
from .records import Group, Row
from .values import Feature, Value

if TYPE_CHECKING:
    import pyarrow as pa

DELAY = 300.0  # seconds until rows are in S3; a real store says "within 15 minutes"
DATABASE = "sagemaker_featurestore"
CATALOG = "AwsDataCatalog"
_TABLE = re.compile("[a-z_][a-z0-9_]*")
_HIVE = {"String": "string", "Integral": "bigint", "Fractional": "double"}
_ADDED = (
    ("write_time", "timestamp"),
    ("api_invocation_time", "timestamp"),
    ("is_deleted", "boolean"),
)
_PARTITIONS = ("year", "month", "day", "hour")
_LETTERS = string.ascii_letters + string.digits


class OfflineFailed(Exception):
    """The offline store cannot be made; the message is the group's FailureReason."""


def config(ctx: Context, params: dict[str, Any], now: datetime) -> dict[str, Any] | None:
    """Return a feature group's OfflineStoreConfig with the data's S3 URI and the table's name.

    `params` is the request that creates the group, at the time `now`. None: the group has no
    offline store.
    """
    request = params.get("OfflineStoreConfig")
    if request is None:
        return None
    name, seconds = params["FeatureGroupName"], int(now.timestamp())
    uri = request["S3StorageConfig"]["S3Uri"].rstrip("/")
    if not uri.startswith("s3://"):
        raise AwsError("ValidationException", f"Validation Error: {uri} is not an S3 URI.", 400)
    resolved = f"{uri}/{ctx.account}/sagemaker/{ctx.region}/offline-store/{name}-{seconds}/data"
    store = {
        **request,
        "S3StorageConfig": {**request["S3StorageConfig"], "ResolvedOutputS3Uri": resolved},
    }
    if request.get("TableFormat", "Glue") == "Iceberg":
        raise AwsError(
            "ValidationException",
            "the local AWS stack has no Iceberg tables: TableFormat has to be Glue",
            400,
        )
    _check_catalog(request.get("DataCatalogConfig"))
    store.setdefault("DisableGlueTableCreation", False)
    if not store["DisableGlueTableCreation"] and "DataCatalogConfig" not in store:
        table = f"{name}_{seconds}".replace("-", "_").lower()
        store["DataCatalogConfig"] = {"TableName": table, "Catalog": CATALOG, "Database": DATABASE}
    return store


def _check_catalog(catalog: dict[str, str] | None) -> None:
    """Raise an error for a DataCatalogConfig that Feature Store does not allow.

    Source: aws/sagemaker-python-sdk, v3-examples, v3-feature-store-data-catalog-config.ipynb,
    "Important rules".

    Raises:
        AwsError: The catalog, or the name of the database or the table, is not allowed.
    """
    if catalog is None:
        return
    if catalog["Catalog"] != CATALOG:
        raise AwsError(
            "ValidationException",
            f"Validation Error: Catalog {catalog['Catalog']} is not supported, only {CATALOG}.",
            400,
        )
    for key, most in (("TableName", 252), ("Database", 255)):
        if not _TABLE.fullmatch(catalog[key]) or len(catalog[key]) > most:
            rule = (
                f"at most {most} lowercase letters, digits and underscores, with a letter or an "
                "underscore first"
            )
            raise AwsError(
                "ValidationException",
                f"Validation Error: {key} '{catalog[key]}' is not a name that Athena takes: "
                f"{rule}.",
                400,
            )


def prepare(ctx: Context, group: Group) -> None:
    """Check the S3 bucket of a feature group's offline store, and create its Glue table.

    Raises:
        OfflineFailed: The bucket does not exist, or the table cannot be created.
    """
    if group.offline is None:
        return
    bucket, _ = objects.split(group.offline["S3StorageConfig"]["ResolvedOutputS3Uri"])
    try:
        ctx.client("s3").head_bucket(Bucket=bucket)
    except ClientError as error:
        raise OfflineFailed(
            f"The S3 bucket {bucket} of the offline store does not exist or cannot be read."
        ) from error
    if group.offline["DisableGlueTableCreation"]:
        return
    database, glue = group.offline["DataCatalogConfig"]["Database"], ctx.client("glue")
    try:
        glue.get_database(Name=database)
    except ClientError:
        glue.create_database(DatabaseInput={"Name": database})
    try:
        glue.create_table(DatabaseName=database, TableInput=_table(group))
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException" or not _is_own(glue, group):
            raise OfflineFailed(f"The Glue table could not be created: {error}") from error


def _is_own(glue: Any, group: Group) -> bool:
    """Return whether the Glue table of a feature group's name, which exists, is the group's own.

    A stack that ended before the group was Created may have made it.
    """
    table = _table(group)
    existing = glue.get_table(
        DatabaseName=(group.offline or {})["DataCatalogConfig"]["Database"], Name=table["Name"]
    )["Table"]
    return bool(
        existing.get("StorageDescriptor", {}).get("Location")
        == table["StorageDescriptor"]["Location"]
    )


def widen(ctx: Context, group: Group) -> None:
    """Add a feature group's new features as columns to its Glue table."""
    if group.offline is None or group.offline["DisableGlueTableCreation"]:
        return
    ctx.client("glue").update_table(
        DatabaseName=group.offline["DataCatalogConfig"]["Database"], TableInput=_table(group)
    )


def _table(group: Group) -> dict[str, Any]:
    """Return the Glue TableInput for a feature group's offline store."""
    offline = group.offline or {}
    columns = [
        (f.name.lower(), f"array<{_HIVE[f.kind]}>" if f.collection else _HIVE[f.kind])
        for f in group.features.values()
    ]
    return {
        "Name": offline["DataCatalogConfig"]["TableName"],
        "TableType": "EXTERNAL_TABLE",
        "Parameters": {
            "EXTERNAL": "TRUE",
            "parquet.compression": "SNAPPY",
            "classification": "parquet",
        },
        "PartitionKeys": [{"Name": name, "Type": "string"} for name in _PARTITIONS],
        "StorageDescriptor": _descriptor(
            offline["S3StorageConfig"]["ResolvedOutputS3Uri"], [*columns, *_ADDED]
        ),
    }


def _descriptor(location: str, columns: list[tuple[str, str]]) -> dict[str, Any]:
    """Return the StorageDescriptor of the Glue table of an offline store.

    `columns` are its columns: name and Hive type.
    """
    return {
        "Columns": [{"Name": name, "Type": kind} for name, kind in columns],
        "Location": location,
        "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
        "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
        "Compressed": False,
        "NumberOfBuckets": -1,
        "SerdeInfo": {
            "SerializationLibrary": "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe",
            "Parameters": {"serialization.format": "1"},
        },
        "StoredAsSubDirectories": False,
    }


def append(ctx: Context, group: Group, row: Row) -> None:
    """Queue a record for the offline store, to be written to S3 after the store's delay."""
    group.pending.append(row)
    if not group.flushing:
        await_flush(ctx.without_request(), group)


def await_flush(ctx: Context, group: Group) -> None:
    """Set the timer after which a feature group's queued records are written to S3."""
    group.flushing = True
    ctx.clock.call_after(DELAY, lambda: flush(ctx, group))


def flush(ctx: Context, group: Group) -> None:
    """Write the queued records to S3, a file per hour of event time, and add partitions in Glue."""
    rows, group.pending, group.flushing = group.pending, [], False
    if not rows or ctx.stopping.is_set() or group.offline is None:
        return
    now = ctx.clock.now()
    location = group.offline["S3StorageConfig"]["ResolvedOutputS3Uri"]
    by_hour: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for row in rows:
        event_time = row.event_time
        by_hour[
            f"{event_time:%Y}", f"{event_time:%m}", f"{event_time:%d}", f"{event_time:%H}"
        ].append(row)
    s3 = ctx.client("s3")
    for hour, some in sorted(by_hour.items()):
        path = "/".join(f"{key}={value}" for key, value in zip(_PARTITIONS, hour, strict=True))
        latest = max(row.event_time for row in some)
        suffix = "".join(secrets.choice(_LETTERS) for _ in range(16))
        name = f"{latest:%Y%m%dT%H%M%SZ}_{suffix}.parquet"
        objects.write(s3, f"{location}/{path}/{name}", _parquet(group, some, now))
    _register(ctx, group, list(by_hour))


def _register(ctx: Context, group: Group, hours: list[tuple[str, ...]]) -> None:
    """Create the Glue partitions for these hours of an offline store."""
    offline = group.offline or {}
    if offline["DisableGlueTableCreation"]:
        return
    catalog = offline["DataCatalogConfig"]
    location = offline["S3StorageConfig"]["ResolvedOutputS3Uri"]
    descriptor = _table(group)["StorageDescriptor"]
    for start in range(0, len(hours), 100):
        inputs = [
            {
                "Values": list(hour),
                "StorageDescriptor": {
                    **descriptor,
                    "Location": f"{location}/"
                    + "/".join(f"{k}={v}" for k, v in zip(_PARTITIONS, hour, strict=True)),
                },
            }
            for hour in hours[start : start + 100]
        ]
        # Those that are there already come back as errors of their own, which is what is wanted
        # here.
        ctx.client("glue").batch_create_partition(
            DatabaseName=catalog["Database"],
            TableName=catalog["TableName"],
            PartitionInputList=inputs,
        )


def _parquet(group: Group, rows: list[Row], now: datetime) -> bytes:
    """Return records of a feature group as the bytes of a Parquet file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    time = pa.timestamp("ms")
    columns: dict[str, Any] = {
        feature.name: pa.array(
            [_column_value(feature, row.values.get(feature.name)) for row in rows], _arrow(feature)
        )
        for feature in group.features.values()
    }
    columns["write_time"] = pa.array([_naive(now)] * len(rows), time)
    columns["api_invocation_time"] = pa.array(
        [_naive(row.api_invocation_time) for row in rows], time
    )
    columns["is_deleted"] = pa.array([row.deleted for row in rows], pa.bool_())
    sink = io.BytesIO()
    pq.write_table(pa.table(columns), sink, compression="snappy")
    return sink.getvalue()


def _arrow(feature: Feature) -> pa.DataType:
    """Return the Arrow type of a feature's column in the offline store."""
    import pyarrow as pa

    kinds: dict[str, pa.DataType] = {
        "String": pa.string(),
        "Integral": pa.int64(),
        "Fractional": pa.float64(),
    }
    return pa.list_(kinds[feature.kind]) if feature.collection else kinds[feature.kind]


def _column_value(feature: Feature, value: Value | None) -> object:
    """Convert a feature's text value to the type of its column."""
    if value is None:
        return None
    convert = {"String": str, "Integral": int, "Fractional": float}[feature.kind]
    return convert(value) if isinstance(value, str) else [convert(part) for part in value]


def _naive(moment: datetime) -> datetime:
    """Return a time without its time zone and cut to milliseconds, for Parquet."""
    return moment.astimezone(UTC).replace(
        tzinfo=None, microsecond=moment.microsecond // 1000 * 1000
    )
