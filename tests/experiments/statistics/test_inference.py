"""How wide an interval is at looks that come as they like, against the multivariate normal; and
when a plan is over.
"""

import math

import numpy as np
import pytest
from msgspec.structs import replace
from scipy.stats import multivariate_normal

from isthmus.experiments.statistics.inference import LookSchedule, closing_look, counting_looks
from isthmus.experiments.statistics.spending import alpha_spending, bounds


def crossing(times, limits):
    """The probability that |z| is beyond its bound at some look, by an integral of another make."""
    covariance = [[math.sqrt(min(s, t) / max(s, t)) for t in times] for s in times]
    wide = np.array(limits)
    return 1 - multivariate_normal.cdf(
        wide,
        cov=covariance,
        lower_limit=-wide,
        abseps=1e-7,
        releps=1e-7,
        rng=np.random.default_rng(1),
    )


@pytest.mark.parametrize(
    ("times", "alpha"),
    [([0.31, 0.33, 0.9], 0.05), ([0.5, 0.502, 1.0], 0.0125), ([0.7, 1.3], 0.1), ([0.6], 0.05)],
)
def test_looks_at_any_times_spend_what_may_be_spent_by_then(times, alpha):
    limits = bounds(times, alpha=alpha)
    for look in range(1, len(times) + 1):
        assert crossing(times[:look], limits[:look]) == pytest.approx(
            alpha_spending(times[look - 1], alpha=alpha), abs=2e-5
        )
    assert alpha_spending(1.3, alpha=alpha) == pytest.approx(alpha)


def planned(looks, units=1000):
    return LookSchedule(inference="planned", units=looks[-1], planned=units, looks=tuple(looks))


def test_a_horizon_has_the_bound_of_its_last_look():
    assert planned([200, 400, 600]).multiple() == pytest.approx(2.680, abs=2e-3)
    assert planned([200, 400, 600, 800, 1000]).multiple() == pytest.approx(2.031, abs=2e-3)
    assert planned([1000]).multiple() == pytest.approx(1.96, abs=1e-3)


def test_the_same_data_is_no_new_look():
    assert planned([200, 400, 400, 400]).multiple() == planned([200, 400]).multiple()
    assert counting_looks([200, 200, 400, 400], 1000) == [0, 2]


def test_looks_are_as_alike_as_their_information_and_spend_by_units():
    """Units that go on acting: the information is the square of the units' part, so the looks are
    less alike, and the bounds wider.
    """
    units = [200, 400, 600, 800, 1000]
    alike = [
        replace(
            planned(units[:at]), information=tuple((n / 1000) ** 2 for n in units[:at])
        ).multiple()
        for at in range(1, 6)
    ]
    assert alike[0] == pytest.approx(planned(units[:1]).multiple()), "nothing was looked at before"
    assert all(mine > planned(units[: at + 2]).multiple() for at, mine in enumerate(alike[1:]))
    assert crossing([(n / 1000) ** 2 for n in units], alike) == pytest.approx(0.05, abs=2e-5)
    scaled = replace(planned(units), information=tuple(7 * n for n in units))
    assert scaled.multiple() == pytest.approx(planned(units).multiple(), abs=1e-6), (
        "its unit does not matter"
    )
    assert math.isfinite(replace(planned([200, 400]), information=(3.0, 2.0)).multiple()), (
        "an estimate may fall"
    )


def test_after_the_look_that_ends_the_plan_nothing_is_decided():
    assert closing_look([400, 999, 1010, 1200], 1000) == 2
    assert planned([400, 999, 1010]).multiple() < math.inf
    assert planned([400, 999, 1010, 1010]).multiple() == planned([400, 999, 1010]).multiple()
    assert planned([400, 999, 1010, 1200]).multiple() == math.inf


def test_planned_looks_without_a_plan_are_refused():
    with pytest.raises(ValueError, match="need a plan"):
        LookSchedule(inference="planned", units=100).multiple()


def test_one_side_at_five_percent_is_both_at_ten_and_a_watch_is_wider_than_a_plan():
    assert LookSchedule(inference="fixed", units=100).multiple(0.1) == pytest.approx(
        1.645, abs=1e-3
    )
    assert planned([500, 800]).watching.multiple() > planned([500, 800]).multiple()
