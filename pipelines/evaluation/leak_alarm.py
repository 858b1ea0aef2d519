"""Find features that may have seen the label (the leak alarm).

Such a feature ranks the label far better on one day than on the others, or far worse a little
earlier. One that leaks on one day (a first day whose outcomes were counted with it) stands out
among the days. One that leaks every day does not, but what it saw was known too early by some
minutes: with the values that were known twice the outcome's time earlier its worth falls. A feature
that honestly lives for minutes only falls, too: the alarm asks, people answer. Neither sees a value
that holds later outcomes long before them (a mean over the whole log, as a static table): that is
the as-known check's business, where the table says when it knew.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...project.reading.quantities import duration_text
from ..models.lineage import histories
from . import metrics, ranking
from .statistics import sums

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...project.specs.description import Model

_ALPHA = 0.01  # of a false alarm anywhere in one call
_STRONG = (
    0.2  # a day's AUC this far from chance is worth a warning; drift that ranks nothing is not
)
_FAR = 0.1  # and this far from that of the other days, or of the values known earlier
_FEWEST = 10  # units that can be judged, on a day or in all

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]


class FeatureFinding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of the alarm about one feature."""

    feature: str
    # that hold both outcomes; none: it has no order (text), or no value, and was not looked at
    days: int = 0
    auc: float | None = None  # within days
    lowest: float | None = None  # of a day
    highest: float | None = None
    earlier: float | None = None  # AUC of the values known earlier, on the rows that have both
    warnings: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.feature}: {self.finding()}"

    def finding(self) -> str:
        """Return the finding as a sentence."""
        if self.warnings:
            return f"{'; '.join(self.warnings)}: has it seen the label?"
        if self.auc is None:
            return "not looked at: it has no order, or no day holds both outcomes"
        then = "" if self.earlier is None else f", {self.earlier:.3f} with what was known earlier"
        return (
            f"AUC {self.auc:.3f}, {self.lowest:.3f} .. {self.highest:.3f} over {self.days} "
            f"days{then}: nothing stands out"
        )


class _Days(msgspec.Struct, frozen=True, kw_only=True):
    """The pairs of a positive and a negative row, as arrays over the days that can be judged."""

    day: NDArray[np.datetime64]
    auc: Floats
    positives: Floats
    negatives: Floats
    spread: Floats  # the variance of each day's AUC over its units; 0 without units
    design: float  # how many times wider the AUC of all days is than of independent rows

    @property
    def pairs(self) -> Floats:
        """The pairs of a positive and a negative row, by day."""
        return self.positives * self.negatives


def leak_alarm(
    table: pa.Table,
    label: str,
    features: Sequence[str],
    *,
    unit: str | None = None,
    earlier: pa.Table | None = None,
    back: timedelta = timedelta(),
    time: str = "event_timestamp",
) -> tuple[FeatureFinding, ...]:
    """Look at numeric and bool features (nulls left out; other types have no order).

    `earlier`: the same rows with what was known `back` before them. `unit`: the column that says
    whose a row is. A day d stands out when all of these hold:

        z = (A_d - A) / sqrt(V_d + t + sum over other days e of w_e^2 (V_e + t)),
        |z| > Phi^-1(1 - alpha / (2 m)),
        |A_d - 0.5| >= 0.2,   |A_d - A| >= 0.1,   A_d is farther from 0.5 than A, on its side

    A_d is the day's AUC (Mann-Whitney, ties count half), A = sum w_e A_e that of the other days,
    weighted by their pairs of positives and negatives; m counts the tests (Bonferroni), alpha =
    0.01. t is the variance between the other days beyond their own (DerSimonian and Laird 1986): a
    history that grows makes honest days differ. V_e is D V(A, p_e, n_e) with a day's positives and
    negatives p and n and the variance V of an AUC by Hanley and McNeil (Radiology 143, 1982) at A,
    so under the hypothesis that day d is like the others. (Taken at A_d it would shrink to nothing
    as A_d nears 1, and few positives would prove anything.) Where rows have units, D is the design
    effect, the variance over units of the AUC of all days (Obuchowski 1997) over that of
    independent rows, 1 at least, and V_d is not below the day's own variance over its units.

        V(A, p, n) = (A(1 - A) + (p - 1)(Q1 - A^2) + (n - 1)(Q2 - A^2)) / (p n),
        Q1 = A / (2 - A),   Q2 = 2 A^2 / (1 + A)

    Values known earlier: the fall of AUC on the rows that have both, with its variance over units
    (or rows), beyond the same limit and 0.1.
    """
    days = np.array(table[time].to_numpy(zero_copy_only=False), "datetime64[D]")
    truth = np.asarray(table[label].to_numpy(zero_copy_only=False)).astype(bool)
    codes = None if unit is None else metrics.codes(table, unit)
    units = np.arange(table.num_rows) if codes is None else codes
    ordered = [
        name for name in features if _has_order(table, name)
    ]  # the numbers of one feature at a time: of millions of rows
    judged = {
        name: _days(_numbers(table, name), truth, days, units, clustered=unit is not None)
        for name in ordered
    }
    with_earlier = [name for name in ordered if earlier is not None and _has_order(earlier, name)]
    tests = sum(len(by_day.day) for by_day in judged.values() if len(by_day.day) > 1) + len(
        with_earlier
    )
    limit = NormalDist().inv_cdf(1 - _ALPHA / (2 * max(tests, 1)))
    looked = []
    for name in features:
        by_day = judged.get(name)
        if by_day is None or not len(by_day.day):
            looked.append(FeatureFinding(feature=name))
            continue
        warnings = [*_standing_out(by_day, limit)]
        held_back = None
        if earlier is not None and name in with_earlier:
            held_back = _fall(_numbers(table, name), _numbers(earlier, name), truth, days, units)
        if held_back is not None:
            now, then, z = held_back
            if abs(now - 0.5) - abs(then - 0.5) >= _FAR and z > limit:
                warnings.append(
                    f"AUC {now:.3f}, and {then:.3f} with what was known "
                    f"{duration_text(back)} earlier"
                )
        looked.append(
            FeatureFinding(
                feature=name,
                days=len(by_day.day),
                auc=float((by_day.auc * by_day.pairs).sum() / by_day.pairs.sum()),
                lowest=float(by_day.auc.min()),
                highest=float(by_day.auc.max()),
                earlier=held_back[1] if held_back else None,
                warnings=tuple(warnings),
            )
        )
    return tuple(looked)


def look(
    project: Project,
    model: Model,
    table: pa.Table,
    *,
    start: datetime,
    end: datetime,
    as_of: datetime,
) -> tuple[FeatureFinding, ...]:
    """Look at a configuration's training set.

    Features of past outcomes are also looked at as they were known twice `within` earlier.
    """
    from ...feature_store.offline.training_set import training_set

    objective = project.spec.objectives[model.objective]
    back, views = 2 * objective.within, histories(project.spec, model.objective)
    past = [feature for feature in model.features if feature.view in views]
    earlier = None
    if past:
        earlier = training_set(
            project, model.objective, past, start=start, end=end, as_of=as_of, earlier=back
        )
        earlier = earlier.select([feature.name for feature in past])
    names = [feature.name for feature in model.features]
    return leak_alarm(table, "outcome", names, unit=objective.unit, earlier=earlier, back=back)


def _has_order(table: pa.Table, name: str) -> bool:
    """Return whether a column's values have an order: numbers and booleans."""
    if name not in table.column_names:
        return False
    kind = table.schema.field(name).type
    return pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_boolean(kind)


def _numbers(table: pa.Table, name: str) -> Floats:
    """Return a column as floats."""
    return np.asarray(table[name].cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _days(
    values: Floats,
    truth: NDArray[np.bool_],
    days: NDArray[np.datetime64],
    units: Codes,
    *,
    clustered: bool,
) -> _Days:
    """Return the AUC of one feature alone, day by day, with its variance."""
    has_value = ~np.isnan(values)
    names, day = np.unique(days[has_value], return_inverse=True)
    number, hit = len(names), truth[has_value]
    won, pairs = ranking.pair_shares(values[has_value], hit, day.astype(np.int64))
    positives, rows = sums(day, hit, number), sums(day, 1.0, number)
    wins, all_pairs = sums(day, won, number), positives * (rows - positives)
    with np.errstate(divide="ignore", invalid="ignore"):
        auc = wins / all_pairs
    good = all_pairs > 0
    spread, design = np.zeros(number), 1.0
    if clustered and good.any():
        own = units[has_value]
        cell, places = np.unique(own * number + day, return_inverse=True)  # a unit on a day
        of_day = cell % number
        good &= np.bincount(of_day, minlength=number) >= _FEWEST
        influence = (
            2
            * (sums(places, won, len(cell)) - auc[of_day] * sums(places, pairs, len(cell)))
            / all_pairs[of_day]
        )
        spread = sums(of_day, np.nan_to_num(influence) ** 2, number)
        design = _design(
            own, won, pairs, positives[all_pairs > 0], (rows - positives)[all_pairs > 0]
        )
    return _Days(
        day=names[good],
        auc=auc[good],
        positives=positives[good],
        negatives=(rows - positives)[good],
        spread=spread[good],
        design=design,
    )


def _design(
    units: Codes, won: Floats, pairs: Floats, positives: Floats, negatives: Floats
) -> float:
    """Return the design effect of the AUC of all days together."""
    total = float(pairs.sum())
    area = float(won.sum()) / total
    codes = np.unique(units, return_inverse=True)[1].astype(np.int64)
    parts = 2 * sums(codes, won - area * pairs, int(codes.max()) + 1) / total
    weights = positives * negatives / total
    independent = float((weights**2 * _variance(area, positives, negatives)).sum())
    return max(1.0, float((parts**2).sum()) / independent) if independent > 0 else 1.0


def _standing_out(by_day: _Days, limit: float) -> Iterator[str]:
    """Yield the days on which a feature alone predicts far better than on the others."""
    for place in range(len(by_day.day)):
        others = np.arange(len(by_day.day)) != place
        pairs = by_day.pairs[others]
        if not pairs.sum():
            continue
        weights = pairs / pairs.sum()
        pooled = float((weights * by_day.auc[others]).sum())
        own, theirs = (
            by_day.design * _variance(pooled, by_day.positives[side], by_day.negatives[side])
            for side in (place, others)
        )
        between = _between(by_day.auc[others], theirs)
        variance = (
            max(float(own), float(by_day.spread[place]))
            + between
            + float((weights**2 * (theirs + between)).sum())
        )
        # the other days are ranked perfectly, or exactly in reverse: nothing can stand out above
        # that
        if own <= 0:
            continue
        area = float(by_day.auc[place])
        away = area - pooled
        flatters = away * (area - 0.5) > 0
        if (
            flatters
            and abs(away) / math.sqrt(variance) > limit
            and abs(area - 0.5) >= _STRONG
            and abs(away) >= _FAR
        ):
            day: date = by_day.day[place].astype(date)
            yield f"AUC {area:.3f} on {day:%-d %B %Y} and {pooled:.3f} on the other days"


def _between(areas: Floats, variances: Floats) -> float:
    """Return the variance between days beyond their own, by moments."""
    if len(areas) < 3 or not (variances > 0).all():
        return 0.0
    weights = 1 / variances
    mean = (weights * areas).sum() / weights.sum()
    excess = (weights * (areas - mean) ** 2).sum() - (len(areas) - 1)
    return max(0.0, float(excess / (weights.sum() - (weights**2).sum() / weights.sum())))


def _fall(
    now: Floats, then: Floats, truth: NDArray[np.bool_], days: NDArray[np.datetime64], units: Codes
) -> tuple[float, float, float] | None:
    """Return the AUC within days now, that of the earlier values, and the standard errors between.

    None where there is no pair of rows.
    """
    both = ~np.isnan(now) & ~np.isnan(then)
    day = np.unique(days[both], return_inverse=True)[1].astype(np.int64)
    shares = [ranking.pair_shares(values[both], truth[both], day) for values in (now, then)]
    total = float(shares[0][1].sum())
    if not total:
        return None
    first, second = (float(won.sum()) / total for won, _ in shares)
    codes = np.unique(units[both], return_inverse=True)[1].astype(np.int64)
    (won, pairs), (won_then, _) = shares
    number = int(codes.max()) + 1
    parts = 2 * sums(codes, won - won_then - (first - second) * pairs, number) / total
    error = math.sqrt(float((parts**2).sum()))
    if number < _FEWEST or first == second:
        return first, second, 0.0
    return (
        first,
        second,
        abs(first - second) / error if error else math.inf,
    )  # without error: the feature is the label itself


def _variance(area: float, positives: Any, negatives: Any) -> Any:
    """Return the variance of an AUC (Hanley and McNeil, 1982)."""
    first, second = area / (2 - area), 2 * area * area / (1 + area)
    spread = (
        area * (1 - area)
        + (positives - 1) * (first - area * area)
        + (negatives - 1) * (second - area * area)
    )
    return spread / (positives * negatives)
