"""The results of an evaluation: figures, of segments too, differences to a champion's, a curve."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from ...core.formats import StoredDocument
from .regression import Decile
from .statistics import Estimate
from .worth import FeatureWorth

_RENAMED = {"clicks": "positives", "trained_clicks": "trained_positives"}


def renamed(old: Any) -> Any:
    """Return a stored document of format 1 with its `clicks` fields renamed to `positives`.

    Format 1 called them clicks whatever the outcome was.
    """
    return (
        {_RENAMED.get(name, name): value for name, value in old.items()}
        if isinstance(old, dict)
        else old
    )


class Period(msgspec.Struct, frozen=True, kw_only=True):
    """One test period of the forward evaluation; positives are rows whose outcome is not 0."""

    start: datetime
    trained_rows: int
    trained_positives: int
    rows: int
    positives: int
    auc: float | None  # of a number None
    spearman: float | None = None  # of a number only


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were ranked against each other, and what would stand first among them.

    Equal scores share the place.
    """

    within: str  # the attribute
    groups: int  # with two different outcomes: the others say nothing of an order
    left_out: int
    item: str | None = None  # the attribute that was ranked
    items: int = 0  # that were there to choose from
    shown: int = 0  # that stand first somewhere
    gini: float | None = None  # of their shares of first places


class Evaluation(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The figures of a forward evaluation, all periods together.

    Figures that need probabilities are None for a predictor of mere scores. Of an objective that is
    a number those of a rate are None (`auc`, and what is of log loss).
    """

    rows: int
    positives: int  # rows whose outcome is not 0
    periods: tuple[Period, ...]
    forward_days: float
    auc: Estimate | None
    log_loss: float | None
    base_log_loss: float  # of always answering the base rate; 0 of a number, which has none
    log_loss_difference: Estimate | None  # to always answering the base rate known at training
    calibration: Estimate | None
    # pr_auc and log_loss; with `ranked` ndcg@k, recall@k, precision@k, mrr and group_auc. Of a
    # number rmse, mae, r2 and spearman; with `ranked` ndcg@k and value@k
    metrics: dict[str, Estimate] = {}
    unit: str | None = None  # the attribute whose values intervals draw; None: rows
    units: int = 0
    ranked: Ranked | None = None
    worth: tuple[FeatureWorth, ...] = ()  # of every feature, the worthiest first
    kind: Literal["rate", "number"] = "rate"  # of the objective; the rest is of a number only
    mean: Estimate | None = None  # outcome of a row; None: too few units
    base_rmse: float | None = None  # of always answering the mean known at training
    capped: float | None = None  # the share of rows at the objective's `at_most`, if it has one
    deciles: tuple[Decile, ...] = ()  # of the predictions, the lowest first
    warnings: tuple[str, ...] = ()  # why its intervals may be too narrow

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        """Convert a stored evaluation of an earlier release to the present format."""
        return renamed(old) | {"periods": [renamed(period) for period in old.get("periods", ())]}

    def figures(self) -> dict[str, Estimate]:
        """Return all metrics with their intervals, by the names that a gate's bounds use."""
        named = {"auc": self.auc, "calibration": self.calibration}
        return {name: figure for name, figure in named.items() if figure is not None} | self.metrics

    @property
    def whole(self) -> str:
        """Return the name of the metric that judges the order of all rows.

        It is `auc`, or `spearman` if the outcome is a number.
        """
        return "spearman" if self.kind == "number" else "auc"


class OtherObjective(msgspec.Struct, frozen=True, kw_only=True):
    """Two models by the outcomes of an objective that only the first of them was trained for.

    It has the metrics that need the order of rows alone, by the names of gates: the second model's
    predictions are of another outcome. `differences` are the second's minus the first's.
    """

    objective: str
    rows: int
    metric: str  # that decides: value@1 of a number, ndcg@10, or without lists spearman or auc
    first: dict[str, Estimate]
    second: dict[str, Estimate]
    differences: dict[str, Estimate]

    @property
    def deciding(self) -> Estimate:
        """The difference in the metric that decides."""
        return self.differences[self.metric]


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """The model that the run was compared with, on the same rows; or why it was not."""

    version: str | None = None
    run: str | None = None
    rows: int = 0
    difference: Estimate | None = None  # of AUC; None of a number
    differences: dict[str, Estimate] = {}  # of every other metric
    ceiling: float | None = None  # the AUC of knowing the true rate of every `ceiling_of`
    ceiling_high: float | None = None  # the upper end of its 95 % interval
    ceiling_of: str | None = None  # the entity that all features of the champion are of
    why_not: str | None = None
    # by the outcomes that the champion was trained for, if they are not the run's own
    other: OtherObjective | None = None

    def figures(self) -> dict[str, Estimate]:
        """Return the differences to the champion model in every metric, by the metric's name."""
        return ({"auc": self.difference} if self.difference is not None else {}) | self.differences


class Segment(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the rows with one value of an attribute.

    `figures` and `differences` (to the champion, on the same rows) are by the names of gates; what
    cannot be told is left out.
    """

    attribute: str
    value: str
    rows: int
    positives: int
    figures: dict[str, Estimate]
    differences: dict[str, Estimate] = {}


class CurvePoint(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of the models that were trained on one share of the units."""

    percent: int
    units: int  # of the training set that are in the share
    rows: int
    figures: dict[str, Estimate] = {}  # by the names of gates; empty if it was not measured
    gains: dict[str, Estimate] = {}  # less those of the largest smaller share that was measured
    gained_from: int | None = None  # that share, in percent
    why_not: str | None = None  # why it was not measured


class LearningCurve(StoredDocument, frozen=True, kw_only=True):
    """A learning curve; its last point is the run itself, which trains on all units."""

    metric: str  # the gate's first that grows or falls with quality; else `leading_metric`
    unit: str | None  # what is drawn; None: rows, as the objective names no unit
    tested: int  # rows, the same at every share
    points: tuple[CurvePoint, ...]
