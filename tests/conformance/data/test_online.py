"""OnlineStore: the latest row per entity of a history table.

A projection: it can always be rebuilt.
"""

import math
import struct
import sys
import tempfile
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from isthmus.adapters import targets
from isthmus.errors import Invalid, NotFound
from isthmus.events.port import Column
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.tests.conformance.places import fresh

pytestmark = pytest.mark.ports("online", "warehouse")

FEATURES = (
    Column(name="clicks", type="int64"),
    Column(name="rate", type="float64"),
    Column(name="label", type="string"),
    Column(name="fresh", type="bool"),
    Column(name="last_seen", type="timestamp"),
)
KEYS = (
    Column(name="entity_key", type="string", required=True),
    Column(name="event_timestamp", type="timestamp", required=True),
    Column(name="created_timestamp", type="timestamp", required=True),
)
HISTORY = TableSpec(name="item_history", columns=(*KEYS, *FEATURES), time_column="event_timestamp")
VIEW = OnlineViewSpec(name="item_history", history="item_history", features=FEATURES, ttl=None)
T0 = datetime(2026, 1, 1, tzinfo=UTC)


def at(hours):
    return T0 + timedelta(hours=hours)


def history(target, batch, *rows):
    """Rows of (key, event hour, created hour, clicks, other features)."""
    columns = {column.name: [] for column in HISTORY.columns}
    for key, event, created, clicks, *rest in rows:
        other = {"rate": None, "label": None, "fresh": None, "last_seen": None} | (
            rest[0] if rest else {}
        )
        values = {
            "entity_key": key,
            "event_timestamp": naive(at(event)),
            "created_timestamp": naive(at(created)),
            "clicks": clicks,
        } | other
        for name, value in values.items():
            columns[name].append(value)
    kinds = {
        "string": pa.string(),
        "timestamp": pa.timestamp("ms"),
        "int64": pa.int64(),
        "float64": pa.float64(),
        "bool": pa.bool_(),
    }
    target.warehouse.append(
        "item_history",
        pa.table({c.name: pa.array(columns[c.name], kinds[c.type]) for c in HISTORY.columns}),
        batch=batch,
    )


def naive(moment):
    return moment.astimezone(UTC).replace(tzinfo=None)


@pytest.fixture
def online(target):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    return target.online


def clicks(online, *keys):
    return [row and row["clicks"] for row in online.get({"item_history": keys})["item_history"]]


def test_observe_tells_a_view_from_none(target):
    assert target.online.observe("item_history") is None
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    assert target.online.observe("item_history").columns == FEATURES


def test_reading_and_syncing_no_view_is_not_found(target):
    with pytest.raises(NotFound):
        target.online.get({"none": ["a"]})
    with pytest.raises(NotFound):
        target.online.sync(VIEW, since=None, until=at(1))


def test_a_key_that_is_not_there_is_none_and_a_view_that_was_removed_is_not_found_by_name(
    target, online
):
    assert online.get({"item_history": ["a"]}) == {"item_history": [None]}
    (view,) = (
        resource
        for resource in target.inventory.list(target.profile.project)
        if resource.kind == "online_view"
    )
    target.inventory.delete(view)
    other = targets.load(target.profile)
    try:
        with pytest.raises(NotFound, match="item_history"):
            other.online.get({"item_history": ["a"]})
    finally:
        other.close()


def test_get_gives_one_row_per_key_in_order_with_duplicates_and_none(target, online):
    history(target, "b1", ("a", 0, 1, 10), ("b", 0, 1, 20))
    online.sync(VIEW, since=None, until=at(2))
    found = online.get({"item_history": ["b", "none", "a", "b"]})["item_history"]
    nothing = {"rate": None, "label": None, "fresh": None, "last_seen": None}
    b, a = ({"feature_timestamp": T0, "clicks": n} | nothing for n in (20, 10))
    assert found == [b, None, a, b]
    assert list(found[0]) == ["feature_timestamp", "clicks", "rate", "label", "fresh", "last_seen"]
    assert found[0] is not found[3]
    assert online.get({"item_history": []})["item_history"] == []


def test_one_read_takes_the_keys_of_several_views(target, online):
    history(target, "b1", ("a", 0, 1, 10), ("b", 0, 1, 20))
    target.warehouse.apply(msgspec.structs.replace(HISTORY, name="user_history"))
    target.online.apply(msgspec.structs.replace(VIEW, name="user_history", history="user_history"))
    target.warehouse.save(
        "user_history", "SELECT * FROM item_history WHERE entity_key = 'a'", {}, batch="b1"
    )
    online.sync(VIEW, since=None, until=at(2))
    online.sync(
        msgspec.structs.replace(VIEW, name="user_history", history="user_history"),
        since=None,
        until=at(2),
    )
    rows = online.get({"item_history": ["b", "a"], "user_history": ["a", "b", "a"]})
    assert {view: [row and row["clicks"] for row in of_view] for view, of_view in rows.items()} == {
        "item_history": [20, 10],
        "user_history": [10, None, 10],
    }


def test_nothing_asked_is_answered_without_a_call(target, online):
    before = len(target.calls.calls)
    assert online.get({}) == {}
    assert len(target.calls.calls) == before


def test_of_several_views_the_one_that_is_not_there_is_named(target, online):
    with pytest.raises(NotFound, match="user_history"):
        online.get({"item_history": ["a"], "user_history": ["a"]})


def test_more_keys_than_a_statement_takes_are_read_too(target, online):
    history(target, "b1", *((f"k{n}", 0, 1, n) for n in range(1201)))
    online.sync(VIEW, since=None, until=at(2))
    assert clicks(online, *(f"k{n}" for n in range(1201))) == list(range(1201))


@pytest.mark.needs("online.sync")
def test_the_latest_event_wins_then_the_latest_creation(target, online):
    history(target, "b1", ("a", 5, 6, 1), ("a", 5, 7, 2), ("a", 3, 8, 3), ("b", 1, 2, 4))
    online.sync(VIEW, since=None, until=at(9))
    assert clicks(online, "a", "b") == [2, 4]


@pytest.mark.needs("online.sync")
def test_only_rows_created_up_to_until_count(target, online):
    history(target, "b1", ("a", 0, 1, 1), ("a", 1, 5, 2))
    assert online.sync(VIEW, since=None, until=at(4)).until == at(4)
    assert clicks(online, "a") == [1]
    report = online.sync(VIEW, since=at(4), until=at(5))
    assert (report.rows, clicks(online, "a")) == (1, [2])


@pytest.mark.needs("online.sync")
def test_a_late_row_with_an_older_event_does_not_replace_a_newer_one(target, online):
    history(target, "b1", ("a", 5, 6, 1))
    online.sync(VIEW, since=None, until=at(6))
    history(target, "b2", ("a", 2, 7, 99), ("b", 2, 7, 5))
    online.sync(VIEW, since=at(6), until=at(8))
    assert clicks(online, "a", "b") == [1, 5]


@pytest.mark.needs("online.sync")
def test_a_correction_with_the_same_event_time_is_served(target, online):
    history(target, "b1", ("a", 5, 6, 1))
    online.sync(VIEW, since=None, until=at(6))
    history(target, "b2", ("a", 5, 7, 2))
    online.sync(VIEW, since=at(6), until=at(7))
    assert clicks(online, "a") == [2]


@pytest.mark.needs("online.sync")
def test_a_sync_again_changes_nothing_and_an_older_one_takes_nothing_back(target, online):
    history(target, "b1", ("a", 0, 1, 1), ("a", 1, 5, 2))
    online.sync(VIEW, since=None, until=at(6))
    for since, until in ((at(1), at(6)), (None, at(6)), (None, at(2)), (at(0), at(2))):
        online.sync(VIEW, since=since, until=until)
        assert clicks(online, "a") == [2]


@pytest.mark.needs("online.sync")
def test_a_first_sync_with_a_since_serves_everything_up_to_until_all_the_same(target, online):
    history(target, "b1", ("a", 0, 1, 1), ("b", 1, 5, 2))
    online.sync(VIEW, since=at(4), until=at(6))
    assert clicks(online, "a", "b") == [1, 2]


def test_values_keep_their_types_bit_by_bit(target, online):
    values = {
        "rate": 0.1 + 0.2,
        "label": "ü\x00'",
        "fresh": True,
        "last_seen": datetime(2026, 1, 1, 2, 3, 4, 567000),  # noqa: DTZ001
    }
    history(
        target,
        "b1",
        ("a", 0, 1, 2**63 - 1, values),
        ("b", 0, 1, -(2**63), values | {"rate": 1.0, "fresh": False, "label": "1"}),
    )
    online.sync(VIEW, since=None, until=at(2))
    first, second = online.get({"item_history": ["a", "b"]})["item_history"]
    assert {name: first[name] for name in values} == values | {
        "last_seen": values["last_seen"].replace(tzinfo=UTC)
    }
    assert (first["clicks"], second["clicks"]) == (2**63 - 1, -(2**63))
    assert (second["rate"], second["fresh"], second["label"]) == (1.0, False, "1")


@settings(max_examples=4, deadline=None)  # of many floats each: it is the sync that takes its time
@given(rates=st.lists(st.none() | st.floats(), min_size=20, max_size=60))
@example(
    rates=[
        None,
        math.nan,
        math.inf,
        -math.inf,
        0.0,
        -0.0,
        5e-324,
        sys.float_info.max,
        sys.float_info.min,
        0.1,
    ]
)
def test_floats_come_back_bitwise(adapter, rates):
    with tempfile.TemporaryDirectory() as home:
        target = targets.load(fresh(adapter, home))
        target.warehouse.apply(HISTORY)
        target.online.apply(VIEW)
        history(target, "b1", *((f"k{n}", 0, 1, n, {"rate": rate}) for n, rate in enumerate(rates)))
        target.online.sync(VIEW, since=None, until=at(2))
        found = [
            row["rate"]
            for row in target.online.get({"item_history": [f"k{n}" for n in range(len(rates))]})[
                "item_history"
            ]
        ]
        target.close()
    for sent, got in zip(rates, found, strict=True):
        if sent is None or math.isnan(sent):
            assert got is None if sent is None else math.isnan(got)
        else:
            assert struct.pack("<d", got) == struct.pack("<d", sent)


def test_a_view_gains_features_which_the_next_sync_fills(target, online):
    history(target, "b1", ("a", 0, 1, 1))
    online.sync(VIEW, since=None, until=at(2))
    place = Column(name="place", type="string")
    target.warehouse.apply(
        TableSpec(
            name="item_history", columns=(*HISTORY.columns, place), time_column="event_timestamp"
        )
    )
    wider = OnlineViewSpec(
        name="item_history", history="item_history", features=(*FEATURES, place), ttl=None
    )
    for _ in range(2):
        online.apply(wider)
    assert online.get({"item_history": ["a"]})["item_history"][0]["place"] is None
    online.sync(wider, since=at(2), until=at(3))
    assert clicks(online, "a") == [1]


@pytest.mark.parametrize(
    "features",
    [FEATURES[1:], (Column(name="clicks", type="string"), *FEATURES[1:])],
    ids=["a dropped feature", "another type"],
)
def test_dropping_or_changing_a_feature_is_refused_by_name(online, features):
    with pytest.raises(Invalid, match="clicks"):
        online.apply(
            OnlineViewSpec(name="item_history", history="item_history", features=features, ttl=None)
        )
    assert online.observe("item_history").columns == FEATURES


def test_an_apply_that_was_cut_can_be_repeated(target, cut):
    target.warehouse.apply(HISTORY)
    with cut:
        target.online.apply(VIEW)
    for _ in range(2):
        target.online.apply(VIEW)
    assert target.online.observe("item_history").columns == FEATURES


@pytest.mark.needs("online.sync")
@pytest.mark.parametrize("since", [None, at(2)])
def test_a_sync_that_was_cut_can_be_repeated(target, online, cut, since):
    history(target, "b1", ("a", 0, 1, 1))
    online.sync(VIEW, since=None, until=at(2))
    history(target, "b2", ("a", 3, 4, 2), ("b", 3, 4, 3))
    with cut:
        online.sync(VIEW, since=since, until=at(5))
    for _ in range(2):
        online.sync(VIEW, since=since, until=at(5))
    assert clicks(online, "a", "b") == [2, 3]
