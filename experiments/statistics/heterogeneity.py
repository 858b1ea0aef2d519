"""Whether an effect is the same in every segment.

Pure. Effects are logarithms of ratios; Cochran's Q (1954), chi-square with one degree less.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from .ratio import ArmRate, log_ratio

Pair = tuple[ArmRate, ArmRate]  # control, treatment


def unlike(segments: Mapping[str, Pair]) -> float | None:
    """Return the p-value of the hypothesis that the effect is the same in every segment.

    `segments` are the control and the treatment in each. None if fewer than two segments can be
    compared.
    """
    effects = [effect for pair in segments.values() if (effect := _effect(pair)) is not None]
    if len(effects) < 2:
        return None
    middle = _mean((1 / variance, effect) for effect, variance in effects)
    return chi_square_above(
        sum((effect - middle) ** 2 / variance for effect, variance in effects), len(effects) - 1
    )


def _effect(pair: Pair) -> tuple[float, float] | None:
    """Return the logarithm of the ratio of two arms' rates, and its variance.

    None if a rate is not positive, or nothing varies.
    """
    if min(point.value for point in pair) <= 0:
        return None
    effect, variance = log_ratio(*pair)
    return (effect, variance) if variance > 0 else None


def _mean(weighted: Iterable[tuple[float, float]]) -> float:
    """Return the weighted mean of (weight, value) pairs."""
    pairs = list(weighted)
    return sum(weight * value for weight, value in pairs) / sum(weight for weight, _ in pairs)


def chi_square_above(value: float, degrees: int) -> float:
    """Return the probability that a chi-square variable exceeds a value.

    Source: Abramowitz, Stegun 1964, 26.4.4 and 26.4.5.
    """
    half = value / 2
    if half <= 0:
        return 1.0
    odd = degrees % 2
    terms = (
        math.exp((term + odd / 2) * math.log(half) - half - math.lgamma(term + odd / 2 + 1))
        for term in range((degrees - odd) // 2)
    )
    return min(1.0, math.fsum(terms) + (math.erfc(math.sqrt(half)) if odd else 0.0))
