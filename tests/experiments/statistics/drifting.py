"""Simulated units by day since their first exposure, and what the statistics of a trend say of them.

For the tests and benchmarks/experiments/trends.py. Arrays are (runs, units, days).
"""

import math

import numpy as np

from isthmus.experiments.statistics import trend
from isthmus.experiments.statistics.assessment import comparisons
from isthmus.experiments.statistics.ratio import Z, log_ratio
from isthmus.experiments.statistics.sums import UnitSums
from isthmus.experiments.statistics.trend import Influences

KINDS = ("ratio", "revenue")


def units(kind, random, shape, *, drift=0.0, effect=0.0, staggered=False):
    """Return y, d and which days a unit has had, of units whose tastes last.

    Args:
        kind: `ratio`: clicks of impressions. `revenue`: one in five buys on a day, for log-normal
            amounts; d is 1.
        random: NumPy's generator.
        shape: Runs, units, days.
        drift: The standard deviation of a unit's own slope, of its logarithm, a day.
        effect: By day, relative.
        staggered: Units come on all days, so the later a day is the fewer have had it.
    """
    runs, number, days = shape
    day = np.arange(days)
    pace = random.normal(0, 1, (runs, number, 1)) * drift * (day - (days - 1) / 2)
    likely = np.minimum(random.beta(2, 18, (runs, number, 1)) * np.exp(pace) * (1 + effect), 1)
    if kind == "ratio":
        d = random.poisson(3, shape) + 0.0
        y = random.binomial(d.astype(int), likely) + 0.0
    else:
        d = np.ones(shape)
        y = (random.random(shape) < 2 * likely) * random.lognormal(0, 1, shape)
    first = random.integers(0, days, (runs, number, 1)) if staggered else 0
    had = np.broadcast_to(first + day < days, shape)
    return y * had, d * had, had


def calls(control, treatment):
    """Return of each run whether a trend is shown, and whether it was before units' own slopes."""
    arms = [days_of(*arm) for arm in (control, treatment)]
    return np.array([call(run, control, treatment, arms) for run in range(len(control[0]))])


def days_of(y, d, had):
    """Return the arm's sums of each day alone, by run and day; units that had the day count."""
    added = {
        "units": had.sum(1),
        "y": y.sum(1),
        "d": d.sum(1),
        "yy": np.einsum("rud,rud->rd", y, y),
        "yd": np.einsum("rud,rud->rd", y, d),
        "dd": np.einsum("rud,rud->rd", d, d),
    }
    by_run = zip(*(column.tolist() for column in added.values()), strict=True)
    return [
        [UnitSums(**dict(zip(added, day, strict=True))) for day in zip(*columns, strict=True)]
        for columns in by_run
    ]


def call(run, control, treatment, arms):
    days = [
        {"control": sides[0], "treatment": sides[1]}
        for sides in zip(*(by_run[run] for by_run in arms), strict=True)
    ]
    pairs = {day: pair for day, of in enumerate(days) if (pair := comparisons(of)["treatment"])}
    contrast = trend.slope_contrast({day: tuple(days[day].values()) for day in pairs})
    if contrast is None:
        return False, False
    influences = [
        influence(trend.day_weights(contrast, {day: days[day][name] for day in pairs}), *arm, run)
        for name, arm in (("control", control), ("treatment", treatment))
    ]
    slope = trend.interval(contrast, influences)
    return not slope.low <= 0 <= slope.high, of_independent_days(pairs)


def of_independent_days(pairs):
    """Return whether a regression weighted by 1 / variance shows a trend, as results once did."""
    day = np.array(list(pairs))
    effects, variances = np.array(
        [log_ratio(pair.control, pair.treatment) for pair in pairs.values()]
    ).T
    day = day - np.average(day, weights=1 / variances)
    precision = (day**2 / variances).sum()
    return abs((day * effects / variances).sum()) > Z * math.sqrt(precision)


def influence(weights, y, d, had, run):
    """Return an arm's influences, by NumPy, as the query gives them."""
    days = y.shape[2]
    of_y, of_d = (
        np.array([getattr(weights[day], name) if day in weights else 0.0 for day in range(days)])
        for name in ("of_y", "of_d")
    )
    of_unit = y[run] @ of_y - d[run] @ of_d
    return Influences(int(had[run].any(1).sum()), float(of_unit @ of_unit))
