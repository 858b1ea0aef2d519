"""How long an interleaved run takes at the least: by the events of its metric that its endpoint's
units had, as if each of them counted.

An event counts that follows an item which one variant alone picked; how many do is known once both
rank the same requests, by the first look (wins.units_needed). Without a preference each is a fair
coin's, so of n that count the preference has a variance of 1 / n.
"""

from __future__ import annotations

import math
from functools import partial

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...reports.results import Shown
from ..statistics.sample_size import smallest_effect, z_needed
from ..statistics.spending import cost_of_looks
from ..statistics.verdict import percent_up, rounded
from .definition import definition_of
from .log_power import daily_looks_text
from .power import effects, past, share_of


class DuelNeed(msgspec.Struct, frozen=True, kw_only=True):
    """`effect`: the difference of what counts for the two, as a share of it: 0.08 is 54 to 46."""

    effect: float
    events: int  # that count
    units: int  # at the least
    days: int | None = None


class DuelPower(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """Four times in five, at 95 %."""

    experiment: str
    metric: str
    a_unit: float  # events of the metric
    source: str  # what that was read from
    unit: str
    needs: tuple[DuelNeed, ...]
    days: int | None = None  # that `shown` is of
    shown: float | None = None  # the smallest preference that so many days may show; None: none
    cost_of_daily_looks: float | None = (
        None  # of the power, when there is a plan with as many looks as days
    )

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
            lines.append(
                f"  {100 * need.effect:+.0f} %".ljust(15)
                + f"{rounded(need.events):>20,}{rounded(need.units):>26,}{dated}"
            )
        if self.days is not None and self.cost_of_daily_looks is not None:
            shown = "nothing" if self.shown is None else f"+{percent_up(self.shown)} % at best"
            lines.append(daily_looks_text(self.days, shown, self.cost_of_daily_looks))
        lines.append(
            "  what both variants would pick counts for neither: the first look at the run "
            "knows how much does"
        )
        return "\n".join(lines)


def power(
    project: Project,
    name: str,
    *,
    units_per_day: int | None = None,
    days: int = 14,
    control: float | None = None,
) -> DuelPower:
    """`control`: events of the metric that a unit has; None: by the log.

    `units_per_day`: else by the log.

    NotFound: no such experiment. Invalid: the endpoint has served nobody, or its units have no such
    event.
    """
    definition = definition_of(project, name)
    experiment, metric = definition.experiment, definition.metrics[definition.experiment.metric[0]]
    known = past(project, metric, definition.layer.endpoint) if control is None else None
    a_unit, source = (
        (known.sums.mean("y"), known.source) if known else (control or 0.0, "as --control says")
    )
    if not a_unit > 0:
        raise Invalid(
            f"experiments.{name}: {metric.name} is 0 {source}: nothing to plan with",
            remedy="--control 0.4% --units 8000/day",
        )
    a_day, window = (
        units_per_day or share_of(known.a_day if known else None, experiment),
        metric.within.days if metric.within else 0,
    )
    shown = (
        smallest_effect(partial(_units, a_unit), a_day * max(days - window, 0)) if a_day else None
    )
    return DuelPower(
        experiment=name,
        metric=metric.name,
        a_unit=a_unit,
        source=source,
        unit=project.spec.endpoints[definition.layer.endpoint].unit,
        needs=tuple(_need(effect, a_unit, a_day, window) for effect in effects(experiment)),
        days=days if a_day else None,
        shown=shown if shown is not None and shown <= 1 else None,
        cost_of_daily_looks=cost_of_looks(days) if a_day else None,
    )


def events(effect: float) -> int:
    """That count, of both variants together."""
    return math.ceil((z_needed() / effect) ** 2)


def _units(a_unit: float, effect: float) -> int:
    return math.ceil(events(effect) / a_unit)


def _need(effect: float, a_unit: float, a_day: int | None, window: int) -> DuelNeed:
    units = _units(a_unit, effect)
    return DuelNeed(
        effect=effect,
        events=events(effect),
        units=units,
        days=math.ceil(units / a_day) + window if a_day else None,
    )
