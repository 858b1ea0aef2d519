"""Aborting and ended rollouts.

Aborting never gives up, and an ended rollout watches for what comes late before it releases the
traffic.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from msgspec.structs import replace

from ...endpoints.port import EndpointSpec, EndpointState
from ..state.actions import Action, Apply, Release, SetAlias
from ..state.capacity import final_spec, is_sized
from ..state.convergence import is_lost, is_served, is_split, target_split, version_of
from ..state.states import Observation, RolloutState
from ..state.transitions import MOST_CALLS, NextState, note, to_ended
from .promoted import model_of
from .shifting import correct_split

# that the traffic is owned until it and the instances are as they are to stay
PATIENCE = timedelta(minutes=30)


def aborting(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Take the next step of an abort: no traffic for the new variant, and the alias moved back.

    An abort has no deadline, and does not wait for the new variant to be ready.
    """
    if observation.endpoint is None or not is_served(state, observation.endpoint):
        return correct_split(state, observation, now, anyhow=True)
    if state.plan.promote_alias is not None:
        if observation.alias_version is None:
            return state, ()
        if actions := _alias_back(state, observation):
            return state, actions
        if state.alias == "moved":
            state = note(
                replace(state, alias="back"), now, "alias", f"{state.plan.promote_alias} is back"
            )
    return to_ended(note(state, now, "aborted", state.cause), now, "aborted"), ()


def end(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Watch the endpoint of an ended rollout for a while, then release its traffic.

    Only late changes are corrected, and instances removed that only the rollout needed.
    """
    if (
        state.taken
        and state.end in ("promoted", "aborted")
        and observation.endpoint is not None
        and not is_lost(state, observation)
    ):
        state, actions = _watch(state, observation, observation.endpoint, now)
        if actions:
            return state, actions
    if state.watch_until is None or now < state.watch_until or observation.owner is None:
        return state, ()
    if observation.owner == "ours":
        patient = now < state.watch_until + PATIENCE and not _is_settled(state, observation)
        return state, () if patient else (Release(),)
    return note(
        replace(state, released=True),
        now,
        "ended",
        f"{state.end}" + (f": {state.cause}" if state.cause else ""),
    ), ()


def _watch(
    state: RolloutState, observation: Observation, endpoint: EndpointState, now: datetime
) -> NextState:
    """Correct changes of traffic or alias by the rollout that take effect after its end."""
    if not is_split(target_split(endpoint), state.intent, state.plan):
        if state.sent > MOST_CALLS:
            return state, ()  # whoever it is, it is not a late call
        if not state.sent:
            state = replace(note(state, now, "late", "the traffic was moved after the end"), sent=1)
        return correct_split(state, observation, now, anyhow=True)
    if is_served(state, endpoint):
        state = replace(state, sent=0)
    if actions := _alias_back(state, observation):
        return state, actions
    if endpoint.phase == "ready" and not is_sized(_final_spec(state), endpoint):
        return state, (Apply(spec=_final_spec(state)),)
    return state, ()


def _is_settled(state: RolloutState, observation: Observation) -> bool:
    """Return whether an ended rollout has nothing left to correct on the endpoint."""
    if observation.endpoint is None:
        return observation.absent
    if not state.taken or state.end in ("refused", "lost") or is_lost(state, observation):
        return True
    # what was put right has arrived, or somebody means it
    served = is_served(state, observation.endpoint) or state.sent > MOST_CALLS
    # else it may be late, and was not looked at
    named = state.plan.promote_alias is None or observation.alias_version is not None
    return served and named and is_sized(_final_spec(state), observation.endpoint)


def _final_spec(state: RolloutState) -> EndpointSpec:
    """Return the endpoint's specification after the rollout.

    It has no variants if nothing is to change: nothing was scaled, or the hand-over stopped half-
    way.
    """
    if state.plan.capacity == "keep" or state.handover == "failed":
        return replace(state.plan.spec, variants=())
    return final_spec(state.plan) if state.handover == "done" else state.plan.spec


def _alias_back(state: RolloutState, observation: Observation) -> tuple[Action, ...]:
    """Return the action that moves an alias from a wrong version back; empty if none is needed.

    The wrong version is the new one after an abort, and the former one after a promotion. An alias
    at any third version was moved by a person, and stays.
    """
    plan = state.plan
    new = version_of(plan, plan.to)
    wrong, right = (plan.alias_before, new) if state.end == "promoted" else (new, plan.alias_before)
    if plan.promote_alias is None or observation.alias_version != wrong or wrong == right:
        return ()
    return (SetAlias(model=model_of(state), alias=plan.promote_alias, version=right or None),)
