"""A model monitoring job that somebody else makes over a rollout's endpoint of Vertex AI.

It changes the endpoint's etag and update_time (recorded:
localstack/gcp/services/aiplatform/endpoints/operations/monitoring_jobs.py), and nobody's traffic.
"""

import pytest

from isthmus.tests.conformance.opaque import monitor
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts import genuine
from isthmus.tests.rollouts.crashes.killed_drivers import Rollouts, judged

pytestmark = pytest.mark.slow


@pytest.fixture
def rollouts(tmp_path):
    pytest.importorskip("google.cloud.aiplatform_v1")
    place = genuine.vertex(tmp_path)
    target = genuine.deployed(place)
    yield Rollouts(place, target)
    remove_endpoints(target)
    target.close()


def test_a_foreign_monitoring_job_neither_aborts_nor_restarts_a_bake(rollouts):
    """Made while the driver sleeps in each bake, and directly before a call that moves traffic: the
    etag that it has is stale then.
    """
    made = set()

    def watch(point):
        what, phase, _told = point
        if point not in made and (what, phase) in (
            ("sleep", "baking"),
            ("before endpoints.shift", "shifting"),
        ):
            made.add(point)
            monitor(rollouts.target)
        return False

    rollouts.begin(fails=False)
    assert rollouts.drive(watch) is None
    assert judged(rollouts, fails=False) == "promoted"
    _, history, _ = rollouts.ended()
    assert not {entry.what for entry in history} & {"drift", "corrected", "late"}
    assert {told for what, _, told in made if what == "sleep"} == {25, 50, 100}
    assert len(made) == 6
