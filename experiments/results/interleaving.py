"""The effect of an interleaved run: how many more events count for one variant than for the other.

Pure, by unit. A unit's y is its events that count for the treatment less those for the control, its
d all of these (cells_sql.win_rate). The difference is the mean of y; the preference is y / d, by
the delta method (sums.py): 0.08 is 54 to 46 of what counts. Without a preference both are 0.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import date, datetime, timedelta

from msgspec.structs import replace

from ...pipelines.evaluation.statistics import Estimate
from ...project.specs.experiments import INTERLEAVED, Metric
from ...times import midnight
from ..measure.run_cells import RunCells
from ..statistics.conclusion import Conclusion, RunAge
from ..statistics.inference import ONCE, LookSchedule
from ..statistics.ranges import as_range
from ..statistics.ratio import Difference
from ..statistics.sample_size import z_needed
from ..statistics.sums import UnitSums
from ..statistics.verdict import side
from .effects import ComparedMetrics, SumsByArm, effect_of, horizons, metric_arms
from .looks import Looks
from .results import DayEffect, Effect, MetricArms
from .text import wins_texts

WINS = "wins"


def arms_of(comparison: ComparedMetrics, sums: SumsByArm) -> tuple[MetricArms, ...]:
    """Return the mean number of counted events per unit for each of two interleaved variants."""
    both, metric = _sums_of_both(comparison, sums), comparison.first
    control, treatment = _variants(comparison)
    counted = Metric(
        name=WINS, kind="sum", numerator=metric.numerator, within=metric.within, goal=metric.goal
    )
    sides = {control: _sums_of_side(both, -1), treatment: _sums_of_side(both, 1)}
    return (metric_arms(counted, "decides", sides),)


def _variants(comparison: ComparedMetrics) -> tuple[str, str]:
    """Return the names of the control's variant and the treatment's."""
    return comparison.experiment.interleave or ("", "")


def _sums_of_both(comparison: ComparedMetrics, sums: SumsByArm) -> UnitSums:
    """Return the run's sums, in which the counted events of both variants are added up."""
    both = sums[comparison.first.name][INTERLEAVED]
    return replace(both, outcomes=int(both.d))


def _sums_of_side(both: UnitSums, sign: int) -> UnitSums:
    """Return the sums of the counted events that are credited to one variant.

    `both` are those of both. `sign` is 1 for the treatment and -1 for the control: a unit has (d +
    sign y) / 2 of the d events.
    """
    y = int(both.d + sign * both.y) // 2
    yy = int(both.dd + 2 * sign * both.yd + both.yy) // 4
    return UnitSums(units=both.units, y=y, yy=yy, d=both.units, yd=y, dd=both.units)


def difference(both: UnitSums, multiple: float) -> Difference | None:
    """Return the difference in wins per unit, and the preference for a variant.

    Args:
        both: The run's sums.
        multiple: How many standard errors an interval extends to either side.

    Returns:
        The difference; None if there are too few units, or too few events that count.
    """
    if not both.enough:
        return None
    return Difference(
        absolute=_around(both.mean("y"), multiple, both.covariance("y", "y") / both.units),
        relative=_around(both.rate, multiple, both.variance),
    )


def _around(value: float, multiple: float, variance: float) -> Estimate:
    """Return a value with an interval of `multiple` standard errors to either side."""
    margin = multiple * math.sqrt(variance) if math.isfinite(multiple) else math.inf
    return Estimate(value=value, low=value - margin, high=value + margin)


def units_needed(comparison: ComparedMetrics, sums: SumsByArm) -> int | None:
    """Return how many units show the planned preference with a power of 80 %.

    None if there is no plan, or there are too few data.
    """
    both, plan = _sums_of_both(comparison, sums), comparison.experiment.plan
    if plan is None or not both.enough:
        return None
    preference = float(plan.minimum_effect) / 100
    return math.ceil(z_needed() ** 2 * both.linear("y") / preference**2) or None


def effects(
    comparison: ComparedMetrics, sums: SumsByArm, horizons: Mapping[str, LookSchedule]
) -> tuple[Effect, ...]:
    """Return the effect of an interleaved run: the preference for the second variant."""
    both, goal = _sums_of_both(comparison, sums), comparison.first.goal
    looked = difference(both, horizons[comparison.first.name].multiple())
    once = difference(both, ONCE.multiple())
    effect = effect_of(WINS, _variants(comparison)[1], "decides", goal, looked)
    return (
        replace(
            effect,
            side=side(looked, goal),
            once=as_range(once.relative) if once is not None else None,
        ),
    )


def information_by_metric(comparison: ComparedMetrics, sums: SumsByArm) -> dict[str, float]:
    """Return the statistical information on the preference (1 / variance), by metric.

    The variance is that of the treatment's share of wins. That of wins per unit would not do: it
    grows as units go on acting, though more is known then. Empty where nothing varies or the data
    are too few.
    """
    both = _sums_of_both(comparison, sums)
    variance = both.variance if both.enough else 0.0
    return {comparison.first.name: 1 / variance} if variance > 0 else {}


def over_time(
    comparison: ComparedMetrics, cells: RunCells, looks: Looks, until: datetime
) -> tuple[DayEffect, ...]:
    """Return the preference that a look at the end of each day would have shown.

    Each day's interval allows for the looks that were taken by then.
    """
    return tuple(_end_of_day_effect(comparison, cells, looks, day) for day in cells.days(until))


def _end_of_day_effect(
    comparison: ComparedMetrics, cells: RunCells, looks: Looks, day: date
) -> DayEffect:
    """Return the preference for a variant as it was at the end of a day.

    `cells` are the sums by day, and `looks` the recorded looks at the results.
    """
    ends = midnight(day + timedelta(days=1))
    sums = comparison.sums(cells, ends)
    units = _sums_of_both(comparison, sums).units
    information = information_by_metric(comparison, sums)
    by_metric = horizons(comparison, looks, information, units=units, moment=ends)
    (effect,) = effects(comparison, sums, by_metric)
    return DayEffect(day=day.isoformat(), arm=effect.arm, units=units, relative=effect.relative)


def conclude(
    comparison: ComparedMetrics, effect: Effect, age: RunAge, *, unsound: Conclusion | None
) -> Conclusion:
    """Return the conclusion of an interleaved run: which variant's order users prefer.

    `unsound` is the conclusion of a run whose data are not fit to be judged; it is returned as it
    is. None if the data are sound.
    """
    if unsound is not None:
        return unsound
    if effect.side != "open":
        control, treatment = _variants(comparison)
        preferred = treatment if effect.side == "better" else control
        why = (
            f"{', '.join(wins_texts(effect))}. It says which order is preferred, not by how much "
            "more it earns: test it with arms."
        )
        return Conclusion(word="prefers", of=preferred, why=why)
    if age.over:
        return Conclusion(word="undecided", why="The plan is over. No preference is shown.")
    return Conclusion(word="keep running", left=age.left, why="No preference is shown.")
