"""The point-in-time join on any target: the same rows, by whichever rendering the target takes."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from isthmus.events.port import Column
from isthmus.feature_store.joins.one_moment import one_moment_sql
from isthmus.feature_store.joins.point_in_time import JoinView, point_in_time
from isthmus.feature_store.port import TableSpec

pytestmark = pytest.mark.ports("warehouse")

T0 = datetime(2026, 1, 1, tzinfo=UTC)
FEATURES = (
    Column(name="score", type="float64"),
    Column(name="label", type="string"),
    Column(name="seen", type="bool"),
)
HISTORY = TableSpec(
    name="item_history",
    columns=(
        Column(name="entity_key", type="string", required=True),
        Column(name="item_id", type="int64", required=True),
        Column(name="event_timestamp", type="timestamp", required=True),
        Column(name="created_timestamp", type="timestamp", required=True),
        *FEATURES,
    ),
    time_column="event_timestamp",
)
SPINE = TableSpec(
    name="shown",
    columns=(
        Column(name="row_id", type="int64", required=True),
        Column(name="item_id", type="int64"),
        Column(name="event_timestamp", type="timestamp", required=True),
    ),
    time_column="event_timestamp",
)
COLUMNS = ["row_id", "item_id", "event_timestamp"]
VIEW = JoinView(history="item_history", key="item_id", features=FEATURES)


def at(hours):
    return (T0 + timedelta(hours=hours)).replace(tzinfo=None)


def fill(target):
    """Rows as (item, event, created, score): two days, a correction of an old row, two rows of one
    moment, a row known only later.
    """
    target.warehouse.apply(HISTORY)
    target.warehouse.apply(SPINE)
    rows = [
        (1, 0, 1, 0.1),
        (1, 10, 11, 0.2),
        (1, 0, 14, 0.9),
        (1, 30, 40, 0.4),
        (2, 5, 5, None),
        (2, 6, 6, 6.0),
        (2, 6, 6, 7.0),
    ]
    columns = {
        "entity_key": [str(k) for k, *_ in rows],
        "item_id": [k for k, *_ in rows],
        "event_timestamp": pa.array([at(e) for _, e, *_ in rows], pa.timestamp("ms")),
        "created_timestamp": pa.array([at(c) for _, _, c, _ in rows], pa.timestamp("ms")),
        "score": pa.array([s for *_, s in rows], pa.float64()),
        "label": [f"e{e}" for _, e, *_ in rows],
        "seen": [c > e for _, e, c, _ in rows],
    }
    target.warehouse.append("item_history", pa.table(columns), batch="b1")
    return target


@pytest.fixture
def world(target):
    return fill(target)


def ask(target, *rows, rendering=None, view=VIEW):
    """One answer per (item, hours), in their order."""
    spine = {
        "row_id": list(range(len(rows))),
        "item_id": pa.array([k for k, _ in rows], pa.int64()),
        "event_timestamp": pa.array([at(t) for _, t in rows], pa.timestamp("ms")),
    }
    target.warehouse.append("shown", pa.table(spine), batch="b1")
    sql = "SELECT row_id, item_id, event_timestamp FROM shown"
    found = point_in_time(target, sql, COLUMNS, [view], order_by=["row_id"], rendering=rendering)
    assert found.column_names == [*COLUMNS, "score", "label", "seen"]
    assert found["row_id"].to_pylist() == list(range(len(rows)))
    return found["score"].to_pylist()


def test_each_row_gets_the_newest_row_that_was_known_at_its_time(world):
    assert ask(world, (1, 0), (1, 1), (1, 10), (1, 11), (1, 15), (1, 39), (1, 40)) == [
        None,
        0.1,
        0.1,
        0.2,
        0.2,
        0.2,
        0.4,
    ]


def test_duplicates_stay_and_unknown_or_missing_keys_find_nothing(world):
    assert ask(world, (1, 12), (1, 12), (9, 12), (None, 12), (1, 12)) == [0.2, 0.2, None, None, 0.2]


def test_two_rows_of_one_moment_are_told_apart_by_their_values(world):
    assert ask(world, (2, 5), (2, 6)) == [None, 7.0]


def test_a_row_older_than_its_ttl_is_missing(world):
    view = JoinView(
        history="item_history", key="item_id", features=FEATURES, ttl=timedelta(hours=4)
    )
    assert ask(world, (1, 4), (1, 4.5), (1, 14), (1, 14.25), view=view) == [0.1, None, 0.2, None]


def test_rows_above_the_watermark_are_not_read(world):
    view = JoinView(
        history="item_history",
        key="item_id",
        features=FEATURES,
        known_until=T0 + timedelta(hours=13),
    )
    assert ask(world, (1, 50), (2, 50), view=view) == [0.2, 7.0]


def test_an_empty_spine_has_the_columns_and_no_rows(world):
    assert ask(world) == []


def test_without_a_view_the_spine_comes_back(world):
    table = point_in_time(world, "SELECT row_id, item_id, event_timestamp FROM shown", COLUMNS, [])
    assert table.column_names == COLUMNS


def test_the_portable_join_is_in_the_neutral_subset_and_right_on_every_target(world):
    from isthmus.feature_store.joins.point_in_time import join_sql

    sql = join_sql(
        "SELECT row_id, item_id, event_timestamp FROM shown", COLUMNS, [VIEW], order_by=["row_id"]
    )
    assert world.warehouse.check(sql) == ()
    assert ask(world, (1, 1), (1, 15), (2, 6), rendering="portable") == [0.1, 0.2, 7.0]


@pytest.mark.needs("warehouse.asof")
def test_asof_gives_the_same_rows_where_the_target_has_it(target):
    rows = [(k, t / 2) for k in (1, 2, 3, None) for t in range(90)]
    if target.capabilities["warehouse.asof"].level == "refused":
        point_in_time(target, "SELECT 1 AS row_id", ["row_id"], [], rendering="asof")
    fill(target)
    native = ask(target, *rows, rendering="asof")
    sql = "SELECT row_id, item_id, event_timestamp FROM shown"
    portable = point_in_time(
        target, sql, COLUMNS, [VIEW], order_by=["row_id"], rendering="portable"
    )
    assert native == portable["score"].to_pylist()


def test_the_join_as_of_one_moment_is_right_on_every_target(world):
    """It is what the portable join gives rows that all have this time."""
    rows = [(1, 14), (2, 14), (9, 14), (None, 14), (1, 14)]
    ttl = JoinView(history="item_history", key="item_id", features=FEATURES, ttl=timedelta(hours=4))
    portable = [ask(world, *rows, rendering="portable", view=view) for view in (VIEW, ttl)]
    assert portable == [[0.2, 7.0, None, None, 0.2], [0.2, None, None, None, 0.2]]
    for view, expected in zip((VIEW, ttl), portable, strict=True):
        sql = one_moment_sql(
            "SELECT row_id, item_id FROM shown",
            ["row_id", "item_id"],
            [view],
            moment=T0 + timedelta(hours=14),
            order_by=["row_id"],
        )
        assert world.warehouse.check(sql) == ()
        found = world.warehouse.query(sql, {})
        assert found.column_names == ["row_id", "item_id", "score", "label", "seen"]
        assert found["score"].to_pylist() == expected
