"""The leak alarm: a feature that ranks the label far better on one day than on the others has probably seen it."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date
from statistics import NormalDist
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_ALPHA = 0.01  # of a false alarm anywhere in one call
_STRONG = 0.2  # a day's AUC this far from chance is worth a warning; drift that ranks nothing is not


class LeakWarning(msgspec.Struct, frozen=True, kw_only=True):
    feature: str
    day: date
    auc: float  # on that day
    others: float  # on the other days, pooled within days
    z: float

    def __str__(self) -> str:
        return f"{self.feature}: AUC {self.auc:.3f} on {self.day:%-d %B %Y} and {self.others:.3f} on the other days: has it seen the label?"


class _Day(msgspec.Struct, frozen=True, kw_only=True):
    day: date
    auc: float
    positives: int
    negatives: int


def leak_alarm(table: pa.Table, label: str, features: Sequence[str], *, time: str = "event_timestamp") -> tuple[LeakWarning, ...]:
    """Warnings by feature and day, for numeric and bool features (nulls left out; other types have no order and are passed over).

    A day d stands out when both hold:

        z = (A_d - A) / sqrt(V(A, p_d, n_d) + sum over other days e of w_e^2 V(A, p_e, n_e)),   |z| > Phi^-1(1 - alpha / (2 m))
        |A_d - 0.5| >= 0.2

    A_d is the day's AUC (Mann-Whitney, ties count half), A = sum w_e A_e that of the other days, weighted by their pairs of positives and
    negatives; p and n are a day's positives and negatives; m counts the (feature, day) pairs tested (Bonferroni), alpha = 0.01. V is the
    variance of an AUC by Hanley and McNeil (Radiology 143, 1982), taken at A: under the hypothesis that day d is like the others. (Taken
    at A_d it would shrink to nothing as A_d nears 1, and few positives would prove anything.)

        V(A, p, n) = (A(1 - A) + (p - 1)(Q1 - A^2) + (n - 1)(Q2 - A^2)) / (p n),   Q1 = A / (2 - A),   Q2 = 2 A^2 / (1 + A)
    """
    import numpy as np

    days = np.array(table[time].to_numpy(zero_copy_only=False), "datetime64[D]")
    truth = table[label].to_numpy(zero_copy_only=False).astype(bool)
    by_feature = {name: _days(values, truth, days) for name in features if (values := _numbers(table, name)) is not None}
    tests = sum(len(found) for found in by_feature.values() if len(found) > 1)
    if not tests:
        return ()
    limit = NormalDist().inv_cdf(1 - _ALPHA / (2 * tests))
    return tuple(warning for name, found in by_feature.items() for warning in _standing_out(name, found, limit))


def auc(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    """Area under the ROC curve by ranks, ties counted half. nan without both classes."""
    import numpy as np

    positives = int(truth.sum())
    negatives = truth.size - positives
    if not positives or not negatives:
        return math.nan
    _, inverse, counts = np.unique(scores, return_inverse=True, return_counts=True)
    middle = np.cumsum(counts) - (counts - 1) / 2  # the mean rank of each distinct score
    return float((middle[inverse][truth].sum() - positives * (positives + 1) / 2) / (positives * negatives))


def _numbers(table: pa.Table, name: str) -> NDArray[np.float64] | None:
    import numpy as np
    import pyarrow as pa

    kind = table.schema.field(name).type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)):
        return None
    values: NDArray[np.float64] = np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)
    return values


def _days(values: NDArray[np.float64], truth: NDArray[np.bool_], days: NDArray[np.datetime64]) -> list[_Day]:
    import numpy as np

    known = ~np.isnan(values)
    found = []
    for day in np.unique(days[known]):
        chosen = known & (days == day)
        positives = int(truth[chosen].sum())
        negatives = int(chosen.sum()) - positives
        if positives and negatives:
            found.append(_Day(day=day.astype(date), auc=auc(values[chosen], truth[chosen]), positives=positives, negatives=negatives))
    return found


def _standing_out(feature: str, days: Sequence[_Day], limit: float) -> Iterator[LeakWarning]:
    for day in days:
        others = [other for other in days if other is not day]
        pairs = sum(other.positives * other.negatives for other in others)
        if not pairs:
            continue
        weights = [other.positives * other.negatives / pairs for other in others]
        pooled = sum(weight * other.auc for weight, other in zip(weights, others, strict=True))
        variance = _variance(pooled, day) + sum(w * w * _variance(pooled, other) for w, other in zip(weights, others, strict=True))
        if variance <= 0:  # the other days are ranked perfectly, or exactly in reverse: nothing can stand out above that
            continue
        z = (day.auc - pooled) / math.sqrt(variance)
        if abs(z) > limit and abs(day.auc - 0.5) >= _STRONG:
            yield LeakWarning(feature=feature, day=day.day, auc=day.auc, others=pooled, z=z)


def _variance(area: float, day: _Day) -> float:
    first, second = area / (2 - area), 2 * area * area / (1 + area)
    spread = area * (1 - area) + (day.positives - 1) * (first - area * area) + (day.negatives - 1) * (second - area * area)
    return spread / (day.positives * day.negatives)
