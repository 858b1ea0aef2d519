"""Count how often the interval of a learning curve's last step holds the true gain.

`python -m benchmarks learning_curves [--logs=400]`: logs of 300 people who train and 300 who are
tested (tests/pipelines/evaluation/people.py), seeds fixed. A model knows each item's rate, by a
share of the people; the true gain is that of the same two models on 8,000 other people. Beside it:
the gain that other people who train would bring on average, of which the interval promises nothing.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import pyarrow as pa

from isthmus.pipelines.evaluation import units
from isthmus.pipelines.evaluation.learning_curve import SHARES
from isthmus.pipelines.evaluation.shares import share_of_units
from isthmus.tests.pipelines.evaluation import people

from ..measure import Line, scaled, table

PEOPLE, MANY = 300, 8_000
METRICS = ("auc", "ndcg@10", "log_loss")
LAST = SHARES[-2]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=int, default=scaled(400, 3))
    arguments, _ = parser.parse_known_args()
    number, started = arguments.logs, time.process_time()
    others = people.log(scaled(MANY, 300), [30, 0])
    held = dict.fromkeys(METRICS, 0)
    gains: dict[str, list[tuple[float, float, float]]] = {name: [] for name in METRICS}
    for seed in range(number):
        trained, tested = people.log(PEOPLE, [31, seed]), people.log(PEOPLE, [32, seed])
        part, whole = fitted(trained, LAST), fitted(trained, 100)
        before, after = (people.sums(tested, rates[tested.item]) for rates in (part, whole))
        true = {
            name: after_all.value - before_all.value
            for name, before_all, after_all in paired(others, part, whole)
        }
        for name, gain in units.differences(after, before, seed=seed).items():
            if name in METRICS:
                held[name] += gain.low <= true[name] <= gain.high
                gains[name].append((gain.low, gain.high, true[name]))
    sigma = (0.95 * 0.05 / number) ** 0.5
    lines = []
    for name in METRICS:
        low, high, true_gains = np.array(gains[name]).T
        average = true_gains.mean()
        lines.append(
            Line(
                name=name,
                value=f"{100 * held[name] / number:.1f} %",
                goal=f"93.0 .. 97.0 %; the average gain {average:+.5f}: "
                f"{100 * ((low <= average) & (average <= high)).mean():.1f} %",
            )
        )
    milliseconds = (time.process_time() - started) / number * 1e3
    table(
        f"95 % intervals of the step from {LAST} to 100 % that hold the true gain, {number:,} logs",
        lines,
        note=f"{milliseconds:.0f} ms CPU a log; one standard error is {100 * sigma:.1f} points",
    )
    outside = [
        name for name in METRICS if not 0.93 - 4 * sigma <= held[name] / number <= 0.97 + 4 * sigma
    ]
    if outside:
        raise SystemExit(f"outside of 93 .. 97 %: {', '.join(outside)}")


def fitted(log: people.Log, percent: int):
    """Return each item's rate by a share of the people, drawn to that of all items."""
    rows = share_of_units(
        pa.table(
            {
                "event_id": np.arange(len(log.unit)).astype(str),
                "unit": log.unit.astype(str),
                "item": log.item,
                "outcome": log.outcome,
            }
        ),
        "unit",
        percent,
    )
    item, outcome = rows["item"].to_numpy(), rows["outcome"].to_numpy()
    shown = np.bincount(item, minlength=people.ITEMS)
    hits = np.bincount(item, weights=outcome, minlength=people.ITEMS)
    return (hits + 20 * outcome.mean()) / (shown + 20)


def paired(log: people.Log, part, whole):
    """Yield each metric's name and its sums of both models."""
    before, after = (people.sums(log, rates[log.item]) for rates in (part, whole))
    for name in METRICS:
        yield name, before[name], after[name]


if __name__ == "__main__":
    main()
