"""EventLog: a durable way in for single events; reading is the Warehouse's."""

import time
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from isthmus.endpoints.gateway.log.exposed_view import OF_EXPOSURE, exposed_view
from isthmus.endpoints.gateway.log.streams import EXPOSURES
from isthmus.errors import Invalid, NotFound
from isthmus.events.intake.emit import stream_of
from isthmus.events.port import Column, StreamSpec
from isthmus.events.refusals.open_rows import losers_sql, open_sql
from isthmus.events.tables import relations
from isthmus.project.specs.description import Attribute, Event, ProjectSpec

pytestmark = pytest.mark.ports("events", "warehouse")

COLUMNS = (
    Column(name="event_id", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="payload_digest", type="string", required=True),
    Column(name="item", type="int64"),
    Column(name="score", type="float64"),
    Column(name="seen", type="bool"),
    Column(name="shown_at", type="timestamp"),
)
SPEC = StreamSpec(name="exposures_raw", columns=COLUMNS, key="event_id")
NOON = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


def event(number, **other):
    row = {
        "event_id": f"e{number}",
        "event_timestamp": NOON,
        "dt": "2026-03-01",
        "payload_digest": f"d{number}",
        "item": number,
    }
    return row | other


def visible(target, sql, rows):
    """Poll until the table shows so many rows, at most for the target's delay."""
    delay = target.capabilities["events.delay"].value
    deadline = time.monotonic() + (delay * 2 + timedelta(seconds=60)).total_seconds()
    while (
        found := target.warehouse.query(sql, {})
    ).num_rows < rows and time.monotonic() < deadline:
        time.sleep(0.05)
    return found.to_pylist()


@pytest.mark.needs("events.delay")
def test_events_are_in_the_streams_table_after_the_delay(target):
    target.events.apply(SPEC)
    assert target.events.append(SPEC.name, [event(1), event(2)]) == ()
    assert target.events.append(SPEC.name, [event(3)]) == ()
    rows = visible(target, "SELECT event_id, dt, item FROM exposures_raw ORDER BY event_id", 3)
    assert [row["event_id"] for row in rows] == ["e1", "e2", "e3"]
    assert {row["dt"] for row in rows} == {"2026-03-01"}


@pytest.mark.needs("events.delay")
def test_values_keep_their_types_and_times_are_truncated_to_milliseconds(target):
    target.events.apply(SPEC)
    later = NOON + timedelta(hours=1)
    sent = event(2**53 + 1, score=0.1, seen=True, shown_at=later)
    target.events.append(SPEC.name, [sent, event(2)])
    rows = visible(target, "SELECT * FROM exposures_raw ORDER BY event_id DESC", 2)
    full = next(row for row in rows if row["item"] == 2**53 + 1)
    assert (full["score"], full["seen"]) == (0.1, True)
    assert full["event_timestamp"] == datetime(2026, 3, 1, 12, 0, 0, 123000)  # noqa: DTZ001  without a zone in the type
    assert full["shown_at"] == datetime(2026, 3, 1, 13, 0, 0, 123000)  # noqa: DTZ001
    assert next(row for row in rows if row["item"] == 2)["score"] is None


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"event_id": None}, "event_id"),
        ({"event_timestamp": None}, "event_timestamp"),
        ({"event_timestamp": NOON.replace(tzinfo=None)}, "zone"),
        ({"payload_digest": None}, "payload_digest"),
        ({"item": "7"}, "item"),
        ({"item": True}, "item"),
        ({"item": 2**63}, "item"),
        ({"score": "high"}, "score"),
        ({"colour": "red"}, "colour"),
        ({"dt": "2026-03-02"}, "dt"),
    ],
)
def test_an_event_that_does_not_fit_is_returned_and_the_others_are_kept(target, wrong, word):
    target.events.apply(SPEC)
    (rejected,) = target.events.append(SPEC.name, [event(1), event(2, **wrong), event(3)])
    assert rejected.index == 1
    assert word in rejected.reason
    assert rejected.unknown == tuple(
        name for name in wrong if name not in {column.name for column in SPEC.columns} | {"dt"}
    )
    rows = visible(target, "SELECT event_id FROM exposures_raw ORDER BY event_id", 2)
    assert [row["event_id"] for row in rows] == ["e1", "e3"]


def test_observe_tells_a_stream_from_none(target):
    assert target.events.observe(SPEC.name) is None
    target.events.apply(SPEC)
    assert target.events.observe(SPEC.name) is not None


def test_appending_to_no_stream_is_not_found(target):
    with pytest.raises(NotFound):
        target.events.append("none", [event(1)])
    assert not [call for call in target.calls.calls if call.mutating]


def test_a_key_that_is_no_column_is_invalid(target):
    with pytest.raises(Invalid):
        target.events.apply(StreamSpec(name="s", columns=COLUMNS, key="nope"))


@pytest.mark.needs("events.delay")
def test_a_stream_gains_columns_and_earlier_events_have_nulls_in_them(target):
    target.events.apply(SPEC)
    target.events.append(SPEC.name, [event(1)])
    target.events.apply(
        StreamSpec(
            name=SPEC.name, columns=(*COLUMNS, Column(name="place", type="string")), key="event_id"
        )
    )
    target.events.append(SPEC.name, [event(2, place="top")])
    rows = visible(target, "SELECT event_id, place FROM exposures_raw ORDER BY event_id", 2)
    assert [row["place"] for row in rows] == [None, "top"]


@pytest.mark.needs("events.delay")
def test_an_append_that_was_cut_can_be_repeated_and_readers_see_each_event_once(target, cut):
    target.events.apply(SPEC)
    with cut:
        target.events.append(SPEC.name, [event(1), event(2)])
    for _ in range(2):
        assert target.events.append(SPEC.name, [event(1), event(2)]) == ()
    once = (
        "SELECT event_id FROM (SELECT event_id, row_number() OVER (PARTITION BY dt, event_id "
        "ORDER BY payload_digest) AS n FROM exposures_raw) AS copies WHERE n = 1 ORDER BY "
        "event_id"
    )
    assert [row["event_id"] for row in visible(target, once, 2)] == ["e1", "e2"]


def test_an_apply_that_was_cut_can_be_repeated(target, cut):
    with cut:
        target.events.apply(SPEC)
    for _ in range(2):
        target.events.apply(SPEC)
    assert target.events.observe(SPEC.name) is not None
    assert target.events.append(SPEC.name, [event(1)]) == ()


THING = Event(name="thing", attributes=(Attribute(name="item", type="int"),))
STAMP = datetime(2026, 3, 2, tzinfo=UTC)


def content(number, item, *, correction=0, stored=STAMP):
    row = {
        "event_id": f"e{number}",
        "event_timestamp": NOON,
        "item": item,
        "payload_digest": f"d{item}",
        "source": "emit",
    }
    return row | {"correction": correction, "stored_timestamp": stored}


@pytest.mark.needs("events.delay")
def test_of_several_contents_of_an_id_the_corrected_then_the_first_stored_then_the_smallest_digest_is_read(
    target,
):
    for table in relations.tables(ProjectSpec(name="shop", events={"thing": THING})):
        target.warehouse.apply(table)
    target.events.apply(stream_of(THING))
    hour = timedelta(hours=1)
    batch = [
        content(1, 1),
        content(2, 1, stored=STAMP + hour),
        content(3, 1, correction=1, stored=STAMP + hour),
        content(4, 2, correction=None, stored=None),  # from before these columns
        content(5, 2),
    ]
    stream = [
        content(1, 2, stored=STAMP + hour),
        content(2, 2),
        content(3, 2),
        content(4, 1),
        content(5, 1),
        content(6, 1, stored=STAMP + hour),
        content(6, 1),  # sent again: no other content
    ]
    plain = [
        {
            name: value.replace(tzinfo=None) if isinstance(value, datetime) else value
            for name, value in row.items()
        }
        for row in batch
    ]
    raw = relations.raw_table(THING)
    columns = [name for name in (c.name for c in raw.columns) if name != "line"]
    target.warehouse.append(
        raw.name, pa.table({name: [row[name] for row in plain] for name in columns}), batch="b1"
    )
    assert target.events.append(raw.name, stream) == ()
    visible(target, "SELECT event_id FROM thing_raw", len(batch) + len(stream))
    read = target.warehouse.query(
        "SELECT event_id, item FROM events_thing ORDER BY event_id", {}
    ).to_pylist()
    assert [(row["event_id"], row["item"]) for row in read] == [
        ("e1", 1),
        ("e2", 2),
        ("e3", 1),
        ("e4", 2),
        ("e5", 1),
        ("e6", 1),
    ]
    losers = target.warehouse.query(
        f"SELECT event_id, item FROM ({losers_sql(THING)}) AS losers ORDER BY event_id", {}
    ).to_pylist()
    assert [(row["event_id"], row["item"]) for row in losers] == [
        ("e1", 2),
        ("e2", 1),
        ("e4", 1),
        ("e5", 2),
    ]
    assert target.warehouse.query(open_sql(THING), {}).num_rows == 0


VIEW = Event(
    name="view",
    attributes=(
        Attribute(name="exposure_id", type="string", required=False),
        Attribute(name="position", type="int", required=False),
    ),
)
SHOWN = {
    "event_id": "q-1-1", "event_timestamp": NOON, "payload_digest": "d", "endpoint": "home", "unit": "v1", "variant": "champion",
    "version": "ranker@1", "entity": "item", "entity_key": "7", "position": 1, "score": 0.5, "propensity": 0.25, "explored": False,
    "assignments": '{"ranker_v2.1": "treatment"}', "parameters": '{"blend": 0.7}', "config": 12,
}  # fmt: skip


@pytest.mark.needs("events.delay")
def test_an_event_is_seen_once_beside_the_exposure_that_it_names(target):
    """What the gateway set, not what a client says of it; the event stays where there is no
    exposure.
    """
    for table in relations.tables(ProjectSpec(name="shop", events={"view": VIEW})):
        target.warehouse.apply(table)
    for stream in (stream_of(VIEW), EXPOSURES):
        target.events.apply(stream)
    target.warehouse.apply(exposed_view(VIEW))
    views = [
        {"event_id": f"e{n}", "event_timestamp": NOON, "payload_digest": "d", "source": "emit"}
        for n in range(3)
    ]
    named = [
        views[0] | {"exposure_id": "q-1-1", "position": 99},
        views[1],
        views[2] | {"exposure_id": "q-unknown"},
    ]
    assert target.events.append("exposures", [SHOWN, SHOWN]) == ()
    assert target.events.append("view_raw", [*named, named[0]]) == ()
    visible(target, "SELECT event_id FROM exposures", 2)
    visible(target, "SELECT event_id FROM view_raw", 4)
    columns = ", ".join(OF_EXPOSURE)
    read = target.warehouse.query(
        f"SELECT event_id, exposure_id, {columns} FROM view_exposed ORDER BY event_id", {}
    ).to_pylist()
    of_exposure = {name: SHOWN[name] for name in OF_EXPOSURE}
    assert read[0] == {"event_id": "e0", "exposure_id": "q-1-1", **of_exposure}
    assert [(row["event_id"], row["unit"], row["position"]) for row in read[1:]] == [
        ("e1", None, None),
        ("e2", None, None),
    ]
