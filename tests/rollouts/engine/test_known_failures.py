"""What went wrong elsewhere.

Numbers are issues of github.com/argoproj/argo-rollouts, and of github.com/fluxcd/flagger where it
says so.
"""

from datetime import timedelta
from decimal import Decimal

import pytest
from msgspec.structs import replace

from isthmus.endpoints.revision import revision_of_variants
from isthmus.errors import Unavailable
from isthmus.project.specs.description import RolloutStep
from isthmus.rollouts import controller
from isthmus.rollouts.state import documents
from isthmus.rollouts.world import START, World
from isthmus.target import CallLog

from ..scene import (
    FAILING,
    HEALTHY,
    LOCAL,
    MINUTE,
    SAGEMAKER,
    TARGETS,
    VERTEX,
    Scene,
    begun,
    plan,
    split,
)

every_target = pytest.mark.parametrize("traits", TARGETS, ids=lambda traits: traits.name)


def stopped_before(scene, operation, meanwhile, holder="a"):
    """The next call of this kind by a controller waits until `meanwhile` is over."""
    calls = scene.calls(holder)

    def hook(call):
        if call.operation == operation:
            calls.before = None
            meanwhile()

    calls.before = hook


def paused(traits=LOCAL, **fields):
    stages = plan(traits).stages
    return Scene(traits, stages=(replace(stages[0], pause=True), *stages[1:]), **fields)


@every_target
def test_a_silent_rollback_that_ends_ready_is_not_taken_for_arrival(traits):
    scene = Scene(traits)
    scene.world.fleet.rollbacks = 2  # twice in a row
    scene.until("baking", 1)
    assert scene.serving == split(25)
    assert "converged 1-0 after 3 call(s)" in scene.story()


@every_target
def test_a_silent_rollback_during_the_abort_is_sent_again(traits):
    scene = Scene(traits)
    scene.until("baking", 2)
    scene.world.fleet.rollbacks = 2
    scene.wish("abort")
    assert scene.until("ended").end == "aborted"
    assert scene.serving == split(0)


@every_target
def test_weights_that_somebodys_apply_reset_are_put_right_and_the_bake_begins_anew(traits):
    scene = Scene(traits)
    before = scene.until("baking", 2)
    scene.world.advance(2 * MINUTE)
    scene.world.fleet.set_split(split(10))
    scene.run(5, until=lambda state: state.attempt == 1 and state.phase == "baking")
    assert scene.serving == split(50)
    assert scene.state.bake_until - scene.state.bake_from == before.bake_until - before.bake_from


@every_target
def test_a_change_and_its_way_back_between_two_looks_begin_a_whole_new_bake(traits):
    scene = Scene(traits)
    scene.until("baking", 1)
    scene.world.advance(MINUTE)
    scene.look()
    scene.world.fleet.set_split(split(90))
    scene.world.fleet.set_split(split(25))
    scene.world.advance(timedelta(seconds=10))
    scene.run(1, until=lambda state: state.attempt == 1)
    assert scene.words().count("drift") == 1


@every_target
def test_it_is_not_complete_before_the_traffic_has_converged_3333_3926(traits):
    """The provider takes 20 minutes for a change."""
    scene = Scene(replace(traits, takes=20 * MINUTE))
    scene.until("shifting", 3)
    scene.run(18)
    assert scene.state.phase == "shifting"
    assert scene.serving == split(50)
    scene.until("promoted")
    assert scene.serving == split(100)


@every_target
def test_an_abort_after_full_promotion_brings_traffic_and_alias_back_2982(traits):
    scene = Scene(traits)
    scene.until("promoted")
    scene.run(3)
    assert scene.aliases["champion"] == 2
    scene.wish("abort")
    assert scene.until("ended").end == "aborted"
    assert scene.serving == split(0)
    assert scene.aliases["champion"] == 1


def test_an_abort_with_no_rollout_changes_nothing_1292():
    scene = Scene(behaviours={"challenger": FAILING})
    ended = scene.run(120)
    calls = len(
        [call for call in scene.calls().calls if call.mutating and call.operation != "state.put"]
    )
    scene.wish("abort")
    scene.run(10)
    assert (
        len(
            [
                call
                for call in scene.calls().calls
                if call.mutating and call.operation != "state.put"
            ]
        )
        == calls
    )
    assert (scene.state.phase, scene.state.end) == ("ended", ended.end)
    nothing, log = World(LOCAL, scene.plan.spec), CallLog()
    assert controller.look(nothing.ports(log), "ranker", holder="a", clock=nothing.now).over
    assert [call for call in log.calls if call.mutating] == []


def test_what_was_aborted_can_be_started_again_and_is_another_rollout_1665_3120():
    scene = Scene(behaviours={"challenger": FAILING})
    first = scene.run(120)
    scene.world.behave("challenger", HEALTHY)
    again = replace(scene.plan, initial=split(0))
    documents.begin(scene.store, "ranker", lambda name: begun(again, scene.world.now(), id=name))
    second = scene.run(300)
    assert (first.id, first.end, second.id, second.end) == ("ro1", "aborted", "ro2", "promoted")
    assert {entry.stage for entry in documents.history(scene.store, first)} == {1}


@every_target
def test_a_variant_that_is_never_ready_is_taken_back_in_time_942_flagger_9_724(traits):
    scene = Scene(traits)
    scene.world.fleet.variants["challenger"].phase = "updating"
    state = scene.run(60, until=lambda state: state.phase == "aborting")
    assert state.phase == "aborting"
    assert scene.world.now() - START <= 40 * MINUTE
    assert scene.until("ended").end == "aborted"


@every_target
def test_measurements_that_all_fail_hold_and_abort_and_never_promote_4479_flagger_1095(traits):
    scene = Scene(traits)
    scene.until("baking", 1)
    scene.world.outage = True
    state = scene.until("ended")
    assert (state.end, state.cause, state.stage) == ("aborted", "no data", 1)
    assert scene.words().count("held") == 1


@every_target
def test_a_limit_that_breaks_while_a_person_is_asked_aborts_flagger_1801(traits):
    scene = paused(traits)
    scene.until("waiting")
    scene.world.behave("challenger", FAILING)
    assert scene.until("ended").end == "aborted"
    assert scene.state.stage == 1


@every_target
def test_a_persons_yes_does_not_begin_the_analysis_anew_flagger_1141(traits):
    scene = paused(traits)
    scene.until("waiting")
    scene.run(7)
    said = scene.world.now()
    scene.wish("promote")
    scene.run(3, until=lambda state: state.stage == 2)
    assert scene.world.now() - said <= MINUTE
    assert scene.words().count("bake") == 1


@every_target
def test_roles_are_not_handed_to_a_variant_that_is_not_ready_flagger_1600_1202(traits):
    scene = Scene(traits)
    scene.until("promoted")
    scene.run(3)
    scene.wish("promote")
    scene.run(5, until=lambda state: state.phase == "handing")
    scene.run(3, until=lambda _state: scene.world.fleet.variants["champion"].spec.version == 2)
    scene.world.fleet.variants["champion"].phase = "updating"
    state = scene.until("ended")
    assert (state.end, state.handover) == ("promoted", "failed")
    assert scene.serving == split(100)
    assert scene.aliases["champion"] == 2


@every_target
def test_roles_are_not_handed_to_a_variant_that_is_too_small_flagger_1600_1202(traits):
    """The share of a name never exceeds what its instances are for; one answers 400 a minute, of
    600.
    """
    scene = Scene(replace(traits, room=400), per_minute=600)
    sizes = []
    calls = scene.calls()

    def shifted(call):
        if call.operation == "endpoints.shift":
            sizes.extend(
                (variant.target, variant.instances)
                for variant in scene.world.fleet.variants.values()
            )

    calls.after = shifted
    state = scene.until("ended")
    assert (state.end, state.handover) == ("promoted", "done")
    assert all(instances >= 2 * percent / 100 for percent, instances in sizes)
    assert {minute.server_errors for minute in scene.world.minutes["champion"]} <= {0, 1, 2}


@every_target
def test_the_old_variant_keeps_its_size_until_no_abort_can_need_it_3888(traits):
    scene = Scene(traits)
    while scene.run(1).phase in ("starting", "sizing", "shifting", "baking", "promoted"):
        assert scene.world.fleet.variants["champion"].instances == 2
        if (
            scene.state.phase == "promoted"
            and scene.world.now() > scene.state.grace_until - 2 * MINUTE
        ):
            break
    scene.wish("abort")
    scene.until("ended")
    assert scene.world.fleet.variants["champion"].instances == 2


@every_target
def test_an_alias_that_is_set_late_is_set_back(traits):
    scene = Scene(traits)

    def aborted_by_another():
        scene.wish("abort")
        scene.world.advance(MINUTE)
        scene.until("ended", holder="b")
        assert scene.aliases["champion"] == 1

    stopped_before(scene, "registry.set_alias", aborted_by_another)
    scene.run(60, until=lambda state: state.phase == "ended")
    assert scene.aliases["champion"] == 2  # late: it cannot be fenced
    scene.run(10, holder="b")
    assert scene.aliases["champion"] == 1
    assert scene.state.released


@every_target
def test_a_controller_that_slept_through_forty_bad_minutes_takes_it_back_at_its_first_look(traits):
    scene = Scene(traits)
    scene.until("baking", 2)
    scene.world.behave("challenger", FAILING)
    scene.world.advance(40 * MINUTE)
    looks = 0
    while scene.state.phase == "baking":
        scene.look()
        looks += 1
    assert scene.state.phase in ("aborting", "ended")
    assert looks <= 2  # the first one of a target with a fence touches


@every_target
def test_the_first_failure_in_a_bakes_last_minute_is_not_promoted_away(traits):
    scene = Scene(traits)
    state = scene.until("baking", 2)
    scene.world.advance(state.bake_until - MINUTE - scene.world.now())
    scene.world.behave("challenger", replace(FAILING, error_rate=0.9))
    state = scene.until("ended")
    assert (state.end, state.stage) == ("aborted", 2)


@pytest.mark.parametrize("traits", [LOCAL, VERTEX], ids=lambda traits: traits.name)
def test_of_two_leaders_the_older_ones_call_has_no_effect_where_the_target_can_fence(traits):
    scene = Scene(traits)
    scene.until("baking", 1)

    def another_takes_over_and_a_person_aborts():
        scene.world.advance(100 * MINUTE / 60)
        scene.wish("abort")
        scene.until("ended", holder="b")

    stopped_before(scene, "endpoints.shift", another_takes_over_and_a_person_aborts)
    scene.run(20, until=lambda state: state.phase == "ended")
    assert scene.serving == split(0)
    assert [entry.epoch for entry in scene.history()] == sorted(
        entry.epoch for entry in scene.history()
    )


def test_of_two_leaders_the_older_ones_late_raise_is_seen_and_undone_where_it_cannot():
    scene = Scene(SAGEMAKER)
    scene.until("baking", 1)

    def another_takes_over_and_a_person_aborts():
        scene.world.advance(100 * MINUTE / 60)
        scene.wish("abort")
        scene.until("ended", holder="b")
        assert scene.serving == split(0)

    stopped_before(scene, "endpoints.shift", another_takes_over_and_a_person_aborts)
    scene.run(20, until=lambda state: state.phase == "ended")
    scene.run(3, holder="b", until=lambda _state: scene.serving == split(50))
    assert scene.serving == split(50)  # the late call had its effect
    scene.run(30, holder="b")
    assert scene.serving == split(0)
    assert (scene.words().count("late"), scene.state.released) == (1, True)


@every_target
def test_a_transition_is_told_once_however_often_controllers_die_flagger_1515_497(traits):
    """A new controller every look; the one before died after its last call."""
    scene = Scene(traits)
    for number in range(4000):
        if scene.look(f"c{number // 7}").over:
            break
        scene.world.advance(timedelta(seconds=20))
    told = [
        (entry.what, entry.stage, entry.attempt)
        for entry in scene.history()
        if entry.what not in ("check", "shifted")
    ]
    assert len(told) == len(set(told))
    assert [entry.seq for entry in scene.history()] == list(range(1, scene.state.seq + 1))
    assert told[-1][0] == "ended"


def test_a_store_that_fails_for_the_minutes_stops_no_abort():
    scene = Scene(behaviours={"challenger": FAILING})

    def refused(call):
        if call.operation == "blobs.put":
            raise Unavailable("the bucket is gone")

    scene.calls().before = refused
    assert scene.until("ended").end == "aborted"


def test_a_late_call_that_made_the_new_variant_small_is_undone_before_the_next_bake():
    stages = (RolloutStep(traffic=Decimal(60), bake=5 * MINUTE), *plan().stages[2:])
    scene = Scene(stages=stages)
    scene.until("baking", 1)
    assert scene.world.fleet.variants["challenger"].instances == 2
    scene.ports("b").endpoints.apply(scene.plan.spec)
    assert scene.world.fleet.variants["challenger"].instances == 1
    scene.run(2, until=lambda state: state.attempt == 1 and state.phase == "baking")
    assert scene.world.fleet.variants["challenger"].instances == 2


def without_the_old_one(scene, monkeypatch, *, looks):
    """As on Vertex AI: the old variant is gone, the promoted version under its name did not come
    up, and is seen so for so many looks.
    """
    state, left = scene.world.fleet.state, [looks]

    def seen():
        whole = state()
        old = scene.world.fleet.variants["champion"]
        if old.spec.version != 2 or scene.world.fleet.updating or not left[0]:
            return whole
        left[0] -= 1
        failed = [
            replace(v, phase="failed", instances=0) if v.name == "champion" else v
            for v in whole.variants
        ]
        rest = [v.spec for name, v in scene.world.fleet.variants.items() if name != "champion"]
        return replace(
            whole,
            phase="failed",
            failure="no machine",
            variants=tuple(failed),
            revision=revision_of_variants(rest),
        )

    monkeypatch.setattr(type(scene.world.fleet), "state", lambda _fleet: seen())


def test_a_hand_over_whose_new_champion_does_not_come_up_ends_with_the_one_that_serves(monkeypatch):
    scene = Scene(VERTEX)
    scene.until("handing")
    without_the_old_one(scene, monkeypatch, looks=10**6)
    assert scene.until("ended").end == "promoted"
    assert scene.state.handover == "failed"
    assert scene.serving == split(100)


def test_a_hand_over_whose_new_champion_comes_up_later_goes_on(monkeypatch):
    scene = Scene(VERTEX)
    scene.until("handing")
    without_the_old_one(scene, monkeypatch, looks=5)
    assert scene.until("ended").end == "promoted"
    assert scene.state.handover == "done"
    assert scene.serving == {"champion": 100}
