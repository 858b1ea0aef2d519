"""Distributions: counts between bounds as Cloud Monitoring has them. Pure."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from google.api import distribution_pb2

GROWTH, SCALE, FINITE = (
    1.4,
    1.0,
    66,
)  # what many of Google's own latencies have; Vertex AI's are not documented


class Histogram(msgspec.Struct, frozen=True, kw_only=True):
    """A histogram.

    `counts` has one entry more than `bounds`: below the first, between each two, and from the last
    on.
    """

    bounds: tuple[float, ...]
    counts: tuple[int, ...]
    mean: float
    squares: float  # sum of squared deviations from the mean

    @property
    def count(self) -> int:
        """The number of observations."""
        return sum(self.counts)


def exponential(
    growth: float = GROWTH, scale: float = SCALE, finite: int = FINITE
) -> tuple[float, ...]:
    """Return the bounds of a histogram's exponential buckets: `scale` times powers of `growth`.

    `finite` is how many buckets have two bounds.
    """
    return tuple(scale * growth**place for place in range(finite + 1))


LATENCIES = exponential()


def of_values(values: Sequence[float], bounds: tuple[float, ...] = LATENCIES) -> Histogram:
    """Return the histogram of values over buckets with these bounds."""
    counts = [0] * (len(bounds) + 1)
    for value in values:
        counts[bisect_right(bounds, value)] += 1
    mean = sum(values) / len(values) if values else 0.0
    return Histogram(
        bounds=bounds,
        counts=tuple(counts),
        mean=mean,
        squares=sum((value - mean) ** 2 for value in values),
    )


def merged(histograms: Iterable[Histogram]) -> Histogram:
    """Return the sum of histograms that have the same bounds.

    Raises:
        ValueError: There is no histogram, or their bounds differ.
    """
    first, *rest = histograms
    for other in rest:
        first = _merge(first, other)
    return first


def percentile(histogram: Histogram, share: float) -> float:
    """Return a histogram's percentile (`share` of 0 to 1), interpolated within its bucket."""
    left = share * histogram.count
    for place, count in enumerate(histogram.counts):
        if count and left <= count:
            low = histogram.bounds[place - 1] if place else min(0.0, histogram.bounds[0])
            high = histogram.bounds[place] if place < len(histogram.bounds) else low
            return low + (high - low) * left / count
        left -= count
    return histogram.bounds[-1]


def message(histogram: Histogram) -> Any:
    """Return a histogram as a Distribution message, without empty buckets at its end."""
    counts = list(histogram.counts)
    while counts and not counts[-1]:
        counts.pop()
    result = distribution_pb2.Distribution(
        count=histogram.count,
        mean=histogram.mean,
        sum_of_squared_deviation=histogram.squares,
        bucket_counts=counts,
    )
    if histogram.bounds == LATENCIES:
        options = result.bucket_options.exponential_buckets
        options.num_finite_buckets, options.growth_factor, options.scale = FINITE, GROWTH, SCALE
    else:
        result.bucket_options.explicit_buckets.bounds.extend(histogram.bounds)
    return result


def of_message(distribution: Any) -> Histogram:
    """Return a Distribution message of the API as a histogram."""
    options = distribution.bucket_options
    kind = options.WhichOneof("options")
    if kind == "exponential_buckets":
        own = options.exponential_buckets
        bounds = exponential(own.growth_factor, own.scale, own.num_finite_buckets)
    elif kind == "linear_buckets":
        own = options.linear_buckets
        bounds = tuple(
            own.offset + own.width * place for place in range(own.num_finite_buckets + 1)
        )
    else:
        bounds = tuple(options.explicit_buckets.bounds) or (0.0,)
    counts = [*distribution.bucket_counts, *[0] * (len(bounds) + 1)][: len(bounds) + 1]
    return Histogram(
        bounds=bounds,
        counts=tuple(counts),
        mean=distribution.mean,
        squares=distribution.sum_of_squared_deviation,
    )


def _merge(left: Histogram, right: Histogram) -> Histogram:
    """Return the sum of two histograms that have the same bounds."""
    if left.bounds != right.bounds:
        raise ValueError("distributions of different buckets are not merged here")
    count = left.count + right.count
    if not count:
        return left
    difference = right.mean - left.mean
    return Histogram(
        bounds=left.bounds,
        counts=tuple(a + b for a, b in zip(left.counts, right.counts, strict=True)),
        mean=left.mean + difference * right.count / count,
        squares=left.squares + right.squares + difference**2 * left.count * right.count / count,
    )
