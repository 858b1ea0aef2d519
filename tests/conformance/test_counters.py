"""Counters: how often a unit was shown what.

Atomic sums a unit; the names of the numbers mean nothing to a port.
"""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest

from isthmus.errors import NotFound

pytestmark = pytest.mark.ports("counters")


@pytest.fixture
def counters(target):
    target.counters.apply("ranker")
    return target.counters


def until(target, **length):
    return target.clock() + timedelta(**(length or {"hours": 25}))


@pytest.mark.needs("counters")
def test_what_is_added_is_read_back_and_adds_up(target):
    target.counters.apply("ranker")
    assert target.counters.get("ranker", "u") == {}
    target.counters.add("ranker", "u", {"a": 1, "b": 2}, until=until(target))
    target.counters.add("ranker", "u", {"b": 3, "c": 1}, until=until(target))
    assert target.counters.get("ranker", "u") == {"a": 1, "b": 5, "c": 1}


def test_applying_again_keeps_what_was_counted(target, counters):
    assert counters.observe("other") is None
    assert counters.observe("ranker") == "ready"
    counters.add("ranker", "u", {"a": 1}, until=until(target))
    already = len(target.calls.calls)
    counters.apply("ranker")
    assert not [call for call in target.calls.calls[already:] if call.mutating]
    assert counters.get("ranker", "u") == {"a": 1}


def test_units_and_endpoints_are_counted_apart(target, counters):
    counters.apply("other")
    counters.add("ranker", "u", {"a": 1}, until=until(target))
    counters.add("ranker", "v", {"a": 2}, until=until(target))
    counters.add("other", "u", {"a": 3}, until=until(target))
    assert [
        counters.get(*of)["a"] for of in (("ranker", "u"), ("ranker", "v"), ("other", "u"))
    ] == [1, 2, 3]


def test_what_is_forgotten_goes_in_the_same_write_and_absent_is_success(target, counters):
    counters.add("ranker", "u", {"a": 1, "b": 1}, until=until(target))
    counters.add("ranker", "u", {"c": 1}, forget=["a", "never"], until=until(target))
    assert counters.get("ranker", "u") == {"b": 1, "c": 1}
    counters.add("ranker", "u", {}, forget=["b", "c"], until=until(target))
    assert counters.get("ranker", "u") == {}


NAMES = (
    "",
    "a.b",
    "#a",
    ":a",
    "ttl",
    "unit",
    "until",
    "a b",
    'k/24h/"ユーザー"',
    "x" * 300,
    "[0]",
    "SET a = b",
)


def test_a_name_may_be_any_text_and_means_nothing(target, counters):
    counters.add("ranker", "u", dict.fromkeys(NAMES, 1), until=until(target))
    counters.add("ranker", "u", {NAMES[1]: 2}, forget=NAMES[2:], until=until(target))
    assert counters.get("ranker", "u") == {"": 1, "a.b": 3}


@pytest.mark.parametrize("unit", ["ユーザー1", "a:b/c d", "x" * 1024, "../u", "%"])
def test_a_unit_may_be_any_text_that_a_request_may_have(target, counters, unit):
    counters.add("ranker", unit, {"a": 1}, until=until(target))
    assert counters.get("ranker", unit) == {"a": 1}
    assert counters.get("ranker", "another") == {}


def test_an_answer_of_more_places_than_one_call_takes_is_counted_and_forgotten_whole(
    target, counters
):
    amounts = {f"k/86400/18234/{item}": 1 for item in range(510)}
    counters.add("ranker", "u", amounts, until=until(target))
    assert counters.get("ranker", "u") == amounts
    counters.add("ranker", "u", {"new": 1}, forget=list(amounts)[1:], until=until(target))
    assert counters.get("ranker", "u") == {"k/86400/18234/0": 1, "new": 1}


def test_nothing_is_lost_where_many_add_at_once(target, counters):
    def add(worker):
        for number in range(25):
            counters.add(
                "ranker",
                "u",
                {"all": 1, f"of-{worker}": 1, f"{worker}-{number}": 1},
                until=until(target),
            )

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(add, range(4)))
    counts = counters.get("ranker", "u")
    assert counts["all"] == 100
    assert [counts[f"of-{worker}"] for worker in range(4)] == [25] * 4
    assert len(counts) == 105


def test_without_counters_a_read_and_a_write_say_how_they_are_made(target):
    for call in (
        lambda: target.counters.get("ranker", "u"),
        lambda: target.counters.add("ranker", "u", {"a": 1}, until=until(target)),
    ):
        with pytest.raises(NotFound) as refusal:
            call()
        assert "isthmus deploy ranker" in refusal.value.remedy


def test_counters_are_listed_for_their_project_and_a_deletion_takes_every_count(target, counters):
    counters.add("ranker", "u", {"a": 1}, until=until(target))
    (resource,) = [
        resource for resource in target.inventory.list("conf") if resource.kind == "counters"
    ]
    assert resource.name == "ranker"
    for _ in range(2):
        target.inventory.delete(resource)
    assert (counters.observe("ranker"), list(target.inventory.list("conf"))) == (None, [])
    counters.apply("ranker")
    assert counters.get("ranker", "u") == {}


def test_making_them_can_be_cut_and_repeated(target, cut):
    with cut:
        target.counters.apply("ranker")
    target.counters.apply("ranker")
    assert target.counters.observe("ranker") == "ready"
    assert target.counters.get("ranker", "u") == {}


def test_an_addition_that_was_cut_counts_at_least_once_when_it_is_repeated(target, counters, cut):
    counters.add("ranker", "u", {"old": 1}, until=until(target))
    with cut:
        counters.add("ranker", "u", {"a": 1}, forget=["old"], until=until(target))
    once = counters.get("ranker", "u")
    assert once == ({"a": 1} if cut.kind == "after" else {"old": 1})
    counters.add("ranker", "u", {"a": 1}, forget=["old"], until=until(target))
    assert counters.get("ranker", "u") == {"a": 2 if cut.kind == "after" else 1}


def test_a_deletion_that_was_cut_can_be_repeated(target, counters, cut):
    (resource,) = [
        resource for resource in target.inventory.list("conf") if resource.kind == "counters"
    ]
    with cut:
        target.inventory.delete(resource)
    target.inventory.delete(resource)
    assert counters.observe("ranker") is None


def test_counts_stay_until_the_time_that_is_said_and_a_later_time_keeps_them(target, counters):
    """What may vanish after it may as well stay: a provider takes days."""
    now = target.clock()
    target.clock = lambda: now
    counters.add("ranker", "u", {"a": 1}, until=until(target, hours=1))
    counters.add("ranker", "u", {"b": 1}, until=until(target, hours=30))
    target.clock = lambda: now + timedelta(hours=29)
    counters.add("ranker", "another", {"a": 1}, until=until(target, hours=1))
    assert counters.get("ranker", "u") == {"a": 1, "b": 1}
    target.clock = lambda: now + timedelta(hours=31)
    counters.add("ranker", "another", {"a": 1}, until=until(target, hours=1))
    assert counters.get("ranker", "u") in ({}, {"a": 1, "b": 1})
    counters.add("ranker", "u", {"b": 1}, until=until(target, hours=1))
    assert counters.get("ranker", "u") in ({"b": 1}, {"a": 1, "b": 2})
