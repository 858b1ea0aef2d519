"""Describe how a feature is distributed in a training set, and how far it moved from another's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95, 1.0)
_BARS = 16  # of a picture, from the 1st to the 99th percentile
_DECILES = 10
# a whole number with no more values than this is a level, as text is; of more, the most frequent
# are kept
_LEVELS = 12


class Distribution(msgspec.Struct, frozen=True, kw_only=True):
    """The distribution of a feature's values.

    Numbers have `quantiles`, `bars` and deciles (`edges`, and the `shares` between them);
    everything else has `levels`.
    """

    feature: str  # view.feature, or an attribute
    rows: int
    nulls: int
    quantiles: tuple[float, ...] = ()  # 0, 5, 25, 50, 75, 95, 100 %
    bars: tuple[float, ...] = ()
    edges: tuple[float, ...] = ()
    shares: tuple[float, ...] = ()  # of the rows with a value
    levels: dict[
        str, float
    ] = {}  # shares of the most frequent values among the rows with one; the rest is the others'
    age: tuple[float, float] | None = (
        # seconds from the value's time to the row's: the median, and what 95 % are younger than
        None
    )


def distribution(feature: str, column: Any, *, age: Any = None) -> Distribution:
    """Return the distribution of a feature's column in the training set.

    `age`: seconds by row, NaN where there is no value.
    """
    values = column.drop_null().combine_chunks() if column.null_count else column.combine_chunks()
    common: dict[str, Any] = {
        "feature": feature,
        "rows": len(column),
        "nulls": column.null_count,
        "age": _age(age),
    }
    numbers = _numbers(values)
    if numbers is None:
        return Distribution(**common, levels=_levels(values))
    low, high = np.quantile(numbers, (0.01, 0.99))
    edges = np.unique(np.quantile(numbers, np.linspace(0, 1, _DECILES + 1)[1:-1]))
    bars = np.histogram(
        np.clip(numbers, low, high), bins=_BARS, range=(low, high) if high > low else None
    )[0]
    return Distribution(
        **common,
        quantiles=tuple(np.quantile(numbers, _QUANTILES).tolist()),
        bars=tuple((bars / len(numbers)).tolist()),
        edges=tuple(edges.tolist()),
        shares=tuple((_between(numbers, edges) / len(numbers)).tolist()),
    )


def drift(previous: Distribution, column: Any) -> float:
    """Return the drift of a feature's column: its population stability index to an earlier one.

    Nulls are a bin, too. It is the sum over bins of (q - p) ln(q / p) (Siddiqi, Credit Risk
    Scorecards, 2006); half a row is added to every bin, so that an empty bin counts much but not
    infinitely. By convention below 0.1 is little and above 0.25 is much; by chance alone it is
    about (bins - 1) (1 / rows + 1 / rows).
    """
    values = column.drop_null().combine_chunks() if column.null_count else column.combine_chunks()
    valued = previous.rows - previous.nulls
    if previous.edges:
        numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
        counts = _between(numbers[~np.isnan(numbers)], np.array(previous.edges))
        then = np.array(previous.shares) * valued
    else:
        counted = _levels(values, most=None)
        named = np.array([counted.get(level, 0.0) for level in previous.levels])
        counts = np.append(named, max(0.0, 1 - named.sum())) * len(values)
        shares = np.array(list(previous.levels.values()))
        then = np.append(shares, max(0.0, 1 - shares.sum())) * valued
    p, q = (
        _smooth_shares(np.append(side, nulls))
        for side, nulls in ((then, previous.nulls), (counts, column.null_count))
    )
    return float(((q - p) * np.log(q / p)).sum())


def _smooth_shares(counts: NDArray[Any]) -> NDArray[Any]:
    """Return counts as shares, with half a count added to each so that none is 0."""
    shares: NDArray[Any] = (counts + 0.5) / (counts.sum() + 0.5 * len(counts))
    return shares


def _between(numbers: NDArray[Any], edges: NDArray[Any]) -> NDArray[Any]:
    """Return how many of the numbers lie in each bin between two successive edges."""
    counts: NDArray[Any] = np.bincount(
        np.searchsorted(edges, numbers, side="right"), minlength=len(edges) + 1
    ).astype(float)
    return counts


def _numbers(values: Any) -> NDArray[Any] | None:
    """Return a column's finite numbers as an array; None if the column counts as categorical."""
    kind = values.type
    if not len(values) or not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        return None
    if pa.types.is_integer(kind) and pc.count_distinct(values).as_py() <= _LEVELS:
        return None
    numbers = np.asarray(values.cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=float)
    numbers = numbers[np.isfinite(numbers)]
    return numbers if len(numbers) else None


def _levels(values: Any, most: int | None = _LEVELS) -> dict[str, float]:
    """Return the share of each value of a categorical column, the most frequent first.

    Only the first `most` are returned; None returns all.
    """
    counted = sorted(
        values.value_counts().to_pylist(), key=lambda pair: (-pair["counts"], str(pair["values"]))
    )
    return {str(pair["values"]): pair["counts"] / len(values) for pair in counted[:most]}


def _age(age: Any) -> tuple[float, float] | None:
    """Return the median and 95th percentile of a feature's ages in seconds; None without any."""
    if age is None:
        return None
    seconds = np.asarray(age, dtype=float)
    seconds = seconds[~np.isnan(seconds)]
    return (float(np.median(seconds)), float(np.quantile(seconds, 0.95))) if len(seconds) else None


def drifts(
    previous: Sequence[Distribution], names: dict[str, str], data: pa.Table
) -> dict[str, float]:
    """Return the drift index of every feature that has an earlier distribution, by feature.

    `previous` are those distributions; `names` has each feature's column in `data`.
    """
    columns = {
        described.feature: (described, data[names[described.feature]])
        for described in previous
        if described.feature in names
    }
    return {
        feature: drift(described, column)
        for feature, (described, column) in columns.items()
        if bool(described.edges) == _is_number(column)
    }


def _is_number(column: Any) -> bool:
    """Return whether an Arrow column holds numbers or booleans."""
    kind = column.type
    return bool(
        pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)
    )


def spoken_age(seconds: float) -> str:
    """Return a duration as text in its largest unit: `40 s`, `12 min`, `5 h`, `3 days`."""
    for size, unit in ((86_400, "days"), (3_600, "h"), (60, "min")):
        if seconds >= 1.5 * size:
            return f"{seconds / size:.2g} {unit}"
    return f"{seconds:.0f} s"
