"""OnlineStore.put: rows that a view's one writer puts in place of those that are served."""

import math
import struct
import sys
from datetime import UTC, datetime, timedelta

import msgspec
import pyarrow as pa
import pytest

from isthmus.adapters import targets
from isthmus.errors import NotFound
from isthmus.events.port import Column
from isthmus.feature_store.port import OnlineViewSpec, TableSpec

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
HISTORY = TableSpec(name="item_live", columns=(*KEYS, *FEATURES), time_column="event_timestamp")
VIEW = OnlineViewSpec(name="item_live", history="item_live", features=FEATURES, ttl=None)
TYPES = {
    "clicks": pa.int64(),
    "rate": pa.float64(),
    "label": pa.string(),
    "fresh": pa.bool_(),
    "last_seen": pa.timestamp("ms"),
}
T0 = datetime(2026, 1, 1, tzinfo=UTC)
NOTHING = dict.fromkeys(TYPES)


def at(minutes):
    return T0 + timedelta(minutes=minutes)


def rows(*given):
    """Rows of (key, minute of the features, features that are not null)."""
    values = [NOTHING | features for _, _, features in given]
    times = [at(minute).replace(tzinfo=None) for _, minute, _ in given]
    return pa.table(
        {
            "entity_key": pa.array([key for key, _, _ in given], pa.string()),
            "feature_timestamp": pa.array(times, pa.timestamp("ms")),
        }
        | {name: pa.array([v[name] for v in values], kind) for name, kind in TYPES.items()}
    )


@pytest.fixture
def online(target):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    return target.online


def served(online, *keys):
    return online.get({"item_live": keys})["item_live"]


def clicks(online, *keys):
    return [row and row["clicks"] for row in served(online, *keys)]


@pytest.mark.needs("online.put")
def test_a_row_that_was_put_is_served_with_the_time_of_its_features(online):
    online.put(VIEW, rows(("a", 5, {"clicks": 1}), ("b", 6, {"clicks": 2})), written_at=at(7))
    a, b = ({"feature_timestamp": at(5 + n)} | NOTHING | {"clicks": n + 1} for n in range(2))
    assert served(online, "b", "none", "a") == [b, None, a]
    assert list(served(online, "a")[0]) == ["feature_timestamp", *TYPES]


@pytest.mark.needs("online.put")
def test_a_later_writing_is_served_also_with_an_earlier_time_of_its_features(online):
    online.put(VIEW, rows(("a", 5, {"clicks": 1}), ("b", 5, {"clicks": 1})), written_at=at(6))
    online.put(VIEW, rows(("a", 6, {"clicks": 2})), written_at=at(7))
    assert clicks(online, "a", "b") == [2, 1]
    online.put(VIEW, rows(("a", 4, {"clicks": 3})), written_at=at(8))  # a correction
    assert served(online, "a")[0]["feature_timestamp"] == at(4)
    assert clicks(online, "a", "b") == [3, 1]


@pytest.mark.needs("online.put")
def test_of_a_writer_that_was_paused_only_what_nobody_has_written_since_is_served(online):
    online.put(VIEW, rows(("a", 5, {"clicks": 2})), written_at=at(9))
    online.put(VIEW, rows(("a", 8, {"clicks": 1}), ("b", 8, {"clicks": 1})), written_at=at(8))
    assert clicks(online, "a", "b") == [2, 1]


@pytest.mark.needs("online.put")
def test_a_writing_within_the_same_second_replaces_the_one_before_it(online):
    for n in range(1, 4):
        moment = at(5) + timedelta(milliseconds=n)
        online.put(VIEW, rows(("a", 5, {"clicks": n})), written_at=moment)
    assert clicks(online, "a") == [3]


@pytest.mark.needs("online.put")
def test_the_same_rows_again_at_the_same_moment_change_nothing(online):
    for _ in range(3):
        online.put(VIEW, rows(("a", 5, {"clicks": 1}), ("b", 5, {})), written_at=at(6))
    assert clicks(online, "a", "b") == [1, None]
    assert served(online, "b") == [{"feature_timestamp": at(5)} | NOTHING]


@pytest.mark.needs("online.put")
def test_a_null_takes_the_place_of_a_value(online):
    full = {
        "clicks": 1,
        "rate": 0.5,
        "label": "x",
        "fresh": True,
        "last_seen": datetime(2026, 1, 1),  # noqa: DTZ001
    }
    online.put(VIEW, rows(("a", 5, full)), written_at=at(6))
    assert served(online, "a")[0]["label"] == "x"
    online.put(VIEW, rows(("a", 6, {})), written_at=at(7))
    assert served(online, "a") == [{"feature_timestamp": at(6)} | NOTHING]


@pytest.mark.needs("online.put")
def test_values_keep_their_types_bit_by_bit(online):
    values = {
        "rate": 0.1 + 0.2,
        "label": "ü\x00'",
        "fresh": True,
        "last_seen": datetime(2026, 1, 1, 2, 3, 4, 567000),  # noqa: DTZ001
    }
    online.put(
        VIEW,
        rows(
            ("a", 0, values | {"clicks": 2**63 - 1}),
            ("b", 0, values | {"clicks": -(2**63), "rate": 1.0, "fresh": False, "label": "1"}),
        ),
        written_at=at(1),
    )
    first, second = served(online, "a", "b")
    assert {name: first[name] for name in values} == values | {
        "last_seen": values["last_seen"].replace(tzinfo=UTC)
    }
    assert (first["clicks"], second["clicks"]) == (2**63 - 1, -(2**63))
    assert (second["rate"], second["fresh"], second["label"]) == (1.0, False, "1")
    assert [type(second[name]) for name in ("rate", "fresh", "label")] == [float, bool, str]


@pytest.mark.needs("online.put")
def test_floats_come_back_bitwise(online):
    extremes = [5e-324, sys.float_info.max, sys.float_info.min, 0.1, 1e22]
    sent = [None, math.nan, math.inf, -math.inf, 0.0, -0.0, *extremes]
    given = [(f"k{n}", 0, {"rate": rate}) for n, rate in enumerate(sent)]
    online.put(VIEW, rows(*given), written_at=at(1))
    found = [row["rate"] for row in served(online, *(key for key, _, _ in given))]
    for before, after in zip(sent, found, strict=True):
        if before is None or math.isnan(before):
            assert after is None if before is None else math.isnan(after)
        else:
            assert struct.pack("<d", after) == struct.pack("<d", before)


@pytest.mark.needs("online.put")
def test_more_rows_than_a_call_takes_are_served_too(online):
    given = [(f"k{n}", 0, {"clicks": n}) for n in range(1201)]
    online.put(VIEW, rows(*given), written_at=at(1))
    assert clicks(online, *(key for key, _, _ in given)) == list(range(1201))


def test_no_rows_are_no_call(target, online):
    already = len(target.calls.calls)
    online.put(VIEW, rows(), written_at=at(1))
    assert not [call for call in target.calls.calls[already:] if call.mutating]


@pytest.mark.needs("online.put")
def test_another_process_reads_what_was_put(target, online):
    online.put(VIEW, rows(("a", 5, {"clicks": 1})), written_at=at(6))
    other = targets.load(target.profile)
    try:
        assert clicks(other.online, "a") == [1]
    finally:
        other.close()


@pytest.mark.needs("online.put")
def test_a_view_gains_features_which_the_next_writing_fills(target, online):
    online.put(VIEW, rows(("a", 5, {"clicks": 1}), ("b", 5, {"clicks": 1})), written_at=at(6))
    place = Column(name="place", type="string")
    target.warehouse.apply(
        TableSpec(
            name="item_live", columns=(*HISTORY.columns, place), time_column="event_timestamp"
        )
    )
    wider = msgspec.structs.replace(VIEW, features=(*FEATURES, place))
    online.apply(wider)
    more = rows(("a", 6, {"clicks": 2})).append_column("place", pa.array(["top"], pa.string()))
    online.put(wider, more, written_at=at(7))
    assert [(row["clicks"], row["place"]) for row in served(online, "a")] == [(2, "top")]
    assert clicks(online, "b")[0] in {1, None}  # a store may have to be filled anew


@pytest.mark.needs("online.put")
def test_a_writing_that_was_cut_can_be_repeated(online, cut):
    online.put(VIEW, rows(("a", 5, {"clicks": 1})), written_at=at(6))
    new = rows(("a", 6, {"clicks": 2}), ("b", 6, {"clicks": 3}))
    with cut:
        online.put(VIEW, new, written_at=at(7))
    for _ in range(2):
        online.put(VIEW, new, written_at=at(7))
        assert clicks(online, "a", "b") == [2, 3]
    online.put(VIEW, rows(("a", 9, {"clicks": 0})), written_at=at(6))
    assert clicks(online, "a", "b") == [2, 3]


@pytest.mark.needs("online.put")
def test_writing_to_no_view_is_not_found(target):
    with pytest.raises(NotFound):
        target.online.put(VIEW, rows(("a", 5, {"clicks": 1})), written_at=at(6))
