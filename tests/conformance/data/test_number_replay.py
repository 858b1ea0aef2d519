"""A replay reads the same answers and the same rewards of an objective that is a number on any
target, and so estimates the same to the last digit.
"""

from datetime import UTC, datetime, timedelta

import msgspec
import numpy as np
import pyarrow as pa
import pytest

from isthmus.core.runtime.project import Project
from isthmus.endpoints.gateway.log.streams import EXPOSURES, RANKINGS
from isthmus.events.tables import relations as events
from isthmus.experiments.replay.accounts import Accounts, rows_of
from isthmus.experiments.replay.estimates import by_unit
from isthmus.experiments.replay.logged_answers import Window, answers
from isthmus.experiments.replay.replayed_answer import replayed_arrangement, weighted_places
from isthmus.feature_store.port import TableSpec
from isthmus.feature_store.tables import relations
from isthmus.project.specs.description import (
    Attribute,
    Description,
    Endpoint,
    Event,
    Objective,
    ProjectSpec,
)

pytestmark = pytest.mark.ports("warehouse")

START = datetime(2026, 1, 1, 23, tzinfo=UTC)  # answers of two dates
WITHIN, CAP, ITEMS, EXPLORE = timedelta(minutes=30), 100.0, 4, 0.5
ANSWERS = 40
KINDS = {
    "string": pa.string(),
    "int64": pa.int64(),
    "float64": pa.float64(),
    "bool": pa.bool_(),
    "timestamp": pa.timestamp("ms"),
}
DWELL = Objective(
    name="dwell",
    outcome="stay",
    sums="seconds",
    exposure="impression",
    within=WITHIN,
    at_most=CAP,
    unit="person",
)
LOST = msgspec.structs.replace(DWELL, name="lost", sums="loss", at_most=None)  # may be negative
SPEC = ProjectSpec(
    name="conf",
    events={
        "impression": Event(
            name="impression",
            attributes=(
                Attribute(name="person", type="string"),
                Attribute(name="exposure_id", type="string", required=False),
            ),
        ),
        "stay": Event(
            name="stay",
            attributes=(
                Attribute(name="impression_id", type="string", event="impression"),
                Attribute(name="seconds", type="float", required=False),
                Attribute(name="loss", type="float", required=False),
            ),
        ),
    },
    objectives={"dwell": DWELL, "lost": LOST},
    endpoints={
        name: Endpoint(name=name, objective=objective, unit="person", variants=())
        for name, objective in (("home", "dwell"), ("till", "lost"))
    },
)


def at(number):
    """When an answer was given: 4 minutes after the one before."""
    return (START + timedelta(minutes=4 * number)).replace(tzinfo=None)


def top(number):
    """The item at the only place of an answer, drawn by a rule that anybody can repeat."""
    return (number * number + number // 3) % ITEMS


def noted(number):
    """The seconds and the loss of each stay, and on which of an answer's impressions."""
    if number % 3 == 0:
        return []
    if number % 5 == 0:  # the exposure was noted twice: 70.5 + 45.25 is over the cap
        return [(0, 70.5, -2.0), (1, 45.25, 5.5)]
    if number % 7 == 0:
        return [(0, None, None), (0, 130.0, -130.0)]
    return [(0, 0.125 * number, 0.5 - number)]


def reward(number, objective):
    """The number that a place of an answer earned, read off the stays by Python."""
    column = 1 if objective == "dwell" else 2
    by_impression = {}
    for stay in noted(number):
        by_impression[stay[0]] = by_impression.get(stay[0], 0.0) + (stay[column] or 0.0)
    if objective == "lost":
        return sum(by_impression.values())
    return min(sum(min(value, CAP) for value in by_impression.values()), CAP)


def rankings(endpoint):
    for number in range(ANSWERS):
        yield {
            "event_id": f"{endpoint}-{number}",
            "event_timestamp": at(number),
            "endpoint": endpoint,
            "gateway": "g",
            "sequence": number,
            "unit": f"p{number // 2}",
            "variant": "champion",
            "version": "m@1",
            "entity": "item",
            "candidates": "[0,1,2,3]",
            "model_order": "[0,1,2,3]",
            "explored": False,
            "explore": EXPLORE,
            "milliseconds": 1.0,
            "payload_digest": f"d{number}",
            "slots": 1,
            "request": "{}",
        }


def exposures(endpoint):
    for number in range(ANSWERS):
        yield {
            "event_id": f"{endpoint}-{number}-1",
            "event_timestamp": at(number),
            "endpoint": endpoint,
            "unit": f"p{number // 2}",
            "variant": "champion",
            "version": "m@1",
            "entity": "item",
            "entity_key": str(top(number)),
            "position": 1,
            "score": 1.0,
            "propensity": propensity(top(number), 0),
            "explored": False,
            "payload_digest": f"d{number}",
        }


def propensity(item, first):
    """How likely a version that puts `first` on top shows an item there."""
    return EXPLORE / ITEMS + (1 - EXPLORE) * (item == first)


def event_rows():
    shown, stays = [], []
    for endpoint in SPEC.endpoints:
        for number in range(ANSWERS):
            ids = [f"i-{endpoint}-{number}-{copy}" for copy in range(2 if number % 5 == 0 else 1)]
            shown += [
                {
                    "event_id": name,
                    "event_timestamp": at(number),
                    "person": f"p{number // 2}",
                    "exposure_id": f"{endpoint}-{number}-1",
                }
                for name in ids
            ]
            stays += [
                {
                    "event_id": f"s-{endpoint}-{number}-{place}",
                    "event_timestamp": at(number) + timedelta(minutes=1),
                    "impression_id": ids[copy],
                    "seconds": seconds,
                    "loss": loss,
                }
                for place, (copy, seconds, loss) in enumerate(noted(number))
            ]
    return {"impression": shown, "stay": stays}


def stored(target, name, columns, rows):
    schema = pa.schema([(column.name, KINDS[column.type]) for column in columns])
    table = pa.Table.from_pylist(
        [{key: row.get(key) for key in schema.names} for row in rows], schema
    )
    target.warehouse.append(name, table, batch="b")


@pytest.fixture
def project(target):
    for table in events.tables(SPEC):
        target.warehouse.apply(table)
    for objective in SPEC.objectives.values():
        target.warehouse.apply(relations.objective_view(SPEC, objective))
    for event, rows in event_rows().items():
        raw = events.raw_table(SPEC.events[event])
        stamped = [row | {"payload_digest": row["event_id"], "source": "b"} for row in rows]
        stored(target, raw.name, raw.columns, stamped)
    for stream, log in ((RANKINGS, rankings), (EXPOSURES, exposures)):
        spec = TableSpec(name=stream.name, columns=stream.columns, time_column="event_timestamp")
        target.warehouse.apply(spec)
        rows = [row for endpoint in SPEC.endpoints for row in log(endpoint)]
        stored(target, stream.name, stream.columns, rows)
    return Project(Description(spec=SPEC, folder=""), target)


def read(project, endpoint, page=7):
    """The answers of an endpoint whose outcomes are all known."""
    end = START + timedelta(days=2)
    window = Window(since=START, until=end, known=end)
    return [
        answer for answers_ in answers(project, endpoint, window, page=page) for answer in answers_
    ]


@pytest.mark.parametrize(("endpoint", "objective"), [("home", "dwell"), ("till", "lost")])
def test_a_place_earns_the_capped_sum_of_what_followed_each_of_its_impressions(
    project, endpoint, objective
):
    logged = read(project, endpoint)
    assert [answer.unit for answer in logged] == [f"p{number // 2}" for number in range(ANSWERS)]
    places = [(place.item, place.propensity, place.reward) for a in logged for place in a.places]
    assert places == [
        (str(top(number)), propensity(top(number), 0), reward(number, objective))
        for number in range(ANSWERS)
    ]
    assert any(place[2] > 0 for place in places)
    assert objective == "dwell" or any(place[2] < 0 for place in places)


def test_what_another_order_would_have_earned_is_the_weighted_mean_that_python_makes(project):
    accounts = Accounts(number=True)
    for answer in read(project, "home"):
        scores = [0.0, 3.0, 2.0, 1.0]
        arrangement = replayed_arrangement(answer, scores, (), [{}] * ITEMS, maximise=True)
        places = weighted_places(answer, arrangement, EXPLORE)
        accounts.add(rows_of(answer.unit, places, np.arange(ITEMS), EXPLORE))
    replayed = by_unit(accounts.sums(), accounts.units, samples=200, seed=1)
    weights = [propensity(top(n), 1) / propensity(top(n), 0) for n in range(ANSWERS)]
    rewards = [reward(n, "dwell") for n in range(ANSWERS)]
    earned = sum(w * r for w, r in zip(weights, rewards, strict=True))
    assert replayed.value == pytest.approx(earned / ANSWERS, rel=1e-12)
    assert replayed.self_normalised.value == pytest.approx(earned / sum(weights), rel=1e-12)
    assert replayed.logged == pytest.approx(sum(rewards) / ANSWERS, rel=1e-12)
    assert (replayed.units, replayed.rows) == (ANSWERS // 2, ANSWERS)
    assert replayed.low < replayed.value < replayed.high
