"""The table of phases, row by row, from the promotion or the abort to the end.

No world, no clock.
"""

from datetime import timedelta

import pytest
from msgspec.structs import replace

from isthmus.errors import Busy
from isthmus.rollouts.state import capacity
from isthmus.rollouts.state.actions import Apply, Release, SetAlias, Shift
from isthmus.rollouts.state.states import Wishes
from isthmus.rollouts.tick import outcome
from isthmus.rollouts.verbs.status import status_of

from ..scene import MINUTE, SPEC, plan, split
from .ticks import (
    BAKE,
    NOW,
    OVER,
    YES,
    bake,
    decide,
    endpoint,
    minutes,
    scaled,
    seen,
    state,
    variant,
    words,
)

# promoted


def graced(**fields):
    return state(
        "promoted",
        stage=3,
        **{"bake_from": BAKE, "grace_until": NOW + 60 * MINUTE, "bake_token": "t1"} | fields,
    )


def whole(**fields):
    return seen(endpoint(100, instances=2), **fields)


def test_the_last_step_promotes_and_the_alias_follows_until_it_is_seen():
    after, action = decide(
        bake(stage=3), seen(endpoint(100, instances=2), **minutes(BAKE, 5)), OVER
    )
    assert (after.phase, after.grace_until) == ("promoted", OVER + 60 * MINUTE)
    assert action == SetAlias(model="ranker", alias="champion", version=2)
    assert decide(after, whole(alias_version=2), OVER)[0].alias == "moved"


def test_the_grace_time_ends_only_when_the_alias_was_seen():
    late = graced(grace_until=NOW)
    assert decide(late, whole(alias_version=None))[0].phase == "promoted"
    after, action = decide(late, whole(alias_version=2))
    assert (after.phase, action) == ("handing", Apply(spec=capacity.hand_over_spec(plan())))


def test_another_token_of_the_same_split_takes_no_promotion_back():
    """SageMaker's changes with every autoscaling."""
    after = graced(alias="moved")
    for number in range(5):
        after, action = decide(
            after, seen(endpoint(100, instances=2, token=f"scaled {number}"), alias_version=2)
        )
        assert (after.phase, after.corrected, action) == ("promoted", 0, None)
    after, action = decide(after, seen(endpoint(90), alias_version=2))
    assert (after.corrected, action) == (1, Shift(split=split(100), expect="t1"))


def test_a_person_ends_the_grace_time():
    assert (
        decide(graced(alias="moved", wish=Wishes(promote=YES)), whole(alias_version=2))[0].phase
        == "handing"
    )


@pytest.mark.parametrize("because", ["guardrail", "person"])
def test_in_the_grace_time_a_guardrail_or_a_person_takes_it_back_the_alias_too(because):
    before = graced(alias="moved", wish=Wishes(abort=YES) if because == "person" else Wishes())
    data = {} if because == "person" else minutes(BAKE, 9, new_errors=30)
    after, action = decide(before, whole(alias_version=2, **data), BAKE + 9 * MINUTE)
    assert (after.phase, action) == ("aborting", Shift(split=split(0), expect="t1"))
    after, action = decide(after, seen(endpoint(0), alias_version=2), BAKE + 10 * MINUTE)
    assert (after.phase, action) == (
        "aborting",
        SetAlias(model="ranker", alias="champion", version=1),
    )
    assert decide(after, seen(endpoint(0), alias_version=1), BAKE + 10 * MINUTE)[0].end == "aborted"


def test_what_a_person_named_since_is_left_alone():
    assert decide(graced(alias="moved"), whole(alias_version=7))[1] is None


# handing


def handed(**fields):
    """The old variant's name has the promoted version, and a small share."""
    small = {
        "phase": "handing",
        "handover": "small",
        "stage": 3,
        "intent": split(90),
        "bake_until": BAKE + 5 * MINUTE,
    }
    return bake(**small | {"stage": 3} | fields)


def at_home(new=90, token="t1"):
    spec = capacity.hand_over_spec(plan())
    return replace(
        endpoint(new, token=token, spec=spec, instances=2),
        variants=(
            variant("champion", 100 - new, version=2),
            variant("challenger", new, instances=2),
        ),
    )


def test_who_changes_the_split_again_and_again_ends_the_hand_over_and_what_served_goes_on():
    after = handed()
    for number in range(3):
        after, action = decide(after, seen(at_home(50)))
        assert (after.handover, after.corrected, action) == (
            "small",
            number + 1,
            Shift(split=split(90), expect="t1"),
        )
        after = replace(after, bake_from=BAKE, bake_until=OVER, bake_token="t1")
    after, action = decide(after, seen(at_home(50)))
    assert (after.handover, action) == ("failed", Shift(split=split(100), expect="t1"))
    after, _ = decide(after, seen(at_home(100)))
    assert (after.end, after.cause) == (
        "promoted",
        "the hand-over failed: the new version still serves as challenger",
    )
    text = str(status_of("local", after, None, NOW, project_differs=False))
    assert text.count("the hand-over failed") == 1


def test_a_hand_over_that_only_could_not_remove_the_new_variant_says_no_more_than_that():
    after, _ = decide(handed(handover="removing", intent=split(0), shift_by=NOW), seen(at_home(0)))
    text = str(status_of("local", after, None, NOW, project_differs=False))
    assert (after.end, after.handover, after.cause) == (
        "promoted",
        "failed",
        "challenger was not removed",
    )
    assert "challenger was not removed" in text
    assert "hand-over failed" not in text


# aborting


def test_an_abort_is_looked_at_first_in_every_phase_before_the_end():
    for phase in ("starting", "sizing", "shifting", "baking", "waiting", "promoted"):
        after, _ = decide(bake(phase=phase, wish=Wishes(abort=YES, promote=YES)), seen())
        assert after.phase == "aborting", phase


def test_aborting_never_gives_up_and_does_not_wait_for_what_it_takes_away():
    tired = state("aborting", intent=split(0), sent=90, shift_by=None)
    at = endpoint(25, new_phase="failed", phase="failed")
    after, action = decide(tired, seen(at), NOW + timedelta(days=1))
    assert (after.phase, action) == ("aborting", Shift(split=split(0), expect="t1"))
    assert decide(tired, seen(endpoint(0, phase="failed", new_phase="failed")))[0].end == "aborted"


def test_aborting_asks_again_and_again_where_a_target_cannot_be_interrupted_and_tells_it_once():
    before, at = state("aborting", intent=split(0)), seen(endpoint(10, asked=25, phase="updating"))
    for _ in range(50):
        before, action = decide(before, at)
        assert action == Shift(split=split(0), expect="t1")
        before = outcome(before, action, Busy("Updating"))
    assert words(before) == ["shifted"]


def test_an_abort_before_the_traffic_was_taken_touches_nothing():
    after, action = decide(
        state("starting", taken=False, intent=split(10), wish=Wishes(abort=YES)),
        seen(endpoint(10), owner="free"),
    )
    assert (after.phase, after.end, action) == ("ended", "aborted", None)
    assert decide(after, seen(endpoint(60), owner="other"), NOW + MINUTE)[1] is None


# ended


def test_what_comes_late_is_put_right_and_then_the_traffic_is_given_back():
    over = state("ended", intent=split(0), end="aborted", watch_until=NOW + MINUTE)
    after, action = decide(over, seen(endpoint(25)))
    assert (words(after), action) == (["late"], Shift(split=split(0), expect="t1"))
    assert decide(over, seen(endpoint(0), alias_version=2))[1] == SetAlias(
        model="ranker", alias="champion", version=1
    )
    assert decide(over, seen(endpoint(0)))[1] is None
    after, action = decide(over, seen(endpoint(0)), NOW + MINUTE)
    assert (after.released, action) == (False, Release())
    assert decide(after, seen(endpoint(0), owner="free"), NOW + MINUTE)[0].released


def test_the_traffic_is_not_given_back_before_what_was_put_right_serves():
    over = state("ended", intent=split(0), end="aborted", watch_until=NOW, sent=1)
    assert decide(over, seen(endpoint(25, asked=0, phase="updating")))[1] is None
    assert decide(over, seen(endpoint(0)))[1] == Release()


def test_the_instances_go_back_to_what_is_declared():
    over = state("ended", of=scaled(), intent=split(0), end="aborted", watch_until=NOW)
    assert decide(over, seen(endpoint(0, instances=2)))[1] == Apply(spec=SPEC)


def test_variants_that_are_not_ours_any_more_are_not_touched():
    foreign = replace(endpoint(60), revision="foreign:cfg")
    for phase in ("shifting", "baking", "promoted", "aborting"):
        after, action = decide(bake(phase=phase), seen(foreign, owner="other"))
        assert (after.end, action) == ("lost", None), phase
    assert (
        decide(bake(), seen(replace(foreign, phase="updating")))[0].end is None
    )  # it may be rolled back
