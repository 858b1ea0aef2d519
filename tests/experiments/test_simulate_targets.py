"""A simulation on every target: the same people are answered alike, and the results are the same."""

import os
import sys

import msgspec
import pytest
from msgspec.structs import replace

from isthmus import stacks
from isthmus.experiments.simulation.simulate import simulate
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

from .http_chain import NEVER, TARGETS, digits, prepared
from .test_chain import led_to

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not os.environ.get("ISTHMUS_EVERY_KILL"), reason="minutes: make test-often")]
WORLD = """\
experiment: plus_up
days: 2
visitors: 100
sessions: 2
items: 4
candidates: 4
slots: 2
seed: 20261126
attributes: {segment_id: [a]}
events:
  impression: {}
  click: {of: impression, chance: 20%, after: 30s}
effects: {treatment: {click: +40%}}
late: {share: 20%, by: 1d}
bots: {share: 5%, requests: 10}
"""


@pytest.fixture(scope="module")
def simulated(tmp_path_factory):
    return [_simulated(tmp_path_factory.mktemp(target), target) for target in TARGETS]


def _simulated(folder, target):
    where = {"target": target, "offline": target != "local"}
    with pytest.MonkeyPatch.context() as environment:
        led_to(target, environment)
        try:
            prepared(folder, where)
            (folder / "world.yaml").write_text(WORLD)
            with mini.opened(folder, **where) as project:
                return simulate(project, folder / "world.yaml")
        finally:
            with mini.opened(folder, **where) as project:
                remove_endpoints(project.target)
            stacks.stop(folder, forget=True)
            sys.modules.pop("mini_ranker", None)


def test_everything_is_answered_and_stored(simulated):
    for seen in simulated:
        assert (seen.played.failed, seen.played.rejected, seen.played.undelivered) == ({}, {}, 0)
        assert (seen.played.late > 0, seen.played.bots > 0, seen.truths[0].true) == (True, True, pytest.approx(0.4))


def test_every_target_says_the_same(simulated):
    local, *others = [(seen.played, digits(msgspec.to_builtins(replace(seen.results, target="", started=NEVER)))) for seen in simulated]
    assert others == [local] * 2
