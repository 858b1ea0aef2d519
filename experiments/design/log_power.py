"""How long an experiment takes: from the control's rate in the log, the units that each effect
needs, and the days.
"""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...reports.results import Shown
from ...times import utc_milliseconds
from ..measure import log_cells as cells
from ..results.log_results import of_project
from ..statistics.sample_size import effect_shown, units_needed
from ..statistics.spending import cost_of_looks
from ..statistics.sums import Sums
from ..statistics.verdict import percent_up, rounded

EFFECTS = (0.05, 0.1, 0.2, 0.5)
ARMS = 2


class Need(msgspec.Struct, frozen=True, kw_only=True):
    effect: float  # relative
    units: int  # an arm; where their weights differ the mean
    days: int | None = None


class Power(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """Four times in five, at 95 %."""

    experiment: str
    metric: str
    control: float  # its rate
    percents: bool = True  # whether that is a share, not an amount
    source: str  # what it was read from
    unit: str
    arms: int = ARMS
    needs: tuple[Need, ...]
    days: int | None = None  # that `shown` is of
    shown: float | None = None  # the smallest relative rise that so many days show; None: none
    cost_of_daily_looks: float | None = (
        None  # of the power, when there is a plan with as many looks as days
    )

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
            lines.append(
                f"  {100 * need.effect:+.0f} %".ljust(9) + f"  {rounded(need.units):>20,}{days}"
            )
        if self.days is not None and self.cost_of_daily_looks is not None:
            shown = (
                "nothing below eleven times the control"
                if self.shown is None
                else f"+{percent_up(self.shown)} %"
            )
            lines.append(daily_looks_text(self.days, shown, self.cost_of_daily_looks))
        return "\n".join(lines)


def daily_looks_text(days: int, shown: str, cost: float) -> str:
    """`cost`: of the power, as a share."""
    return (
        f"  {days} days show {shown}       looking every day, by a plan, costs {100 * cost:.1f} "
        "points of power"
    )


def power(
    project: Project,
    name: str,
    *,
    units_per_day: int | None = None,
    days: int = 14,
    effects: tuple[float, ...] = EFFECTS,
    as_of: datetime | None = None,
) -> Power:
    """What the experiment's control says of the sizes that effects need.

    `units_per_day`: of both arms together.

    NotFound: no such experiment. Invalid: the control has no outcome.
    """
    experiment = of_project(project, name)
    objective = project.spec.objectives[experiment.metric]
    arm = str(experiment.control)
    control = cells.read(
        project, experiment, objective, utc_milliseconds(as_of or project.now())
    ).total()[arm]
    if not control.y:
        raise Invalid(
            f"experiments.{name}: {objective.exposure}s of arm {arm} have no "
            f"{objective.outcome}: nothing to plan with",
            remedy="isthmus ingest, or name a control that the log has",
        )
    return Power(
        experiment=name,
        metric=objective.name,
        control=control.rate,
        source=f"from {int(control.d):,} rows of arm {arm}",
        unit=objective.unit or objective.exposure,
        needs=tuple(_need(control, effect, units_per_day) for effect in effects),
        days=days if units_per_day else None,
        shown=effect_shown(control, units_per_day * days / ARMS) if units_per_day else None,
        cost_of_daily_looks=cost_of_looks(days) if units_per_day else None,
    )


def _need(control: Sums, effect: float, units_per_day: int | None) -> Need:
    units = units_needed(control, effect)
    return Need(
        effect=effect,
        units=units,
        days=math.ceil(ARMS * units / units_per_day) if units_per_day else None,
    )
