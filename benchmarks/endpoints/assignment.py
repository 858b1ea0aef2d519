"""Measure what the decision of a unit's arms costs, and how even its hashes are.

The cost is CPU of a decision with two holdouts and one run, beside one of its hashes. For units of
three shapes and 60 salts, chi-square tests judge units by bucket, and the tenths of each two salts
beside each other. `--units N` of a shape, default 1,000,000: some two minutes.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np
from scipy import stats

from isthmus.endpoints.gateway.decide.assignment import Assigner, bucket
from isthmus.endpoints.gateway.decide.live_document import (
    LiveArm,
    LiveExperiments,
    LiveLayer,
    LiveRun,
)
from isthmus.project.specs.description import BUCKETS

from ..measure import Line, scaled, table

UNITS, ROUNDS = scaled(20_000, 100), 7
SALTS, TENTHS = scaled(60, 3), 10
SHAPES: dict[str, Callable[[int], str]] = {
    "decimal digits": str,
    "visitor-1": lambda number: f"visitor-{number}",
    "twelve hex digits": lambda number: f"{number * 0x9E3779B1 % 2**48:012x}",
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="assignment")
    parser.add_argument("--units", type=int, default=scaled(1_000_000, 1_000))
    units = parser.parse_known_args()[0].units
    cost()
    for name, shape in SHAPES.items():
        evenness(name, [shape(number) for number in range(units)])


def evenness(name: str, units: list[str]) -> None:
    buckets = [
        np.array([bucket("arm", f"run_{salt}.1", unit) for unit in units], dtype=np.int16)
        for salt in range(SALTS)
    ]
    even = [
        float(stats.chisquare(np.bincount(unit_buckets, minlength=BUCKETS)).pvalue)
        for unit_buckets in buckets
    ]
    tenths = [unit_buckets // (BUCKETS // TENTHS) for unit_buckets in buckets]
    pairs = [_independent(*pair) for pair in itertools.combinations(tenths, 2)]
    lines = [
        Line(
            name=f"{SALTS} salts, even over buckets: below p 0.05",
            value=_below(even),
            goal=f"the least p: {min(even):.4f}",
        ),
        Line(
            name=f"{len(pairs):,} pairs of salts: share below p 0.05",
            value=_below(pairs),
            goal="4 .. 6 %",
        ),
    ]
    table(f"{len(units):,} units like {name}", lines)


def _independent(first: Any, second: Any) -> float:
    counts = np.bincount(first * TENTHS + second, minlength=TENTHS * TENTHS).reshape(TENTHS, TENTHS)
    return float(stats.chi2_contingency(counts).pvalue)


def _below(values: list[float]) -> str:
    return f"{sum(value < 0.05 for value in values) / len(values):.2%}"


def cost() -> None:
    moment = datetime(2026, 11, 26, tzinfo=UTC)
    arms = (LiveArm("control", 5_000), LiveArm("treatment", 10_000, {"blend": 0.7}))
    run = LiveRun(
        run="a.1",
        experiment="a",
        layer="home",
        ranges=((0, 9_999),),
        arms=arms,
        holdout=500,
        salt="a.1",
        started=moment,
    )
    live = LiveExperiments(
        version=1,
        written=moment,
        layers={"home": LiveLayer(endpoint="ranker", salt="home", holdout=200)},
        runs=(run,),
    )
    assigner = Assigner(live, "ranker", {"blend": 0.5})
    hashes = microseconds(lambda unit: bucket("layer", "home", unit))
    decision = microseconds(lambda unit: assigner.decide(unit, {}))
    lines = [
        Line(name="one bucket", value=f"{hashes:.2f} us"),
        Line(
            name="a decision of four hashes",
            value=f"{decision:.2f} us",
            ratio=decision / hashes,
            goal="goal: 1 us",
        ),
    ]
    table(
        f"CPU of one, the least of {ROUNDS} rounds of {UNITS:,} units; a call of a lambda included",
        lines,
    )


def microseconds(call: Callable[[str], Any]) -> float:
    units = [f"visitor-{number}" for number in range(UNITS)]
    rounds = []
    for _ in range(ROUNDS):
        began = time.process_time()
        for unit in units:
            call(unit)
        rounds.append(time.process_time() - began)
    return 1e6 * min(rounds) / UNITS


if __name__ == "__main__":
    main()
