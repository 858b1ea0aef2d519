"""What the decision of a unit's arms costs: CPU of one with two holdouts and one run, beside one of its hashes."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from isthmus.endpoints.gateway.assignment import Assigner, Live, LiveArm, LiveLayer, LiveRun, bucket

from .measure import Line, table

UNITS, ROUNDS = 20_000, 7


def main() -> None:
    moment = datetime(2026, 11, 26, tzinfo=UTC)
    arms = (LiveArm("control", 5_000), LiveArm("treatment", 10_000, {"blend": 0.7}))
    run = LiveRun(run="a.1", experiment="a", layer="home", ranges=((0, 9_999),), arms=arms, holdout=500, salt="a.1", started=moment)
    live = Live(version=1, written=moment, layers={"home": LiveLayer(endpoint="ranker", salt="home", holdout=200)}, runs=(run,))
    assigner = Assigner(live, "ranker", {"blend": 0.5})
    hashes = microseconds(lambda unit: bucket("layer", "home", unit))
    decision = microseconds(lambda unit: assigner.decide(unit, {}))
    lines = [
        Line(name="one bucket", value=f"{hashes:.2f} us"),
        Line(name="a decision of four hashes", value=f"{decision:.2f} us", ratio=decision / hashes, goal="goal: 1 us"),
    ]
    table(f"CPU of one, the least of {ROUNDS} rounds of {UNITS:,} units; a call of a lambda included", lines)


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
