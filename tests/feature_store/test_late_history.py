"""Rows without a value because the history was known late, told apart from those without a history."""

from datetime import timedelta

from isthmus.feature_store.offline.late_history import late_histories
from isthmus.feature_store.offline.materialize import materialize
from isthmus.feature_store.offline.training_set import training_set
from isthmus.project.specs.description import Feature

from .shop import START, put

FEATURES = (Feature(view="item_history", name="item_impressions"),)
# Two items shown in turn, an hour apart; outcomes, and with them the view's rows, are known after
# half an hour.
SHOWN = [(number, number, number % 2) for number in range(1, 41)]


def stamped(project):
    return training_set(
        project,
        "ctr",
        FEATURES,
        start=START,
        end=START + timedelta(days=3),
        stamps=True,
    )


def test_rows_before_anything_happened_to_their_item_are_nobodys_fault(shop, clock):
    put(shop, "b1", impressions=SHOWN)
    clock.to(60)
    materialize(shop, ["item_history"])
    table = stamped(shop)
    assert table["item_impressions"].null_count == 2
    assert late_histories(shop, table) == ()


def test_a_history_that_was_ingested_late_is_told_with_its_view_rows_and_moment(shop, clock):
    put(shop, "b1", impressions=[(100, -30, 7)])  # another item: the history is not empty
    clock.to(20)
    materialize(shop, ["item_history"])
    put(shop, "b2", impressions=SHOWN)
    clock.to(60)
    materialize(shop, ["item_history"])
    table = stamped(shop)
    (found,) = late_histories(shop, table)
    # What happened up to hour 19 is known at hour 60 only. The first rows known in time are those
    # of hour 20 (item 0) and 21 (item 1), half an hour after them. Up to and with them 10 and 11
    # rows lack a value, of which nothing preceded the first.
    assert (found.view, found.rows, found.of) == ("item_history", 9 + 10, 40)
    assert found.known == START + timedelta(hours=20.5)
    assert str(found).startswith("item_history has no value in 19 of 40 rows (47.5 %)")
