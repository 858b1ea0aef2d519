import random
from datetime import datetime, timedelta

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.errors import Invalid, NotFound
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.offline.training_set import (
    _canonical,
    _canonical_texts,
    canonical_hash,
    training_set,
)
from isthmus.project.specs.description import Feature

from .shop import START, open_shop, plain, put, spec

HOUR = timedelta(hours=1)
FEATURES = (
    Feature(view=None, name="place"),
    Feature(view="item_history", name="item_ctr"),
    Feature(view="item_profile", name="item_price"),
    Feature(view="item_history", name="item_impressions"),
)


def week(shop, **options):
    return training_set(shop, "ctr", FEATURES, start=START, end=START + 200 * HOUR, **options)


def test_a_row_gets_the_features_known_at_its_own_time_in_the_order_asked(shop, clock):
    put(
        shop,
        "b",
        impressions=[(2, 0.25, 0), (1, 0, 0, "top"), (3, 0.5, 0), (4, 3, 0), (5, 4, 2)],
        clicks=[(1, 0.2)],
    )
    clock.to(10)
    materialize(shop)
    table = week(shop)
    assert table.column_names == [
        *("event_id", "event_timestamp", "created_timestamp", "outcome", "item_id", "place"),
        *("item_ctr", "item_price", "item_impressions"),
    ]
    rows = table.to_pylist()
    assert [row["event_id"] for row in rows] == ["i1", "i2", "i3", "i4", "i5"]
    assert [row["outcome"] for row in rows] == [1, 0, 0, 0, 0]
    # i1's outcome is known half an hour after i1: not to i2, but to i3; i4 knows all three before
    # it
    assert [row["item_impressions"] for row in rows] == [None, None, 1, 3, None]
    assert [row["item_price"] for row in rows] == [1.5, 1.5, 1.5, 1.5, 4.0]
    assert rows[3]["item_ctr"] == pytest.approx(2 / 13)
    assert rows[0]["created_timestamp"] == plain(0.5)
    assert rows[0]["place"] == "top"


def test_outcomes_that_were_not_known_yet_and_rows_outside_the_window_stay_out(shop, clock):
    put(shop, "b", impressions=[(1, 0, 0), (2, 1, 0), (3, 2, 0), (4, 3, 0)])
    clock.to(10)
    materialize(shop)
    found = training_set(
        shop, "ctr", FEATURES, start=START + HOUR, end=START + 3 * HOUR, as_of=START + 2.4 * HOUR
    )
    assert found["event_id"].to_pylist() == ["i2"]
    assert training_set(shop, "ctr", (), start=START + HOUR, end=START + 3 * HOUR)[
        "event_id"
    ].to_pylist() == ["i2", "i3"]


def test_a_correction_is_not_known_to_rows_before_it(shop, clock):
    put(shop, "b", impressions=[(1, 0, 0), (2, 5, 0)])
    clock.to(10)
    materialize(shop)
    put(shop, "late", impressions=[(3, 1, 0)])
    clock.to(20)
    materialize(shop)
    put(shop, "then", impressions=[(4, 19, 0), (5, 21, 0)])
    clock.to(30)
    materialize(shop)
    rows = {row["event_id"]: row["item_impressions"] for row in week(shop).to_pylist()}
    # i4 came too late for i5: by hour 21 the newest row known is i2's, as corrected at hour 20
    assert rows == {"i1": None, "i3": 1, "i2": 1, "i4": 2, "i5": 3}


def test_ttl_makes_an_old_feature_null(tmp_path, clock):
    with open_shop(tmp_path, clock=clock, described=spec(ttl=3 * HOUR)) as shop:
        put(shop, "b", impressions=[(1, 0, 0), (2, 3, 0), (3, 7, 0)])
        clock.to(10)
        materialize(shop)
        assert week(shop)["item_impressions"].to_pylist() == [None, 1, None]


def test_both_renderings_give_the_same_training_set(shop, clock):
    chance = random.Random(3)
    shown = [(n, chance.uniform(0, 100), chance.randrange(4)) for n in range(150)]
    for run in range(3):
        put(
            shop,
            f"b{run}",
            impressions=shown[run::3],
            clicks=[(n, h + 0.1) for n, h, _ in shown[run::3] if chance.random() < 0.2],
        )
        clock.to(100 + run)
        materialize(shop)
    native = week(shop)
    row = shop.target.capabilities["warehouse.asof"]
    shop.target.capabilities = {"warehouse.asof": type(row)(name=row.name, level="refused")}
    portable = week(shop)
    assert native.equals(portable)
    assert canonical_hash(native) == canonical_hash(portable)
    assert native["item_impressions"].null_count < 150


def test_a_view_that_was_not_materialized_says_how(shop):
    with pytest.raises(Invalid, match="item_profile has not been materialized") as error:
        week(shop)
    assert error.value.remedy == "isthmus materialize item_profile"


@pytest.mark.parametrize(
    ("objective", "feature", "said"),
    [
        ("cvr", Feature(view=None, name="place"), "no objective cvr"),
        ("ctr", Feature(view=None, name="colour"), "no attribute colour"),
        ("ctr", Feature(view="nothing", name="x"), "no feature view nothing"),
        ("ctr", Feature(view="item_profile", name="price"), "item_profile.price is not a feature"),
    ],
)
def test_what_is_unknown_is_named(shop, clock, objective, feature, said):
    clock.to(1)
    materialize(shop)
    with pytest.raises(NotFound, match=said):
        training_set(shop, objective, [feature], start=START, end=START + HOUR)


cells = st.one_of(st.none(), st.floats(allow_nan=False), st.integers(-5, 5).map(float))


@given(
    rows=st.lists(
        st.tuples(st.integers(0, 3), cells, st.one_of(st.none(), st.text(max_size=3))), max_size=6
    ),
    seed=st.randoms(),
)
def test_the_hash_forgets_the_order_of_rows_and_keeps_everything_else(rows, seed):
    table = as_table(rows)
    shuffled = list(rows)
    seed.shuffle(shuffled)
    assert canonical_hash(as_table(shuffled)) == canonical_hash(table)
    if rows:
        changed = [(rows[0][0], rows[0][1], f"{rows[0][2]}~"), *rows[1:]]
        assert canonical_hash(as_table(changed)) != canonical_hash(table)


@given(
    rows=st.lists(
        st.tuples(st.integers(-3, 3), st.one_of(st.none(), st.text(max_size=2)), cells), max_size=8
    ),
    part=st.integers(1, 3),
)
def test_a_table_that_arrow_sorts_hashes_as_one_that_python_sorts(rows, part):
    times, ids, numbers = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "event_timestamp": pa.array(times, pa.timestamp("ms")),
        "event_id": pa.array(ids, pa.string()),
        "x": pa.array(numbers, pa.float64()),
    }
    table = pa.table(columns)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("isthmus.feature_store.offline.training_set._ROWS", part)
        by_arrow = canonical_hash(table)
        assert by_arrow == canonical_hash(
            table.set_column(
                0, "event_timestamp", table["event_timestamp"].cast(pa.timestamp("us"))
            )
        )


@given(
    st.sampled_from(
        [
            (pa.string(), st.text()),
            (pa.int64(), st.integers(-(2**63), 2**63 - 1)),
            (pa.float64(), st.floats()),
            (pa.bool_(), st.booleans()),
            (
                pa.timestamp("ms"),
                st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31)),  # noqa: DTZ001
            ),
            (pa.timestamp("us"), st.datetimes(min_value=datetime(1900, 1, 1))),  # noqa: DTZ001
        ]
    ).flatmap(
        lambda pair: st.tuples(
            st.just(pair[0]), st.lists(st.one_of(st.none(), pair[1]), max_size=6)
        )
    )
)
def test_a_column_at_a_time_has_the_canonical_texts_of_its_values(column):
    kind, values = column
    cut = kind == pa.timestamp("ms")
    written = pa.chunked_array(
        [
            pa.array(
                [
                    v.replace(microsecond=v.microsecond // 1000 * 1000) if cut and v else v
                    for v in values
                ],
                kind,
            )
        ]
    )
    assert _canonical_texts(written) == [_canonical(value) for value in written.to_pylist()]


def test_a_separator_within_a_text_is_told_from_one_between_texts():
    def one(*texts):
        return canonical_hash(pa.table({"a": [texts[0]], "b": [texts[1]]}))

    assert (
        len({one("x\x1fsy", "z"), one("x", "y\x1fsz"), one("x\\usy", "z"), one("x\\\x1fsy", "z")})
        == 4
    )


def as_table(rows):
    keys, numbers, words = zip(*rows, strict=True) if rows else ((), (), ())
    columns = {
        "event_id": pa.array(keys, pa.int64()),
        "x": pa.array(numbers, pa.float64()),
        "word": pa.array(words, pa.string()),
    }
    return pa.table(columns)


def test_the_hash_forgets_engines_last_bits_and_microseconds_but_not_nulls():
    def one(x, moment=START):
        return canonical_hash(
            pa.table(
                {
                    "x": pa.array([x], pa.float64()),
                    "t": pa.array([moment.replace(tzinfo=None)], pa.timestamp("us")),
                }
            )
        )

    assert one(0.1 + 0.2) == one(0.3)
    assert one(-0.0) == one(0.0)
    assert one(1.0, START + timedelta(microseconds=7)) == one(1.0)
    assert one(1.0, START + timedelta(milliseconds=1)) != one(1.0)
    assert len({one(None), one(0.0), one(0.300000001), one(0.3)}) == 4
