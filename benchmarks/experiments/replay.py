"""Measure whether a replay says what is true, in 120 logs of a world that is known.

Measure also what a large log takes. `--answers N`. The world's answers are ranked under block,
boost, pin, reserve and a cap (tests/experiments/replay/ruled_world.py). The large log is the
laptop's: 20 candidates, 5 places; beside it a quarter of it, as memory must not grow with the log.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np

import isthmus
from isthmus.endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from isthmus.endpoints.gateway.rank.ranking import plain_arrangement, shown_places
from isthmus.events.intake.emit import emit, emit_stream
from isthmus.tests.endpoints import mini
from isthmus.tests.experiments.replay.ruled_world import judged, z

from ..measure import Line, scaled, table

LOGS, OF_A_LOG = scaled((120, 1_000), (1, 50))
CANDIDATES, SLOTS, EXPLORE, GROUP = 20, 5, 0.3, 5_000
START = datetime(2024, 1, 8, tzinfo=UTC)
FILES = mini.FILES | {
    "project.yaml": mini.FILES["project.yaml"].replace(
        "      position:   {type: int}\n",
        "      position:   {type: int}\n      exposure_id: {type: string, required: false}\n",
    )
}
REPLAY = """
import resource, sys, time
from pathlib import Path
from datetime import datetime
from isthmus.tests.endpoints import mini
from isthmus.experiments.replay.step import replayed_from
from isthmus.experiments.replay.version import checked_question
folder = Path(sys.argv[1])
with mini.opened(folder) as project:
    question = checked_question(project, "ranker@2", until=datetime.fromisoformat(sys.argv[2]))
    began = time.process_time()
    replayed = replayed_from(project, question, folder / "made" / "both")
    print(replayed.answers, time.process_time() - began, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="replay")
    parser.add_argument("--answers", type=int, default=scaled(100_000, 50))
    truth()
    large(parser.parse_known_args()[0].answers)


def truth() -> None:
    rng = Random(20261128)
    logs = [judged(rng, OF_A_LOG, 200) for _ in range(LOGS)]
    robust = [log.replay.doubly_robust for log in logs]
    holds = sum(
        value.low <= log.earned <= value.high for value, log in zip(robust, logs, strict=True)
    )
    estimates = {
        "IPS": [log.replay.value for log in logs],
        "self-normalised": [log.replay.self_normalised.value for log in logs],
        "doubly robust": [value.value for value in robust],
        "IPS by propensities that ignore the rules": [log.unruled for log in logs],
    }
    earned = np.array([log.earned for log in logs])
    lines = [Line(name="what the model earns itself", value=f"{earned.mean():.4f}")]
    for name, values in estimates.items():
        errors = np.array(values) - earned
        goal = "" if "ignore" in name else "|z| < 3"
        lines.append(
            Line(
                name=name,
                value=f"{np.mean(values):.4f}  z {z(errors):+.1f}  sd {errors.std():.4f}",
                goal=goal,
            )
        )
    lines.append(
        Line(
            name="doubly robust's intervals hold it",
            value=f"{100 * holds / LOGS:.0f} %",
            goal="95 %",
        )
    )
    table(f"{LOGS} logs of {OF_A_LOG:,} answers under five rules", lines)


def large(answers: int) -> None:
    with tempfile.TemporaryDirectory(prefix="isthmus-bench-") as name:
        folder = mini.filled(Path(name), FILES)
        with mini.opened(folder) as project:
            for configuration in ("popular", "both"):
                mini.register(project, configuration)
            for stream in (EXPOSURES, RANKINGS):
                project.target.events.apply(stream)
            fill(project, answers)
        step = timedelta(days=1) / answers
        lines = []
        for share in scaled((0.25, 1.0), (1.0,)):
            until = START + step * answers * share
            printed = subprocess.run(
                [sys.executable, "-c", REPLAY, str(folder), until.isoformat()],
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            ).stdout.split()
            count, seconds, memory = int(printed[0]), float(printed[1]), printed[2]
            lines.append(
                Line(
                    name=f"{count:,} answers",
                    value=f"{1000 * seconds / count:.2f} ms of CPU each",
                    goal=f"{memory} MB at most",
                )
            )
        table(f"a log of {answers:,} answers of {CANDIDATES} candidates, {SLOTS} places", lines)


def fill(project: isthmus.Project, answers: int) -> None:
    chance = Random(1)
    for first in range(0, answers, GROUP):
        numbers = range(first, min(first + GROUP, answers))
        rankings, exposures, impressions = map(
            list, zip(*(logged(number, answers, chance) for number in numbers), strict=True)
        )
        emit_stream(project, RANKINGS, rankings)
        emit_stream(project, EXPOSURES, [row for rows in exposures for row in rows])
        clicked = [row for rows in impressions for row in rows]
        emit(project, "impression", clicked)
        emit(project, "click", [click(row) for row in clicked])


def click(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("event_timestamp", "item_id")} | {
        "event_id": f"c-{row['event_id']}",
        "impression_id": row["event_id"],
    }


def logged(
    number: int, answers: int, chance: Random
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """Return a ranking, its exposures, and the impressions of those that were clicked."""
    moment = START + timedelta(days=1) / answers * number
    items = chance.sample(range(1, 81), CANDIDATES)
    best = sorted(range(CANDIDATES), key=items.__getitem__)
    places, explored = shown_places(
        items, [0.0] * CANDIDATES, plain_arrangement(best, SLOTS), explore=EXPLORE, rng=chance
    )
    shared = {
        "event_timestamp": moment,
        "endpoint": "ranker",
        "unit": f"v{number // 3}",
        "variant": "champion",
        "version": "ranker@1",
    }
    shared |= {"entity": "item", "explored": explored}
    ranking = {
        "event_id": f"q-b-{number}",
        "gateway": "q-b",
        "sequence": number,
        "candidates": text(items),
        "model_order": text(best),
    }
    ranking |= {
        "explore": EXPLORE,
        "slots": SLOTS,
        "request": '{"segment_id":"a"}',
        "milliseconds": 1.0,
    } | shared
    exposures = [
        {"event_id": f"q-b-{number}-{p.position}", "entity_key": str(p.item), "position": p.position, "score": 0.0} | shared
        | {"propensity": p.propensity}
        for p in places
    ]  # fmt: skip
    return ranking, exposures, list(impressions(exposures, chance))


def impressions(exposures: list[dict[str, Any]], chance: Random) -> Iterator[dict[str, Any]]:
    for row in exposures:
        if chance.random() < 0.05:
            about = {
                "item_id": int(row["entity_key"]),
                "segment_id": "a",
                "position": row["position"],
            }
            yield {
                "event_id": f"i-{row['event_id']}",
                "event_timestamp": row["event_timestamp"],
                "exposure_id": row["event_id"],
                **about,
            }


def text(value: object) -> str:
    return msgspec.json.encode(value).decode()


if __name__ == "__main__":
    main()
