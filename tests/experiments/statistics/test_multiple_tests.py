"""Several figures at once, against closed testing written out, and SciPy."""

from itertools import combinations
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from isthmus.experiments.statistics.multiple_tests import holm, holm_levels, q_values

PS = st.lists(st.floats(1e-9, 1.0), min_size=1, max_size=6)


def closed(ps, alpha=0.05):
    """Those for which each set of hypotheses that they are in has a p at or below alpha / its size:
    what Holm's steps come to.
    """
    every = [
        subset for size in range(1, len(ps) + 1) for subset in combinations(range(len(ps)), size)
    ]
    return {
        at
        for at in range(len(ps))
        if all(
            min(ps[i] for i in subset) <= alpha / len(subset) for subset in every if at in subset
        )
    }


@given(PS)
def test_what_holm_shows_is_what_closed_testing_shows(ps):
    adjusted = holm(dict(enumerate(ps)))
    levels = holm_levels(range(len(ps)), lambda name, level: ps[name] <= level)
    assert {name for name, p in adjusted.items() if p <= 0.05} == closed(ps)
    assert {name for name, level in levels.items() if ps[name] <= level} == closed(ps)


def test_the_level_of_one_alone_is_all_of_the_five_percent():
    assert holm_levels(["ctr"], lambda *_: False) == {"ctr": 0.05}


@given(PS)
def test_q_is_benjamini_and_hochbergs(ps):
    q = q_values(dict(enumerate(ps)))
    assert [q[at] for at in range(len(ps))] == pytest.approx(false_discovery_control(ps).tolist())


def test_a_level_of_holm_is_a_quantile_that_an_interval_has():
    z = {"a": 2.5, "b": 2.1}
    levels = holm_levels(z, lambda name, level: z[name] > NormalDist().inv_cdf(1 - level / 2))
    assert levels == {"a": 0.025, "b": 0.05}
