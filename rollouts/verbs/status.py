"""The texts of `status` and `history`: a rollout and its endpoint, and the next commands."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec

from ...core.lease import LENGTH
from ...endpoints.port import EndpointState
from ...endpoints.split import percent_text
from ...reports.results import Shown
from ..evidence.judgement import wait_for_data
from ..state.states import Check, HistoryEntry, RolloutPlan, RolloutState

UNWATCHED = timedelta(minutes=2)  # nobody looked for so long: a person should know
_BAR = 20  # characters


class Status(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """One look at a rollout from outside.

    Percents by variant are what serves now; none if the endpoint could not be read.
    """

    target: str
    endpoint: str
    state: RolloutState
    now: datetime
    serves: dict[str, Decimal] | None
    project_differs: bool = False  # project.yaml says something else by now

    def __str__(self) -> str:
        unwatched = unwatched_text(self)
        lines = [
            *(
                [f"{unwatched}. It goes on with   isthmus rollout run {self.endpoint}"]
                if unwatched
                else []
            ),
            *_headlines(self),
            *map(_check_line, shown_checks(self.state)),
            *next_lines(self),
        ]
        if self.project_differs and self.state.phase != "ended":
            lines.append(
                "note   project.yaml has changed since: this rollout keeps the plan that it "
                "began with"
            )
        return "\n".join(lines)


def status_of(
    target: str,
    state: RolloutState,
    endpoint: EndpointState | None,
    now: datetime,
    *,
    project_differs: bool,
) -> Status:
    """Return the status of a rollout, from its state and its endpoint.

    `target` is the target's name; `project_differs` says that project.yaml changed since.
    """
    serves = {variant.name: variant.percent for variant in endpoint.variants} if endpoint else None
    return Status(
        target=target,
        endpoint=state.endpoint,
        state=state,
        now=now,
        serves=serves,
        project_differs=project_differs,
    )


def plan_text(plan: RolloutPlan) -> str:
    """Return a line of text on a plan: its variants and its steps."""
    versions = {
        variant.name: f"{variant.model}@{variant.version}" for variant in plan.spec.variants
    }
    steps = " -> ".join(
        f"{percent_text(stage.traffic)} % "
        f"{duration(stage.bake)}{', then a person' if stage.pause else ''}"
        for stage in plan.stages
    )
    begins = percent_text(plan.initial.get(plan.to, Decimal(0)))
    return (
        f"{plan.source} {versions[plan.source]} -> {plan.to} {versions[plan.to]}   {begins} % -> "
        f"{steps}"
    )


def duration(span: timedelta) -> str:
    """Return a time span as text, such as 1h5m, 10m, 6m12s or 3 s."""
    seconds = max(int(span.total_seconds()), 0)
    hours, minutes, rest = seconds // 3600, seconds % 3600 // 60, seconds % 60
    if not hours and not minutes:
        return f"{rest} s"
    return "".join(
        f"{value}{unit}" for value, unit in ((hours, "h"), (minutes, "m"), (rest, "s")) if value
    )


def unwatched_text(status: Status) -> str:
    """Return a warning if no controller has looked at the rollout for long, or ""."""
    state = status.state
    last_look = looked_at(state)
    if state.phase == "ended" or last_look is None or status.now - last_look <= UNWATCHED:
        return ""
    since = duration(status.now - last_look)
    return f"NOBODY HAS LOOKED FOR {since}: the split stays as it is"


def looked_at(state: RolloutState) -> datetime | None:
    """Return when a controller last looked at the rollout, by its lease or history; or None."""
    if state.lease.until is not None:
        return state.lease.until - LENGTH
    return state.outbox[-1].at if state.outbox else None


def _headlines(status: Status) -> list[str]:
    """Return the first lines of a rollout's status: its step, traffic share and phase."""
    state, plan = status.state, status.state.plan
    share = (status.serves or state.intent or plan.initial).get(plan.to, Decimal(0))
    if state.phase == "ended":
        return [_end_text(status)]
    where = f"step {state.stage} of {len(plan.stages)}"
    bar = "#" * int(share * _BAR / 100)
    return [
        (
            f"{state.id}  {where}   {plan.to} {percent_text(share)} % [{bar.ljust(_BAR, '-')}]   "
            f"{phase_text(status)}{_last_look(status)}"
        )
    ]


def _end_text(status: Status) -> str:
    """Return the line of text on how a rollout ended, with the final traffic split."""
    state = status.state
    split = "   ".join(
        f"{name} {percent_text(percent)} %"
        for name, percent in (status.serves or state.intent).items()
    )
    when = f" at {state.ended:%H:%M:%S}" if state.ended else ""
    took = f" after {duration(state.ended - state.started)}" if state.ended else ""
    why = f": {state.cause}" if state.cause else ""
    return f"{state.id}  {(state.end or 'ended').upper()}{when}{took}{why}   {split}"


def phase_text(status: Status) -> str:  # noqa: PLR0911  one line a phase
    """Return a clause of text on the rollout's phase, such as `bake 3m of 10m`."""
    state, now = status.state, status.now
    match state.phase:
        case "baking" if state.wish.pause:
            return f"PAUSED by {state.wish.pause.who}: guarded, and goes no further"
        case "baking" if state.bake_from and state.bake_until:
            if now < state.bake_until:
                return (
                    f"bake {duration(now - state.bake_from)} of "
                    f"{duration(state.bake_until - state.bake_from)}"
                )
            return "bake over, held" if state.hold_until else "bake over"
        case "waiting":
            return "bake over, WAITS FOR A PERSON"
        case "shifting" | "sizing" | "starting":
            return {
                "shifting": "the traffic is on its way",
                "sizing": "instances first",
                "starting": "takes the traffic",
            }[state.phase]
        case "promoted":
            until = f" until {state.grace_until:%Y-%m-%d %H:%M}" if state.grace_until else ""
            return f"PROMOTED; {state.plan.source} is kept at 0 %{until}"
        case "handing":
            return "promoted; the roles go home"
        case "aborting":
            return f"ABORTING: {state.cause}" if state.cause else "ABORTING"
        case _:
            return state.phase


def _last_look(status: Status) -> str:
    """Return a clause on which controller looked at the rollout last, and when; or ""."""
    last_look = looked_at(status.state)
    if last_look is None or not status.state.lease.holder:
        return ""
    return f"   looked at {duration(status.now - last_look)} ago by {status.state.lease.holder}"


def shown_checks(state: RolloutState) -> Iterable[Check]:
    """Return the guardrail checks that the status shows; none after the end."""
    return (
        (tally.check for tally in state.checks.values())
        if state.phase not in ("ended", "handing")
        else ()
    )


def _check_line(check: Check) -> str:
    """Return a guardrail check as a line of text."""
    return f"  {check_text(check)}"


def next_lines(status: Status) -> list[str]:
    """Return lines on what a rollout does next, and which commands a person can give."""
    state, name = status.state, status.endpoint
    if state.phase == "waiting":
        return [
            (
                f'asks   isthmus rollout promote {name} --because "..."   or   isthmus rollout '
                f"abort {name}"
            )
        ]
    if state.phase == "promoted":
        return [
            f"next   isthmus rollout promote {name} (ends the grace time now)   or   abort {name}"
        ]
    if state.phase == "baking":
        following = state.stage < len(state.plan.stages)
        step = (
            f"next step {percent_text(state.plan.stages[state.stage].traffic)} %"
            if following
            else "promoted then"
        )
        no_data, paused = _without_data(state), state.wish.pause is not None
        if paused or state.hold_until:
            first = no_data or "goes on when it is resumed"
            return [f"{first}    isthmus rollout {'resume' if paused else 'pause'} | abort {name}"]
        # the last minutes of the bake are judged when their metrics have come
        judged_at = state.bake_until and state.bake_until + state.plan.metrics_delay
        when = f" at {judged_at:%H:%M} UTC" if judged_at and status.now < judged_at else ""
        return [f"{step}{when}    isthmus rollout pause | abort {name}"]
    watched = (
        "" if state.released or state.watch_until is None else f"{state.watch_until:%H:%M:%S} UTC"
    )
    after = {
        "aborted": f"next   mend it, then isthmus rollout start {name}: a new "
        f"rollout{watched and f', after {watched}'}",
        "promoted": "next   to go back: make the version before the challenger (isthmus models "
        "promote), deploy, start a rollout to it",
    }
    if state.phase != "ended":
        return []
    watch = (
        [
            (
                f"the traffic stays its own until {watched}: it looks whether a late call "
                "changes what it left"
            )
        ]
        if watched
        else []
    )
    return [*watch, after[state.end]] if state.end in after else watch


def _without_data(state: RolloutState) -> str:
    """Return a clause on what happens, and when, if a step gets no data; "" if it has some.

    A pause does not stop that: without data the new variant may do harm.
    """
    verdicts = {tally.check.verdict for tally in state.checks.values()}
    lacks = state.hold_until or not verdicts or "no data" in verdicts
    if state.bake_until is None or not state.plan.guardrails or not lacks:
        return ""
    until = state.hold_until or state.bake_until + wait_for_data(state)
    then = "a person is asked" if state.plan.on_no_data.then == "pause" else "the traffic goes back"
    return f"without more data {then} at {until:%H:%M} UTC"


def check_text(check: Check) -> str:
    """Return a guardrail check as text: `error_rate max 0.3 % of 1,204, max 1 % pass`."""
    return (
        f"{check.guardrail:<22} {check.why}   {check.verdict}"
        if check.why
        else f"{check.guardrail:<22} {check.verdict}"
    )


def history_text(entries: Iterable[HistoryEntry]) -> str:
    """Return a rollout's history as lines of text."""
    return "\n".join(map(_line, entries)) or "nothing has happened yet"


def _line(entry: HistoryEntry) -> str:
    """Return an entry of the history as a line of text."""
    share = "" if entry.percent is None else f"{percent_text(entry.percent)} %"
    stage = f"step {entry.stage}" if entry.stage else ""
    verdicts = "   ".join(
        f"{check.guardrail} {check.why} {check.verdict}" for check in entry.checks
    )
    window = f"window {entry.window[0]:%H:%M}-{entry.window[1]:%H:%M}" if entry.window else ""
    rest = "   ".join(filter(None, (verdicts, entry.why, window)))
    line = f"{entry.at:%H:%M:%S}  {entry.what:<10} {stage:<7} {share:<6} by {entry.who:<18} {rest}"
    return line.rstrip()
