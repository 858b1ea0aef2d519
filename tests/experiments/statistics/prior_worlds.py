"""Simulated tests whose true effects are drawn from the prior of the chance to beat the control.

For the tests and benchmarks/experiments/chance_to_beat.py.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from isthmus.experiments.statistics.assessment import comparisons
from isthmus.experiments.statistics.chance_to_beat import PRIOR_SD, chance_to_beat

from .worlds import sums, sums_so_far, units

CHUNK = 500
EDGES = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0)


@dataclass(frozen=True)
class Row:
    """The results whose chance lies between two edges."""

    low: float
    high: float
    count: int
    said: float
    better: float
    sigma: float

    @property
    def holds(self):
        return abs(self.better - self.said) <= 4 * self.sigma


def chances(control, treatment):
    """The chance of each run, from two lists of sums, as results tell it; None: too few data."""
    pairs = (
        comparisons({"control": a, "treatment": b})["treatment"]
        for a, b in zip(control, treatment, strict=True)
    )
    return [pair and chance_to_beat(pair.control, pair.treatment, "maximise") for pair in pairs]


def true_effects(random, runs, width=PRIOR_SD):
    return np.expm1(random.normal(0, width, (runs, 1)))


def drawn(kind, *, runs, units_an_arm, seed, width=PRIOR_SD):
    """What is said of each run at one look, and whether its treatment is better in truth."""
    random, said, better = np.random.default_rng(seed), [], []
    for begun in range(0, runs, CHUNK):
        number = min(CHUNK, runs - begun)
        effects = true_effects(random, number, width)
        arms = [
            sums(*units(kind, random, number, units_an_arm, effect)) for effect in (0.0, effects)
        ]
        for chance, effect in zip(chances(*arms), effects[:, 0].tolist(), strict=True):
            if chance is not None:
                said.append(chance.probability)
                better.append(effect > 0)
    return np.array(said), np.array(better)


def stopped(kind, *, runs, looks, at, seed):
    """What is said of the runs that stop at the first look above `at`, and whether it is true."""
    random, said, better = np.random.default_rng(seed), [], []
    for begun in range(0, runs, CHUNK):
        number = min(CHUNK, runs - begun)
        effects = true_effects(random, number)
        sides = [
            sums_so_far([units(kind, random, number, 50, effect) for _ in range(looks)])
            for effect in (0.0, effects)
        ]
        for effect, *run in zip(effects[:, 0].tolist(), *sides, strict=True):
            of_looks = (chance.probability for chance in chances(*run) if chance is not None)
            first = next((chance for chance in of_looks if chance >= at), None)
            if first is not None:
                said.append(first)
                better.append(effect > 0)
    return np.array(said), np.array(better)


def calibration(said, better, edges=EDGES):
    """The rows of a table: what was said beside what is true."""
    rows = []
    for low, high in pairwise(edges):
        chosen = (said >= low) & ((said < high) | (high == 1.0))
        if count := int(chosen.sum()):
            sigma = math.sqrt((said[chosen] * (1 - said[chosen])).sum()) / count
            rows.append(Row(low, high, count, said[chosen].mean(), better[chosen].mean(), sigma))
    return rows
