"""How long the traffic may be silent: lulls of healthy traffic are rarely taken for its end."""

from decimal import Decimal
from itertools import pairwise

import numpy as np
import pytest

from isthmus.project.specs.description import Guardrail
from isthmus.rollouts.evidence.lulls import LONGEST, expected_pace, rest_of_lull, with_minute
from isthmus.rollouts.state.states import RequestPace

from ..scene import MINUTE
from .plans import START, plan
from .test_guardrails import bucket

PLAN = plan(Guardrail(metric="error_rate", max=0.01), Guardrail(metric="error_rate", max_ratio=2))
ROLLOUTS, NEEDED = 300, 160


def pace_of(busy):
    pace = RequestPace()
    for one in busy:
        pace = with_minute(pace, busy=bool(one))
    return pace


@pytest.mark.parametrize("share", [0.05, 0.1, 0.5, 0.9])
def test_a_lull_of_traffic_that_goes_on_is_rarely_taken_for_its_end(share):
    """Of independent minutes over five hours; the promise is the false alarm of one guardrail."""
    random, ended = np.random.default_rng(27), 0
    for _ in range(ROLLOUTS):
        pace, seen = RequestPace(), False
        for busy in random.random(300) < share:
            if busy and pace.quiet and not seen:  # a lull is over
                seen = pace.busy > 0 and rest_of_lull(PLAN, pace) == 0 * MINUTE
            pace = with_minute(pace, busy=bool(busy))
        ended += seen
    promise = 1 / NEEDED
    assert ended <= ROLLOUTS * promise + 4 * (ROLLOUTS * promise * (1 - promise)) ** 0.5


def test_traffic_of_every_minute_has_stopped_after_minutes_and_rare_traffic_after_hours():
    steady = rest_of_lull(PLAN, pace_of([1] * 30))
    rare = rest_of_lull(PLAN, pace_of([1, *[0] * 9] * 20 + [1]))
    assert steady <= 5 * MINUTE
    assert 60 * MINUTE < rare < 180 * MINUTE
    assert rest_of_lull(PLAN, pace_of([0] * 1000 + [1])) == LONGEST * MINUTE


def test_a_lull_that_goes_on_leaves_less_to_wait_for_and_never_less_than_nothing():
    begun = [1, *[0] * 9] * 5 + [1]
    rests = [rest_of_lull(PLAN, pace_of(begun + [0] * quiet)) for quiet in range(1, 500)]
    assert all(later <= earlier for earlier, later in pairwise(rests))
    assert rests[0] - rests[10] == 10 * MINUTE
    assert rests[-1] == 0 * MINUTE


def test_a_lull_may_be_three_times_as_long_as_the_longest_one_before():
    day = [1] * 600
    assert rest_of_lull(PLAN, pace_of(day)) < 5 * MINUTE
    assert rest_of_lull(PLAN, pace_of([*day, *[0] * 119, 1])) == 360 * MINUTE


def test_nothing_is_known_before_the_first_request():
    assert rest_of_lull(PLAN, pace_of([0] * 50)) == 0 * MINUTE


def test_the_hour_before_tells_how_often_the_new_variant_will_have_requests():
    """An hour with 60 requests in each tenth minute; a share of 25 % sees each burst."""
    bursts = tuple(bucket(minute, 60) for minute in range(0, 60, 10))
    assert expected_pace(PLAN, {"champion": bursts}) == RequestPace(minutes=50, busy=5)
    steady = tuple(bucket(minute, 1) for minute in range(60))
    assert PLAN.stages[0].traffic == Decimal(25)
    assert expected_pace(PLAN, {"champion": steady}) == RequestPace(minutes=59, busy=15)
    assert expected_pace(PLAN, {}) == expected_pace(PLAN, {"champion": ()}) == RequestPace()
    assert bursts[0].start == START
