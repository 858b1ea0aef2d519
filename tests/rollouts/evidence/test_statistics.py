"""The evidence: at most 1 on average while the limit holds, by counting every outcome; safe for
millions; higher for what is worse.
"""

import math
from itertools import product
from math import comb

import pytest
from hypothesis import given
from hypothesis import strategies as st

from isthmus.rollouts.evidence.statistics import (
    Counts,
    limit_dispersion,
    limit_evidence,
    ratio_dispersion,
    ratio_evidence,
    sign_evidence,
)


def chance(errors, requests, rate):
    return comb(requests, errors) * rate**errors * (1 - rate) ** (requests - errors)


def outcomes(sizes, rates):
    """(probability, errors of each) of every outcome."""
    for errors in product(*(range(size + 1) for size in sizes)):
        yield (
            math.prod(chance(e, n, p) for e, n, p in zip(errors, sizes, rates, strict=True)),
            errors,
        )


@pytest.mark.parametrize("ratio", [1, 2, 3])
@pytest.mark.parametrize("rates", [(0.1, 0.3), (0.01, 0.01), (0.3, 0.02)], ids=str)
@pytest.mark.parametrize("sizes", [((3, 5), (4, 2)), ((1, 9), (8, 1)), ((5, 5), (2, 3))], ids=str)
def test_the_mean_of_a_ratios_evidence_is_at_most_1_whatever_the_old_variants_rates(
    sizes, rates, ratio
):
    flat = [n for pair in sizes for n in pair]
    chances = [p for rate in rates for p in (ratio * rate, rate)]
    mean = 0.0
    for probability, errors in outcomes(flat, chances):
        counts = [Counts(n, e) for n, e in zip(flat, errors, strict=True)]
        mean += probability * math.exp(
            ratio_evidence([(counts[0], counts[1]), (counts[2], counts[3])], ratio)
        )
    assert mean <= 1 + 1e-12


@pytest.mark.parametrize("part", [0.2, 0.7, 1])
@pytest.mark.parametrize("limit", [0.01, 0.1, 0.5, 0.9])
def test_the_mean_of_a_limits_evidence_is_at_most_1_and_at_the_limit_1(limit, part):
    mean = sum(
        probability
        * math.exp(
            limit_evidence([Counts(n, e) for n, e in zip((6, 11), errors, strict=True)], limit)
        )
        for probability, errors in outcomes((6, 11), (part * limit, part * limit))
    )
    assert mean <= 1 + 1e-12
    assert part < 1 or mean == pytest.approx(1)


@pytest.mark.parametrize("above", [0.1, 0.4, 0.5])
def test_the_mean_of_a_sign_tests_evidence_is_at_most_1(above):
    mean = sum(chance(k, 20, above) * math.exp(sign_evidence(k, 20)) for k in range(21))
    assert mean <= 1 + 1e-12


def test_the_chance_to_ever_reach_20_is_at_most_1_in_20_by_every_path():
    """Ville's inequality where it is attained nearly: each of 30 minutes is above with probability
    1/2, and one looks after each.
    """
    never, crossed = {0: 1.0}, 0.0
    for minutes in range(1, 31):
        later: dict[int, float] = {}
        for above, probability in never.items():
            for more in (0, 1):
                if sign_evidence(above + more, minutes) >= math.log(20):
                    crossed += probability / 2
                else:
                    later[above + more] = later.get(above + more, 0.0) + probability / 2
        never = later
    assert 0.01 < crossed <= 0.05


def test_evidence_of_millions_of_requests_is_a_number():
    day = [(Counts(3_000_000, 2_000_000), Counts(7_000_000, 10_000))] * 60
    assert 1e6 < ratio_evidence(day, 2) < math.inf
    assert 1e6 < limit_evidence([new for new, _ in day], 0.01) < math.inf
    assert (
        -math.inf
        < ratio_evidence([(Counts(7_000_000, 0), Counts(7_000_000, 7_000_000))] * 60, 2)
        < -1e6
    )
    assert sign_evidence(100_000, 100_000) == pytest.approx(100_000 * math.log(1.94) - math.log(5))


def test_no_minutes_are_no_evidence():
    assert ratio_evidence([], 2) == limit_evidence([], 0.01) == sign_evidence(0, 0) == 0
    assert ratio_dispersion([]) == limit_dispersion([]) == 1


COUNTS = st.integers(1, 3000).flatmap(lambda n: st.builds(Counts, st.just(n), st.integers(0, n)))
PAIRS = st.lists(st.tuples(COUNTS, COUNTS), min_size=1, max_size=8)


@given(PAIRS, st.floats(1, 5), st.integers(0, 7))
def test_one_more_error_of_the_new_variant_is_more_evidence_and_one_of_the_old_less(
    pairs, ratio, place
):
    place %= len(pairs)
    new, old = pairs[place]
    before = ratio_evidence(pairs, ratio)
    worse = [*pairs[:place], (Counts(new.requests, new.errors + 1), old), *pairs[place + 1 :]]
    better = [*pairs[:place], (new, Counts(old.requests, old.errors + 1)), *pairs[place + 1 :]]
    assert ratio_evidence(worse, ratio) > before - 1e-9
    assert ratio_evidence(better, ratio) < before + 1e-9
    limit = [minute for minute, _ in pairs]
    assert limit_evidence([minute for minute, _ in worse], 0.01) > limit_evidence(limit, 0.01)


@given(PAIRS, st.floats(1, 5), st.floats(1, 3))
def test_there_is_less_evidence_against_a_higher_ratio(pairs, ratio, more):
    assert ratio_evidence(pairs, ratio * more) <= ratio_evidence(pairs, ratio) + 1e-9


@given(st.integers(0, 40), st.integers(0, 40))
def test_a_minute_above_adds_at_most_ln_2_and_a_minute_below_takes_away(above, below):
    evidence = sign_evidence(above, above + below)
    assert evidence < sign_evidence(above + 1, above + below + 1) <= evidence + math.log(2)
    assert sign_evidence(above, above + below + 1) < evidence


@given(PAIRS, st.floats(1, 5), st.floats(1, 20))
def test_dispersion_never_makes_a_proof(pairs, ratio, dispersion):
    """The power mean: where the divided evidence reaches a threshold above 1, the undivided one
    does too.
    """
    divided = ratio_evidence(pairs, ratio, dispersion)
    assert divided <= max(ratio_evidence(pairs, ratio), 0) + 1e-9


def test_errors_in_packs_are_seen_as_dispersed_and_a_rate_that_drifts_is_not():
    packs = [Counts(300, 20 if minute % 7 == 0 else 0) for minute in range(40)]
    steady = [Counts(300, 3) for _ in range(40)]
    drifting = [Counts(300, minute) for minute in range(40)]
    assert limit_dispersion(packs) > 5
    assert limit_dispersion(steady) == limit_dispersion(drifting) == 1
    assert ratio_dispersion([(packs[m], packs[(m + 3) % 40]) for m in range(40)]) > 5
    assert ratio_dispersion(list(zip(drifting, drifting, strict=True))) == 1
