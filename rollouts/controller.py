"""One look at a rollout, and the loop of a process that drives it.

Many may look at once: compare-and-swap lets one decide.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ..core import lease
from ..endpoints.traffic import owner
from ..errors import (
    Conflict,
    DryRun,
    Invalid,
    IsthmusError,
    OutcomeUnknown,
    Refused,
    Throttled,
    Unavailable,
)
from ..times import StillClockAlarm
from .announcements import tell
from .evidence.judgement import is_behind
from .observation import is_due, minutes_so_far, observe
from .state import documents
from .state.actions import Action, Apply, Release, SetAlias, Shift, Take, Touch
from .state.documents import Stored
from .state.ports import ControllerPorts
from .state.states import Observation, RolloutState
from .tick import outcome, tick

REQUEST = timedelta(seconds=15)  # the time-out of a call that changes something
MARGIN = timedelta(seconds=5)
EVERY = timedelta(seconds=10)
# after what could not be told: a webhook that does not answer holds up no other look
TELL_AGAIN = timedelta(minutes=1)
Clock = Callable[[], datetime]


class LookResult(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a look.

    `state` is None if the endpoint has no rollout, or, with problems, if its document could not be
    read.
    """

    state: RolloutState | None
    driver: str = ""  # who holds the lease
    action: Action | None = None  # that was done, or tried
    again: bool = False  # there is more to do at once
    stored: Stored | None = None  # the document as this look left it; None: nobody knows
    problems: tuple[str, ...] = ()  # what could not be read or done this time, for people

    @property
    def over(self) -> bool:
        """Return whether the rollout is over, with nothing left to do."""
        return (
            not self.problems
            if self.state is None
            else self.state.released and not self.state.outbox
        )


def look(
    ports: ControllerPorts,
    endpoint: str,
    *,
    holder: str,
    clock: Clock,
    seize: bool = False,
    remembered: Stored | None = None,
    leaving: bool = False,
) -> LookResult:
    """Run one control loop iteration of a rollout: read, observe, decide, store, and act.

    The order is such that a crash loses nothing. Errors of reading the document are raised.

    Args:
        ports: The ports.
        endpoint: The endpoint's name.
        holder: The name of this process, for the lease.
        clock: The clock.
        seize: Take the lease from a holder that may be alive, as a person's abort does.
        remembered: The document as this holder's last look left it. It is not read again if a new
            minute is to be judged, as that is written by compare-and-swap: whatever came in between
            makes it fail, and the look begins anew; so it does if nothing was written.
        leaving: This holder looks once. If nothing is left to do or to announce, the write that
            says so gives the lease back, too.
    """
    if (
        remembered is not None
        and _is_ours(remembered.state, holder, now := clock())
        and is_due(remembered.state, now)
    ):
        result = _advance(ports, remembered, holder=holder, clock=clock)
        if result.stored not in (None, remembered):
            return result
    stored = documents.read(ports.state, endpoint)
    if stored is None:
        return LookResult(state=None)
    return _advance(ports, stored, holder=holder, clock=clock, seize=seize, leaving=leaving)


def _is_ours(state: RolloutState, holder: str, now: datetime) -> bool:
    """Return whether a controller holds a rollout's lease (a lock that expires) at a time."""
    return (
        state.lease.holder == holder and state.lease.until is not None and now < state.lease.until
    )


def _advance(
    ports: ControllerPorts,
    stored: Stored,
    *,
    holder: str,
    clock: Clock,
    seize: bool = False,
    leaving: bool = False,
) -> LookResult:
    """Run one control loop iteration from a state document that was read already.

    The parameters are those of `look`.
    """
    now, state = clock(), stored.state
    if state.released and not state.outbox:
        return LookResult(state=state, driver=state.lease.holder)
    if state.lease.holder != holder and not seize and not lease.is_free(state.lease, now):
        return LookResult(state=state, driver=state.lease.holder)
    looked = observe(ports, state, now)
    problems = list(looked.problems)
    try:
        flushed = documents.flush(ports.state, state)
        decided, actions = tick(flushed, looked.observation, now, holder=holder, seize=seize)
        if leaving and not actions and _is_announced(decided):
            decided = replace(decided, lease=lease.give_back(decided.lease))
        stored, undone = _carry_out(
            ports, stored, decided, actions, observation=looked.observation, clock=clock
        )
    except (Conflict, OutcomeUnknown, Throttled, Unavailable) as error:
        return LookResult(
            state=state, driver=state.lease.holder, problems=(*problems, _unwritten(state, error))
        )
    problems += undone
    again = (
        bool(stored.state.outbox)
        or any(isinstance(action, Take | Touch) for action in actions)
        or is_behind(stored.state, looked.observation)
    )
    return LookResult(
        state=stored.state,
        driver=stored.state.lease.holder,
        action=actions[0] if actions else None,
        again=again and not problems,
        stored=stored,
        problems=tuple(problems),
    )


def _is_announced(state: RolloutState) -> bool:
    """Return whether all webhook notices are sent and no report page is due.

    Entries in the outbox do not count: the next iteration, by any controller, writes them.
    """
    return not state.released and (state.plan.webhook_env is None or state.notified >= state.seq)


def _carry_out(
    ports: ControllerPorts,
    stored: Stored,
    decided: RolloutState,
    actions: tuple[Action, ...],
    *,
    observation: Observation,
    clock: Clock,
) -> tuple[Stored, tuple[str, ...]]:
    """Store the decision of a control loop iteration, then perform its actions.

    `stored` is the state before, `decided` the state after the decision. Return the stored
    document, and the problems met as sentences.
    """
    problems = _keep_minutes(ports, stored.state, decided, observation)
    if decided != stored.state or actions:
        previous, stored = stored.state, documents.write(ports.state, decided, expect=stored.token)
        _announce_end(ports, previous, decided, clock())
    for action in actions:
        stored, problem = _act(ports, stored, action, clock)
        problems += problem
    return stored, problems


def _announce_end(
    ports: ControllerPorts, previous: RolloutState, decided: RolloutState, now: datetime
) -> None:
    """Record until when an ended rollout keeps the traffic, for others who want to own it.

    `previous` and `decided` are the states before and after the decision to end it. If this is not
    written, the rollout's status still says it.
    """
    until = decided.watch_until
    if previous.phase != "ended" and decided.phase == "ended" and until is not None and now < until:
        with suppress(Conflict, OutcomeUnknown, Throttled, Unavailable):
            owner.announce_end(
                ports.state, decided.endpoint, kind="rollout", name=decided.id, until=until
            )


def _keep_minutes(
    ports: ControllerPorts, previous: RolloutState, decided: RolloutState, observation: Observation
) -> tuple[str, ...]:
    """Store the metrics that a decision is based on, before the decision; return the problems.

    `previous` and `decided` are the states before and after the decision. Metrics that cannot be
    stored stop no rollout, least of all its abort.
    """
    if not _stands_on_minutes(previous, decided):
        return ()
    try:
        documents.keep_minutes(ports.blobs, previous, minutes_so_far(ports, previous, observation))
    except IsthmusError as error:
        return (f"the minutes of step {previous.stage} are not kept: {error}",)
    return ()


def _stands_on_minutes(previous: RolloutState, decided: RolloutState) -> bool:
    """Return whether a decision is based on metrics, which must then be stored before it.

    `previous` and `decided` are the states before and after the decision.
    """
    places = [
        (state.phase, state.stage, state.attempt, state.bake_from) for state in (previous, decided)
    ]
    if previous.bake_from is None or places[0] == places[1]:
        return False
    return previous.phase not in ("sizing", "shifting") or decided.phase == "aborting"


def _act(
    ports: ControllerPorts, stored: Stored, action: Action, clock: Clock
) -> tuple[Stored, tuple[str, ...]]:
    """Perform an action, if the lease outlives the call, and record its outcome in the state.

    Return the stored document and the problems. Whatever the call raises, the next iteration sees
    what happened.
    """
    state, error = stored.state, None
    if state.lease.until is None or clock() + REQUEST + MARGIN >= state.lease.until:
        return stored, ("the lease is too short for a call: the next look makes it",)
    try:
        _do(ports, state, action, clock())
    except IsthmusError as raised:
        error = raised
    problems = () if error is None else (f"{type(action).__name__.lower()}: {error}",)
    noted = outcome(state, action, error)
    if noted == state:
        return stored, problems
    try:
        return documents.write(ports.state, noted, expect=stored.token), problems
    except (Conflict, OutcomeUnknown, Throttled, Unavailable) as raised:
        return stored, (*problems, _unwritten(state, raised))


def _unwritten(state: RolloutState, error: IsthmusError) -> str:
    """Return a sentence on why a rollout's state could not be stored, for those who watch it.

    It is shown to whoever watches the rollout.
    """
    if isinstance(error, Conflict):
        return (
            f"another controller wrote {state.id} of {state.endpoint} first: this look stored "
            "nothing, and the next one goes on from what is there"
        )
    return str(error)


def _do(ports: ControllerPorts, state: RolloutState, action: Action, now: datetime) -> None:
    """Carry out one action of a rollout, such as a traffic shift, by calls to the target."""
    endpoint = state.endpoint
    match action:
        case Take():
            endpoint_state = ports.endpoints.observe(endpoint)
            if endpoint_state is not None:
                command = f"isthmus rollout abort {endpoint}"
                owner.take(
                    ports.state,
                    endpoint_state,
                    kind="rollout",
                    name=state.id,
                    command=command,
                    now=now,
                    heir_of=state.plan.heir_of,
                )
        case Release():
            owner.release(ports.state, endpoint, kind="rollout", name=state.id, now=now)
        case Touch(split=split, expect=token) | Shift(split=split, expect=token):
            ports.endpoints.shift(endpoint, split, expect=token)
        case Apply(spec=spec):
            ports.endpoints.apply(spec)
        case SetAlias(model=model, alias=alias, version=version):
            ports.registry.set_alias(model, alias, version)


def tell_of(
    ports: ControllerPorts, result: LookResult, *, holder: str, now: datetime
) -> LookResult:
    """Send the notices and write the report page that an iteration's result calls for.

    Return the result, with the problems of that added.
    """
    if result.state is None or not (result.over or result.driver == holder):
        return result
    return replace(result, problems=(*result.problems, *tell(ports, result.state, now).problems))


def give_back(
    ports: ControllerPorts, endpoint: str, *, holder: str, stored_last: Stored | None = None
) -> None:
    """Release a controller's lease (a lock that expires), so that the next one need not wait.

    It is called only when no call of this controller is under way. If the release fails, the lease
    expires by itself. `stored_last` is the document as the controller last stored it.
    """
    with suppress(Conflict, OutcomeUnknown, Throttled, Unavailable):
        if stored_last is not None and _free_lease(ports, stored_last, holder):
            return
        stored = documents.read(ports.state, endpoint)
        if stored is not None:
            _free_lease(ports, stored, holder)


def _free_lease(ports: ControllerPorts, stored: Stored, holder: str) -> bool:
    """Release a holder's lease in a stored document; return False if the document has changed."""
    if stored.state.lease.holder != holder:
        return True
    try:
        documents.write(
            ports.state,
            replace(stored.state, lease=lease.give_back(stored.state.lease)),
            expect=stored.token,
        )
    except Conflict:
        return False
    return True


def drive(
    ports: ControllerPorts,
    endpoint: str,
    *,
    holder: str,
    clock: Clock,
    until: Callable[[LookResult], bool] = lambda result: result.over,
    every: timedelta = EVERY,
    sleep: Callable[[float], None] = time.sleep,
) -> LookResult:
    """Repeat the control loop iteration until the rollout is over or `until` returns True.

    `until` is called with the result of each iteration. At the end the lease is given back. An
    error of a single iteration does not end it.

    Raises:
        Refused: A newer version wrote the rollout's document.
        Invalid: The document cannot be read.
        Unavailable: The clock stands still.
    """
    alarm = StillClockAlarm(clock, what=f"the rollout of {endpoint}")
    tell_again: datetime | None = None
    remembered: Stored | None = None
    # stopped in the middle of a look: a call may still come, so the lease runs out instead
    under_way = False
    try:
        while True:
            under_way = True
            try:
                result = look(ports, endpoint, holder=holder, clock=clock, remembered=remembered)
            except (Refused, Invalid, DryRun):
                raise
            except IsthmusError as error:
                result = LookResult(state=None, problems=(str(error),))
            under_way, remembered = False, result.stored
            if result.state is not None and (tell_again is None or clock() >= tell_again):
                silent, result = result, tell_of(ports, result, holder=holder, now=clock())
                tell_again = clock() + TELL_AGAIN if result.problems != silent.problems else None
            if until(result):
                return result
            sleep(0.0 if result.again else every.total_seconds())
            if not result.again:
                alarm.check()
    finally:
        if not under_way:
            give_back(ports, endpoint, holder=holder)
