"""Measure the point-in-time join beside hand-written DuckDB ASOF joins, pandas and Feast.

1,000,000 rows x 3 views of 1,000,000 rows stand beside ASOF joins over the same Parquet files;
50,000 rows x 1,800 beside pandas.merge_asof and, in an environment of its own, Feast's two local
stores. Every join has the same answer for the first view's first feature, which is checked.

`python -m benchmarks.data.point_in_time [--rows N] [--feast-python /path/to/venv/bin/python]`,
where `uv pip install "feast[duckdb]==0.67.*"` has been run.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ..measure import Line, best, peak_megabytes, scaled, table

START = datetime(2024, 1, 1, tzinfo=UTC)
TTL = timedelta(days=7)
LAG = timedelta(minutes=30)
DAYS = 30
COLUMNS = ["row_id", "item_id", "event_timestamp"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=scaled(1_000_000, 2_000))
    parser.add_argument("--feast-python")
    arguments, _ = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        large(Path(folder), arguments.rows)
    with tempfile.TemporaryDirectory() as folder:
        small(Path(folder), arguments.feast_python)


def large(folder: Path, rows: int) -> None:
    target = world(folder, spine=rows, history=rows, views=3, keys=10_000)
    engine = hand_written(folder)
    views = [view(number, unique=True, steady=True) for number in range(3)]
    unknown = [view(number) for number in range(3)]
    corrected = [view(number, unique=True, steady=False) for number in range(3)]
    joins = {
        "DuckDB, ASOF by hand, event time only": lambda: engine.sql(
            by_hand(3, rule=False)
        ).to_arrow_table(),
        "DuckDB, ASOF by hand, known time and ttl": lambda: engine.sql(
            by_hand(3, rule=True)
        ).to_arrow_table(),
        "isthmus": lambda: join(target, views),
        "isthmus, over tables that it knows nothing of": lambda: join(target, unknown),
        "isthmus, histories with corrections": lambda: join(target, corrected),
        "isthmus, portable SQL (what a cloud runs)": lambda: join(target, views, "portable"),
    }
    answers = {name: checksum(call()) for name, call in joins.items()}
    assert len({answer for name, answer in answers.items() if "event time" not in name}) == 1, (
        answers
    )
    seconds = {name: best(call) for name, call in joins.items()}
    reference = seconds["DuckDB, ASOF by hand, known time and ttl"]
    table(
        f"point-in-time join, {rows:,} rows x 3 views of {rows:,} rows (wall, least of 3)",
        [
            Line(
                name=name,
                value=f"{spent:.2f} s",
                ratio=spent / reference,
                goal="goal: 1.2x" if name == "isthmus" else "",
            )
            for name, spent in seconds.items()
        ],
        note=f"{peak_megabytes():,.0f} MB at most in this process, results and the making of the "
        "data included",
    )
    target.close()


def small(folder: Path, feast_python: str | None) -> None:
    import pyarrow.parquet as pq

    target = world(folder, spine=scaled(50_000, 500), history=1_800, views=1, keys=80)
    spine, history = (
        pq.read_table(folder / f"{name}.parquet").to_pandas() for name in ("spine", "view_0")
    )

    def pandas() -> object:
        import pandas as pd

        left, right = spine.sort_values("event_timestamp"), history.sort_values("created_timestamp")
        joined = pd.merge_asof(
            left,
            right,
            left_on="event_timestamp",
            right_on="created_timestamp",
            by="item_id",
            suffixes=("", "_view"),
        )
        return joined.a_0.where(joined.event_timestamp - joined.event_timestamp_view <= TTL)

    lines = {
        "pandas.merge_asof (known time and ttl)": (best(pandas), int(pandas().notna().sum())),
        "isthmus": (
            best(lambda: join(target, [view(0, unique=True, steady=True)])),
            features_found(join(target, [view(0)])),
        ),
        "isthmus, portable SQL (what a cloud runs)": (
            best(lambda: join(target, [view(0, unique=True)], "portable")),
            features_found(join(target, [view(0)], "portable")),
        ),
    }
    if feast_python:
        for store in ("duckdb", "dask"):
            lines[f"Feast, {store} store"] = feast(folder, feast_python, store)
    reference = lines["isthmus"][0]
    table(
        "point-in-time join, 50,000 rows x 1,800 (wall, least of 3; Feast's dask store: once)",
        [
            Line(
                name=name,
                value=f"{spent:.4g} s" if spent < 1 else f"{spent:.1f} s",
                ratio=spent / reference,
                goal=f"{rows:,} rows found",
            )
            for name, (spent, rows) in lines.items()
        ],
        note="" if feast_python else "Feast: --feast-python",
    )
    target.close()


def world(folder: Path, *, spine: int, history: int, views: int, keys: int) -> object:
    """Make a local target with the tables, and the same rows as Parquet files."""
    import duckdb
    import pyarrow.parquet as pq

    from isthmus.adapters import targets
    from isthmus.events.port import Column
    from isthmus.feature_store.port import TableSpec
    from isthmus.target import Profile

    target = targets.load(
        Profile(
            name="local",
            adapter="local",
            project="bench",
            options={"home": str(folder / ".isthmus")},
        )
    )
    database = duckdb.connect()
    milliseconds = int(timedelta(days=DAYS) / timedelta(milliseconds=1))

    def moment(salt: int) -> str:
        return (
            f"TIMESTAMP '{START:%Y-%m-%d}' + to_milliseconds(CAST(hash(i * 13 + {salt}) % "
            f"{milliseconds} AS BIGINT))"
        )

    def keep(name: str, sql: str) -> None:
        data = database.sql(sql).to_arrow_table()
        kinds = {"int64": "int64", "double": "float64", "string": "string"}
        columns = tuple(
            Column(name=field.name, type=kinds.get(str(field.type), "timestamp"))
            for field in data.schema
        )
        target.warehouse.apply(TableSpec(name=name, columns=columns, time_column="event_timestamp"))
        target.warehouse.append(name, data, batch="b1")
        pq.write_table(
            target.warehouse.query(f"SELECT * EXCLUDE (dt) FROM {name}", {}),
            folder / f"{name}.parquet",
        )

    keep(
        "spine",
        f"SELECT i AS row_id, CAST(hash(i * 3) % {keys} AS BIGINT) AS item_id, {moment(5)} "
        f"AS event_timestamp FROM range({spine}) t(i)",
    )
    for number in range(views):
        keep(
            f"view_{number}",
            "SELECT DISTINCT ON (item_id, event_timestamp) *, CAST(item_id AS VARCHAR) AS "
            f"entity_key, event_timestamp + INTERVAL {LAG.seconds} SECOND AS created_timestamp "
            f"FROM (SELECT CAST(hash(i * 7 + {number}) % {keys} AS BIGINT) AS item_id, "
            f"{moment(100 + number)} AS event_timestamp, CAST(hash(i * 17) % 1000 AS DOUBLE) AS "
            f"a_{number}, i AS b_{number} FROM range({history}) t(i))",
        )
    return target


def view(number: int, **options: object) -> object:
    from isthmus.events.port import Column
    from isthmus.feature_store.joins.point_in_time import JoinView

    features = (
        Column(name=f"a_{number}", type="float64"),
        Column(name=f"b_{number}", type="int64"),
    )
    return JoinView(history=f"view_{number}", key="item_id", features=features, ttl=TTL, **options)


def join(target: object, views: list[object], rendering: str | None = None) -> object:
    from isthmus.feature_store.joins.point_in_time import point_in_time

    return point_in_time(
        target,
        "SELECT row_id, item_id, event_timestamp FROM spine",
        COLUMNS,
        views,
        rendering=rendering,
    )


def hand_written(folder: Path) -> object:
    """Open DuckDB over the very files of the warehouse, set as one would set it for this."""
    import duckdb

    engine = duckdb.connect(config={"preserve_insertion_order": "false"})
    for path in (folder / ".isthmus" / "warehouse").iterdir():
        if path.is_dir() and not path.name.startswith("."):
            engine.execute(
                f"CREATE VIEW {path.name} AS SELECT * FROM read_parquet('{path}/*/*/*.parquet')"
            )
    return engine


def by_hand(views: int, *, rule: bool) -> str:
    time = "created_timestamp" if rule else "event_timestamp"
    fresh = (
        f"s.event_timestamp <= v{{n}}.event_timestamp + INTERVAL {int(TTL.total_seconds())} SECOND"
    )
    feature = (
        f"CASE WHEN {fresh} THEN v{{n}}.{{f}}_{{n}} END AS {{f}}_{{n}}" if rule else "v{n}.{f}_{n}"
    )
    features = ", ".join(feature.format(n=n, f=f) for n in range(views) for f in "ab")
    joins = " ".join(
        f"ASOF LEFT JOIN view_{n} v{n} ON s.item_id = v{n}.item_id AND s.event_timestamp >= "
        f"v{n}.{time}"
        for n in range(views)
    )
    return f"SELECT s.row_id, s.item_id, s.event_timestamp, {features} FROM spine s {joins}"


def checksum(table: object) -> tuple[int, float]:
    import pyarrow.compute as pc

    return (
        table.num_rows,
        features_found(table),
        pc.sum(
            pc.multiply(pc.fill_null(table["a_0"], 0.0), table["row_id"].cast("float64"))
        ).as_py(),
    )


def features_found(table: object) -> int:
    return table.num_rows - table["a_0"].null_count


_FEAST = """
import json, sys, time
from datetime import timedelta
from pathlib import Path
import pandas as pd
from feast import Entity, FeatureStore, FeatureView, Field, FileSource, ValueType
from feast.types import Float64, Int64
folder, store, ttl = Path(sys.argv[1]), sys.argv[2], float(sys.argv[3])
home = folder / f"feast_{store}"
home.mkdir()
(home / "feature_store.yaml").write_text(
    f"project: bench\\nregistry: {home}/registry.db\\nprovider: local\\noffline_store:\\n  type: {store}\\n"
    f"online_store:\\n  type: sqlite\\n  path: {home}/online.db\\nentity_key_serialization_version: 3\\n")
history = pd.read_parquet(folder / "view_0.parquet")
for name in ("event_timestamp", "created_timestamp"):
    history[name] = history[name].dt.tz_localize("UTC")
history.to_parquet(home / "view.parquet")
item = Entity(name="item", join_keys=["item_id"], value_type=ValueType.INT64)
source = FileSource(path=str(home / "view.parquet"), timestamp_field="event_timestamp", created_timestamp_column="created_timestamp")
view = FeatureView(name="view_0", entities=[item], ttl=timedelta(seconds=ttl), source=source,
                   schema=[Field(name="item_id", dtype=Int64), Field(name="a_0", dtype=Float64), Field(name="b_0", dtype=Int64)])
feast = FeatureStore(repo_path=str(home))
feast.apply([item, view])
spine = pd.read_parquet(folder / "spine.parquet")
spine["event_timestamp"] = spine["event_timestamp"].dt.tz_localize("UTC")
seen = []
for _ in range(3 if store == "duckdb" else 1):
    started = time.perf_counter()
    found = feast.get_historical_features(entity_df=spine, features=["view_0:a_0", "view_0:b_0"]).to_df()
    seen.append(time.perf_counter() - started)
print(json.dumps([min(seen), int(found["a_0"].notna().sum()), len(found)]))
"""


def feast(folder: Path, python: str, store: str) -> tuple[float, int]:
    """Return Feast's seconds and the number of rows that it finds.

    Feast joins on event time alone, so it finds rows that were not known yet: its count is the
    higher one.
    """
    script = folder / f"measure_{store}.py"
    script.write_text(_FEAST)
    command = [python, str(script), str(folder), store, str(TTL.total_seconds())]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    if done.returncode:
        raise SystemExit(f"Feast's {store} store failed:\n{done.stderr[-2000:]}")
    spent, matched, rows = json.loads(done.stdout.splitlines()[-1])
    print(f"  Feast, {store}: {rows:,} rows came back for 50,000")
    return spent, matched


if __name__ == "__main__":
    main()
