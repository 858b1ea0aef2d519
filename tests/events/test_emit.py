"""Single events: valid ones are durable, the others come back with a reason."""

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest

from isthmus.errors import Invalid, NotFound
from isthmus.events.intake.emit import emit, emit_stream, stream_of
from isthmus.events.intake.ingest import ingest
from isthmus.events.port import Column, Rejected, StreamSpec

from .conftest import CLICK, IMPRESSION, NOW, click, impression, raw_count, seen


@pytest.fixture
def open_stream(project):
    for event in (IMPRESSION, CLICK):
        project.target.events.apply(stream_of(event))
    return project


def test_what_is_not_returned_is_seen_and_what_is_bad_comes_back_with_its_place(open_stream):
    rows = [
        impression(1),
        impression(2, item_id=412),
        impression(3, position=...),
        impression(4, event_timestamp=NOW - timedelta(hours=2)),
        impression(5, event_timestamp="2019-11-30T10:00:00"),
        impression(6, event_timestamp=(NOW - timedelta(hours=2)).replace(tzinfo=None)),
        impression(7, event_timestamp=NOW + timedelta(seconds=121)),
        impression(8, polcy="bts"),
        impression(9, event_id=""),
        impression(10, propensity=float("nan")),
        impression(11, event_timestamp=NOW + timedelta(seconds=120)),
        impression(
            12, event_timestamp=datetime(9999, 12, 31, 23, tzinfo=timezone(timedelta(hours=-12)))
        ),
    ]
    assert emit(open_stream, "impression", rows) == (
        Rejected(index=1, reason="item_id 412 is over the maximum, 79"),
        Rejected(index=2, reason="position is missing"),
        Rejected(index=4, reason='event_timestamp "2019-11-30T10:00:00" has no time zone'),
        Rejected(index=5, reason="event_timestamp 2019-11-30 22:00:00 has no time zone"),
        Rejected(
            index=6,
            reason="event_timestamp 2019-12-01 00:02:01 is 121 s ahead of the clock, more than 2 "
            "minutes (max_ahead)",
        ),
        Rejected(index=7, reason="polcy is not an attribute of impression (did you mean policy?)"),
        Rejected(index=8, reason="event_id is empty"),
        Rejected(index=9, reason="propensity nan is not a finite number"),
        Rejected(index=11, reason="event_timestamp 9999-12-31 23:00:00-12:00 is not a timestamp"),
    )
    assert [row["event_id"] for row in seen(open_stream, "impression")] == ["i1", "i4", "i11"]


def test_an_event_that_was_emitted_and_comes_in_a_file_is_already_there(open_stream, tmp_path):
    tokyo = datetime.fromisoformat(impression(1)["event_timestamp"]).astimezone(
        timezone(timedelta(hours=9))
    )
    assert (
        emit(
            open_stream,
            "impression",
            [impression(1, event_timestamp=tokyo), impression(2, propensity=1)],
        )
        == ()
    )
    path = tmp_path / "rows.jsonl"
    path.write_text(
        "".join(json.dumps(row) + "\n" for row in (impression(1), impression(2, propensity=1.0)))
    )
    (report,) = ingest(open_stream, event="impression", data=path)
    assert (report.stored, report.already_there) == (0, 2)


def test_the_same_event_emitted_twice_is_seen_once(open_stream):
    for _ in range(2):
        assert emit(open_stream, "click", [click(1)]) == ()
    assert raw_count(open_stream, "click") >= 1
    assert len(seen(open_stream, "click")) == 1


def test_an_internal_stream_checks_types_and_required_columns(project):
    stream = StreamSpec(
        name="shown",
        columns=(
            Column(name="event_id", type="string", required=True),
            Column(name="event_timestamp", type="timestamp", required=True),
            Column(name="unit", type="string", required=True),
            Column(name="score", type="float64"),
        ),
        key="unit",
    )
    project.target.events.apply(stream)
    moment = datetime(2019, 11, 30, 1, 2, 3, 456789, tzinfo=UTC)
    row = {"event_id": "x", "event_timestamp": moment, "unit": "v1", "score": 2}
    refused = emit_stream(project, stream, [row, {**row, "unit": 3}, {**row, "more": 1}])
    assert [(r.index, r.reason) for r in refused] == [
        (1, "unit 3 is not a string"),
        (2, "more is not a column of shown (it has event_id, event_timestamp, unit, score)"),
    ]


def test_one_row_that_is_no_list_is_refused(project):
    with pytest.raises(Invalid) as error:
        emit(project, "click", {"event_id": "c1"})
    assert error.value.remedy == "put it into brackets: [{...}]"


def test_an_unknown_event_is_an_error(project):
    with pytest.raises(NotFound, match="there is no event clock"):
        emit(project, "clock", [])
