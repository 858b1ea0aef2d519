"""An A/B test over HTTP, through a gateway of two workers, on every target: the same answers, rows
and results.

benchmarks/experiments/chain.py has 20,000 requests of it.
"""

import os
from itertools import pairwise

import pytest

from . import http_chain
from .http_chain import TARGETS
from .test_chain import led_to

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("ISTHMUS_EVERY_KILL"), reason="minutes: make test-often"),
]
REQUESTS = 1_000


@pytest.fixture(scope="module")
def chains(tmp_path_factory):
    seen = []
    for target in TARGETS:
        with pytest.MonkeyPatch.context() as environment:
            led_to(target, environment)
            seen.append(http_chain.played(tmp_path_factory.mktemp(target), target, REQUESTS))
    return seen


def test_no_request_fails_and_nobody_changes_arm(chains):
    for chain in chains:
        assert (chain.requests, chain.failed) == (REQUESTS, ())
        arms = [
            {unit: answer["arm"] for unit, answer in of_phase.items()}
            for of_phase in chain.answers[:3]
        ]
        for earlier, later in pairwise(arms):
            assert all(later[unit] == arm for unit, arm in earlier.items() if arm)
            assert len([arm for arm in earlier.values() if arm]) < len(
                [arm for arm in later.values() if arm]
            )
        assert (chain.audit.sound, chain.audit.units) == (True, len(arms[-1]))
        assert {answer["variant"] for answer in chain.answers[0].values()} == {
            "champion",
            "challenger",
        }
        assert {
            answer["parameters"]["plus"]
            for of_phase in chain.answers[3:]
            for answer in of_phase.values()
        } == {1000.0}


def test_every_target_says_the_same(chains):
    local, *others = [chain.canonical for chain in chains]
    assert others == [local] * 2
