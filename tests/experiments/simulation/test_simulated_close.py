"""What docs/simulate.md recommends: a run that was simulated is shipped and closed, and the
endpoint is free, on every target.
"""

import os
import sys
import time
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import pytest

from isthmus.core.runtime import stacks
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.traffic import manual, owner
from isthmus.endpoints.traffic.manual import observe, traffic
from isthmus.errors import Unavailable
from isthmus.experiments import experiment
from isthmus.experiments.design import runs
from isthmus.experiments.simulation import clock
from isthmus.experiments.simulation.simulate import simulate
from isthmus.rollouts import controller
from isthmus.rollouts.verbs import rollout
from isthmus.storage import wait
from isthmus.times import wall_clock

from ...conformance.toy_models import remove_endpoints
from ...endpoints import mini
from ..chain.http_chain import PROFILES
from ..chain.test_chain import led_to

pytestmark = [pytest.mark.soak, pytest.mark.slow, pytest.mark.timeout(600)]
AIMED = """
experiments:
  better: {arms: {control: {}, treatment: {variant: challenger}}, share: 100%, metric: ctr}
"""
WORLD = """\
experiment: better
days: 1
visitors: 20
sessions: 1
items: 4
candidates: 4
slots: 2
seed: 20261130
attributes: {segment_id: [a]}
events:
  impression: {}
  click: {of: impression, chance: 20%, after: 30s}
"""
EVERY = bool(os.environ.get("ISTHMUS_EVERY_KILL"))
PLACES = [
    ("local", "sticky"),
    ("sagemaker", "weighted"),
    ("vertex", "sticky"),
    *([("local", "weighted"), ("sagemaker", "sticky"), ("vertex", "weighted")] if EVERY else []),
]


@pytest.fixture(params=PLACES, ids="-".join)
def place(request, tmp_path, monkeypatch):
    """An endpoint with a run that may be simulated.

    What waits for the target's clock moves that clock instead.
    """
    target, routing = request.param
    where = {"target": target, "offline": target != "local"}
    led_to(target, monkeypatch)
    text = mini.FILES["project.yaml"].replace("    explore: 5%\n", f"    routing: {routing}\n")
    unit = "      segment_id: {type: string}\n      visitor_id: {type: string, required: false}\n"
    unit += "      exposure_id: {type: string, required: false}\n"
    text = text.replace("      segment_id: {type: string}\n", unit) + AIMED
    mini.filled(tmp_path, mini.FILES | {"project.yaml": text, "profiles.yaml": PROFILES}, **where)
    (tmp_path / "week.yaml").write_text(WORLD)
    sys.modules.pop("mini_ranker", None)
    with mini.opened(tmp_path, **where) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        deploy(project, "ranker")
    late = [timedelta(0)]

    def sleep(seconds):
        late[0] += timedelta(seconds=seconds)
        time.sleep(min(seconds, 0.02))

    def opened():
        project = mini.opened(tmp_path, **where)
        project.target.clock = lambda: wall_clock() + late[0]
        return project

    monkeypatch.setattr(manual, "wait", partial(wait, sleep=sleep))
    monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=sleep))
    monkeypatch.setattr(rollout, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
    yield opened
    with opened() as project:
        remove_endpoints(project.target)
    stacks.stop(tmp_path, forget=True)
    sys.modules.pop("mini_ranker", None)


def test_what_was_simulated_is_shipped_closed_and_the_endpoint_is_free(place):
    """By the simulated clock the run is stopped; by the target's own the traffic moves, is handed
    over, and is free for who comes next.

    Where that clock stands still, too, who waits for it is told after seconds.
    """
    with place() as project:
        played = simulate(project, project.folder / "week.yaml").played
        assert (played.failed, played.ended) == ({}, datetime(2024, 1, 11, tzinfo=UTC))
    with place() as project:
        clocked = clock.on_simulated_clock(project)
        experiment.stop(clocked, "better", because="it is better", ship="treatment")
        closed = experiment.close(clocked, "better")
        assert (closed.home, closed.rollout) == (True, "ro1")
        assert {
            (change.what, change.at.date()) for change in runs.history(project.target.state)
        } == {
            (what, played.ended.date() - timedelta(days=what == "started"))
            for what in ("started", "shipped", "closed")
        }
    with place() as project:
        (variant,) = observe(project, "ranker").variants
        assert (variant.name, variant.version, variant.percent) == ("champion", 2, 100)
        assert owner.read(project.target.state, "ranker").owner.owner == "none"
        assert rollout.status(project, "ranker").state.phase == "ended"
        project.target.registry.set_alias("ranker", "challenger", 1)
        deploy(project, "ranker")
        moved = traffic(project, "ranker", {"champion": Decimal(50)})
        assert moved.after == {"champion": 50, "challenger": 50}
        if (
            observe(project, "ranker").routing == "sticky"
        ):  # served 15 s after it was written, by that clock
            stands = project.target.clock()
            project.target.clock = lambda: stands
            with pytest.raises(
                Unavailable,
                match="ranker's traffic waits for the target's clock, which stands still at",
            ):
                traffic(project, "ranker", {"champion": Decimal(60)})
