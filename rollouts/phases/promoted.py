"""Promoted: all of the traffic is the new variant's.

The alias follows, and the old variant keeps its size until the grace time is over.
"""

from __future__ import annotations

from datetime import datetime

from msgspec.structs import replace

from ..evidence.judgement import is_behind, judge, overall_verdict
from ..state.actions import SetAlias
from ..state.convergence import is_converged, is_served, version_of
from ..state.states import Observation, RolloutState
from ..state.transitions import NextState, note, to_aborting, to_handing
from .baking import MOST_CORRECTIONS, drift_text, unready, with_readiness
from .shifting import correct_split, may_go_on


def promote(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Judge the minutes after the promotion; undo it, alias included, if a guardrail fails.

    A changed traffic split is corrected. Other changes of the endpoint are accepted: the grace time
    after the promotion may be a day, in which people change replicas or deploy.
    """
    state, cause = judge(state, observation, now)
    state = with_readiness(state, observation, now)
    if cause := cause or unready(state, now):
        return to_aborting(state, now, cause), ()
    if is_behind(state, observation):
        return state, ()
    if observation.endpoint is not None and not is_served(state, observation.endpoint):
        return _correct_drift(state, observation, now)
    state = _undrifted(state, observation, now)
    state, actions = _alias(state, observation, now)
    return (state, actions) if actions else (_after_grace(state, observation, now), ())


def model_of(state: RolloutState) -> str:
    """Return the name of the model that the rollout's variants serve."""
    return next(
        variant.model for variant in state.plan.spec.variants if variant.name == state.plan.to
    )


def _correct_drift(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Undo a change of the traffic split that somebody else made after the promotion."""
    if state.held_for != "drift":
        state = note(
            replace(state, held_for="drift", sent=0, corrected=state.corrected + 1),
            now,
            "drift",
            drift_text(state, observation),
        )
    if state.plan.on_drift == "abort" or state.corrected > MOST_CORRECTIONS:
        return to_aborting(state, now, "drift: somebody else changes the endpoint"), ()
    return correct_split(replace(state, bake_token=None), observation, now)


def _undrifted(state: RolloutState, observation: Observation, now: datetime) -> RolloutState:
    """Record that the traffic split is as it should be, with the endpoint's new token."""
    if observation.endpoint is None:
        return state
    if state.held_for == "drift":
        state = note(replace(state, held_for=""), now, "corrected")
    return replace(state, bake_token=observation.endpoint.token)


def _alias(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Point the model's alias at the promoted version, and repeat that until it is read back.

    Later it is set again only if a late call put the old version back; a person may set another.
    """
    alias, version = state.plan.promote_alias, version_of(state.plan, state.plan.to)
    if alias is None or observation.alias_version is None:
        return state, ()
    if observation.alias_version == version:
        return (
            note(replace(state, alias="moved"), now, "alias", f"{alias} -> {version}")
            if state.alias == "unmoved"
            else state
        ), ()
    if state.alias == "moved" and observation.alias_version != state.plan.alias_before:
        return state, ()
    return state, (SetAlias(model=model_of(state), alias=alias, version=version),)


def _after_grace(state: RolloutState, observation: Observation, now: datetime) -> RolloutState:
    """Begin the hand-over once the grace time after the promotion is over."""
    if (yes := state.wish.promote) is not None:
        state = note(
            state,
            now,
            "asked",
            f"{yes.who} ends the grace time" + (f": {yes.because}" if yes.because else ""),
        )
        state = replace(
            state,
            grace_until=min(state.grace_until or now, now),
            wish=replace(state.wish, promote=None),
        )
    if (
        state.grace_until is None
        or now < state.grace_until
        or not may_go_on(state, now)
        or overall_verdict(state, now) == "fail"
    ):
        return state
    followed = state.plan.promote_alias is None or state.alias == "moved"
    if (
        observation.endpoint is None
        or not followed
        or not is_converged(state, state.plan.spec, observation.endpoint)
    ):
        return state
    return to_handing(state, now)
