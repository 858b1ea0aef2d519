"""Hand-over: the promoted version takes the old variant's name, and the new variant goes.

Whatever fails on the way, the variant that served goes on serving: the rollout is promoted all the
same, and a person is told.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

from msgspec.structs import replace

from ...endpoints.traffic.convergence import variants_ready
from ..evidence.judgement import is_behind, judge, judged_until
from ..state.actions import Apply, SetAlias
from ..state.capacity import final_spec, hand_over_spec, is_sized
from ..state.convergence import is_converged, is_served, next_minute, settled_by, version_of
from ..state.states import Observation, RolloutState
from ..state.transitions import (
    MOST_CALLS,
    SHIFT_TIME,
    NextState,
    note,
    split_at,
    to_ended,
    to_split,
)
from .baking import MOST_CORRECTIONS, drift_text, has_drifted, unready, with_readiness, with_token
from .promoted import model_of
from .shifting import correct_split

SMALL = Decimal(10)  # percent that the old variant's name gets first
LEAST_BAKE = timedelta(minutes=2)  # and the metrics' delay


def handing(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Take the next step of the hand-over after a promotion, or give it up.

    In the hand-over the promoted version moves from the new variant to the old variant's name.
    """
    if state.handover != "failed" and (why := _failure(state, now)):
        if (
            state.handover == "removing"
        ):  # the traffic is home: only the new variant is still there, without any
            state = note(
                replace(state, handover="failed"),
                now,
                "handed",
                f"failed: {state.plan.to} was not removed: {why}",
            )
            return to_ended(state, now, "promoted", f"{state.plan.to} was not removed"), ()
        state = _fail(state, now, why)
    return _STAGES[state.handover](state, observation, now)


def _failure(state: RolloutState, now: datetime) -> str:
    """Return a clause on why the hand-over fails (abort, timeout, too many calls); "" if not."""
    if (wish := state.wish.abort) is not None:
        return f"stopped by {wish.who}; the grace time was over"
    if state.shift_by is not None and now >= state.shift_by:
        small = state.handover == "small" and state.bake_until is not None
        return (
            f"{state.plan.source}'s figures did not come, or fail"
            if small
            else f"{state.plan.source} did not follow in time"
        )
    return f"the target goes back each time, {MOST_CALLS} calls" if state.sent > MOST_CALLS else ""


def _fail(state: RolloutState, now: datetime, why: str) -> RolloutState:
    """Return the state in which all traffic goes back to the new variant, without a deadline.

    `why` says why the hand-over to the old variant's name failed.
    """
    served = to_split(state, now, _everything(state, state.plan.to))
    return note(
        replace(served, handover="failed", shift_by=None, bake_from=None, checks={}),
        now,
        "handed",
        f"failed: {why}",
    )


def _resizing(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Start the promoted version under the old variant's name, and send it test requests."""
    endpoint, spec = observation.endpoint, hand_over_spec(state.plan)
    if endpoint is None:
        return state, ()
    if not variants_ready(spec, endpoint) or not (
        state.plan.capacity == "keep" or is_sized(spec, endpoint)
    ):
        return state, () if endpoint.phase == "updating" else (Apply(spec=spec),)
    if observation.smoke is None:
        return state, ()
    if observation.smoke:
        state = replace(state, not_ready_since=state.not_ready_since or now)
        if unready(state, now):
            return _fail(
                state, now, f"{state.plan.source} does not answer: {observation.smoke}"
            ), ()
        return state, ()
    small = split_at(
        state.plan,
        state.plan.initial[state.plan.source] + state.plan.initial[state.plan.to] - SMALL,
    )
    return to_split(replace(state, handover="small", not_ready_since=None), now, small), ()


def _small(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Send a small share of traffic to the old variant's name, until its metrics are judged.

    That takes two minutes of metrics.
    """
    endpoint, plan = observation.endpoint, state.plan
    if state.bake_from is None or state.bake_until is None:
        if endpoint is None or not is_converged(state, hand_over_spec(plan), endpoint):
            return correct_split(state, observation, now)
        start = next_minute(now)
        until = start + plan.metrics_delay + LEAST_BAKE
        return replace(
            state,
            bake_from=start,
            bake_until=until,
            bake_token=endpoint.token,
            shift_by=until + (plan.on_no_data.hold or SHIFT_TIME),
        ), ()
    state, cause = judge(
        state, observation, now, plan=replace(plan, source=plan.to, to=plan.source)
    )
    state = with_readiness(state, observation, now)
    if cause := cause or unready(state, now):
        return _fail(state, now, cause), ()
    if endpoint is None or is_behind(state, observation):
        return state, ()
    return (
        _correct_drift(state, observation, now)
        if has_drifted(state, observation)
        else (_to_all(with_token(state, observation), now), ())
    )


def _correct_drift(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Give the old variant's name its small share anew, after somebody else's change.

    That is done as often as at any other step.
    """
    state = note(state, now, "drift", drift_text(state, observation))
    if state.corrected >= MOST_CORRECTIONS:
        return _fail(state, now, "somebody else changes the endpoint"), ()
    anew = replace(
        state,
        bake_from=None,
        bake_until=None,
        bake_token=None,
        checks={},
        corrected=state.corrected + 1,
    )
    return correct_split(to_split(anew, now, state.intent), observation, now)


def _to_all(state: RolloutState, now: datetime) -> RolloutState:
    """Send all traffic to the old variant's name, once the metrics of its small share are final.

    It waits as long as a guardrail that can abort fails.
    """
    until = state.bake_until
    deciding = {guardrail.name for guardrail in state.plan.guardrails if not guardrail.dry_run}
    failing = any(tally.running for name, tally in state.checks.items() if name in deciding)
    judged_to = judged_until(state) if state.plan.guardrails else until
    if (
        until is None
        or judged_to is None
        or min(judged_to, settled_by(state.plan, now)) < until
        or failing
    ):
        return state
    moved = replace(
        state, handover="whole", bake_from=None, bake_until=None, bake_token=None, checks={}
    )
    return to_split(moved, now, _everything(state, state.plan.source))


def _whole(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Wait until the old variant's name serves all of the traffic, then go on."""
    if observation.endpoint is None or not is_converged(
        state, hand_over_spec(state.plan), observation.endpoint
    ):
        return correct_split(state, observation, now)
    return replace(state, handover="removing", sent=0, shift_by=now + SHIFT_TIME), ()


def _removing(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Remove the new variant from the endpoint, and take its alias off the promoted version."""
    plan, endpoint, spec = state.plan, observation.endpoint, final_spec(state.plan)
    if endpoint is None:
        return state, ()
    if not variants_ready(spec, endpoint):
        if not is_served(state, endpoint):
            return correct_split(state, observation, now)
        return state, () if endpoint.phase == "updating" else (Apply(spec=spec),)
    if plan.retire_alias is not None:
        if observation.retired_version is None:
            return state, ()
        if observation.retired_version == version_of(plan, plan.to):
            return state, (SetAlias(model=model_of(state), alias=plan.retire_alias, version=None),)
    intent = {name: share for name, share in state.intent.items() if name != plan.to}
    return to_ended(
        note(replace(state, handover="done", intent=intent), now, "handed"), now, "promoted"
    ), ()


def _hand_over_failed(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Bring the traffic back to the new variant after a failed hand-over, and end the rollout."""
    if observation.endpoint is None or not is_served(state, observation.endpoint):
        return correct_split(state, observation, now, anyhow=True)
    return to_ended(
        state,
        now,
        "promoted",
        f"the hand-over failed: the new version still serves as {state.plan.to}",
    ), ()


def _everything(state: RolloutState, name: str) -> dict[str, Decimal]:
    """Return the split in which one variant has all the traffic of the rollout's two.

    `name` is that variant; other variants keep their share.
    """
    split = split_at(state.plan, Decimal(0))
    both = split[state.plan.source]
    return split | {state.plan.source: Decimal(0), state.plan.to: Decimal(0), name: both}


_STAGES: dict[str, Callable[[RolloutState, Observation, datetime], NextState]] = {
    "resizing": _resizing,
    "small": _small,
    "whole": _whole,
    "removing": _removing,
    "failed": _hand_over_failed,
}
