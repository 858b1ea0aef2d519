from datetime import UTC, timedelta

import pytest

from isthmus.errors import Invalid, NotFound
from isthmus.feature_store.joins.view_history import entity_key
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.online.reads import OnlineReader, read
from isthmus.feature_store.online.row_cache import RowCache
from isthmus.feature_store.online.skew import skew
from isthmus.project.specs.description import FeatureView

from .shop import HISTORY_SQL, START, open_shop, plain, put, spec

HOUR = timedelta(hours=1)
NOTHING = {"item_impressions": None, "item_ctr": None}


def test_rows_come_in_the_order_of_the_keys_with_duplicates_and_unknown_ones(shop, clock):
    put(shop, "b", impressions=[(1, 0, 0), (2, 1, 1)])
    clock.to(10)
    materialize(shop)
    reader = OnlineReader(shop, ["item_history", "item_profile"])
    rows = reader.read({"item_history": [1, 7, 1, 0]})["item_history"].rows
    assert [row["item_impressions"] for row in rows] == [1, None, 1, 1]
    assert rows[1] == NOTHING
    served = reader.read({"item_profile": ["2"]})["item_profile"]
    assert served.rows == [{"item_price": 4.0, "item_kind": "shoe"}]
    assert served.timestamps == [plain(-48).replace(tzinfo=UTC)]
    assert served.stale_features == ()
    assert reader.read({"item_history": []})["item_history"].rows == []


def test_a_row_older_than_its_ttl_is_served_as_missing_and_named(tmp_path, clock):
    with open_shop(tmp_path, clock=clock, described=spec(ttl=3 * HOUR)) as shop:
        put(shop, "b", impressions=[(1, 0, 0), (2, 2, 1)])
        clock.to(3)
        materialize(shop)
        assert (
            read(shop, "item_history", [0]).stale_features == ()
        )  # exactly as old as the ttl is fresh, as in the join
        clock.to(3.5)
        served = read(shop, "item_history", [0, 1, 9])
        assert served.stale_features == ("item_history.item_impressions", "item_history.item_ctr")
        assert served.rows[0] == NOTHING
        assert served.rows[1]["item_impressions"] == 1
        assert served.timestamps == [START, START + 2 * HOUR, None]


def test_a_row_that_is_kept_is_not_read_again_and_says_how_old_it_is(shop, clock):
    put(shop, "b", impressions=[(1, 0, 0), (2, 1, 1)])
    clock.to(10)
    materialize(shop)
    keeping, reading = (
        OnlineReader(shop, ["item_history"], cache=RowCache(shop.target.online, HOUR)),
        OnlineReader(shop, ["item_history"]),
    )
    before = keeping.read({"item_history": [1, 7, 1]})["item_history"]
    assert before == reading.read({"item_history": [1, 7, 1]})["item_history"]
    before.rows[0]["item_impressions"] = "whoever is given a row may change it"
    put(shop, "c", impressions=[(3, 11, 1)])
    clock.to(20)
    materialize(shop)
    again = keeping.read({"item_history": [7, 1, 0]})["item_history"]
    assert [row["item_impressions"] for row in again.rows] == [None, 1, 1], (
        "0 was never read, so it is read now"
    )
    assert again.timestamps[1] == before.timestamps[0]
    assert reading.read({"item_history": [1]})["item_history"].rows[0]["item_impressions"] == 2


def test_a_reader_says_which_views_it_was_opened_for(shop):
    with pytest.raises(NotFound, match="no feature view nothing"):
        OnlineReader(shop, ["nothing"])
    with pytest.raises(NotFound, match="not opened for item_history"):
        OnlineReader(shop, ["item_profile"]).read({"item_history": [1]})


@pytest.mark.parametrize("key", ["plain", "a|b", "back\\slash", "it's", "", "日本"])
def test_a_text_key_is_escaped_alike_in_sql_and_in_python(tmp_path, clock, key):
    described = spec()
    by_place = FeatureView(
        name="place_history",
        entity="place",
        path="features/place_history.sql",
        sql=HISTORY_SQL.replace("item_", "place_"),
    )
    by_place = FeatureView(
        name=by_place.name,
        entity="place",
        path=by_place.path,
        sql=by_place.sql.replace("place_id", "place"),
    )
    described.feature_views["place_history"] = by_place
    with open_shop(tmp_path, clock=clock, described=described) as shop:
        put(shop, "b", impressions=[(1, 0, 0, key), (2, 1, 0), (3, 2, 1, key)])
        clock.to(10)
        assert (
            materialize(shop, ["place_history"])[0].rows == 2
        )  # a row without key describes nothing
        assert read(shop, "place_history", [key]).rows[0]["place_impressions"] == 2
        found = shop.target.warehouse.query("SELECT DISTINCT entity_key FROM place_history", {})[
            "entity_key"
        ].to_pylist()
        assert found == [entity_key(key)]


def test_parts_of_a_key_cannot_be_taken_for_one_another():
    assert entity_key("a|b", "c") != entity_key("a", "b|c")
    assert entity_key("a\\", "b") != entity_key("a", "\\b")


def test_what_was_just_materialized_has_no_skew(shop, clock):
    put(
        shop,
        "b",
        impressions=[(n, n / 3, n % 4) for n in range(60)],
        clicks=[(n, n / 3 + 0.2) for n in range(0, 60, 7)],
    )
    clock.to(15)
    materialize(shop)
    put(shop, "late", impressions=[(99, 2, 1)])
    clock.to(21)
    materialize(shop)
    report = skew(shop)
    assert (report.keys, report.differ, report.examples) == (3 + 4, 0, ())
    assert str(report) == "skew   7 keys served and recomputed: 0 differ"
    assert skew(shop, sample=3).keys == 3


def test_a_late_event_is_skew_until_the_next_materialize(shop, clock):
    put(shop, "b", impressions=[(1, 0, 0), (2, 1, 1)])
    clock.to(10)
    materialize(shop)
    put(shop, "late", impressions=[(3, 0.5, 1)])
    report = skew(shop)
    assert report.differ == 1
    assert {(d.view, d.key, d.column, d.served, d.recomputed) for d in report.examples} >= {
        ("item_history", "1", "item_impressions", 1, 2)
    }
    clock.to(11)
    materialize(shop)
    assert skew(shop).differ == 0


def test_a_wrong_value_in_the_online_store_is_found(shop, clock):
    put(shop, "b", impressions=[(1, 0, 0), (2, 1, 1)])
    clock.to(10)
    materialize(shop)
    import sqlite3

    with sqlite3.connect(shop.folder / ".isthmus" / "local.db") as db:
        (table,) = db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE '%item_profile%'"
        ).fetchone()
        db.execute(f"UPDATE {table} SET item_price = 99.0 WHERE entity_key = '2'")
    report = skew(shop)
    assert report.differ == 1
    assert "item_profile 2: item_price is 99.0 online and 4.0 from the events" in str(report)


def test_skew_before_anything_is_materialized_says_what_to_do(shop):
    with pytest.raises(Invalid, match="no view has been materialized"):
        skew(shop)
