"""A definition with every kind of feature, events for it, and what its rows are by brute force."""

from datetime import UTC, datetime, timedelta
from math import fsum

import duckdb
import pyarrow as pa

from isthmus.feature_store.joins.view_history import ViewSource
from isthmus.feature_store.streams.consumer import StreamViewConsumer
from isthmus.feature_store.views.columns import Column
from isthmus.project.features.tile_sql import stream_view_sql
from isthmus.project.specs.description import Entity, FeatureView
from isthmus.project.specs.stream_views import StreamDefinition, StreamFeature

START = datetime(2024, 3, 1, 23, 50, tzinfo=UTC)
ITEM = Entity(name="item", key="item_id", type="int")
KINDS = {"event_id": pa.string(), "event_timestamp": pa.timestamp("ms"), "item_id": pa.int64()}
COLUMNS = {
    "show": KINDS,
    "stay": KINDS | {"seconds": pa.float64(), "pages": pa.int64()},
}


def feature(name, aggregate, of, window, kind="int64"):
    event, _, attribute = of.partition(".")
    return StreamFeature(
        name=name,
        aggregate=aggregate,
        event=event,
        attribute=attribute or None,
        window=timedelta(seconds=window),
        type=kind,
    )


def definition(every=60, short=1, long=5, lateness=600, delay=60):
    """Tiles of `every` seconds, windows of `short` and `long` tiles."""
    first, second = short * every, long * every
    return StreamDefinition(
        every=timedelta(seconds=every),
        lateness=timedelta(seconds=lateness),
        delay=timedelta(seconds=delay),
        features=(
            feature("shown_short", "count", "show", first),
            feature("shown_long", "count", "show", second),
            feature("dwell_mean", "mean", "stay.seconds", second, "float64"),
            feature("dwell_sum", "sum", "stay.seconds", first, "float64"),
            feature("pages_sum", "sum", "stay.pages", second),
            feature("pages_min", "min", "stay.pages", second),
            feature("dwell_max", "max", "stay.seconds", first, "float64"),
            feature("tile_pages_mean", "mean", "stay.pages", first, "float64"),
        ),
    )


def consumer_of(spec, ttl=timedelta(hours=1)):
    view = FeatureView(
        name="item_live",
        entity="item",
        path="project.yaml",
        sql=stream_view_sql("item_live", ITEM, spec),
        ttl=ttl,
        stream=spec,
    )
    columns = tuple(Column(name=f.name, type=f.type) for f in spec.features)
    return StreamViewConsumer(
        ViewSource(view=view, entity=ITEM, features=columns, has_created=True)
    )


def brute_force(events, spec):
    """The definition: {(key, moment): values}, for events as (event, row)."""
    rows = {}
    own = [(name, row) for name, row in events if row["item_id"] is not None]
    for key in {row["item_id"] for _, row in own}:
        mine = [(name, row) for name, row in own if row["item_id"] == key]
        ends = {tile_end(row["event_timestamp"], spec.every) for _, row in mine}
        for moment in ends | {end + window for end in ends for window in spec.windows}:
            values = []
            for f in spec.features:
                within = [
                    row.get(f.attribute, 1) if f.attribute else 1
                    for name, row in mine
                    if name == f.event and moment - f.window <= row["event_timestamp"] < moment
                ]
                numbers = [value for value in within if value is not None]
                values.append(aggregated(f.aggregate, numbers))
            rows[key, moment] = tuple(values)
    return rows


def tile_end(moment, every):
    midnight = moment.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + ((moment - midnight) // every + 1) * every


def aggregated(aggregate, numbers):
    if aggregate == "count":
        return len(numbers)
    if aggregate == "sum":
        return fsum(numbers)
    if not numbers:
        return None
    if aggregate == "mean":
        return fsum(numbers) / len(numbers)
    return min(numbers) if aggregate == "min" else max(numbers)


def by_sql(events, spec):
    """The rows of the generated SQL in DuckDB, each event once; and their created_timestamps."""
    with duckdb.connect() as database:
        database.execute("SET TimeZone = 'UTC'")
        for name, kinds in COLUMNS.items():
            unique = {row["event_id"]: row for event, row in events if event == name}
            plain = [
                {c: row.get(c) for c in kinds}
                | {"event_timestamp": row["event_timestamp"].replace(tzinfo=None)}
                for row in unique.values()
            ]
            table = pa.Table.from_pylist(plain, pa.schema(list(kinds.items())))
            database.register(f"events_{name}", table)
        table = database.sql(stream_view_sql("item_live", ITEM, spec)).to_arrow_table()
    names = [f.name for f in spec.features]
    rows, known = {}, {}
    for row in table.to_pylist():
        place = (row["item_id"], row["event_timestamp"].replace(tzinfo=UTC))
        assert place not in rows
        rows[place] = tuple(row[name] for name in names)
        known[place] = row["created_timestamp"].replace(tzinfo=UTC)
    return rows, known
