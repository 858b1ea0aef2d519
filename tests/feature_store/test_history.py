import pytest

from isthmus.feature_store.joins.view_history import (
    first_sql,
    latest_sql,
    next_sql,
    without_semicolon,
)
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.offline.training_set import training_set
from isthmus.feature_store.online.skew import skew
from isthmus.feature_store.sql.subset import check
from isthmus.feature_store.views.sources import view_sources
from isthmus.project.specs.description import Feature

from .shop import START, put


@pytest.mark.parametrize("make", [first_sql, next_sql, latest_sql])
def test_the_sql_of_a_history_is_in_the_neutral_subset(shop, make):
    for source in view_sources(shop.description):
        assert check(make(source)) == ()


def test_every_query_of_a_materialize_and_a_skew_check_is_in_the_neutral_subset(
    shop, clock, monkeypatch
):
    """A cloud runs the same text: nothing of DuckDB's own may slip in.

    ASOF alone is the local target's.
    """
    warehouse, seen = shop.target.warehouse, []
    query, save = warehouse.query, warehouse.save
    monkeypatch.setattr(
        warehouse, "query", lambda sql, params: seen.append(sql) or query(sql, params)
    )
    monkeypatch.setattr(
        warehouse,
        "save",
        lambda table, sql, params, *, batch: (
            seen.append(sql) or save(table, sql, params, batch=batch)
        ),
    )
    monkeypatch.setattr(shop.target, "capabilities", {})
    put(shop, "b", impressions=[(1, 0, 0), (2, 1, 1)])
    for hours in (10, 10, 20):
        put(shop, f"b{hours}", impressions=[(hours, 2, 0)])
        clock.to(hours)
        materialize(shop)
    skew(shop)
    training_set(
        shop, "ctr", [Feature(view="item_history", name="item_ctr")], start=START, end=clock()
    )
    assert len(seen) > 20
    assert [(sql, problem) for sql in seen for problem in check(sql)] == []


@pytest.mark.parametrize("end", ["", ";", " ; \n", ";\n-- the end", "; -- the end\n-- of it\n"])
def test_what_follows_a_statement_is_left_out(end):
    assert without_semicolon(f"SELECT ';--' AS x{end}") == "SELECT ';--' AS x"
