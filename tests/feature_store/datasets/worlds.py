"""A data set, streams of exposures and outcomes with a script, and its examples by brute force."""

from datetime import timedelta

import pyarrow as pa

from isthmus.events.tables.column_types import OF_ATTRIBUTE, arrow_type
from isthmus.feature_store.datasets.consumer import DatasetConsumer
from isthmus.project.specs.datasets import Dataset
from isthmus.project.specs.description import Objective, ProjectSpec
from isthmus.project.specs.exposures import EVENT
from isthmus.tests.events.consume.scripted import Script

WITHIN = timedelta(minutes=2)
LATENESS = timedelta(seconds=30)
RATE = Objective(name="served_ctr", outcome="stay", exposure="exposures", within=WITHIN)
DWELL = Objective(
    name="served_dwell",
    outcome="stay",
    sums="seconds",
    at_most=50,
    exposure="exposures",
    within=WITHIN,
)
COUNT = 80


def consumer(objective=RATE):
    spec = ProjectSpec(name="conf", objectives={objective.name: objective})
    return DatasetConsumer(
        spec, Dataset(name="served", objective=objective.name, lateness=LATENESS)
    )


def attributes(random, event):
    """An exposure, with or without its row; or an outcome of any event, of none, or of nobody."""
    if event == "stay":
        about = random.choice([f"e{random.randrange(COUNT)}"] * 8 + [None, "nobody"])
        return {"exposure_id": about, "seconds": random.choice([None, 3.5, 20.0, 40.0])}
    return {
        "endpoint": "ranker",
        "unit": f"v{random.randrange(9)}",
        "variant": "champion",
        "version": "ranker@1",
        "entity": "item",
        "entity_key": str(random.randrange(5)),
        "position": random.randrange(1, 9),
        "score": random.random(),
        "propensity": 0.25,
        "explored": random.random() < 0.5,
        "assignments": None,
        "parameters": None,
        "config": None,
        "credit": None,
        "features": None if random.random() < 0.2 else '{"rate": 0.5}',
        "scored_by": "ranker@1",
    }


SCHEMAS = {
    "events_exposures": {a.name: arrow_type(OF_ATTRIBUTE[a.type]) for a in EVENT.attributes},
    "events_stay": {"exposure_id": pa.string(), "seconds": pa.float64()},
}


def script(seed, objective=RATE):
    return Script(
        consumer(objective),
        seed,
        count=COUNT,
        minutes=4,
        own_place=seed % 2 == 0,
        delay=timedelta(seconds=20 * (seed % 3)),
        make=attributes,
        schemas=SCHEMAS,
        step=10_000 if seed % 4 < 2 else 1,  # many at the very bounds, or none
    )


def expected(events, objective=RATE):
    """The definition: {id: (row, outcome, known)}, of the events as (name, row)."""
    stays = [row for name, row in events if name == "stay"]
    examples = {}
    for name, row in events:
        if name == "stay" or row["features"] is None:
            continue
        shown = row["event_timestamp"]
        mine = [
            stay["seconds"] or 0.0
            for stay in stays
            if stay["exposure_id"] == row["event_id"]
            and shown <= stay["event_timestamp"] <= shown + WITHIN
        ]
        outcome = min(sum(mine), 50.0) if objective.is_number else int(bool(mine))
        examples[row["event_id"]] = row | {"outcome": outcome, "known_timestamp": shown + WITHIN}
    return examples


OWN = ("dt", "payload_digest", "source", "line", "correction")


def appended(script):
    """What was appended, by id, with the nulls that a stream leaves out."""
    names = ("event_id", "event_timestamp", *SCHEMAS["events_exposures"])
    return {
        key: dict.fromkeys(names) | {k: v for k, v in row.items() if k not in OWN}
        for key, row in script.values().items()
    }
