"""Online views in Vertex AI Feature Store when calls go wrong on the way, and what is particular to
it.
"""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import msgspec
import pyarrow as pa
import pytest
from google.longrunning.operations_pb2 import Operation

from isthmus.adapters.vertex.session import session_of
from isthmus.errors import AlreadyExists, Denied, OutcomeUnknown, Throttled, Unavailable
from isthmus.events.port import Column
from isthmus.feature_store.port import OnlineViewSpec, TableSpec
from isthmus.storage import wait

CLEAR = (OutcomeUnknown, Unavailable, Throttled)
KINDS = ["cut-after", "throttle"]  # cut before: the conformance suite
FEATURES = (Column(name="clicks", type="int64"), Column(name="label", type="string"))
TIMES = tuple(
    Column(name=f"{name}_timestamp", type="timestamp", required=True)
    for name in ("event", "created")
)
HISTORY = TableSpec(
    name="item_history",
    columns=(Column(name="entity_key", type="string", required=True), *TIMES, *FEATURES),
    time_column="event_timestamp",
)
VIEW = OnlineViewSpec(name="item_history", history="item_history", features=FEATURES, ttl=None)
T0 = datetime(2026, 1, 1, tzinfo=UTC)
CALLS = [
    ("apply", "bigquery.tables.insert"),
    ("apply", "FeatureOnlineStoreAdminService.CreateFeatureOnlineStore"),
    ("apply", "FeatureOnlineStoreAdminService.CreateFeatureView"),
    ("sync", "bigquery.tables.patch"),
    ("sync", "FeatureOnlineStoreAdminService.SyncFeatureView"),
    ("sync", "FeatureOnlineStoreAdminService.GetFeatureViewSync"),
    ("get", "FeatureOnlineStoreService.FetchFeatureValues"),
]


def at(hours):
    return T0 + timedelta(hours=hours)


def history(target, batch, *rows):
    """Rows of (key, event hour, created hour, clicks)."""
    moments = [
        pa.array([at(row[place]).replace(tzinfo=None) for row in rows], pa.timestamp("ms"))
        for place in (1, 2)
    ]
    table = {
        "entity_key": [row[0] for row in rows],
        "event_timestamp": moments[0],
        "created_timestamp": moments[1],
    }
    table |= {
        "clicks": pa.array([row[3] for row in rows], pa.int64()),
        "label": [f"l{row[3]}" for row in rows],
    }
    target.warehouse.append("item_history", pa.table(table), batch=batch)


@pytest.fixture
def online(target):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    return target.online


def clicks(online, *keys):
    return [row and row["clicks"] for row in online.get({"item_history": keys})["item_history"]]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("verb", "operation"), CALLS)
def test_a_call_that_goes_wrong_ends_as_intended_or_in_a_clear_error_and_then_as_intended(
    target, stack, verb, operation, kind
):
    target.warehouse.apply(HISTORY)
    history(target, "b1", *((f"k{n}", 0, 1, n) for n in range(30)))
    keys = [f"k{n}" for n in range(30)]
    verbs = {
        "apply": lambda: target.online.apply(VIEW),
        "sync": lambda: target.online.sync(VIEW, since=None, until=at(2)),
        "get": lambda: clicks(target.online, *keys),
    }
    for name, do in verbs.items():
        if name == verb:
            stack.fault(kind=kind, operation=operation)
            try:
                do()
            except CLEAR:
                do()
            assert stack.faults() == (), f"{operation} was not called"
        else:
            do()
    assert clicks(target.online, *keys) == list(range(30))


def test_the_source_holds_each_entity_once_as_it_was_known_at_the_last_sync(target, online):
    history(target, "b1", ("a", 5, 6, 1), ("a", 5, 7, 2), ("a", 6, 9, 3), ("b", 1, 2, 4))
    assert (
        target.native.bigquery.query_and_wait(
            "SELECT * FROM isthmus_conf.item_history_latest"
        ).total_rows
        == 0
    )
    online.sync(VIEW, since=None, until=at(8))
    rows = target.native.bigquery.query_and_wait(
        "SELECT entity_key, clicks FROM isthmus_conf.item_history_latest ORDER BY entity_key"
    )
    assert [tuple(row) for row in rows] == [("a", 2), ("b", 4)]
    assert clicks(online, "a", "b") == [2, 4]


def test_all_keys_of_all_views_are_asked_for_before_the_first_answer_and_each_once(
    target, online, monkeypatch
):
    other = msgspec.structs.replace(VIEW, name="again")
    online.apply(other)
    history(target, "b1", *((f"k{n}", 0, 1, n) for n in range(40)))
    for view in (VIEW, other):
        online.sync(view, since=None, until=at(2))
    transport, steps = session_of(target).feature_values.transport, []
    genuine = transport.fetch_feature_values

    def asked(request, **options):
        steps.append("asked")
        call = genuine.future(request, **options)
        return SimpleNamespace(result=lambda: (steps.append("waited for"), call.result())[1])

    monkeypatch.setattr(type(transport), "fetch_feature_values", SimpleNamespace(future=asked))
    rows = online.get({"item_history": ["k1", "k2", "k1", "none"], "again": ["k1"]})
    assert [row and row["clicks"] for row in rows["item_history"]] == [1, 2, 1, None]
    assert steps == ["asked"] * 4 + ["waited for"] * 4


def test_a_sync_that_runs_is_waited_for_and_followed_by_ours(target, online, monkeypatch):
    """It began before our moment was written."""
    from isthmus.errors import Busy

    history(target, "b1", ("a", 0, 1, 1))
    features, refused = target.native.features, []
    start = features.sync_feature_view

    def busy(request):
        if not refused:
            refused.append(request)
            start(request=request)  # somebody else's
            raise Busy("a sync is running")
        return start(request=request)

    monkeypatch.setattr(features, "sync_feature_view", busy)
    online.sync(VIEW, since=None, until=at(2))
    assert refused
    assert clicks(online, "a") == [1]


def test_a_sync_that_is_refused_though_none_runs_is_asked_for_at_a_walking_pace_and_given_up(
    target, online, monkeypatch
):
    from isthmus.adapters.vertex.online import store as module
    from isthmus.errors import Busy

    history(target, "b1", ("a", 0, 1, 1))
    pauses, refused = [], []

    def busy(request):
        refused.append(request)
        raise Busy("the feature view is paused")

    def patient(observe, until, **options):
        return wait(observe, until, **options, sleep=pauses.append, clock=lambda: sum(pauses))

    monkeypatch.setattr(target.native.features, "sync_feature_view", busy)
    monkeypatch.setattr(module, "wait", patient)
    with pytest.raises(Busy, match="paused"):
        online.sync(VIEW, since=None, until=at(2))
    assert len(refused) <= 100
    assert sum(pauses) > 10


def test_a_store_that_takes_longer_than_anyone_waits_is_said_to_be_unavailable(target, monkeypatch):
    from isthmus.adapters.vertex.online import store as module

    target.warehouse.apply(HISTORY)
    monkeypatch.setattr(module, "_PATIENCE", timedelta(milliseconds=50))
    monkeypatch.setattr(
        target.native.features, "get_operation", lambda request: Operation(name=request["name"])
    )
    with pytest.raises(Unavailable, match="making"):
        target.online.apply(VIEW)


def test_a_new_feature_of_old_rows_is_served_though_nothing_new_was_created(target, online):
    history(target, "b1", ("a", 0, 1, 1))
    narrow = OnlineViewSpec(name="narrow", history="item_history", features=FEATURES[:1], ttl=None)
    online.apply(narrow)
    online.sync(narrow, since=None, until=at(2))
    wide = msgspec.structs.replace(narrow, features=FEATURES)
    online.apply(wide)
    online.sync(wide, since=at(2), until=at(2))
    assert online.get({"narrow": ["a"]})["narrow"][0]["label"] == "l1"


def test_what_was_destroyed_and_made_again_serves_nothing_until_it_is_synced(target, online):
    history(target, "b1", ("a", 0, 1, 1))
    online.sync(VIEW, since=None, until=at(2))
    for resource in [
        r for r in target.inventory.list("conf") if r.kind in {"online_view", "online_store"}
    ]:
        target.inventory.delete(resource)
    assert online.observe("item_history") is None
    online.apply(VIEW)
    assert clicks(online, "a") == [None]
    online.sync(VIEW, since=at(2), until=at(3))
    assert clicks(online, "a") == [1]


def test_a_table_of_the_sources_name_is_left_alone(target):
    target.warehouse.apply(msgspec.structs.replace(HISTORY, name="item_history_latest"))
    with pytest.raises(AlreadyExists, match="item_history_latest"):
        target.online.apply(VIEW)


def put(target, hour, *rows):
    """Write rows of (key, clicks) directly, at that hour."""
    table = pa.table(
        {
            "entity_key": pa.array([key for key, _ in rows], pa.string()),
            "feature_timestamp": pa.array(
                [T0.replace(tzinfo=None)] * len(rows), pa.timestamp("ms")
            ),
            "clicks": pa.array([clicks for _, clicks in rows], pa.int64()),
            "label": pa.array([None] * len(rows), pa.string()),
        }
    )
    target.online.put(VIEW, table, written_at=at(hour))


def clicks_of(target, *keys):
    rows = target.online.get({"item_history": keys})["item_history"]
    return [row and row["clicks"] for row in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_a_direct_write_that_goes_wrong_is_written_again(target, stack, kind):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    stack.fault(kind=kind, operation="FeatureOnlineStoreService.FeatureViewDirectWrite")
    put(target, 1, *((f"k{n}", n) for n in range(450)))
    assert stack.faults() == ()
    assert clicks_of(target, "k0", "k449") == [0, 449]


def test_a_direct_write_that_is_refused_names_the_view(target, stack):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    stack.fault(
        kind="error",
        operation="FeatureOnlineStoreService.FeatureViewDirectWrite",
        code="PERMISSION_DENIED",
    )
    with pytest.raises(Denied, match="featureViews/item_history"):
        put(target, 1, ("a", 1))
    stack.clear_faults()
    assert clicks_of(target, "a") == [None]


def test_a_sync_that_follows_keeps_what_was_written_later_than_it_read(target):
    target.warehouse.apply(HISTORY)
    target.online.apply(VIEW)
    now = (datetime.now(UTC) - T0) / timedelta(hours=1)
    put(target, now + 1, ("a", 5))
    put(target, 1, ("b", 6))
    history(target, "one", ("a", 1, 1, 1), ("b", 1, 1, 2))
    target.online.sync(VIEW, since=None, until=at(2))
    assert clicks_of(target, "a", "b") == [5, 2]
