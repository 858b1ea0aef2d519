"""kill -9 of the process that drives a rollout on this machine. The endpoint goes on serving; the next process goes on with the rollout."""

import subprocess
import sys
from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from isthmus.endpoints.metrics import floor_minute
from isthmus.endpoints.port import TrafficMinute
from isthmus.project.specs import AfterRollout, Guardrail, RolloutStep
from isthmus.rollouts import documents
from isthmus.rollouts.convergence import asked, serving
from isthmus.rollouts.planning import beginning
from isthmus.rollouts.rehearse import rehearsed
from isthmus.rollouts.world import traits_of
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.crashes import DECISIONS
from isthmus.tests.rollouts.genuine import MINUTE, deployed, laptop
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT

BAKE = 3 * MINUTE
FIRST = {"champion": Decimal(90), "challenger": Decimal(10)}
FAILING = replace(
    ROLLOUT,
    steps=tuple(RolloutStep(traffic=Decimal(percent), bake=BAKE) for percent in (25, 50, 100)),
    guardrails=(Guardrail(metric="error_rate", max=0.01),),
    after=AfterRollout(remove_old=2 * MINUTE),
)
# where it is, in which phase, how many percent the endpoint was told to give the new variant: the first such point of a process is its last
DEATHS = (
    ("before endpoints.shift", "shifting", 10),  # the intent is durable, nothing more
    ("after endpoints.shift", "shifting", 25),  # it is written down here, too; the router was not told
    ("sleep 10", "baking", 25),
    ("after state.put", "baking", 50),
    ("before endpoints.shift", "aborting", 50),
    ("after endpoints.shift", "aborting", 0),
)


class Rollouts:
    """Of one endpoint of this machine, each driven by processes, one after the other. The new variant fails under half of the traffic."""

    def __init__(self, place, target):
        self.place, self.target, self.now = place, target, place.start(FAILING.advance)
        self.script = target.extra("traffic_script")
        self.plan = rehearsed(FAILING, ENDPOINT, traits_of(target))
        self.died = []

    def play(self, deaths=()):
        """The rollout, its decisions, and what serves at the end."""
        self.target.endpoints.shift("ranker", FIRST, expect=self.target.endpoints.observe("ranker").token)
        self.told = self.served = Decimal(10)
        documents.begin(self.target.state, "ranker", lambda name: beginning(name, "ranker", self.plan, self.now, who="ann"))
        for death in deaths:
            self.drive(death)
        self.drive()
        state = self.state
        history = list(documents.history(self.target.state, state))
        return state, history, serving(self.target.endpoints.observe("ranker"))

    @property
    def state(self):
        return documents.read(self.target.state, "ranker").state

    def drive(self, death=None):
        command = [sys.executable, "-m", "isthmus.tests.rollouts.driver", self.place.profile.options["home"], f"driver {len(self.died)}"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
            try:
                self.tell_the_time(process)
                for line in process.stdout:
                    point = line.strip()
                    if self.look(point) == death:
                        self.died.append(death)
                        return
                    if point.startswith("sleep"):
                        self.advance(timedelta(seconds=float(point.partition(" ")[2])))
                    self.tell_the_time(process)
            finally:
                process.kill()
        assert death is None, f"it ended without {death}"

    def tell_the_time(self, process):
        process.stdin.write(f"{self.now.isoformat()}\n")
        process.stdin.flush()

    def look(self, point):
        """The point as DEATHS has it. The traffic never rises above what is durable at that moment."""
        state, endpoint = self.state, self.target.endpoints.observe("ranker")
        intent, (told, served) = state.intent["challenger"], (split["challenger"] for split in (asked(endpoint), serving(endpoint)))
        assert told <= max(self.told, intent)
        assert served <= max(self.served, intent)
        self.told, self.served = told, served
        return point, state.phase, told

    def advance(self, span):
        minute = floor_minute(self.now)
        self.now += span
        while minute + MINUTE <= self.now:
            shares = {"challenger": self.told, "champion": 100 - self.told}
            self.script.add("ranker", [sent(variant, minute, percent) for variant, percent in shares.items()])
            minute += MINUTE


def sent(variant, minute, percent):
    requests = int(10 * percent)
    errors = requests * 3 // 4 if (variant, percent) == ("challenger", 50) else 0
    return TrafficMinute(variant=variant, start=minute, requests=requests, server_errors=errors, latencies_ms=(4.0,))


@pytest.mark.slow
def test_whoever_goes_on_after_a_kill_ends_the_rollout_as_if_nobody_had_died(tmp_path):
    """Two rollouts, one of them by seven processes: some seconds. What is the same is judged by the rollout that nobody cut."""
    place = laptop(tmp_path)
    target = deployed(place)
    rollouts = Rollouts(place, target)
    try:
        whole, undisturbed, served = rollouts.play()
        state, history, left = rollouts.play(DEATHS)
    finally:
        remove_endpoints(target)
        target.close()
    assert rollouts.died == list(DEATHS)
    assert (state.end, state.stage, state.released, left) == (whole.end, whole.stage, whole.released, served)
    assert (whole.end, whole.stage, served) == ("aborted", 2, {"champion": 100, "challenger": 0})
    decisions, expected = ([(e.what, e.stage, e.attempt) for e in entries if e.what in DECISIONS] for entries in (history, undisturbed))
    assert decisions == expected
    moments = {(entry.what, entry.stage): entry.at for entry in history}
    assert moments["step", 2] - moments["bake", 1] >= BAKE
