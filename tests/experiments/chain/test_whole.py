"""A whole A/B test on the laptop: described, deployed, started, ranked, ramped, audited, shipped,
closed, and deployed again.
"""

import sys
import time
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from functools import partial
from types import SimpleNamespace

import pytest

import isthmus
from isthmus.endpoints.deploy.deploy import deploy
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.endpoints.traffic import owner
from isthmus.errors import Refused
from isthmus.experiments import experiment
from isthmus.experiments.measure.audit import audit
from isthmus.experiments.running.status import status
from isthmus.rollouts import controller
from isthmus.rollouts.verbs import rollout
from isthmus.times import wall_clock

from ...conformance.toy_models import remove_endpoints, settled
from ...endpoints import mini

pytestmark = pytest.mark.slow
SECTION = """
experiments:
  ranker_v2:
    arms:    {control: {}, treatment: {variant: challenger}}
    share:   40%
    holdout: 10%
    metric:  ctr
"""
VISITORS = 150


@pytest.fixture
def project(tmp_path, monkeypatch):
    folder = mini.filled(tmp_path)
    description = folder / "project.yaml"
    unit = "      segment_id: {type: string}\n      visitor_id: {type: string, required: false}\n"
    description.write_text(
        description.read_text().replace("      segment_id: {type: string}\n", unit) + SECTION
    )
    with mini.opened(folder) as project:
        mini.register(project, "popular")
        mini.register(project, "both")
        isthmus.apply(project)
        deploy(project, "ranker")
        begun, late = wall_clock(), [timedelta(0)]

        def sleep(seconds):
            """What starts processes takes none of the target's time: it is waited for."""
            settled(project.target)
            late[0] += timedelta(seconds=seconds)

        project.target.clock = lambda: (
            begun + late[0]
        )  # a hand-over bakes for two minutes of the target's clock
        monkeypatch.setattr(rollout, "drive", partial(controller.drive, sleep=sleep))
        monkeypatch.setattr(rollout, "time", SimpleNamespace(sleep=sleep, monotonic=time.monotonic))
        yield project
        remove_endpoints(project.target)
    sys.modules.pop("mini_ranker", None)


def ranked(project):
    """By a gateway of its own, which reads the document as it is now: which version answered each
    visitor.
    """
    with Gateway(project, "ranker") as gateway:
        return {
            f"v{n}": gateway.rank({**mini.REQUEST, "visitor_id": f"v{n}"}) for n in range(VISITORS)
        }


def test_a_whole_test_from_its_description_to_a_new_champion(project):
    started = experiment.start(project, "ranker_v2")
    assert {arm: smoke.answered for arm, smoke in started.answers.items()} == {
        "control": 20,
        "treatment": 20,
    }
    first = ranked(project)
    arms = {unit: dict(answer.assignments).get("ranker_v2.1") for unit, answer in first.items()}
    assert set(Counter(arms.values())) == {None, "control", "treatment"}
    for unit, answer in first.items():
        assert answer.version == ("ranker@2" if arms[unit] == "treatment" else "ranker@1")
    assert audit(project, "ranker_v2").sound

    experiment.ramp(project, "ranker_v2", Decimal(100))
    second = ranked(project)
    grown = {unit: dict(answer.assignments).get("ranker_v2.1") for unit, answer in second.items()}
    assert all(grown[unit] == arm for unit, arm in arms.items() if arm)
    seen = audit(project, "ranker_v2")
    assert (seen.sound, seen.answers, seen.lost, seen.gateways) == (True, 2 * VISITORS, 0, 2)
    assert sum(status(project, "ranker_v2").units.values()) == sum(
        arm is not None for arm in grown.values()
    )

    experiment.stop(project, "ranker_v2", ship="treatment", because="it is better")
    versions = Counter(answer.version for answer in ranked(project).values())
    assert versions["ranker@2"] == sum(arm is not None for arm in grown.values()), (
        "all but the holdout"
    )
    with pytest.raises(Refused, match="belongs to experiment"):
        isthmus.traffic(project, "ranker", {"challenger": Decimal(50)})

    closed = experiment.close(project, "ranker_v2")
    assert (closed.home, closed.rollout) == (True, "ro1")
    assert {answer.version for answer in ranked(project).values()} == {"ranker@2"}
    (left,) = project.target.endpoints.observe("ranker").variants
    assert (left.name, left.version, left.percent) == ("champion", 2, 100)
    assert owner.read(project.target.state, "ranker").owner.owner == "none"
    again = deploy(project, "ranker")
    assert [(variant.name, variant.version) for variant in again.variants] == [("champion", 2)]
    assert audit(project, "ranker_v2").sound
