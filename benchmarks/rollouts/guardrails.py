"""Count how often guardrails take back a healthy rollout, and how soon a broken one.

4,000 simulated rollouts a row, seeds fixed: `python -m benchmarks.rollouts.guardrails [--rollouts
4000]`. Three steps (5 % 10 min, 25 % 10 min, 50 % 20 min), 40 looks, two checks running; 5 % false
alarms of two guardrails: each stage and guardrail fails from an evidence of 160 on. What is
compared is exactly at its limit: the hardest healthy case. Beside it stands a z-test at every look.
The simulation's verdicts are compared with `judge`'s, check by check.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

from isthmus.project.specs.description import Guardrail
from isthmus.tests.rollouts.evidence import traffic
from isthmus.tests.rollouts.evidence.traffic import World

from ..measure import scaled

NEEDED = 160
RATES = {
    "60/min, 1 %": World(per_minute=60, rate=0.01),
    "600/min, 0.1 %": World(per_minute=600, rate=0.001),
    "600/min, 1 %": World(per_minute=600, rate=0.01),
    "6,000/min, 0.1 %": World(per_minute=6000, rate=0.001),
    "6,000/min, 1 %": World(per_minute=6000, rate=0.01),
    "600/min, 1 %, errors in packs of 5": World(per_minute=600, rate=0.01, pack=5),
    "600/min, 1 %, errors in packs of 20": World(per_minute=600, rate=0.01, pack=20),
    "600/min, 1 %, every 8th minute bad for both": World(per_minute=600, rate=0.01, bad=8),
}
# the figure, its quantile, what makes a minute count, requests a minute of the new and the old
# variant
LATENCIES = {
    "p99, 150 and 450": (0.99, 100, 150, 450),
    "p90, 100 and 300": (0.9, 30, 100, 300),
    "p90, 30 and 570": (0.9, 30, 30, 570),
    "mean, 30 and 570": (None, 10, 30, 570),
}

TAILS = {
    0.4: "p99 2.5 x p50",
    0.7: "p99 5 x p50",
    1.0: "p99 10 x p50",
}  # lognormal latencies, by the spread of their logarithm


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rollouts", type=int, default=scaled(4000, 20))
    arguments, _ = parser.parse_known_args()
    started = time.perf_counter()
    healthy(arguments.rollouts)
    broken(arguments.rollouts)
    outright(arguments.rollouts)
    latencies(arguments.rollouts)
    few_requests(arguments.rollouts)
    print(f"\n{time.perf_counter() - started:.0f} s")


def healthy(rollouts: int) -> None:
    print(
        f"\n% of {rollouts:,} healthy rollouts that are taken back (goal: 5 at most; z-test "
        "above 20 at 600/min and more)"
    )
    print(f"  {'':<46} {'max_ratio, p90':>14} {'max':>6} {'z-test':>7}   checks unlike judge's")
    for name, world in RATES.items():
        ratio, limit, z, unlike = _healthy(world, rollouts)
        absolute = (
            "-" if world.bad else f"{limit:.1f}"
        )  # its rate is above the limit, which is no false alarm
        print(
            f"  {name:<46} {ratio:>14.1f} {absolute:>6} {z:>7.0f}   {unlike} of "
            f"{10 * 3 * sum(length for _, length in traffic.STEPS):,}"
        )


def _healthy(world: World, rollouts: int) -> tuple[float, float, float, int]:
    random = np.random.default_rng(1)
    ratio, limit, z, unlike = *(np.zeros(rollouts, bool) for _ in range(3)), 0
    guardrails = (
        Guardrail(metric="error_rate", max_ratio=1),
        Guardrail(metric="error_rate", max=world.rate),
        Guardrail(metric="latency_p90", max_ratio=1),
    )
    for share, length in traffic.STEPS:
        m = traffic.stage(world, share, length, rollouts, random)
        fails = (
            traffic.ratio_fails(m, 1, NEEDED * 1.5),  # of three guardrails, as `judge` is asked
            traffic.limit_fails(m, world.rate, NEEDED * 1.5),
            traffic.sign_fails(m, 1, NEEDED * 1.5, 30),
        )
        unlike += traffic.differences(m, guardrails, fails, 10)
        together = traffic.ratio_fails(m, 1, NEEDED), traffic.sign_fails(m, 1, NEEDED, 30)
        for fail in together:
            ratio |= traffic.taken_back(fail) > 0
        limit |= traffic.taken_back(traffic.limit_fails(m, world.rate, NEEDED)) > 0
        z |= traffic.taken_back(traffic.z_fails(m)) > 0
    return 100 * ratio.mean(), 100 * limit.mean(), 100 * z.mean(), unlike


def broken(rollouts: int) -> None:
    print(
        f"\n% of {rollouts:,} rollouts with so many times the errors that are taken back "
        "(goal at 600/min and 1 %: 70 of 2x, 95 of 3x)"
    )
    print(f"  {'':<46} {'max_ratio: 1':^23} {'in step 1':^11} {'max: the old rate':^23}")
    print(f"  {'':<46} {'2x':>7} {'3x':>7} {'5x':>7} {'3x':>11} {'2x':>7} {'3x':>7} {'5x':>7}")
    for name, world in RATES.items():
        ratio, first = zip(
            *(_percent_taken_back(world, times, rollouts, "ratio") for times in (2, 3, 5)),
            strict=True,
        )
        limit, _ = zip(
            *(_percent_taken_back(world, times, rollouts, "limit") for times in (2, 3, 5)),
            strict=True,
        )
        shown = (
            " ".join(f"{part:7.0f}" for part in ratio),
            " ".join(f"{part:7.0f}" for part in limit),
        )
        print(f"  {name:<46} {shown[0]} {first[1]:>11.0f} {'' if world.bad else shown[1]}")


def _percent_taken_back(
    world: World, times: float, rollouts: int, kind: str
) -> tuple[float, float]:
    """Return the percent of rollouts that are taken back in any step, and in the first."""
    random = np.random.default_rng(2)
    steps = []
    changed = World(
        per_minute=world.per_minute, rate=world.rate, times=times, pack=world.pack, bad=world.bad
    )
    for share, length in traffic.STEPS:
        m = traffic.stage(changed, share, length, rollouts, random)
        fails = (
            traffic.ratio_fails(m, 1, NEEDED)
            if kind == "ratio"
            else traffic.limit_fails(m, world.rate, NEEDED)
        )
        steps.append(traffic.taken_back(fails) > 0)
    return 100 * np.any(steps, axis=0).mean(), 100 * steps[0].mean()


def outright(rollouts: int) -> None:
    world = World(per_minute=240, rate=0.01, times=80)
    m = traffic.stage(world, 0.25, 10, rollouts, np.random.default_rng(1))
    minute = traffic.taken_back(traffic.ratio_fails(m, 2, NEEDED), running=1)
    part = 100 * (minute > 0).mean()
    print(
        f"\n80 % errors at 60/min of the new variant: {part:.1f} % found, in minute "
        f"{minute.min()} to {minute.max()} (goal: 3)"
    )


def latencies(rollouts: int) -> None:
    print(
        f"\n% of {rollouts:,} steps of 20 minutes that are taken back: latency, max_ratio "
        "1.2; requests a minute of new and old"
    )
    print(
        f"  {'':<46} {'1.0x':>7} {'1.2x':>7} {'1.5x':>7} {'2x':>7}   goal of p90 at 100 "
        "requests: 90 of 1.5x"
    )
    for spread, tail in TAILS.items():
        for name in LATENCIES:
            parts = [_slow(name, slower, spread, rollouts) for slower in (1.0, 1.2, 1.5, 2.0)]
            print(f"  {name + ', ' + tail:<46} " + " ".join(f"{part:7.1f}" for part in parts))


def _slow(name: str, slower: float, spread: float, rollouts: int) -> float:
    quantile, count, new, old = LATENCIES[name]
    random = np.random.default_rng(4)
    world = World(
        per_minute=new + old, rate=0, slower=slower, spread=spread, quantile=quantile or 0.5
    )
    stage = traffic.mean_stage if quantile is None else traffic.even_stage
    m = stage(world, new, old, 20, rollouts, random)
    return 100 * (traffic.taken_back(traffic.sign_fails(m, 1.2, NEEDED, count)) > 0).mean()


def few_requests(rollouts: int) -> None:
    print(
        "\nwhat a p99 of 30 requests a minute shows beside one of 570, the median of all "
        "minutes: why a minute needs 100"
    )
    for spread, tail in TAILS.items():
        ratios = []
        for slower in (1.0, 2.0):
            world = World(per_minute=600, rate=0, slower=slower, spread=spread, quantile=0.99)
            m = traffic.even_stage(world, 30, 570, 20, rollouts, np.random.default_rng(5))
            ratios.append(f"{slower:.0f}x as {np.median(m.new_ms / m.old_ms):.2f}x")
        print(f"  {tail:<46} {', '.join(ratios)}")


if __name__ == "__main__":
    main()
