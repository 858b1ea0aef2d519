"""What an interleaved run shows: how many more events count for one variant than for the other, a
unit. Pure.

A unit's y is its events that count for the treatment less those for the control, its d all of these
(run_sql.won). The difference is the mean of y; the preference is y / d, by the delta method
(sums.py): 0.08 is 54 to 46 of what counts. Without a preference both are 0.
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
from ..statistics.conclusion import Age, Conclusion
from ..statistics.inference import ONCE, Horizon
from ..statistics.ratio import Difference, interval
from ..statistics.sample_size import z_needed
from ..statistics.sums import Sums
from ..statistics.verdict import Verdict, side
from .effects import Plain, horizons
from .looks import Looks
from .results import DayEffect, Effect, MetricArms, as_range
from .text import wins_texts

WINS = "wins"
Arms = Mapping[str, Mapping[str, Sums]]  # by metric and arm, as Plain.sums gives them


def arms_of(plain: Plain, sums: Arms) -> tuple[MetricArms, ...]:
    """What counts for each variant, a unit."""
    of, metric = _all(plain, sums), plain.first
    shares = dict(
        zip(plain.experiment.interleave or (), (_share(of, -1), _share(of, 1)), strict=True)
    )
    counted = Metric(
        name=WINS, kind="sum", numerator=metric.numerator, within=metric.within, goal=metric.goal
    )
    rates = {
        name: as_range(rate) if (rate := interval(share)) else None
        for name, share in shares.items()
    }
    return (MetricArms(metric=counted, role="decides", arms=shares, rates=rates),)


def _all(plain: Plain, sums: Arms) -> Sums:
    """Outcomes are the events that count, not their difference."""
    of = sums[plain.first.name][INTERLEAVED]
    return replace(of, outcomes=int(of.d))


def _share(of: Sums, sign: int) -> Sums:
    """A unit has (d + sign y) / 2, a whole number."""
    y, yy = int(of.d + sign * of.y) // 2, int(of.dd + 2 * sign * of.yd + of.yy) // 4
    return Sums(units=of.units, y=y, yy=yy, d=of.units, yd=y, dd=of.units)


def difference(of: Sums, multiple: float) -> Difference | None:
    """`multiple`: standard errors to either side.

    None: too few units, or too few events that count.
    """
    if not of.enough:
        return None
    return Difference(
        absolute=_around(of.mean("y"), multiple, of.covariance("y", "y") / of.units),
        relative=_around(of.rate, multiple, of.variance),
    )


def _around(value: float, multiple: float, variance: float) -> Estimate:
    margin = multiple * math.sqrt(variance) if math.isfinite(multiple) else math.inf
    return Estimate(value=value, low=value - margin, high=value + margin)


def units_needed(plain: Plain, sums: Arms) -> int | None:
    """Units that the plan's preference needs, four times in five.

    None: there is no plan, or too little to say.
    """
    of, plan = _all(plain, sums), plain.experiment.plan
    if plan is None or not of.enough:
        return None
    return (
        math.ceil(z_needed() ** 2 * of.linear("y") / (float(plan.minimum_effect) / 100) ** 2)
        or None
    )


def effects(plain: Plain, sums: Arms, at: Mapping[str, Horizon]) -> tuple[Effect, ...]:
    """One: the second variant against the first."""
    of, (_, treatment), goal = (
        _all(plain, sums),
        plain.experiment.interleave or ("", ""),
        plain.first.goal,
    )
    seen, once = (difference(of, horizon.multiple()) for horizon in (at[plain.first.name], ONCE))
    effect = Effect(metric=WINS, arm=treatment, role="decides", goal=goal, side=side(seen, goal))
    if seen is None or once is None:
        return (effect,)
    return (
        replace(
            effect,
            relative=as_range(seen.relative),
            absolute=as_range(seen.absolute),
            once=as_range(once.relative),
        ),
    )


def information_by_metric(plain: Plain, sums: Arms) -> dict[str, float]:
    """By metric, one over the variance of the preference; empty: nothing varies, or too little is
    there.

    Not that of wins a unit: who goes on acting has more of them, and their variance grows though
    more is known.
    """
    of = _all(plain, sums)
    variance = of.variance if of.enough else 0.0
    return {plain.first.name: 1 / variance} if variance > 0 else {}


def over_time(
    plain: Plain, cells: RunCells, looks: Looks, until: datetime
) -> tuple[DayEffect, ...]:
    """The preference that a look at the end of each day would have shown, after the looks that were
    taken by then.
    """
    return tuple(_end_of_day(plain, cells, looks, day) for day in cells.days(until))


def _end_of_day(plain: Plain, cells: RunCells, looks: Looks, day: date) -> DayEffect:
    ends = midnight(day + timedelta(days=1))
    sums = plain.sums(cells, ends)
    units = _all(plain, sums).units
    (effect,) = effects(
        plain,
        sums,
        horizons(plain, looks, information_by_metric(plain, sums), units=units, moment=ends),
    )
    return DayEffect(day=day.isoformat(), arm=effect.arm, units=units, relative=effect.relative)


def conclude(plain: Plain, effect: Effect, age: Age, *, unsound: Verdict | None) -> Conclusion:
    """Which order is preferred; whether to ship it is for a test with arms."""
    if unsound is not None:
        return Conclusion(word="invalid", why=unsound.why)
    if effect.side != "open":
        control, treatment = plain.experiment.interleave or ("", "")
        preferred = treatment if effect.side == "better" else control
        why = (
            f"{', '.join(wins_texts(effect))}. It says which order is preferred, not by how much "
            "more it earns: test it with arms."
        )
        return Conclusion(word="prefers", of=preferred, why=why)
    if age.over:
        return Conclusion(word="undecided", why="The plan is over. No preference is shown.")
    return Conclusion(word="keep running", left=age.left, why="No preference is shown.")
