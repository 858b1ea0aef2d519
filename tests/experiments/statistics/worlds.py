"""Simulated arms by the thousand, as sums, for the tests and
  benchmarks/experiments/experiments_statistics.py:
y, d and x are (runs, units).
"""

import numpy as np

from isthmus.experiments.statistics.sums import UnitSums

KINDS = ("rate", "ratio", "mean", "skewed")


def units(kind, random, runs, number, effect=0.0):
    """y, d, x of units without any difference between arms but a relative `effect` on y's mean. x
    is like y, of the time before.
    """
    shape = (runs, number)
    ones = np.ones((1, 1))
    match kind:
        case "rate":  # bought or not; who is likely to is so before, too
            likely = random.beta(1, 4, shape)
            return (
                (random.random(shape) < likely * (1 + effect)) + 0.0,
                ones,
                (random.random(shape) < likely) + 0.0,
            )
        case "ratio":  # clicks of several impressions a person, whose clicks are alike
            d, likely = random.integers(1, 30, shape), random.beta(1, 4, shape)
            return (
                random.binomial(d, np.minimum(likely * (1 + effect), 1)) + 0.0,
                d + 0.0,
                random.binomial(10, likely) + 0.0,
            )
        case "mean":
            lasting = random.normal(0, 1, shape)
            return (
                5 * (1 + effect) + lasting + random.normal(0, 1, shape),
                ones,
                5 + lasting + random.normal(0, 1, shape),
            )
        case "skewed":
            # one in five buys, for an amount whose mean is nearly twice its median; before, mostly
            # others did
            amount = np.where(random.random(shape) < 0.2, random.lognormal(8, 1.1, shape), 0.0)
            return amount * (1 + effect), ones, amount * (random.random(shape) < 0.5)
    raise ValueError(kind)


def sums(*columns, shift=(0.0, 0.0, 0.0)):
    """Of each run, from y, d and x."""
    return _structs(_added(*columns), shift)


def sums_so_far(parts):
    """By run, after each of the parts, which are y, d and x of new units."""
    added = [_added(*part) for part in parts]
    looks = [
        _structs({name: sum(part[name] for part in added[: at + 1]) for name in added[0]})
        for at in range(len(added))
    ]
    return list(zip(*looks, strict=True))


def _added(y, d, x=None):
    y, d, x = np.broadcast_arrays(y, d, 0.0 if x is None else x)
    added = {"units": np.full(len(y), y.shape[1]), "y": y.sum(1), "d": d.sum(1), "x": x.sum(1)}
    for name, (first, second) in {
        "yy": (y, y),
        "yd": (y, d),
        "dd": (d, d),
        "yx": (y, x),
        "dx": (d, x),
        "xx": (x, x),
    }.items():
        added[name] = np.einsum("ij,ij->i", first, second)
    return added


def _structs(added, shift=(0.0, 0.0, 0.0)):
    columns = [column.tolist() for column in added.values()]
    return [
        UnitSums(**dict(zip(added, run, strict=True)), shift=shift)
        for run in zip(*columns, strict=True)
    ]
