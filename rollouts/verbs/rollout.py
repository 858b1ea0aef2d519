"""Verbs of a rollout: start, status, pause, resume, promote, abort, history, wait, run, tick.

A person changes only wishes, by compare-and-swap; looks do the rest. Only `wait`, `run` and `abort`
take their time.
"""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from ...core.runtime.project import Project
from ...core.user_state import FOLDER, make
from ...endpoints.port import EndpointState
from ...endpoints.traffic import owner
from ...endpoints.traffic.manual import observe
from ...endpoints.traffic.refusals import refusal
from ...endpoints.traffic.router import routed_endpoints
from ...errors import IsthmusError, NotFound, Refused
from ...pipelines.runs.document import local_path
from ...reports.results import Shown, StructRows
from ...times import StillClockAlarm
from ..announcements import tell
from ..controller import EVERY, LookResult, drive, give_back, look, tell_of
from ..evidence.judgement import overall_verdict
from ..evidence.lulls import expected_pace
from ..page import report as page_of_rollout
from ..rehearsal.rehearse import rehearse
from ..state import documents, wishes
from ..state.documents import Stored
from ..state.planning import beginning
from ..state.states import HistoryEntry, RolloutPlan, RolloutState
from ..state.wishes import Verb
from .declared_plan import differs, plan_of
from .foresight import Foresight, foresee, recent_minutes
from .project_ports import ports_of
from .status import Status, plan_text, status_of

__all__ = [  # im.rollout
    "abort",
    "history",
    "pause",
    "promote",
    "rehearse",
    "report",
    "resume",
    "run",
    "start",
    "status",
    "tick",
    "wait",
]
__dir__ = __all__.copy  # what completion offers

Outcome = Literal["promoted", "aborted", "refused", "lost", "waiting", "timeout"]
_NONCE = secrets.token_hex(2)
_IMPATIENT = timedelta(seconds=2)  # between two looks while a person waits for an abort
_TELL_AGAIN = 30.0  # seconds between two tries of a notice that was not taken
_PERIOD = 1.0  # seconds between two glances of `wait`


class Started(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The rollout that `start` began."""

    target: str
    endpoint: str
    id: str
    plan: RolloutPlan
    foresight: Foresight

    def __str__(self) -> str:
        return (
            f"{self.target:<7} {self.endpoint}   "
            f"{plan_text(self.plan)}\n{self.foresight}\nstarted {self.id}"
        )


class Rollout:
    """The result of `start`: `im.rollout.start(project, "ranker").wait()`."""

    def __init__(self, project: Project, endpoint: str, started: Started) -> None:
        self._project, self._endpoint = project, endpoint
        self.started = started

    @property
    def id(self) -> str:
        """Return the rollout's id."""
        return self.started.id

    def status(self) -> Status:
        """Return the rollout's status."""
        return status(self._project, self._endpoint)

    def wait(self, *, timeout: timedelta | None = None) -> Outcome:
        """Drive the rollout until it is promoted, over, or waits for a person.

        Somebody must drive it after that: see `run`.
        """
        return run(self._project, self._endpoint, timeout=timeout)

    def __str__(self) -> str:
        return str(self.started)


def start(project: Project, endpoint: str, *, because: str = "") -> Rollout:
    """Start the rollout that project.yaml declares for an endpoint.

    This only stores the rollout. No traffic moves until a controller runs (`run`, `tick`).

    Raises:
        Refused: A rollout of the endpoint has not ended, or its traffic has another owner. See also
            declared_plan.plan_of.
    """
    store = project.target.state
    with project.lock("rollout start"):
        check_last_over(project, endpoint)
        plan = plan_of(project, endpoint)
        minutes, unread = recent_minutes(project, endpoint)
        ahead = foresee(project, plan, minutes, unread)
        _check_owner(project, endpoint)

        def build(name: str) -> RolloutState:
            return beginning(
                name,
                endpoint,
                plan,
                project.wall(),
                who=_who(),
                because=because,
                pace=expected_pace(plan, minutes),
            )

        name = documents.begin(store, endpoint, build).state.id
    return Rollout(
        project,
        endpoint,
        Started(target=project.target.name, endpoint=endpoint, id=name, plan=plan, foresight=ahead),
    )


def check_last_over(project: Project, endpoint: str) -> None:
    """Raise Refused, naming the rollout, if the last one of the endpoint is not over."""
    if (last := documents.read(project.target.state, endpoint)) is not None:
        _check_over(last.state)


def _check_owner(project: Project, endpoint: str) -> None:
    """Raise Refused if the endpoint's traffic has another owner."""
    claim = owner.read(project.target.state, endpoint)
    if claim is not None and owner.holds(claim.owner, observe(project, endpoint), project.wall()):
        raise refusal(endpoint, claim.owner, now=project.wall())


def _check_over(state: RolloutState) -> None:
    """Raise Refused if a rollout is not over."""
    if state.released:
        return
    if state.phase == "ended":
        until = f"{state.watch_until:%H:%M:%S} UTC" if state.watch_until else "its watch is over"
        raise Refused(
            f"{state.id} of {state.endpoint} has ended, and looks until {until} whether a "
            "late call changes what it left",
            remedy=f"start after that; somebody must look: isthmus rollout run {state.endpoint}",
        )
    if state.phase == "handing":
        raise Refused(
            f"{state.id} of {state.endpoint} still hands over: the version of {state.plan.to} "
            f"comes to {state.plan.source}; one rollout at a time",
            remedy=f"wait until it is over: isthmus rollout wait {state.endpoint}",
        )
    raise Refused(
        f"{state.id} of {state.endpoint} is {state.phase} since "
        f"{state.started:%Y-%m-%d %H:%M} UTC: one rollout at a time",
        remedy=f"isthmus rollout {'promote' if state.phase == 'promoted' else 'abort'} "
        f"{state.endpoint}",
    )


def status(project: Project, endpoint: str) -> Status:
    """Return the status of the running or last rollout; raise NotFound if there was none."""
    state = _read(project, endpoint).state
    return status_of(
        project.target.name,
        state,
        _observe(project, endpoint),
        project.wall(),
        project_differs=state.phase != "ended" and differs(project, endpoint, state.plan),
    )


def _observe(project: Project, endpoint: str) -> EndpointState | None:
    """Return the endpoint's state, or None if it is absent or cannot be read now.

    It raises no error, as that would report a recorded command as failed.
    """
    try:
        return routed_endpoints(project.target).observe(endpoint)
    except IsthmusError:
        return None


def report(project: Project, endpoint: str) -> Path:
    """Write the HTML report of the running or last rollout anew, and return its path.

    Raises:
        NotFound: The endpoint never had a rollout.
    """
    ports, state = ports_of(project), _read(project, endpoint).state
    uri = page_of_rollout.write(ports, state)
    path = local_path(uri)
    if path is None:
        path = make(project.folder / FOLDER / "reports") / f"{endpoint}-{state.id}.html"
        path.write_bytes(ports.blobs.get(uri))
    return path


def history(project: Project, endpoint: str) -> StructRows[HistoryEntry]:
    """Return the history of the running or last rollout, oldest first.

    Raises:
        NotFound: The endpoint never had a rollout.
    """
    return StructRows(documents.history(project.target.state, _read(project, endpoint).state))


def pause(project: Project, endpoint: str, *, because: str = "") -> Status:
    """Pause the rollout: no step up until `resume`; guardrails and abort still work.

    Raises:
        Refused: Nothing runs that could go up.
    """

    def check(state: RolloutState) -> None:
        if state.phase not in ("starting", "sizing", "shifting", "baking", "waiting"):
            raise Refused(
                f"{state.id} of {endpoint} is {state.phase}: there is nothing to pause",
                remedy=f"isthmus rollout status {endpoint}",
            )

    return _ask(project, endpoint, "pause", because, check)


def resume(project: Project, endpoint: str, *, because: str = "") -> Status:
    """Take back a pause; raise Refused if there is none."""

    def check(state: RolloutState) -> None:
        if state.phase == "ended" or state.wish.pause is None:
            raise Refused(
                f"{state.id} of {endpoint} is not paused",
                remedy=f"isthmus rollout status {endpoint}",
            )

    return _ask(project, endpoint, "resume", because, check)


def promote(project: Project, endpoint: str, *, because: str = "") -> Status:
    """Approve the step for which a rollout waits; after a promotion, end the grace time now.

    Raises:
        Refused: Nothing waits, or data do not pass and there is no reason.
    """
    return _ask(
        project,
        endpoint,
        "promote",
        because,
        lambda state: _check_promotable(state, because, project.wall()),
    )


def _ask(
    project: Project, endpoint: str, verb: Verb, because: str, check: Callable[[RolloutState], None]
) -> Status:
    """Record a person's command for the rollout's controller; return the rollout's status.

    `verb` is the command, `because` the reason. `check` raises for a state in which the command is
    not allowed.
    """
    wishes.ask(
        project.target.state,
        endpoint,
        verb,
        who=_who(),
        wished_at=project.wall(),
        because=because,
        check=check,
    )
    return status(project, endpoint)


def _check_promotable(state: RolloutState, because: str, now: datetime) -> None:
    """Raise Refused if nothing waits for a person, or data fail and no reason is given."""
    if state.phase not in ("waiting", "promoted"):
        raise Refused(
            f"{state.id} of {state.endpoint} is {state.phase}: it asks nobody",
            remedy=f"isthmus rollout status {state.endpoint} --watch",
        )
    verdict = overall_verdict(state, now)
    if state.phase == "waiting" and not because and verdict in ("fail", "no data", "inconclusive"):
        doubtful = [
            f"{name} {tally.check.verdict}"
            for name, tally in state.checks.items()
            if tally.check.verdict == verdict
        ]
        raise Refused(
            f"{state.id}: {'; '.join(doubtful) or 'no data of the last minutes'}",
            remedy=f"to go on all the same, say why: isthmus rollout promote {state.endpoint} "
            '--because "..."',
        )


def abort(
    project: Project,
    endpoint: str,
    *,
    because: str = "",
    timeout: timedelta | None = None,
    watch: Callable[[LookResult], None] | None = None,
) -> Status:
    """Abort the rollout, and wait until the traffic is back. An abort is final.

    If no rollout runs, nothing is done. The lease is taken from any other controller at once.

    Args:
        project: The project.
        endpoint: The endpoint.
        because: The reason, for the history.
        timeout: How long to wait; later the controllers go on with it. None: for ever.
        watch: Called with each look: what keeps the traffic from coming back is among its problems.
    """
    if _read(project, endpoint).state.phase != "ended":
        wishes.ask(
            project.target.state,
            endpoint,
            "abort",
            who=_who(),
            wished_at=project.wall(),
            because=because,
        )
        look(ports_of(project), endpoint, holder=holder(), clock=project.target.clock, seize=True)
        _drive(
            project,
            endpoint,
            lambda state: state.phase == "ended",
            timeout,
            every=_IMPATIENT,
            watch=watch,
        )
    return status(project, endpoint)


def run(project: Project, endpoint: str, *, timeout: timedelta | None = None) -> Outcome:
    """Drive the rollout until it is promoted, over, or waits for a person.

    It may be killed at any time, and two do no harm. What is left then (guardrails while a person
    thinks, the grace time, the hand-over) is for `run_to_end`, or a schedule's `tick`.
    """
    return _outcome(_drive(project, endpoint, _is_settled, timeout))


def run_to_end(
    project: Project, endpoint: str, *, watch: Callable[[LookResult], None] | None = None
) -> Outcome:
    """Drive the rollout to its very end: grace time, hand-over and the watch after it.

    `watch` is called with each look.
    """
    outcome = _outcome(_drive(project, endpoint, lambda state: state.released, None, watch=watch))
    ports, alarm = (
        ports_of(project),
        StillClockAlarm(project.target.clock, what=f"the page of {endpoint}'s rollout"),
    )
    while tell(
        ports, _read(project, endpoint).state, project.target.clock()
    ).owing:  # an hour at most: see telling
        time.sleep(_TELL_AGAIN)
        alarm.check()
    return outcome


def wait_released(project: Project, endpoint: str) -> None:
    """Look at an ended rollout until it releases the traffic, which takes some minutes.

    Any other rollout is left alone, and not waited for. A KeyboardInterrupt gets the note that
    nothing was changed.
    """
    stored = documents.read(project.target.state, endpoint)
    if stored is None or stored.state.phase != "ended" or stored.state.released:
        return
    state, began = stored.state, project.wall()
    until = state.watch_until or began
    seconds = max(1, round((until - began).total_seconds()))

    def over(result: LookResult) -> bool:
        passed = round((project.wall() - began).total_seconds())
        project.progress(
            f"{endpoint}: {state.id} gives the traffic back at {until:%H:%M:%S} UTC; seconds",
            min(passed, seconds),
            seconds,
        )
        return result.over or (result.state is not None and result.state.released)

    try:
        drive(ports_of(project), endpoint, holder=holder(), clock=project.target.clock, until=over)
    except KeyboardInterrupt as interrupt:
        interrupt.add_note(
            f"Nothing was changed: {endpoint}'s traffic is {state.id}'s until "
            f"{until:%H:%M:%S} UTC, as it was."
        )
        raise


def _drive(
    project: Project,
    endpoint: str,
    over: Callable[[RolloutState], bool],
    timeout: timedelta | None,
    *,
    every: timedelta = EVERY,
    watch: Callable[[LookResult], None] | None = None,
) -> RolloutState:
    """Drive the rollout until `over` is true of its state, and return that state.

    After `timeout` it stops; `watch` is called with the result of each iteration.
    """
    _read(project, endpoint)  # NotFound before anything is driven
    deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()

    def until(result: LookResult) -> bool:
        if watch is not None:
            watch(result)
        if result.state is not None:
            project.progress(
                f"rollout {endpoint} {result.state.phase}",
                result.state.stage,
                len(result.state.plan.stages),
            )
        late = deadline is not None and time.monotonic() >= deadline
        return late or result.over or (result.state is not None and over(result.state))

    drive(
        ports_of(project),
        endpoint,
        holder=holder(),
        clock=project.target.clock,
        until=until,
        every=every,
    )
    return _read(project, endpoint).state


def _asks(state: RolloutState) -> bool:
    """Return whether a rollout waits for a person's decision, or needs no controller for now."""
    return state.phase in ("waiting", "promoted", "handing", "ended")


def _is_settled(state: RolloutState) -> bool:
    """Return whether all decisions are carried out, so that the controller may stop."""
    moved = state.alias == "moved" or state.plan.promote_alias is None
    return moved if state.phase == "promoted" else _asks(state)


def wait(project: Project, endpoint: str, *, timeout: timedelta | None = None) -> Outcome:
    """Wait, without driving, until the rollout is promoted, over, or waits for a person.

    It does not wait for the grace time. After `timeout` the result is "timeout".
    """
    deadline = None if timeout is None else time.monotonic() + timeout.total_seconds()
    while not _asks(state := _read(project, endpoint).state):
        if deadline is not None and time.monotonic() >= deadline:
            return "timeout"
        time.sleep(_PERIOD)
    return _outcome(state)


def tick(project: Project, endpoint: str | None = None) -> dict[str, str]:
    """Do one iteration of the control loop of each rollout that has not ended.

    A scheduler calls it. Return a line of text for each endpoint. All are looked at before the
    first error is raised, also if project.yaml has the endpoint and no rollout of it any more.
    """
    ports, me = ports_of(project), holder()
    looks: dict[str, str] = {}
    errors: list[IsthmusError] = []
    for name in (
        [endpoint] if endpoint else sorted({*project.spec.rollouts, *project.spec.endpoints})
    ):
        try:
            looked = look(ports, name, holder=me, clock=project.target.clock, leaving=True)
            result = tell_of(ports, looked, holder=me, now=project.target.clock())
            give_back(ports, name, holder=me, stored_last=looked.stored)
        except IsthmusError as error:
            errors.append(error)
            continue
        if result.state is not None:
            looks[name] = _look_text(result.state, result)
    if errors:
        raise errors[0]
    return looks


def _look_text(state: RolloutState, result: LookResult) -> str:
    """Return a line of text on what one iteration of the control loop did."""
    action = f"   {type(result.action).__name__.lower()}" if result.action else ""
    problems = f"   {'; '.join(result.problems)}" if result.problems else ""
    return f"{state.id} {state.phase} step {state.stage}{action}{problems}"


def _outcome(state: RolloutState) -> Outcome:
    """Return how far a rollout has come, as commands report it."""
    if state.phase == "ended":
        return state.end or "lost"
    if state.phase in ("promoted", "handing"):
        return "promoted"
    return "waiting" if state.phase == "waiting" else "timeout"


def has_any(project: Project, endpoint: str) -> bool:
    """Return whether the endpoint has, or had, a rollout."""
    return documents.read(project.target.state, endpoint) is not None


def _read(project: Project, endpoint: str) -> Stored:
    """Return the stored state of the running or last rollout; raise NotFound if there was none."""
    stored = documents.read(project.target.state, endpoint)
    if stored is None:
        raise NotFound(
            f"{endpoint} has had no rollout on {project.target.name}",
            remedy=f"isthmus rollout start {endpoint}",
        )
    return stored


def holder() -> str:
    """Return this process's name as a controller: host, process id, and a few random letters."""
    return f"{socket.gethostname().partition('.')[0]}-{os.getpid()}-{_NONCE}"


def _who() -> str:
    """Return the name of the user who gives a command."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        return "somebody"
