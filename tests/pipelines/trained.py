"""A small project whose training runs are made in this process: the four steps as the engine calls
them, on a table of the test's own.
"""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa

import isthmus
from isthmus.feature_store.offline import training_set
from isthmus.pipelines.run_pages import records
from isthmus.pipelines.runs import names as run_names
from isthmus.pipelines.runs import step_names
from isthmus.pipelines.runs.document import StepResult, StoredFolder, local_path, run_uri, write
from isthmus.pipelines.step.context import StepContext
from isthmus.pipelines.training import steps as training_steps
from isthmus.pipelines.training import training

PROJECT = """
name: shop
now: 2020-01-08T00:00:00Z
entities:
  item: {key: item_id, type: int}
events:
  impression:
    attributes:
      item_id: {type: int}
      position: {type: int}
  click:
    attributes:
      impression_id: {type: string}
objectives:
  ctr: {rate: click / impression, within: 30m, unit: event_id}
feature_views:
  item_history: {entity: item, ttl: 7d}
"""
VIEW = (
    "SELECT item_id, event_timestamp, created_timestamp, count(*) AS seen, avg(outcome) AS "
    "item_ctr FROM ctr GROUP BY 1, 2, 3\n"
)
TRAINER = """
class Constant:
    def __init__(self, sign, digits):
        self.sign, self.digits = sign, digits

    def predict(self, rows):
        return [min(0.99, max(0.01, round(0.3 + self.sign * (row["item_ctr"] or 0.3), self.digits))) for row in rows]


def train(data, label, features, sign=1, digits=9):
    return Constant(sign, digits)


def broken(data, label, features):
    raise KeyError("no such column")
"""
CONFIG = """
model: ranker
objective: ctr
features: [item_history.item_ctr]
trainer: shop_trainer.train
window: 2020-01-01 .. 2020-01-07
"""


def configure(folder, name, extra=""):
    (folder / "models").mkdir(exist_ok=True)
    (folder / "models" / f"{name}.yaml").write_text(CONFIG + extra)


def make_project(folder):
    folder.mkdir()
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "features").mkdir()
    (folder / "features" / "item_history.sql").write_text(VIEW)
    (folder / "shop_trainer.py").write_text(TRAINER)
    configure(folder, "good", "alias: champion\nparameters: {sign: 1}\n")
    return folder


def data(rows=2100, seed=3, strength=0.5):
    """Seven days; an item's true rate shows in item_ctr as far as `strength` says."""
    random = np.random.default_rng(seed)
    start = datetime(2020, 1, 1, tzinfo=UTC)
    shown = [
        start + timedelta(seconds=int(second))
        for second in np.sort(random.integers(0, 7 * 86400, rows))
    ]
    items = random.integers(0, 10, rows)
    rates = 0.05 + 0.03 * items
    outcome = (random.random(rows) < rates).astype(int)
    known = strength * rates + (1 - strength) * random.random(rows) * 0.3
    stamp = pa.timestamp("ms")
    return pa.table(
        {
            "event_id": [f"e{i}" for i in range(rows)],
            "event_timestamp": pa.array([one.replace(tzinfo=None) for one in shown], stamp),
            "created_timestamp": pa.array(
                [one.replace(tzinfo=None) + timedelta(minutes=30) for one in shown], stamp
            ),
            "outcome": pa.array(outcome, pa.int64()),
            "item_id": pa.array(items, pa.int64()),
            "position": pa.array(random.integers(1, 4, rows), pa.int64()),
            "item_ctr": pa.array(
                [None if i % 50 == 0 else float(v) for i, v in enumerate(known)], pa.float64()
            ),
        }
    )


def run_here(project, config, table, monkeypatch, overrides=(), *, curve=False):
    """Every step of a training run in this process, as the engine would run them; the run's record."""
    monkeypatch.setattr(training_set, "training_set", lambda *_, **__: table)
    planned = training.pipeline(
        project, training.configuration(project, config, overrides), overrides, curve=curve
    )
    name, blobs = run_names.next_name(project), project.target.blobs
    made = {}
    for step in planned.steps:
        folder = local_path(run_uri(blobs.root, name)).parent / step.name
        outputs = {one: folder / one for one in step.artifacts}
        for path in outputs.values():
            path.mkdir(parents=True)
        context = StepContext(
            run=name,
            step=step.name,
            project_file=str(project.folder / "project.yaml"),
            target=project.target,
            parameters=dict(step.parameters),
            inputs={key: made[source.step, source.name] for key, source in step.inputs.items()},
            outputs=outputs,
            types={output.name: output.type for output in step.outputs},
        )
        assert step.function == f"{step_names.TRAIN}:{step.name}"
        getattr(training_steps, step.name)(context)
        made |= {(step.name, one): path for one, path in outputs.items()}
        now = project.wall()
        result = StepResult(
            run=name,
            step=step.name,
            key="k",
            parts={},
            outputs=context.values,
            artifacts={one: StoredFolder(path.as_uri(), "d") for one, path in outputs.items()},
            started=now,
            ended=now,
            attempts=1,
        )
        write(blobs, f"{folder.as_uri()}/step.json", result)
    return records.fetch(blobs, name)


def open_project(folder):
    return isthmus.open(folder / "project.yaml")
