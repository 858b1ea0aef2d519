"""Measure intervals that draw units: how long they take, and how often they hold the truth.

The time is that of 2,000 samples of 100,000 rows and 1,000 units. `python -m
benchmarks.pipelines.ranking_intervals [--logs 2000]`: simulated logs of 300 people
(tests/pipelines/evaluation/people.py), seeds fixed. Beside them stand the row bootstrap, and the
plain way: every sample a table of its own.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from isthmus.pipelines.evaluation import ranking, units
from isthmus.tests.pipelines.evaluation import people

from ..measure import Line, scaled, table


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--logs", type=int, default=scaled(2000, 2))
    arguments, _ = parser.parse_known_args()
    speed()
    coverage(arguments.logs)


def speed() -> None:
    """Measure two models, every metric of both and all differences."""
    log = _log_of(scaled(100_000, 2_000), scaled(1000, 50))
    started = time.process_time()
    first, second = people.sums(log, log.by_item), people.sums(log, log.by_person)
    summed = time.process_time()
    units.estimates(second)
    units.differences(second, first)
    ours = time.process_time() - started
    plain = 2000 * _plain(log, scaled(20, 1))
    table(
        f"2,000 samples of {len(log.outcome):,} rows and {log.units:,} units, CPU; 9 metrics "
        "of a model and 9 differences",
        [
            Line(name="ours", value=f"{ours:.2f} s", ratio=1.0, goal="2 s"),
            Line(
                name="... of which the metrics and their sums by unit",
                value=f"{summed - started:.2f} s",
            ),
            Line(
                name="a table for each sample, one AUC and one NDCG (20 run)",
                value=f"{plain:.0f} s",
                ratio=plain / ours,
            ),
        ],
    )


def _log_of(rows: int, number: int) -> people.Log:
    """Return the first `rows` rows of 1,000 people whose lists are many."""
    log = people.log(number, 0)
    times = -(-rows // len(log.outcome))
    again = [
        np.concatenate([getattr(log, name) for _ in range(times)])[:rows]
        for name in ("unit", "day", "outcome", "item", "by_item", "by_person")
    ]
    lists = int(log.group.max()) + 1
    group = np.concatenate([log.group + lists * turn for turn in range(times)])[:rows]
    unit, day, outcome, item, by_item, by_person = again
    return people.Log(
        unit=unit,
        group=group,
        day=day,
        outcome=outcome,
        item=item,
        by_item=by_item,
        by_person=by_person,
        units=number,
    )


def _plain(log: people.Log, samples: int) -> float:
    random = np.random.default_rng(0)
    rows = [np.flatnonzero(log.unit == unit) for unit in range(log.units)]
    started = time.process_time()
    for _ in range(samples):
        drawn = random.integers(0, log.units, log.units)
        sample = np.concatenate([rows[unit] for unit in drawn])
        again = np.repeat(np.arange(log.units), [len(rows[unit]) for unit in drawn])
        groups = np.unique(again * 1_000_000 + log.group[sample], return_inverse=True)[1]
        ranking.pair_shares(log.by_item[sample], log.outcome[sample], log.day[sample])
        ranking.measure(log.by_item[sample], log.outcome[sample], groups, int(groups.max()) + 1)
    return (time.process_time() - started) / samples


def coverage(logs: int) -> None:
    started = time.process_time()
    values, differences, naive = people.coverage(logs)
    lines = [
        Line(
            name=name,
            value=f"{100 * values[name]:.1f} %, {100 * differences[name]:.1f} %",
            goal="93.0 .. 97.0 %"
            + (f"   rows drawn: {100 * naive[name]:.1f} %" if name in naive else ""),
        )
        for name in values
    ]
    milliseconds, sigma = (
        (time.process_time() - started) / logs * 1e3,
        100 * (0.95 * 0.05 / logs) ** 0.5,
    )
    table(
        f"95 % intervals that hold the truth, of {logs:,} logs of 300 people: the value, the "
        "difference to another model's",
        lines,
        note=f"{milliseconds:.0f} ms CPU a log; one standard error is {sigma:.1f} points",
    )


if __name__ == "__main__":
    main()
