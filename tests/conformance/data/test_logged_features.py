"""What gateways log of the rows that were scored is the training set of a model of logged rows, to
the last digit, on any target; outcomes are joined as of any objective.
"""

import json
import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from isthmus.core.runtime.project import Project
from isthmus.endpoints.gateway.log.scored_rows import scored_rows
from isthmus.endpoints.gateway.rank.ranking import ShownItem
from isthmus.events.intake.emit import emit_stream
from isthmus.events.tables import relations as events
from isthmus.events.tables.exposures import EXPOSURES_STREAM, exposures_view
from isthmus.feature_store.offline.logged_set import logged_set
from isthmus.feature_store.offline.training_set import canonical_hash
from isthmus.feature_store.tables import relations
from isthmus.project.specs.description import (
    Attribute,
    Endpoint,
    Event,
    Feature,
    Model,
    Objective,
    ParsedProject,
    ProjectSpec,
    Variant,
)
from isthmus.tests.conformance.data.test_event_log import visible

pytestmark = pytest.mark.ports("events", "warehouse")

START = datetime(2026, 1, 1, tzinfo=UTC)
WITHIN = timedelta(minutes=30)
SERVED = Objective(
    name="served_ctr", outcome="click", exposure="exposures", within=WITHIN, unit="unit"
)
DWELL = Objective(
    name="served_dwell",
    outcome="click",
    sums="seconds",
    exposure="exposures",
    within=WITHIN,
    unit="unit",
)
ATTRIBUTES = (
    Attribute(name="rate", type="float", required=False),
    Attribute(name="shown", type="int"),
    Attribute(name="kind", type="string"),
    Attribute(name="fresh", type="bool"),
    Attribute(name="since", type="timestamp"),
    Attribute(name="position", type="int"),
)


def endpoint(name, **fields):
    champion = Variant(name="champion", model="ranker", ref="champion", traffic=Decimal(100))
    return Endpoint(name=name, objective="ctr", unit="visitor_id", variants=(champion,), **fields)


SPEC = ProjectSpec(
    name="conf",
    events={
        "impression": Event(name="impression", attributes=ATTRIBUTES),
        "click": Event(
            name="click",
            attributes=(
                Attribute(name="exposure_id", type="string"),
                Attribute(name="seconds", type="float"),
            ),
        ),
    },
    objectives={
        "ctr": Objective(name="ctr", outcome="click", exposure="impression", within=WITHIN),
        "served_ctr": SERVED,
        "served_dwell": DWELL,
    },
    endpoints={"ranker": endpoint("ranker", log_features=True), "other": endpoint("other")},
)
TYPES = ("float64", "int64", "string", "bool", "timestamp", "int64")
# Floats that lose a digit in any text but the shortest that reads back; the largest whole numbers.
ROWS = [
    (0.1 + 0.2, 2**53 + 1, 'a "b"\n\u3042', True, START),
    (5e-324, -(2**63), "", False, START + timedelta(milliseconds=1)),
    (-0.0, 2**63 - 1, "x", True, START),
    (1.7976931348623157e308, 0, "null", False, START),
    (None, 7, "x", True, START),
    (2.0, 8, "x", True, START),
]


def model(objective):
    return Model(
        name="online",
        path="models/online.yaml",
        model="ranker",
        objective=objective,
        features=tuple(Feature(view=None, name=attribute.name) for attribute in ATTRIBUTES),
        trainer="isthmus.logistic",
        logged=True,
    )


def instance(number):
    values = (*ROWS[number], 1)
    return dict(zip((a.name for a in ATTRIBUTES), values, strict=True))


def exposure(number, *, name="ranker", minutes=None, **fields):
    place = ShownItem(item=number, position=3, score=0.5, propensity=0.25)
    rows = [instance(n) for n in range(len(ROWS))]
    (features,) = scored_rows(list(range(len(ROWS))), rows, [place]).texts
    return {
        "event_id": f"q-{name}-{number}",
        "event_timestamp": START + timedelta(minutes=number if minutes is None else minutes),
        "endpoint": name,
        "unit": f"v{number}",
        "variant": "champion",
        "version": "ranker@1",
        "entity": "item",
        "entity_key": str(number),
        "position": 3,
        "score": 0.5,
        "propensity": 0.25,
        "explored": False,
        "features": features,
        "scored_by": "ranker@1",
        **fields,
    }


# (exposure, minutes after it, seconds)
CLICKS = [
    ("q-ranker-0", 0, 1.5),
    ("q-ranker-0", 30, 2.0),  # at the last moment that counts
    ("q-ranker-1", 30 + 1 / 60_000, 9.0),  # a millisecond after it
    ("q-ranker-2", -1, 9.0),  # before its exposure
    ("q-ranker-3", 5, 4.0),
    ("q-nobody-3", 5, 4.0),
]
OUTCOMES = {"served_ctr": [1, 0, 0, 1, 0, 0], "served_dwell": [3.5, 0.0, 0.0, 4.0, 0.0, 0.0]}


@pytest.fixture
def project(target):
    project = Project(ParsedProject(spec=SPEC, folder=""), target)
    for table in events.tables(SPEC):
        target.warehouse.apply(table)
    target.events.apply(EXPOSURES_STREAM)
    target.warehouse.apply(exposures_view())
    for objective in (SERVED, DWELL):
        target.warehouse.apply(relations.objective_view(SPEC, objective))
    shown = [exposure(number) for number in range(len(ROWS))]
    others = [
        exposure(0, name="other", features=None, scored_by=None),  # does not log its rows
        exposure(1, event_id="q-9", features=None),  # was too large
        exposure(2, event_id="q-8", features=json.dumps({"rate": 1.0})),  # lacks features
    ]
    assert emit_stream(project, EXPOSURES_STREAM, [*shown, *others, shown[0]]) == ()
    visible(target, "SELECT event_id FROM exposures", len(shown) + len(others) + 1)
    raw = events.raw_table(SPEC.events["click"])
    clicks = [
        {
            "event_id": f"c{number}",
            "event_timestamp": (START + timedelta(minutes=int(name[-1]) + minutes)).replace(
                tzinfo=None
            ),
            "exposure_id": name,
            "seconds": seconds,
            "payload_digest": f"c{number}",
        }
        for number, (name, minutes, seconds) in enumerate(CLICKS)
    ]
    kinds: dict[str, pa.DataType] = {
        "timestamp": pa.timestamp("ms"),
        "float64": pa.float64(),
        "int64": pa.int64(),
    }
    schema = pa.schema([(c.name, kinds.get(c.type, pa.string())) for c in raw.columns])
    rows = [{name: row.get(name) for name in schema.names} for row in clicks]
    target.warehouse.append(raw.name, pa.Table.from_pylist(rows, schema), batch="b")
    return project


@pytest.mark.needs("events.delay")
@pytest.mark.parametrize("objective", OUTCOMES)
def test_a_training_set_has_the_values_that_were_scored_and_the_outcomes(project, objective):
    end = START + timedelta(days=2)
    logged = logged_set(project, model(objective), start=START, end=end, as_of=end)
    assert (logged.unlogged, logged.lacking) == (1, 1)
    assert logged.left_out == "1 without a logged row, 1 whose row lacks a feature"
    table = logged.table
    assert table["event_id"].to_pylist() == [f"q-ranker-{n}" for n in range(len(ROWS))]
    assert table["outcome"].to_pylist() == OUTCOMES[objective]
    for number, name in enumerate(attribute.name for attribute in ATTRIBUTES):
        expected = [instance(row)[name] for row in range(len(ROWS))]
        values = table[name].to_pylist()
        if TYPES[number] == "timestamp":
            values = [value.replace(tzinfo=UTC) for value in values]
        assert values == expected
        assert [type(value) for value in values] == [type(value) for value in expected]
    assert math.copysign(1, table["rate"][2].as_py()) == -1
    assert table["position"].to_pylist() == [1] * len(ROWS), "what was scored, not the place"
    assert "features" not in table.column_names
    assert canonical_hash(table) == canonical_hash(expected_table(objective))


def expected_table(objective):
    """The training set as Python makes it: its hash is the same on every target."""
    attributes = [c.name for c in relations.objective_columns(SPEC, SPEC.objectives[objective])]
    leading = ["event_id", "event_timestamp", "created_timestamp", "outcome"]
    own = [*leading, *attributes]
    names = list(dict.fromkeys(name for name in own if name not in ("features", "position")))
    columns = {}
    for name in names:
        columns[name] = [exposure(number).get(name) for number in range(len(ROWS))]
    shown = [START + timedelta(minutes=number) for number in range(len(ROWS))]
    stamps = pa.timestamp("ms")
    columns["event_timestamp"] = pa.array([at.replace(tzinfo=None) for at in shown], stamps)
    known = [(at + WITHIN).replace(tzinfo=None) for at in shown]
    columns["created_timestamp"] = pa.array(known, stamps)
    columns["outcome"] = OUTCOMES[objective]
    for number, attribute in enumerate(ATTRIBUTES):
        values: Any = [instance(row)[attribute.name] for row in range(len(ROWS))]
        if TYPES[number] == "timestamp":
            values = pa.array([value.replace(tzinfo=None) for value in values], stamps)
        columns[attribute.name] = values
    return pa.table(columns)


@pytest.mark.needs("events.delay")
def test_a_row_whose_outcome_is_not_known_yet_is_not_in_it(project):
    as_of = START + timedelta(minutes=2) + WITHIN
    logged = logged_set(
        project, model("served_ctr"), start=START, end=START + timedelta(days=2), as_of=as_of
    )
    assert logged.table["event_id"].to_pylist() == ["q-ranker-0", "q-ranker-1", "q-ranker-2"]


@pytest.mark.needs("events.delay")
def test_a_stream_of_before_gains_the_columns_and_its_rows_have_nulls_there(target):
    project = Project(ParsedProject(spec=SPEC, folder=""), target)
    before = [c for c in EXPOSURES_STREAM.columns if c.name not in ("features", "scored_by")]
    target.events.apply(
        type(EXPOSURES_STREAM)(name=EXPOSURES_STREAM.name, columns=tuple(before), key="unit")
    )
    row = exposure(0)
    old = {name: value for name, value in row.items() if name not in ("features", "scored_by")}
    assert emit_stream(project, EXPOSURES_STREAM, [old]) == ()
    target.events.apply(EXPOSURES_STREAM)
    new = exposure(1)
    assert emit_stream(project, EXPOSURES_STREAM, [new]) == ()
    sql = "SELECT event_id, features, scored_by FROM exposures ORDER BY event_id"
    assert visible(target, sql, 2) == [
        {"event_id": row["event_id"], "features": None, "scored_by": None},
        {"event_id": new["event_id"], "features": new["features"], "scored_by": "ranker@1"},
    ]
