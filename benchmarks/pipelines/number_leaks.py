"""Count alarms of the leak alarm of a number in honest worlds and in leaking ones.

`python -m benchmarks number_leaks [--worlds=200] [--people=300]`: simulated logs
(tests/pipelines/evaluation/honest_numbers.py) whose stays are log-normal, mostly none, or Pareto
with a cap; seeds 0 to 199, fixed before anybody looked. At 1 % a call 2 alarms of 200 are expected,
and more than 7 have a chance of 1 in 1,000. Of each leak there are a tenth as many worlds.
"""

from __future__ import annotations

import argparse

from isthmus.tests.pipelines.evaluation import honest_numbers as honest

from ..measure import SMALL, Line, scaled, table

MOST = 7  # false alarms of 200


def main() -> None:
    parser = argparse.ArgumentParser(prog="number_leaks")
    parser.add_argument("--worlds", type=int, default=scaled(200, 1))
    parser.add_argument("--people", type=int, default=scaled(300, 100))
    arguments, _ = parser.parse_known_args()
    alarms = [shown(world, arguments.worlds, arguments.people) for world in honest.WORLDS]
    if any(count > MOST * arguments.worlds / 200 for count in alarms) and not SMALL:
        raise SystemExit(1)


def shown(world: str, worlds: int, people: int) -> int:
    """Print a world's false alarms, and the leaks that are called; return the false alarms."""
    alarms = sum(bool(honest.alarmed(world, people, seed)) for seed in range(worlds))
    few = max(1, worlds // 10)
    lines = [
        Line(
            name=f"honest worlds with an alarm, of {worlds}",
            value=str(alarms),
            goal=f"at most {MOST} of 200",
        )
    ]
    for kind, about in honest.LEAKS.items():
        called = sum(
            any(line.startswith("leaky") for line in honest.alarmed(world, people, seed, leak=kind))
            for seed in range(few)
        )
        lines.append(Line(name=f"of {few}: {about}", value=str(called)))
    table(f"{world}: the leak alarm of a number, {people:,} people, 13 features, 14 days", lines)
    return alarms


if __name__ == "__main__":
    main()
