"""A process of its own that simulates on a new project and prints everything that it showed.

`python -m isthmus.tests.experiments.simulation.seeded FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

import msgspec

import isthmus
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.experiments.simulation.simulate import simulate
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

LIKING = """\
def visitors(random, count, prefix):
    return [{"visitor_id": f"{prefix}{number}", "segment_id": "a", "sessions": 1 + number % 2} for
      number in range(count)]


def items(random):
    return [{"item_id": number} for number in (1, 2, 3, 4)]


def likes(visitor, item, position):
    return item["item_id"] / 8
"""
SECTION = """
layers: {lists: {endpoint: ranker}, both: {endpoint: ranker}}
experiments:
  order: {layer: lists, arms: {shuffled: {explore: 100%}, ranked: {explore: 0%}}, metric: ctr}
  duel:  {layer: both, interleave: [champion, challenger], metric: ctr}
"""
WORLD = """\
days: 1
visitors: 80
sessions: 2
candidates: 4
slots: 3
seed: 7
world: liking
events:
  impression: {}
  click: {of: impression, chance: likes, after: 30s}
"""
# rows are delivered behind the answers: where the clock stands then is not the seed's
ROWS = {
    "exposures": "SELECT * EXCLUDE (stored_timestamp) FROM exposures ORDER BY event_id",
    "rankings": "SELECT * EXCLUDE (stored_timestamp, milliseconds, payload_digest) FROM rankings "
    "ORDER BY event_id",
    "clicks": "SELECT event_id, event_timestamp, impression_id, item_id FROM click_raw ORDER BY event_id",
}


def main(folder: Path) -> None:
    mini.filled(folder)
    description = folder / "project.yaml"
    unit = "      segment_id: {type: string}\n      visitor_id: {type: string, required: false}\n"
    unit += "      exposure_id: {type: string, required: false}\n"
    description.write_text(
        description.read_text()
        .replace("      segment_id: {type: string}\n", unit)
        .replace("traffic: 90", "traffic: 60")
        .replace("traffic: 10", "traffic: 40")
        + SECTION
    )
    (folder / "liking.py").write_text(LIKING)
    for name in ("order", "duel"):
        (folder / f"{name}.yaml").write_text(f"experiment: {name}\n{WORLD}")
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        isthmus.apply(project)
        deploy(project, "ranker")
        try:
            shown = {name: _simulated(project, name) for name in ("order", "duel")}
            rows = {
                name: project.target.warehouse.query(sql, {}).to_pylist()
                for name, sql in ROWS.items()
            }
        finally:
            remove_endpoints(project.target)
    sys.stdout.buffer.write(msgspec.json.encode({"shown": shown, "rows": rows}))


def _simulated(project, name):
    """What does not say when and where it ran."""
    seen = simulate(project, project.folder / f"{name}.yaml")
    results = msgspec.to_builtins(seen.results)
    results.pop("started")
    return {"played": seen.played, "results": results}


if __name__ == "__main__":
    main(Path(sys.argv[1]))
