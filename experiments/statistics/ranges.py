"""A figure with an interval that may have no end, as results store it."""

from __future__ import annotations

import math

import msgspec

from ...pipelines.evaluation.statistics import Estimate


class FigureInterval(msgspec.Struct, frozen=True, kw_only=True):
    """A figure with its interval; None: it has no end (yet)."""

    value: float | None
    low: float | None
    high: float | None


def as_range(estimate: Estimate) -> FigureInterval:
    """Return an estimate as a range, with None for infinite ends."""
    bounded = math.isfinite(estimate.low) and math.isfinite(estimate.high)
    value = estimate.value if math.isfinite(estimate.value) else None
    return FigureInterval(
        value=value, low=estimate.low if bounded else None, high=estimate.high if bounded else None
    )
