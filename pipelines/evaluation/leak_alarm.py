"""Find features that may have seen the label (the leak alarm).

Such a feature ranks the label far better on one day than on the others, or far worse a little
earlier. One that leaks on one day (a first day whose outcomes were counted with it) stands out
among the days. One that leaks every day does not, but what it saw was known too early by some
minutes: with the values that were known twice the outcome's time earlier its worth falls. A feature
that honestly lives for minutes only falls, too: the alarm asks, people answer.

Neither sees an attribute of the row itself, nor a value that holds later outcomes long before them
(a mean over the whole log, as a static table). These are held against what can be known at all: the
true rates of the entity that a feature describes (true_rates.py), an AUC of 0.9, rows that all have
the outcome where the feature has some value, an id that ranks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from statistics import NormalDist
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ...project.reading.quantities import duration_text
from ...project.specs.description import ROW
from . import metrics, true_rates
from .daily_auc import FAR, FEWEST, Codes, DailyAuc, daily_auc, fall, standing_out
from .feature_values import FeatureValues, feature_values, why_not_ordered
from .statistics import Floats, sums

ALPHA = 0.01  # of a false alarm anywhere in one call
_PLAUSIBLE = 0.9  # the AUC that a single feature is taken to have honestly
_SURE = 0.9  # the share of rows with the outcome that a value is taken to have honestly
_CONSTANT = 0.999  # share of entities that need one value only, for a feature of the entity


class FeatureFinding(msgspec.Struct, frozen=True, kw_only=True):
    """The finding of the alarm about one feature."""

    feature: str
    days: int = 0  # that hold both outcomes
    auc: float | None = None  # within days; None: it was not looked at
    lowest: float | None = None  # of a day
    highest: float | None = None
    earlier: float | None = None  # AUC of the values known earlier, on the rows that have both
    warnings: tuple[str, ...] = ()
    why_not: str | None = None  # it was not looked at
    entity: str | None = None  # that it describes: one value for all rows of one
    best: float | None = None  # the AUC that knowing every true rate of that entity would give
    outcome: str | None = None  # what the AUC is of, of a number: stay.seconds above 12.5

    def __str__(self) -> str:
        return f"{self.feature}: {self.finding()}"

    def finding(self) -> str:
        """Return a sentence on what the leak alarm found in the feature."""
        if self.warnings:
            return f"{'; '.join(self.warnings)}: has it seen the label?"
        if self.auc is None:
            return f"not looked at: {self.why_not or 'it has no order'}"
        then = "" if self.earlier is None else f", {self.earlier:.3f} with what was known earlier"
        most = (
            ""
            if self.best is None or self.entity is None
            else f"; every {self.entity}'s true rate would give about {self.best:.3f}"
        )
        outcome = "" if self.outcome is None else f" of {self.outcome}"
        return (
            f"AUC {self.auc:.3f}{outcome}, {self.lowest:.3f} .. {self.highest:.3f} over "
            f"{self.days} days{then}{most}: nothing stands out"
        )


class _Log(msgspec.Struct, frozen=True, kw_only=True):
    """The rows that features are looked at on."""

    table: pa.Table
    truth: NDArray[np.bool_]
    days: NDArray[np.datetime64]
    units: Codes
    clustered: bool  # rows have units
    unit: str | None
    lists: Codes | None  # rows that were ranked together
    entities: dict[str, tuple[str, Codes]]  # by name: the column of the key, and its codes
    amounts: Floats | None = None  # whose means by entity bound a property; None: the outcome's
    near_certain: bool = True  # whether values that nearly decide the outcome are called


class _Described(msgspec.Struct, frozen=True, kw_only=True):
    """An entity (or its day) for all of whose rows a feature has one value."""

    entity: str
    own: bool  # the objective's unit is the entity
    rows: true_rates.Alike  # those with a value
    has_value: NDArray[np.bool_]


class _Feature(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    values: FeatureValues
    by_day: DailyAuc
    present: DailyAuc | None  # of having a value at all, where some rows have none
    described: tuple[_Described, ...] = ()


def leak_alarm(
    table: pa.Table,
    label: str,
    features: Sequence[str],
    *,
    unit: str | None = None,
    earlier: pa.Table | None = None,
    back: timedelta = timedelta(),
    time: str = "event_timestamp",
    within: str | None = None,
    entities: Mapping[str, str] | None = None,
    alpha: float = ALPHA,
    near_certain: bool = True,
    amounts: Floats | None = None,
) -> tuple[FeatureFinding, ...]:
    """Look for label leaks in each feature, by the AUC that it has alone, day by day.

    Features are numbers, times or texts; nulls are left out.

    Args:
        table: The training set.
        label: The column of the outcome.
        features: The columns to look at.
        unit: The column that says whose a row is.
        earlier: The same rows with what was known `back` before them.
        back: How long before its row a value of `earlier` was known.
        time: The column of a row's time.
        within: The column that says which rows were ranked together.
        entities: The columns of entities' keys, by the entity's name.
        alpha: The chance of a false alarm anywhere in this call.
        near_certain: Whether a value is called where nearly all rows have the outcome.
        amounts: A number of each row, whose means by entity bound what a property may be worth;
            None: the outcome's rates.

    A day d stands out when all of these hold:

    z = (A_d - A) / sqrt(V_d + t + sum over other days e of w_e^2 (V_e + t)), |z| > Phi^-1(1 - alpha
    / (2 m)), |A_d - 0.5| >= 0.2,   |A_d - A| >= 0.1,   A_d is farther from 0.5 than A, on its side

    A_d is the day's AUC (Mann-Whitney, ties count half), A = sum w_e A_e that of the other days,
    weighted by their pairs of positives and negatives; m counts the tests (Bonferroni), alpha =
    0.01. t is the variance between the other days beyond their own (DerSimonian and Laird 1986): a
    history that grows makes honest days differ. V_e is D V(A, p_e, n_e) with a day's positives and
    negatives p and n and the variance V of an AUC by Hanley and McNeil (Radiology 143, 1982) at A,
    so under the hypothesis that day d is like the others. (Taken at A_d it would shrink to nothing
    as A_d nears 1, and few positives would prove anything.) Where rows have units, D is the design
    effect, the variance over units of the AUC of all days (Obuchowski 1997) over that of
    independent rows, 1 at least, and V_d is not below the day's own variance over its units.

    V(A, p, n) = (A(1 - A) + (p - 1)(Q1 - A^2) + (n - 1)(Q2 - A^2)) / (p n), Q1 = A / (2 - A),   Q2
    = 2 A^2 / (1 + A)

    Values known earlier: the fall of AUC on the rows that have both, with its variance over units
    (or rows), beyond the same limit and 0.1.

    The AUC A of all days is an alarm beyond the limit above 0.9; that of an id (nearly every row or
    list has one of its own) beyond the limit above 0.5, 0.1 from it, and from that of the row's
    time. So is a value, or the having of one, where the rarer outcome's share is above 0.9 (the
    lower end of Wilson's interval, rows divided by D, of ten units). A feature that has one value
    for all rows of an entity, or of an entity's day, is one when true_rates.excess is beyond it.
    """
    log = _log(table, label, unit=unit, time=time, within=within, entities=entities or {})
    log = msgspec.structs.replace(log, amounts=amounts, near_certain=near_certain)
    why_not = {name: why_not_ordered(table, name) for name in features}
    judged = {name: _judged(log, name) for name in features if why_not[name] is None}
    with_earlier = [
        name for name in judged if earlier is not None and why_not_ordered(earlier, name) is None
    ]
    tests = len(with_earlier) + sum(_tests(feature) for feature in judged.values())
    limit = NormalDist().inv_cdf(1 - alpha / (2 * max(tests, 1)))
    by_time = (
        _of_time(log, table[time])
        if any(feature.values.is_id for feature in judged.values())
        else 0.5
    )
    looked = []
    for name in features:
        feature = judged.get(name)
        if feature is None:
            looked.append(FeatureFinding(feature=name, why_not=why_not[name]))
            continue
        by_day = feature.by_day
        warnings = [*standing_out(by_day, limit), *_implausible(log, feature, limit, by_time)]
        if not len(by_day.day):
            looked.append(FeatureFinding(feature=name, why_not=_NO_DAY, warnings=tuple(warnings)))
            continue
        held_back = None
        if earlier is not None and name in with_earlier:
            then = feature_values(earlier, name, log.truth, log.units, log.lists).numbers
            held_back = fall(feature.values.numbers, then, log.truth, log.days, log.units)
        if held_back is not None:
            now, then_auc, z = held_back
            if abs(now - 0.5) - abs(then_auc - 0.5) >= FAR and z > limit:
                warnings.append(
                    f"AUC {now:.3f}, and {then_auc:.3f} with what was known "
                    f"{duration_text(back)} earlier"
                )
        entity, best = _best(feature) if amounts is None else (None, None)
        looked.append(
            FeatureFinding(
                feature=name,
                days=len(by_day.day),
                auc=by_day.pooled,
                lowest=float(by_day.auc.min()),
                highest=float(by_day.auc.max()),
                earlier=held_back[1] if held_back else None,
                warnings=tuple(warnings),
                entity=entity,
                best=best,
            )
        )
    return tuple(looked)


_NO_DAY = f"no day holds both outcomes, of {FEWEST} units"


def _log(
    table: pa.Table,
    label: str,
    *,
    unit: str | None,
    time: str,
    within: str | None,
    entities: Mapping[str, str],
) -> _Log:
    """Convert a training set to the arrays that the leak alarm reads: outcomes, days, units.

    The parameters are those of `leak_alarm`.
    """
    unit = None if unit == ROW else unit
    codes, lists = (None if name is None else metrics.codes(table, name) for name in (unit, within))
    by_entity = {name: (key, metrics.codes(table, key)) for name, key in entities.items()}
    return _Log(
        table=table,
        truth=np.asarray(table[label].to_numpy(zero_copy_only=False)).astype(bool),
        days=np.array(table[time].to_numpy(zero_copy_only=False), "datetime64[D]"),
        units=np.arange(table.num_rows) if codes is None else codes,
        clustered=codes is not None,
        unit=unit,
        lists=lists,
        entities={
            name: (key, owners) for name, (key, owners) in by_entity.items() if owners is not None
        },
    )


def _judged(log: _Log, name: str) -> _Feature:
    """Return how well one feature alone predicts the label, day by day.

    `log` has the training set as arrays.
    """
    values = feature_values(log.table, name, log.truth, log.units, log.lists)
    has_value = ~np.isnan(values.numbers)
    present = None
    if not has_value.all():
        present = daily_auc(
            has_value.astype(float), log.truth, log.days, log.units, clustered=log.clustered
        )
    return _Feature(
        name=name,
        values=values,
        by_day=daily_auc(values.numbers, log.truth, log.days, log.units, clustered=log.clustered),
        present=present,
        described=tuple(_described(log, name, values, has_value)),
    )


def _tests(feature: _Feature) -> int:
    """Return how many statistical tests are made of a feature, for the Bonferroni correction.

    The significance level is divided by it.
    """
    days = len(feature.by_day.day)
    return (
        (days if days > 1 else 0) + 3 + 2 * (feature.present is not None) + len(feature.described)
    )


def _described(
    log: _Log, name: str, values: FeatureValues, has_value: NDArray[np.bool_]
) -> Iterator[_Described]:
    """Yield the entities that a feature describes: all rows of an entity have one value of it.

    `values` are the feature's, `has_value` says which rows have one. If the value varies from day
    to day, but not among an entity's rows of one day, it describes the entity on a day.
    """
    equal = values.codes
    if equal is None:
        equal = np.unique(values.numbers, return_inverse=True)[1].astype(np.int64)
    equal = equal[has_value]
    if len(equal) < 2 or equal.min() == equal.max():
        return
    outcome = log.truth if log.amounts is None else log.amounts
    day = np.unique(log.days[has_value], return_inverse=True)[1].astype(np.int64)
    for entity, (key, codes) in log.entities.items():
        if key == name:
            continue
        of_entity = np.unique(codes[has_value], return_inverse=True)[1].astype(np.int64)
        of_day = np.unique(of_entity * (int(day.max()) + 1) + day, return_inverse=True)[1]
        for described, cell in ((entity, of_entity), (f"{entity} and day", of_day)):
            number = int(cell.max()) + 1
            pairs = np.unique(cell * (int(equal.max()) + 1) + equal)
            if number > _CONSTANT * len(pairs):
                block = _blocks(log, key)[has_value]
                yield _Described(
                    entity=described,
                    own=key == log.unit,
                    rows=true_rates.comparable_rows(
                        outcome[has_value], day, cell.astype(np.int64), block
                    ),
                    has_value=has_value,
                )
                break


def _blocks(log: _Log, key: str) -> Codes:
    """Return a code for each row, equal for rows whose outcomes may depend on each other.

    `key` is an entity's. Such rows are those of a unit; where the entity is the unit itself, those
    of a ranked list, or without lists those of a day.
    """
    if key != log.unit:
        return log.units
    if log.lists is not None:
        return log.lists
    return np.unique(log.days, return_inverse=True)[1].astype(np.int64)


def _best(feature: _Feature) -> tuple[str | None, float | None]:
    """Return an entity that a feature describes, and the best AUC that such a feature may have.

    That is the AUC of knowing every entity's true outcome rate. Both are None where that is
    unknown.
    """
    for described in feature.described:
        spread = true_rates.spread(described.rows)
        if spread is not None:
            return described.entity, spread.best_auc()
    return None, None


def _of_time(log: _Log, times: Any) -> float:
    """Return the AUC that the event's time alone has as a score, pooled over days."""
    numbers = np.asarray(times.cast(pa.timestamp("ms")).cast(pa.int64()).to_numpy(), float)
    by_day = daily_auc(numbers, log.truth, log.days, log.units, clustered=log.clustered)
    return by_day.pooled if len(by_day.day) else 0.5


def _implausible(log: _Log, feature: _Feature, limit: float, by_time: float) -> Iterator[str]:
    """Yield a warning for each way in which a feature predicts better than is plausible.

    `limit` is in standard errors, and `by_time` the AUC that a row's time alone has as a score.
    """
    present = feature.present
    if present is not None and len(present.day) and present.errors_above(_PLAUSIBLE) > limit:
        yield f"AUC {present.pooled:.3f} of having a value at all"
    if log.near_certain:
        yield from _near_certain(log, feature, limit)
    by_day = feature.by_day
    if not len(by_day.day):
        return
    area = by_day.pooled
    if by_day.errors_above(_PLAUSIBLE) > limit:
        yield f"AUC {area:.3f} alone, more than what is known beforehand is likely to give"
    if feature.values.is_id and (
        by_day.errors_above(0.5) > limit and min(abs(area - 0.5), abs(area - by_time)) >= FAR
    ):
        yield f"AUC {area:.3f}, though nearly every row or list has a value of its own"
    for described in feature.described:
        codes = feature.values.codes if feature.values.text else None
        values = (feature.values.numbers if codes is None else codes)[described.has_value]
        if true_rates.excess(described.rows, values, visible=described.own) > limit:
            spread = true_rates.spread(described.rows) if log.amounts is None else None
            about = "" if spread is None else f" (about {spread.best_auc():.3f})"
            figure = "rate" if log.amounts is None else "mean"
            yield (
                f"AUC {area:.3f}: it agrees with these very rows better than the true {figure} of "
                f"every {described.entity} could{about}"
            )


def _near_certain(log: _Log, feature: _Feature, limit: float) -> Iterator[str]:
    """Yield a warning if one value of a feature, or having one, nearly decides the outcome.

    `limit` is in standard errors.
    """
    rate = float(log.truth.mean())
    rarer = log.truth if rate <= 0.5 else ~log.truth
    codes = feature.values.codes
    if codes is None or feature.values.is_id:
        codes = np.where(np.isnan(feature.values.numbers), -1, 0)
    number = int(codes.max(initial=-1)) + 1
    rows, hits = sums(codes + 1, 1.0, number + 1), sums(codes + 1, rarer, number + 1)
    design = max(side.design for side in (feature.by_day, feature.present) if side is not None)
    with np.errstate(divide="ignore", invalid="ignore"):
        share, effective = hits / rows, rows / design
        low = (
            share
            + limit**2 / (2 * effective)
            - limit * np.sqrt((share * (1 - share) + limit**2 / (4 * effective)) / effective)
        ) / (1 + limit**2 / effective)
    for code in np.flatnonzero(np.nan_to_num(low) > _SURE):
        of_value = codes + 1 == code
        if len(np.unique(log.units[of_value])) < FEWEST:
            continue
        column = log.table[feature.name]
        value = column[int(np.flatnonzero(of_value)[0])].as_py()
        where = "has no value" if code == 0 else "has a value" if number == 1 else f"is {value!r}"
        yield (
            f"where it {where} {int(hits[code]):,} of {int(rows[code]):,} rows have "
            f"{'the' if rate <= 0.5 else 'no'} outcome, of all {100 * min(rate, 1 - rate):.2g} %"
        )
        return
