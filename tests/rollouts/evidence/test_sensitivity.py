"""What a guardrail is said to see is what simulated rollouts show, and what it needs is said before
there is any traffic.
"""

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest

from isthmus.project.specs.description import (
    Guardrail,
    ParsedProject,
    ProjectSpec,
    Rollout,
    RolloutStep,
)
from isthmus.rollouts.evidence import needs
from isthmus.rollouts.evidence.sensitivity import (
    Step,
    Traffic,
    foresight,
    smallest,
    spread_of,
    traffic_of,
)

from ..scene import MINUTE
from . import traffic
from .plans import plan
from .traffic import World

ROLLOUTS = 1000
FOUR_SIGMA = 4 * (0.9 * 0.1 / ROLLOUTS) ** 0.5
LIMIT, RATIO, SLOW = (
    Guardrail(metric="error_rate", max=0.01),
    Guardrail(metric="error_rate", max_ratio=2),
    Guardrail(metric="latency_p90", max_ratio=1.2),
)
P90_SPREAD = (
    0.7 * 0.3 / 0.17550
)  # of lognormal latencies: the root of p (1 - p) over the normal density at the quantile


def part_found(guardrail, world, share, minutes):
    m = traffic.stage(world, share, minutes, ROLLOUTS, np.random.default_rng(1))
    if guardrail == LIMIT:
        fails = traffic.limit_fails(m, 0.01, 160)
    elif guardrail == RATIO:
        fails = traffic.ratio_fails(m, 2, 160)
    else:
        fails = traffic.sign_fails(m, 1.2, 160, 30)
    return (traffic.taken_back(fails) > 0).mean()


def world(guardrail, per_minute, rate, value):
    times = {LIMIT: value / rate, RATIO: value, SLOW: 1}[guardrail]
    return World(
        per_minute=per_minute, rate=rate, times=times, slower=value if guardrail == SLOW else 1
    )


@pytest.mark.parametrize(("share", "minutes"), [(0.25, 15), (0.5, 30)])
@pytest.mark.parametrize(
    ("guardrail", "per_minute", "rate"),
    [
        (LIMIT, 600, 0.002),
        (LIMIT, 6000, 0.01),
        (RATIO, 600, 0.01),
        (RATIO, 6000, 0.001),
        (SLOW, 400, 0.01),
    ],
)
def test_what_is_said_to_be_seen_is_found_nine_times_in_ten_and_a_fifth_less_is_not(
    guardrail, per_minute, rate, share, minutes
):
    there = Traffic(
        per_minute=per_minute, error_rate={"error_rate": rate}, spread={"latency_p90": P90_SPREAD}
    )
    value = smallest(guardrail, Step(share=share, minutes=minutes, needed=160, running=2), there)
    assert (
        part_found(guardrail, world(guardrail, per_minute, rate, value), share, minutes)
        >= 0.9 - FOUR_SIGMA
    )
    assert (
        part_found(guardrail, world(guardrail, per_minute, rate, 0.8 * value), share, minutes)
        <= 0.9 + FOUR_SIGMA
    )


def test_more_traffic_sees_smaller_changes_and_too_little_sees_none():
    step = Step(share=0.25, minutes=15, needed=160, running=2)
    seen = [smallest(LIMIT, step, Traffic(per_minute=n)) for n in (1, 20, 60, 600, 6000, 60_000)]
    assert seen[0] is None
    assert seen[1:] == sorted(seen[1:], reverse=True)
    assert all(value > 0.01 for value in seen[1:])


def test_the_spread_of_a_latency_is_read_off_the_minutes_that_were():
    m = traffic.stage(World(per_minute=400, rate=0.01), 0.25, 200, 1, np.random.default_rng(1))
    old = traffic.buckets(m, 0)["champion"]
    assert spread_of(old, "latency_p90") == pytest.approx(P90_SPREAD, rel=0.25)
    assert spread_of(old[:9], "latency_p90") is None
    there = traffic_of(traffic.buckets(m, 0), "champion")
    assert there.per_minute == pytest.approx(400, rel=0.05)
    assert there.error_rate["error_rate"] == pytest.approx(0.01, rel=0.3)
    assert traffic_of({}, "champion") is None


def test_it_is_said_of_the_first_step_that_sees_anything():
    """Steps of 25 and 50 %, 30 minutes each, then 100 %."""
    rollout = plan(LIMIT, SLOW)
    rate = smallest(
        LIMIT, Step(share=0.25, minutes=30, needed=160, running=2), Traffic(per_minute=600)
    )
    assert (
        foresight(rollout, LIMIT, Traffic(per_minute=600))
        == f"at 600/min sees {100 * rate:.2g} % or more in step 1, nine times in ten"
    )
    assert "in step 2" in foresight(
        rollout, SLOW, Traffic(per_minute=90, spread={"latency_p90": P90_SPREAD})
    )
    assert foresight(rollout, SLOW, Traffic(per_minute=600)) == "what it sees is not foreseen"
    assert (
        foresight(rollout, SLOW, Traffic(per_minute=50))
        == "at 50/min no minute has 30 requests of both: latency_p50 can be judged"
    )
    assert (
        foresight(rollout, SLOW, Traffic(per_minute=9))
        == "at 9/min no minute has 30 requests of both, nor enough for another latency"
    )
    assert (
        foresight(rollout, LIMIT, Traffic(per_minute=0.2))
        == "at 0/min sees only what is broken outright"
    )


def warned(*guardrails, bake=timedelta(minutes=15)):
    steps = tuple(RolloutStep(traffic=Decimal(percent), bake=bake) for percent in (25, 50, 100))
    rollout = Rollout(endpoint="ranker", steps=steps, guardrails=guardrails)
    description = ParsedProject(
        spec=ProjectSpec(name="shop", rollouts={"ranker": rollout}), folder="."
    )
    return [
        (problem.severity, problem.message, problem.remedy)
        for problem in needs.warnings(description, rollout)
    ]


def test_validate_says_what_requests_a_step_needs():
    assert warned(LIMIT) == [
        (
            "warning",
            (
                "rollouts.ranker step 1: 200 requests in 15m at 25 % take 0.9 requests/s; below "
                "that the step takes longer"
            ),
            None,
        )
    ]
    assert warned() == []


def test_a_latency_needs_its_requests_in_each_minute_of_both():
    _, (severity, message, remedy), _ = warned(Guardrail(metric="latency_p99", max_ratio=1.2))
    assert (severity, message) == (
        "warning",
        (
            "rollouts.ranker step 1: latency_p99 judges minutes of 100 requests, at 25 % 6.7 "
            "requests/s; below that a person is asked"
        ),
    )
    assert remedy == "latency_p90 takes 2.0, latency_p50 takes 0.7"


def test_a_bake_that_ends_before_a_proof_is_possible_is_warned_of():
    messages = [message for _, message, _ in warned(LIMIT, SLOW, bake=10 * MINUTE)]
    assert (
        messages[-1]
        == "rollouts.ranker step 1: latency_p90 cannot fail before minute 11, and 10m end before it"
    )
    assert not any(
        "cannot fail" in message for _, message, _ in warned(LIMIT, SLOW, bake=11 * MINUTE)
    )


def test_a_last_step_that_no_guardrail_judges_is_warned_of():
    relative, dry = (
        Guardrail(metric="error_rate", max_ratio=2),
        Guardrail(metric="error_rate", max=0.01, dry_run=True),
    )
    text = (
        "rollouts.ranker step 3: at 100 % nothing is judged: every guardrail compares with the "
        "old variant"
    )
    assert warned(relative, dry)[-1] == ("warning", text, "add one with a max")
    assert not any("nothing is judged" in message for _, message, _ in warned(relative, LIMIT))
