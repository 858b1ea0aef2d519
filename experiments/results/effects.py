"""Make effects and segments of an experiment's sums. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec
from msgspec.structs import replace

from ...project.specs.experiments import Experiment, Metric
from ...times import midnight
from ..measure.run_cells import RunCells
from ..statistics import heterogeneity, ratio
from ..statistics.assessment import ComparedArms, compare_secondary, comparisons, decide
from ..statistics.guardrails import Arm, guard
from ..statistics.inference import ONCE, TUNED_FOR, LookSchedule
from ..statistics.multiple_tests import holm
from ..statistics.ranges import FigureInterval, as_range
from ..statistics.ratio import Difference, cautious_points, interval
from ..statistics.sample_size import planned_units
from ..statistics.sums import UnitSums
from ..statistics.verdict import Goal
from .looks import Looks
from .results import DayEffect, Effect, MetricArms, Role, Segments

SumsByArm = Mapping[str, Mapping[str, UnitSums]]  # by metric and arm


class ComparedMetrics(msgspec.Struct, frozen=True, kw_only=True):
    """The metrics that a run compares, and how long its units are waited for."""

    experiment: Experiment
    metrics: Mapping[str, Metric]

    def role(self, name: str) -> Role:
        """Return a metric's role: it decides, is a guardrail, or does neither."""
        if name in self.experiment.metric:
            return "decides"
        guards = {guardrail.metric for guardrail in self.experiment.guardrails}
        return "guardrail" if name in guards else "also"

    @property
    def first(self) -> Metric:
        """Return the first of the deciding metrics."""
        return self.metrics[self.experiment.metric[0]]

    @property
    def window(self) -> timedelta | None:
        """Return the longest window of the deciding metrics and guardrails.

        Such a window is how long a unit's events count. All of these metrics count the same units,
        so one number says how far a plan is.
        """
        windows = [
            metric.within
            for name, metric in self.metrics.items()
            if self.role(name) != "also" and metric.within
        ]
        return max(windows, default=None)

    def window_of(self, name: str) -> timedelta | None:
        """Return a metric's window: how long after its start a unit's events count."""
        return self.metrics[name].within if self.role(name) == "also" else self.window

    @property
    def leaves_out(self) -> bool:
        """Return whether units with too many events are left out of the first deciding metric."""
        return self.experiment.drop_above is not None and self.first.per_event

    def sums(self, cells: RunCells, ends: datetime) -> dict[str, dict[str, UnitSums]]:
        """Return the sums of each metric and arm over events before `ends`.

        Only units whose outcome windows (how long their events count) are over by then are counted.
        """
        return {
            name: cells.sums_at(metric, ends, self.window_of(name))
            for name, metric in self.metrics.items()
        }


def metric_arms(metric: Metric, role: Role, sums: Mapping[str, UnitSums]) -> MetricArms:
    """Return a metric's total and rate in every arm, each rate with its confidence interval.

    `role` is whether the metric decides or is a guardrail; `sums` are the sums by arm.
    """
    rates = {
        arm: as_range(rate) if (rate := interval(arm_sums)) else None
        for arm, arm_sums in sums.items()
    }
    return MetricArms(metric=metric, role=role, arms=dict(sums), rates=rates)


def effect_of(
    metric: str, arm: str, role: Role, goal: Goal, difference: Difference | None
) -> Effect:
    """Return the effect of an arm on a metric, from a difference between arms.

    `role` is whether the metric decides or is a guardrail. The effect has no figures if
    `difference` is None, as there are too few data. `goal` is whether the metric is to rise or to
    fall.
    """
    effect = Effect(metric=metric, arm=arm, role=role, goal=goal)
    if difference is None:
        return effect
    return replace(
        effect, relative=as_range(difference.relative), absolute=as_range(difference.absolute)
    )


def arms_of(comparison: ComparedMetrics, sums: SumsByArm) -> tuple[MetricArms, ...]:
    """Return the totals and rates of every metric in every arm of a run."""
    return tuple(
        metric_arms(metric, comparison.role(name), sums[name])
        for name, metric in comparison.metrics.items()
    )


def units_needed(comparison: ComparedMetrics, sums: SumsByArm) -> int | None:
    """Return how many units of all arms the plan needs, for its slowest deciding metric.

    None if there is no plan, there are too few data, or nothing varies.
    """
    experiment = comparison.experiment
    if experiment.plan is None:
        return None
    effect = float(experiment.plan.minimum_effect) / 100
    shares = [arm.weight for arm in experiment.arms]
    tests = len(experiment.metric) * (len(experiment.arms) - 1)
    controls = {name: next(iter(sums[name].values())) for name in experiment.metric}
    if not all(control.enough for control in controls.values()):
        return None
    needed = max(
        planned_units(control, effect, shares, tests=tests, saved=_saved_share(sums[name]))
        for name, control in controls.items()
    )
    return needed or None


def _saved_share(arms: Mapping[str, UnitSums]) -> float:
    """Return the share of the variance that the covariate removes, in the treatment with least."""
    pairs = [pair for pair in comparisons(arms).values() if pair]
    return min((pair.saved for pair in pairs), default=0.0)


def information_by_metric(comparison: ComparedMetrics, sums: SumsByArm) -> dict[str, float]:
    """Return the statistical information (1 / variance) on each deciding metric and guardrail.

    Sequential tests measure their progress by it. A metric is absent where a rate is not positive,
    or nothing varies.
    """
    by_metric = {
        name: ratio.information(arms)
        for name, arms in sums.items()
        if comparison.role(name) != "also"
    }
    return {name: information for name, information in by_metric.items() if information}


def horizons(
    comparison: ComparedMetrics,
    looks: Looks,
    information: Mapping[str, float],
    *,
    units: int,
    moment: datetime,
) -> dict[str, LookSchedule]:
    """Return for each metric how its intervals allow for repeated looks at the results.

    It has the looks that were taken and how many units are planned.

    Args:
        comparison: What the run compares.
        looks: The looks that were recorded.
        information: The statistical information on each metric at `moment`, by name.
        units: Units of all arms that are complete.
        moment: The time of this look; later ones do not count.
    """
    return {
        name: _horizon(comparison, looks, name, information.get(name), units=units, moment=moment)
        for name in comparison.metrics
    }


def _horizon(
    comparison: ComparedMetrics,
    looks: Looks,
    name: str,
    information: float | None,
    *,
    units: int,
    moment: datetime,
) -> LookSchedule:
    """Return how a metric's intervals allow for repeated looks: looks so far, planned units.

    While the size of the plan is unknown the intervals are infinite.
    """
    if comparison.experiment.plan is None:
        return LookSchedule(inference="always", units=units)
    if looks.planned is None:
        return LookSchedule(inference="planned", units=units, planned=TUNED_FOR, looks=(0,))
    earlier = looks.earlier(moment)
    of_looks = [
        *(looks.information.get(look.until, {}).get(name) for look in earlier),
        information,
    ]
    every = tuple(figure for figure in of_looks if figure)
    return LookSchedule(
        inference="planned",
        units=units,
        planned=looks.planned,
        looks=(*(look.units for look in earlier), units),
        # looks of an older version do not say what they knew
        information=every if len(every) == len(of_looks) else (),
    )


def effects(
    comparison: ComparedMetrics, sums: SumsByArm, horizons: Mapping[str, LookSchedule]
) -> tuple[Effect, ...]:
    """Return each treatment's effect on every metric: deciding ones, guardrails, then the rest."""
    return (
        *_deciding_effects(comparison, sums, horizons),
        *_guardrail_effects(comparison, sums, horizons),
        *_secondary_effects(comparison, sums),
    )


def _deciding_effects(
    comparison: ComparedMetrics, sums: SumsByArm, horizons: Mapping[str, LookSchedule]
) -> Iterator[Effect]:
    """Yield the effects on the deciding metrics, corrected for multiple tests."""
    names = comparison.experiment.metric
    goals: dict[str, Goal] = {name: comparison.metrics[name].goal for name in names}
    for tested in decide({name: sums[name] for name in names}, goals, horizons):
        goal = goals[tested.metric]
        effect = effect_of(tested.metric, tested.arm, "decides", goal, tested.difference)
        once = as_range(tested.once.relative) if tested.once else None
        yield replace(
            effect,
            once=once,
            level=tested.level,
            side=tested.side,
            saved=tested.saved,
            chance_to_beat=tested.chance_to_beat,
        )


def _guardrail_effects(
    comparison: ComparedMetrics, sums: SumsByArm, horizons: Mapping[str, LookSchedule]
) -> Iterator[Effect]:
    """Yield the effects on the guardrail metrics, each judged by its own bound."""
    for guardrail in comparison.experiment.guardrails:
        name, goal = guardrail.metric, comparison.metrics[guardrail.metric].goal
        rates = cautious_points(sums[name])
        control, *treatments = (
            Arm(name=arm, sums=arm_sums, point=rates[arm]) for arm, arm_sums in sums[name].items()
        )
        for treatment in treatments:
            guarded = guard(guardrail, control, treatment, horizons[name])
            effect = effect_of(name, treatment.name, "guardrail", goal, guarded.difference)
            bound = guarded.bound if effect.relative and effect.relative.low is not None else None
            yield replace(effect, guardrail=guardrail, bound=bound, judged=guarded.judged)


def _secondary_effects(comparison: ComparedMetrics, sums: SumsByArm) -> Iterator[Effect]:
    """Yield the effects on metrics that neither decide nor are guardrails."""
    names = [name for name in comparison.metrics if comparison.role(name) == "also"]
    for secondary in compare_secondary({name: sums[name] for name in names}):
        goal = comparison.metrics[secondary.metric].goal
        effect = effect_of(secondary.metric, secondary.arm, "also", goal, secondary.difference)
        yield replace(effect, q=secondary.q, saved=secondary.saved)


def over_time(
    comparison: ComparedMetrics, cells: RunCells, looks: Looks, until: datetime
) -> tuple[DayEffect, ...]:
    """Return the effect on the first deciding metric as it was at the end of each day.

    Each day's interval allows for the looks that were taken by then.

    `cells` are the sums by arm and day; only days that ended by `until` are there.
    """
    return tuple(
        effect
        for day in cells.days(until)
        for effect in _end_of_day_effects(comparison, cells, looks, day)
    )


def _end_of_day_effects(
    comparison: ComparedMetrics, cells: RunCells, looks: Looks, day: date
) -> Iterator[DayEffect]:
    """Yield each treatment's effect on the first deciding metric at the end of a day.

    `cells` are the sums by arm and day, and `looks` the recorded looks at the results.
    """
    ends = midnight(day + timedelta(days=1))
    metric = comparison.first
    arms = cells.sums_at(metric, ends, comparison.window)
    units = sum(sums.units for sums in arms.values())
    information = ratio.information(arms)
    horizon = _horizon(comparison, looks, metric.name, information, units=units, moment=ends)
    multiple = horizon.multiple() if units else 0.0
    for arm, pair in comparisons(arms).items():
        yield DayEffect(
            day=day.isoformat(),
            arm=arm,
            units=units_of_both(arms, arm),
            relative=relative_range(pair, multiple),
        )


def units_of_both(arms: Mapping[str, UnitSums], treatment: str) -> int:
    """Return the number of units of the control and of a treatment together."""
    return next(iter(arms.values())).units + arms[treatment].units


def relative_range(pair: ComparedArms | None, multiple: float) -> FigureInterval | None:
    """Return the relative difference between two arms, with an interval; None without a pair.

    The interval has `multiple` standard errors to either side.
    """
    return as_range(pair.difference(multiple).relative) if pair else None


def segments(comparison: ComparedMetrics, cells: RunCells, ends: datetime) -> tuple[Segments, ...]:
    """Return the effects in each segment, by attribute, deciding metric and treatment.

    Their p-values are corrected for all of these together, by Holm.
    """
    keys = [
        (attribute, name, arm)
        for attribute in comparison.experiment.segments
        for name in comparison.experiment.metric
        for arm in cells.arms[1:]
    ]
    pairs = {key: _pairs_by_value(comparison, cells, ends, key) for key in keys}
    p_values: dict[tuple[str, str, str], float] = {}
    for key, by_value in pairs.items():
        p = heterogeneity.unlike(
            {value: (pair.control, pair.treatment) for value, pair in by_value.items() if pair}
        )
        if p is not None:
            p_values[key] = p
    adjusted = holm(p_values)
    return tuple(
        Segments(
            attribute=attribute,
            metric=name,
            arm=arm,
            effects={
                value: relative_range(pair, ONCE.multiple())
                for value, pair in pairs[attribute, name, arm].items()
            },
            p=adjusted.get((attribute, name, arm)),
        )
        for attribute, name, arm in keys
    )


def _pairs_by_value(
    comparison: ComparedMetrics, cells: RunCells, ends: datetime, key: tuple[str, str, str]
) -> dict[str, ComparedArms | None]:
    """Return the control and the treatment to compare, for each value of a segment attribute.

    Args:
        comparison: What the run compares.
        cells: Sums by segment.
        ends: Until when events count.
        key: Attribute, metric and treatment.
    """
    attribute, name, arm = key
    segments_of_attribute = sorted(
        {cell.segment for cell in cells.cells if cell.segment.startswith(f"{attribute}=")}
    )
    metric = comparison.metrics[name]
    return {
        segment.removeprefix(f"{attribute}="): comparisons(
            cells.sums_at(metric, ends, comparison.window, segment=segment)
        )[arm]
        for segment in segments_of_attribute
    }


def best_first(effects: Sequence[Effect], metric: str, arms: Sequence[str]) -> list[str]:
    """Return the names of the treatments in the order of their effect, the best first."""
    value = {
        effect.arm: (effect.absolute.value or 0.0) * (1 if effect.goal == "maximise" else -1)
        for effect in effects
        if effect.metric == metric and effect.absolute
    }
    return sorted(arms, key=lambda arm: -value.get(arm, 0.0))
