"""The way to a bake: starting, sizing, shifting.

Each goes on only after the target was seen to have followed.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from ..evidence.judgement import is_behind, judge
from ..state.actions import Apply, Shift, Take
from ..state.capacity import is_sized, sized_spec
from ..state.convergence import is_converged, is_lost, is_open, is_split, target_split
from ..state.states import Observation, RolloutState
from ..state.transitions import (
    MOST_CALLS,
    NextState,
    note,
    to_aborting,
    to_baking,
    to_ended,
    to_shifting,
    to_sizing,
)


def starting(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Take ownership of the endpoint's traffic for the rollout, then begin its first step.

    The rollout is refused, and nothing changed, if the traffic has an owner or other variants run
    than were planned.
    """
    if is_lost(state, observation):
        return to_ended(
            state, now, "refused", f"{state.endpoint} does not run the variants that were planned"
        ), ()
    if observation.owner == "other":
        return to_ended(
            state, now, "refused", f"the traffic belongs to {observation.owner_text}"
        ), ()
    if observation.endpoint is None or observation.owner is None:
        return state, ()
    if observation.owner == "free":
        return state, (Take(),)
    if not state.taken:
        state = note(replace(state, taken=True), now, "taken")
    if not may_go_on(state, now):
        return state, ()
    return to_sizing(state, now, 1, ""), ()


def sizing(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Scale up the new variant's instances before its share of the traffic rises."""
    endpoint, spec = observation.endpoint, sized_spec(state.plan, state.stage)
    if state.plan.capacity == "keep":
        return to_shifting(state, now), ()
    if (state := _going_on(state, observation, now)).phase != "sizing" or is_behind(
        state, observation
    ):
        return state, ()
    if endpoint is not None and endpoint.phase == "ready" and is_sized(spec, endpoint):
        if state.sent:
            state = note(state, now, "sized")
        return to_shifting(state, now), ()
    if state.shift_by is not None and now >= state.shift_by:
        return to_aborting(
            state, now, f"{state.plan.to} had not the instances of step {state.stage} in time"
        ), ()
    if state.intent and (step := correct_split(state, observation, now))[1]:
        return step  # somebody moved the traffic while machines start
    waits = endpoint is None or endpoint.phase == "updating" or is_sized(spec, endpoint)
    return (state, ()) if waits else (replace(state, sent=state.sent + 1), (Apply(spec=spec),))


def shifting(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Shift traffic until the target serves the intended split with every variant ready.

    A shift that takes too long, or more than six calls, ends in an abort.
    """
    if (state := _going_on(state, observation, now)).phase != "shifting" or is_behind(
        state, observation
    ):
        return state, ()
    endpoint = observation.endpoint
    if endpoint is not None and is_converged(state, state.plan.spec, endpoint):
        if state.plan.capacity == "scale" and not is_sized(
            sized_spec(state.plan, state.stage), endpoint
        ):
            return replace(
                state, phase="sizing", sent=0
            ), ()  # somebody, or a late call, made it small
        return to_baking(state, now, endpoint.token), ()
    if state.shift_by is not None and now >= state.shift_by:
        return to_aborting(
            state,
            now,
            f"step {state.stage} did not arrive in time: the endpoint is not ready, or "
            "serves another split",
        ), ()
    moved, actions = correct_split(state, observation, now)
    if actions and moved.sent > MOST_CALLS:
        return to_aborting(
            state,
            now,
            f"step {state.stage} did not arrive after {MOST_CALLS} calls: the target goes "
            "back each time",
        ), ()
    return moved, actions


def _going_on(state: RolloutState, observation: Observation, now: datetime) -> RolloutState:
    """Judge metrics while the traffic split is moving; abort if a guardrail fails."""
    state, cause = judge(state, observation, now)
    return to_aborting(state, now, cause) if cause else state


def correct_split(
    state: RolloutState, observation: Observation, now: datetime, *, anyhow: bool = False
) -> NextState:
    """Set the intended split once more if the target was told another one and is ready.

    With `anyhow` it is tried although the target is not ready, so that a variant which never gets
    ready can lose its traffic. If the target raises Busy, it is tried again later.
    """
    endpoint = observation.endpoint
    if endpoint is None or is_split(target_split(endpoint), state.intent, state.plan):
        return state, ()
    if endpoint.phase != "ready" and not anyhow:
        return state, ()
    if not state.sent:
        state = note(state, now, "shifted")
    split = {
        variant.name: state.intent.get(variant.name, state.plan.resolution * 0)
        for variant in endpoint.variants
    }
    return replace(state, sent=state.sent + 1), (Shift(split=split, expect=endpoint.token),)


def may_go_on(state: RolloutState, now: datetime) -> bool:
    """Return whether the new variant's share may rise now: no pause, and in the office hours.

    The share may fall at any time.
    """
    return state.wish.pause is None and is_open(state.plan.advance, now)
