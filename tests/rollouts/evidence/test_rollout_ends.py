"""Whole rollouts at little traffic: how they end. More of them: benchmarks/rollouts/rollout_ends.py.

The bound is four standard deviations of a binomial above the 5 % of the promise.
"""

import numpy as np
import pytest

from isthmus.project.specs.description import Guardrail

from .. import scene
from .simulated_rollouts import Traffic, rollout

ROLLOUTS = 40
GUARDRAILS = (
    Guardrail(metric="error_rate", max=0.01),
    Guardrail(metric="error_rate", max_ratio=2),
    Guardrail(metric="latency_p90", max_ratio=1.3),
)


def endings(traffic, rollouts=ROLLOUTS):
    plan = scene.plan(guardrails=GUARDRAILS)
    return [rollout(plan, traffic, np.random.default_rng([27, run])) for run in range(rollouts)]


@pytest.mark.parametrize(
    ("per_minute", "comes"),
    [(5, "bursts"), (5, "random bursts"), (20, "steady"), (20, "random bursts")],
)
def test_a_healthy_rollout_at_little_traffic_is_rarely_taken_back(per_minute, comes):
    """Where no minute suffices for a p90, a person is asked, with that reason."""
    ends = endings(Traffic(per_minute=per_minute, comes=comes))
    taken_back = sum(ending.reason in ("harm", "no data") for ending in ends)
    assert taken_back <= ROLLOUTS * 0.05 + 4 * (ROLLOUTS * 0.05 * 0.95) ** 0.5
    if (per_minute, comes) != (20, "random bursts"):
        assert all("minutes with 30 requests of both" in e.why for e in ends if e.asks)


@pytest.mark.parametrize("comes", ["steady", "bursts", "random bursts"])
@pytest.mark.parametrize("per_minute", [5, 20])
def test_every_request_failing_is_told_with_the_first_minute_that_holds_twelve_failures(
    per_minute, comes
):
    for ending in endings(Traffic(per_minute=per_minute, comes=comes, more_errors=1.0)):
        assert ending.reason == "harm" or (ending.reason, ending.failed) == ("no data", 0)
        assert ending.failed_before_verdict < 12


def test_a_variant_with_5_percent_more_errors_is_rarely_kept_at_little_traffic():
    ends = endings(Traffic(per_minute=20, more_errors=0.05))
    kept = sum(ending.reason == "kept" for ending in ends)
    assert kept <= ROLLOUTS * 0.05 + 4 * (ROLLOUTS * 0.05 * 0.95) ** 0.5
    assert sum(ending.reason == "harm" for ending in ends) >= ROLLOUTS / 4
