"""Measure `isthmus predict` over a table: rows a second by columns and by rows, time and memory.

An `isthmus.logistic` model reads six features of two views and three columns of the rows, one of
them a category. It is scored as it is, by `predict_table`, and by a predictor with the same weights
that has `predict` alone. Beside the memory of each step stands that of pyarrow alone, in a process
that copies the same rows some at a time, and in one that holds them all.
`python -m benchmarks.pipelines.scoring 200000` measures another size.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ..measure import SMALL, Cost, Line, apart, best, scaled, table
from .log import ingest_and_materialize, times_and_clicks
from .training import AT_EXIT

if TYPE_CHECKING:
    from isthmus.core.runtime.project import Project

SIZES = (scaled(1_000_000, 2_000),)
LOGGED = scaled(40_000, 2_000)  # impressions that the model is trained on
ITEMS = scaled(1_000, 40)  # every item is scored for some users
SHARDS = 4
DAYS = 10
STEPS = ("rows", "score", "publish")
GOAL = 10  # times as many rows a second by columns
PROJECT = f"""
name: bench
now: 2026-01-{DAYS + 1}T00:00:00Z
entities:
  item: {{key: item_id, type: int}}
  user: {{key: user_id, type: int}}
events:
  impression:
    attributes: {{user_id: {{type: int}}, item_id: {{type: int}}, stock: {{type: int}}, price: {{type: float}}, device: {{type: string}}}}
  click:
    attributes: {{impression_id: {{type: string}}}}
objectives:
  ctr: {{rate: click / impression, within: 30m, unit: user_id}}
feature_views:
  item_history: {{entity: item}}
  user_history: {{entity: user}}
predictions:
  by_columns: {{model: by_columns@champion, rows: rows.sql, into: by_columns, shards: {SHARDS}}}
  by_rows: {{model: by_rows@champion, rows: rows.sql, into: by_rows, shards: {SHARDS}}}
"""
VIEW = """
SELECT {key}, event_timestamp, created_timestamp, count(*) OVER recent AS {name}_shown,
       avg(outcome) OVER recent AS {name}_ctr, avg(price) OVER recent AS {name}_price
FROM ctr
WINDOW recent AS (PARTITION BY {key} ORDER BY event_timestamp
                  RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW)
"""
ROWS = """
SELECT items.item_id, users.user_id, items.item_id % 20 AS stock, items.price, users.device
FROM (SELECT item_id, avg(price) AS price FROM events_impression GROUP BY item_id) AS items
CROSS JOIN (SELECT user_id, max(device) AS device FROM events_impression GROUP BY user_id) AS users
"""
FEATURES = [
    *("stock", "price", "device"),
    *(
        f"{view}_history.{view}_{name}"
        for view in ("item", "user")
        for name in ("shown", "ctr", "price")
    ),
]
MODEL = """
model: {name}
alias: champion
objective: ctr
features: [{features}]
trainer: {trainer}
"""
RANKER = """
from isthmus.pipelines.builtin.logistic import Logistic, logistic


class ByRows:
    def __init__(self, intercept, types, numbers, categories):
        self.intercept, self.types = intercept, types
        self.numbers, self.categories = numbers, categories
        self._model = Logistic(intercept, types, numbers, categories)

    def predict(self, rows):
        return self._model.predict(rows)


def by_rows(data, label, features):
    fitted = logistic(data, label, features)
    return ByRows(fitted.intercept, fitted.types, fitted.numbers, fitted.categories)
"""
TRAINERS = {"by_rows": "ranker.by_rows", "by_columns": "isthmus.logistic"}


def main(sizes: Sequence[int] = SIZES) -> None:
    missed = False
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
            folder = Path(name)
            apart(_prepare, folder, rows)
            sites = {way: folder / f"site_{way}" for way in TRAINERS}
            seconds = {way: _measured(folder, way, site) for way, site in sites.items()}
            lines = [_pace(way, what, rows, seconds) for way in TRAINERS for what in seconds[way]]
            alone = seconds["by_rows"]["predictor"] / seconds["by_columns"]["predictor"]
            missed |= alone < GOAL
            title = f"scoring {rows:,} rows x {len(FEATURES)} features in {SHARDS} shards"
            table(f"{title}: rows a second, and how many times as fast by columns", lines)
            last = f"part_{SHARDS - 1}"  # the first look has one part
            batch = next(folder.glob(f".isthmus/runs/*/rows/{last}/rows.parquet")).parents[1]
            files = sorted(batch.glob("part_*/rows.parquet"))
            copied = apart(_copy, files, folder / "copy.parquet")
            held = apart(_hold, files)
            limits = [
                Line(name="pyarrow alone: copies the rows", value=f"{copied.megabytes:,.0f} MB"),
                Line(
                    name="pyarrow alone: holds the rows",
                    value=f"{held.megabytes:,.0f} MB",
                    ratio=held.megabytes / copied.megabytes,
                ),
            ]
            steps = [line for way in TRAINERS for line in _memory(way, sites[way], copied)]
            table(f"{title}: memory at most", [*limits, *steps])
    if missed and not SMALL:
        raise SystemExit("columns are not scored fast enough beside rows")


def _pace(way: str, what: str, rows: int, seconds: dict[str, dict[str, float]]) -> Line:
    """Return the line of one part of a batch, with its ratio to the same part by rows."""
    taken, names = seconds[way][what], {"predictor": "the predictor alone", "whole": "the whole"}
    by_columns = way == "by_columns"
    return Line(
        name=f"{way}: {names.get(what, f'step {what}, in all')}",
        value=f"{rows / taken:,.0f} rows/s, {taken:,.2f} s",
        ratio=seconds["by_rows"][what] / taken if by_columns else None,
        goal=f"{GOAL}x" if by_columns and what == "predictor" else "",
    )


def _prepare(folder: Path, rows: int) -> None:
    """Make a project with a log, and train both models."""
    import numpy as np

    import isthmus as im

    chance = np.random.default_rng(0)
    users = rows // ITEMS
    shown, clicks = times_and_clicks(chance, LOGGED, days=DAYS)
    impressions = shown | {
        "user_id": np.arange(LOGGED) % users,
        "item_id": chance.permutation(np.arange(LOGGED) % ITEMS),
        "stock": chance.integers(0, 20, LOGGED),
        "price": chance.normal(size=LOGGED),
        "device": chance.choice(["phone", "tablet", "desktop"], LOGGED),
    }
    (folder / "features").mkdir()
    (folder / "models").mkdir()
    for entity in ("item", "user"):
        text = VIEW.format(key=f"{entity}_id", name=entity)
        (folder / "features" / f"{entity}_history.sql").write_text(text)
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "ranker.py").write_text(RANKER)
    (folder / "rows.sql").write_text(ROWS)
    for way, trainer in TRAINERS.items():
        text = MODEL.format(name=way, features=", ".join(FEATURES), trainer=trainer)
        (folder / "models" / f"{way}.yaml").write_text(text)
    with im.open(folder / "project.yaml") as project:
        ingest_and_materialize(project, impression=impressions, click=clicks)
        for way in TRAINERS:
            _register(project, way)


def _register(project: Project, way: str) -> None:
    """Train a model on the whole log and register it, without a run that judges it."""
    from isthmus.events.tables.column_types import of_arrow
    from isthmus.feature_store.offline.training_set import training_set
    from isthmus.pipelines.models import predictor, trainers
    from isthmus.pipelines.training.registration import publish

    model, spec, registry = project.spec.models[way], project.spec, project.target.registry
    end = project.now()
    rows = training_set(
        project, model.objective, model.features, start=end - timedelta(DAYS), end=end
    )
    fitted = trainers.fit(trainers.find(model, project.folder), model, rows, project.folder)
    types = {
        feature.name: of_arrow(rows.schema.field(feature.name).type) for feature in model.features
    }
    keys = {name: spec.entities[view.entity].key for name, view in spec.feature_views.items()}
    folder = project.folder / f"model_{way}"
    predictor.save(fitted, folder, model=model, types=types, keys=keys)
    manifest = predictor.whole_manifest(folder)
    uri = publish(project.target.blobs, folder, manifest)
    version = registry.register(model.model, uri=uri, digest=manifest.digest, image="local")
    registry.set_alias(model.model, "champion", version.version)


def _measured(folder: Path, way: str, site: Path) -> dict[str, float]:
    """Return the seconds of a batch: the predictor alone, its steps by their kind, and whole."""
    site.mkdir()
    (site / "sitecustomize.py").write_text(AT_EXIT.format(file=str(site / "steps.txt")))
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, str(folder), way]
    # compiled modules are kept, as a user's are; the first look at a few rows compiles them
    environment = os.environ | {
        "PYTHONPATH": str(site),
        "PYTHONDONTWRITEBYTECODE": "",
        "PYTHONPYCACHEPREFIX": str(folder / "compiled"),
    }
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True, env=environment)
    measured: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return measured


def _score(folder: Path, way: str) -> dict[str, float]:
    """Score a batch in this process's project, then its rows by its predictor alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    import isthmus as im
    from isthmus.pipelines.models import predictor, trainers
    from isthmus.pipelines.runs.document import StepResult, local_path, read
    from isthmus.pipelines.runs.step_results import step_folder
    from isthmus.pipelines.runs.watch import artifact_uri

    with im.open(folder / "project.yaml") as project:
        im.predict(project, way, limit=10)
        (folder / f"site_{way}" / "steps.txt").unlink()
        started = time.perf_counter()
        scored = im.predict(project, way)
        whole = time.perf_counter() - started
        blobs, steps, parts = project.target.blobs, dict.fromkeys(STEPS, 0.0), []
        for step in ("rows", *(f"score_{number}" for number in range(SHARDS)), "publish"):
            uri = f"{step_folder(blobs, scored.run, step)}/step.json"
            result = read(blobs, uri, StepResult)
            steps[step.partition("_")[0]] += (result.ended - result.started).total_seconds()
        for number in range(SHARDS):
            part = local_path(artifact_uri(project, scored.run, "rows", f"part_{number}"))
            parts.append(pq.ParquetFile(part / "rows.parquet").read())
        model = local_path(project.target.registry.get(way, 1).uri)
        configuration = project.spec.models[way]
    loaded, rows = predictor.load(model).predictor, pa.concat_tables(parts)
    trainers.predict(loaded, rows.slice(0, 100), configuration, folder)
    alone = best(lambda: trainers.predict(loaded, rows, configuration, folder))
    return {"predictor": alone, **steps, "whole": whole}


def _copy(files: Sequence[Path], goal: Path) -> None:
    """Copy rows to one file by pyarrow alone, some at a time."""
    import pyarrow.parquet as pq

    with pq.ParquetWriter(goal, pq.read_schema(files[0])) as writer:
        for file in files:
            for batch in pq.ParquetFile(file).iter_batches(100_000):
                writer.write_batch(batch)


def _hold(files: Sequence[Path]) -> None:
    """Read rows into one table by pyarrow alone."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    whole = pa.concat_tables(pq.ParquetFile(file).read() for file in files)
    print(f"  {whole.num_rows:,} rows are {whole.nbytes / 1e6:,.0f} MB", file=sys.stderr)


def _memory(way: str, site: Path, copied: Cost) -> list[Line]:
    """Return a line of memory and CPU for each kind of step that wrote to the site's file.

    The ratio is to the memory of pyarrow alone.
    """
    most: dict[str, tuple[float, float]] = {}
    for text in (site / "steps.txt").read_text().splitlines():
        megabytes, seconds, *arguments = text.split()
        step = arguments[arguments.index("--step") + 1].partition("_")[0]
        peak, cpu = most.get(step, (0.0, 0.0))
        most[step] = (max(peak, float(megabytes)), cpu + float(seconds))
    return [
        Line(
            name=f"{way}: {step}",
            value=f"{peak:,.0f} MB, {cpu:,.1f} CPU s",
            ratio=peak / copied.megabytes,
        )
        for step, (peak, cpu) in most.items()
    ]


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2] in TRAINERS:
        print(json.dumps(_score(Path(sys.argv[1]), sys.argv[2])))
    else:
        main(tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or SIZES)
