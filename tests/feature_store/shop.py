"""A small project built in Python: impressions, clicks, their objective, items and two views.

Events are put in as ingest does.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa

from isthmus.adapters import targets
from isthmus.core.runtime.project import Project
from isthmus.events.tables import relations as events
from isthmus.feature_store.tables import relations
from isthmus.feature_store.tables.static_tables import load_static
from isthmus.project.specs.description import (
    Attribute,
    Entity,
    Event,
    FeatureView,
    Objective,
    ParsedProject,
    ProjectSpec,
    StaticTable,
)
from isthmus.target import Profile

START = datetime(2024, 3, 1, tzinfo=UTC)
PROFILE_SQL = """-- A constant per item. The semicolon and this comment are allowed.
SELECT items.item_id, TIMESTAMP '2024-02-28 00:00:00' AS event_timestamp, price AS item_price, kind AS item_kind
FROM items; -- the end
"""
HISTORY_SQL = """
SELECT item_id, event_timestamp, created_timestamp,
       count(*) OVER last_2d AS item_impressions,
       (sum(outcome) OVER last_2d + 1.0) / (count(*) OVER last_2d + 10) AS item_ctr
FROM ctr
WINDOW last_2d AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL 2 DAY PRECEDING AND CURRENT ROW)
"""
IMPRESSION = Event(
    name="impression",
    attributes=(
        Attribute(name="item_id", type="int", entity="item"),
        Attribute(name="place", type="string", required=False),
    ),
)
CLICK = Event(
    name="click", attributes=(Attribute(name="impression_id", type="string", event="impression"),)
)


def spec(now=None, ttl=None):
    return ProjectSpec(
        name="shop",
        now=now,
        entities={
            "item": Entity(name="item", key="item_id", type="int"),
            "place": Entity(name="place", key="place", type="string"),
        },
        events={"impression": IMPRESSION, "click": CLICK},
        objectives={
            "ctr": Objective(
                name="ctr", outcome="click", exposure="impression", within=timedelta(minutes=30)
            )
        },
        tables={"items": StaticTable(name="items", path="items.csv")},
        feature_views={
            "item_profile": FeatureView(
                name="item_profile",
                entity="item",
                path="features/item_profile.sql",
                sql=PROFILE_SQL,
            ),
            "item_history": FeatureView(
                name="item_history",
                entity="item",
                path="features/item_history.sql",
                sql=HISTORY_SQL,
                ttl=ttl,
            ),
        },
    )


class Clock:
    """A wall clock that tests move."""

    def __init__(self, moment=START):
        self.moment = moment

    def __call__(self):
        return self.moment

    def to(self, hours):
        self.moment = START + timedelta(hours=hours)
        return self.moment


def items(folder, prices=(1.5, 2.5, 4.0)):
    kinds = ("shoe", "hat", "shoe")
    Path(folder, "items.csv").write_text(
        "item_id,price,kind\n" + "".join(f"{n},{p},{kinds[n % 3]}\n" for n, p in enumerate(prices))
    )


def open_shop(folder, *, clock=None, described=None):
    """The project with everything applied; a second call in the same folder finds what is there."""
    described = described or spec()
    if not Path(folder, "items.csv").exists():
        items(folder)
    profile = Profile(
        name="local",
        adapter="local",
        project="shop",
        options={"home": str(Path(folder) / ".isthmus")},
    )
    project = Project(
        ParsedProject(spec=described, folder=str(folder)),
        targets.load(profile, clock=clock or Clock()),
    )
    for table in events.tables(described):
        project.target.warehouse.apply(table)
    load_static(project, "items")
    for objective in described.objectives.values():
        project.target.warehouse.apply(relations.objective_view(described, objective))
    return project


def put(project, batch, *, impressions=(), clicks=()):
    """impressions: (number, hours, item_id, place?); clicks: (impression number, hours)."""
    for event, rows in (
        (
            IMPRESSION,
            [
                {"event_id": f"i{n}", "hours": h, "item_id": k, "place": (p or [None])[0]}
                for n, h, k, *p in impressions
            ],
        ),
        (CLICK, [{"event_id": f"c{n}", "hours": h, "impression_id": f"i{n}"} for n, h in clicks]),
    ):
        if not rows:
            continue
        raw = events.raw_table(event)
        stamped = [
            row
            | {
                "event_timestamp": plain(row["hours"]),
                "payload_digest": row["event_id"],
                "source": batch,
            }
            for row in rows
        ]
        kinds = {"string": pa.string(), "int64": pa.int64(), "timestamp": pa.timestamp("ms")}
        schema = pa.schema([(column.name, kinds[column.type]) for column in raw.columns])
        project.target.warehouse.append(
            raw.name,
            pa.Table.from_pylist([{n: r.get(n) for n in schema.names} for r in stamped], schema),
            batch=batch,
        )


def plain(hours):
    return (START + timedelta(hours=hours)).replace(tzinfo=None)


def history(project, view="item_history"):
    sql = f"SELECT * FROM {view} ORDER BY entity_key, event_timestamp, created_timestamp"
    return [
        {k: v for k, v in row.items() if k != "dt"}
        for row in project.target.warehouse.query(sql, {}).to_pylist()
    ]
