"""Measure memory and CPU of a training run's four steps.

The predictor answers by columns, then by rows. The trainer keeps Arrow and learns next to nothing,
so what is shown is Isthmus' own share, with Python and its libraries (some 150 MB). `python -m
benchmarks.pipelines.training 1000000` measures another size.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ..measure import Line, apart, scaled, table
from .log import ingest_and_materialize, times_and_clicks

SIZES = (scaled(500_000, 2_000),)
DAYS = 14
NUMBERS = [f"number_{n}" for n in range(6)]
HISTORY = ["impressions_1d", "clicks_1d", "ctr_1d", "number_1d"]
PROJECT = f"""
name: bench
now: 2026-01-{DAYS + 1}T00:00:00Z
entities:
  item: {{key: item_id, type: int}}
events:
  impression:
    attributes: {{user_id: {{type: int}}, item_id: {{type: int}}, {", ".join(f"{name}: {{type: float}}" for name in NUMBERS)}}}
  click:
    attributes: {{impression_id: {{type: string}}}}
objectives:
  ctr: {{rate: click / impression, within: 30m, unit: user_id}}
feature_views:
  item_history: {{entity: item}}
"""
VIEW = """
SELECT item_id, event_timestamp, created_timestamp, count(*) OVER recent AS impressions_1d, sum(outcome) OVER recent AS clicks_1d,
       avg(outcome) OVER recent AS ctr_1d, avg(number_0) OVER recent AS number_1d
FROM ctr
WINDOW recent AS (PARTITION BY item_id ORDER BY event_timestamp RANGE BETWEEN INTERVAL '1 day' PRECEDING AND CURRENT ROW)
"""
MODEL = """
model: ranker
alias: champion
objective: ctr
features: [{features}]
trainer: ranker.{trainer}
"""
RANKER = """
class ByRows:
    def __init__(self, mean):
        self.mean = mean

    def predict(self, rows):
        return [self.mean if row["ctr_1d"] is None else 0.9 * self.mean + 0.1 * row["ctr_1d"] for row in rows]


class ByColumns(ByRows):
    def predict_table(self, table):
        return 0.9 * self.mean + 0.1 * table["ctr_1d"].fill_null(self.mean).to_numpy()


def by_rows(data, label, features):
    return ByRows(data[label].to_numpy().mean().item())


def by_columns(data, label, features):
    return ByColumns(data[label].to_numpy().mean().item())
"""
# Python imports a sitecustomize.py of PYTHONPATH as it starts: so every process of a run tells what
# it took.
AT_EXIT = """
import atexit, resource, sys

def tell():
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:"))
    with open({file!r}, "a") as file:
        print(int(peak) / 1024, used.ru_utime + used.ru_stime, *sys.argv[1:], file=file)

if "isthmus.pipelines.step" in sys.orig_argv:
    atexit.register(tell)
"""


def main(sizes: Sequence[int] = SIZES) -> None:
    for rows in sizes:
        with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
            folder = Path(name)
            apart(_prepare, folder, rows)
            lines = []
            for trainer in scaled(("by_columns", "by_rows"), ("by_columns",)):
                file = folder / f"{trainer}.txt"
                apart(_train, folder, trainer, file)
                for text in file.read_text().splitlines():
                    megabytes, seconds, *arguments = text.split()
                    step = arguments[arguments.index("--step") + 1]
                    lines.append(
                        Line(
                            name=f"{trainer}: {step}",
                            value=f"{float(megabytes):,.0f} MB, {float(seconds):,.1f} CPU s",
                        )
                    )
            table(
                f"peak memory of a run's steps, {rows:,} rows x {len(NUMBERS + HISTORY)} features",
                lines,
            )


def _prepare(folder: Path, rows: int) -> None:
    import numpy as np

    import isthmus as im

    chance = np.random.default_rng(0)
    shown, clicks = times_and_clicks(chance, rows, days=DAYS)
    impressions = shown | {
        "user_id": chance.integers(0, rows // 50, rows),
        "item_id": chance.integers(0, 10_000, rows),
        **{name: chance.normal(size=rows) for name in NUMBERS},
    }
    (folder / "features").mkdir()
    (folder / "models").mkdir()
    (folder / "features" / "item_history.sql").write_text(VIEW)
    (folder / "project.yaml").write_text(PROJECT)
    (folder / "ranker.py").write_text(RANKER)
    features = ", ".join([*NUMBERS, *(f"item_history.{name}" for name in HISTORY)])
    for trainer in ("by_columns", "by_rows"):
        (folder / "models" / f"{trainer}.yaml").write_text(
            MODEL.format(features=features, trainer=trainer)
        )
    with im.open(folder / "project.yaml") as project:
        ingest_and_materialize(project, impression=impressions, click=clicks)


def _train(folder: Path, trainer: str, file: Path) -> None:
    import isthmus as im

    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(AT_EXIT.format(file=str(file)))
    os.environ["PYTHONPATH"] = str(site)
    with im.open(folder / "project.yaml") as project:
        run = im.train(project, f"models/{trainer}.yaml")
    print(f"{trainer}: auc {run.evaluation.auc.value:.3f}")


if __name__ == "__main__":
    main(tuple(int(word) for word in sys.argv[1:] if word.isdigit()) or SIZES)
