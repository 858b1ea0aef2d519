"""Count how often a replay's 95 % intervals hold the truth, for an objective that is a number.

`python -m benchmarks number_replay [--logs=300] [--people=400] [--world=NAME]`: simulated logs whose
truth is known (tests/experiments/replay/dwell_world.py), seeds from SEED on. The number of logs and
the seed were fixed before anybody looked. A figure misses if it lies more than 4 standard errors of
a share below 95 %; with --small, and of a Pareto without a cap, nothing is judged.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np

from isthmus.pipelines.evaluation.regression import tail_warnings
from isthmus.tests.experiments.replay import dwell_world
from isthmus.tests.experiments.replay.ruled_world import z

from ..measure import SMALL, Line, scaled, table

SEED = 20261203
PROMISED = 0.95


def main() -> None:
    worlds = (*dwell_world.WORLDS, dwell_world.PARETO)
    parser = argparse.ArgumentParser(prog="number_replay")
    parser.add_argument("--logs", type=int, default=scaled(300, 2))
    parser.add_argument("--people", type=int, default=scaled(400, 20))
    parser.add_argument("--world", action="append", choices=worlds, help="repeatable")
    arguments, _ = parser.parse_known_args()
    kept = [shown(world, arguments.logs, arguments.people) for world in arguments.world or worlds]
    if not all(kept) and not SMALL:
        raise SystemExit(1)


def shown(world: str, logs: int, people: int) -> bool:
    """Print how often a world's intervals hold the truth; return whether none misses."""
    started = time.process_time()
    wanted, logging = dwell_world.truth(world, scaled(20_000, 100), SEED)
    true = dict.fromkeys(dwell_world.ESTIMATES, wanted)
    true[dwell_world.ESTIMATES[-1]] = wanted - logging
    errors: dict[str, list[float]] = {name: [] for name in true}
    held = dict.fromkeys(true, 0)
    warned, effective = 0, []
    for number in range(logs):
        replayed, amounts = dwell_world.one_log(world, people, SEED + 1 + number)
        warned += bool(tail_warnings(amounts, ["IPS"]))
        effective.append(replayed.effective_rows)
        for name, value in dwell_world.values(replayed).items():
            errors[name].append(value.value - true[name])
            held[name] += value.low <= true[name] <= value.high
    least = PROMISED - 4 * math.sqrt(PROMISED * (1 - PROMISED) / logs)
    promised = world != dwell_world.PARETO
    missed = {name for name in held if promised and held[name] < least * logs}
    lines = [
        Line(
            name=name,
            value=f"{100 * held[name] / logs:.1f} %",
            goal=f"z {z(errors[name]):+.1f}, sd {np.std(errors[name]):.2f} of {true[name]:.2f}"
            + (" MISSED" if name in missed and not SMALL else ""),
        )
        for name in held
    ]
    lines.append(Line(name="logs that are warned of", value=f"{100 * warned / logs:.1f} %"))
    table(
        f"{world}: % of {logs:,} logs of {people:,} people, worth {np.mean(effective):,.0f} rows, "
        "whose interval holds the truth",
        lines,
        note=f"{(time.process_time() - started) / logs * 1e3:.0f} ms CPU a log; goal "
        + (f"{100 * least:.1f} % at least" if promised else "none: the text warns"),
    )
    return not missed


if __name__ == "__main__":
    main()
