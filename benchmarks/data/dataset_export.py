"""Measure the export of a data set, beside pyarrow alone writing the same rows of the same query.

The rows are exposures with a scored row of JSON, every twentieth with a click. Each is run in a
process of its own, so that its peak of memory is its own. `python -m benchmarks.data.dataset_export`.
"""

from __future__ import annotations

import resource
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

import isthmus as im
from benchmarks.measure import Line, scaled, table

ROWS = scaled(1_000_000, 20_000)
DAYS = 10
BEGIN = np.datetime64("2026-01-01", "ms")
PROJECT = """
name: exported
entities: {item: {key: item_id, type: int}}
events:
  impression: {attributes: {item_id: {type: int}}}
  click: {attributes: {exposure_id: {type: string}, impression_id: {type: string}}}
objectives:
  ctr: {rate: click / impression, within: 30m}
  served_ctr: {rate: click / exposures, within: 30m}
datasets:
  served: {objective: served_ctr, stream: true}
endpoints:
  ranker:
    objective: ctr
    unit: visitor_id
    log_features: true
    variants: {champion: {model: ranker@champion, traffic: 100}}
"""
MODEL = """
model: ranker
alias: champion
objective: ctr
features: [item_id]
serve_as: {item_id: 1}
trainer: isthmus.logistic
"""


def main() -> None:
    folder = Path(tempfile.mkdtemp())
    try:
        (folder / "project.yaml").write_text(PROJECT)
        (folder / "models").mkdir()
        (folder / "models/champion.yaml").write_text(MODEL)
        with im.open(folder) as project:
            im.apply(project)
            fill(project)
        alone, peak_alone = apart(by_pyarrow, folder)
        export, peak = apart(by_export, folder)
    finally:
        shutil.rmtree(folder)
    table(
        f"Export of {ROWS:,} rows",
        [
            Line(name="pyarrow alone", value=f"{alone:.2f} s", ratio=1.0),
            Line(name="isthmus dataset export", value=f"{export:.2f} s", ratio=export / alone, goal="<= 1.3x"),
            Line(name="pyarrow alone: memory", value=f"{peak_alone:,.0f} MB", ratio=1.0),
            Line(name="isthmus dataset export: memory", value=f"{peak:,.0f} MB", ratio=peak / peak_alone),
        ],
    )  # fmt: skip


def fill(project: im.Project) -> None:
    """Put exposures and clicks into the warehouse, a day at a time."""
    shown, clicked = (
        pa.schema([(c.name, KINDS[c.type]) for c in columns(project, name)])
        for name in ("exposures", "click_raw")
    )
    random, of_day = np.random.default_rng(1), ROWS // DAYS
    for day in range(DAYS):
        numbers = np.arange(day * of_day, (day + 1) * of_day)
        millis = np.sort(random.integers(0, 86_000_000, of_day))
        start = BEGIN + np.timedelta64(day, "D")
        ids = [f"q-{number:08}" for number in numbers]
        rates = random.random((of_day, 4))
        features = [f'{{"a":{a!r},"b":{b!r},"c":{c!r},"d":{d!r}}}' for a, b, c, d in rates.tolist()]
        values: dict[str, Any] = {
            "event_id": ids,
            "event_timestamp": start + millis,
            "endpoint": ["ranker"] * of_day,
            "unit": [f"v{number}" for number in random.integers(0, 50_000, of_day)],
            "variant": ["champion"] * of_day,
            "version": ["ranker@1"] * of_day,
            "entity": ["item"] * of_day,
            "entity_key": [str(number) for number in random.integers(0, 500, of_day)],
            "position": random.integers(1, 11, of_day),
            "score": random.random(of_day),
            "propensity": random.random(of_day),
            "explored": random.random(of_day) < 0.1,
            "features": features,
            "scored_by": ["ranker@1"] * of_day,
            "payload_digest": ids,
        }
        project.target.warehouse.append("exposures", filled(shown, values, of_day), batch=f"d{day}")
        some = slice(None, None, 20)
        clicks: dict[str, Any] = {
            "event_id": [f"c-{number}" for number in numbers[some]],
            "event_timestamp": start + millis[some] + 60_000,
            "exposure_id": ids[some],
            "impression_id": ids[some],
            "payload_digest": ids[some],
        }
        rows = filled(clicked, clicks, len(numbers[some]))
        project.target.warehouse.append("click_raw", rows, batch=f"d{day}")


KINDS: dict[str, pa.DataType] = {
    "string": pa.string(),
    "timestamp": pa.timestamp("ms"),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
}


def columns(project: im.Project, name: str) -> list[Any]:
    """Return the columns of a table but for its date."""
    state = project.target.warehouse.observe(name)
    assert state is not None
    return [column for column in state.columns if column.name != "dt"]


def filled(schema: pa.Schema, values: dict[str, Any], count: int) -> pa.Table:
    """Return a table of a schema, with nulls in the columns that have no values."""
    arrays = [
        pa.array(values[field.name], field.type)
        if field.name in values
        else pa.nulls(count, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(arrays, schema=schema)


def by_export(folder: Path) -> None:
    with im.open(folder) as project:
        export = im.dataset.export(project, "served", to=folder / "out", until=UNTIL)
    assert export.rows == ROWS


UNTIL = datetime(2026, 2, 1, tzinfo=UTC)


def by_pyarrow(folder: Path) -> None:
    import pyarrow.parquet as pq

    def write(tables: Iterator[pa.Table]) -> None:
        writer = None
        for rows in tables:
            writer = writer or pq.ParquetWriter(
                folder / "alone.parquet", rows.schema, compression="zstd"
            )
            writer.write_table(rows)
        assert writer is not None
        writer.close()

    names = (
        "event_id, event_timestamp, endpoint, unit, variant, version, entity, entity_key, position, "
        "score, propensity, explored, assignments, parameters, config, credit, features, "
        "scored_by, outcome, created_timestamp, dt"
    )
    with im.open(folder) as project:
        project.target.warehouse.query(
            f"SELECT {names} FROM served_ctr WHERE features IS NOT NULL AND created_timestamp < "
            "$until ORDER BY dt, event_timestamp, event_id",
            {"until": UNTIL},
            into=write,
        )


def apart(act: Any, folder: Path) -> tuple[float, float]:
    """Return the seconds and the peak of memory, in MB, of a function in a process of its own."""
    context = get_context("spawn")
    queue = context.Queue()
    process = context.Process(target=measured, args=(act, folder, queue))
    process.start()
    answer: tuple[float, float] = queue.get()
    process.join()
    return answer


def measured(act: Any, folder: Path, queue: Any) -> None:
    begun = time.monotonic()
    act(folder)
    seconds = time.monotonic() - begun
    queue.put((seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000))


if __name__ == "__main__":
    sys.exit(main())
