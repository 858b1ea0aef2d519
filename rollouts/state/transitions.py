"""Transitions from phase to phase: what a state looks like when a phase begins. Pure.

Why and when one begins is the phases' business.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from msgspec.structs import replace

from .actions import Action
from .convergence import next_minute
from .states import Check, End, HistoryEntry, RolloutPlan, RolloutState, What

NextState = tuple[RolloutState, tuple[Action, ...]]  # the next state, and what is asked for
SHIFT_TIME = timedelta(minutes=30)  # for capacity, and again for the traffic, to follow
# that do not bring the traffic where it is meant to be: a silent rollback ends ready
MOST_CALLS = 6
WATCH = timedelta(minutes=6)  # a lease, and the five minutes in which AWS takes a signature


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """The checks that a decision rests on."""

    checks: tuple[Check, ...] = ()
    window: tuple[datetime, datetime] | None = None


def evidence(state: RolloutState) -> Evidence:
    """Return the guardrail checks of the present step, with the period that they cover."""
    if state.bake_from is None or not state.checks:
        return Evidence()
    tallies = state.checks.values()
    return Evidence(
        checks=tuple(tally.check for tally in tallies),
        window=(state.bake_from, min(tally.until for tally in tallies)),
    )


def note(
    state: RolloutState,
    now: datetime,
    what: What,
    why: str = "",
    *,
    basis: Evidence = Evidence(),  # noqa: B008  frozen
    who: str = "",
) -> RolloutState:
    """Return the state with one more entry of the rollout's history.

    `what` is the kind of entry, `why` the reason, `basis` the checks that the decision rests on,
    `who` the person, by default the controller.
    """
    entry = HistoryEntry(
        seq=state.seq + 1,
        at=now,
        who=who or state.lease.holder,
        epoch=state.lease.epoch,
        what=what,
        why=why,
        stage=state.stage,
        attempt=state.attempt,
        percent=state.intent.get(state.plan.to),
        checks=basis.checks,
        window=basis.window,
    )
    return replace(state, seq=entry.seq, outbox=(*state.outbox, entry))


def split_at(plan: RolloutPlan, percent: Decimal) -> dict[str, Decimal]:
    """Return the split in which the new variant has this percentage.

    The old variant has the rest of what both had at the start; other variants keep theirs.
    """
    both = plan.initial[plan.source] + plan.initial[plan.to]
    return {
        name: percent if name == plan.to else both - percent if name == plan.source else share
        for name, share in plan.initial.items()
    }


def to_sizing(state: RolloutState, now: datetime, stage: int, why: str) -> RolloutState:
    """Return the state in which the next step begins, by scaling up instances.

    Scaling may take half an hour. Until the next bake, guardrails go on judging the minutes since
    the last bake began.

    `stage` is the step's number, `why` the reason.
    """
    moved = replace(
        _unbaked(state), phase="sizing", stage=stage, attempt=0, sent=0, shift_by=now + SHIFT_TIME
    )
    moved = replace(moved, bake_from=state.bake_from, checks=state.checks)
    return note(moved, now, "step", why, basis=evidence(state))


def to_shifting(state: RolloutState, now: datetime) -> RolloutState:
    """Return the state in which traffic moves to the share of its step."""
    share = state.plan.stages[state.stage - 1].traffic
    return to_split(replace(state, phase="shifting"), now, split_at(state.plan, share))


def to_shifting_again(state: RolloutState, now: datetime) -> RolloutState:
    """Return the state in which the split is set once more, before the step is watched anew.

    Somebody else's change has spoiled the measurements; a person's approval no longer counts.
    """
    anew = replace(_unbaked(state), attempt=state.attempt + 1, corrected=state.corrected + 1)
    return to_shifting(replace(anew, wish=replace(state.wish, promote=None)), now)


def to_split(state: RolloutState, now: datetime, split: Mapping[str, Decimal]) -> RolloutState:
    """Return the state with a new intended traffic split and a deadline to reach it."""
    return replace(state, intent=dict(split), sent=0, shift_by=now + SHIFT_TIME)


def to_baking(state: RolloutState, now: datetime, token: str) -> RolloutState:
    """Return the state in which a bake begins, at the next whole minute.

    A bake is the time in which a step is watched; its end is fixed now. `token` is the endpoint's,
    which was seen to serve the intended split.
    """
    bake_from = next_minute(now)
    moved = note(
        state, now, "corrected" if state.attempt else "converged", f"after {state.sent} call(s)"
    )
    bake_until = bake_from + state.plan.stages[state.stage - 1].bake
    moved = replace(
        moved,
        phase="baking",
        shift_by=None,
        bake_from=bake_from,
        bake_until=bake_until,
        bake_token=token,
        checks={},
    )
    return note(moved, now, "bake", f"until {bake_until:%Y-%m-%d %H:%M} UTC")


def to_promoted(state: RolloutState, now: datetime, why: str) -> RolloutState:
    """Return the state in which the new variant has all of the traffic.

    `why` is the reason. The grace time that follows is judged anew, like a step.
    """
    moved = replace(
        _unbaked(state),
        phase="promoted",
        bake_from=next_minute(now),
        bake_token=state.bake_token,
        sent=0,
    )
    moved = replace(moved, grace_until=now + state.plan.remove_old)
    return note(moved, now, "promoted", why, basis=evidence(state))


def to_handing(state: RolloutState, now: datetime) -> RolloutState:
    """Return the state in which the hand-over after a promotion begins."""
    return replace(
        _unbaked(state), phase="handing", handover="resizing", sent=0, shift_by=now + SHIFT_TIME
    )


def to_aborting(state: RolloutState, now: datetime, cause: str) -> RolloutState:
    """Return the state that gives the old variant all traffic of the two; this is final."""
    basis = evidence(state)
    moved = to_split(
        replace(_unbaked(state), phase="aborting", cause=cause),
        now,
        split_at(state.plan, Decimal(0)),
    )
    return note(replace(moved, shift_by=None), now, "abort", cause, basis=basis)


def to_ended(state: RolloutState, now: datetime, end: End, why: str = "") -> RolloutState:
    """Return the state of an ended rollout, which may still watch for late changes.

    It watches only where a call may still take effect: a traffic shift on a target that cannot
    fence it off, or a change of the alias. A rollout that was refused before it owned the traffic
    has made neither.
    """
    touched = end != "lost" and (end != "refused" or state.taken)
    may_be_late = touched and (not state.plan.fenced or state.plan.promote_alias is not None)
    moved = replace(
        _unbaked(state),
        phase="ended",
        end=end,
        ended=now,
        cause=why or state.cause,
        sent=0,
        shift_by=None,
    )
    moved = replace(moved, watch_until=now + WATCH if may_be_late else now)
    return note(moved, now, "lost", why) if end == "lost" else moved


def _unbaked(state: RolloutState) -> RolloutState:
    """Return the state without the times, checks and token of a watched step."""
    return replace(
        state,
        bake_from=None,
        bake_until=None,
        bake_token=None,
        hold_until=None,
        held_for="",
        not_ready_since=None,
        checks={},
    )
