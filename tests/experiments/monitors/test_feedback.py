"""A model that teaches itself is found by how its kinds of visitors are served;
benchmarks/experiments/monitors.py has more worlds of it.

The promises of 200 worlds (95 % found by the third version, at most 2.5 % false alarms) are held to
four binomial standard deviations of the number run here. Seeds were fixed beforehand.
"""

from math import sqrt

import numpy as np
import pytest

from isthmus.project.specs.monitors import AlarmLimits

from .feedback_world import alarms

pytestmark = pytest.mark.soak

WORLDS, SEED = 16, 20261127
ALARM = AlarmLimits(satisfied_ratio=0.8, mix_drift=0.05)


def runs(**world):
    return [
        alarms(np.random.default_rng((SEED, number)), ALARM, visitors=8_000, **world)
        for number in range(WORLDS)
    ]


def spread(share):
    return 4 * sqrt(WORLDS * share * (1 - share))


@pytest.fixture(scope="module")
def looped():
    return runs()


@pytest.mark.parametrize(("figure", "version"), [("satisfied_ratio", 3), ("mix_drift", 6)])
def test_the_loop_is_an_alarm(looped, figure, version):
    found = sum(any(figure in of for of in run[:version]) for run in looped)
    assert found >= WORLDS * 0.95 - spread(0.95)


def test_the_first_version_which_knows_nothing_is_none(looped):
    assert sum(bool(run[0]) for run in looped) <= WORLDS * 0.025 + spread(0.025)


def test_where_all_like_all_it_is_quiet():
    assert sum(any(run) for run in runs(liking=0.0)) <= WORLDS * 0.025 + spread(0.025)
