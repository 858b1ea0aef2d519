"""Simulated logs of how long people stay, with known truth: each sees some lists of items, stays
longer at everything or less, and longer with some items.

A list's rows share their person's patience, so rows are anything but independent. Three worlds
differ in their tails: stays are log-normal, mostly none at all, or Pareto with a cap. Two models
score every row: one knows the items, the other who stays long.
"""

from dataclasses import dataclass, field

import numpy as np

from isthmus.pipelines.evaluation import metrics, ranking, regression, units
from isthmus.pipelines.evaluation.metrics import UnitClusters

ITEMS = 100
WORTH = np.random.default_rng(7).normal(0, 0.5, ITEMS)  # of each item, the same in every log
WORLDS = ("log-normal", "zero-inflated", "pareto with a cap")
ALL_WORLDS = (*WORLDS, "pareto")  # the last has no variance: what an evaluation warns of
CAP = 60.0  # of the third world, some five times the mean


@dataclass(frozen=True, kw_only=True)
class Log:
    """One entry a row; `unit` and `group` are codes from 0."""

    unit: np.ndarray
    group: np.ndarray
    outcome: np.ndarray
    by_item: np.ndarray
    by_person: np.ndarray
    units: int


def log(world, people, seed):
    random = np.random.default_rng(seed)
    lists = 1 + random.poisson(np.exp(random.normal(0.3, 0.6, people)))  # few come often
    person_of_list = np.repeat(np.arange(people), lists)
    group = np.repeat(np.arange(len(person_of_list)), random.integers(4, 13, len(person_of_list)))
    unit = person_of_list[group]
    patience = random.normal(0, 0.5, people)
    item = random.integers(0, ITEMS, len(unit))
    scale = 10 * np.exp(0.7 * patience[unit] + WORTH[item])
    if world == "log-normal":
        outcome = scale * np.exp(random.normal(-0.5, 1, len(unit)))
    elif world == "zero-inflated":
        stayed = random.random(len(unit)) < 1 / (1 + np.exp(1.7 - patience[unit] - WORTH[item]))
        outcome = stayed * scale * np.exp(random.normal(-0.3, 0.8, len(unit)))
    else:
        outcome = scale / 3 * (1 + random.pareto(1.5, len(unit)))
        outcome = np.minimum(outcome, CAP) if world == WORLDS[2] else outcome
    return Log(
        unit=unit,
        group=group,
        outcome=outcome,
        by_item=9 * np.exp(WORTH[item]),
        by_person=9 * np.exp(0.5 * patience[unit] + random.normal(0, 0.3, len(unit))),
        units=people,
    )


def sums(made, scores):
    """Every metric's sums by unit, as an evaluation makes them."""
    among = UnitClusters(
        unit=made.unit,
        units=made.units,
        dependent=True,
        group=made.group,
        groups=int(made.group.max()) + 1,
    )
    lists = ranking.measure_values(scores, made.outcome, made.group, among.groups)
    return {
        "mean": units.totals(made.outcome, 1.0, made.unit, made.units, scale="log"),
        **regression.totals(made.outcome, scores, made.unit, made.units),
        **metrics.value_totals(lists, among, "log"),
    }


def truth(world, people):
    """(metric -> the first model's value, metric -> its difference to the second's) of other logs.

    Sums of 6 logs are added. Outcomes of the Pareto have no variance, so that sums say nothing:
    its mean is 1 / (1 - 1 / 1.5) = 3 times the scale's, which is log-normal by the patience.
    """
    if world not in WORLDS:
        mean = 10 * np.exp((0.7 * 0.5) ** 2 / 2) * np.exp(WORTH).mean()
        return {"mean": float(mean)}, {}
    totals = None
    for number in range(6):
        made = log(world, people, [27, number])
        sides = [sums(made, scores) for scores in (made.by_item, made.by_person)]
        totals = totals or [{name: [] for name in side} for side in sides]
        for kept, side in zip(totals, sides, strict=True):
            for name, metric in side.items():
                kept[name].append(metric)
    first, second = (
        {name: _together(metrics_).value for name, metrics_ in kept.items()} for kept in totals
    )
    return first, {name: first[name] - second[name] for name in first if name != "mean"}


def _together(parts):
    return units.UnitTotals(
        numerator=np.concatenate([part.numerator for part in parts]),
        denominator=np.concatenate([part.denominator for part in parts]),
        scale=parts[0].scale,
    )


@dataclass(kw_only=True)
class Counts:
    """Logs whose interval holds the truth, by metric; and those that are warned of."""

    values: dict = field(default_factory=dict)
    differences: dict = field(default_factory=dict)
    warned: int = 0
    mean_or_warned: int = 0


def coverage(world, logs, *, people=300, people_of_truth=20_000):
    """Count the logs of a world whose 95 % intervals hold the truth."""
    true_values, true_differences = truth(world, people_of_truth)
    counts = Counts()
    for number in range(logs):
        made = log(world, people, [28, number])
        first, second = sums(made, made.by_item), sums(made, made.by_person)
        warned = bool(regression.tail_warnings(made.outcome, first))
        counts.warned += warned
        for counted, estimates, true in (
            (counts.values, units.estimates(first, seed=number), true_values),
            (counts.differences, units.differences(first, second, seed=number), true_differences),
        ):
            for name in true:
                held = estimates[name].low <= true[name] <= estimates[name].high
                counted[name] = counted.get(name, 0) + held
                counts.mean_or_warned += name == "mean" and (warned or held)
    return counts
