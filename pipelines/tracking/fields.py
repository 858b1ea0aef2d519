"""Tell a training run in MLflow's words: parameters, metrics, tags and its data set. Pure."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

import msgspec

from ...project.models.gate_figures import AGAINST
from ...times import epoch_milliseconds
from ..evaluation.statistics import Estimate
from ..run_pages.notes import Notes
from ..run_pages.records import Run, TrainingSetData
from .column_types import MLFLOW

RUN_ID = "isthmus.run_id"  # the tag that a run is found again by
DIGEST = "isthmus.digest"  # written last: of what was copied
_LONGEST_DIGEST = 36  # of a data set, in MLflow


class Metric(msgspec.Struct, frozen=True, kw_only=True):
    key: str
    value: float
    at: int  # milliseconds since 1970
    step: int = 0


def key(name: str) -> str:
    """Return a metric's or parameter's name as MLflow accepts it: ndcg_at_10 for ndcg@10."""
    return re.sub(r"[^/\w.\- :]", "_", name.replace("@", "_at_"))


def parameters(run: Run) -> dict[str, str]:
    """Return a training run's MLflow parameters: the trainer's by dotted name, and the run's own.

    The run's own are trainer, objective, features and window.
    """
    window = (
        {"window.start": _iso(run.data.start), "window.end": _iso(run.data.end)} if run.data else {}
    )
    described = {
        "trainer": run.trainer,
        "objective": run.objective,
        "features": ", ".join(run.features),
        **window,
    }
    return described | {key(name): _value_text(value) for name, value in _flat(run.parameters)}


def _flat(values: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    """Yield the entries of nested parameters under dotted names."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


def _value_text(value: object) -> str:
    """Return a parameter's value as text: text as it is, other values as JSON."""
    return value if isinstance(value, str) else json.dumps(value)


def metrics(run: Run) -> tuple[Metric, ...]:
    """Return a run's MLflow metrics: figures, differences to the champion, AUC by period, drift.

    If the outcome is a number, Spearman's correlation takes the place of AUC. A metric has its 95 %
    interval as NAME_min and NAME_max.
    """
    ended_ms = epoch_milliseconds(run.ended)
    figures = {name: value for name, value in _figures(run) if math.isfinite(value)}
    totals = tuple(
        Metric(key=key(name), value=value, at=ended_ms) for name, value in figures.items()
    )
    return totals + (tuple(_periods(run)) if run.evaluation else ())


def _figures(run: Run) -> Iterator[tuple[str, float]]:
    """Yield a training run's metrics for MLflow as (name, value)."""
    if run.data:
        yield from (("rows", run.data.rows), ("positives", run.data.positives))
        yield from (
            (name, value)
            for name, value in (("mean", run.data.mean), ("capped", run.data.capped))
            if value is not None
        )
    if run.evaluation:
        yield from (
            ("test_rows", run.evaluation.rows),
            ("test_positives", run.evaluation.positives),
        )
        if run.evaluation.kind == "rate":
            yield "base_log_loss", run.evaluation.base_log_loss
        yield from (
            (name, value)
            for name, value in (
                ("base_rmse", run.evaluation.base_rmse),
                ("test_capped", run.evaluation.capped),
            )
            if value is not None
        )
        if run.evaluation.mean is not None:
            yield from _interval("test_mean", run.evaluation.mean)
        for name, estimate in run.evaluation.figures().items():
            yield from _interval(name, estimate)
    for name, estimate in run.champion.figures().items():
        yield from _interval(f"{name}{AGAINST}", estimate)
    yield from ((f"drift/{feature}", value) for feature, value in run.drift.items())


def _interval(name: str, estimate: Estimate) -> Iterator[tuple[str, float]]:
    """Yield an estimate as three MLflow metrics: NAME, NAME_min and NAME_max."""
    yield from (
        (name, estimate.value),
        (f"{name}_min", estimate.low),
        (f"{name}_max", estimate.high),
    )


def _periods(run: Run) -> Iterator[Metric]:
    """Yield the AUC or spearman of each test period as steps of one MLflow metric."""
    for step, period in enumerate(run.evaluation.periods if run.evaluation else ()):
        for metric, value in (("auc", period.auc), ("spearman", period.spearman)):
            if value is not None and math.isfinite(value):
                moment = epoch_milliseconds(period.start)
                yield Metric(key=f"period_{metric}", value=value, at=moment, step=step)


def tags(run: Run, notes: Notes, *, project: str, run_id: str) -> dict[str, str]:
    """Return a training run's MLflow tags: where it comes from, its gate, version and note."""
    recorded = {
        "mlflow.source.name": run.path,
        "mlflow.source.git.commit": run.git and run.git.revision,
        RUN_ID: run_id,
        "isthmus.run": run.name,
        "isthmus.project": project,
        "isthmus.target": run.target,
        "isthmus.configuration": run.configuration,
        "isthmus.overrides": " ".join(run.overrides),
        "isthmus.git": run.git and str(run.git),
        "isthmus.code": run.code,
        "isthmus.data": run.data and run.data.digest,
        "isthmus.gate": run.gate,
        "isthmus.version": run.version,
        "isthmus.alias": run.alias,
        "isthmus.failure": run.failure,
    }
    noted = {
        "mlflow.note.content": notes.note,
        "isthmus.tags": " ".join(notes.tags),
    }  # they may become empty again
    return {name: value for name, value in recorded.items() if value} | noted


class DataSet(msgspec.Struct, frozen=True, kw_only=True):
    """The fields of an mlflow.entities.Dataset."""

    name: str
    digest: str  # as much of it as MLflow takes; the tag isthmus.data has the whole
    source: str  # JSON, as what follows
    schema: str
    profile: str


def data_set(data: TrainingSetData, *, objective: str, uri: str) -> DataSet:
    """Return a training set as an MLflow dataset; `uri` is where the rows are."""
    columns = [
        {"type": MLFLOW[kind], "name": name, "required": False} for name, kind in data.types.items()
    ]
    return DataSet(
        name=objective,
        digest=data.digest[:_LONGEST_DIGEST],
        source=json.dumps({"uri": uri}),
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps(
            {
                "num_rows": data.rows,
                "num_elements": data.rows * len(columns),
                "positives": data.positives,
            }
        ),
    )


def _iso(moment: datetime) -> str:
    """Return a time as text in ISO 8601 with Z for UTC."""
    return moment.isoformat().replace("+00:00", "Z")
