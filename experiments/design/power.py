"""How long an experiment that the gateway assigns takes: by what its endpoint's units did in the
last weeks, or by a rate that is said.
"""

from __future__ import annotations

import math
from functools import partial

import msgspec

from ...core.runtime.project import Project
from ...errors import Invalid
from ...project.specs.experiments import Experiment, Metric
from ..measure import run_cells
from ..results.results import is_share
from ..statistics.ratio import points
from ..statistics.sample_size import planned_units, smallest_effect
from ..statistics.spending import cost_of_looks
from ..statistics.sums import Sums
from .definition import definition_of
from .log_power import EFFECTS, Need, Power

_AS_IF = 1_000_000  # units that a rate which is said stands for


class Past(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan rests on. `saved`: the part of the variance that the time before takes away."""

    sums: Sums
    saved: float = 0.0
    a_day: float | None = None  # units of the endpoint
    source: str


def power(
    project: Project,
    name: str,
    *,
    units_per_day: int | None = None,
    days: int = 14,
    control: float | None = None,
    known: Past | None = None,
) -> Power:
    """`control`: the share that the first deciding metric has; None: by the log.

    `units_per_day`: of all arms together, else by the log.

    `known`: what `past` answered, where somebody remembers it. NotFound: no such experiment.
    Invalid: the endpoint has served nobody, its units have no outcome, or the metric is no share.
    Of one that interleaves: duel_powering.py.
    """
    definition = definition_of(project, name)
    experiment, metric = definition.experiment, definition.metrics[definition.experiment.metric[0]]
    known = (
        (known or past(project, metric, definition.layer.endpoint))
        if control is None
        else _of_rate(control, metric)
    )
    if not (known.sums.y and known.sums.total("d")):
        raise Invalid(
            f"experiments.{name}: {metric.name} is 0 {known.source}: nothing to plan with",
            remedy="--control 0.4% --units 8000/day",
        )
    a_day, window = (
        units_per_day or share_of(known.a_day, experiment),
        metric.within.days if metric.within else 0,
    )
    needed = partial(_units_needed, experiment, known)
    return Power(
        experiment=name,
        metric=metric.name,
        control=known.sums.rate,
        percents=is_share(metric),
        source=known.source,
        unit=project.spec.endpoints[definition.layer.endpoint].unit,
        arms=len(experiment.arms),
        needs=tuple(
            _need(effect, needed(effect), len(experiment.arms), a_day, window)
            for effect in effects(experiment)
        ),
        days=days if a_day else None,
        shown=smallest_effect(needed, a_day * max(days - window, 0)) if a_day else None,
        cost_of_daily_looks=cost_of_looks(days) if a_day else None,
    )


def past(project: Project, metric: Metric, endpoint: str) -> Past:
    """What the endpoint's units did in the last 28 days: one query.

    Invalid: it has served nobody.
    """
    now = project.now()
    cells = run_cells.read_endpoint(project, endpoint, metric, now)
    until, _ = run_cells.cutoffs(project.spec, (metric,), now)
    arms = cells.at(metric, until, metric.within)
    days = max((now.date() - cells.first_day).days, 1)
    return Past(
        sums=arms["all"],
        saved=points(arms)["all"].saved,
        a_day=sum(cells.units().values()) / days,
        source=f"from {arms['all'].units:,} units of {endpoint} in the last 28 days",
    )


def share_of(a_day: float | None, experiment: Experiment) -> int | None:
    """Of the endpoint's units in a day those of the experiment, when it starts."""
    return None if a_day is None else int(a_day * float(experiment.share) / 100)


def _of_rate(control: float, metric: Metric) -> Past:
    """Of a share whose every unit has one row."""
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
        sums=Sums(units=_AS_IF, y=y, d=_AS_IF, yy=y, yd=y, dd=_AS_IF),
        source="as --control says, one row a unit",
    )


def effects(experiment: Experiment) -> list[float]:
    """That a plan is told of: the usual ones, and the smallest that the experiment's own asks for."""
    own = (float(experiment.plan.minimum_effect) / 100,) if experiment.plan else ()
    return sorted({*EFFECTS, *own})


def _units_needed(experiment: Experiment, known: Past, effect: float) -> int:
    shares, tests = (
        [arm.weight for arm in experiment.arms],
        len(experiment.metric) * (len(experiment.arms) - 1),
    )
    return planned_units(known.sums, effect, shares, tests=tests, saved=known.saved)


def _need(effect: float, units: int, arms: int, a_day: int | None, window: int) -> Need:
    return Need(
        effect=effect,
        units=math.ceil(units / arms),
        days=math.ceil(units / a_day) + window if a_day else None,
    )
