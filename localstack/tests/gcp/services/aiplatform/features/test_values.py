"""What of a source's rows is served, judged row by row."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus_stack.gcp.services.aiplatform.features import values

ROWS = st.lists(
    st.tuples(
        st.sampled_from("abc"), st.none() | st.integers(-5, 5), st.none() | st.integers(-5, 5)
    ),
    max_size=12,
)


@settings(max_examples=60, deadline=None)
@given(ROWS, st.booleans(), st.randoms(use_true_random=False))
def test_the_latest_values_of_an_entity_are_served_whatever_the_order_of_its_rows(
    rows, dense, random
):
    history = [
        {"key": key, "time": datetime(2026, 1, 1 + day, tzinfo=UTC), "x": x, "y": y}
        for day, (key, x, y) in enumerate(rows)
    ]
    expected = {}
    for row in history:  # by time
        before = expected.get(row["key"], {})
        expected[row["key"]] = {
            name: row[name] if dense or row[name] is not None else before.get(name)
            for name in ("x", "y")
        }
    random.shuffle(history)
    schema = pa.schema(
        [
            ("key", pa.string()),
            ("time", pa.timestamp("us", "UTC")),
            ("x", pa.int64()),
            ("y", pa.int64()),
        ]
    )
    table = pa.Table.from_pylist(history, schema)
    latest = values.latest(table, ["key"], "time", dense=dense)
    assert {row["key"]: {"x": row["x"], "y": row["y"]} for row in latest.to_pylist()} == expected


def test_a_source_that_cannot_be_served_says_why():
    def serve(**columns):
        return values.rows(pa.table(columns), ["key"])

    for words, columns in (
        ("has a null", {"key": ["a", None]}),
        ("neither STRING nor INT64", {"key": [1.5]}),
        ("multiple occurrences of entity ID 'a'", {"key": ["a", "a"]}),
        (
            "the feature column day has the type date32",
            {"key": ["a"], "day": [datetime(2026, 1, 1, tzinfo=UTC).date()]},
        ),
        ("4 KB or more", {"key": ["a" * 4096]}),
        ("is not in the source", {"other": ["a"]}),
    ):
        with pytest.raises(values.SourceError, match=words):
            serve(**columns)
    assert list(serve(key=[7])) == [("7",)]


def test_groups_are_joined_by_their_keys_whatever_their_id_columns_are_called():
    joined = values.joined(
        [
            (pa.table({"a": ["i1"], "x": [1]}), ["a"]),
            (pa.table({"b": ["i1", "i2"], "y": [2, 3]}), ["b"]),
        ]
    )
    assert sorted(joined.to_pylist(), key=lambda row: row["a"]) == [
        {"a": "i1", "x": 1, "y": 2},
        {"a": "i2", "x": None, "y": 3},
    ]
