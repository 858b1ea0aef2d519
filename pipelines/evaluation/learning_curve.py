"""Measure a learning curve: the figures of a forward evaluation by the share of units trained on.

Every share predicts the same rows. Shares are nested (shares.py), and a gain is that of one share
over the one before, paired by row. Its interval draws the units that were tested; which units were
trained on is one draw. Features know the whole history at every share: rows are taken away from the
training alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from ...errors import Invalid
from ...project.models.gate_figures import CUTOFF
from ...project.specs.description import Gate, Model
from . import measure
from .evaluation import CurvePoint, Evaluation, LearningCurve
from .forward_evaluation import Grouping, forward
from .gate import has_order
from .shares import count_units, share_of_units

SHARES = (10, 20, 40, 70, 100)  # percent


def curve_metric(gate: Gate, evaluation: Evaluation) -> str:
    """Return the metric that a learning curve shows: the first one that the gate checks.

    Calibration does not count, as more of it is not better. Without a gate it is NDCG where rows
    were ranked together, else AUC, or Spearman's correlation of a number.
    """
    bounded = (bound.metric for bound in gate.bounds if bound.metric != "calibration")
    return next(bounded, f"ndcg@{CUTOFF}" if has_order(evaluation) else evaluation.whole)


def learning_curve(
    data: pa.Table,
    trainer: Callable[..., Any],
    model: Model,
    whole: pa.Table,
    *,
    metric: str,
    start: datetime,
    end: datetime,
    folder: Path,
    log: Callable[[str], None],
    among: Grouping,
    source: Path | None = None,
    cutoffs: Sequence[int] = (CUTOFF,),
) -> LearningCurve:
    """Train on each share of the units and measure it, beside the whole evaluation's predictions.

    A share on which no model can be trained for every period is not measured, and says why.

    Args:
        data: The training set.
        trainer: The user's function that fits a predictor.
        model: The configuration.
        whole: The forward predictions of the models that were trained on all units.
        metric: The metric that is shown.
        start: The window's start.
        end: The window's end.
        folder: The project's folder.
        log: A function that writes a line to the step's log.
        among: The attributes that identify a row's unit, list and item.
        source: A Parquet file of `data`.
        cutoffs: The cutoffs of ranking metrics.
    """
    unit = among.unit or among.ranked_within
    points: list[CurvePoint] = []
    previous: tuple[int, Any] | None = None
    for percent in SHARES:
        part = share_of_units(data, unit, percent)
        point = CurvePoint(percent=percent, units=count_units(part, unit), rows=part.num_rows)
        if percent == 100:
            scores: Any = whole["prediction"].to_numpy()
        else:
            try:
                predicted = forward(
                    data,
                    trainer,
                    model,
                    start=start,
                    end=end,
                    folder=folder,
                    log=partial(_log_share, log, percent),
                    among=among,
                    source=source,
                    percent=percent,
                ).predictions
                scores = _on_the_same_rows(whole, predicted)
            except Invalid as error:
                log(f"{percent} % is not measured: {error}")
                points.append(msgspec.structs.replace(point, why_not=str(error).splitlines()[0]))
                continue
        table = whole.set_column(
            whole.column_names.index("prediction"), "prediction", pa.array(scores, pa.float64())
        )
        points.append(
            msgspec.structs.replace(
                point,
                figures=measure.figures_of(table, scores, cutoffs),
                gains=measure.differences(table, previous[1], cutoffs) if previous else {},
                gained_from=previous[0] if previous else None,
            )
        )
        previous = percent, scores
    return LearningCurve(metric=metric, unit=unit, tested=whole.num_rows, points=tuple(points))


def _log_share(log: Callable[[str], None], percent: int, line: str) -> None:
    """Write a line to the step's log, after the percentage of the units that it is about."""
    log(f"{percent} % of the units, {line}")


def _on_the_same_rows(whole: pa.Table, predicted: pa.Table) -> Any:
    """Return predictions in the order of the rows of `whole`, the evaluation with all units.

    `predicted` are those of a model that was trained on a share of the units.

    Raises:
        Invalid: it left out a period that the whole evaluation tests.
    """
    common, scores = measure.common_rows(whole, predicted)
    if missing := whole.num_rows - common.num_rows:
        raise Invalid(
            f"{missing:,} of the {whole.num_rows:,} rows tested lie in periods before which its "
            "rows all have one label"
        )
    return np.asarray(scores, dtype=float)
