"""Arms whose units are very unlike, by the thousand, as sums: amounts that few bring, shares,
clicks of people with many impressions and few. For the tests and benchmarks/experiments/unequal_arms.py.
"""

from functools import partial

import numpy as np

from isthmus.experiments.statistics.sums import UnitSums

CHUNK = 4_000_000  # units at a time


def amounts(random, runs, units, *, buyers, sigma, times=1.0):
    """Of each unit an amount, log-normal for a share of them, else 0."""
    counts = random.binomial(units, buyers, runs)
    drawn = times * random.lognormal(0, sigma, counts.sum())
    ends = np.cumsum(counts)
    y, yy = (
        np.diff(np.concatenate([[0.0], np.cumsum(values)])[np.concatenate([[0], ends])])
        for values in (drawn, drawn**2)
    )
    return [
        UnitSums(units=units, y=total, yy=square, d=units, yd=total, dd=units)
        for total, square in zip(y.tolist(), yy.tolist(), strict=True)
    ]


def shares(random, runs, units, *, share):
    """Of each unit 0 or 1."""
    return [
        UnitSums(units=units, y=y, yy=y, d=units, yd=y, dd=units)
        for y in random.binomial(units, share, runs).tolist()
    ]


def ratios(random, runs, units, *, sigma, likely=(2.0, 38.0)):
    """Of each unit clicks of impressions, whose number is log-normal, by a taste of its own."""
    arms = []
    for begun in range(0, runs, step := max(1, CHUNK // units)):
        shape = min(step, runs - begun), units
        d = np.ceil(random.lognormal(1, sigma, shape)).astype(np.int64)
        y = random.binomial(d, random.beta(*likely, shape))
        columns = (y.sum(1), (y * y).sum(1), d.sum(1), (y * d).sum(1), (d * d).sum(1))
        arms += [
            UnitSums(units=units, y=y, yy=yy, d=d, yd=yd, dd=dd)
            for y, yy, d, yd, dd in zip(*(column.tolist() for column in columns), strict=True)
        ]
    return arms


WORLDS = {
    "revenue: 5 % buy, log-normal 1.5": partial(amounts, buyers=0.05, sigma=1.5),
    "revenue: 20 % buy, log-normal 1.5": partial(amounts, buyers=0.2, sigma=1.5),
    "revenue: 20 % buy, log-normal 2": partial(amounts, buyers=0.2, sigma=2.0),
    "ctr: impressions log-normal 1.5, few click": partial(ratios, sigma=1.5, likely=(0.2, 3.8)),
    "share: 2 % buy": partial(shares, share=0.02),
}
