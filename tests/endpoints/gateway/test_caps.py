"""Caps per unit: never above the most in any window, held back for a 24th of it at most, whatever
the clock does between requests.
"""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from random import Random

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.endpoints.gateway.decide import caps as capping
from isthmus.endpoints.gateway.rank.arrangement import Candidates, effect_texts, steps
from isthmus.endpoints.gateway.rank.ranking import order, shown_places
from isthmus.project.specs.rules import Block, Boost, Cap, Condition, Pin, UnitCap

START = datetime(2026, 11, 26, 11, 59, 59, 999_000, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
CATEGORY = "item_profile.item_category"
CAP = UnitCap(by="item_id", max=2, window=DAY)


class Unit:
    """A unit whose answers are counted as a gateway counts them: four items of two categories, the
    first is the model's best.
    """

    def __init__(self, *rules):
        self.rules, self.document, self.caps = rules, {}, capping.caps_of(rules)

    def asks(self, now, slots=4):
        """The items of the answer, what is told of the rules, and who was eligible."""
        items, scores = [1, 2, 3, 4], [4.0, 3.0, 2.0, 1.0]
        judged = capping.judge(self.caps, self.document, now)
        of = Candidates(
            items=items,
            scores=scores,
            best=order(items, scores),
            features=[
                {"item_id": item, CATEGORY: None if item == 4 else item % 2} for item in items
            ],
            sent=4,
            slots=slots,
            maximise=True,
            before=judged.before,
        )
        every, eligible = steps(self.rules, of, {"most": 1})
        places, _ = shown_places(
            of.items, of.scores, every[-1].arrangement, explore=0, rng=Random(0)
        )
        features = [of.features[items.index(place.item)] for place in places]
        for name in judged.gone:
            del self.document[name]
        for name, amount in capping.entries(self.caps, features, now).items():
            self.document[name] = self.document.get(name, 0) + amount
        return (
            [p.item for p in places],
            [text for _, text in effect_texts(every, items, explored=False)],
            [items[at] for at in eligible],
        )


def test_an_item_whose_count_is_full_leaves_and_comes_back():
    unit = Unit(CAP)
    assert unit.asks(START, slots=2)[:2] == ([1, 2], [])
    assert unit.asks(START + HOUR, slots=1)[0] == [1]
    assert unit.asks(START + 2 * HOUR, slots=2) == ([2, 3], ["cap item_id 2/24h: -1"], [2, 3, 4])
    assert unit.asks(START + 3 * HOUR)[1:] == (["cap item_id 2/24h: -1 -2"], [3, 4])
    assert 1 in unit.asks(START + 26 * HOUR)[2]


def test_of_a_feature_an_answer_counts_once_however_many_items_have_its_value_and_null_is_of_no_group():
    unit = Unit(UnitCap(by=CATEGORY, max="$most", window=HOUR))
    assert unit.asks(START)[0] == [1, 2, 3, 4]
    assert sorted(unit.document.values()) == [1, 1]
    assert unit.asks(START)[:2] == ([4], ["cap item_category $most/1h: -1 -2 -3"])


def test_a_pin_stands_though_its_cap_is_full_and_is_counted():
    unit = Unit(UnitCap(by="item_id", max=1, window=DAY), Pin(key="item_id", item=3, position=1))
    assert unit.asks(START, slots=2)[0] == [3, 1]
    assert unit.asks(START, slots=2)[0] == [3, 2]
    (name,) = [name for name, count in unit.document.items() if count == 2]
    assert name.endswith("/3")


def test_what_is_blocked_and_what_no_place_was_left_for_are_not_counted():
    unit = Unit(
        Block(where=(Condition(attribute="item_id", among=(1,)),)), CAP, Cap(by=CATEGORY, max=1)
    )
    assert unit.asks(START, slots=2)[0] == [2, 3]
    assert sorted(name.rpartition("/")[2] for name in unit.document) == ["2", "3"]


def test_a_boost_brings_nothing_back_and_a_cap_per_response_sees_who_is_left():
    unit = Unit(
        UnitCap(by="item_id", max=1, window=DAY),
        Boost(where=(Condition(attribute="item_id", among=(1,)),), times=9),
        Cap(by=CATEGORY, max=1),
    )
    assert unit.asks(START)[0] == [1, 2, 4]
    assert unit.asks(START)[0] == [3]


MOMENT = timedelta(milliseconds=1)
NOON = START + MOMENT


@pytest.mark.parametrize(
    ("shown", "later", "counts"),
    [
        (START, timedelta(0), True),
        (START, DAY, True),  # a window has both its ends
        (START, DAY + MOMENT, False),  # the last moment of a bucket: nothing is held back
        (NOON, DAY + HOUR - MOMENT, True),  # the first moment of a bucket: held back for a 24th
        (NOON, DAY + HOUR, False),
        (NOON, -DAY, True),  # `now:` was moved back
        (NOON, -(DAY + HOUR), False),
    ],
)
def test_the_edges_of_a_window(shown, later, counts):
    document = capping.entries([CAP], [{"item_id": 7}], shown)
    assert capping.judge([CAP], document, shown + later).before == {CAP: {"7": 1} if counts else {}}


def test_a_bucket_ends_where_the_next_one_begins():
    first = START + timedelta(milliseconds=1)  # noon
    names = [
        next(iter(capping.entries([CAP], [{"item_id": 7}], first + after)))
        for after in (-timedelta(milliseconds=1), timedelta(0), HOUR)
    ]
    assert [int(name.split("/")[1]) - int(names[0].split("/")[1]) for name in names] == [0, 1, 2]


def test_what_every_window_has_left_is_forgotten_also_of_a_rule_that_is_gone_and_nothing_else():
    week = UnitCap(by="item_id", max=9, window=7 * DAY)
    document = capping.entries([CAP, week], [{"item_id": 7}], START) | {
        "somebody's": 1,
        "a.0/7/x": 1,
        "a.b/7/x": 1,
        "a.3600/x/x": 1,
        "a/7/x": 1,
    }
    assert capping.judge([], document, START + DAY).gone == []
    (day,) = capping.judge([], document, START + 2 * DAY).gone
    assert day == next(iter(document))
    assert len(capping.judge([], document, START + 9 * DAY).gone) == 2


def test_counts_go_on_when_the_most_or_the_days_of_a_rule_change_and_not_when_it_counts_something_else():
    document = capping.entries([CAP], [{"item_id": 7}], START)
    same = msgspec.structs.replace(CAP, max="$most", since=START, until=START + DAY)
    others = [
        msgspec.structs.replace(CAP, **change)
        for change in (
            {"by": CATEGORY},
            {"window": 2 * DAY},
            {"when": (Condition(attribute="platform", among=("web",)),)},
        )
    ]
    before = capping.judge([same, *others], document, START).before
    assert [before[cap] for cap in (same, *others)] == [{"7": 1}, {}, {}, {}]


@pytest.mark.parametrize(
    ("one", "other"),
    [("7", 7), (True, 1), ("true", True), ("a/b", "a"), ("ユーザー", "ユ"), (1.5, "1.5")],
)
def test_values_of_another_type_or_spelling_are_counted_apart(one, other):
    assert capping.value_text(one) != capping.value_text(other)
    document = capping.entries([CAP], [{"item_id": one}, {"item_id": other}], START)
    assert set(capping.judge([CAP], document, START).before[CAP]) == {
        capping.value_text(one),
        capping.value_text(other),
    }


WINDOWS = st.sampled_from([HOUR, timedelta(minutes=91), timedelta(seconds=7_201), DAY, 28 * DAY])
# between two requests, in 1/24 of the window, and some milliseconds
GAPS = st.tuples(st.sampled_from([0, 0, 1, 2, 11, 12, 23, 24, 25, 60]), st.integers(-2, 2))
REQUESTS = st.lists(st.tuples(GAPS, st.integers(1, 4)), min_size=1, max_size=60)


@given(
    windows=st.lists(WINDOWS, min_size=1, max_size=2),
    most=st.integers(1, 4),
    by=st.sampled_from(["item_id", CATEGORY]),
    requests=REQUESTS,
)
def test_no_window_has_more_than_the_most_and_nothing_is_held_back_longer_than_a_24th(
    windows, most, by, requests
):
    """In integers of milliseconds x 24, so that a bucket's end is exact."""
    caps = [
        UnitCap(by=by, max=most + number, window=window) for number, window in enumerate(windows)
    ]
    unit, now, shows = Unit(*caps), START, defaultdict(list)
    for (buckets, milliseconds), slots in requests:
        now += max(timedelta(0), buckets * windows[0] // 24 + timedelta(milliseconds=milliseconds))
        items, _, eligible = unit.asks(now, slots)
        values = {
            item: item if by == "item_id" else (None if item == 4 else item % 2)
            for item in (1, 2, 3, 4)
        }
        for value in {values[item] for item in items} - {None}:
            shows[value].append(now)
            for cap in caps:
                assert sum(now - moment <= cap.window for moment in shows[value]) <= cap.max
        for item in {1, 2, 3, 4} - set(eligible):
            held_by = [
                sum(24 * (now - moment) < 25 * cap.window for moment in shows[values[item]])
                >= cap.max
                for cap in caps
            ]
            assert any(held_by)
    assert len(unit.document) <= len(caps) * 4 * (capping.BUCKETS + 1)


def test_a_document_is_needed_until_nothing_in_it_counts():
    week = UnitCap(by="item_id", max=9, window=7 * DAY)
    until = capping.needed_until([CAP, week], START)
    document = capping.entries([CAP, week], [{"item_id": 7}], START)
    assert capping.judge([CAP, week], document, until).before == {CAP: {}, week: {}}
