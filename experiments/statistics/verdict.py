"""Judgements of a figure: a side for a metric, one of three words for a guardrail. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal

from ...project.specs.experiments import ExperimentGuardrail
from . import sample_size
from .ratio import Difference
from .sums import UnitSums

Judgement = Literal["holds", "broken", "inconclusive"]
Goal = Literal["maximise", "minimise"]
Side = Literal["better", "worse", "open"]
_SEVERITY: tuple[Judgement, ...] = ("holds", "inconclusive", "broken")


def judge(guardrail: ExperimentGuardrail, difference: Difference | None) -> Judgement:
    """Return whether the difference between two arms is within a guardrail's margin.

    "holds" if the difference's whole interval is within the margin, "broken" if all of it is
    beyond, else (or if there is no difference) "inconclusive".
    """
    if difference is None:
        return "inconclusive"
    relative, margin = difference.relative, float(guardrail.margin) / 100
    worst, best = (
        (relative.high, relative.low)
        if guardrail.may == "rise"
        else (-relative.low, -relative.high)
    )
    return "holds" if worst <= margin else "broken" if best > margin else "inconclusive"


def by_metric(judgements: Iterable[tuple[str, Judgement]]) -> dict[str, Judgement]:
    """Return the worst judgement of each metric.

    A metric may have two guardrails: one limits a rise, the other a drop.
    """
    worst: dict[str, Judgement] = {}
    for name, judged in judgements:
        worst[name] = _SEVERITY[
            max(_SEVERITY.index(judged), _SEVERITY.index(worst.get(name, judged)))
        ]
    return worst


def side(difference: Difference | None, goal: Goal) -> Side:
    """Return whether an effect is "better" or "worse" than none, or "open", by its interval.

    The interval is the relative one, which pages print, or the absolute one if a rate is not
    positive. "open": the interval includes no difference, or there are too few data for one.

    Returns:
        "open" if the interval holds no difference, or if there are too few data for one.
    """
    if difference is None:
        return "open"
    relative = difference.relative
    bounded = math.isfinite(relative.low) and math.isfinite(relative.high)
    shown = relative if bounded else difference.absolute
    if shown.low <= 0 <= shown.high:
        return "open"
    return "better" if (difference.absolute.value > 0) == (goal == "maximise") else "worse"


def size(control: UnitSums, units: int, unit: str) -> str:
    """Return a sentence on which effects an arm of so many units can show.

    `control` are the control's sums, `unit` is what the units are called.
    """
    if not control.y:
        return ""
    rise = sample_size.effect_shown(control, units)
    least = (
        "no effect below eleven times the control"
        if rise is None
        else f"a rise of {percent_up(rise)} % or more"
    )
    needed = f"{rounded(sample_size.units_needed(control, 0.2)):,} {unit}s an arm"
    return f"This size shows {least} four times in five; +20 % takes {needed}."


def percent_up(share: float) -> int:
    """Return a share as a number of whole percents, rounded up."""
    return -int(-share * 100 // 1)


def rounded(count: int) -> int:
    """Round a count to thousands if it is ten thousand or more."""
    return count if count < 10_000 else round(count, -3)
