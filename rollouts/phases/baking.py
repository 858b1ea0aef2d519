"""Baking: a step serves, and its minutes are judged.

Somebody else's changes are corrected, and a person may be asked.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from ...endpoints.split import percent_text
from ..evidence.judgement import is_behind, judge, overall_verdict, wait_for_data
from ..state.convergence import is_converged, is_ready, is_served, settled_by
from ..state.states import Observation, RolloutState, Wish
from ..state.transitions import (
    NextState,
    note,
    to_aborting,
    to_promoted,
    to_shifting_again,
    to_sizing,
)
from .shifting import may_go_on

PATIENCE = timedelta(minutes=5)  # with a variant that is not ready
MOST_CORRECTIONS = 3  # of a rollout; who changes the split again and again means it


def baking(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Take the next step of a bake: judge new metrics, and decide once its time is over.

    A bake is the time in which a step of the rollout is watched. Guardrails are judged while a
    person is asked, too.
    """
    state, cause = judge(state, observation, now)
    state = with_readiness(state, observation, now)
    if cause := cause or unready(state, now):
        return to_aborting(state, now, cause), ()
    if is_behind(state, observation):
        return state, ()
    if has_drifted(state, observation):
        return _correct_drift(state, observation, now), ()
    state = with_token(state, observation)
    if state.bake_until is None or settled_by(state.plan, now) < state.bake_until:
        return state, ()
    return _decide_after_bake(state, observation, now)


def with_readiness(state: RolloutState, observation: Observation, now: datetime) -> RolloutState:
    """Update the state with the time since which a variant of the rollout has not been ready."""
    if observation.endpoint is None:
        return state
    if is_ready(state, observation.endpoint):
        return replace(state, not_ready_since=None)
    return state if state.not_ready_since else replace(state, not_ready_since=now)


def unready(state: RolloutState, now: datetime) -> str:
    """Return a clause that a variant was not ready for too long, or "" if none was."""
    if state.not_ready_since is None or now - state.not_ready_since < PATIENCE:
        return ""
    return f"a variant was not ready for {PATIENCE // timedelta(minutes=1)} minutes"


def has_drifted(state: RolloutState, observation: Observation) -> bool:
    """Return whether somebody else changed the endpoint's traffic split or configuration.

    The endpoint's token (endpoints/port.py) shows it. It changes with what people change;
    autoscaling, maintenance and monitoring leave it as it is.
    """
    endpoint = observation.endpoint
    if endpoint is None:
        return False
    return not is_served(state, endpoint) or (
        state.bake_token is not None and endpoint.token != state.bake_token
    )


def with_token(state: RolloutState, observation: Observation) -> RolloutState:
    """Record the endpoint's token in the state if none is known, to notice later changes by it."""
    if observation.endpoint is None or state.bake_token is not None:
        return state
    return replace(state, bake_token=observation.endpoint.token)


def drift_text(state: RolloutState, observation: Observation) -> str:
    """Return a sentence on what somebody else changed in the endpoint's traffic split."""
    endpoint = observation.endpoint
    served = {} if endpoint is None else {v.name: v.target_percent for v in endpoint.variants}
    intended = dict(state.intent)
    if endpoint is None or intended == served:
        return "somebody else changed the endpoint, and left its split as it is"
    moves = ", ".join(
        f"{name} from {percent_text(intended.get(name, Decimal(0)))} to {percent_text(percent)} %"
        for name, percent in served.items()
        if percent != intended.get(name, Decimal(0))
    )
    return f"somebody else changed the split: {moves}" if moves else "somebody else changed it"


def _correct_drift(state: RolloutState, observation: Observation, now: datetime) -> RolloutState:
    """Undo a change that somebody else made to the split, and begin the bake anew.

    A bake is the time in which a step is watched. If the plan says so, or it happens too often, the
    rollout is aborted or paused.
    """
    state = note(state, now, "drift", drift_text(state, observation))
    if state.plan.on_drift == "abort" or state.corrected >= MOST_CORRECTIONS:
        return to_aborting(state, now, "drift: somebody else changes the endpoint")
    if state.plan.on_drift == "pause" and state.wish.pause is None:
        wish = Wish(who=state.lease.holder, at=now, because="drift")
        state = note(replace(state, wish=replace(state.wish, pause=wish)), now, "paused", "drift")
    return to_shifting_again(state, now)


def _decide_after_bake(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Decide at the end of a bake: go to the next step, wait for a person or data, or abort.

    A bake is the time in which a step is watched.
    """
    plan, verdict = state.plan, overall_verdict(state, now)
    if verdict in ("fail", "unread"):
        return state, ()  # one more check decides
    if state.hold_until is not None and verdict != "no data":
        state = note(replace(state, hold_until=None, held_for=""), now, "data")
    yes = state.wish.promote
    if verdict == "pass" or (yes is not None and yes.because):
        asks = plan.stages[state.stage - 1].pause or state.phase == "waiting"
        return (
            _wait(state, now, "this step asks for it")
            if asks and yes is None
            else _advance(state, observation, now, overridden=verdict)
        )
    if state.phase == "waiting":
        return state, ()
    if verdict == "no data":
        return _hold_without_data(state, now)
    bake = plan.stages[state.stage - 1].bake
    if state.bake_until is not None and settled_by(plan, now) >= state.bake_until + (
        plan.on_inconclusive.hold or bake
    ):
        why = f"{_inconclusive(state)}, after the bake was made longer"
        return (
            _wait(state, now, why)
            if plan.on_inconclusive.then == "pause"
            else (to_aborting(state, now, why), ())
        )
    if state.held_for != "inconclusive":
        state = note(replace(state, held_for="inconclusive"), now, "held", "inconclusive")
    return state, ()


def _inconclusive(state: RolloutState) -> str:
    """Return a clause on why guardrails that can abort the rollout are inconclusive."""
    dry = {guardrail.name for guardrail in state.plan.guardrails if guardrail.dry_run}
    checks = (tally.check for name, tally in state.checks.items() if name not in dry)
    return "inconclusive: " + "; ".join(
        f"{check.guardrail} {check.why}" for check in checks if check.verdict == "inconclusive"
    )


def _hold_without_data(state: RolloutState, now: datetime) -> NextState:
    """Wait for missing data at the end of a bake, then ask a person or abort, as the plan says.

    A bake is the time in which a step is watched. Each minute that brings some data lets it wait
    for longer (evidence/judgement.py).
    """
    hold = state.plan.on_no_data
    if state.hold_until is None:
        until = now + wait_for_data(state)
        return note(
            replace(state, hold_until=until, held_for="no data"), now, "held", "no data"
        ), ()
    if now < state.hold_until:
        return state, ()
    why = "no data"
    return _wait(state, now, why) if hold.then == "pause" else (to_aborting(state, now, why), ())


def _wait(state: RolloutState, now: datetime, why: str) -> NextState:
    """Pause a rollout at the end of a step until a person approves or aborts it.

    `why` is the reason, for the history.
    """
    if state.phase == "waiting":
        return state, ()
    return note(replace(state, phase="waiting"), now, "waiting", why), ()


def _advance(
    state: RolloutState, observation: Observation, now: datetime, *, overridden: str
) -> NextState:
    """Go to the next step, or promote after the last one.

    It waits while the target changes, outside the office hours and during a pause. `overridden` is
    the reason of a person who approved against the data, or "".
    """
    if (
        observation.endpoint is None
        or not is_converged(state, state.plan.spec, observation.endpoint)
        or not may_go_on(state, now)
    ):
        return state, ()
    why, yes = "", state.wish.promote
    if yes is not None:
        why = f"{yes.who}: {yes.because}" if yes.because else yes.who
        state = note(
            state, now, "asked", why if overridden == "pass" else f"{why} (overrides: {overridden})"
        )
        state = replace(state, wish=replace(state.wish, promote=None))
    if state.stage == len(state.plan.stages):
        return to_promoted(state, now, why), ()
    return to_sizing(state, now, state.stage + 1, why), ()
