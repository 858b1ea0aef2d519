"""The table of phases, row by row, to the end of a bake, and the lease: what a look decides on what
it sees. No world, no clock.
"""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from isthmus.core.lease import Lease
from isthmus.errors import Busy, Conflict, OutcomeUnknown, Throttled
from isthmus.project.specs.description import Guardrail, Hold, OfficeHours
from isthmus.rollouts.evidence.judgement import is_behind
from isthmus.rollouts.phases.baking import drift_text
from isthmus.rollouts.state import capacity
from isthmus.rollouts.state.actions import Apply, Shift, Take, Touch
from isthmus.rollouts.state.states import Observation, RequestPace, Wish, Wishes
from isthmus.rollouts.tick import outcome, tick

from ..scene import MINUTE, plan, split
from .ticks import BAKE, NOW, OVER, YES, bake, decide, endpoint, minutes, scaled, seen, state, words

# starting


def test_starting_takes_the_traffic_and_waits_until_it_is_seen_to_be_ours():
    after, action = decide(
        state("starting", taken=False, intent=split(10)), seen(endpoint(10), owner="free")
    )
    assert (after.phase, action) == ("starting", Take())


def test_starting_goes_on_to_the_first_step_when_the_traffic_is_ours():
    after, action = decide(state("starting", taken=False, intent=split(10)), seen(endpoint(10)))
    assert (after.phase, after.stage, after.intent) == ("shifting", 1, split(25))
    assert action == Shift(split=split(25), expect="t1")
    assert words(after) == ["taken", "step", "shifted"]


def test_anothers_traffic_refuses_the_rollout_and_touches_nothing():
    after, action = decide(
        state("starting", taken=False),
        seen(endpoint(10), owner="other", owner_text="experiment e7"),
    )
    assert (after.phase, after.end, action) == ("ended", "refused", None)
    assert "experiment e7" in after.cause


def test_other_variants_than_were_planned_refuse_it():
    foreign = replace(endpoint(10), revision="foreign:cfg")
    after = decide(state("starting", taken=False), seen(foreign, owner="free"))[0]
    assert (after.end, after.released, after.watch_until) == ("refused", True, NOW), (
        "nothing can come late of what moved nothing"
    )


@pytest.mark.parametrize("unknown", [{"endpoint": None}, {"owner": None}])
def test_what_could_not_be_read_decides_nothing(unknown):
    before = state("starting", taken=False, intent=split(10))
    assert decide(
        before, Observation(**({"endpoint": endpoint(10), "owner": "ours"} | unknown))
    ) == (before, None)


# sizing


def test_sizing_asks_for_the_instances_of_its_step_before_the_traffic_comes():
    after, action = decide(
        state("sizing", of=scaled(), shift_by=NOW + MINUTE, intent=split(10)), seen(endpoint(10))
    )
    assert after.phase == "sizing"
    assert action == Apply(spec=capacity.sized_spec(scaled(), 1))
    assert {v.name: v.instances for v in action.spec.variants} == {
        "champion": (2, 2),
        "challenger": (2, 2),
    }


def test_sizing_goes_on_when_the_instances_run():
    after, action = decide(
        state("sizing", of=scaled(), sent=1, shift_by=NOW + MINUTE), seen(endpoint(10, instances=2))
    )
    assert after.phase == "shifting"
    assert isinstance(action, Shift)
    assert "sized" in words(after)


def test_sizing_waits_while_the_target_is_updating_and_is_taken_back_when_its_time_is_over():
    waiting = state("sizing", of=scaled(), shift_by=NOW)
    updating = seen(endpoint(10, phase="updating"))
    assert decide(replace(waiting, shift_by=NOW + MINUTE), updating)[1] is None
    assert decide(waiting, updating)[0].phase == "aborting"


def test_capacity_that_is_to_be_kept_needs_no_sizing():
    after, action = decide(
        state("sizing", of=replace(scaled(), capacity="keep")), seen(endpoint(10))
    )
    assert (after.phase, type(action)) == ("shifting", Shift)


# shifting


def test_shifting_sends_again_what_a_silent_rollback_undid():
    after, action = decide(state("shifting", sent=3, shift_by=NOW + MINUTE), seen(endpoint(10)))
    assert (after.sent, action) == (4, Shift(split=split(25), expect="t1"))


def test_shifting_waits_while_the_target_follows():
    after, action = decide(
        state("shifting", sent=1, shift_by=NOW + MINUTE),
        seen(endpoint(10, asked=25, phase="updating")),
    )
    assert (after.phase, action) == ("shifting", None)


@pytest.mark.parametrize(
    "at",
    [
        endpoint(10, asked=25),  # asked for, not yet served
        endpoint(25, phase="updating"),
        endpoint(25, new_phase="updating"),
    ],
)
def test_only_what_serves_and_is_ready_has_converged(at):
    assert decide(state("shifting", sent=1, shift_by=NOW + MINUTE), seen(at))[0].phase == "shifting"


def test_a_bake_starts_at_the_next_whole_minute_with_an_absolute_end():
    after, action = decide(state("shifting", sent=1, shift_by=NOW + MINUTE), seen())
    assert (after.phase, action) == ("baking", None)
    assert (after.bake_from, after.bake_until) == (
        NOW + timedelta(seconds=30),
        NOW + timedelta(seconds=30) + 5 * MINUTE,
    )
    assert after.bake_token == "t1"


@pytest.mark.parametrize(("sent", "minutes_left"), [(6, 1), (1, 0)])
def test_six_calls_or_thirty_minutes_without_convergence_abort(sent, minutes_left):
    after, action = decide(
        state("shifting", sent=sent, shift_by=NOW + minutes_left * MINUTE), seen(endpoint(10))
    )
    assert (after.phase, after.intent) == ("aborting", split(0))
    assert action == Shift(split=split(0), expect="t1")


def test_a_refused_call_is_not_counted_and_one_without_an_answer_is_fenced_off():
    sent = state("shifting", sent=2)
    shift = Shift(split=split(25), expect="t1")
    assert outcome(sent, shift, Throttled("slow down")).sent == 1
    assert outcome(sent, shift, Conflict("stale")).sent == 1
    lost = outcome(sent, shift, OutcomeUnknown("no reply"))
    assert (lost.sent, lost.lease.touched) == (2, False)
    assert isinstance(decide(lost, seen(endpoint(10)))[1], Touch)


def test_while_machines_start_the_minutes_are_judged_on():
    late = {"stage": 2, "bake_from": BAKE, "shift_by": NOW + 30 * MINUTE}
    for phase in ("sizing", "shifting"):
        before = state(phase, of=scaled(), **late)
        after, action = decide(
            before,
            seen(endpoint(60, phase="updating"), **minutes(BAKE, 9, new_errors=30)),
            BAKE + 9 * MINUTE,
        )
        assert (after.phase, action) == ("aborting", Shift(split=split(0), expect="t1")), phase
        assert after.outbox[-2].window == (BAKE, BAKE + 6 * MINUTE)


def test_traffic_that_somebody_moves_while_machines_start_goes_back_to_what_was_meant():
    before = state("sizing", of=scaled(), stage=2, shift_by=NOW + MINUTE, intent=split(60))
    assert decide(before, seen(endpoint(90, instances=1)))[1] == Shift(split=split(60), expect="t1")


# baking


def test_a_bake_that_is_over_and_passes_goes_to_the_next_step():
    after, action = decide(bake(), seen(**minutes(BAKE, 5)), OVER)
    assert (after.phase, after.stage, after.intent) == ("shifting", 2, split(50))
    assert isinstance(action, Shift)
    step = next(entry for entry in after.outbox if entry.what == "step")
    assert step.window == (BAKE, OVER)
    assert {check.verdict for check in step.checks} == {"pass"}


def test_a_bake_that_is_not_over_stays():
    assert decide(bake(), seen(**minutes(BAKE, 4)))[0].phase == "baking"


@pytest.mark.parametrize(
    ("hindered", "at"),
    [
        ({"wish": Wishes(pause=YES)}, endpoint()),
        ({"of": replace(plan(), advance=OfficeHours(days=(5, 6)))}, endpoint()),
        ({"of": replace(plan(), advance=OfficeHours(start=10 * 60, end=17 * 60))}, endpoint()),
        (
            {
                "of": replace(
                    plan(), advance=OfficeHours(start=9 * 60, end=17 * 60, zone="Asia/Tokyo")
                )
            },
            endpoint(),
        ),
        ({}, endpoint(25, new_phase="updating")),
    ],
)
def test_a_pause_the_hours_or_a_target_that_is_not_ready_hold_a_step(hindered, at):
    assert decide(bake(**hindered), seen(at, **minutes(BAKE, 5)), OVER)[0].phase == "baking"


def test_a_step_that_asks_for_a_person_waits():
    paused = replace(plan().stages[0], pause=True)
    after, action = decide(
        bake(of=replace(plan(), stages=(paused, *plan().stages[1:]))),
        seen(**minutes(BAKE, 5)),
        OVER,
    )
    assert (after.phase, action) == ("waiting", None)


def test_a_guardrail_that_fails_twice_running_aborts_and_once_does_not():
    once = decide(bake(), seen(**minutes(BAKE, 5, new_errors=30)), OVER)[0]
    assert (once.phase, once.checks["error_rate max"].running) == ("baking", 1)
    after, action = decide(once, seen(**minutes(BAKE, 6, new_errors=30)), OVER + MINUTE)
    assert (after.phase, action) == ("aborting", Shift(split=split(0), expect="t1"))
    assert "error_rate max" in after.cause


def test_the_same_minutes_are_judged_once_however_often_one_looks():
    once = decide(bake(), seen(**minutes(BAKE, 5, new_errors=30)), OVER)[0]
    again = decide(once, seen(**minutes(BAKE, 5, new_errors=30)), OVER + timedelta(seconds=20))[0]
    assert again.checks == once.checks


def test_who_slept_judges_every_minute_in_its_order():
    asleep = decide(bake(), seen(**minutes(BAKE, 40, new_errors=30)), BAKE + 40 * MINUTE)[0]
    assert asleep.phase == "aborting"
    abort = next(entry for entry in asleep.outbox if entry.what == "abort")
    assert abort.window == (
        BAKE,
        BAKE + 6 * MINUTE,
    )  # the sixth minute decided it, as it would have for who was awake


def test_who_slept_through_a_day_of_changing_verdicts_writes_a_small_document():
    """Each odd minute is above the limit of 1 % by one error, and each even one just within it."""
    above = minutes(BAKE, 600, new_errors=4, old_errors=3)
    within = minutes(BAKE, 600, new_errors=2, old_errors=3)
    some = {
        name: tuple(
            pair[n % 2] for n, pair in enumerate(zip(listed, within["minutes"][name], strict=True))
        )
        for name, listed in above["minutes"].items()
    }
    after = bake(stage=1)
    for so_far in (240, 480, 600):
        after, _ = decide(
            replace(after, outbox=()),
            seen(settled=above["settled"], minutes=some),
            BAKE + 600 * MINUTE,
        )
        assert 4 < len(after.outbox) < 12
        assert after.outbox[-1].seq == after.seq
        assert {tally.until for tally in after.checks.values()} == {BAKE + so_far * MINUTE}


@pytest.mark.parametrize("phase", ["baking", "promoted", "shifting"])
def test_nothing_is_decided_before_every_minute_that_was_read_is_judged(phase):
    """Nobody looked for a day, the last hour of which is bad: the first look must not go on with
    the good ones.
    """
    good, bad = minutes(BAKE, 300), minutes(BAKE + 300 * MINUTE, 60, new_errors=30)
    data = {
        "settled": bad["settled"],
        "minutes": {
            name: (*good["minutes"][name], *bad["minutes"][name]) for name in good["minutes"]
        },
    }
    stage = {"baking": 1, "promoted": 3, "shifting": 2}[phase]
    at, late = endpoint({1: 25, 2: 50, 3: 100}[stage], instances=2), BAKE + 360 * MINUTE
    before = bake(stage, phase, grace_until=NOW, alias="moved", shift_by=late + 30 * MINUTE)
    first, action = decide(before, seen(at, alias_version=2, **data), late)
    assert (first.phase, first.stage, action) == (phase, stage, None)
    assert is_behind(first, seen(at, **data))
    second, action = decide(first, seen(at, alias_version=2, **data), late)
    assert (second.phase, action) == ("aborting", Shift(split=split(0), expect="t1"))


def test_a_dry_run_is_judged_and_decides_nothing():
    dry = (Guardrail(metric="error_rate", max=0.01, dry_run=True),)
    after = decide(
        bake(of=replace(plan(), guardrails=dry)),
        seen(**minutes(BAKE, 7, new_errors=100)),
        BAKE + 7 * MINUTE,
    )[0]
    assert (after.phase, after.stage) == ("shifting", 2)
    assert "fail" in {check.verdict for entry in after.outbox for check in entry.checks}


def test_no_data_at_the_end_holds_once_and_then_aborts():
    held = decide(bake(), seen(settled=OVER), OVER)[0]
    assert (held.phase, held.hold_until) == ("baking", OVER + 30 * MINUTE)
    later = decide(held, seen(settled=OVER + MINUTE), OVER + MINUTE)[0]
    assert later.hold_until == held.hold_until
    assert (
        decide(later, seen(settled=OVER + 30 * MINUTE), OVER + 30 * MINUTE)[0].phase == "aborting"
    )


def test_without_a_request_nothing_is_promoted_also_where_nothing_can_be_compared():
    """Blue-green, and the only guardrail compares."""
    relative = replace(
        plan(), stages=plan().stages[2:], guardrails=(Guardrail(metric="error_rate", max_ratio=2),)
    )
    before, at = bake(of=relative), endpoint(100, instances=2)
    over = decide(before, seen(at, settled=OVER), OVER)[0]
    assert (over.phase, over.held_for) == ("baking", "no data")
    assert (
        decide(over, seen(at, settled=OVER + 30 * MINUTE), OVER + 30 * MINUTE)[0].phase
        == "aborting"
    )
    assert decide(before, seen(at, **minutes(BAKE, 5)), OVER)[0].phase == "promoted"


def test_data_that_come_while_it_holds_let_it_go_on():
    held = decide(bake(), seen(settled=OVER), OVER)[0]
    after, _ = decide(held, seen(**minutes(BAKE, 8)), BAKE + 8 * MINUTE)
    assert (after.stage, after.hold_until) == (2, None)
    assert "data" in words(after)


def test_little_traffic_is_waited_for_as_long_as_it_comes():
    """Two requests a minute: the 200 that a pass takes are there after 100 minutes."""
    held = decide(bake(), seen(**minutes(BAKE, 5, requests=2)), OVER)[0]
    for count in range(6, 100):
        held, _ = decide(held, seen(**minutes(BAKE, count, requests=2)), BAKE + count * MINUTE)
        assert (held.phase, held.held_for) == ("baking", "no data")
        held = replace(held, outbox=())
    after, _ = decide(held, seen(**minutes(BAKE, 100, requests=2)), BAKE + 100 * MINUTE)
    assert (after.stage, after.hold_until) == (2, None)
    silent = minutes(BAKE, 99, requests=2) | {"settled": BAKE + 129 * MINUTE}
    assert decide(held, seen(**silent), BAKE + 129 * MINUTE)[0].phase == "aborting"


def test_a_person_is_asked_where_no_minute_is_large_enough_for_a_latency():
    """No minute has the 100 requests that a p99 takes, however many minutes come."""
    slow = (Guardrail(metric="latency_p99", max=50),)
    held = decide(bake(of=plan(guardrails=slow)), seen(**minutes(BAKE, 5, requests=60)), OVER)[0]
    assert held.held_for == "inconclusive"
    late = minutes(BAKE, 10, requests=60)
    asks = decide(held, seen(**late), OVER + 5 * MINUTE)[0]
    assert asks.phase == "waiting"
    assert asks.outbox[-1].why == (
        "inconclusive: latency_p99 max 0 of 5 minutes with 100 requests, after the bake was made "
        "longer"
    )


def test_minutes_that_a_latency_can_judge_are_waited_for_while_they_come():
    """One of ten has 120 requests: the fifth, after 50 minutes, decides."""
    slow = (Guardrail(metric="latency_p99", max=50),)
    state, wide = bake(of=plan(guardrails=slow)), minutes(BAKE, 50, requests=120)
    buckets = {name: of[9::10] for name, of in wide["minutes"].items()}
    for count in range(5, 50):
        until = BAKE + count * MINUTE
        settled = {name: [b for b in of if b.start < until] for name, of in buckets.items()}
        state, _ = decide(state, seen(settled=until, minutes=settled), until)
        assert (state.phase, state.stage) == ("baking", 1)
        state = replace(state, outbox=())
    after, _ = decide(state, seen(settled=BAKE + 50 * MINUTE, minutes=buckets), BAKE + 50 * MINUTE)
    assert after.stage == 2


def test_a_wait_outlasts_the_longest_lull_of_the_traffic():
    """Two bursts of twenty requests in 26 minutes tell little of how long a lull can be."""
    burst = minutes(BAKE, 26, requests=20)
    burst["minutes"] = {
        name: (buckets[12], buckets[24]) for name, buckets in burst["minutes"].items()
    }
    held = decide(bake(), seen(**burst), BAKE + 26 * MINUTE)[0]
    assert held.hold_until > BAKE + (26 + 3 * 12) * MINUTE
    silent, end = burst | {"settled": held.hold_until}, held.hold_until
    for _look in range(7):  # each judges four hours of minutes
        held = replace(decide(held, seen(**silent), end)[0], outbox=())
    assert (held.phase, held.cause) == ("aborting", "no data")


def test_a_rollout_knows_the_pace_of_the_bakes_before():
    """In the second step nothing has come yet; in the first, requests came in one minute of ten."""
    known = RequestPace(minutes=200, busy=20, lulls=20, longest=30)
    silent = seen(endpoint(50), settled=BAKE + 5 * MINUTE)
    held = [decide(bake(2, pace=pace), silent, OVER)[0] for pace in (RequestPace(), known)]
    assert [state.phase for state in held] == ["baking", "baking"]
    assert held[0].hold_until == OVER + 30 * MINUTE
    assert held[1].hold_until > OVER + 90 * MINUTE


def test_metrics_that_cannot_be_read_are_no_data():
    failed = decide(bake(), seen(), OVER + 3 * MINUTE)[0]
    assert (failed.phase, failed.held_for) == ("baking", "no data")


def test_what_is_inconclusive_grows_for_one_more_bake_and_then_asks():
    above = {"new_errors": 4, "old_errors": 4}  # 1.3 %, of at most 1 %: above, without proof
    held = decide(bake(), seen(**minutes(BAKE, 5, **above)), OVER)[0]
    assert (held.phase, held.held_for) == ("baking", "inconclusive")
    asks = decide(held, seen(**minutes(BAKE, 10, **above)), BAKE + 10 * MINUTE)[0]
    assert asks.phase == "waiting"


def test_on_inconclusive_may_abort():
    above = {"new_errors": 4, "old_errors": 4}
    strict = replace(plan(), on_inconclusive=Hold(hold=2 * MINUTE, then="abort"))
    assert (
        decide(bake(of=strict), seen(**minutes(BAKE, 7, **above)), BAKE + 7 * MINUTE)[0].phase
        == "aborting"
    )


@pytest.mark.parametrize(("share", "token"), [(90, "t1"), (10, "t1"), (25, "t2")])
def test_another_split_or_another_token_is_drift_and_begins_a_whole_new_bake(share, token):
    after, action = decide(bake(), seen(endpoint(share, token=token)))
    assert after.corrected == 1
    assert words(after)[0] == "drift"
    told = drift_text(bake(), seen(endpoint(share, token=token)))
    assert told == (
        "somebody else changed the endpoint, and left its split as it is"
        if share == 25
        else f"somebody else changed the split: champion from 75 to {100 - share} %, "
        f"challenger from 25 to {share} %"
    )
    if share == 25:  # only somebody was there and went
        assert (after.phase, after.attempt, after.bake_from, action) == (
            "baking",
            1,
            NOW + timedelta(seconds=30),
            None,
        )
    else:
        assert (after.phase, after.attempt, action) == (
            "shifting",
            1,
            Shift(split=split(25), expect=token),
        )


def test_the_fourth_drift_aborts_and_on_drift_abort_the_first():
    assert decide(bake(corrected=3), seen(endpoint(90)))[0].phase == "aborting"
    assert (
        decide(bake(of=replace(plan(), on_drift="abort")), seen(endpoint(90)))[0].phase
        == "aborting"
    )


def test_on_drift_pause_puts_the_traffic_right_and_waits_for_a_person():
    after, action = decide(bake(of=replace(plan(), on_drift="pause")), seen(endpoint(90)))
    assert (after.phase, action) == ("shifting", Shift(split=split(25), expect="t1"))
    assert after.wish.pause.because == "drift"


def test_five_minutes_without_readiness_abort_and_readiness_forgets():
    sick = seen(endpoint(25, new_phase="failed", phase="failed"))
    first = decide(bake(), sick)[0]
    assert (first.phase, first.not_ready_since) == ("baking", NOW)
    assert decide(first, seen())[0].not_ready_since is None
    assert decide(first, sick, NOW + 5 * MINUTE)[0].phase == "aborting"


def test_an_endpoint_that_is_updating_elsewhere_while_both_variants_answer_is_no_reason_to_abort():
    updating = seen(endpoint(25, phase="updating"))
    first = decide(bake(), updating)[0]
    assert (first.phase, first.not_ready_since) == ("baking", None)
    assert decide(first, updating, NOW + 6 * MINUTE)[0].phase == "baking"


# waiting


def test_waiting_goes_on_with_a_persons_yes_and_does_not_begin_the_analysis_anew():
    waits = bake(phase="waiting", wish=Wishes(promote=YES))
    after, _ = decide(waits, seen(**minutes(BAKE, 6)), BAKE + 6 * MINUTE)
    assert (after.phase, after.stage, after.wish.promote) == ("shifting", 2, None)
    assert "bake" not in words(after)
    assert "asked" in words(after)


def test_a_yes_without_data_needs_a_reason_and_the_history_says_what_it_overrides():
    def waits(because):
        return bake(phase="waiting", wish=Wishes(promote=Wish(who="ann", at=NOW, because=because)))

    assert decide(waits(""), seen(settled=OVER), OVER)[0].phase == "waiting"
    after = decide(waits("few people at night"), seen(settled=OVER), OVER)[0]
    assert after.stage == 2
    asked = next(entry for entry in after.outbox if entry.what == "asked")
    assert asked.why == "ann: few people at night (overrides: no data)"


def test_a_yes_does_not_outlive_the_bake_that_it_was_said_of():
    """Said of one bake, it would override the next one's missing data, and skip the pause that its
    step asks for.
    """
    waits = bake(
        phase="waiting", wish=Wishes(promote=Wish(who="ann", at=NOW, because="few people at night"))
    )
    after, action = decide(waits, seen(endpoint(90)))
    assert (after.phase, after.wish.promote, action) == (
        "shifting",
        None,
        Shift(split=split(25), expect="t1"),
    )
    later = replace(after, phase="baking", bake_from=BAKE, bake_until=OVER, bake_token="t1")
    over = decide(later, seen(settled=OVER), OVER)[0]
    assert (over.stage, over.held_for) == (1, "no data")


def test_the_limit_is_watched_while_a_person_is_asked():
    after, _ = decide(
        bake(phase="waiting"), seen(**minutes(BAKE, 9, new_errors=30)), BAKE + 9 * MINUTE
    )
    assert after.phase == "aborting"


def test_a_yes_does_not_override_a_guardrail_that_fails():
    waits = bake(phase="waiting", wish=Wishes(promote=Wish(who="ann", at=NOW, because="trust me")))
    assert decide(waits, seen(**minutes(BAKE, 5, new_errors=30)), OVER)[0].phase == "waiting"


# the lease


def test_who_takes_over_from_a_silent_holder_touches_before_it_decides():
    dead = bake(lease=Lease(holder="b", epoch=3, until=NOW), wish=Wishes(abort=YES))
    after, action = decide(dead, seen())
    assert action == Touch(split=split(25), expect="t1")
    assert (after.lease.epoch, after.lease.touched, after.phase, after.bake_token) == (
        4,
        False,
        "baking",
        None,
    )
    assert (
        decide(outcome(after, action, None), seen(endpoint(25, token="t2")))[0].phase == "aborting"
    )


def test_a_touch_compares_the_bakes_token_first():
    dead = bake(lease=Lease(holder="b", epoch=3, until=NOW))
    after, action = decide(dead, seen(endpoint(25, token="t2")))
    assert after.bake_token == "t1"
    assert decide(outcome(after, action, None), seen(endpoint(25, token="t3")))[0].attempt == 1


def test_somebody_between_our_look_and_our_touch_is_drift():
    after, action = decide(bake(lease=Lease(holder="b", epoch=3, until=NOW)), seen())
    after = outcome(after, action, Conflict("stale"))
    after, action = decide(after, seen(endpoint(25, token="t3")))
    assert decide(outcome(after, action, None), seen(endpoint(25, token="t4")))[0].attempt == 1


def test_a_lease_that_was_given_back_and_a_target_without_a_fence_need_no_touch():
    given = bake(lease=Lease(holder="", epoch=3, until=None))
    assert decide(given, seen())[1] is None
    unfenced = bake(of=replace(plan(), fenced=False), lease=Lease(holder="b", epoch=3, until=NOW))
    assert decide(unfenced, seen())[1] is None


def test_anothers_lease_is_respected_unless_it_is_seized():
    held = bake(lease=Lease(holder="b", epoch=3, until=NOW + MINUTE))
    with pytest.raises(Busy):
        tick(held, seen(), NOW, holder="a")
    after, actions = tick(held, seen(), NOW, holder="a", seize=True)
    assert (after.lease.holder, after.lease.epoch, type(actions[0])) == ("a", 4, Touch)
