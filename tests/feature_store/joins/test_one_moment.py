"""The join as of one moment: what the point-in-time join gives rows that all have one time."""

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.feature_store.joins.one_moment import one_moment_sql
from isthmus.feature_store.joins.point_in_time import JoinView, join_params
from isthmus.feature_store.sql.subset import check
from isthmus.tests.feature_store.joins.test_point_in_time import (
    FEATURES,
    START,
    TTL,
    DuckWarehouse,
    at,
    histories,
    history_table,
    keys,
    oracle,
    side_by_side,
    spine_table,
    unique_histories,
)

COLUMNS = ["row_id", "item_id"]
spines = side_by_side(st.lists(st.tuples(keys), max_size=8))


def joined(spine, history, moment, **options):
    """The features and the stamp of each row of a spine of keys, in their order."""
    warehouse = DuckWarehouse(
        spine=spine_table([(key, 0) for key in spine]), history=history_table(history)
    )
    view = JoinView(history="history", key="item_id", features=FEATURES, stamp="stamp", **options)
    sql = one_moment_sql(
        "SELECT * FROM spine",
        COLUMNS,
        [view],
        moment=START + timedelta(seconds=moment),
        order_by=["row_id"],
    )
    assert check(sql) == ()
    rows = warehouse.query(sql, join_params([view])).to_pylist()
    assert [row["row_id"] for row in rows] == list(range(len(spine)))
    return [tuple(row[name] for name in ("number", "word", "stamp")) for row in rows]


@settings(max_examples=60, deadline=None)
@given(
    spine=spines,
    history=histories,
    moment=st.integers(0, 9),
    ttl=st.sampled_from([None, timedelta(0), TTL]),
    known_until=st.sampled_from([None, 3, 6]),
)
def test_it_agrees_with_the_oracle_on_corrections_ties_nulls_and_ttl(
    spine, history, moment, ttl, known_until
):
    expected = oracle(
        [(key, moment) for (key,) in spine], history, ttl=ttl, known_until=known_until, stamp=True
    )
    until = None if known_until is None else START + timedelta(seconds=known_until)
    found = joined([key for (key,) in spine], history, moment, ttl=ttl, known_until=until)
    assert found == expected


@settings(max_examples=27, deadline=None)
@given(spine=spines, history=unique_histories, moment=st.integers(0, 9))
def test_a_unique_history_needs_no_order_of_its_features(spine, history, moment):
    expected = oracle([(key, moment) for (key,) in spine], history, stamp=True)
    assert joined([key for (key,) in spine], history, moment, unique=True) == expected


def test_a_moment_between_two_milliseconds_counts_as_the_earlier():
    history = [(1, 1, 2, 1.0, "a"), (1, 3, 3, 2.0, "b")]
    assert joined([1], history, 2.9999) == [(1.0, "a", at(1))]
    assert joined([1], history, 3) == [(2.0, "b", at(3))]


def test_two_columns_of_one_name_are_refused_by_name():
    view = JoinView(history="history", key="item_id", features=FEATURES)
    with pytest.raises(Invalid, match="two columns named number"):
        one_moment_sql("SELECT * FROM spine", ["number"], [view], moment=START)
