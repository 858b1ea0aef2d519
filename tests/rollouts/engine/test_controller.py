"""One look and the loop over it."""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from isthmus.core import lease
from isthmus.endpoints.traffic import owner
from isthmus.errors import Denied, Throttled, Unavailable
from isthmus.project.specs.description import Guardrail, RolloutStep
from isthmus.rollouts import controller
from isthmus.rollouts.controller import LookResult
from isthmus.rollouts.observation import is_due
from isthmus.rollouts.state.convergence import settled_by

from ..scene import LOCAL, MINUTE, TARGETS, Scene, plan, split

every_target = pytest.mark.parametrize("traits", TARGETS, ids=lambda traits: traits.name)


def operations(scene, holder="a"):
    calls = scene.calls(holder)
    before = len(calls.calls)
    scene.look(holder)
    return [call.operation for call in calls.calls[before:]]


@every_target
def test_a_look_with_nothing_new_reads_three_things_and_writes_nothing(traits):
    scene = Scene(traits)
    scene.until("baking", 2)
    scene.run(3)
    scene.look()
    assert operations(scene) == ["state.get", "endpoints.observe", "state.get"]


def driven_to_a_new_minute(traits):
    """A controller has looked every ten seconds; now a minute has settled."""
    scene = Scene(traits)
    scene.until("baking", 2)
    while not is_due(scene.state, scene.world.now()) or not scene.state.checks:
        while scene.look().again:
            continue
        scene.world.advance(timedelta(seconds=10))
    return scene


@every_target
def test_who_drives_makes_four_calls_for_a_new_minute(traits):
    """What is written by compare-and-swap anyway need not be read first."""
    scene = driven_to_a_new_minute(traits)
    assert operations(scene) == ["endpoints.observe", "state.get", "metrics.read", "state.put"]


def test_who_comes_new_or_late_reads_the_document_too():
    reads = ["state.get", "endpoints.observe", "state.get", "metrics.read"]
    scene = driven_to_a_new_minute(LOCAL)
    scene.remembered.clear()  # a process that starts
    assert operations(scene)[:4] == reads
    scene = driven_to_a_new_minute(LOCAL)
    scene.world.advance(MINUTE)  # somebody else may have the lease
    assert operations(scene)[:4] == reads


def scheduled(scene):
    """The calls of a look by somebody who leaves at once, as rollout.tick makes it."""
    ports, calls = scene.ports("s"), scene.calls("s").calls
    before = len(calls)
    seen = controller.look(ports, "ranker", holder="s", clock=scene.world.now, leaving=True)
    controller.give_back(ports, "ranker", holder="s", stored_last=seen.stored)
    return seen, [call.operation for call in calls[before:]]


@every_target
def test_who_looks_once_gives_the_lease_back_by_the_write_that_says_so(traits):
    scene = Scene(traits)
    scene.until("baking", 2)
    scheduled(scene)  # lets what is under way be done
    controller.give_back(scene.ports("a"), "ranker", holder="a")
    scheduled(scene)
    seen, quiet = scheduled(scene)
    assert quiet == ["state.get", "endpoints.observe", "state.get", "state.put"]
    assert (seen.state.lease.holder, seen.state.lease.until) == (
        "",
        scene.world.now() + lease.LENGTH,
    ), "when somebody was there last"
    judged = ()
    while (
        not scene.state.checks or "state.put" in judged[:-1]
    ):  # another verdict is an entry of the history, which the next look writes
        while not is_due(scene.state, scene.world.now()):
            scene.world.advance(timedelta(seconds=10))
        seen, judged = scheduled(scene)
    assert judged == ["state.get", "endpoints.observe", "state.get", "metrics.read", "state.put"]
    assert (seen.state.lease.holder, scene.state.checks != ()) == ("", True)


def test_a_look_that_leaves_something_to_be_told_keeps_the_lease_until_it_is_told():
    scene = Scene(LOCAL, webhook_env="ROLLOUT_WEBHOOK")
    scene.until("baking", 2)
    controller.give_back(scene.ports("a"), "ranker", holder="a")
    seen = controller.look(
        scene.ports("s"), "ranker", holder="s", clock=scene.world.now, leaving=True
    )
    assert (seen.driver, seen.state.notified < seen.state.seq) == ("s", True)


def test_a_lease_is_given_back_also_where_somebody_has_written_since():
    scene = Scene(LOCAL)
    seen = controller.look(scene.ports("s"), "ranker", holder="s", clock=scene.world.now)
    scene.wish("abort")
    controller.give_back(scene.ports("s"), "ranker", holder="s", stored_last=seen.stored)
    assert (scene.state.lease.holder, scene.state.wish.abort is not None) == ("", True)


@every_target
def test_what_came_since_the_last_look_is_seen_by_a_look_that_remembers(traits):
    scene = driven_to_a_new_minute(traits)
    scene.wish("abort")
    scene.look()
    assert scene.state.phase == "aborting"
    assert scene.state.wish.abort is not None


def test_a_look_that_remembers_and_cannot_read_the_minute_sees_what_came_since():
    """Without a minute it would write nothing, and know nothing of what it did not read."""
    scene = driven_to_a_new_minute(LOCAL)
    scene.wish("abort")
    scene.world.outage = True
    scene.look()
    assert scene.state.phase == "aborting"


def test_a_look_that_remembers_does_nothing_of_what_another_has_decided_meanwhile():
    scene = driven_to_a_new_minute(LOCAL)
    scene.wish("abort")
    controller.look(scene.ports("ann"), "ranker", holder="ann", clock=scene.world.now, seize=True)
    seized = scene.state
    assert scene.look().driver == "ann"
    assert scene.state == seized


def test_a_look_that_loses_its_write_says_so_in_a_sentence():
    scene = driven_to_a_new_minute(LOCAL)
    scene.remembered.clear()  # a look that remembers would begin anew
    lost = []

    def faster(call):
        if call.operation == "state.put" and not lost:
            lost.append(call)
            scene.wish("pause")  # somebody writes between the look's reading and its writing

    scene.calls().before = faster
    result = scene.look()
    (problem,) = result.problems
    assert problem == (
        "another controller wrote ro1 of ranker first: this look stored nothing, and the next one "
        "goes on from what is there"
    )
    assert scene.state.wish.pause is not None
    assert scene.look().problems == ()


def test_who_slept_for_a_day_judges_it_in_several_looks_one_right_after_the_other():
    scene = Scene(
        LOCAL,
        stages=(RolloutStep(traffic=Decimal(25), bake=5 * MINUTE, pause=True), *plan().stages[1:]),
    )
    begun = scene.until("waiting").bake_from
    scene.world.advance(500 * MINUTE)
    while scene.look().action:
        continue
    behind = [scene.look().again for _ in range(2)]
    assert behind == [True, False]
    assert {tally.until for tally in scene.state.checks.values()} == {
        settled_by(scene.plan, scene.world.now())
    }
    assert scene.state.bake_from == begun


def test_scores_are_asked_for_only_where_they_are_judged():
    """At 100 %, and in the grace time, there is nothing to compare them with: the warehouse is left
    alone.
    """
    stages = (
        RolloutStep(traffic=Decimal(50), bake=5 * MINUTE),
        RolloutStep(traffic=Decimal(100), bake=5 * MINUTE),
    )
    scene = Scene(stages=stages, guardrails=(Guardrail(metric="score_mean", max_shift=0.1),))
    places = []

    def scores(_endpoint, window):
        places.append((scene.state.phase, scene.state.stage))
        minutes = range((window.end - window.start) // MINUTE)
        return {
            name: {window.start + n * MINUTE: (300, 0.5) for n in minutes}
            for name in ("champion", "challenger")
        }

    scene.controllers["a"] = (replace(scene.ports(), scores=scores), scene.calls())
    scene.until("handing")
    assert {stage for phase, stage in places if phase == "baking"} == {1}
    assert {phase for phase, _stage in places} <= {"baking", "sizing", "shifting"}


def test_who_looks_beside_the_driver_reads_the_document_and_stops():
    scene = Scene()
    scene.until("baking")
    scene.look()
    assert operations(scene, "b") == ["state.get"]
    assert scene.look("b").driver == "a"


def test_a_lease_that_was_given_back_is_taken_at_once_and_needs_no_touch():
    scene = Scene()
    scene.until("baking")
    controller.give_back(scene.ports(), "ranker", holder="a")
    scene.look("b")
    assert (scene.state.lease.holder, scene.state.lease.touched) == ("b", True)
    controller.give_back(scene.ports(), "ranker", holder="a")  # not its own any more
    assert scene.state.lease.holder == "b"


def test_no_call_is_made_that_the_lease_might_not_outlive():
    """The process was stopped between its decision and its call, for longer than its lease."""
    scene = Scene()
    scene.until("baking")
    shifts = []

    def slow(call):
        if call.operation == "state.put" and call.resource == "rollouts/ranker":
            scene.world.clock.move(scene.world.now() + timedelta(seconds=45))
        shifts.extend([call] * (call.operation == "endpoints.shift"))

    scene.calls().before = slow
    scene.wish("abort")
    result = scene.look()
    assert (scene.state.phase, shifts) == ("aborting", [])
    assert result.problems == ("the lease is too short for a call: the next look makes it",)
    scene.calls().before = None
    scene.until("ended")


def test_what_cannot_be_read_is_told_and_decides_nothing():
    scene = Scene()
    before = scene.until("baking")
    scene.world.advance(20 * MINUTE)

    def gone(call):
        if call.operation in ("endpoints.observe", "metrics.read"):
            raise Denied("no permission")

    scene.calls().listeners.append(gone)
    problems = scene.look().problems
    assert ["no permission" in problem for problem in problems] == [True, True]
    assert (scene.state.phase, scene.state.stage) == (before.phase, before.stage)


@pytest.mark.parametrize("phase", ["starting", "baking", "ended"])
@pytest.mark.parametrize("abort", [False, True])
def test_an_endpoint_that_is_gone_ends_its_rollout(phase, abort):
    """Also after the traffic was given back, and before it was taken."""
    scene = Scene()
    if phase != "starting":
        scene.until("baking")
    if phase == "ended":
        scene.wish("abort")
        scene.until("ended")
    elif abort:
        scene.wish("abort")
    scene.world.fleet.name = ""
    state = scene.run(60)
    assert (state.phase, state.released) == ("ended", True)
    assert state.end == (
        "aborted"
        if phase == "ended" or (phase == "starting" and abort)
        else "refused"
        if phase == "starting"
        else "lost"
    )
    assert (
        owner.read(scene.store, "ranker") is None
        or owner.read(scene.store, "ranker").owner.owner == "none"
    )


def test_an_endpoint_that_cannot_be_read_is_not_taken_for_gone():
    """Nobody owns it: a rollout that has ended waits, and one that begins is not called off."""
    scene = Scene()

    def unreadable(call):
        if call.operation == "endpoints.observe":
            raise Denied("no permission")

    scene.calls().listeners.append(unreadable)
    scene.wish("abort")
    assert scene.run(5).phase == "starting"
    scene.calls().listeners.remove(unreadable)
    assert (scene.run(5).end, scene.state.taken) == ("aborted", False)


def test_the_loop_looks_until_it_is_over_gives_its_lease_back_and_survives_errors():
    scene = Scene()
    calls, tired = scene.calls(), iter([True] * 3)

    def throttled(call):
        if call.resource == "rollouts/ranker" and not call.mutating and next(tired, False):
            raise Throttled("slow down")

    calls.listeners.append(throttled)
    result = controller.drive(
        scene.ports(),
        "ranker",
        holder="a",
        clock=scene.world.now,
        sleep=lambda seconds: scene.world.advance(timedelta(seconds=seconds)),
    )
    assert (result.over, result.state.end, scene.state.lease.holder) == (True, "promoted", "")
    assert scene.serving == {"champion": 100}


def test_the_loop_ends_where_it_is_told_to_and_another_goes_on():
    scene = Scene(LOCAL)

    def half(result: LookResult) -> bool:
        return result.state is not None and result.state.stage == 2

    def sleep(seconds):
        scene.world.advance(timedelta(seconds=seconds))

    controller.drive(
        scene.ports(), "ranker", holder="a", clock=scene.world.now, until=half, sleep=sleep
    )
    assert scene.serving == split(50)
    scene.until("promoted", holder="b")
    assert {entry.who for entry in scene.history()} == {"a", "b"}


def test_a_hand_over_whose_figures_never_come_ends_on_what_served():
    scene = Scene(LOCAL)
    scene.until("handing")
    scene.run(60, until=lambda state: state.handover == "small" and state.bake_until is not None)
    scene.world.outage = True
    state = scene.run(120, until=lambda state: state.phase == "ended")
    assert (state.end, state.handover) == ("promoted", "failed")
    assert scene.serving["challenger"] == 100
    assert "figures did not come" in "\n".join(scene.story())


def test_in_a_hand_over_the_two_are_compared_also_where_the_only_step_is_all_of_the_traffic():
    scene = Scene(LOCAL, stages=(RolloutStep(traffic=Decimal(100), bake=8 * MINUTE),))
    scene.until("handing")
    state = scene.run(
        60, until=lambda state: state.handover == "small" and "error_rate max_ratio" in state.checks
    )
    assert state.checks["error_rate max_ratio"].check.verdict != "not judged"


def test_whoever_is_stopped_in_the_middle_of_a_look_leaves_the_lease_to_run_out():
    scene = Scene(LOCAL)

    def interrupted(call):
        if call.operation == "endpoints.shift":
            raise KeyboardInterrupt

    scene.calls().after = interrupted
    with pytest.raises(KeyboardInterrupt):
        controller.drive(
            scene.ports(),
            "ranker",
            holder="a",
            clock=scene.world.now,
            sleep=lambda _seconds: scene.world.advance(MINUTE / 6),
        )
    assert scene.state.lease.holder == "a"


def test_a_clock_that_stands_still_ends_the_loop_after_seconds():
    """Neither a lease nor a bake would ever end."""
    scene = Scene(LOCAL)
    scene.until("baking", 1)
    moment = scene.world.now()
    with pytest.raises(
        Unavailable,
        match="the rollout of ranker waits for the target's clock, which stands still at",
    ):
        controller.drive(
            scene.ports("a"),
            "ranker",
            holder="a",
            clock=lambda: moment,
            every=timedelta(seconds=0.1),
        )
