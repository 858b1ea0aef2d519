"""Measure online reads of 1 and 50 keys beside raw sqlite3 that builds the same rows.

The goal is 1.5x at p50. `--feast-python PATH` (a Python with Feast 0.67) adds Feast's SQLite store,
measured in its own process.
"""

from __future__ import annotations

import argparse
import itertools
import json
import random
import sqlite3
import subprocess
import tempfile
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..measure import Line, latencies, scaled, table

ENTITIES, CALLS = scaled(10_000, 100), scaled(5_000, 100)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
UNTIL = datetime(2026, 1, 2, tzinfo=UTC)


def main() -> None:
    parser = argparse.ArgumentParser(prog="online_read")
    parser.add_argument("--feast-python", type=Path)
    options, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as folder:
        store = filled(folder)
        raw = RawStore(Path(folder) / "raw.db")
        chance = random.Random(0)
        lines = []
        for size in (1, 50):
            batches = [[f"k{chance.randrange(ENTITIES)}" for _ in range(size)] for _ in range(512)]
            least = measured(raw.get, batches)
            ours = measured(lambda keys, store=store: store.get({"bench": keys}), batches)
            lines += [
                shown(size, "raw sqlite3, the same rows", least, least),
                shown(size, "OnlineStore.get", ours, least, goal="goal: 1.5x"),
            ]
            if options.feast_python:
                lines.append(
                    shown(size, "Feast's SQLite store", feast(options.feast_python, size), least)
                )
        table(
            f"online reads, {ENTITIES:,} entities, 3 features, p50 / p99 of {CALLS:,} calls", lines
        )


def measured(get: Callable[[list[str]], object], batches: list[list[str]]) -> tuple[float, float]:
    turns = itertools.cycle(batches)
    return latencies(lambda: get(next(turns)), calls=CALLS)


def shown(
    size: int, name: str, times: tuple[float, float], least: tuple[float, float], *, goal: str = ""
) -> Line:
    keys = f"{size} key{'s' * (size > 1)}"
    return Line(
        name=f"{keys}: {name}",
        value=f"{times[0]:.4f} / {times[1]:.4f} ms",
        ratio=times[0] / least[0],
        goal=goal,
    )


def filled(home: str):
    """Materialize a view of int, float and string through the ports."""
    import pyarrow as pa

    from isthmus.adapters import targets
    from isthmus.events.port import Column
    from isthmus.feature_store.port import OnlineViewSpec, TableSpec
    from isthmus.target import Profile

    target = targets.load(
        Profile(
            name="local", adapter="local", project="bench", options={"home": f"{home}/.isthmus"}
        )
    )
    features = (
        Column(name="clicks", type="int64"),
        Column(name="rate", type="float64"),
        Column(name="place", type="string"),
    )
    keys = (
        Column(name="entity_key", type="string"),
        *(Column(name=f"{n}_timestamp", type="timestamp") for n in ("event", "created")),
    )
    target.warehouse.apply(
        TableSpec(name="bench", columns=(*keys, *features), time_column="event_timestamp")
    )
    moments = pa.array(
        [UNTIL.replace(tzinfo=None) - timedelta(hours=1)] * ENTITIES, pa.timestamp("ms")
    )
    rows = pa.table(
        {
            "entity_key": [f"k{n}" for n in range(ENTITIES)],
            "event_timestamp": moments,
            "created_timestamp": moments,
            "clicks": list(range(ENTITIES)),
            "rate": [n / 7 for n in range(ENTITIES)],
            "place": [f"place {n % 9}" for n in range(ENTITIES)],
        }
    )
    target.warehouse.append("bench", rows, batch="one")
    view = OnlineViewSpec(name="bench", history="bench", features=features, ttl=None)
    target.online.apply(view)
    target.online.sync(view, since=None, until=UNTIL)
    return target.online


class RawStore:
    """The store that one would write by hand: one table, one SELECT, a dict for each row.

    A row's time is a datetime.
    """

    def __init__(self, path: Path) -> None:
        self.db = sqlite3.connect(path, isolation_level=None)
        self.db.execute("PRAGMA journal_mode = WAL")
        self.db.execute(
            "CREATE TABLE bench (entity_key TEXT PRIMARY KEY, event_ms INTEGER, clicks "
            "INTEGER, rate REAL, place TEXT) WITHOUT ROWID"
        )
        self.db.execute("BEGIN")
        self.db.executemany(
            "INSERT INTO bench VALUES (?, ?, ?, ?, ?)",
            (
                (f"k{n}", int(UNTIL.timestamp()) * 1000, n, n / 7, f"place {n % 9}")
                for n in range(ENTITIES)
            ),
        )
        self.db.execute("COMMIT")

    def get(self, keys: list[str]) -> list[dict[str, object] | None]:
        sql = (
            "SELECT entity_key, event_ms, clicks, rate, place FROM bench WHERE entity_key IN "
            f"({', '.join('?' * len(keys))})"
        )
        rows = {
            key: {
                "feature_timestamp": EPOCH + timedelta(milliseconds=timestamp_ms),
                "clicks": clicks,
                "rate": rate,
                "place": place,
            }
            for key, timestamp_ms, clicks, rate, place in self.db.execute(sql, keys)
        }
        return [rows.get(key) for key in keys]


FEAST = """
import json, sys, time, tempfile, os
from datetime import datetime, timedelta, timezone
from statistics import quantiles
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64, Int64, String
entities, size, calls = map(int, sys.argv[1:4])
folder = tempfile.mkdtemp()
now = datetime.now(timezone.utc) - timedelta(hours=1)
frame = pd.DataFrame({"k": [f"k{n}" for n in range(entities)], "event_timestamp": [now] * entities, "clicks": range(entities),
                      "rate": [n / 7 for n in range(entities)], "place": [f"place {n % 9}" for n in range(entities)]})
frame.to_parquet(f"{folder}/rows.parquet")
store = FeatureStore(config=RepoConfig(project="bench", provider="local", registry=f"{folder}/registry.db",
    online_store={"type": "sqlite", "path": f"{folder}/online.db"}, entity_key_serialization_version=3))
entity = Entity(name="k", join_keys=["k"], value_type=ValueType.STRING)
source = FileSource(path=f"{folder}/rows.parquet", timestamp_field="event_timestamp")
view = FeatureView(name="bench", entities=[entity], ttl=timedelta(days=2), source=source,
    schema=[Field(name="clicks", dtype=Int64), Field(name="rate", dtype=Float64), Field(name="place", dtype=String)])
store.apply([entity, view])
store.write_to_online_store("bench", frame)
names = ["bench:clicks", "bench:rate", "bench:place"]
seen = []
for n in range(calls):
    rows = [{"k": f"k{(n * 31 + i) % entities}"} for i in range(size)]
    started = time.perf_counter()
    store.get_online_features(features=names, entity_rows=rows).to_dict()
    seen.append((time.perf_counter() - started) * 1e3)
cuts = quantiles(seen[len(seen) // 10:], n=100)
print(json.dumps([cuts[49], cuts[98]]))
"""


def feast(python: Path, size: int) -> tuple[float, float]:
    done = subprocess.run(
        [python, "-c", FEAST, str(ENTITIES), str(size), "1000"],
        capture_output=True,
        text=True,
        check=True,
    )
    p50, p99 = json.loads(done.stdout.splitlines()[-1])
    return p50, p99


if __name__ == "__main__":
    main()
