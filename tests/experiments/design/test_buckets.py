"""Shares of a layer: exact, disjoint, and a unit never changes its arm."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from isthmus.errors import Invalid
from isthmus.experiments.design import buckets


def inside(ranges):
    return [bucket for low, high in ranges for bucket in range(low, high + 1)]


def test_a_start_and_growth_take_the_lowest_free_and_shrinking_gives_the_last_back():
    first = buckets.resized((), [], 2000)
    second = buckets.resized((), [first], 1000)
    assert (first, second) == (((0, 1999),), ((2000, 2999),))
    grown = buckets.resized(first, [second], 4000)
    assert grown == ((0, 1999), (3000, 4999))
    assert buckets.text(grown) == "0-1999 +3000-4999"
    assert buckets.resized(grown, [second], 2500) == ((0, 1999), (3000, 3499))
    assert buckets.resized(grown, [second], 1500) == ((0, 1499),)
    again = buckets.resized(buckets.resized(grown, [], 4500), [], 4600)
    assert again == ((0, 1999), (3000, 4999), (2000, 2599)), (
        "what was left free in between is the lowest"
    )
    assert buckets.resized(again, [], 4000) == grown, (
        "and the last taken, though it is not the highest"
    )


@pytest.mark.parametrize(
    ("percent", "number"), [("20", 2000), ("0.01", 1), ("33.33", 3333), ("100", 10_000), ("0", 0)]
)
def test_a_share_is_exact_to_a_hundredth_of_a_percent(percent, number):
    assert (
        buckets.count(Decimal(percent)) == number == buckets.size(buckets.resized((), [], number))
    )
    assert buckets.percent(number) == Decimal(percent)


@pytest.mark.parametrize(
    "percent", ["0.005", "100.01", "-1", "NaN", "sNaN", "1e999999", "1e-999999", "Infinity"]
)
def test_what_is_no_share_is_refused(percent):
    with pytest.raises(Invalid, match="no share of a layer"):
        buckets.count(Decimal(percent))


SIZES = st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10_000)), max_size=12)


@settings(max_examples=25)  # each step looks at every bucket
@given(SIZES)
def test_in_any_order_no_two_runs_share_a_bucket_and_a_resize_moves_only_what_it_adds_or_gives_back(
    steps,
):
    taken = dict.fromkeys("abc", ())
    for run, wanted in steps:
        others = [ranges for name, ranges in taken.items() if name != run]
        before = inside(taken[run])
        if wanted > buckets.free(others):
            with pytest.raises(ValueError, match="too few are free"):
                buckets.resized(taken[run], others, wanted)
            continue
        taken[run] = buckets.resized(taken[run], others, wanted)
        after = inside(taken[run])
        assert len(after) == wanted
        assert after[: len(before)] == before[:wanted], "entered or left, in the order of taking"
        everything = {bucket for ranges in taken.values() for bucket in inside(ranges)}
        assert len(everything) == sum(map(buckets.size, taken.values())), "none twice"
        assert everything.issuperset(range(max(set(after) - set(before), default=0))), (
            "the lowest free"
        )


@settings(max_examples=25)  # each step looks at every bucket
@given(SIZES)
def test_growing_and_going_back_gives_the_same_buckets(steps):
    ranges = ()
    sizes = [wanted for _, wanted in steps]
    for wanted in sizes:
        back = buckets.size(ranges)
        if wanted > back:
            assert buckets.resized(buckets.resized(ranges, [], wanted), [], back) == ranges
        ranges = buckets.resized(ranges, [], wanted)
