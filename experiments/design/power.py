"""How long an experiment takes: the units that each effect needs, and the days. Pure.

An interleaved run is sized by the events of its metric that its endpoint's units had, as if each of
them counted. An event counts that follows an item which one variant alone picked; how many do is
known once both rank the same requests, by the first look (interleaving.units_needed). Without a
preference each is a fair coin's, so of n that count the preference has a variance of 1 / n.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import msgspec

from ...errors import Invalid
from ...project.specs.description import ROW, Objective
from ...project.specs.experiments import Experiment, Metric
from ...reports.columns import plural
from ...reports.results import Shown
from ..statistics.ratio import is_share
from ..statistics.sample_size import planned_units, smallest_effect, units_needed, z_needed
from ..statistics.spending import cost_of_looks
from ..statistics.sums import UnitSums
from ..statistics.verdict import percent_up, rounded
from .runs import ExperimentDefinition

EFFECTS = (0.05, 0.1, 0.2, 0.5)
_AS_IF = 1_000_000  # units that a rate which is said stands for
_SAY_CONTROL = "--control 0.4% --units 8000/day"


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """The basis of a plan. `saved`: the part of the variance that the time before takes away."""

    sums: UnitSums
    saved: float = 0.0
    a_day: float | None = None  # units of the endpoint
    source: str


class Need(msgspec.Struct, frozen=True, kw_only=True):
    """The units, and the days, that a relative effect needs."""

    effect: float  # relative
    units: int  # an arm; where their weights differ the mean
    days: int | None = None


class Power(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """How long an experiment takes to show effects four times in five, at 95 %."""

    experiment: str
    metric: str
    control: float  # its rate
    percents: bool = True  # whether that is a share, not an amount
    source: str  # what it was read from
    unit: str
    arms: int = 2
    needs: tuple[Need, ...]
    days: int | None = None  # that `shown` is of
    shown: float | None = None  # the smallest relative rise that so many days show; None: none
    # of the power, when there is a plan with as many looks as days
    cost_of_daily_looks: float | None = None

    def __str__(self) -> str:
        control = f"{100 * self.control:.3f} %" if self.percents else f"{self.control:,.4g}"
        head = f"{self.experiment}   metric {self.metric}   control {control}   {self.source}"
        dated = any(need.days is not None for need in self.needs)
        lines = [
            f"{head}   {self.arms} arms, 80 % power, 5 %",
            f"  effect   {self.unit + 's an arm':>20}" + ("     days" if dated else ""),
        ]
        for need in self.needs:
            days = f"{need.days:>9,}" if need.days is not None else ""
            effect = f"  {100 * need.effect:+.0f} %".ljust(9)
            lines.append(f"{effect}  {rounded(need.units):>20,}{days}")
        if self.days is not None and self.cost_of_daily_looks is not None:
            shown = (
                "nothing below eleven times the control"
                if self.shown is None
                else f"+{percent_up(self.shown)} %"
            )
            lines.append(_daily_looks_text(self.days, shown, self.cost_of_daily_looks))
        return "\n".join(lines)


class PreferenceNeed(msgspec.Struct, frozen=True, kw_only=True):
    """The events, the units and the days that a preference needs.

    `effect`: the difference of what counts for the two, as a share of it: 0.08 is 54 to 46.
    """

    effect: float
    events: int  # that count
    units: int  # at the least
    days: int | None = None


class PreferencePower(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """How long an interleaved run takes at the least, four times in five, at 95 %."""

    experiment: str
    metric: str
    a_unit: float  # events of the metric
    source: str  # what that was read from
    unit: str
    needs: tuple[PreferenceNeed, ...]
    days: int | None = None  # that `shown` is of
    shown: float | None = None  # the smallest preference that so many days may show; None: none
    # of the power, when there is a plan with as many looks as days
    cost_of_daily_looks: float | None = None

    def __str__(self) -> str:
        head = (
            f"{self.experiment}   metric {self.metric}   {self.a_unit:.4g} a {self.unit}   "
            f"{self.source}   interleaved, 80 % power, 5 %"
        )
        days = "     days" if self.days is not None else ""
        lines = [
            head,
            f"  preference   {'events that count':>20}{self.unit + 's at least':>26}{days}",
        ]
        for need in self.needs:
            dated = f"{need.days:>9,}" if need.days is not None else ""
            effect = f"  {100 * need.effect:+.0f} %".ljust(15)
            lines.append(f"{effect}{rounded(need.events):>20,}{rounded(need.units):>26,}{dated}")
        if self.days is not None and self.cost_of_daily_looks is not None:
            shown = "nothing" if self.shown is None else f"+{percent_up(self.shown)} % at best"
            lines.append(_daily_looks_text(self.days, shown, self.cost_of_daily_looks))
        lines.append(
            "  what both variants would pick counts for neither: the first look at the run "
            "knows how much does"
        )
        return "\n".join(lines)


def _daily_looks_text(days: int, shown: str, cost: float) -> str:
    """Return a text line: the smallest effect that some days can show, and what daily looks cost.

    A look is a reading of the results; looking each day costs power.

    Args:
        days: How many days.
        shown: The smallest effect that they can show, as text.
        cost: The power that is lost by a look each day, as a share.
    """
    return (
        f"  {plural(days, 'day')} show {shown}       looking every day, by a plan, costs "
        f"{100 * cost:.1f} points of power"
    )


class _Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """How many units of all arms come, and how long they are waited for."""

    a_day: int | None  # None: nobody knows
    days: int  # of the plan
    window: int = 0  # days from a unit's first exposure

    def days_for(self, units: int) -> int | None:
        """Return after how many days so many units have come and all their events are counted.

        A unit's events count for the length of the outcome window. None if the traffic is unknown.
        """
        return math.ceil(units / self.a_day) + self.window if self.a_day else None

    def smallest(self, needed: Callable[[float], int]) -> float | None:
        """Return the smallest relative effect that the planned days' units can show.

        None if the traffic is unknown, or no effect can be shown. `needed` returns how many units
        of all arms an effect of a given size needs.
        """
        if not self.a_day:
            return None
        return smallest_effect(needed, self.a_day * max(self.days - self.window, 0))

    @property
    def known_days(self) -> int | None:
        """Return the number of days that are planned for; None if the traffic is unknown."""
        return self.days if self.a_day else None

    @property
    def cost_of_daily_looks(self) -> float | None:
        """Return the share of the power that is lost if the results are looked at each day."""
        return cost_of_looks(self.days) if self.a_day else None


def power_of_log(
    name: str,
    objective: Objective,
    control: UnitSums,
    arm: str,
    *,
    units_per_day: int | None,
    days: int,
) -> Power:
    """Compute how many units and days an analysis of a site's log needs to show effects.

    Args:
        name: The experiment.
        objective: The outcome that decides.
        control: The sums of the control's arm in the log.
        arm: The control's arm.
        units_per_day: Of both arms together; None if it is not stated.
        days: The smallest effect that this many days can show is computed, too.

    Raises:
        Invalid: The control has no outcome.
    """
    if not control.y:
        raise Invalid(
            f"experiments.{name}: {objective.exposure}s of arm {arm} have no "
            f"{objective.outcome}: nothing to plan with",
            remedy="isthmus ingest, or name a control that the log has",
        )
    traffic = _Traffic(a_day=units_per_day, days=days)

    def needed(effect: float) -> int:
        return 2 * units_needed(control, effect)

    return Power(
        experiment=name,
        metric=objective.name,
        control=control.rate,
        percents=not objective.is_number,
        source=f"from {plural(int(control.d), 'row')} of arm {arm}",
        unit=objective.exposure if objective.unit in (None, ROW) else objective.unit,
        needs=_needs(EFFECTS, needed, 2, traffic),
        days=traffic.known_days,
        shown=traffic.smallest(needed),
        cost_of_daily_looks=traffic.cost_of_daily_looks,
    )


def power_of_arms(
    definition: ExperimentDefinition, past: Past, *, unit: str, units_per_day: int | None, days: int
) -> Power:
    """Compute how many units and days an experiment needs to show effects.

    It is for experiments whose arms the gateway assigns.

    Args:
        definition: The experiment.
        past: The past values of its first deciding metric, from `measure.past` or `past_of_rate`.
        unit: The attribute that is assigned.
        units_per_day: Of all arms together; None: as many as in the past.
        days: The smallest effect that this many days can show is computed, too.

    Raises:
        Invalid: The units of the past have no outcome.
    """
    experiment, metric = definition.experiment, first_metric(definition)
    if not (past.sums.y and past.sums.total("d")):
        raise _nothing_to_plan_with(experiment, metric, past.source)
    arms = len(experiment.arms)
    needed = partial(
        planned_units,
        past.sums,
        shares=[arm.weight for arm in experiment.arms],
        tests=len(experiment.metric) * (arms - 1),
        saved=past.saved,
    )
    traffic = _traffic(experiment, metric, past.a_day, units_per_day, days)
    return Power(
        experiment=experiment.name,
        metric=metric.name,
        control=past.sums.rate,
        percents=is_share(metric),
        source=past.source,
        unit=unit,
        arms=arms,
        needs=_needs(_effects(experiment), needed, arms, traffic),
        days=traffic.known_days,
        shown=traffic.smallest(needed),
        cost_of_daily_looks=traffic.cost_of_daily_looks,
    )


def power_of_preference(
    definition: ExperimentDefinition,
    past: Past | float,
    *,
    unit: str,
    units_per_day: int | None,
    days: int,
) -> PreferencePower:
    """Compute the least units and days that an interleaved run needs to show a preference.

    Args:
        definition: The experiment.
        past: The past values of its first deciding metric, or a unit's mean number of events.
        unit: The attribute that is assigned.
        units_per_day: Of the whole run; None: as many as in the past.
        days: The smallest preference that this many days can show is computed, too.

    Raises:
        Invalid: The units of the past have no counted event.
    """
    experiment, metric = definition.experiment, first_metric(definition)
    a_unit, source, past_a_day = (
        (past.sums.mean("y"), past.source, past.a_day)
        if isinstance(past, Past)
        else (past, "as --control says", None)
    )
    if not a_unit > 0:
        raise _nothing_to_plan_with(experiment, metric, source)

    def needed(effect: float) -> int:
        return math.ceil(preference_events(effect) / a_unit)

    traffic = _traffic(experiment, metric, past_a_day, units_per_day, days)
    shown = traffic.smallest(needed)
    return PreferencePower(
        experiment=experiment.name,
        metric=metric.name,
        a_unit=a_unit,
        source=source,
        unit=unit,
        needs=tuple(
            PreferenceNeed(
                effect=effect,
                events=preference_events(effect),
                units=needed(effect),
                days=traffic.days_for(needed(effect)),
            )
            for effect in _effects(experiment)
        ),
        days=traffic.known_days,
        shown=shown if shown is not None and shown <= 1 else None,
        cost_of_daily_looks=traffic.cost_of_daily_looks,
    )


def preference_events(effect: float) -> int:
    """Return how many counted events, of both variants together, show a preference of this size.

    `effect` is the share of wins of the preferred variant less that of the other.
    """
    return math.ceil((z_needed() / effect) ** 2)


def first_metric(definition: ExperimentDefinition) -> Metric:
    """Return the first of an experiment's deciding metrics."""
    return definition.metrics[definition.experiment.metric[0]]


def past_of_rate(control: float, metric: Metric) -> Past:
    """Return made-up past data with a given rate of a metric, in place of a query of the log.

    There is one row a unit, and the user states the control's rate.

    Raises:
        Invalid: The metric is an amount, or the share leaves nothing to compare.
    """
    if not is_share(metric):
        raise Invalid(
            f"{metric.name} is an amount: its spread is not known from its mean",
            remedy="leave --control out: the log knows it",
        )
    if not 0 < control < 1:
        raise Invalid(
            f"a control of {100 * control:g} % leaves nothing to compare",
            remedy="write a share such as --control 0.4%",
        )
    y = round(control * _AS_IF)
    return Past(
        sums=UnitSums(units=_AS_IF, y=y, d=_AS_IF, yy=y, yd=y, dd=_AS_IF),
        source="as --control says, one row a unit",
    )


def _nothing_to_plan_with(experiment: Experiment, metric: Metric, source: str) -> Invalid:
    """Return the error that a metric is 0 in the past data, so that nothing can be planned.

    `source` says where the data are from.
    """
    return Invalid(
        f"experiments.{experiment.name}: {metric.name} is 0 {source}: nothing to plan with",
        remedy=_SAY_CONTROL,
    )


def _traffic(
    experiment: Experiment,
    metric: Metric,
    endpoint_a_day: float | None,
    units_per_day: int | None,
    days: int,
) -> _Traffic:
    """Return how many units are expected a day: as stated, or the run's share of all.

    `endpoint_a_day` are the endpoint's units a day, None if they are unknown; `days` is how long
    the run is planned to last.
    """
    share = float(experiment.share) / 100
    of_endpoint = None if endpoint_a_day is None else int(endpoint_a_day * share)
    window = metric.within.days if metric.within else 0
    return _Traffic(a_day=units_per_day or of_endpoint, days=days, window=window)


def _effects(experiment: Experiment) -> list[float]:
    """Return the relative effects to plan for: some usual ones, and the experiment's own."""
    own = (float(experiment.plan.minimum_effect) / 100,) if experiment.plan else ()
    return sorted({*EFFECTS, *own})


def _needs(
    effects: tuple[float, ...] | list[float],
    needed: Callable[[float], int],
    arms: int,
    traffic: _Traffic,
) -> tuple[Need, ...]:
    """Return how many units and days it takes to show each of these effects.

    `needed` returns the units of all arms for an effect.

    `arms` is the number of arms, and `traffic` says how many units come a day.
    """
    return tuple(
        Need(
            effect=effect,
            units=math.ceil(needed(effect) / arms),
            days=traffic.days_for(needed(effect)),
        )
        for effect in effects
    )
