import math
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from isthmus.errors import Invalid, NotFound, OutcomeUnknown, Unavailable
from isthmus.events.port import Column
from isthmus.feature_store.tables.static_tables import (
    columns,
    inspect_static,
    load_static,
    read_file,
)

from .shop import items


def prices(shop):
    return shop.target.warehouse.query("SELECT price FROM items ORDER BY item_id", {})[
        "price"
    ].to_pylist()


def loads(shop):
    return shop.target.warehouse.query(
        "SELECT count(DISTINCT loaded_timestamp) AS n, count(*) AS rows_ FROM items_raw", {}
    ).to_pylist()[0]


def test_the_same_content_is_loaded_once(shop):
    again = load_static(shop, "items")
    assert (again.name, again.rows, again.changed) == ("items", 3, False)
    assert loads(shop) == {"n": 1, "rows_": 3}


def test_readers_see_the_newest_load_and_going_back_is_a_load_too(shop):
    for content in ((9.0, 8.0), (1.5, 2.5, 4.0), (9.0, 8.0)):
        items(shop.folder, content)
        assert inspect_static(shop, "items").changed
        assert load_static(shop, "items").changed
        assert not inspect_static(shop, "items").changed
        assert prices(shop) == list(content)
    assert loads(shop)["n"] == 4


def test_inspecting_writes_nothing(shop):
    items(shop.folder, (7.0,))
    assert inspect_static(shop, "items") == inspect_static(shop, "items")
    assert inspect_static(shop, "items").rows == 1
    assert len(prices(shop)) == 3


@pytest.mark.parametrize("side", ["before", "after"])
def test_a_load_cut_at_any_call_is_completed_by_the_next(shop, side, monkeypatch):
    for number in (1, 2, 3):
        items(shop.folder, (float(number), 2.0))
        calls = iter(range(1, 100))

        def cut(_call, calls=calls, number=number):
            if next(calls) == number:
                raise Unavailable("cut") if side == "before" else OutcomeUnknown("cut")

        with monkeypatch.context() as patch:
            patch.setattr(shop.target.calls, side, cut)
            with pytest.raises((Unavailable, OutcomeUnknown)):
                load_static(shop, "items")
        load_static(shop, "items")
        assert prices(shop) == [float(number), 2.0]
    assert loads(shop) == {"n": 4, "rows_": 3 + 3 * 2}


def test_a_file_that_changes_between_a_crash_and_the_next_run_wins(shop, monkeypatch):
    items(shop.folder, (5.0,))

    def cut(call):
        if call.operation == "warehouse.append":
            raise OutcomeUnknown("cut")

    with monkeypatch.context() as patch:
        patch.setattr(shop.target.calls, "after", cut)
        with pytest.raises(OutcomeUnknown):
            load_static(shop, "items")
    items(shop.folder, (6.0,))
    load_static(shop, "items")
    assert prices(shop) == [6.0]


def test_columns_take_the_types_of_the_ports(tmp_path):
    path = tmp_path / "t.parquet"
    table = pa.table(
        {
            "small": pa.array([1], pa.int8()),
            "half": pa.array([0.5], pa.float32()),
            "kind": pa.array(["a"]).dictionary_encode(),
            "nothing": pa.nulls(1),
            "day": pa.array([date(2024, 1, 2)]),
            "moment": pa.array(
                [datetime(2024, 1, 2, 0, 0, 0, 123456, UTC)], pa.timestamp("us", tz="Asia/Tokyo")
            ),
        }
    )
    pq.write_table(table, path)
    data = read_file(path, where="tables.t")
    kinds = {
        "small": "int64",
        "half": "float64",
        "kind": "string",
        "nothing": "string",
        "day": "timestamp",
        "moment": "timestamp",
    }
    assert columns(data, "tables.t") == tuple(
        Column(name=name, type=kind) for name, kind in kinds.items()
    )
    assert data["moment"].to_pylist() == [
        datetime(2024, 1, 2, 0, 0, 0, 123000, UTC).replace(tzinfo=None)
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({"x": [[1]]}, "column x is list"),
        ({"dt": ["a"]}, "may not be called dt"),
        ({"loaded_timestamp": [1]}, "may not be called loaded_timestamp"),
        ({"isthmus_copy": [1]}, "may not be called isthmus_copy"),
        ({"x": pa.array([], pa.int64())}, "has no rows"),
        ({"x": pa.array([2**63], pa.uint64())}, "column x"),
        ({"x": [1.5, math.inf, -math.inf]}, "column x is infinite in 2 rows"),
    ],
)
def test_a_file_that_cannot_be_a_table_is_refused_by_column(tmp_path, content, said):
    pq.write_table(pa.table(content), tmp_path / "t.parquet")
    with pytest.raises(Invalid, match=said):
        read_file(tmp_path / "t.parquet", where="tables.t")


def test_nan_in_a_file_is_null(tmp_path):
    pq.write_table(pa.table({"x": [1.5, math.nan, None]}), tmp_path / "t.parquet")
    assert read_file(tmp_path / "t.parquet", where="t")["x"].to_pylist() == [1.5, None, None]


def test_a_corrupt_a_missing_and_a_foreign_file_are_named(tmp_path):
    (tmp_path / "t.parquet").write_bytes(b"PAR1 and then nothing")
    (tmp_path / "t.xlsx").write_bytes(b"x")
    with pytest.raises(Invalid, match=r"tables.t: t.parquet cannot be read"):
        read_file(tmp_path / "t.parquet", where="tables.t")
    with pytest.raises(Invalid, match=r"neither .parquet nor .csv"):
        read_file(tmp_path / "t.xlsx", where="tables.t")
    with pytest.raises(NotFound, match=r"tables.t: there is no file"):
        read_file(tmp_path / "u.csv", where="tables.t")


def test_an_unknown_table_is_named(shop):
    with pytest.raises(NotFound, match="no table item"):
        load_static(shop, "item")
