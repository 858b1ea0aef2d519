"""Say the chance to beat the control as text, with its prior. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..statistics.chance_to_beat import PRIOR_SD

if TYPE_CHECKING:
    from .results import Results


def chance_lines(results: Results) -> list[str]:
    """Return a line for each deciding metric: how likely each treatment beats the control."""
    lines: list[str] = []
    for metric in (deciding.metric.name for deciding in results.deciding):
        chances = [
            f"{_probability_text(effect.chance_to_beat.probability)} that {effect.arm} beats "
            f"{results.arms[0]}"
            for effect in results.effects
            if effect.metric == metric and effect.chance_to_beat is not None
        ]
        if chances:
            in_metric = f" in {metric}" if len(results.deciding) > 1 else ""
            lines.append(f"{', '.join(chances)}{in_metric} ({prior_text()})")
    return lines


def prior_text() -> str:
    """Return a sentence on the prior that the chance to beat the control assumes.

    It also says what that chance is not used for.
    """
    return (
        f"if true effects are normal around 0 with a standard deviation of {100 * PRIOR_SD:.0f} %; "
        "the verdict does not use it"
    )


def _probability_text(probability: float) -> str:
    """Return a probability as a percentage that is never shown as 0 or 100 %."""
    percents = 100 * probability
    if percents < 0.1 or percents > 99.9:
        return "less than 0.1 %" if percents < 50 else "more than 99.9 %"
    return f"{percents:.1f} %"
