"""Measure `isthmus predict` over a table: rows a second by columns and by rows, and memory.

An `isthmus.logistic` model reads six features of two views and three columns of the rows, one of
them a category. It is scored as it is, by `predict_table`, and by a predictor with the same weights
that has `predict` alone. `python -m benchmarks.pipelines.scoring 200000` measures another size.
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

from ..measure import SMALL, Line, apart, best, scaled, table
from .log import ingest_and_materialize, times_and_clicks
from .training import AT_EXIT

if TYPE_CHECKING:
    from isthmus.core.runtime.project import Project

SIZES = (scaled(1_000_000, 2_000),)
LOGGED = scaled(40_000, 2_000)  # impressions that the model is trained on
ITEMS = scaled(1_000, 40)  # every item is scored for some users
SHARDS = 4
DAYS = 10
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
            lines, speeds = [], {}
            for way in TRAINERS:
                site = folder / f"site_{way}"
                measured = _measured(folder, way, site)
                speeds[way] = rows / measured["predictor"]
                ratio = None if way == "by_rows" else speeds[way] / speeds["by_rows"]
                lines += [
                    Line(
                        name=f"{way}: the predictor alone",
                        value=f"{speeds[way]:,.0f} rows/s",
                        ratio=ratio,
                        goal=f"{GOAL}x" if ratio else "",
                    ),
                    Line(
                        name=f"{way}: its steps `score`, in all",
                        value=f"{rows / measured['steps']:,.0f} rows/s",
                    ),
                    Line(
                        name=f"{way}: the whole of `predict`",
                        value=f"{rows / measured['whole']:,.0f} rows/s",
                    ),
                    *_memory(way, site),
                ]
                missed |= ratio is not None and ratio < GOAL
            table(f"scoring {rows:,} rows x {len(FEATURES)} features in {SHARDS} shards", lines)
    if missed and not SMALL:
        raise SystemExit("columns are not scored fast enough beside rows")


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
    """Return the seconds of a batch: whole, its score steps in all, and the predictor alone."""
    site.mkdir()
    (site / "sitecustomize.py").write_text(AT_EXIT.format(file=str(site / "steps.txt")))
    command = [sys.executable, "-m", __spec__.name if __spec__ else __name__, str(folder), way]
    environment = os.environ | {"PYTHONPATH": str(site)}
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
        started = time.perf_counter()
        scored = im.predict(project, way)
        whole = time.perf_counter() - started
        blobs, steps, parts = project.target.blobs, 0.0, []
        for number in range(SHARDS):
            uri = f"{step_folder(blobs, scored.run, f'score_{number}')}/step.json"
            result = read(blobs, uri, StepResult)
            steps += (result.ended - result.started).total_seconds()
            part = local_path(artifact_uri(project, scored.run, "rows", f"part_{number}"))
            parts.append(pq.ParquetFile(part / "rows.parquet").read())
        model = local_path(project.target.registry.get(way, 1).uri)
        configuration = project.spec.models[way]
    loaded, rows = predictor.load(model).predictor, pa.concat_tables(parts)
    trainers.predict(loaded, rows.slice(0, 100), configuration, folder)
    alone = best(lambda: trainers.predict(loaded, rows, configuration, folder))
    return {"whole": whole, "steps": steps, "predictor": alone}


def _memory(way: str, site: Path) -> list[Line]:
    """Return a line of memory and CPU for each kind of step that wrote to the site's file."""
    most: dict[str, tuple[float, float]] = {}
    for text in (site / "steps.txt").read_text().splitlines():
        megabytes, seconds, *arguments = text.split()
        step = arguments[arguments.index("--step") + 1].partition("_")[0]
        peak, cpu = most.get(step, (0.0, 0.0))
        most[step] = (max(peak, float(megabytes)), cpu + float(seconds))
    return [
        Line(name=f"{way}: {step}", value=f"{peak:,.0f} MB, {cpu:,.1f} CPU s")
        for step, (peak, cpu) in most.items()
    ]


if __name__ == "__main__":
    if len(sys.argv) == 3 and sys.argv[2] in TRAINERS:
        print(json.dumps(_score(Path(sys.argv[1]), sys.argv[2])))
    else:
        main(tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or SIZES)
