"""Simulated logs of people, with known truth: each sees some lists of 5 to 20 items, likes
everything more or less, and some kinds more.

A list's rows share their person's liking, so rows are anything but independent. Two models score
every row: one knows the items, the other who likes everything.
"""

from dataclasses import dataclass

import numpy as np

from isthmus.pipelines.evaluation import metrics, ranking, statistics, units
from isthmus.pipelines.evaluation.metrics import UnitClusters

ITEMS, KINDS, DAYS = 100, 5, 10
WORTH = np.random.default_rng(7).normal(0, 1, ITEMS)  # of each item, the same in every log


@dataclass(frozen=True, kw_only=True)
class Log:
    """One entry a row; `unit` and `group` are codes from 0."""

    unit: np.ndarray
    group: np.ndarray
    day: np.ndarray
    outcome: np.ndarray
    item: np.ndarray
    by_item: np.ndarray
    by_person: np.ndarray
    units: int


def log(people, seed):
    random = np.random.default_rng(seed)
    lists = 1 + random.poisson(np.exp(random.normal(0.5, 0.8, people)))  # few come often
    person_of_list = np.repeat(np.arange(people), lists)
    group = np.repeat(np.arange(len(person_of_list)), random.integers(5, 21, len(person_of_list)))
    unit = person_of_list[group]
    liking, taste = random.normal(0, 1, people), random.normal(0, 1, (people, KINDS))
    item = random.integers(0, ITEMS, len(unit))
    chance = logistic(-2 + liking[unit] + 0.5 * WORTH[item] + 0.7 * taste[unit, item % KINDS])
    return Log(
        unit=unit,
        group=group,
        day=random.integers(0, DAYS, len(person_of_list))[group],
        outcome=(random.random(len(unit)) < chance).astype(int),
        item=item,
        by_item=logistic(-1.6 + 0.5 * WORTH[item]),
        by_person=logistic(
            -1.8 + 0.8 * liking[unit] + 0.2 * WORTH[item] + random.normal(0, 0.3, len(unit))
        ),
        units=people,
    )


def logistic(score):
    return 1 / (1 + np.exp(-score))


def sums(made, scores):
    """Every metric's sums by unit, as an evaluation makes them."""
    among = UnitClusters(
        unit=made.unit,
        units=made.units,
        dependent=True,
        group=made.group,
        groups=int(made.group.max()) + 1,
    )
    return {
        "auc": units.totals(
            *ranking.pair_shares(scores, made.outcome, made.day), made.unit, made.units, degree=2
        ),
        "pr_auc": units.totals(
            *ranking.precision_shares(scores, made.outcome), made.unit, made.units, scale="logit"
        ),
        "log_loss": units.totals(
            statistics.log_loss(scores, made.outcome), 1.0, made.unit, made.units
        ),
        "calibration": units.totals(made.outcome, scores, made.unit, made.units),
        **metrics.ranking_totals(
            ranking.measure(scores, made.outcome, among.group, among.groups), among
        ),
    }


def as_if_independent(made, scores):
    """The same three figures with every row a unit of its own: what one gets who does not know
    better.
    """
    rows, number = np.arange(len(made.outcome)), len(made.outcome)
    return {
        "auc": units.totals(
            *ranking.pair_shares(scores, made.outcome, made.day), rows, number, degree=2
        ),
        "log_loss": units.totals(statistics.log_loss(scores, made.outcome), 1.0, rows, number),
        "calibration": units.totals(made.outcome, scores, rows, number),
    }


def truth(logs=12, people=8000):
    """(metric -> the second model's value, metric -> its difference to the first's) over many
    people of other logs.
    """
    values, differences = [], []
    for number in range(logs):
        made = log(people, [1, number])
        first, second = sums(made, made.by_item), sums(made, made.by_person)
        values.append({name: metric.value for name, metric in second.items()})
        differences.append(
            {name: metric.value - first[name].value for name, metric in second.items()}
        )
    return tuple(
        {name: float(np.mean([each[name] for each in side])) for name in side[0]}
        for side in (values, differences)
    )


def coverage(logs, people=300, *, naive_samples=200):
    """Shares of logs whose 95 % interval holds the truth:

    (metric -> of values, -> of differences, -> of values by the row bootstrap).
    """
    value, difference = truth()
    inside, between, naive = {}, {}, {}
    for number in range(logs):
        made = log(people, [2, number])
        first, second = sums(made, made.by_item), sums(made, made.by_person)
        for counted, estimates, true in (
            (inside, units.estimates(second, seed=number), value),
            (between, units.differences(second, first, seed=number), difference),
            (
                naive,
                units.estimates(
                    as_if_independent(made, made.by_person), samples=naive_samples, seed=number
                ),
                value,
            ),
        ):
            for name, estimate in estimates.items():
                counted[name] = counted.get(name, 0) + (estimate.low <= true[name] <= estimate.high)
    return tuple(
        {name: count / logs for name, count in counted.items()}
        for counted in (inside, between, naive)
    )
