"""The table `clicks_raw`, for the tests of the warehouse."""

from datetime import UTC, datetime

import pyarrow as pa

from isthmus.events.port import Column
from isthmus.feature_store.port import TableSpec

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="item", type="int64"),
    Column(name="score", type="float64"),
    Column(name="seen", type="bool"),
)
SPEC = TableSpec(name="clicks_raw", columns=COLUMNS, time_column="event_timestamp")
DAY = 86_400_000  # in milliseconds


def rows(*numbers, **other):
    """Row n is on the (n modulo 3)rd of January 2026, n milliseconds after midnight."""
    start = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1000)
    columns = {
        "event_id": [f"e{n}" for n in numbers],
        "event_timestamp": pa.array([start + n % 3 * DAY + n for n in numbers], pa.timestamp("ms")),
        "item": pa.array(numbers, pa.int64()),
        "score": pa.array([n / 10 for n in numbers], pa.float64()),
        "seen": pa.array([n % 2 == 0 for n in numbers], pa.bool_()),
    }
    return pa.table(columns | other)


def ids(target, table="clicks_raw"):
    return (
        target.warehouse.query(f"SELECT event_id FROM {table} ORDER BY event_id", {})
        .column("event_id")
        .to_pylist()
    )


def with_column(name, kind, *, required=False, drop=None):
    columns = (
        *(c for c in COLUMNS if c.name != drop),
        Column(name=name, type=kind, required=required),
    )
    return TableSpec(name=SPEC.name, columns=columns, time_column=SPEC.time_column)


def ids_of(warehouse):
    return (
        warehouse.query("SELECT event_id FROM clicks_raw ORDER BY event_id", {})
        .column("event_id")
        .to_pylist()
    )
