"""A simulation on every target: the same people are answered alike, and the results are the same."""

import os
import sys
from types import SimpleNamespace

import msgspec
import pytest
from msgspec.structs import replace

from isthmus.core.runtime import stacks
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.simulation import clock
from isthmus.experiments.simulation.simulate import simulate
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.endpoints import mini

from ..chain.http_chain import NEVER, TARGETS, digits, prepared
from ..chain.test_chain import led_to
from .test_simulate import DUEL, LIKING

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("ISTHMUS_EVERY_KILL"), reason="minutes: make test-often"),
]
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
BESIDE = """  duel: {layer: both, interleave: [champion, challenger], metric: ctr, plan: {minimum_effect: 30%}}
layers: {own: {endpoint: ranker}, both: {endpoint: ranker}}
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
            project_file = folder / "project.yaml"
            own = project_file.read_text().replace("  plus_up:\n", "  plus_up:\n    layer: own\n")
            project_file.write_text(own + BESIDE)
            for name, text in {"world.yaml": WORLD, "duel.yaml": DUEL, "liking.py": LIKING}.items():
                (folder / name).write_text(text)
            with mini.opened(folder, **where) as project:
                arms, duel = (
                    simulate(project, folder / name) for name in ("world.yaml", "duel.yaml")
                )
                return SimpleNamespace(
                    arms=arms, duel=duel, audit=audit(clock.on_simulated_clock(project), "duel")
                )
        finally:
            sys.modules.pop("liking", None)
            with mini.opened(folder, **where) as project:
                remove_endpoints(project.target)
            stacks.stop(folder, forget=True)
            sys.modules.pop("mini_ranker", None)


def test_everything_is_answered_and_stored(simulated):
    for seen in (one for of in simulated for one in (of.arms, of.duel)):
        assert (seen.played.failed, seen.played.rejected, seen.played.undelivered) == ({}, {}, 0)
    for seen in (of.arms for of in simulated):
        assert (seen.played.late > 0, seen.played.bots > 0, seen.truths[0].true) == (
            True,
            True,
            pytest.approx(0.4),
        )


def test_every_target_says_the_same(simulated):
    of_arms = [of.arms for of in simulated]
    local, *others = [
        (seen.played, digits(msgspec.to_builtins(replace(seen.results, target="", started=NEVER))))
        for seen in of_arms
    ]
    assert others == [local] * 2


def test_on_every_target_people_prefer_the_order_that_they_like_and_its_drafts_are_those_of_the_log(
    simulated,
):
    for of in simulated:
        assert (of.duel.results.conclusion.word, of.duel.results.conclusion.of) == (
            "prefers",
            "champion",
        )
        assert (of.audit.sound, of.audit.lost, of.audit.units) == (True, 0, of.duel.played.units)
        assert of.audit.drafts.drafted == of.duel.played.requests
