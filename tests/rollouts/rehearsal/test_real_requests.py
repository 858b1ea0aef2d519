"""Four callers use an endpoint through whole rollouts, an abort and a hand-over among them: no
request fails, and the split is seen.

The endpoints, their routers and their model servers are real; the rollout's clock is moved, and its
guardrails are shown scripted minutes. On the stack the callers' requests are among them.
"""

import threading
from collections import Counter
from contextlib import contextmanager
from decimal import Decimal

import pytest
from msgspec.structs import replace
from scipy.special import bdtr, bdtrc

from isthmus.errors import IsthmusError
from isthmus.project.specs.description import AfterRollout, Guardrail, RolloutStep
from isthmus.rollouts.rehearsal.player import play
from isthmus.rollouts.rehearsal.rehearse import plan_of
from isthmus.rollouts.rehearsal.scenario import Answers, At, Event, Expect, Scenario
from isthmus.rollouts.rehearsal.target_setting import TargetSetting
from isthmus.rollouts.state import documents
from isthmus.rollouts.state.convergence import serving_split
from isthmus.rollouts.world import traits_of
from isthmus.tests.conformance.toy_models import remove_endpoints
from isthmus.tests.rollouts.genuine import MINUTE, PLACES, deployed
from isthmus.tests.rollouts.scenario_files import ENDPOINT, ROLLOUT

CALLERS = 4
ENOUGH, FEW = 15, 4  # requests between two movements of the clock, in a bake and elsewhere
PAUSE, DEADLINE = (
    0.2,
    120,
)  # seconds: of a caller between two requests that nobody waits for; for those that somebody does
UNLIKELY = 1e-9  # a count that a fair split shows less often than that is not one
SHORT = replace(
    ROLLOUT,
    steps=tuple(
        RolloutStep(traffic=Decimal(percent), bake=5 * MINUTE) for percent in (25, 50, 100)
    ),
    guardrails=(Guardrail(metric="error_rate", max=0.01),),
    after=AfterRollout(remove_old=2 * MINUTE),
)
BREAKS = Event(
    at=At(stage=2, after=MINUTE),
    text="it fails",
    happens=Answers(variant="challenger", changes={"error_rate": 0.8}),
)


class Callers:
    """Threads that call the endpoint, each by a target of its own, until they are stopped."""

    def __init__(self, open_target):
        self.changed = threading.Condition()  # guards all the rest
        self.ending = self.sampling = False
        self.failures = []
        self.round, self.begun, self.ended = (
            0,
            Counter(),
            {0: Counter()},
        )  # requests by the round in which they began; ended: by variant
        self.targets = [open_target() for _ in range(CALLERS)]
        self.threads = [
            threading.Thread(target=self.call, args=(target,)) for target in self.targets
        ]

    def call(self, target):
        while True:
            with self.changed:
                self.changed.wait_for(lambda: self.ending or self.sampling, timeout=PAUSE)
                if self.ending:
                    return
                began = self.round
                self.begun[began] += 1
            try:
                variant, failures = (
                    target.endpoints.invoke(
                        "ranker", [{"x": 1}], variant=None, request_id=f"request-{began}"
                    ).variant,
                    [],
                )
            except IsthmusError as error:
                variant, failures = "failed", [repr(error)]
            with self.changed:
                self.ended[began][variant] += 1
                self.failures += failures
                self.changed.notify_all()

    def sample(self, enough):
        """By variant, all that began between now and when enough are answered."""
        with self.changed:
            sampled = self.next_round(sampling=True)
            assert self.changed.wait_for(
                lambda: self.ended[sampled].total() >= enough, timeout=DEADLINE
            )
            self.next_round(sampling=False)
            assert self.changed.wait_for(
                lambda: self.ended[sampled].total() == self.begun[sampled], timeout=DEADLINE
            )
            return self.ended[sampled]

    def next_round(self, *, sampling):
        self.round, self.sampling = self.round + 1, sampling
        self.ended[self.round] = Counter()
        self.changed.notify_all()
        return self.round

    @contextmanager
    def calling(self):
        for thread in self.threads:
            thread.start()
        try:
            yield self
        finally:
            with self.changed:
                self.ending = True
                self.changed.notify_all()
            for thread in self.threads:
                thread.join()
            for target in self.targets:
                target.close()


class BusyEndpoint:
    """A setting in which, whenever time has passed, requests are answered before the controller
    looks again.
    """

    def __init__(self, setting, callers, target):
        self.setting, self.callers, self.target = setting, callers, target
        self.seen = {}  # (phase, step, the split that serves) -> answers by variant

    def __getattr__(self, name):
        return getattr(self.setting, name)

    def advance(self, span):
        self.setting.advance(span)
        state = documents.read(self.target.state, "ranker").state
        split = serving_split(self.target.endpoints.observe("ranker"))
        counts = self.seen.setdefault(
            (state.id, state.phase, state.stage, split.get("challenger", Decimal(0))), Counter()
        )
        counts.update(self.callers.sample(ENOUGH if state.phase == "baking" else FEW))


def chance(count, of, percent):
    """Of a count so far from what the split says, in one direction or the other."""
    part = float(percent) / 100
    return min(1.0, 2 * min(bdtr(count, of, part), bdtrc(count - 1, of, part) if count else 1.0))


@pytest.fixture
def place(request, tmp_path):
    return request.param(tmp_path)


def scenario(end, *events):
    return Scenario(
        name=end, rollout="ranker", per_minute=240, events=events, expect=Expect(end=end)
    )


@pytest.mark.slow
@pytest.mark.parametrize("place", PLACES, ids=lambda kind: kind.__name__, indirect=True)
def test_no_request_fails_while_a_rollout_is_aborted_and_another_handed_over_and_each_bake_has_its_share(
    place,
):
    """Two whole rollouts with real model servers: some ten seconds on the stack, where a change
    takes virtual minutes.
    """
    target = deployed(place)
    planned = plan_of(SHORT, ENDPOINT, traits_of(target))
    again = replace(
        planned,
        stages=planned.stages[1:],
        initial={"champion": Decimal(100), "challenger": Decimal(0)},
    )
    start, seen, ends = place.start(planned.advance), {}, []
    try:
        with Callers(place.open).calling() as callers:
            for plan, played in (
                (planned, scenario("aborted", BREAKS)),
                (again, scenario("promoted")),
            ):
                genuine = TargetSetting(
                    played, "ranker", place.open, start=start, rollback=place.rollback
                )
                busy = BusyEndpoint(genuine, callers, target)
                try:
                    result = play(played, plan, "ranker", busy)
                finally:
                    genuine.close()
                assert not result.unexpected, str(result)
                start, seen = genuine.now(), seen | busy.seen
                ends.append((result.state.end, result.state.handover))
        left = serving_split(target.endpoints.observe("ranker"))
    finally:
        remove_endpoints(target)
        target.close()
    assert callers.failures == []
    assert (ends, left) == ([("aborted", ""), ("promoted", "done")], {"champion": Decimal(100)})
    bakes = {key: counts for key, counts in seen.items() if key[1] == "baking"}
    stages = {(rollout, stage): percent for rollout, _, stage, percent in bakes}
    assert stages == {("ro1", 1): 25, ("ro1", 2): 50, ("ro2", 1): 50, ("ro2", 2): 100}
    assert {percent for _, phase, _, percent in seen if phase == "handing"} >= {100, 90, 0}, (
        "the old name is tried with 10 % first"
    )
    for key, counts in seen.items():
        assert chance(counts["challenger"], counts.total(), key[-1]) >= UNLIKELY, (key, counts)
