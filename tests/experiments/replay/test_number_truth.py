"""A replay of an objective that is a number: its estimates and intervals over logs of a world that
is known, and what a heavy tail is told.

benchmarks/experiments/number_replay.py has more and larger logs.
"""

from __future__ import annotations

import numpy as np
import pytest

from isthmus.pipelines.evaluation.regression import tail_warnings

from . import dwell_world
from .ruled_world import z

SEED, LOGS, PEOPLE = 20261203, 60, 60


@pytest.fixture(scope="module", params=dwell_world.WORLDS)
def world(request):
    """The truth of a world, by estimate, and the estimates of its logs."""
    wanted, logging = dwell_world.truth(request.param, 2_000, SEED)
    true = dict.fromkeys(dwell_world.ESTIMATES, wanted) | {"against the log": wanted - logging}
    logs = [
        dwell_world.one_log(request.param, PEOPLE, SEED + 1 + number, samples=400)
        for number in range(LOGS)
    ]
    return true, [dwell_world.values(replayed) for replayed, _ in logs]


@pytest.mark.parametrize("estimate", dwell_world.ESTIMATES)
def test_each_estimate_is_what_the_model_earns_itself_and_its_interval_holds_that(world, estimate):
    true, logs = world
    of_logs = [values[estimate] for values in logs]
    assert abs(z([value.value - true[estimate] for value in of_logs])) < 4
    held = sum(value.low <= true[estimate] <= value.high for value in of_logs)
    assert held >= LOGS * 0.95 - 4 * np.sqrt(LOGS * 0.95 * 0.05)
    assert held < LOGS, "an interval of 95 % that always holds it is too wide"


def test_what_the_log_earned_is_not_what_the_other_model_earns(world):
    true, logs = world
    earned = [log["IPS"].logged - true["IPS"] for log in logs]
    assert abs(z(earned)) > 3


def test_outcomes_without_a_variance_are_warned_of_and_capped_ones_are_not():
    warned = [
        [
            bool(tail_warnings(dwell_world.accounts_of(world, 100, seed).amounts(), ["IPS"]))
            for seed in range(10)
        ]
        for world in (dwell_world.PARETO, "pareto with a cap")
    ]
    assert sum(warned[0]) >= 8
    assert not any(warned[1])
