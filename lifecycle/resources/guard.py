"""`isthmus guard`: what stands on the target and nobody uses, and what it costs."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal

import msgspec

from ...core.runtime.project import Project
from ...endpoints.port import EndpointState
from ...endpoints.traffic import owner
from ...endpoints.traffic.owner_document import Owner
from ...endpoints.traffic.router import routed_endpoints
from ...errors import NotFound
from ...experiments.design import runs
from ...project.profiles.idle import idle_rule
from ...project.reading.quantities import duration_text
from ...reports.results import Shown
from ...rollouts.state import documents
from ...storage import Resource
from .idleness import Idleness, measure
from .plan import headline, where


class GuardLine(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that stands on the target, and whether somebody uses it.

    owned: idle, but of a rollout or an experiment. stopping: `--stop` began, and has not ended.
    """

    kind: str
    name: str
    status: Literal["active", "idle", "owned", "unknown", "stopping", "stopped"]
    why: str
    hourly_cost: Decimal | None  # USD; None: unknown
    last_request: datetime | None = None
    idle_for: timedelta | None = None
    idle_cost: Decimal | None = None  # USD since it is idle; None: unknown, or not idle
    # why `--stop` leaves it although it is idle; "": it may be stopped
    kept: str = ""


class Guard(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The endpoints of a target with their last requests, and what else costs by the hour."""

    target: str
    where: str
    after: str  # how long an endpoint may be without a request: 6h
    then: Literal["tell", "stop"]
    lines: tuple[GuardLine, ...]

    @property
    def to_stop(self) -> tuple[str, ...]:
        """The names of the endpoints that `--stop` removes: idle ones, and those half removed."""
        return tuple(
            line.name
            for line in self.lines
            if line.status == "stopping" or (line.status == "idle" and not line.kept)
        )

    @property
    def idle(self) -> tuple[GuardLine, ...]:
        """The things that nobody uses, whether or not they may be stopped."""
        return tuple(line for line in self.lines if line.status == "idle")

    def __str__(self) -> str:
        lines = [headline(self.target, self.where)]
        lines += [_text(line, self.after) for line in self.lines]
        if not self.lines:
            lines.append("  nothing stands here")
        return "\n".join(lines)


def _text(line: GuardLine, after: str) -> str:
    """Return a line of text on an endpoint or other resource: whether it is used, and its cost.

    `after` is how long, as text, it may be without a request before it counts as idle.
    """
    parts = [line.why]
    if line.status in ("idle", "owned"):
        parts[0] += f" (idle after {after})"
    if line.status == "unknown":
        parts[0] += ": unknown, not idle"
    cost = "cost unknown" if line.hourly_cost is None else f"{line.hourly_cost:.2f} USD/h"
    parts.append(cost)
    if line.idle_cost is not None and line.hourly_cost:
        parts.append(f"{line.idle_cost:.2f} USD so far")
    if line.kept:
        parts.append(line.kept)
    return f"  {line.kind.replace('_', ' '):<13} {line.name:<20} {'   '.join(parts)}"


def guard(project: Project) -> Guard:
    """Look for endpoints without a request and for what else costs while idle; change nothing.

    What cannot be measured is `unknown`, never `idle`.
    """
    from ...adapters import targets

    rule = idle_rule(project.target.profile)
    place = where(project)
    if project.spec.endpoints:
        targets.ask_prices(project.target)
    listed = tuple(project.target.inventory.list(project.spec.name))
    resources = {r.name: r for r in listed if r.kind == "endpoint"}
    lines = [
        line
        for name in dict.fromkeys((*project.spec.endpoints, *sorted(resources)))
        if (line := _endpoint_line(project, name, resources.get(name), rule.after)) is not None
    ]
    serving = bool(lines)
    return Guard(
        target=project.target.name,
        where=place,
        after=duration_text(rule.after),
        then=rule.then,
        lines=(*lines, *(_other_line(r, serving=serving) for r in listed if _costs(r))),
    )


def _endpoint_line(
    project: Project, name: str, resource: Resource | None, after: timedelta
) -> GuardLine | None:
    """Return whether an endpoint is used and what it costs; None if it is not deployed.

    `after` is how long an endpoint may be without a request before it is idle.
    """
    state = routed_endpoints(project.target).observe(name)
    claim = owner.read(project.target.state, name)
    hourly = None if resource is None else resource.hourly_cost
    if owner.is_stopped(claim):
        return _stopped_line(name, claim.owner, hourly, stands=bool(state or resource))
    if state is None:
        return None
    if state.phase != "ready":
        return GuardLine(
            kind="endpoint",
            name=name,
            status="unknown",
            why=f"it is {state.phase}" if state.phase != "failed" else "it has failed",
            hourly_cost=hourly,
        )
    try:
        idleness = measure(
            project, name, after=after, touched=None if claim is None else claim.owner.changed
        )
    except NotFound:  # it was removed since it was observed
        return None
    holder = reason = ""
    if idleness.status == "idle":
        holder = owner_text(project, name, state)
        reason = holder or _reason_to_keep(project, name, resource)
    return GuardLine(
        kind="endpoint",
        name=name,
        status="owned" if holder else idleness.status,
        why=idleness.why,
        hourly_cost=hourly,
        last_request=idleness.last_request,
        idle_for=idleness.idle_for,
        idle_cost=_idle_cost(hourly, idleness),
        kept=reason,
    )


def _stopped_line(name: str, stop: Owner, hourly: Decimal | None, *, stands: bool) -> GuardLine:
    """Return the report's line on an endpoint that the guard has stopped.

    `stop` is the record of the stop, `stands` says that part of the endpoint still exists. One that
    `deploy` has begun to bring back is unknown: it is not removed while it comes up.
    """
    if stands and stop.returning:
        return GuardLine(
            kind="endpoint",
            name=name,
            status="unknown",
            why=f"it is brought back by isthmus deploy {name}, stopped since {stop.since}",
            hourly_cost=hourly,
            kept=f"if that was killed: isthmus deploy {name}",
        )
    return GuardLine(
        kind="endpoint",
        name=name,
        status="stopping" if stands else "stopped",
        why=f"{'being stopped' if stands else 'stopped'} since {stop.since}",
        hourly_cost=hourly if stands else Decimal(0),
        kept="" if stands else f"back by: isthmus deploy {name}",
    )


def owner_text(project: Project, name: str, state: EndpointState) -> str:
    """Return a clause on the rollout, experiment or command that needs an endpoint, or "".

    An endpoint counts as needed as soon as any stored document says so: the owner of its traffic,
    its rollout, or a live run of an experiment.
    """
    claim = owner.read(project.target.state, name)
    if claim is not None and owner.holds(claim.owner, state, project.wall()):
        return f"its traffic belongs to {claim.owner.owner} {claim.owner.name}".rstrip()
    return needed_by(project, name)


def needed_by(project: Project, name: str) -> str:
    """Return a clause on the rollout or the experiment that needs an endpoint, or "".

    It reads their own stored documents, not the record of who owns the traffic.
    """
    store = project.target.state
    rollout = documents.read(store, name)
    if rollout is not None and not rollout.state.released:
        return f"rollout {rollout.state.id} needs it"
    live = runs.read(store)
    if live is not None:
        for run in live.live.runs:
            if live.live.layers[run.layer].endpoint == name:
                return f"experiment {run.run} needs it"
    return ""


def _reason_to_keep(project: Project, name: str, resource: Resource | None) -> str:
    """Return a clause on why `guard --stop` leaves an idle endpoint, or "" if it may stop it."""
    declared = project.spec.endpoints.get(name)
    if resource is not None and resource.adopted:
        return "it was imported: stop it where it was made"
    if declared is None or not declared.objective:
        return "project.yaml does not say how to bring it back"
    if resource is None:
        return "its tags are not listed yet: look again in some minutes"
    return ""


def _idle_cost(hourly: Decimal | None, idleness: Idleness) -> Decimal | None:
    """Return the USD that an endpoint has cost since it became idle; None if unknown."""
    if hourly is None or idleness.idle_for is None:
        return None
    hours = Decimal(int(idleness.idle_for.total_seconds())) / 3600
    return (hourly * hours).quantize(Decimal("0.0001"))


def _costs(resource: Resource) -> bool:
    """Return whether a resource other than an endpoint costs by the hour, even while idle."""
    return resource.kind != "endpoint" and resource.hourly_cost != 0


def _other_line(resource: Resource, *, serving: bool) -> GuardLine:
    """Return the report's line on an online store or a stream, whose use no target measures.

    `serving` says whether an endpoint exists that may need it.
    """
    alone = "" if serving else "; no endpoint stands here"
    return GuardLine(
        kind=resource.kind,
        name=resource.name,
        status="unknown",
        why=f"its reads are not measured{alone}",
        hourly_cost=resource.hourly_cost,
        kept="it costs by the hour, read or not",
    )
