"""Features in Feature Store when calls go wrong on the way, and what is particular to it."""

from itertools import product

import pyarrow as pa
import pytest

from isthmus.adapters import targets
from isthmus.adapters.sagemaker import record_answers
from isthmus.adapters.sagemaker.online import records
from isthmus.adapters.sagemaker.session import aws_of
from isthmus.errors import AlreadyExists, Busy, Invalid, OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import Column
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.tests.adapters.flows import flows
from isthmus.tests.adapters.sagemaker.data_kit import T0, at, keys

CLEAR = (OutcomeUnknown, Unavailable, Throttled)
FAULTS = [
    ("cut-before", 1),
    ("cut-after", 1),
    ("throttle", 1),
    ("error", 1),
    ("cut-before", None),
]  # None: until it is cleared
FEATURES = (Column(name="clicks", type="int64"), Column(name="label", type="string"))
HISTORY = TableSpec(
    name="item_history",
    columns=(
        Column(name="entity_key", type="string", required=True),
        Column(name="event_timestamp", type="timestamp", required=True),
        Column(name="created_timestamp", type="timestamp", required=True),
        *FEATURES,
    ),
    time_column="event_timestamp",
)
VIEW = OnlineViewSpec(name="item_history", history="item_history", features=FEATURES, ttl=None)
GROUP = "conf-item_history"


def history(target, batch, *rows):
    """Rows of (key, event hour, created hour, clicks)."""
    moments = [
        [at(hour).replace(tzinfo=None) for hour in column]
        for column in list(zip(*rows, strict=True))[1:3]
    ]
    table = {
        "entity_key": [row[0] for row in rows],
        "event_timestamp": pa.array(moments[0], pa.timestamp("ms")),
        "created_timestamp": pa.array(moments[1], pa.timestamp("ms")),
        "clicks": pa.array([row[3] for row in rows], pa.int64()),
        "label": pa.array([f"l{row[3]}" for row in rows], pa.string()),
    }
    target.warehouse.append("item_history", pa.table(table), batch=batch)


@pytest.fixture
def online(target):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    return target.online


def clicks(online, *names):
    return [row and row["clicks"] for row in online.get({"item_history": names})["item_history"]]


CALLS = {
    "apply": [("sagemaker", "CreateFeatureGroup"), ("s3", "PutObject")],
    "sync": [
        ("sagemaker-featurestore-runtime", "BatchWriteRecord"),
        ("athena", "StartQueryExecution"),
        ("s3", "PutObject"),
    ],
    "get": [("sagemaker-featurestore-runtime", "BatchGetRecord")],
}


@pytest.mark.parametrize("ways", flows([list(product(calls, FAULTS)) for calls in CALLS.values()]))
def test_a_call_that_goes_wrong_ends_as_intended_or_in_a_clear_error_and_then_as_intended(
    target, stack, ways
):
    target.warehouse.apply(HISTORY)
    history(target, "b1", *((f"k{n}", 0, 1, n) for n in range(60)))
    names = [f"k{n}" for n in range(60)]
    verbs = {
        "apply": lambda: target.online.apply(VIEW),
        "sync": lambda: target.online.sync(VIEW, since=None, until=at(2)),
        "get": lambda: clicks(target.online, *names),
    }
    for verb, ((service, operation), (kind, times)) in zip(CALLS, ways, strict=True):
        stack.fault(kind=kind, service=service, operation=operation, times=times)
        try:
            verbs[verb]()
        except CLEAR:
            stack.clear_faults()
            verbs[verb]()
        stack.clear_faults()
    assert clicks(target.online, *names) == list(range(60))


def test_records_that_were_left_unprocessed_are_sent_again_and_those_only(
    target, online, monkeypatch
):
    history(target, "b1", *((f"k{n}", 0, 1, n) for n in range(30)))
    runtime = online._aws.client("sagemaker-featurestore-runtime")
    write, sent = runtime.batch_write_record, []

    def leaving(Entries):  # noqa: N803  boto3's name
        sent.append(len(Entries))
        if len(sent) > 2:
            return write(Entries=Entries)
        write(Entries=Entries[3:])
        return {
            "UnprocessedEntries": Entries[:2],
            "Errors": [
                {"Entry": Entries[2], "ErrorCode": "InternalFailure", "ErrorMessage": "oops"}
            ],
        }

    monkeypatch.setattr(runtime, "batch_write_record", leaving)
    online.sync(VIEW, since=None, until=at(2))
    assert sorted(sent) == [3, 3, 5, 25]
    assert clicks(online, *(f"k{n}" for n in range(30))) == list(range(30))


def test_keys_that_were_left_unprocessed_are_asked_again(target, online, monkeypatch):
    history(target, "b1", ("a", 0, 1, 1), ("b", 0, 1, 2))
    online.sync(VIEW, since=None, until=at(2))
    runtime = online._aws.client("sagemaker-featurestore-runtime")
    read, asked = runtime.batch_get_record, []

    def leaving(Identifiers):  # noqa: N803
        names = Identifiers[0]["RecordIdentifiersValueAsString"]
        asked.append(names)
        if len(asked) > 1:
            return read(Identifiers=Identifiers)
        part = [{**Identifiers[0], "RecordIdentifiersValueAsString": names[:1]}]
        return read(Identifiers=part) | {
            "UnprocessedIdentifiers": [
                {**Identifiers[0], "RecordIdentifiersValueAsString": names[1:]}
            ]
        }

    monkeypatch.setattr(runtime, "batch_get_record", leaving)
    assert clicks(online, "a", "b", "a") == [1, 2, 1]
    assert asked == [["a", "b"], ["b"]]


def test_a_record_that_feature_store_refuses_is_invalid_at_once(target, online):
    history(target, "b1", ("a", 0, 1, 1))
    wide = pa.table(
        {
            "entity_key": ["b"],
            "event_timestamp": pa.array([T0], pa.timestamp("ms")),
            "created_timestamp": pa.array([T0], pa.timestamp("ms")),
            "label": ["x" * 400_000],
        }
    )
    target.warehouse.append("item_history", wide, batch="b2")
    with pytest.raises(Invalid, match="358400"):
        online.sync(VIEW, since=None, until=at(2))


def test_a_new_feature_of_old_rows_is_served_though_nothing_new_was_created(target, online):
    history(target, "b1", ("a", 0, 1, 1))
    narrow = OnlineViewSpec(name="narrow", history="item_history", features=FEATURES[:1], ttl=None)
    wide = OnlineViewSpec(name="narrow", history="item_history", features=FEATURES, ttl=None)
    online.apply(narrow)
    online.sync(narrow, since=None, until=at(2))
    online.apply(wide)
    online.sync(wide, since=at(2), until=at(2))
    assert online.get({"narrow": ["a"]})["narrow"][0]["label"] == "l1"


def test_a_view_that_was_destroyed_and_made_again_knows_nothing_of_before(target, online):
    history(target, "b1", ("a", 0, 1, 1))
    online.sync(VIEW, since=None, until=at(2))
    (resource,) = [r for r in target.inventory.list("conf") if r.kind == "online_view"]
    target.native.client("sagemaker").delete_feature_group(
        FeatureGroupName=GROUP
    )  # not by us: the document stays
    assert keys(target, "online/") == ["online/item_history"]
    online.apply(VIEW)
    assert clicks(online, "a") == [None]
    online.sync(VIEW, since=at(2), until=at(3))
    assert clicks(online, "a") == [1]
    target.inventory.delete(resource)
    assert keys(target, "online/") == []


def test_a_sync_that_read_while_another_wrote_is_busy(target, online, profile, monkeypatch):
    history(target, "b1", ("a", 0, 1, 1))
    query = target.warehouse.query

    def meanwhile(*given):
        monkeypatch.setattr(type(target.warehouse), "query", lambda _self, *again: query(*again))
        targets.load(profile).online.sync(VIEW, since=None, until=at(3))
        return query(*given)

    monkeypatch.setattr(type(target.warehouse), "query", lambda _self, *given: meanwhile(*given))
    with pytest.raises(Busy):
        online.sync(VIEW, since=None, until=at(2))
    assert clicks(online, "a") == [1]


def test_a_feature_group_of_somebody_else_is_left_alone(target):
    target.native.client("sagemaker").create_feature_group(
        FeatureGroupName=GROUP,
        RecordIdentifierFeatureName="id",
        EventTimeFeatureName="time",
        FeatureDefinitions=[
            {"FeatureName": "id", "FeatureType": "String"},
            {"FeatureName": "time", "FeatureType": "String"},
        ],
        OnlineStoreConfig={"EnableOnlineStore": True},
    )
    with pytest.raises(AlreadyExists, match=GROUP):
        target.online.apply(VIEW)
    assert [resource.kind for resource in target.inventory.list("conf")] == []


def test_the_group_has_no_offline_store_and_a_native_reader_finds_plain_values(target, online):
    history(target, "b1", ("a", 0, 1, 7))
    online.sync(VIEW, since=None, until=at(2))
    group = target.native.client("sagemaker").describe_feature_group(FeatureGroupName=GROUP)
    assert "OfflineStoreConfig" not in group
    reply = target.native.client("sagemaker-featurestore-runtime").get_record(
        FeatureGroupName=GROUP, RecordIdentifierValueAsString="a"
    )
    assert {item["FeatureName"]: item["ValueAsString"] for item in reply["Record"]} == {
        "entity_key": "a",
        "synced_until": "2026-01-01T02:00:00.000Z",
        "feature_timestamp": "1767225600000",
        "clicks": "7",
        "label": "l7",
    }


@pytest.mark.parametrize("name", ["_x", "write_time", "entity_key", "a b", "x" * 65])
def test_a_name_that_feature_store_has_not_is_refused_before_anything_is_made(target, name):
    with pytest.raises(Invalid):
        target.online.apply(
            OnlineViewSpec(
                name="v", history="h", features=(Column(name=name, type="int64"),), ttl=None
            )
        )
    assert not [call for call in target.calls.calls if call.mutating]


@pytest.mark.parametrize("value", ["", " ", "a\nb", "\x00", "ü\u2028", "nan", '{"a": 1}', "plain"])
def test_a_text_comes_back_letter_by_letter_and_travels_printable(value):
    feature = Column(name="label", type="string")
    row = {"entity_key": "k", "event_timestamp": T0, "label": value}
    record = records.encode(row, [feature], records.event_time(0))
    assert all(
        item["ValueAsString"].isprintable() and item["ValueAsString"].strip() for item in record
    )
    assert records.decode({"k": record}, ["k"], [feature])[0]["label"] == value


def test_records_are_read_as_botocore_itself_reads_them(target, online):
    history(target, "b1", ("1", 1, 1, 7), ("2", 1, 1, 8))
    online.sync(VIEW, since=None, until=at(2))
    asked = {
        "Identifiers": [
            {"FeatureGroupName": GROUP, "RecordIdentifiersValueAsString": ["1", "2", "3"]}
        ]
    }
    clients = (
        aws_of(target).client("sagemaker-featurestore-runtime"),
        target.native.client("sagemaker-featurestore-runtime"),
    )
    ours, plain = (
        {**client.batch_get_record(**asked), "ResponseMetadata": None} for client in clients
    )
    assert ours == plain
    assert len(ours["Records"]) == 2


@pytest.mark.parametrize(("status", "body"), [(200, b"<html>"), (200, b"[]"), (400, b"{}")])
def test_an_answer_that_is_no_answer_is_left_to_botocore(status, body):
    response, members = {"status_code": status, "body": body}, {}
    record_answers.parse(response_dict=response, customized_response_dict=members)
    assert (response["body"], members) == (body, {})
