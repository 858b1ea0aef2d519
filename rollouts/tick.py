"""tick(state, observation, now) -> (state, actions). Pure: no clock, no chance, no I/O.

An action follows from what is, never from how it came about: a crash between a decision and its
action loses nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec.structs import replace

from ..core import lease
from ..errors import Busy, Conflict, IsthmusError, OutcomeUnknown
from .phases.baking import baking
from .phases.ending import aborting, end
from .phases.handing import handing
from .phases.promoted import promote
from .phases.shifting import shifting, sizing, starting
from .state.actions import Action, Shift, Take, Touch
from .state.convergence import is_lost, target_split
from .state.states import Observation, Phase, RolloutState, Wish
from .state.transitions import NextState, note, to_aborting, to_ended

_PHASES: dict[Phase, Callable[[RolloutState, Observation, datetime], NextState]] = {
    "starting": starting,
    "sizing": sizing,
    "shifting": shifting,
    "baking": baking,
    "waiting": baking,
    "promoted": promote,
    "handing": handing,
    "aborting": aborting,
    "ended": end,
}
_ABORTABLE = ("starting", "sizing", "shifting", "baking", "waiting", "promoted")
# no target's token: somebody changed the endpoint between our look and our touch
_CHANGED = "changed"
_MOST_MOVES = 16  # of one look; there are fewer phases


def tick(
    state: RolloutState,
    observation: Observation,
    now: datetime,
    *,
    holder: str,
    seize: bool = False,
) -> NextState:
    """Decide what a rollout does next: return its next state and at most one action.

    It calls nothing. The state is to be stored before the action is done.

    Args:
        state: The rollout's state.
        observation: What was read from the target for this decision.
        now: The time.
        holder: The name of this process, for the lease.
        seize: Take the lease from a holder that may be alive.

    Raises:
        Busy: Somebody else has the lease, and it is not to be seized.
    """
    previous = state
    state = replace(state, lease=lease_of(state.lease, now, holder, seize=seize))
    state, actions = _advance(state, observation, now)
    if actions or replace(state, lease=previous.lease) != previous:
        state = replace(state, lease=lease.renew(state.lease, now))
    return state, actions


def lease_of(last: lease.Lease, now: datetime, holder: str, *, seize: bool = False) -> lease.Lease:
    """Return a controller's lease (a lock that expires), renewed if it is more than half over.

    Raises Busy if another controller holds it, unless `seize` is set.
    """
    if last.holder != holder:
        if not seize and not lease.is_free(last, now):
            raise Busy(f"{last.holder} drives this rollout until {last.until}")
        return lease.take(last, holder, now)
    return (
        lease.renew(last, now)
        if last.until is None or last.until - now < lease.LENGTH / 2
        else last
    )


def _advance(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Decide phase after phase, until a phase waits or returns an action."""
    actions: tuple[Action, ...] = ()
    for _ in range(_MOST_MOVES):
        place = _progress(state)
        state, actions = _step(state, observation, now)
        if actions or _progress(state) == place:
            break
    return state, actions


def _progress(state: RolloutState) -> tuple[object, ...]:
    """Return the fields that change when a rollout makes progress, to be compared."""
    return state.phase, state.stage, state.attempt, state.handover, state.released


def _step(state: RolloutState, observation: Observation, now: datetime) -> NextState:
    """Make one decision, by the rules of the state's phase."""
    if state.released:
        return state, ()
    running = state.phase not in ("starting", "ended")
    if running and (first := _precondition(state, observation, now)) is not None:
        return first
    if state.wish.abort is not None and state.phase in _ABORTABLE:
        return _abort(state, state.wish.abort, observation, now), ()
    if running and is_lost(state, observation):
        return to_ended(
            state, now, "lost", f"{state.endpoint} runs other variants than this rollout's"
        ), ()
    return _PHASES[state.phase](state, observation, now)


def _precondition(state: RolloutState, observation: Observation, now: datetime) -> NextState | None:
    """Return the step that must come before any other decision, or None.

    The rollout must own the traffic, and calls of a former controller must have lost their effect.
    """
    if observation.owner == "other":
        return to_ended(state, now, "lost", f"the traffic belongs to {observation.owner_text}"), ()
    if observation.owner == "free" and not observation.absent:
        return state, (Take(),)
    if state.plan.fenced and not state.lease.touched and not is_lost(state, observation):
        return _touch(state, observation)
    return None


def _touch(state: RolloutState, observation: Observation) -> NextState:
    """Return the step that invalidates the tokens which a former controller holds.

    It sets the same split again, which gives the endpoint a new token. If the token is still the
    one recorded, nobody else changed the endpoint, and the next iteration records the new one; else
    it is kept, so that the change is noticed.
    """
    endpoint = observation.endpoint
    if endpoint is None:
        return state, ()
    token = None if state.bake_token == endpoint.token else state.bake_token
    return replace(state, bake_token=token), (
        Touch(split=target_split(endpoint), expect=endpoint.token),
    )


def _abort(
    state: RolloutState, wish: Wish, observation: Observation, now: datetime
) -> RolloutState:
    """Return the state after a person's abort: aborting, or ended if no traffic was owned yet.

    `wish` says who gave the command, when and why.
    """
    cause = f"{wish.who}: {wish.because}" if wish.because else wish.who
    if state.phase != "starting" or observation.owner == "ours":
        return to_aborting(state, now, cause)
    if observation.owner is None:
        return state
    # nothing was ours yet: nothing to take back
    state = note(replace(state, cause=cause), now, "abort", cause)
    return to_ended(note(state, now, "aborted", cause), now, "aborted")


def outcome(state: RolloutState, action: Action, error: IsthmusError | None) -> RolloutState:
    """Return the state after an action, which succeeded or raised an error.

    If the process dies before this is stored, only the count of calls is wrong.
    """
    done, unknown = error is None, isinstance(error, OutcomeUnknown)
    if isinstance(action, Touch):
        if done:
            return replace(state, lease=replace(state.lease, touched=True))
        baking = state.bake_from is not None and state.bake_token is None
        return (
            replace(state, bake_token=_CHANGED) if baking and isinstance(error, Conflict) else state
        )
    if isinstance(action, Shift) and unknown:
        # it may come yet: a touch makes it stale
        return replace(state, lease=replace(state.lease, touched=False))
    if isinstance(action, Shift) and not done:
        # it did not happen, so the target did not go back; 0: nothing was tried
        return replace(state, sent=max(state.sent - 1, 1))
    return state
