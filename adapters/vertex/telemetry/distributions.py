"""Percentiles of a google.api.Distribution, as exact as its buckets. Pure."""

from __future__ import annotations

from math import nan
from typing import Any


def percentile(distribution: Any, share: float) -> float:
    """Return a distribution's percentile (`share` of 0 to 1), interpolated within its bucket.

    ALIGN_PERCENTILE of Cloud Monitoring does the same.
    """
    bounds = _bounds(distribution.bucket_options)
    left = share * distribution.count
    for place, count in enumerate(distribution.bucket_counts):
        if count and left <= count:
            low: float = bounds[place - 1] if place else min(0.0, bounds[0])
            high = bounds[place] if place < len(bounds) else low
            return float(low + (high - low) * left / count)
        left -= count
    return nan


def _bounds(options: Any) -> list[float]:
    """Return the bounds of a distribution's histogram buckets."""
    if "exponential_buckets" in options:
        exponential = options.exponential_buckets
        return [
            exponential.scale * exponential.growth_factor**place
            for place in range(exponential.num_finite_buckets + 1)
        ]
    if "linear_buckets" in options:
        linear = options.linear_buckets
        return [
            linear.offset + linear.width * place for place in range(linear.num_finite_buckets + 1)
        ]
    return list(options.explicit_buckets.bounds) or [0.0]
