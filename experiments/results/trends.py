"""Whether a run's effect changes with the days since a unit's first exposure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from ...core.runtime.project import Project
from ..design.runs import FrozenRun
from ..measure import trend_sql
from ..measure.run_cells import CountedPeriod, RunCells
from ..statistics import trend
from ..statistics.assessment import comparisons
from ..statistics.inference import ONCE
from ..statistics.ranges import as_range
from ..statistics.sums import UnitSums
from ..statistics.trend import DayWeight, EffectTrend
from .effects import ComparedMetrics, relative_range, units_of_both
from .results import DayEffect, Trend

_MOST_DAYS = 28  # since the first exposure that are compared
ByDay = Mapping[int, Mapping[str, UnitSums]]  # by day since the first exposure, and arm


def read_trends(
    project: Project,
    run: FrozenRun,
    comparison: ComparedMetrics,
    cells: RunCells,
    period: CountedPeriod,
) -> tuple[Trend, ...]:
    """Return how the effect on the first deciding metric changes with a unit's age in days.

    `cells` are the sums by arm and day, `period` is when events count. Each day since a unit's
    first exposure is compared by itself, among units for which it is over. Where there are enough
    days, a query of the log adds the slope's variance.
    """
    by_day = days_alone(comparison, cells, period.until)
    contrasts = {arm: _contrast(by_day, arm) for arm in cells.arms[1:]}
    weights = {
        arm: _weights(contrast, by_day, (cells.arms[0], arm))
        for arm, contrast in contrasts.items()
        if contrast
    }
    influences = trend_sql.read(project, run, comparison.first, period, weights) if weights else {}
    trends: list[Trend] = []
    for arm, contrast in contrasts.items():
        slope = trend.interval(contrast, influences[arm].values()) if contrast else None
        trends.append(
            Trend(
                arm=arm,
                a_day=as_range(slope) if slope else None,
                by_unit=slope is not None,
                days=_day_effects(by_day, arm),
            )
        )
    return tuple(trends)


def days_alone(comparison: ComparedMetrics, cells: RunCells, until: datetime) -> ByDay:
    """Return the sums of the first deciding metric, for each day since the first exposure alone."""
    metric = comparison.first
    days = min(
        _MOST_DAYS,
        metric.within.days if metric.within else _MOST_DAYS,
        len(cells.days(until)),
    )
    return {day: cells.sums_of_day(metric, day, until) for day in range(days)}


def _contrast(by_day: ByDay, arm: str) -> EffectTrend | None:
    """Return the slope of a treatment's effect over the days that can be compared."""
    return trend.slope_contrast(
        {
            day: (next(iter(arms.values())), arms[arm])
            for day, arms in by_day.items()
            if comparisons(arms)[arm]
        }
    )


def _weights(
    contrast: EffectTrend, by_day: ByDay, arms: tuple[str, ...]
) -> dict[str, dict[int, DayWeight]]:
    """Return how much each day of a unit counts in a slope, by arm and day.

    `by_day` are the sums of single days, from which the slope is computed.
    """
    return {
        arm: trend.day_weights(contrast, {day: sums[arm] for day, sums in by_day.items()})
        for arm in arms
    }


def _day_effects(by_day: ByDay, arm: str) -> tuple[DayEffect, ...]:
    """Return a treatment's effect on each day that can be compared."""
    return tuple(
        DayEffect(
            since_first=day,
            arm=arm,
            units=units_of_both(arms, arm),
            relative=relative_range(pair, ONCE.multiple()),
        )
        for day, arms in by_day.items()
        if (pair := comparisons(arms)[arm])
    )
