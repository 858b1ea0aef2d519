"""An arm's sums against the units themselves, in long doubles: what they say, that they add up, and
what a shift saves.
"""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from isthmus.experiments.statistics.few_units import warnings_of_dropped, warnings_of_few
from isthmus.experiments.statistics.ratio import compare, difference, points
from isthmus.experiments.statistics.sums import NOTHING, UnitSums

from .worlds import sums, units

SHIFTED = (5e7, 0.0, 5e7)


def arm(y, d, x, shift=(0.0, 0.0, 0.0)):
    return sums(
        *((column - by)[None, :] for column, by in zip((y, d, x), shift, strict=True)), shift=shift
    )[0]


def linear(y, d):
    """In long doubles: each unit's part in the rate."""
    y, d = y.astype(np.longdouble), d.astype(np.longdouble)
    return (y - y.sum() / d.sum() * d) / d.mean()


def reduced(arms):
    """The specification's formulas on units: rate less theta (x - x of all), and the variance of
    what is left.
    """
    y, d, x = (np.concatenate(columns).astype(np.longdouble) for columns in zip(*arms, strict=True))
    theta = ((linear(y, d) - linear(y, d).mean()) * (x - x.mean())).sum() / (
        (x - x.mean()) ** 2
    ).sum()
    left = [(linear(y, d) - theta * x).var(ddof=1) / len(y) for y, d, x in arms]
    return [
        float(y.sum() / d.sum() - theta * (before.mean() - x.mean())) for y, d, before in arms
    ], [float(value) for value in left]


@pytest.mark.parametrize("kind", ["ratio", "mean", "skewed"])
def test_rates_and_variances_are_those_of_the_units_less_what_the_time_before_explains(kind):
    random = np.random.default_rng(20261211)
    arms = [
        tuple(np.broadcast_arrays(*(column[0] for column in units(kind, random, 1, number))))
        for number in (4_000, 5_000)
    ]
    values, variances = reduced(arms)
    of = list(points({str(at): arm(*one) for at, one in enumerate(arms)}).values())
    assert [point.value for point in of] == pytest.approx(values, rel=1e-9)
    assert [point.variance for point in of] == pytest.approx(variances, rel=1e-9)
    assert 0 < of[0].saved < 1


def test_a_mean_ten_million_times_its_spread_keeps_nine_digits_of_the_spread_where_the_sums_are_shifted_and_none_where_not():
    random = np.random.default_rng(20261212)
    lasting = random.normal(0, 1, 10_000)
    y, d, x = 5e7 + lasting + random.normal(0, 4, 10_000), np.ones(10_000), 5e7 + lasting
    (value,), (variance,) = reduced([(y, d, x)])
    shifted = points({"a": arm(y, d, x, SHIFTED)})["a"]
    assert (shifted.value, shifted.variance) == (
        pytest.approx(value, rel=1e-12),
        pytest.approx(variance, rel=1e-9),
    )
    plain = arm(y, d, x)
    assert abs(plain.variance / arm(y, d, x, SHIFTED).variance - 1) > 0.1
    means = plain.mean("y"), plain.mean("d"), plain.mean("x")
    assert (plain.shift_due, arm(y, d, x, SHIFTED).shift_due, arm(y, d, x, means).shift_due) == (
        True,
        False,
        False,
    )


def test_ten_million_floats_have_the_standard_error_of_long_doubles():
    random = np.random.default_rng(20261214)
    x = random.lognormal(3, 1, 1_000_000)
    y, d = x * random.lognormal(0, 0.5, x.size), random.integers(1, 30, x.size) + 0.0
    million = arm(y, d, x)
    ten = sum([million] * 10, NOTHING)
    z = linear(y, d)
    theta = ((z - z.mean()) * (x - x.mean())).sum() / (
        (x.astype(np.longdouble) - x.mean()) ** 2
    ).sum()
    expected = ((z - theta * x) - (z - theta * x).mean()).std() / math.sqrt(10**7 - 1)
    assert math.sqrt(points({"a": ten})["a"].variance) == pytest.approx(float(expected), rel=1e-9)


def test_whole_numbers_need_no_shift():
    y = 10**9 + np.arange(1000)
    whole = UnitSums(
        units=1000,
        y=int(y.sum()),
        yy=sum(int(one) ** 2 for one in y),
        d=1000,
        dd=1000,
        yd=int(y.sum()),
    )
    assert not whole.shift_due
    assert whole.variance == pytest.approx(float(np.arange(1000).var(ddof=1)) / 1000, rel=1e-12)


@given(
    st.lists(
        st.tuples(st.integers(0, 9), st.integers(1, 9), st.integers(0, 9)), min_size=4, max_size=40
    ),
    st.integers(2, 38),
)
def test_sums_of_parts_are_the_sums_of_the_whole(rows, cut):
    y, d, x = (np.array(column, dtype=float) for column in zip(*rows, strict=True))
    cut = min(cut, len(rows) - 2)
    parts = [arm(y[part], d[part], x[part]) for part in (slice(None, cut), slice(cut, None))]
    assert sum(parts, NOTHING) == arm(y, d, x)


def test_outcomes_of_a_later_day_are_added_to_units_that_came_before():
    first, later = (
        arm(np.array([1.0, 0.0]), np.ones(2), np.zeros(2)),
        UnitSums(units=0, y=1, d=0, yy=3, yd=1, dd=0),
    )
    assert first + later == arm(np.array([2.0, 0.0]), np.ones(2), np.zeros(2))


def test_sums_that_were_shifted_by_different_numbers_are_not_added():
    y, d, x = np.arange(4.0), np.ones(4), np.zeros(4)
    with pytest.raises(ValueError, match="do not add up"):
        arm(y, d, x) + arm(y, d, x, (1.0, 0.0, 0.0))
    assert NOTHING + arm(y, d, x, (1.0, 0.0, 0.0)) == arm(y, d, x, (1.0, 0.0, 0.0))


def test_a_shift_changes_no_rate_and_no_variance():
    y, d, x = (
        column[0]
        for column in np.broadcast_arrays(*units("ratio", np.random.default_rng(20261213), 1, 500))
    )
    plain, shifted = (
        points({"a": arm(y, d, x, shift)})["a"] for shift in ((0.0, 0.0, 0.0), (2.0, 10.0, 1.0))
    )
    assert (shifted.value, shifted.variance) == (
        pytest.approx(plain.value, rel=1e-12),
        pytest.approx(plain.variance, rel=1e-9),
    )


def test_a_total_that_a_few_units_carry_is_too_few_or_told():
    y, d, x = np.zeros(1000), np.ones(1000), np.zeros(1000)
    y[:3] = 1e6
    few = arm(y, d, x)
    assert few.equal_units("y") == pytest.approx(3)
    assert not few.enough
    y[3:] = 4e3
    missing = arm(y, d, x)
    assert missing.enough
    alike = arm(np.full(1000, 4e3), d, x)
    (warning,) = warnings_of_few("revenue", {"treatment": missing})
    assert warning == (
        "metric revenue: nothing is compared, as treatment has too few units: by how those of all "
        "arms vary, its 1,000 units weigh as 16 equal ones; it takes 20, which is about 1,235 units"
    )
    assert compare(missing, missing, "fixed") is None
    assert compare(alike, missing, "fixed") is not None  # as if of 32, by both arms' amounts
    (warning,) = warnings_of_few("revenue", {"control": alike, "treatment": missing})
    assert warning == (
        "metric revenue: treatment's total rests on few of its 1,000 units, as if on 16 equal ones"
    )
    assert list(warnings_of_few("revenue", {"b": alike})) == []


def test_a_denominator_that_a_few_units_carry_is_compared_with_nothing_and_told():
    y, d = np.zeros(1000), np.full(1000, 3.0)
    y[:300], d[0] = 1.0, 10_000
    idle = arm(y, d, np.zeros(1000))
    assert idle.enough
    assert not idle.comparable
    (warning,) = warnings_of_few("ctr", {"treatment": idle})
    assert warning == (
        "metric ctr: nothing is compared, as treatment's denominator rests on few of its 1,000 "
        "units, as if on 2 equal ones; it takes 30 (drop_above leaves out robots)"
    )
    assert compare(idle, arm(y, np.full(1000, 3.0), np.zeros(1000)), "fixed") is None


def test_units_that_are_left_out_move_neither_the_rate_nor_how_sure_it_is():
    random = np.random.default_rng(20261202)
    people = [column[0] for column in units("ratio", random, 1, 2_000)]
    robots = arm(*(np.concatenate([column, np.zeros(20)]) for column in people))
    without, with_robots = arm(*people), replace(robots, dropped=20)
    assert with_robots.rate == without.rate
    assert with_robots.variance == pytest.approx(without.variance, rel=1e-4)
    # the time before saves a little less, as they have none
    (plain,), (less,) = (points({"a": of}).values() for of in (without, with_robots))
    assert plain.variance < less.variance < 1.01 * plain.variance < 0.9 * without.variance


def test_arms_that_leave_out_unlike_shares_are_compared_with_nothing_and_told():
    y, d = np.zeros(10_000), np.full(10_000, 3.0)
    y[:3000] = 1.0
    people = arm(y, d, np.zeros(10_000))
    control, alike, unlike = (replace(people, dropped=robots) for robots in (100, 150, 160))
    # 0.5 % and 0.6 % apart, of which the standard error is 0.16 %
    assert compare(control, alike, "fixed") is not None
    assert list(warnings_of_dropped("ctr", {"control": control, "treatment": alike})) == []
    assert compare(control, unlike, "fixed") is None
    assert list(warnings_of_dropped("ctr", {"control": control, "treatment": unlike})) == [
        (
            "metric ctr: nothing is compared, as drop_above leaves out 1.6 % of treatment's units "
            "and 1 % of control's: those that are left are not alike; a higher one leaves out fewer"
        )
    ]


def test_rates_that_are_not_positive_have_a_difference_but_no_relative_one():
    y = np.arange(-500.0, 500.0)
    loss, gain = (arm(y + by, np.ones(1000), np.zeros(1000)) for by in (-10, 10))
    of = difference(*points({"a": loss, "b": gain}).values(), 1.96)
    assert of.absolute.value == pytest.approx(20)
    assert (of.relative.low, of.relative.high) == (-math.inf, math.inf)
