"""The results of an evaluation: figures, of segments too, differences to a champion's, a curve."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ...core.formats import StoredDocument
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
    """One test period of the forward evaluation."""

    start: datetime
    trained_rows: int
    trained_positives: int
    rows: int
    positives: int
    auc: float | None


class Ranked(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that were ranked against each other, and what would stand first among them.

    Equal scores share the place.
    """

    within: str  # the attribute
    groups: int  # with both outcomes: the others say nothing of an order
    left_out: int
    item: str | None = None  # the attribute that was ranked
    items: int = 0  # that were there to choose from
    shown: int = 0  # that stand first somewhere
    gini: float | None = None  # of their shares of first places


class Evaluation(StoredDocument, frozen=True, kw_only=True, tag=2):
    """The figures of a forward evaluation, all periods together.

    Figures that need probabilities are None for a predictor of mere scores.
    """

    rows: int
    positives: int
    periods: tuple[Period, ...]
    forward_days: float
    auc: Estimate
    log_loss: float | None
    base_log_loss: float
    log_loss_difference: Estimate | None  # to always answering the base rate known at training
    calibration: Estimate | None
    # pr_auc and log_loss; with `ranked` ndcg@k, recall@k, precision@k, mrr and group_auc
    metrics: dict[str, Estimate] = {}
    unit: str | None = None  # the attribute whose values intervals draw; None: rows
    units: int = 0
    ranked: Ranked | None = None
    worth: tuple[FeatureWorth, ...] = ()  # of every feature, the worthiest first

    @classmethod
    def upgraded(cls, old: Any, _schema: int, /) -> Any:
        """Convert a stored evaluation of an earlier release to the present format."""
        return renamed(old) | {"periods": [renamed(period) for period in old.get("periods", ())]}

    def figures(self) -> dict[str, Estimate]:
        """Return all metrics with their intervals, by the names that gates use."""
        named = {"auc": self.auc, "calibration": self.calibration}
        return {name: figure for name, figure in named.items() if figure is not None} | self.metrics


class Champion(msgspec.Struct, frozen=True, kw_only=True):
    """The model that the run was compared with, on the same rows; or why it was not."""

    version: str | None = None
    run: str | None = None
    rows: int = 0
    difference: Estimate | None = None  # of AUC
    differences: dict[str, Estimate] = {}  # of every other metric
    ceiling: float | None = None  # the AUC of knowing the true rate of every `ceiling_of`
    ceiling_high: float | None = None  # the upper end of its 95 % interval
    ceiling_of: str | None = None  # the entity that all features of the champion are of
    why_not: str | None = None

    def figures(self) -> dict[str, Estimate]:
        """Return the differences to the champion in every metric, by the metric's name."""
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

    metric: str  # the gate's first that grows or falls with quality; else ndcg@10 or auc
    unit: str | None  # what is drawn; None: rows, as the objective names no unit
    tested: int  # rows, the same at every share
    points: tuple[CurvePoint, ...]
