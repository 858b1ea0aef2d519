"""Whether kinds of units are served alike: intervals beside those of drawn units, and who is
compared with whom.
"""

import numpy as np
import pytest

from isthmus.experiments.monitors import parity as alike
from isthmus.experiments.monitors.intervals import proportion
from isthmus.experiments.monitors.parity import UnitCounts

MANY, FEW = UnitCounts(6_000, 1_300), UnitCounts(2_900, 430)


def drawn(kinds, figure, samples=4_000):
    """2.5 and 97.5 % of a figure over units that are drawn again and again: cells of a multinomial."""
    cells = [part for kind in kinds for part in (kind.satisfied, kind.units - kind.satisfied)]
    counts = np.random.default_rng(0).multinomial(sum(cells), np.array(cells) / sum(cells), samples)
    return np.percentile(figure(*counts.T), [2.5, 97.5])


def test_the_ratio_has_the_interval_of_a_bootstrap_by_unit():
    worst = alike.lowest_over_highest({"m": MANY, "f": FEW})
    assert (worst.lowest, worst.highest) == ("f", "m")
    low, high = drawn([MANY, FEW], lambda a, b, c, d: (c / (c + d)) / (a / (a + b)))
    assert (worst.ratio.low, worst.ratio.high) == (
        pytest.approx(low, abs=0.004),
        pytest.approx(high, abs=0.004),
    )


def test_a_share_of_the_units_has_the_interval_of_a_bootstrap_by_unit():
    share = alike.mix({"m": MANY, "f": FEW})["f"]
    low, high = drawn([MANY, FEW], lambda a, b, c, d: (c + d) / (a + b + c + d))
    assert (share.low, share.high) == (
        pytest.approx(low, abs=0.002),
        pytest.approx(high, abs=0.002),
    )


def test_the_drift_of_independent_windows_has_the_interval_of_their_draws():
    first = {"m": UnitCounts(1_200), "f": UnitCounts(800)}
    moved = alike.drift({"m": MANY, "f": FEW}, first)["f"]
    random = np.random.default_rng(0)
    draws = (
        random.binomial(8_900, FEW.units / 8_900, 4_000) / 8_900
        - random.binomial(2_000, 0.4, 4_000) / 2_000
    )
    assert moved.value == pytest.approx(FEW.units / 8_900 - 0.4)
    assert [moved.low, moved.high] == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.003)


def test_of_several_groups_the_pair_that_is_seen_to_differ_has_the_interval_of_all_pairs():
    two = alike.lowest_over_highest({"a": UnitCounts(1_000, 200), "b": UnitCounts(1_000, 250)})
    three = alike.lowest_over_highest(
        {"a": UnitCounts(1_000, 200), "b": UnitCounts(1_000, 250), "c": UnitCounts(1_000, 220)}
    )
    assert two.ratio.value == three.ratio.value == pytest.approx(0.8)
    assert three.ratio.low < two.ratio.low
    assert three.ratio.high > two.ratio.high


@pytest.mark.parametrize("starved", [UnitCounts(5_000), UnitCounts(5_000, 9), UnitCounts(100, 1)])
def test_a_group_that_finds_nothing_where_others_do_is_the_lowest_however_few_its_outcomes(starved):
    worst = alike.lowest_over_highest({"many": UnitCounts(6_000, 1_300), "starved": starved})
    assert (worst.lowest, worst.highest) == ("starved", "many")
    assert worst.ratio.value == pytest.approx(starved.share / (1_300 / 6_000))
    assert 0 <= worst.ratio.low <= worst.ratio.value <= worst.ratio.high < 0.5


def test_two_groups_in_which_hardly_anybody_finds_something_are_not_compared():
    assert alike.lowest_over_highest({"a": UnitCounts(5_000, 9), "b": UnitCounts(5_000)}) is None


@pytest.mark.parametrize("few", [UnitCounts(99, 50), UnitCounts(45, 0), UnitCounts(0)])
def test_a_group_of_few_units_or_outcomes_is_compared_with_nobody(few):
    assert alike.lowest_over_highest({"a": UnitCounts(1_000, 200), "b": few}) is None


def test_groups_that_are_alike_to_the_digit_are_two_groups_still():
    worst = alike.lowest_over_highest({"a": UnitCounts(1_000, 200), "b": UnitCounts(1_000, 200)})
    assert {worst.lowest, worst.highest} == {"a", "b"}
    assert worst.ratio.low < 1 < worst.ratio.high


def test_a_group_that_came_or_went_has_drifted_too():
    moved = alike.drift(
        {"a": UnitCounts(1_000), "new": UnitCounts(500)},
        {"a": UnitCounts(800), "gone": UnitCounts(200)},
    )
    assert {name: round(of.value, 3) for name, of in moved.items()} == {
        "a": -0.133,
        "gone": -0.2,
        "new": 0.333,
    }


def test_a_first_window_of_few_units_says_nothing_of_a_drift():
    assert alike.drift({"a": UnitCounts(1_000)}, {"a": UnitCounts(99)}) == {}


@pytest.mark.parametrize(("count", "units"), [(0, 30), (30, 30), (3, 30), (500, 1_000)])
def test_wilsons_interval_is_where_the_score_test_just_rejects(count, units):
    share = proportion(count, units)
    for end in {share.low, share.high} - {0.0, 1.0}:
        if 1e-9 < end < 1 - 1e-9:
            assert abs(share.value - end) / (end * (1 - end) / units) ** 0.5 == pytest.approx(
                1.959964, rel=1e-5
            )
