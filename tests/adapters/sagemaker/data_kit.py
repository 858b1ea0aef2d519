"""Small tables for the tests of the data ports."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa

from isthmus.events.port import Column
from isthmus.feature_store.port import TableSpec

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="item", type="int64"),
)
SPEC = TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
T0 = datetime(2026, 1, 1)  # noqa: DTZ001  as in the tables


def rows(*numbers, days=3):
    times = [T0 + timedelta(days=n % days, milliseconds=n) for n in numbers]
    return pa.table(
        {
            "event_id": [f"e{n}" for n in numbers],
            "event_timestamp": pa.array(times, pa.timestamp("ms")),
            "item": pa.array(numbers, pa.int64()),
        }
    )


def ids(target, table="clicks_raw"):
    return target.warehouse.query(f"SELECT event_id FROM {table} ORDER BY event_id", {})[
        "event_id"
    ].to_pylist()


def at(hours):
    return T0.replace(tzinfo=UTC) + timedelta(hours=hours)


def keys(target, prefix=""):
    """Every object of the project, from the bucket itself."""
    pages = (
        target.native.client("s3")
        .get_paginator("list_objects_v2")
        .paginate(Bucket="conformance", Prefix=f"conf/{prefix}")
    )
    return [
        item["Key"].removeprefix("conf/") for page in pages for item in page.get("Contents", ())
    ]
