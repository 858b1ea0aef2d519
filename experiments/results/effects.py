"""From a run's sums to effects, trends and segments. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta

import msgspec
from msgspec.structs import replace

from ...project.specs.experiments import Experiment, Metric
from ...times import midnight
from ..measure.run_cells import RunCells
from ..statistics import heterogeneity as over
from ..statistics import ratio
from ..statistics.assessment import Compared, Told, comparisons, decide, tell
from ..statistics.guardrails import Arm, guard
from ..statistics.inference import ONCE, TUNED_FOR, Horizon
from ..statistics.multiple_tests import holm
from ..statistics.ratio import Difference, Point, interval, points
from ..statistics.sample_size import planned_units
from ..statistics.sums import Sums
from ..statistics.verdict import Goal
from .looks import Looks
from .results import DayEffect, Effect, MetricArms, Range, Role, Segments, Trend, as_range

_MOST_DAYS = 28  # since the first exposure that are compared


class Plain(msgspec.Struct, frozen=True, kw_only=True):
    """What a run compares, and how long its units are waited for."""

    experiment: Experiment
    metrics: Mapping[str, Metric]

    def role(self, name: str) -> Role:
        guards = {guardrail.metric for guardrail in self.experiment.guardrails}
        return (
            "decides"
            if name in self.experiment.metric
            else "guardrail"
            if name in guards
            else "also"
        )

    @property
    def first(self) -> Metric:
        return self.metrics[self.experiment.metric[0]]

    @property
    def window(self) -> timedelta | None:
        """The longest of what decides and guards: all of these count the same units, so one number
        says how far a plan is.
        """
        windows = [
            metric.within
            for name, metric in self.metrics.items()
            if self.role(name) != "also" and metric.within
        ]
        return max(windows, default=None)

    def window_of(self, name: str) -> timedelta | None:
        return self.metrics[name].within if self.role(name) == "also" else self.window

    def sums(self, cells: RunCells, ends: datetime) -> dict[str, dict[str, Sums]]:
        return {
            name: cells.at(metric, ends, self.window_of(name))
            for name, metric in self.metrics.items()
        }


def arms_of(plain: Plain, sums: Mapping[str, Mapping[str, Sums]]) -> tuple[MetricArms, ...]:
    return tuple(
        MetricArms(
            metric=metric,
            role=plain.role(name),
            arms=dict(sums[name]),
            rates={
                arm: as_range(rate) if (rate := interval(of_arm)) else None
                for arm, of_arm in sums[name].items()
            },
        )
        for name, metric in plain.metrics.items()
    )


def units_needed(plain: Plain, sums: Mapping[str, Mapping[str, Sums]]) -> int | None:
    """Units of all arms that the slowest deciding metric needs.

    None: there is no plan, or too little to say; nothing varies, either.
    """
    experiment = plain.experiment
    if experiment.plan is None:
        return None
    effect = float(experiment.plan.minimum_effect) / 100
    shares, tests = (
        [arm.weight for arm in experiment.arms],
        len(experiment.metric) * (len(experiment.arms) - 1),
    )
    controls = {name: next(iter(sums[name].values())) for name in experiment.metric}
    if not all(control.enough for control in controls.values()):
        return None
    return (
        max(
            planned_units(of, effect, shares, tests=tests, saved=_saved_share(sums[name]))
            for name, of in controls.items()
        )
        or None
    )


def _saved_share(arms: Mapping[str, Sums]) -> float:
    pairs = [pair for pair in comparisons(arms).values() if pair]
    return min((pair.saved for pair in pairs), default=0.0)


def information_by_metric(plain: Plain, sums: Mapping[str, Mapping[str, Sums]]) -> dict[str, float]:
    """By metric that decides or guards, one over the variance of what is compared; absent: a rate
    is not positive, or nothing varies.
    """
    of = {
        name: ratio.information(arms) for name, arms in sums.items() if plain.role(name) != "also"
    }
    return {name: information for name, information in of.items() if information}


def horizons(
    plain: Plain, looks: Looks, now: Mapping[str, float], *, units: int, moment: datetime
) -> dict[str, Horizon]:
    """By metric.

    `now`: what is known of each at the `moment`, as `information_by_metric` says it.
    """
    return {
        name: _horizon(plain, looks, name, now.get(name), units=units, moment=moment)
        for name in plain.metrics
    }


def _horizon(
    plain: Plain, looks: Looks, name: str, now: float | None, *, units: int, moment: datetime
) -> Horizon:
    """Of a plan that is not sized yet the bound is infinite: nothing has been spent of it."""
    if plain.experiment.plan is None:
        return Horizon(inference="always", units=units)
    if looks.planned is None:
        return Horizon(inference="planned", units=units, planned=TUNED_FOR, looks=(0,))
    before = looks.before(moment)
    of_looks = [*(looks.information.get(look.until, {}).get(name) for look in before), now]
    information = tuple(of for of in of_looks if of)
    return Horizon(
        inference="planned",
        units=units,
        planned=looks.planned,
        looks=(*(look.units for look in before), units),
        information=information
        if len(information) == len(of_looks)
        else (),  # looks of an older version do not say it
    )


def effects(
    plain: Plain, sums: Mapping[str, Mapping[str, Sums]], at: Mapping[str, Horizon]
) -> tuple[Effect, ...]:
    return (
        *_deciding(plain, sums, at),
        *_guardrail_effects(plain, sums, at),
        *_secondary_effects(plain, sums),
    )


def _deciding(
    plain: Plain, sums: Mapping[str, Mapping[str, Sums]], at: Mapping[str, Horizon]
) -> Iterator[Effect]:
    names = plain.experiment.metric
    goals: dict[str, Goal] = {name: plain.metrics[name].goal for name in names}
    for tested in decide({name: sums[name] for name in names}, goals, at):
        effect = _effect(tested.metric, tested.arm, "decides", plain, tested.difference)
        once = as_range(tested.once.relative) if tested.once else None
        yield replace(effect, once=once, level=tested.level, side=tested.side, saved=tested.saved)


def _guardrail_effects(
    plain: Plain, sums: Mapping[str, Mapping[str, Sums]], at: Mapping[str, Horizon]
) -> Iterator[Effect]:
    for guardrail in plain.experiment.guardrails:
        arms = sums[guardrail.metric]
        of = points(arms)
        control, *treatments = (
            Arm(name=name, sums=of_arm, point=of[name]) for name, of_arm in arms.items()
        )
        for treatment in treatments:
            guarded = guard(guardrail, control, treatment, at[guardrail.metric])
            effect = _effect(
                guardrail.metric, treatment.name, "guardrail", plain, guarded.difference
            )
            bound = guarded.bound if effect.relative and effect.relative.low is not None else None
            yield replace(effect, guardrail=guardrail, bound=bound, judged=guarded.judged)


def _secondary_effects(plain: Plain, sums: Mapping[str, Mapping[str, Sums]]) -> Iterator[Effect]:
    names = [name for name in plain.metrics if plain.role(name) == "also"]
    for told in tell({name: sums[name] for name in names}):
        yield _also(told, plain)


def _also(told: Told, plain: Plain) -> Effect:
    return replace(
        _effect(told.metric, told.arm, "also", plain, told.difference), q=told.q, saved=told.saved
    )


def _effect(
    metric: str, arm: str, role: Role, plain: Plain, difference: Difference | None
) -> Effect:
    relative, absolute = (
        (as_range(difference.relative), as_range(difference.absolute))
        if difference
        else (None, None)
    )
    return Effect(
        metric=metric,
        arm=arm,
        role=role,
        goal=plain.metrics[metric].goal,
        relative=relative,
        absolute=absolute,
    )


def over_time(
    plain: Plain, cells: RunCells, looks: Looks, until: datetime
) -> tuple[DayEffect, ...]:
    """What a look at the end of each day would have said of the first deciding metric, after the
    looks that were taken by then.
    """
    return tuple(
        effect for day in cells.days(until) for effect in _end_of_day(plain, cells, looks, day)
    )


def _end_of_day(plain: Plain, cells: RunCells, looks: Looks, day: date) -> Iterator[DayEffect]:
    ends = midnight(day + timedelta(days=1))
    arms = cells.at(plain.first, ends, plain.window)
    units = sum(of_arm.units for of_arm in arms.values())
    horizon = _horizon(
        plain, looks, plain.first.name, ratio.information(arms), units=units, moment=ends
    )
    multiple = horizon.multiple() if units else 0.0
    for arm, pair in comparisons(arms).items():
        yield DayEffect(
            day=day.isoformat(),
            arm=arm,
            units=_of_both(arms, arm),
            relative=_relative(pair, multiple),
        )


def _of_both(arms: Mapping[str, Sums], treatment: str) -> int:
    return next(iter(arms.values())).units + arms[treatment].units


def _relative(pair: Compared | None, multiple: float) -> Range | None:
    return as_range(pair.at(multiple).relative) if pair else None


def trends(plain: Plain, cells: RunCells, until: datetime) -> tuple[Trend, ...]:
    """Of the first deciding metric: each day since a unit's first exposure by itself, of the units
    that have had it whole.
    """
    most = min(
        _MOST_DAYS,
        plain.first.within.days if plain.first.within else _MOST_DAYS,
        len(cells.days(until)),
    )
    by_day = {day: cells.on(plain.first, day, until) for day in range(most)}
    return tuple(_trend(arm, by_day) for arm in cells.arms[1:])


def _trend(arm: str, by_day: Mapping[int, Mapping[str, Sums]]) -> Trend:
    pairs = {day: pair for day, arms in by_day.items() if (pair := comparisons(arms)[arm])}
    slope = over.trend({day: (pair.control, pair.treatment) for day, pair in pairs.items()})
    days = (
        DayEffect(
            since_first=day,
            arm=arm,
            units=_of_both(by_day[day], arm),
            relative=_relative(pair, ONCE.multiple()),
        )
        for day, pair in pairs.items()
    )
    return Trend(arm=arm, a_day=as_range(slope) if slope else None, days=tuple(days))


def segments(plain: Plain, cells: RunCells, ends: datetime) -> tuple[Segments, ...]:
    """Each attribute, deciding metric and treatment; their p by Holm over all of these."""
    keys = [
        (attribute, name, arm)
        for attribute in plain.experiment.segments
        for name in plain.experiment.metric
        for arm in cells.arms[1:]
    ]
    pairs = {key: _by_value(plain, cells, ends, key) for key in keys}
    unlike = {
        key: p
        for key in keys
        if (p := over.unlike({value: _points(pair) for value, pair in pairs[key].items() if pair}))
        is not None
    }
    adjusted = holm(unlike)
    return tuple(
        Segments(
            attribute=attribute,
            metric=name,
            arm=arm,
            effects={
                value: _relative(pair, ONCE.multiple())
                for value, pair in pairs[attribute, name, arm].items()
            },
            p=adjusted.get((attribute, name, arm)),
        )
        for attribute, name, arm in keys
    )


def _points(pair: Compared) -> tuple[Point, Point]:
    return pair.control, pair.treatment


def _by_value(
    plain: Plain, cells: RunCells, ends: datetime, key: tuple[str, str, str]
) -> dict[str, Compared | None]:
    attribute, name, arm = key
    values = sorted(
        {cell.segment for cell in cells.cells if cell.segment.startswith(f"{attribute}=")}
    )
    of = {
        value: cells.at(plain.metrics[name], ends, plain.window, segment=value) for value in values
    }
    return {
        value.removeprefix(f"{attribute}="): comparisons(arms)[arm] for value, arms in of.items()
    }


def best_first(effects_: Sequence[Effect], metric: str, arms: Sequence[str]) -> list[str]:
    """The treatments, the best in the metric first."""
    value = {
        e.arm: (e.absolute.value or 0.0) * (1 if e.goal == "maximise" else -1)
        for e in effects_
        if e.metric == metric and e.absolute
    }
    return sorted(arms, key=lambda arm: -value.get(arm, 0.0))
