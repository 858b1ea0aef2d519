"""Rollouts by the hundred: how often a healthy one is taken back, and how often a broken one.

More of them: benchmarks/rollouts/guardrails.py.

The bounds are the issue's, and four standard deviations of a binomial of 400 beside them.
"""

import numpy as np
import pytest

from isthmus.project.specs.description import Guardrail

from . import traffic
from .traffic import World

ROLLOUTS = 400
NEEDED = 160  # 5 % by two guardrails and three steps with the grace time


def four_sigma(part):
    return 4 * (part * (1 - part) / ROLLOUTS) ** 0.5


def taken_back(world, fails, *, seed=1):
    random = np.random.default_rng(seed)
    ever = np.zeros(ROLLOUTS, bool)
    for share, length in traffic.STEPS:
        ever |= traffic.taken_back(fails(traffic.stage(world, share, length, ROLLOUTS, random))) > 0
    return ever


HEALTHY = {
    "little traffic": World(per_minute=60, rate=0.01),
    "few errors": World(per_minute=600, rate=0.001),
    "much traffic": World(per_minute=6000, rate=0.01),
    "errors in packs of 5": World(per_minute=600, rate=0.01, pack=5),
    "errors in packs of 20": World(per_minute=600, rate=0.01, pack=20),
    "minutes that are bad for both": World(per_minute=600, rate=0.01, bad=8),
}


@pytest.mark.parametrize("world", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_rollout_is_rarely_taken_back_by_two_guardrails_at_their_limits(world):
    """The hardest case: what is compared is exactly at its limit."""

    def fails(m):
        return traffic.ratio_fails(m, 1, NEEDED) | traffic.sign_fails(m, 1, NEEDED, 30)

    assert taken_back(world, fails).mean() <= 0.05 + four_sigma(0.05)


@pytest.mark.parametrize(
    "name", [name for name in HEALTHY if name != "minutes that are bad for both"]
)
def test_an_error_rate_that_is_exactly_its_limit_is_rarely_taken_back(name):
    world = HEALTHY[name]
    assert taken_back(
        world, lambda m: traffic.limit_fails(m, world.rate, NEEDED)
    ).mean() <= 0.05 + four_sigma(0.05)


def test_a_z_test_at_every_look_takes_back_many_more():
    assert taken_back(HEALTHY["few errors"], traffic.z_fails).mean() >= 0.2 - four_sigma(0.2)


@pytest.mark.parametrize(("times", "part"), [(2, 0.7), (3, 0.95)])
def test_an_error_rate_of_twice_and_three_times_is_found(times, part):
    world = World(per_minute=600, rate=0.01, times=times)
    assert taken_back(
        world, lambda m: traffic.ratio_fails(m, 1, NEEDED)
    ).mean() >= part - four_sigma(part)


def test_what_is_broken_outright_is_found_within_three_minutes():
    m = traffic.stage(
        World(per_minute=240, rate=0.01, times=80), 0.25, 10, ROLLOUTS, np.random.default_rng(1)
    )
    taken_back = traffic.taken_back(traffic.ratio_fails(m, 2, NEEDED), running=1)
    assert (taken_back > 0).all()
    assert taken_back.max() <= 3


def test_half_as_slow_again_is_found_by_100_requests_a_minute_within_20_minutes():
    m = traffic.stage(
        World(per_minute=400, rate=0, slower=1.5), 0.25, 20, ROLLOUTS, np.random.default_rng(1)
    )
    assert (
        traffic.taken_back(traffic.sign_fails(m, 1.2, NEEDED, 30)) > 0
    ).mean() >= 0.9 - four_sigma(0.9)


@pytest.mark.parametrize(
    "world",
    [
        World(per_minute=900, rate=0.05, times=3, slower=2),
        World(per_minute=300, rate=0.02, times=4, pack=5, slower=4),
        World(per_minute=90, rate=0.3, times=3),
    ],
)
@pytest.mark.parametrize("share", [0.05, 0.5])
def test_the_twin_of_these_tests_judges_as_judge_does(world, share):
    guardrails = (
        Guardrail(metric="error_rate", max_ratio=1.5),
        Guardrail(metric="error_rate", max=0.05),
        Guardrail(metric="latency_p90", max_ratio=1.2),
    )
    needed = 1 / 0.05 * 3 * 4
    m = traffic.stage(world, share, 20, 20, np.random.default_rng(3))
    fails = (
        traffic.ratio_fails(m, 1.5, needed),
        traffic.limit_fails(m, 0.05, needed),
        traffic.sign_fails(m, 1.2, needed, 30),
    )
    assert 0 < np.mean(fails) < 1
    assert traffic.differences(m, guardrails, fails, 20) == 0


def burst(m, random):
    """All of the traffic comes in one minute of ten."""
    first = random.integers(0, 10, (len(m.new), 1))
    comes = (np.arange(m.new.shape[1]) - first) % 10 == 0
    return traffic.Minutes(
        **{name: np.where(comes, minutes, 0) for name, minutes in vars(m).items()}
    )


@pytest.mark.parametrize("pack", [1, 5, 20])
@pytest.mark.parametrize("per_minute", [50, 200, 2000])
def test_a_healthy_rollout_with_traffic_in_bursts_is_rarely_taken_back(per_minute, pack):
    """An hour a step; both an error rate and its ratio are exactly at their limits."""
    world, random = World(per_minute=per_minute, rate=0.01, pack=pack), np.random.default_rng(27)
    ever = np.zeros(ROLLOUTS, bool)
    for share in (0.25, 0.5):
        m = burst(traffic.stage(world, share, 60, ROLLOUTS, random), random)
        fails = traffic.ratio_fails(m, 1, NEEDED) | traffic.limit_fails(m, 0.01, NEEDED)
        ever |= traffic.taken_back(fails) > 0
    assert ever.mean() <= 0.05 + four_sigma(0.05)


@pytest.mark.parametrize("per_minute", [5, 20])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_where_every_request_fails_the_first_minute_with_twelve_failures_shows_it(
    per_minute, share
):
    world = World(per_minute=per_minute, rate=0.002, times=500)
    m = traffic.stage(world, share, 40, ROLLOUTS, np.random.default_rng(27))
    failures = np.cumsum(m.new_errors, axis=1)
    compared = np.cumsum(np.where((m.new > 0) & (m.old > 0), m.new_errors, 0), axis=1)
    assert (traffic.limit_fails(m, 0.01, NEEDED) >= (failures >= 12)).all()
    assert (traffic.ratio_fails(m, 2, NEEDED) >= (compared >= 12)).mean() >= 0.999
