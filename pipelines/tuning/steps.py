"""The steps of a tuning: trial (one set of parameters), last (the best beside the file's own).

Trials are judged on the forward periods but the last, `last` measures on that one.
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid
from ...project.models.gate_figures import cutoffs, is_loss
from ...project.specs.description import Model, Objective
from ...reports.columns import plural
from ..step.context import StepContext
from .study import LastPeriod

if TYPE_CHECKING:
    import pyarrow as pa

    from ..evaluation.folds import Fold
    from ..evaluation.forward_evaluation import Forward
    from ..evaluation.gate import Verdict
    from ..evaluation.statistics import Estimate
    from ..run_pages.records import TrainingSetData

RESULT = "last.json"  # of the step `last`


def trial(context: StepContext) -> None:
    """Run the step `trial`: measure one set of parameters on all test periods but the last."""
    from ..evaluation import metrics
    from ..training.dataset import read_data

    started = time.perf_counter()
    model = msgspec.convert(context.parameters["model"], Model)
    metric: str = context.parameters["metric"]
    table, record = read_data(context.inputs["data"])
    folds = _planned(table, model, record)
    predicted = _predict(context, table, model, record, folds[:-1])
    scores = predicted.predictions["prediction"].to_numpy()
    totals = metrics.totals(
        predicted.predictions, scores, cutoffs([metric]), metrics.clusters(predicted.predictions)
    )
    value = totals[metric].value if metric in totals else math.nan
    if not math.isfinite(value):
        raise Invalid(
            f"{metric} of {plural(len(scores), 'row')} on the tuning periods is not known",
            remedy="use another metric (log_loss takes probabilities; a ranking, lists of several "
            "rows), or widen `window`",
        )
    seconds = time.perf_counter() - started
    context.log(f"{metric} {value:.6g} on {plural(len(scores), 'row')} in {seconds:.1f} s")
    context.set("value", value)
    context.set("seconds", seconds)


def last(context: StepContext) -> None:
    """Run the step `last`: measure the best trial and the file's parameters on the last period.

    Both are trained on all that was known before it. The result is `last/last.json`.
    """
    from ..evaluation import measure
    from ..training.dataset import read_data

    own = msgspec.convert(context.parameters["model"], Model)
    best = msgspec.structs.replace(
        own, parameters={**own.parameters, **context.parameters["settings"]}
    )
    metric: str = context.parameters["metric"]
    table, record = read_data(context.inputs["data"])
    period = _planned(table, own, record)[-1]
    of_best, of_own = (
        _predict(context, table, model, record, (period,)).predictions for model in (best, own)
    )
    common, own_scores = measure.common_rows(of_best, of_own)
    cutoff = cutoffs([metric])
    best_figures = measure.figures_of(common, common["prediction"].to_numpy(), cutoff)
    own_figures = measure.figures_of(common, own_scores, cutoff)
    difference = measure.differences(common, own_scores, cutoff).get(metric)
    result = LastPeriod(
        start=period.begin,
        end=period.until,
        rows=common.num_rows,
        best=best_figures.get(metric),
        own=own_figures.get(metric),
        difference=difference,
        verdict=_verdict(metric, difference),
    )
    context.log(f"{metric} on {plural(result.rows, 'row')}: {result.verdict}")
    (context.outputs["last"] / RESULT).write_bytes(msgspec.json.encode(result))


def _verdict(metric: str, difference: Estimate | None) -> Verdict:
    """Return whether a difference in a metric is better (pass) or worse (fail) with 95 %."""
    if difference is None:
        return "inconclusive"
    low, high = difference.low, difference.high
    if is_loss(metric):
        low, high = -high, -low
    return "pass" if low > 0 else "fail" if high < 0 else "inconclusive"


def _planned(table: pa.Table, model: Model, record: TrainingSetData) -> tuple[Fold, ...]:
    """Return the test periods; raise Invalid if they are fewer than two.

    One alone would leave none to judge trials on.
    """
    from ..evaluation.forward_evaluation import periods

    planned = periods(table, model, record.start, record.end)
    if len(planned) < 2:
        raise Invalid(
            f"{model.path}: the rows leave {plural(len(planned), 'period')} to test on, and tuning "
            "takes two: trials are judged on all but the last",
            remedy="widen `window`, or make evaluate.after or evaluate.forward shorter",
        )
    return planned


def _predict(
    context: StepContext,
    table: pa.Table,
    model: Model,
    record: TrainingSetData,
    folds: tuple[Fold, ...],
) -> Forward:
    """Return the forward predictions of some successive test periods, and of no other."""
    from ..evaluation import forward_evaluation
    from ..models import trainers

    project_file = context.project_file
    if project_file is None:
        raise Invalid("tuning needs a project.yaml", remedy="write project.yaml")
    folder = Path(project_file).parent
    objective = msgspec.convert(context.parameters["objective"], Objective)
    spec = context.project().spec
    every = forward_evaluation.periods(table, model, record.start, record.end)
    after = model.evaluate.after + (folds[0].begin - every[0].begin)
    cut = msgspec.structs.replace(
        model,
        evaluate=msgspec.structs.replace(model.evaluate, forward=folds[0].length, after=after),
    )
    alone = context.parameters["alone"] or context.target.adapter.remote
    return forward_evaluation.forward(
        table,
        trainers.find(cut, folder),
        cut,
        start=record.start,
        end=folds[-1].until,
        folder=folder,
        log=context.log,
        among=forward_evaluation.grouping(table, objective, spec),
        source=context.inputs["data"] / "data.parquet" if alone else None,
    )
