"""Measure forward predictions: every figure with its 95 % interval, and differences of models.

Differences are on the same rows. Where the log names a unit, intervals draw units (units.py). Where
it names none rows are taken as independent: an AUC's interval draws rows, calibration's is the
exact Poisson one, and all of them are too narrow if people come back. Figures of a number are in
regression.py.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from ...project.models.gate_figures import CUTOFF, deciding_metric, orders
from ...project.specs.description import ROW
from . import metrics, regression, statistics, true_rates, units, worth
from .evaluation import Champion, Evaluation, OtherObjective, Period, Ranked
from .forward_evaluation import Forward
from .metrics import UnitClusters, chances, clusters, day_of
from .statistics import Estimate, Floats

_TO_BASE = "log_loss_to_base"  # log loss minus that of always answering the base rate


def measure(
    forward: Forward, cutoffs: Sequence[int] = (CUTOFF,), *, at_most: float | None = None
) -> Evaluation:
    """Return an evaluation: every metric of the forward predictions with its 95 % interval.

    AUC compares rows of the same UTC day, so that predicting busy days gains nothing.

    Args:
        forward: The forward predictions.
        cutoffs: The cutoffs of ranking metrics.
        at_most: The cap of a row's outcome, if the objective is a number that has one.
    """
    table, among = forward.predictions, clusters(forward.predictions)
    unit = forward.grouping.unit
    fields = (
        _of_number(table, cutoffs, among, at_most)
        if metrics.is_number(table)
        else _of_rate(table, cutoffs, among)
    )
    return Evaluation(
        rows=table.num_rows,
        positives=count_positives(table),
        periods=tuple(
            _period(table, number, *trained) for number, trained in enumerate(forward.trained)
        ),
        forward_days=forward.length / timedelta(days=1),
        unit=unit if among.dependent or unit == ROW else None,
        units=among.units if among.dependent else 0,
        ranked=_ranking(forward, among),
        worth=worth.measure(forward.sampled, forward.shuffled)
        if forward.sampled is not None
        else (),
        **fields,
    )


def count_positives(table: pa.Table) -> int:
    """Return the number of a table's rows whose outcome is not 0."""
    return int(np.count_nonzero(table["outcome"].to_numpy()))


def _of_rate(table: pa.Table, cutoffs: Sequence[int], among: UnitClusters) -> dict[str, Any]:
    """Return the metrics of predictions of a 0-or-1 outcome, as fields of an Evaluation.

    `cutoffs` are those of ranking metrics; `among` says which rows belong together.
    """
    outcomes, scores, base = (
        table[name].to_numpy() for name in ("outcome", "prediction", "base_rate")
    )
    base_loss = statistics.log_loss(base, outcomes)
    figures = _figures(table, base_loss, cutoffs, among)
    loss = float(statistics.log_loss(scores, outcomes).mean()) if chances(scores) else None
    return {
        "auc": figures.pop("auc"),
        "log_loss": loss,
        "base_log_loss": float(base_loss.mean()),
        "log_loss_difference": figures.pop(_TO_BASE, None),
        "calibration": figures.pop("calibration", None),
        "metrics": figures,
    }


def _of_number(
    table: pa.Table, cutoffs: Sequence[int], among: UnitClusters, at_most: float | None
) -> dict[str, Any]:
    """Return the metrics of predictions of a number, as fields of an Evaluation.

    `cutoffs` are those of ranking metrics; `among` says which rows belong together; `at_most` caps
    a row's outcome.
    """
    outcomes, scores, base = (
        table[name].to_numpy() for name in ("outcome", "prediction", "base_rate")
    )
    scale = regression.scale_of(outcomes)
    mean = {"mean": units.totals(outcomes, 1.0, among.unit, among.units, scale=scale)}
    figures = units.estimates(mean | metrics.totals(table, scores, cutoffs, among))
    warnings = regression.tail_warnings(outcomes, list(figures))
    return {
        "kind": "number",
        "auc": None,
        "log_loss": None,
        "base_log_loss": 0.0,
        "log_loss_difference": None,
        "mean": figures.pop("mean", None),
        "calibration": figures.pop("calibration", None),
        "metrics": figures,
        "base_rmse": float(np.sqrt(((base - outcomes) ** 2).mean())),
        "capped": None if at_most is None else float((outcomes >= at_most).mean()),
        "deciles": regression.deciles(outcomes, scores, among.unit, among.units),
        "warnings": warnings,
    }


def _figures(
    table: pa.Table, base_loss: Floats, cutoffs: Sequence[int], among: UnitClusters
) -> dict[str, Estimate]:
    """Return the metrics of predictions of a 0-or-1 outcome with intervals, by their names.

    `base_loss` is the log loss of each row without a model; `among` says which rows belong
    together.
    """
    outcomes, scores = table["outcome"].to_numpy(), table["prediction"].to_numpy()
    sums = metrics.totals(table, scores, cutoffs, among)
    if chances(scores):
        sums[_TO_BASE] = units.totals(
            statistics.log_loss(scores, outcomes) - base_loss, 1.0, among.unit, among.units
        )
    figures = {
        "auc": Estimate(value=_finite(sums["auc"].value), low=0.0, high=1.0)
    } | units.estimates(sums)
    if not among.dependent:
        figures["auc"] = statistics.auc(scores, outcomes, day_of(table))
    if "calibration" in sums and scores.sum() > 0 and (not among.dependent or not outcomes.any()):
        figures["calibration"] = statistics.calibration(
            outcomes, scores
        )  # a bootstrap of no outcome at all is sure of 0
    if chances(scores) and not among.dependent:
        figures[_TO_BASE] = statistics.mean_difference(
            statistics.log_loss(scores, outcomes), base_loss
        )
    return figures


def _ranking(forward: Forward, among: UnitClusters) -> Ranked | None:
    """Return how many lists and items were ranked, and how first places spread over items.

    `among` says which rows belong to a list. None without lists.
    """
    if among.group is None:
        return None
    tell = metrics.groups_that_tell(forward.predictions, among)
    top = metrics.top_of(forward.predictions, forward.predictions["prediction"].to_numpy(), among)
    return Ranked(
        within=forward.grouping.ranked_within or forward.grouping.unit or "",
        groups=tell,
        left_out=among.groups - tell,
        item=forward.grouping.item if top else None,
        items=top.items if top else 0,
        shown=top.shown if top else 0,
        gini=top.gini if top else None,
    )


def _period(table: pa.Table, number: int, start: datetime, rows: int, positives: int) -> Period:
    """Return the row counts of one test period, and its AUC, or of a number its correlation.

    `number` is the period's, `rows` and `positives` count what was trained on.
    """
    part = table.filter(pc.equal(table["period"], pa.scalar(number, pa.int64())))
    outcomes, scores = part["outcome"].to_numpy(), part["prediction"].to_numpy()
    area, correlation = math.nan, math.nan
    if metrics.is_number(table):
        correlation = regression.spearman(scores, outcomes)
    else:
        once = np.ones(part.num_rows, dtype=np.int64)
        area = statistics.Pairs(scores, outcomes, day_of(part)).auc(once)
    return Period(
        start=start,
        trained_rows=rows,
        trained_positives=positives,
        rows=part.num_rows,
        positives=count_positives(part),
        auc=None if math.isnan(area) else area,
        spearman=None if math.isnan(correlation) else correlation,
    )


def common_rows(ours: pa.Table, theirs: pa.Table) -> tuple[pa.Table, NDArray[Any]]:
    """Return the rows that two models both predicted, and the other model's predictions of them.

    Rows are matched by event_id, and have all columns of `ours`.
    """
    places = pc.index_in(ours["event_id"], theirs["event_id"].combine_chunks())
    both = pc.is_valid(places)
    predictions = theirs["prediction"].take(places.filter(both))
    return ours.filter(both), np.asarray(predictions.to_numpy(), dtype=float)


def figures_of(
    common: pa.Table, scores: Any, cutoffs: Sequence[int] = (CUTOFF,)
) -> dict[str, Estimate]:
    """Return the metrics of these scores as predictions of the rows, with intervals.

    They are by the names that gates use.
    """
    table = _with_predictions(common, scores)
    if metrics.is_number(table):
        return units.estimates(metrics.totals(table, scores, cutoffs, clusters(table)))
    base = statistics.log_loss(table["base_rate"].to_numpy(), table["outcome"].to_numpy())
    figures = _figures(table, base, cutoffs, clusters(table))
    figures.pop(_TO_BASE, None)
    return figures


def _with_predictions(table: pa.Table, scores: Any) -> pa.Table:
    """Return a table of predictions with its scores replaced by these."""
    place = table.column_names.index("prediction")
    return table.set_column(place, "prediction", pa.array(np.asarray(scores, dtype=float)))


def differences(
    common: pa.Table, other: Any, cutoffs: Sequence[int] = (CUTOFF,)
) -> dict[str, Estimate]:
    """Return each metric of one model minus that of another, on the same rows, with intervals.

    The predictions of the first are in `common`, those of the second in `other`. `auc` is always
    there, and `spearman` of a number.
    """
    among = clusters(common)
    scores = common["prediction"].to_numpy()
    ours, theirs = (metrics.totals(common, side, cutoffs, among) for side in (scores, other))
    estimates = units.differences(ours, theirs)
    if metrics.is_number(common):
        first, second = (np.nan_to_num(side["spearman"].value) for side in (ours, theirs))
        unknown = Estimate(value=float(first - second), low=-2.0, high=2.0)
        return {"spearman": unknown} | estimates
    if not among.dependent:
        estimates["auc"] = statistics.auc_difference(
            scores, other, common["outcome"].to_numpy(), day_of(common)
        )
    value = _finite(ours["auc"].value) - _finite(theirs["auc"].value)
    return {"auc": Estimate(value=value, low=-1.0, high=1.0)} | estimates


def by_other_objective(first: pa.Table, second: pa.Table, objective: str) -> OtherObjective:
    """Compare two models' forward predictions by the outcomes that the first was trained for.

    Only the rows that both models predicted count. `objective` names what the first model was
    trained for.
    """
    common, scores = common_rows(first, second)
    exchanged = _with_predictions(common, scores)
    between = differences(exchanged, common["prediction"].to_numpy())
    return OtherObjective(
        objective=objective,
        rows=common.num_rows,
        metric=deciding_metric(between),
        first=order_figures(figures_of(common, common["prediction"].to_numpy())),
        second=order_figures(figures_of(common, scores)),
        differences=order_figures(between),
    )


def order_figures(figures: Mapping[str, Estimate]) -> dict[str, Estimate]:
    """Select the metrics that need only the order of the predictions, not their values."""
    return {name: figure for name, figure in figures.items() if orders(name)}


def against(
    ours: pa.Table,
    theirs: pa.Table,
    *,
    version: str,
    run: str,
    cutoffs: Sequence[int] = (CUTOFF,),
    objective: str | None = None,
) -> Champion:
    """Compare a model's forward predictions with the champion's, on the rows of both models.

    Args:
        ours: The model's forward predictions.
        theirs: The champion's.
        version: The champion's version.
        run: The run that made it.
        cutoffs: The cutoffs of ranking metrics.
        objective: What the champion was trained for, if that is another objective: then the models
            are also compared by its outcomes, and by their order alone.
    """
    common, other = common_rows(ours, theirs)
    if not common.num_rows:
        return Champion(
            version=version,
            run=run,
            why_not=f"{version} ({run}) was evaluated on other rows: train its configuration again",
        )
    estimates = differences(common, other, cutoffs)
    return Champion(
        version=version,
        run=run,
        rows=common.num_rows,
        difference=estimates.pop("auc", None),
        differences=estimates if objective is None else order_figures(estimates),
        other=None if objective is None else by_other_objective(theirs, ours, objective),
    )


def auc(table: pa.Table) -> Estimate:
    """Return the AUC of predictions with its interval; it compares rows of the same day only."""
    among = clusters(table)
    outcomes, scores = table["outcome"].to_numpy(), table["prediction"].to_numpy()
    if not among.dependent:
        return statistics.auc(scores, outcomes, day_of(table))
    sums = metrics.totals(table, scores, (), among)["auc"]
    return units.estimates({"auc": sums}).get("auc") or Estimate(
        value=_finite(sums.value), low=0.0, high=1.0
    )


def best_possible(
    predictions: pa.Table, data: pa.Table, *, key: str, unit: str | None, within: str | None
) -> true_rates.Spread | None:
    """Return how far an entity's true outcome rates vary, over the rows that were predicted.

    It bounds the AUC that any feature of the entity can give.

    Args:
        predictions: A table of predictions.
        data: Its training set.
        key: The entity's column in `data`.
        unit: The column of a row's unit.
        within: The column that says which rows were ranked together.
    """
    place = pc.index_in(predictions["event_id"], data["event_id"].combine_chunks())
    rows = data.take(place.filter(pc.is_valid(place)))
    entity = metrics.codes(rows, key)
    if entity is None:
        return None
    names = (unit, within) if unit != key else (within,)
    blocks = (metrics.codes(rows, name) for name in names if name not in (None, ROW))
    alone = np.arange(rows.num_rows) if unit != key else _days(rows)
    block = next((codes for codes in blocks if codes is not None), alone)
    return true_rates.spread(
        true_rates.comparable_rows(rows["outcome"].to_numpy(), day_of(rows), entity, block)
    )


def _days(rows: pa.Table) -> NDArray[np.int64]:
    """Return each row's UTC day as a number from 0."""
    return np.unique(day_of(rows), return_inverse=True)[1].astype(np.int64)


def _finite(area: float) -> float:
    """Return an AUC as it is, or 0.5 (chance) if it is NaN: there is no pair of rows then."""
    return 0.5 if math.isnan(area) else area
