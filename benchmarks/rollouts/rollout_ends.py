"""Count how whole rollouts end at little traffic, steady and in bursts: by `tick` itself.

`python -m benchmarks rollout_ends [--rollouts 200]`. The new variant is healthy, or fails every
request, or 5 % more of them, or takes three times as long. Steps of 25 %, 50 % and 100 %, bakes of
5, 8 and 8 minutes; error rate (1 %, and twice the old one's) and p90 (1.3 times); a lack of data is
held for 30 minutes. Seeds are fixed. It fails where, by four standard errors, more than 5 % of
healthy rollouts are taken back or more than 5 % of others are kept; and where one that fails every
request is not told with the first settled minute that holds twelve failures.
"""

from __future__ import annotations

import argparse
import math
import time
from collections import Counter
from statistics import median

import numpy as np

from isthmus.project.specs.description import Guardrail
from isthmus.tests.rollouts import scene
from isthmus.tests.rollouts.evidence.simulated_rollouts import (
    COMES,
    REASONS,
    Ending,
    Traffic,
    rollout,
)

from ..measure import SMALL, scaled

GUARDRAILS = (
    Guardrail(metric="error_rate", max=0.01),
    Guardrail(metric="error_rate", max_ratio=2),
    Guardrail(metric="latency_p90", max_ratio=1.3),
)
VARIANTS = {
    "healthy": Traffic(),
    "every request fails": Traffic(more_errors=1.0),
    "5 % more errors": Traffic(more_errors=0.05),
    "three times as slow": Traffic(slower=3.0),
}
PER_MINUTE = (5, 20, 200)
FAILURES = 12
WRONG = 0.05  # of the healthy ones are taken back, of others are kept: at most


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=scaled(200, 4))
    rollouts = parser.parse_known_args()[0].rollouts
    started, beyond = time.process_time(), []
    print(
        f"\n% of {rollouts:,} rollouts that are kept, ask a person, are taken back for harm or for "
        "lack of data\n(goals: healthy ones taken back 5 at most; others kept 5 at most)"
    )
    print(f"  {'':<20} {'a minute':>8}  {'':<14}" + " ".join(f"{name:>7}" for name in REASONS))
    for seed, (row, traffic) in enumerate(rows().items()):
        endings = [
            rollout(
                scene.plan(guardrails=GUARDRAILS), traffic, np.random.default_rng([2705, seed, run])
            )
            for run in range(rollouts)
        ]
        beyond += [f"{', '.join(map(str, row))}: {text}" for text in missed(row[0], endings)]
        print_row(row, endings)
    print(f"\n{time.process_time() - started:.0f} CPU s")
    if beyond and not SMALL:
        raise SystemExit("\n".join(beyond))


def rows() -> dict[tuple[str, int, str], Traffic]:
    """Return the traffic of each row by its name, traffic a minute, and how it comes."""
    return {
        (name, per_minute, comes): Traffic(
            per_minute=per_minute,
            comes=comes,
            more_errors=variant.more_errors,
            slower=variant.slower,
        )
        for name, variant in VARIANTS.items()
        for per_minute in PER_MINUTE
        for comes in COMES
    }


def missed(name: str, endings: list[Ending]) -> list[str]:
    """Return in what a row misses its goal, each as a clause."""
    wrong = ("harm", "no data") if name == "healthy" else ("kept",)
    count, number = sum(ending.reason in wrong for ending in endings), len(endings)
    texts = []
    if count > number * WRONG + 4 * math.sqrt(number * WRONG * (1 - WRONG)):
        texts.append(f"{count} of {number} are {' or '.join(wrong)}")
    late = sum(
        ending.failed_before_verdict >= FAILURES or (ending.reason != "harm" and ending.failed > 0)
        for ending in endings
    )
    if name == "every request fails" and late:
        texts.append(f"{late} of {number} are told later than by {FAILURES} failures")
    return texts


def print_row(row: tuple[str, int, str], endings: list[Ending]) -> None:
    counts = Counter(ending.reason for ending in endings)
    shares = " ".join(f"{100 * counts[name] / len(endings):>7.1f}" for name in REASONS)
    failed = [ending.failed for ending in endings if ending.reason == "harm"]
    print(
        f"  {row[0]:<20} {row[1]:>8}  {row[2]:<14}{shares}   after "
        f"{median(ending.minutes for ending in endings):,.0f} minutes"
        + (f", {median(failed):.0f} failed" if failed and row[0] != "healthy" else ""),
        flush=True,
    )


if __name__ == "__main__":
    main()
