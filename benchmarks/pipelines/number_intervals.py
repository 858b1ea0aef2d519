"""Count how many 95 % intervals of an outcome that is a number hold the truth.

2,000 simulated logs of 300 people a world, seeds fixed: `python -m benchmarks number_intervals
[--logs=2000] [--world=NAME]` (tests/pipelines/evaluation/stays.py). The truth is that of 120,000
other people; of a Pareto without a cap, whose outcomes have no variance, only the mean is known, by
its formula. A figure misses if the whole 95 % binomial interval of its share lies outside 93 .. 97
%; with --small nothing is judged.
"""

from __future__ import annotations

import argparse
import time

from isthmus.experiments.monitors.intervals import proportion
from isthmus.tests.pipelines.evaluation import stays

from ..measure import SMALL, Line, scaled, table

LOW, HIGH = 0.93, 0.97


def main() -> None:
    parser = argparse.ArgumentParser(prog="number_intervals")
    parser.add_argument("--logs", type=int, default=scaled(2000, 3))
    parser.add_argument("--world", action="append", choices=stays.ALL_WORLDS, help="repeatable")
    arguments, _ = parser.parse_known_args()
    kept = [shown(world, arguments.logs) for world in arguments.world or stays.ALL_WORLDS]
    if not all(kept) and not SMALL:
        raise SystemExit(1)


def shown(world: str, logs: int) -> bool:
    """Print a world's shares; return whether none misses."""
    started = time.process_time()
    counts = stays.coverage(world, logs, people_of_truth=scaled(20_000, 300))
    promised = world in stays.WORLDS
    lines, missed = [], False
    for name in counts.values | counts.differences:
        parts = []
        for hits in (counts.values.get(name), counts.differences.get(name)):
            if hits is None:
                parts.append("-")
                continue
            share = proportion(hits, logs)
            outside = promised and (share.high < LOW or share.low > HIGH)
            missed |= outside
            parts.append(
                f"{100 * share.value:.1f} ({100 * share.low:.1f} .. {100 * share.high:.1f})"
                + (" MISSED" if outside and not SMALL else "")
            )
        lines.append(Line(name=name, value=",  ".join(parts)))
    lines.append(Line(name="logs that are warned of", value=f"{100 * counts.warned / logs:.1f} %"))
    lines.append(
        Line(name="mean held, or warned", value=f"{100 * counts.mean_or_warned / logs:.1f} %")
    )
    table(
        f"{world}: % of {logs:,} logs of 300 people whose interval holds the truth: of the value, "
        "of the paired difference",
        lines,
        note=f"{(time.process_time() - started) / logs * 1e3:.0f} ms CPU a log; goal 93 .. 97 %"
        + ("" if promised else ", but nothing is promised here: the page warns"),
    )
    return not missed


if __name__ == "__main__":
    main()
