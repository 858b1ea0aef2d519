"""Both renderings of the point-in-time join against a brute-force oracle in pure Python."""

import itertools
from datetime import UTC, datetime, timedelta

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid, Unsupported
from isthmus.events.port import Column
from isthmus.feature_store.joins.point_in_time import JoinView, join_params, join_sql, point_in_time
from isthmus.target import Adapter, Capability, Profile, Target

START = datetime(2024, 1, 1, tzinfo=UTC)
TTL = timedelta(seconds=3)
FEATURES = (Column(name="number", type="float64"), Column(name="word", type="string"))
MOMENT = pa.timestamp("ms")
HISTORY = pa.schema(
    {
        "item_id": pa.int64(),
        "event_timestamp": MOMENT,
        "created_timestamp": MOMENT,
        "number": pa.float64(),
        "word": pa.string(),
    }
)
SPINE = pa.schema(
    [("row_id", pa.int64()), ("item_id", pa.int64()), ("event_timestamp", pa.timestamp("ms"))]
)


CONNECTION = duckdb.connect(config={"threads": 1})  # opening one takes longer than an example


class DuckWarehouse:
    """`query` alone, on one connection: what the join needs of a warehouse."""

    def __init__(self, **tables):
        self.connection = CONNECTION
        self.queries = []
        for name, table in tables.items():
            self.connection.register(f"{name}_arrow", table)
            self.connection.execute(f"CREATE OR REPLACE TABLE {name} AS SELECT * FROM {name}_arrow")

    def query(self, sql, params):
        self.queries.append(sql)
        values = {
            k: v.replace(tzinfo=None) if isinstance(v, datetime) else v for k, v in params.items()
        }
        return self.connection.sql(sql, params=values).to_arrow_table()


def at(seconds):
    return None if seconds is None else (START + timedelta(seconds=seconds)).replace(tzinfo=None)


def history_table(rows):
    return pa.Table.from_pylist(
        [
            {
                "item_id": k,
                "event_timestamp": at(e),
                "created_timestamp": at(c),
                "number": n,
                "word": w,
            }
            for k, e, c, n, w in rows
        ],
        schema=HISTORY,
    )


def spine_table(rows):
    return pa.Table.from_pylist(
        [{"row_id": i, "item_id": k, "event_timestamp": at(t)} for i, (k, t) in enumerate(rows)],
        schema=SPINE,
    )


def canonical(features):
    return tuple((value is not None, value if value is not None else 0) for value in features)


def oracle(spine, history, *, ttl=None, known_until=None, stamp=False):
    """The rule, row by row, as the module's docstring words it; with `stamp` the event time of the
    row that is found, too.
    """
    answers = []
    for key, time in spine:
        known = [
            (event, created, canonical(features), features)
            for row_key, event, created, *features in history
            if key is not None and time is not None and row_key == key and event <= time and created <= time
            and (known_until is None or created <= known_until)
        ]  # fmt: skip
        best = max(known, key=lambda row: row[:3], default=None)
        stale = best is not None and ttl is not None and time - best[0] > ttl.total_seconds()
        nothing = best is None or stale
        answers.append(
            (
                *((None, None) if nothing else best[3]),
                *([None if nothing else at(best[0])] if stamp else []),
            )
        )
    return answers


def joined(spine, history, rendering, **options):
    warehouse = DuckWarehouse(spine=spine_table(spine), history=history_table(history))
    if (seconds := options.pop("known_until", None)) is not None:
        options["known_until"] = START + timedelta(seconds=seconds)
    view = JoinView(history="history", key="item_id", features=FEATURES, **options)
    columns = ["row_id", "item_id", "event_timestamp"]
    sql = join_sql("SELECT * FROM spine", columns, [view], rendering=rendering, order_by=["row_id"])
    rows = warehouse.query(sql, join_params([view])).to_pylist()
    assert [row["row_id"] for row in rows] == list(range(len(spine)))
    return [tuple(row[name] for name in ("number", "word", "stamp") if name in row) for row in rows]


KEYS, CASES = 3, 3  # of one case; cases in a query: it costs more than its rows


def side_by_side(rows):
    """Several cases' rows, each case with keys of its own."""

    def apart(cases):
        return [
            (None if key is None else key + KEYS * case, *rest)
            for case, listed in enumerate(cases)
            for key, *rest in listed
        ]

    return st.lists(rows, min_size=CASES, max_size=CASES).map(apart)


keys = st.one_of(st.none(), st.integers(0, KEYS - 1))
times = st.one_of(st.none(), st.integers(0, 8))
spines = side_by_side(st.lists(st.tuples(keys, times), max_size=8))
values = st.tuples(st.sampled_from([None, -1.5, 0.0, 2.0]), st.sampled_from([None, "", "a", "b"]))
histories = side_by_side(
    st.lists(
        st.builds(
            lambda k, e, lag, v: (k, e, max(0, e + lag), *v),
            st.integers(0, KEYS - 1),
            st.integers(0, 8),
            st.integers(-1, 4),
            values,
        ),
        max_size=10,
    )
)
steady_histories = st.builds(
    lambda rows, lag: [(k, e, e + lag, *v) for k, e, *v in rows],
    side_by_side(
        st.dictionaries(
            st.tuples(st.integers(0, KEYS - 1), st.integers(0, 8)), values, max_size=10
        ).map(lambda rows: [(k, e, *v) for (k, e), v in rows.items()])
    ),
    st.integers(0, 3),
)


@pytest.mark.parametrize("rendering", ["portable", "asof"])
@settings(max_examples=40, deadline=None)
@given(
    spine=spines,
    history=histories,
    ttl=st.sampled_from([None, timedelta(0), TTL]),
    known_until=st.sampled_from([None, 3, 6]),
)
def test_the_join_agrees_with_the_oracle_on_corrections_ties_nulls_and_ttl(
    rendering, spine, history, ttl, known_until
):
    expected = oracle(spine, history, ttl=ttl, known_until=known_until, stamp=True)
    assert (
        joined(spine, history, rendering, ttl=ttl, known_until=known_until, stamp="stamp")
        == expected
    )


@settings(max_examples=27, deadline=None)
@given(spine=spines, history=steady_histories, ttl=st.sampled_from([None, TTL]))
def test_a_steady_unique_history_needs_no_window_in_the_asof_rendering(spine, history, ttl):
    assert joined(spine, history, "asof", ttl=ttl, steady=True, unique=True) == oracle(
        spine, history, ttl=ttl
    )


unique_histories = side_by_side(
    st.dictionaries(
        st.tuples(st.integers(0, KEYS - 1), st.integers(0, 8), st.integers(0, 5)),
        values,
        max_size=12,
    ).map(lambda rows: [(k, e, e + lag, *v) for (k, e, lag), v in rows.items()])
)


@pytest.mark.parametrize("rendering", ["portable", "asof"])
@settings(max_examples=27, deadline=None)
@given(
    spine=spines,
    history=unique_histories,
    ttl=st.sampled_from([None, TTL]),
    known_until=st.sampled_from([None, 5]),
)
def test_a_unique_history_with_corrections_needs_no_order_of_its_features(
    rendering, spine, history, ttl, known_until
):
    expected = oracle(spine, history, ttl=ttl, known_until=known_until)
    assert (
        joined(
            spine, history, rendering, ttl=ttl, known_until=known_until, unique=True, steady=False
        )
        == expected
    )


@settings(max_examples=20, deadline=None)
@given(spine=spines, history=histories, steady=steady_histories, unique=unique_histories)
def test_the_target_chooses_a_rendering_that_is_right_for_the_history_it_finds(
    spine, history, steady, unique
):
    for rows in (history, steady, unique):
        table = point_in_time(
            target_with(True, spine, rows),
            "SELECT * FROM spine",
            ["row_id"],
            [view()],
            order_by=["row_id"],
        )
        assert list(
            zip(table["number"].to_pylist(), table["word"].to_pylist(), strict=True)
        ) == oracle(spine, rows)


def view(**options):
    return JoinView(history="history", key="item_id", features=FEATURES, **options)


def target_with(asof, spine, history):
    warehouse = DuckWarehouse(spine=spine_table(spine), history=history_table(history))
    row = Capability(name="warehouse.asof", level="native" if asof else "refused")
    profile = Profile(name="fake", adapter="fake", project="p", options={})
    target = Target(
        profile, Adapter(name="fake", title="Fake", capabilities={row.name: row}, ports={})
    )
    target.warehouse = warehouse
    return target


@pytest.mark.parametrize("rendering", ["portable", "asof"])
def test_the_order_of_the_history_file_changes_nothing(rendering):
    """Every order of five rows, each under keys of its own, in one file."""
    history = [
        (1, 2, 3, 1.0, "a"),
        (1, 2, 3, None, "z"),
        (1, 2, 5, 7.0, None),
        (1, 1, 4, 9.0, "late"),
        (2, 0, 0, 0.0, "other"),
    ]
    spine = [(1, t) for t in range(7)]
    orders = [*itertools.permutations(history)]
    rows = [(10 * order + key, *row) for order, listed in enumerate(orders) for key, *row in listed]
    answers = joined(
        [(10 * order + key, t) for order in range(len(orders)) for key, t in spine], rows, rendering
    )
    assert {tuple(answers[start : start + 7]) for start in range(0, len(answers), 7)} == {
        tuple(oracle(spine, history))
    }
    assert len(answers) == 7 * len(orders) == 840


@pytest.mark.parametrize("rendering", ["portable", "asof"])
def test_an_older_days_correction_does_not_hide_a_newer_row(rendering):
    history = [(1, 5, 5, 5.0, "newer"), (1, 2, 7, 2.0, "late correction")]
    assert joined([(1, 8)], history, rendering) == [(5.0, "newer")]


@pytest.mark.parametrize("rendering", ["portable", "asof"])
def test_ttl_counts_from_the_event_and_its_edge_is_fresh(rendering):
    history = [(1, 0, 2, 1.0, "a")]
    assert joined([(1, 3), (1, 4)], history, rendering, ttl=TTL) == [(1.0, "a"), (None, None)]


@pytest.mark.parametrize("rendering", ["portable", "asof"])
def test_several_views_join_without_multiplying_rows(rendering):
    other = pa.table(
        {
            "item_id": [1, 1],
            "event_timestamp": pa.array([at(0), at(4)], pa.timestamp("ms")),
            "score": [10, 20],
        }
    )
    other = other.append_column("created_timestamp", other["event_timestamp"])
    warehouse = DuckWarehouse(
        spine=spine_table([(1, 3), (1, 3), (1, 9), (None, 3)]),
        history=history_table([(1, 1, 2, 1.0, "a")]),
        other=other,
    )
    views = [
        view(ttl=TTL),
        JoinView(history="other", key="item_id", features=(Column(name="score", type="int64"),)),
    ]
    sql = join_sql(
        "SELECT * FROM spine",
        ["row_id", "item_id"],
        views,
        rendering=rendering,
        order_by=["row_id"],
    )
    rows = warehouse.query(sql, {})
    assert rows.column_names == ["row_id", "item_id", "number", "word", "score"]
    assert rows["number"].to_pylist() == [1.0, 1.0, None, None]
    assert rows["score"].to_pylist() == [10, 10, 20, None]


def test_two_columns_of_one_name_are_refused_by_name():
    with pytest.raises(Invalid, match="two columns named number"):
        join_sql("SELECT * FROM spine", ["row_id"], [view(), view()])


def test_a_ttl_of_a_part_of_a_second_is_refused():
    with pytest.raises(Invalid, match="whole number of seconds"):
        join_sql("SELECT * FROM spine", ["row_id"], [view(ttl=timedelta(milliseconds=1500))])


def test_asking_for_asof_where_it_is_refused_names_the_row_and_runs_nothing():
    target = target_with(False, [(1, 1)], [])
    with pytest.raises(Unsupported) as refusal:
        point_in_time(target, "SELECT * FROM spine", ["row_id"], [view()], rendering="asof")
    assert refusal.value.capability == "warehouse.asof"
    assert target.warehouse.queries == []


def test_without_the_capability_the_join_is_portable():
    target = target_with(False, [(1, 1)], [(1, 0, 1, 4.0, "x")])
    assert point_in_time(target, "SELECT * FROM spine", ["row_id"], [view()])[
        "number"
    ].to_pylist() == [4.0]
    assert "ASOF" not in target.warehouse.queries[0]
