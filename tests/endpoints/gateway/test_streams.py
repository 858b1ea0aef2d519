"""What a gateway logs: streams that gain columns, and events beside what was shown."""

import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.adapters.common.event_values import rules_of
from isthmus.adapters.common.warehouse.tables import TableDocument
from isthmus.adapters.sagemaker.events import stream_records
from isthmus.adapters.vertex.events import messages
from isthmus.endpoints.gateway.log.delivery import deliver
from isthmus.endpoints.gateway.log.exposed_view import exposed_view
from isthmus.endpoints.gateway.log.streams import ASSIGNMENTS, EXPOSURES, LATER, RANKINGS
from isthmus.errors import Invalid
from isthmus.events.intake.emit import emit_stream
from isthmus.project.specs.description import Attribute, Endpoint, Event, ProjectSpec
from isthmus.project.specs.experiments import Experiment, ExperimentArm, Layer
from isthmus.project.specs.monitors import Monitor
from isthmus.project.specs.streams import created_by_apply, exposed_events, logged
from isthmus.tests.endpoints import mini

NOON = datetime(2024, 1, 9, 12, tzinfo=UTC)
VIEW = Event(
    name="view",
    attributes=(
        Attribute(name="exposure_id", type="string", required=False),
        Attribute(name="seconds", type="float"),
        Attribute(name="position", type="int"),
    ),
)
SHOWN = {
    "event_timestamp": NOON,
    "endpoint": "ranker",
    "unit": "v1",
    "variant": "champion",
    "version": "ranker@1",
    "entity": "item",
    "entity_key": "7",
    "position": 1,
    "score": 0.5,
    "propensity": 0.25,
    "explored": False,
}
SETTING = {
    "assignments": json.dumps({"ranker_v2.1": "treatment"}),
    "parameters": json.dumps({"blend": 0.7}),
    "config": 12,
}

RANKING = {
    "event_id": "q-1", "event_timestamp": NOON, "endpoint": "ranker", "gateway": "q", "sequence": 1, "unit": "v1",
    "variant": "champion", "version": "ranker@1", "entity": "item", "candidates": "[7,8]", "model_order": "[1,0]",
    "explored": True, "explore": 0.05, "milliseconds": 1.5, **SETTING,
}  # fmt: skip
ASSIGNED = {
    "event_id": "a-1", "event_timestamp": NOON, "run": "ranker_v2.1", "endpoint": "ranker", "layer": "ranker", "unit": "v1",
    "arm": "treatment", "reason": "split", "config": 12, "segment": "",
}  # fmt: skip


@pytest.fixture
def project(tmp_path):
    mini.write(tmp_path)
    with mini.opened(tmp_path) as project:
        yield project


def rows(project, sql):
    return project.target.warehouse.query(sql, {}).to_pylist()


def test_a_stream_from_before_the_new_columns_takes_exposures_without_them_and_apply_gives_it_them(
    project,
):
    new = {"assignments", "parameters", "config"}
    before = msgspec.structs.replace(
        EXPOSURES, columns=tuple(c for c in EXPOSURES.columns if c.name not in new)
    )
    project.target.events.apply(before)
    nothing = dict.fromkeys(new)
    assert emit_stream(project, EXPOSURES, [SHOWN | {"event_id": "q-1-1"} | nothing]) == ()
    (refused,) = emit_stream(project, EXPOSURES, [SHOWN | {"event_id": "q-2-1"} | SETTING])
    assert refused.reason.startswith(
        "unknown column assignments, config, parameters; `isthmus apply`"
    )
    assert refused.unknown == ("assignments", "config", "parameters")
    project.target.events.apply(EXPOSURES)
    assert emit_stream(project, EXPOSURES, [SHOWN | {"event_id": "q-3-1"} | SETTING]) == ()
    stored = rows(
        project, "SELECT event_id, assignments, parameters, config FROM exposures ORDER BY event_id"
    )
    assert stored == [{"event_id": "q-1-1", **nothing}, {"event_id": "q-3-1", **SETTING}]


def test_answers_go_to_a_table_of_before_the_later_columns_without_them(project):
    project.target.events.apply(
        msgspec.structs.replace(
            RANKINGS, columns=tuple(c for c in RANKINGS.columns if c.name not in LATER)
        )
    )
    full = RANKING | {"slots": 3, "request": "{}", "attributes": None}
    wrong = full | {"event_id": "q-2", "sequence": "second"}
    (refused,) = deliver(project, "rankings", [wrong, full])
    assert (refused.index, "sequence" in refused.reason) == (0, True)
    assert rows(project, "SELECT event_id FROM rankings") == [{"event_id": "q-1"}]
    project.target.events.apply(RANKINGS)
    assert not deliver(project, "rankings", [full | {"event_id": "q-3"}])
    assert rows(project, "SELECT slots FROM rankings WHERE event_id = 'q-3'") == [{"slots": 3}]


def test_an_answer_and_an_assignment_are_stored_as_they_were_logged(project):
    for stream, row in ((RANKINGS, RANKING), (ASSIGNMENTS, ASSIGNED)):
        project.target.events.apply(stream)
        assert emit_stream(project, stream, [row]) == ()
        (stored,) = rows(project, f"SELECT * FROM {stream.name}")
        assert {name: value for name, value in stored.items() if name in row} == row | {
            "event_timestamp": NOON.replace(tzinfo=None)
        }


@given(
    shown=st.lists(
        st.tuples(st.sampled_from("abc"), st.integers(0, 2), st.sampled_from(["v1", "v2"])),
        max_size=6,
    ),
    viewed=st.lists(
        st.tuples(st.sampled_from("xyz"), st.sampled_from(["a", "b", "c", "d", None])), max_size=5
    ),
)
@settings(max_examples=25, deadline=None)
def test_an_exposed_event_is_one_row_of_its_event_and_has_the_first_exposure_of_its_id(
    shown, viewed
):
    """Whatever was stored twice, on two dates, or with two contents; judged by DuckDB over the
    text.
    """
    import duckdb

    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE exposures (event_id TEXT, event_timestamp TIMESTAMP, dt TEXT, unit "
            "TEXT, variant TEXT, version TEXT, "
            "assignments TEXT, parameters TEXT, position BIGINT, propensity DOUBLE, "
            "payload_digest TEXT, correction BIGINT, "
            "stored_timestamp TIMESTAMP)"
        )
        connection.execute(
            "CREATE TABLE events_view "
            "(event_id TEXT, event_timestamp TIMESTAMP, exposure_id TEXT, seconds DOUBLE, "
            "position BIGINT, dt TEXT)"
        )
        for name, day, unit in shown:
            moment = NOON.replace(tzinfo=None) + timedelta(days=day)
            values = [
                name,
                moment,
                str(moment.date()),
                unit,
                "champion",
                "ranker@1",
                None,
                "{}",
                3,
                0.5,
                unit,
                None,
                None,
            ]
            connection.execute(
                "INSERT INTO exposures VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values
            )
        for number, (name, exposure) in enumerate(viewed):
            connection.execute(
                "INSERT INTO events_view VALUES (?, ?, ?, 1.0, 99, '2024-01-09')",
                [f"{name}{number}", NOON.replace(tzinfo=None), exposure],
            )
        read = connection.execute(
            f"SELECT event_id, unit, position FROM ({exposed_view(VIEW).view_sql})"
        ).fetchall()
    firsts = {
        name: min((day, unit) for other, day, unit in shown if other == name)[1]
        for name, _, _ in shown
    }
    expected = [
        (f"{name}{number}", firsts.get(exposure), 3 if exposure in firsts else None)
        for number, (name, exposure) in enumerate(viewed)
    ]
    assert sorted(read) == sorted(expected)


@pytest.mark.parametrize(
    "encoded",
    [lambda *row: stream_records.record(*row)[0]["Data"], messages.message],
    ids=["Kinesis", "Pub/Sub"],
)
def test_a_ranking_of_a_thousand_long_names_fits_a_record_and_one_that_does_not_is_refused_by_its_size(
    encoded,
):
    document = TableDocument(
        name="rankings", columns=RANKINGS.columns, time_column="event_timestamp", stream_key="unit"
    )
    ids = [f"{number:036}" for number in range(1_000)]
    row = RANKING | {
        "candidates": json.dumps(ids),
        "model_order": json.dumps([*range(1_000)]),
        "payload_digest": "d",
    }
    assert len(encoded(rules_of(document), row)) < 50_000
    with pytest.raises(Invalid, match="bytes are more than the 1,048,576 that an event may have"):
        encoded(rules_of(document), row | {"candidates": json.dumps(ids * 30)})


def spec(*, explore=0, layers=(), experiments=(), attribute=None, monitors=()):
    events = {"view": Event(name="view", attributes=(attribute,))} if attribute else {}
    arms = (ExperimentArm(name="control"), ExperimentArm(name="treatment"))
    return ProjectSpec(
        name="shop",
        events=events,
        endpoints={
            "ranker": Endpoint(
                name="ranker", objective="ctr", unit="visitor_id", variants=(), explore=explore
            )
        },
        layers={layer.name: layer for layer in (Layer(name="ranker", endpoint="ranker"), *layers)},
        monitors={monitor.name: monitor for monitor in monitors},
        experiments={
            name: Experiment(name=name, layer=layer, arms=arms, metric=("ctr",))
            for name, layer in experiments
        },
    )


ALL = ("exposures", "rankings", "assignments")


@pytest.mark.parametrize(
    ("declared", "streams", "before_deploy"),
    [
        ({}, ("exposures",), False),
        ({"explore": 5}, ("exposures", "rankings"), False),
        (
            {"monitors": [Monitor(name="alike", endpoint="ranker", units="gender")]},
            ("exposures", "rankings"),
            False,
        ),
        (
            {"monitors": [Monitor(name="bias", endpoint="ranker", items="item_id")]},
            ("exposures",),
            False,
        ),
        ({"experiments": [("v2", "ranker")]}, ALL, True),
        ({"layers": [Layer(name="home", endpoint="ranker", holdout=2)]}, ALL, True),
        ({"layers": [Layer(name="home", endpoint="ranker")]}, ("exposures",), False),
        ({"attribute": Attribute(name="exposure_id", type="string")}, ("exposures",), True),
        (
            {"attribute": Attribute(name="exposure_id", type="string", event="exposure")},
            ("exposures",),
            False,
        ),
        ({"attribute": Attribute(name="exposure_id", type="int")}, ("exposures",), False),
    ],
)
def test_a_project_fills_the_streams_that_it_has_something_for(declared, streams, before_deploy):
    project = spec(**declared)
    assert (logged(project), created_by_apply(project)) == (streams, before_deploy)
    assert bool(exposed_events(project)) == (before_deploy and "attribute" in declared)
