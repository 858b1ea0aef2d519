"""Effects by segment, against SciPy and simulated people."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import chi2

from isthmus.experiments.statistics.heterogeneity import chi_square_above, unlike
from isthmus.experiments.statistics.ratio import ArmRate, points

from .worlds import sums

RUNS = 1000


@given(st.floats(0, 800), st.integers(1, 60))
def test_the_tail_of_a_chi_square_is_scipys(value, degrees):
    assert chi_square_above(value, degrees) == pytest.approx(
        float(chi2.sf(value, degrees)), rel=1e-9, abs=1e-300
    )


def pair(effect, variance):
    return ArmRate(value=1.0, variance=0.0), ArmRate(
        value=math.exp(effect), variance=variance * math.exp(2 * effect)
    )


def test_one_segment_says_nothing():
    assert unlike({"ios": pair(0.1, 1e-4)}) is None
    nothing = (ArmRate(value=0.0, variance=0.0), ArmRate(value=1.0, variance=0.1))
    assert unlike({"ios": pair(0.1, 1e-4), "web": nothing}) is None


def test_segments_are_told_apart_by_their_distance_in_errors():
    q = (0.1 - 0.2) ** 2 / (1e-3 + 3e-3)
    assert unlike({"ios": pair(0.1, 1e-3), "android": pair(0.2, 3e-3)}) == pytest.approx(
        float(chi2.sf(q, 1))
    )


def pairs(*arms):
    """By run: of each day or segment control and treatment."""
    return [
        list(zip(*run, strict=True))
        for run in zip(*(zip(*arm, strict=True) for arm in arms), strict=True)
    ]


def compared(control, treatment):
    of = points({"control": control, "treatment": treatment})
    return of["control"], of["treatment"]


def test_segments_that_are_alike_are_told_apart_in_five_percent():
    random = np.random.default_rng(20261222)
    arms = [
        [
            sums(random.poisson(random.gamma(2, 1, (RUNS, 200))) + 0.0, np.ones((1, 1)))
            for _ in range(4)
        ]
        for _ in range(2)
    ]
    ps = [
        unlike({str(at): compared(*sides) for at, sides in enumerate(run)}) for run in pairs(*arms)
    ]
    assert abs(sum(p < 0.05 for p in ps) - RUNS * 0.05) <= 4 * math.sqrt(RUNS * 0.05 * 0.95)
