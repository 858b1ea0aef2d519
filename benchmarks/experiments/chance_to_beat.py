"""Count how many of the treatments that are better with a chance of 90 % truly are.

20,000 simulated tests a row, seeds fixed: `python -m benchmarks chance_to_beat`. True effects are
drawn from the prior; arms of tests/experiments/statistics/worlds.py, each with the metric of the
time before. A row fails if the number of those that are better lies more than four standard
deviations from the sum of the chances.
"""

from __future__ import annotations

import argparse
import time

from isthmus.tests.experiments.statistics.prior_worlds import calibration, drawn, stopped
from isthmus.tests.experiments.statistics.worlds import KINDS

from ..measure import scaled

UNITS, LOOKS = 1_000, 20


def shown(name, rows, *, promised=True):
    for row in rows:
        missed = "   MISSED" if promised and not row.holds else ""
        print(
            f"  {name:<20} {100 * row.low:4.0f} - {100 * row.high:3.0f} %  {row.count:6,}   "
            f"said {100 * row.said:5.1f}   better {100 * row.better:5.1f}   "
            f"{(row.better - row.said) / row.sigma:+5.1f} sigma{missed}"
        )
    return all(row.holds for row in rows)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=scaled(20_000, 100))
    arguments, _ = parser.parse_known_args()
    started = time.process_time()
    print(f"% better in truth of {arguments.runs:,} tests, effects drawn from the prior")
    kept = [
        shown(
            f"{kind}, {UNITS:,} units",
            calibration(*drawn(kind, runs=arguments.runs, units_an_arm=UNITS, seed=700 + seed)),
        )
        for seed, kind in enumerate(KINDS)
    ]
    print(f"\nstopped at the first of {LOOKS} looks that says 95 %, 50 units an arm each")
    kept += [
        shown(
            kind,
            calibration(
                *stopped(kind, runs=arguments.runs, looks=LOOKS, at=0.95, seed=710 + seed),
                edges=(0.95, 1.0),
            ),
        )
        for seed, kind in enumerate(KINDS)
    ]
    print("\nnot the prior (nothing is promised): true effects of 2 % instead of 10 %")
    shown(
        "ratio",
        calibration(*drawn("ratio", runs=arguments.runs, units_an_arm=UNITS, seed=720, width=0.02)),
        promised=False,
    )
    print(f"\n{time.process_time() - started:.0f} CPU s")
    if not all(kept):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
