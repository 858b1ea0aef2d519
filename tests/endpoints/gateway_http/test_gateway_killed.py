"""A gateway that is killed loses the exposures of its last answers, and of no answer before them;
one that is asked to end ends.
"""

import subprocess
import sys

import pytest

from isthmus.tests.conformance.toy_models import until
from isthmus.tests.endpoints import mini
from isthmus.tests.endpoints.gateway.gateway_kit import deployed

pytestmark = [pytest.mark.soak, pytest.mark.slow]

ANSWERS = 400  # after which it is killed
RANKING = """
import sys
from isthmus.endpoints.gateway.gateway import Gateway
from isthmus.tests.endpoints import mini
from pathlib import Path
with mini.opened(Path(sys.argv[1])) as project:
    gateway = Gateway(project, "ranker")
    while True:
        print(gateway.rank(mini.REQUEST).request_id, flush=True)
"""
HANGING = """
import sys, threading
from pathlib import Path
from isthmus.endpoints.gateway.http import sample
from isthmus.endpoints.gateway.http import server as gateway_server
from isthmus.endpoints.http.server import listener
from isthmus.tests.endpoints import mini

def hang(*_):
    print("hangs", flush=True)
    threading.Event().wait()

sample.Sampler.sample = hang
settings = gateway_server.GatewaySettings(project=str(Path(sys.argv[1]) / "project.yaml"), port=0)
with mini.opened(Path(sys.argv[1])) as project, listener(settings.host, settings.port) as listening:
    gateway_server.serve(project, settings, listening)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    with deployed(tmp_path_factory.mktemp("mini")) as folder:
        yield folder


def test_of_what_a_killed_gateway_answered_only_the_last_answers_are_missing_and_none_in_part(
    folder,
):
    with (
        mini.opened(folder) as project,
        subprocess.Popen(
            [sys.executable, "-c", RANKING, str(folder)], stdout=subprocess.PIPE, text=True
        ) as process,
    ):

        def stored():
            mine = {"mine": f"{answered[0].rpartition('-')[0]}-%"}
            sql = "SELECT event_id FROM exposures WHERE event_id LIKE $mine"
            return project.target.warehouse.query(sql, mine).column("event_id").to_pylist()

        try:
            answered = [process.stdout.readline().strip()]
            until(stored, what="the first group")
            answered += [process.stdout.readline().strip() for _ in range(ANSWERS)]
        finally:
            process.kill()
        answered += process.stdout.read().split()
        process.wait(120)
        rows = stored()
    positions = {}
    for row in rows:
        answer, _, position = row.rpartition("-")
        positions.setdefault(answer, set()).add(position)
    assert all(shown == {"1", "2", "3"} for shown in positions.values())
    numbers = sorted(int(answer.rpartition("-")[2]) for answer in positions)
    assert numbers == list(range(1, len(numbers) + 1))  # no gap: what is missing came last
    assert set(positions) <= {
        *answered,
        f"{answered[0].rpartition('-')[0]}-{len(answered) + 1}",
    }  # one may be stored and not said yet


def test_a_gateway_whose_warm_up_hangs_ends_when_it_is_asked_to(folder):
    with subprocess.Popen(
        [sys.executable, "-c", HANGING, str(folder)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout.readline() == "hangs\n"
            process.terminate()
            assert process.wait(120) == 0
        finally:
            process.kill()
