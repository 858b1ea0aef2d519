"""Say which of two models is better for which objective: what one of them wins and loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...project.models.gate_figures import ranks
from .figure_text import digits_of, interval, signed

if TYPE_CHECKING:
    from ..evaluation.evaluation import OtherObjective
    from ..evaluation.statistics import Estimate

_GAP = "   "


def trade_off(name: str, objective: str, metric: str, own: Estimate, other: OtherObjective) -> str:
    """Return a sentence: for which of two objectives a model ranks better than another one.

    Args:
        name: The model that is compared.
        objective: What it was trained for.
        metric: The metric that `own` is of.
        own: Its difference to the other model by its own objective's outcomes.
        other: The two models by the outcomes of the other model's objective.
    """
    theirs = other.objective
    sentence = (
        f"against a model for {theirs} {name} ranks {_spoken(objective, metric, own)} and "
        f"{_spoken(theirs, other.metric, other.deciding)}"
    )
    if own.low > 0 and other.deciding.high < 0:
        sentence += f": the model for {theirs} wins {theirs} and loses {objective}"
    return sentence


def figure_rows(other: OtherObjective) -> list[tuple[str, str, str, str]]:
    """Return each metric of the order of rows as texts: (metric, first, second, difference).

    It is by the outcomes of the first model's objective.
    """
    rows = []
    for name, between in other.differences.items():
        if name in ("auc", "spearman") or ranks(name):
            digits = digits_of(name, between)
            first, second = (_short(side.get(name), name) for side in (other.first, other.second))
            label = f"{other.objective} {name.replace('_', ' ')}"
            interval_text = interval(between, digits, sign=True)
            difference = f"{signed(between.value, digits)}{_GAP}{interval_text}"
            rows.append((label, first, second, difference))
    return rows


def _spoken(objective: str, metric: str, difference: Estimate) -> str:
    """Return as text whether a model ranks better for an objective, with the figure."""
    verdict = "better" if difference.low > 0 else "worse" if difference.high < 0 else "undecided"
    digits = digits_of(metric, difference)
    interval_text = interval(difference, digits, sign=True)
    figure = f"{metric} {signed(difference.value, digits)}, 95 % {interval_text}"
    return f"{verdict} for {objective} ({figure})"


def _short(figure: Estimate | None, metric: str) -> str:
    """Return a metric and its interval as text, or `not known`."""
    if figure is None:
        return "not known"
    digits = digits_of(metric, figure)
    return f"{figure.value:<5.{digits}f}{_GAP}{interval(figure, digits)}"
