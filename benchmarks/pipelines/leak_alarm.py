"""Count alarms of the leak alarm in honest worlds and in leaking ones.

`python -m benchmarks.pipelines.leak_alarm [--worlds 200]`. Worlds of 1,000 people
(tests/pipelines/evaluation/honest_logs.py), seeds 0 to 199: at 1 % a call 2 alarms are expected,
and more than 7 have a chance of 1 in 1,000. Leaks: a feature that holds its own list's clicks every
day; one that does so on the first day only; and honest_logs.LEAKS. 20 worlds each.
"""

from __future__ import annotations

import argparse

from isthmus.tests.pipelines.evaluation import honest_logs as honest

from ..measure import Line, scaled, table

PEOPLE = scaled(1000, 200)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--worlds", type=int, default=scaled(200, 1))
    arguments, _ = parser.parse_known_args()
    worlds, few = arguments.worlds, max(1, arguments.worlds // 10)
    alarms = sum(bool(honest.alarmed(PEOPLE, seed)) for seed in range(worlds))
    lines = [
        Line(
            name=f"honest worlds with an alarm, of {worlds}",
            value=str(alarms),
            goal="at most 7 of 200",
        )
    ]
    for kind in ("every day", "first day", *honest.LEAKS):
        alarm_count = sum(
            any("leaky" in line for line in honest.alarmed(PEOPLE, seed, leak=kind))
            for seed in range(few)
        )
        about = honest.LEAKS.get(kind, f"of {kind}")
        lines.append(
            Line(
                name=f"leaks that are called, of {few}: {about}",
                value=str(alarm_count),
                goal="19 of 20",
            )
        )
    table(f"the leak alarm, {PEOPLE:,} people, 13 features, 14 days", lines)


if __name__ == "__main__":
    main()
