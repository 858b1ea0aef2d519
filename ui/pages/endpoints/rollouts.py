"""Draw the page of the rollouts: of each endpoint the running or last one, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import msgspec

from ....core.runtime.project import Project
from ....endpoints.split import percent_text
from ....project.specs.description import Rollout
from ....reports import page as kit
from ....rollouts.page import report
from ....rollouts.state.states import Check
from ....rollouts.verbs import rollout
from ....rollouts.verbs.status import (
    Status,
    duration,
    next_lines,
    phase_text,
    shown_checks,
    unwatched_text,
)
from ...parts.forms import Form
from ...parts.reads import ReadFailure, Reads, missing
from ...parts.view import PageContent
from .endpoints import path


class RolloutsData(msgspec.Struct, frozen=True, kw_only=True):
    rollouts: dict[str, Status | ReadFailure | None]  # by endpoint; None: there was none
    unread: tuple[ReadFailure, ...]


def page(project: Project, _query: Mapping[str, str]) -> PageContent:
    """Draw the page of all rollouts: the running or last one of each endpoint."""
    reads = Reads()
    statuses = {
        name: reads.attempt(f"the rollout of {name}", partial(_status, project, name))
        for name in project.spec.endpoints
    }
    parts = [
        part
        for name, status in statuses.items()
        for part in _parts(name, status, project.spec.rollouts.get(name))
    ]
    none = [] if parts else [kit.words("project.yaml names no endpoint.", "soft")]
    return PageContent(
        title="Rollouts",
        below="Of each endpoint the running or the last one.",
        parts=(*reads.box(), *none, *parts),
        data=RolloutsData(rollouts=statuses, unread=tuple(reads.unread)),
    )


def _status(project: Project, endpoint: str) -> Status | None:
    """Return the status of an endpoint's rollout, or None if it never had one."""
    return rollout.status(project, endpoint) if rollout.has_any(project, endpoint) else None


def _parts(
    endpoint: str, status: Status | ReadFailure | None, declared: Rollout | None
) -> Sequence[str | Form]:
    """Return the section on one endpoint's rollout, with the forms that act on it.

    `status` is that of its rollout, `declared` the rollout in project.yaml.
    """
    if isinstance(status, ReadFailure):
        return [kit.section(endpoint, missing(status))]
    start = _start(endpoint, declared)
    if status is None:
        return [kit.section(endpoint, kit.words("There was none.")), start]
    links = kit.links(
        [(f"{status.state.id} in full", f"{path(endpoint)}/rollout"), (endpoint, path(endpoint))]
    )
    shown = kit.section(
        endpoint,
        kit.words(report.about(status.state), "soft"),
        standing(status),
        links,
    )
    if status.state.phase == "ended":
        return [shown, start]
    return [shown, *commands(status)]


def standing(status: Status) -> str:
    """Return an HTML table on a rollout: its step, weights, guardrails, and what it does next."""
    rows = [[name, text] for name, text in _rows(status) if text]
    unwatched = unwatched_text(status)
    warning = kit.verdict([unwatched], "fail") if unwatched else ""
    return warning + kit.table(("", ""), rows, wordy=1)


def _start(endpoint: str, declared: Rollout | None) -> Form:
    """Return the form that starts an endpoint's rollout, or that says that none is declared."""
    if declared is None:
        note = f"project.yaml declares none: rollouts.{endpoint} says its steps and guardrails."
        return Form(action="", button="", command="isthmus schema", note=note)
    steps = ", ".join(
        f"{percent_text(step.traffic)} % for {duration(step.bake)}" for step in declared.steps
    )
    return Form(
        action="", button="", command=f"isthmus rollout start {endpoint}", note=f"Steps: {steps}."
    )


def _rows(status: Status) -> list[tuple[str, str]]:
    """Return (label, value) rows about a rollout: phase, cause, step, split, guardrails."""
    state = status.state
    ended = state.phase == "ended"
    weights = status.serves or state.intent or state.plan.initial
    stages = state.plan.stages
    share = f" ({percent_text(stages[state.stage - 1].traffic)} %)" if state.stage else ""
    judged = {check.guardrail: check for check in shown_checks(state)}
    guardrails = () if ended else state.plan.guardrails
    return [
        ("state", (state.end or "ended") if ended else phase_text(status)),
        ("why", state.cause),
        ("step", f"{state.stage} of {len(stages)}{share}"),
        (
            "weights",
            ", ".join(f"{name} {percent_text(percent)} %" for name, percent in weights.items()),
        ),
        *((guardrail.name, _judged(judged.get(guardrail.name))) for guardrail in guardrails),
        ("next", _next(status)),
    ]


def _judged(check: Check | None) -> str:
    """Return a guardrail's verdict and its reason as text; `not judged yet` without a check."""
    if check is None:
        return "not judged yet"
    return f"{check.verdict}: {check.why}" if check.why else check.verdict


def _next(status: Status) -> str:
    """Return text on what a rollout does next by itself, or for whose decision it waits."""
    match status.state.phase:
        case "baking":
            return next_lines(status)[0].partition("    ")[0]
        case "waiting":
            return "a person says whether it goes on"
        case "promoted":
            return "the roles go home when the grace time is over, or a person ends it"
        case "ended":
            return "another rollout can be started" if status.state.released else ""
        case _:
            return ""


def commands(status: Status) -> list[Form]:
    """Return the forms that pause, resume, promote or abort a rollout, as its phase allows."""
    state = status.state
    if state.phase == "ended":
        return []
    verbs = ["abort {}"]
    if state.phase in ("waiting", "promoted"):
        verbs = ['promote {} --because "..."', *verbs]
    elif state.phase == "baking":
        verbs = ["resume {}" if state.wish.pause else "pause {}", *verbs]
    if unwatched_text(status):
        verbs = ["run {}", *verbs]
    lines = [f"isthmus rollout {verb.format(status.endpoint)}" for verb in verbs]
    return [Form(action="", button="", command=line) for line in lines]
