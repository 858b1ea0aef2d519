"""Events through Kinesis and Firehose when calls go wrong on the way."""

import time
from datetime import UTC, datetime, timedelta
from itertools import product

import msgspec
import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker.events import stream_records
from isthmus.errors import Invalid, NotFound, OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import Column, StreamSpec
from isthmus.storage import wait
from isthmus.tests.adapters.flows import flows
from isthmus.tests.adapters.sagemaker.data_kit import COLUMNS, SPEC, T0, keys, rows

CLEAR = (OutcomeUnknown, Unavailable, Throttled)
FAULTS = [
    ("cut-before", 1),
    ("cut-after", 1),
    ("throttle", 1),
    ("error", 1),
    ("cut-before", None),
]  # None: until it is cleared
STREAM = StreamSpec(name="clicks_raw", columns=COLUMNS, key="event_id")
NAME = "conf-clicks_raw"


def event(number, **other):
    return {
        "event_id": f"e{number}",
        "event_timestamp": T0.replace(tzinfo=UTC),
        "item": number,
    } | other


def seen(target, count):
    """The ids in the table, once there are so many."""

    def ids():
        found = target.warehouse.query(
            "SELECT DISTINCT event_id FROM clicks_raw ORDER BY event_id", {}
        )
        return found["event_id"].to_pylist()

    return wait(ids, lambda found: len(found) >= count, deadline=timedelta(seconds=120))


CALLS = {
    "apply": [
        ("kinesis", "CreateStream"),
        ("glue", "CreateTable"),
        ("firehose", "CreateDeliveryStream"),
    ],
    "append": [("kinesis", "PutRecords"), ("firehose", "DescribeDeliveryStream")],
}


@pytest.mark.parametrize("ways", flows([list(product(calls, FAULTS)) for calls in CALLS.values()]))
def test_a_call_that_goes_wrong_ends_as_intended_or_in_a_clear_error_and_then_as_intended(
    target, stack, ways
):
    verbs = {
        "apply": lambda: target.events.apply(STREAM),
        "append": lambda: target.events.append(STREAM.name, [event(1), event(2)]),
    }
    for verb, ((service, operation), (kind, times)) in zip(CALLS, ways, strict=True):
        stack.fault(kind=kind, service=service, operation=operation, times=times)
        try:
            verbs[verb]()
        except CLEAR:
            stack.clear_faults()
            verbs[verb]()
        stack.clear_faults()
    assert seen(target, 2) == ["e1", "e2"]
    assert [(r.kind, r.name) for r in target.inventory.list("conf")] == [
        ("stream", "clicks_raw"),
        ("table", "clicks_raw"),
    ]


@pytest.mark.parametrize("kind", ["duplicate", "cut-after"])
def test_what_is_delivered_twice_or_sent_again_after_a_lost_reply_is_the_same_row_twice(
    target, stack, kind
):
    """So a run of the demo had 6,003 exposures for 6,000: the SDK sent the rows of one request
    again. Whoever reads counts ids.
    """
    target.events.apply(STREAM)
    stack.fault(kind=kind, service="kinesis", operation="PutRecords")
    assert target.events.append(STREAM.name, [event(1), event(2)]) == ()
    sql = (
        "SELECT event_id, item, count(*) AS n, count(DISTINCT event_timestamp) AS moments FROM "
        "clicks_raw GROUP BY event_id, item"
    )
    rows = wait(
        lambda: target.warehouse.query(sql, {}).to_pylist(),
        lambda rows: sum(row["n"] for row in rows) >= 4,
        deadline=timedelta(seconds=120),
    )
    assert sorted(tuple(row.values()) for row in rows) == [("e1", 1, 2, 1), ("e2", 2, 2, 1)]


@pytest.mark.parametrize("made", ["kinesis", "firehose"])
def test_half_a_stream_is_seen_by_plan_and_finished_by_apply(target, stack, made):
    stack.fault(
        kind="error",
        service=made,
        operation="CreateStream" if made == "kinesis" else "CreateDeliveryStream",
        code="AccessDeniedException",
    )
    with pytest.raises(Exception, match="AccessDenied"):
        target.events.apply(STREAM)
    listed = {(r.kind, r.name) for r in target.inventory.list("conf")}
    assert listed == (
        {("table", "clicks_raw")}
        if made == "kinesis"
        else {("table", "clicks_raw"), ("stream", "clicks_raw")}
    )
    assert target.events.observe("clicks_raw") == (None if made == "kinesis" else "creating")
    target.events.apply(STREAM)
    assert target.events.observe("clicks_raw") == "ready"


def test_only_the_records_that_failed_are_sent_again(target, monkeypatch):
    target.events.apply(STREAM)
    kinesis = target.events._aws.client("kinesis")
    put, sent = kinesis.put_records, []

    def failing(StreamName, Records):  # noqa: N803  boto3's names
        sent.append([msgspec.json.decode(record["Data"])["event_id"] for record in Records])
        if len(sent) > 2:
            return put(StreamName=StreamName, Records=Records)
        taken = put(StreamName=StreamName, Records=Records[:-1])["Records"] if Records[:-1] else []
        refused = {
            "ErrorCode": "ProvisionedThroughputExceededException",
            "ErrorMessage": "slow down",
        }
        return {"FailedRecordCount": 1, "Records": [*taken, refused]}

    monkeypatch.setattr(kinesis, "put_records", failing)
    assert target.events.append(STREAM.name, [event(1), event(2), event(3)]) == ()
    assert sent == [["e1", "e2", "e3"], ["e3"], ["e3"]]
    assert seen(target, 3) == ["e1", "e2", "e3"]


def test_records_that_are_never_taken_are_an_error_and_not_lost_in_silence(target, monkeypatch):
    target.events.apply(STREAM)
    kinesis = target.events._aws.client("kinesis")
    refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "slow down"}
    monkeypatch.setattr(
        kinesis,
        "put_records",
        lambda **given: {"FailedRecordCount": 1, "Records": [refused] * len(given["Records"])},
    )
    monkeypatch.setattr(time, "sleep", lambda _seconds: None)
    with pytest.raises(Throttled, match="1 events were not taken"):
        target.events.append(STREAM.name, [event(1)])


def test_records_are_packed_into_calls_that_kinesis_takes():
    small, large = ({"Data": b"x" * size, "PartitionKey": "k"} for size in (10, 1 << 20))
    assert [len(call) for call in stream_records.calls([small] * 1201)] == [500, 500, 201]
    assert [len(call) for call in stream_records.calls([large] * 9)] == [4, 4, 1]


def test_batches_and_single_events_are_read_together(target):
    target.warehouse.apply(SPEC)
    target.warehouse.append("clicks_raw", rows(7, 8), batch="b1")
    target.events.apply(STREAM)
    target.events.append(STREAM.name, [event(1)])
    assert seen(target, 3) == ["e1", "e7", "e8"]


def test_a_column_that_another_process_added_is_taken(target, profile):
    target.events.apply(STREAM)
    target.events.append(STREAM.name, [event(1)])
    wide = StreamSpec(
        name=STREAM.name, columns=(*COLUMNS, Column(name="place", type="string")), key="event_id"
    )
    targets.load(profile).events.apply(wide)
    assert target.events.append(STREAM.name, [event(2, place="top")]) == ()
    assert seen(target, 2) == ["e1", "e2"]
    found = target.warehouse.query("SELECT event_id, place FROM clicks_raw ORDER BY event_id", {})
    assert found["place"].to_pylist() == [None, "top"]


def test_an_event_of_another_time_widens_the_projected_dates(target):
    target.events.apply(STREAM)
    target.events.append(
        STREAM.name, [event(1, event_timestamp=datetime(2019, 11, 24, 23, 59, tzinfo=UTC))]
    )
    assert seen(target, 1) == ["e1"]
    assert any("/dt=2019-11-24/" in key for key in keys(target, "warehouse/"))


def test_a_number_that_json_has_not_is_rejected_by_its_column(target):
    target.events.apply(
        StreamSpec(
            name="scores_raw",
            columns=(*COLUMNS, Column(name="score", type="float64")),
            key="event_id",
        )
    )
    (rejected,) = target.events.append("scores_raw", [event(1, score=float("nan"))])
    assert "score" in rejected.reason


def test_a_stream_that_somebody_deleted_is_not_found(target):
    target.events.apply(STREAM)
    target.events.append(STREAM.name, [event(1)])
    for resource in list(targets.load(target.profile).inventory.list("conf")):
        target.inventory.delete(resource)
    with pytest.raises(NotFound):
        target.events.append(STREAM.name, [event(2)])


def test_a_stream_of_a_table_that_was_made_again_is_refused(target):
    target.events.apply(STREAM)
    (table,) = [r for r in target.inventory.list("conf") if r.kind == "table"]
    target.inventory.delete(table)
    with pytest.raises(Invalid, match="another table"):
        target.events.apply(STREAM)
    for resource in list(target.inventory.list("conf")):
        target.inventory.delete(resource)
    target.events.apply(STREAM)
    target.events.append(STREAM.name, [event(1)])
    assert seen(target, 1) == ["e1"]
