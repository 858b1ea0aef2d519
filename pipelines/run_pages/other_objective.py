"""Say which of two models is better for which objective: what one of them wins and loses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .figure_text import difference_text, with_interval

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

    The outcomes are those that the first model was trained for.
    """
    return [
        (
            label_of(other, name),
            with_interval(other.first.get(name), name, _GAP),
            with_interval(other.second.get(name), name, _GAP),
            difference_text(between, name, _GAP),
        )
        for name, between in other.differences.items()
    ]


def label_of(other: OtherObjective, metric: str) -> str:
    """Return a metric's name as text, after the name of the objective whose outcomes judge it."""
    return f"{other.objective} {metric.replace('_', ' ')}"


def _spoken(objective: str, metric: str, difference: Estimate) -> str:
    """Return as text for which model the order is better by an objective's outcomes.

    `difference` is that in the metric.
    """
    verdict = "better" if difference.low > 0 else "worse" if difference.high < 0 else "undecided"
    return f"{verdict} for {objective} ({metric} {difference_text(difference, metric, ', 95 % ')})"
