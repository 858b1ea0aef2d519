"""start, ramp, stop and ship on every target's genuine adapters, killed before and after each of
their changing calls.

ISTHMUS_EVERY_CRASH=1, as it takes minutes; test_crashes.py shows it of the scripted world.
"""

import os
from datetime import timedelta
from decimal import Decimal
from functools import partial

import pytest
from msgspec.structs import replace

from isthmus.endpoints.gateway.smoke import SmokeResult
from isthmus.endpoints.traffic import owner
from isthmus.experiments import experiment
from isthmus.experiments.design import runs
from isthmus.experiments.running import start as starting

from ...conformance.toy_models import remove_endpoints
from ...rollouts.genuine import PLACES, deployed
from ...rollouts.scenario_files import ENDPOINT, ROLLOUT
from ..desk import genuine_project

pytestmark = [
    pytest.mark.soak,
    pytest.mark.slow,
    pytest.mark.skipif(not os.environ.get("ISTHMUS_EVERY_CRASH"), reason="minutes"),
]
NAME, WHY = "ranker_v2", "a reason"
ENDED = experiment.stop, {"because": WHY}
STARTED = experiment.start, {}
# what goes before, the verb, what it tells the history; the run's state, buckets, what ships, and
# whether it owns the traffic
VERBS = {
    "start": ([], STARTED, "started", ("running", 2000, "", True)),
    "ramp": (
        [STARTED],
        (experiment.ramp, {"percent": Decimal(40)}),
        "ramped",
        ("running", 4000, "", True),
    ),
    "stop": ([STARTED], ENDED, "stopped", None),
    "ship": (
        [STARTED],
        (experiment.stop, {"because": WHY, "ship": "treatment"}),
        "shipped",
        ("shipped", 0, "treatment", True),
    ),
}


class Killed(BaseException):
    """kill -9: nothing catches it."""


class Person:
    """Each verb is another process's, on the provider's clock."""

    def __init__(self, monkeypatch, folder, place):
        self.folder, self.place = folder, place
        self.outside = deployed(place, replace(ENDPOINT, routing="sticky"))
        self.now = place.start(ROLLOUT.advance)
        self.outside.clock = self.clock
        monkeypatch.setenv("ISTHMUS_USER", "ann")
        monkeypatch.setattr(starting, "smoke_arm", lambda *_: SmokeResult(sent=20, answered=20))

    def clock(self):
        return self.now

    def wait(self, seconds):
        self.now += timedelta(seconds=seconds)
        self.outside.extra("traffic_script").advance(timedelta(seconds=seconds))

    def does(self, verb, options, *, dies=None):
        """`dies`: before or after the call of that number.

        How many calls there were, or None: it died.
        """
        count = 0

        def reached(when, _call):
            nonlocal count
            count += when == "after"
            if dies == (when, count - (when == "after")):
                raise Killed

        with genuine_project(self.folder, self.place, self.clock) as project:
            project.target.calls.before, project.target.calls.after = (
                partial(reached, "before"),
                partial(reached, "after"),
            )
            try:
                verb(project, NAME, **options)
            except Killed:
                return None
        return count

    def begins(self, before):
        """From no run on."""
        if self.stands() is not None:
            self.does(*ENDED)
        for verb in before:
            self.does(*verb)

    def whole(self, before, verb):
        """Its calls when nobody dies."""
        self.begins(before)
        return self.does(*verb)

    def stands(self):
        """The run's state, how many buckets it has, what ships, and whether it owns the traffic.

        None: it has left, and nobody owns it.
        """
        claim, stored = owner.read(self.outside.state, "ranker"), runs.read(self.outside.state)
        is_owned = claim is not None and claim.owner.owner == "experiment"
        of_runs = stored.live.runs if stored else ()
        if not of_runs and not is_owned:
            return None
        (run,) = of_runs
        return run.state, sum(high + 1 - low for low, high in run.ranges), run.ships, is_owned

    def history(self):
        return [change.what for change in runs.history(self.outside.state, NAME)]


@pytest.mark.parametrize("place", PLACES, ids=lambda place: place.__name__)
def test_a_verb_killed_at_any_call_is_done_once_by_who_repeats_it(monkeypatch, tmp_path, place):
    person = Person(monkeypatch, tmp_path, place(tmp_path))
    points = 0
    try:
        for what, (before, verb, told, expected) in VERBS.items():
            calls = person.whole(before, verb)
            assert calls, f"{what} changed nothing"
            for number in range(calls):
                for when in ("before", "after"):
                    person.begins(before)
                    history = person.history()
                    assert person.does(*verb, dies=(when, number)) is None
                    assert person.history() in (history, [*history, told]), (what, when, number)
                    person.wait(70)
                    person.does(*verb)
                    assert (person.stands(), person.history()) == (expected, [*history, told]), (
                        what,
                        when,
                        number,
                    )
                    points += 1
    finally:
        remove_endpoints(person.outside)
        person.outside.close()
    print(f"\n{place.__name__}: killed at {points} points")
