"""Every write of a verb cut before and after, and every order of two people's verbs: the document
is the old or the new one.
"""

from decimal import Decimal

import pytest
from msgspec.structs import replace

from isthmus.endpoints.traffic import owner
from isthmus.errors import Conflict, IsthmusError
from isthmus.experiments import experiment
from isthmus.experiments.design import buckets, runs

from ..desk import AIMED, BLEND, Desk

WHY = "a reason"
VERBS = {
    "start": lambda project: experiment.start(project, "ranker_v2"),
    "start parameters": lambda project: experiment.start(project, "blend_up"),
    "ramp": lambda project: experiment.ramp(project, "ranker_v2", Decimal(40)),
    "stop": lambda project: experiment.stop(project, "ranker_v2", because=WHY),
    "ship": lambda project: experiment.stop(project, "ranker_v2", because=WHY, ship="treatment"),
}


class Killed(BaseException):
    """kill -9: nothing catches it."""


def prepared(monkeypatch, folder, verb):
    desk = Desk(monkeypatch, folder, AIMED, BLEND)
    if not verb.startswith("start"):
        experiment.start(desk.project, "ranker_v2")
    return desk


def writes(desk):
    return [call for call in desk.calls.calls if call.mutating]


def outcome(desk):
    """What stands when a verb is done, but for times."""
    live = desk.live
    claim = owner.read(desk.state, "ranker")
    history = [
        (c.version, c.run, c.what, c.before, c.after, c.ranges) for c in runs.history(desk.state)
    ]
    runs_of = [(run.run, run.state, run.ranges, run.ships) for run in live.runs]
    return live.version, runs_of, history, claim and (claim.owner.owner, claim.owner.name)


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_killed_at_any_write_leaves_the_old_or_the_new_and_ends_the_same_when_it_is_repeated(
    monkeypatch, tmp_path, verb
):
    whole = prepared(monkeypatch, tmp_path / "whole", verb)
    old = whole.live
    done = len(writes(whole))
    VERBS[verb](whole.project)
    count, expected = len(writes(whole)) - done, outcome(whole)
    assert count >= 1
    for point in range(count):
        for when in ("before", "after"):
            desk = prepared(monkeypatch, tmp_path / f"{point}-{when}", verb)
            seen = iter(range(1000))

            def cut(_call, point=point, seen=seen):
                if next(seen) == point:
                    raise Killed

            setattr(desk.calls, when, cut)
            with pytest.raises(Killed):
                VERBS[verb](desk.project)
            setattr(desk.calls, when, None)
            version = desk.live.version if desk.live else 0
            assert version in (old.version if old else 0, expected[0])
            desk.wait(seconds=70)
            VERBS[verb](desk.project)
            assert outcome(desk) == expected, (point, when)


def test_what_a_start_left_that_was_killed_is_ended_by_a_stop(monkeypatch, tmp_path):
    desk = Desk(monkeypatch, tmp_path, AIMED)

    def cut(call):
        if call.resource == "experiments/live":
            raise Killed

    desk.calls.before = cut
    with pytest.raises(Killed):
        experiment.start(desk.project, "ranker_v2")
    desk.calls.before = None
    assert owner.read(desk.state, "ranker").owner.owner == "experiment"
    assert experiment.stop(desk.project, "ranker_v2", because=WHY).released == ("ranker",)
    assert owner.read(desk.state, "ranker").owner.owner == "none"


OTHERS = {
    "the same": VERBS["start"],
    "another definition": VERBS["start"],
    "another of the layer": VERBS["start parameters"],
    "a stop": VERBS["stop"],
    "a ramp": VERBS["ramp"],
}


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("verb", ["start", "start parameters", "stop", "ramp"])
def test_whatever_somebody_else_does_between_two_calls_no_two_runs_share_a_bucket_and_who_is_late_is_told(
    monkeypatch, tmp_path, verb, other
):
    sizes = replace(AIMED, share=Decimal(60)), replace(BLEND, share=Decimal(30))
    point, reached = 0, True
    while reached:
        desk = Desk(monkeypatch, tmp_path / str(point), *sizes)
        if "stop" in (verb, other) or "ramp" in (verb, other):
            experiment.start(desk.project, "ranker_v2")
        somebody = (
            desk.beside(replace(sizes[0], holdout=Decimal(1)), sizes[1])
            if other == "another definition"
            else desk.beside()
        )
        seen = iter(range(1000))
        versions = []
        reached = False

        def between(_call, point=point, seen=seen, somebody=somebody, versions=versions):
            nonlocal reached
            if next(seen) == point:
                reached = True
                attempt(OTHERS[other], somebody.project)
                versions.append(somebody.live.version if somebody.live else 0)

        before = desk.live.version if desk.live else 0
        desk.calls.listeners.append(between)
        error = attempt(VERBS[verb], desk.project)
        desk.calls.listeners.clear()
        sound(desk)
        if isinstance(error, Conflict):
            assert versions[0] > before, "nobody is told of another who was not there"
        attempt(VERBS[verb], desk.project)
        sound(desk)
        point += 1
    assert point > 3


def attempt(verb, project):
    try:
        verb(project)
    except IsthmusError as error:
        return error
    return None


def sound(desk):
    """No bucket twice; the versions of the history without a gap or a double; a run over variants
    owns the traffic, nobody else.
    """
    live = desk.live
    taken = [
        bucket for run in live.runs for low, high in run.ranges for bucket in range(low, high + 1)
    ]
    assert len(taken) == len(set(taken)) == sum(buckets.size(run.ranges) for run in live.runs)
    assert [change.version for change in runs.history(desk.state)] == list(
        range(1, live.version + 1)
    )
    claim = owner.read(desk.state, "ranker")
    aiming = [run.run for run in live.runs if run.aims]
    if aiming:
        assert (claim.owner.owner, claim.owner.name) == ("experiment", aiming[0])
