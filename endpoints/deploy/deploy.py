"""Deploy an endpoint: `isthmus deploy`.

The declared variants run, a new endpoint gets its first split, and a few requests see that it
answers.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import msgspec

from ...core.runtime.project import Project
from ...errors import Conflict, Invalid, Refused, Unavailable
from ...project.endpoints.rules import counts_units
from ...project.specs.streams import streams_of
from ...reports.results import Shown
from ...storage import wait
from ..gateway.log.streams import STREAMS
from ..gateway.request.inputs import manifest_of, union, view_keys
from ..gateway.smoke import SmokeResult, smoke
from ..port import EndpointSpec, EndpointState
from ..split import check, percent_text
from ..traffic import owner
from ..traffic.convergence import variants_ready
from ..traffic.manual import read_back
from ..traffic.owner import is_stopped
from ..traffic.owner_document import OwnerDocument
from ..traffic.resolution import ranking_endpoint_of, with_owned_counts
from ..traffic.router import resolution, routed_endpoints
from .parameters import comparison
from .restoration import planned

DEADLINE = timedelta(minutes=30)  # clouds start machines


class DeployedVariant(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    model: str
    version: int
    percent: Decimal


class Deployment(Shown, msgspec.Struct, frozen=True, kw_only=True):
    target: str
    endpoint: str
    variants: tuple[DeployedVariant, ...]
    created: bool
    seconds: float  # until every variant was ready
    url: str | None
    smoke: SmokeResult
    notes: tuple[str, ...] = ()  # what differs from project.yaml, and why

    def __str__(self) -> str:
        parts = [
            f"{v.name} {v.model}@{v.version}  {percent_text(v.percent)} %" for v in self.variants
        ]
        parts.append(f"ready in {self.seconds:.1f} s")
        if self.url:
            parts.append(self.url)
        split = "/".join(percent_text(v.percent) for v in self.variants)
        lines = [
            f"{self.target:<7} {self.endpoint}   {'   '.join(parts)}",
            *(f"  note   {note}" for note in self.notes),
        ]
        return "\n".join([*lines, f"  smoke  {self.smoke}; split read back {split}"])


def deploy(project: Project, name: str) -> Deployment:
    """Deploy an endpoint: apply until its variants run, split traffic if it is new, test it.

    An endpoint that `isthmus guard` has stopped comes back with its versions and its split. It may
    be run again after any crash.

    Raises:
        NotFound: There is no such endpoint, or an alias has no version.
        Invalid: A model takes a parameter as another type than is declared.
        Refused: The endpoint has no objective, a version was rejected, a variant with traffic would
            change, or any would while a rollout or an experiment owns the traffic.
        Unavailable: A variant does not start; the error has the last lines of its log.
    """
    with project.lock("deploy"):
        endpoint = ranking_endpoint_of(project, name)
        host = routed_endpoints(project.target)
        running = host.observe(name)
        claim = owner.read(project.target.state, name)
        plan = planned(project, endpoint, running, claim)
        resolved, split = plan.resolved, plan.split
        spec = with_owned_counts(claim, resolved.spec, running, now=project.wall())
        check(
            split,
            variants=split,
            resolution=resolution(project.target, endpoint.routing),
            where=f"{project.target.name} {name}",
        )
        manifests = [manifest_of(project, v.model, v.version) for v in spec.variants]
        union(manifests, view_keys(project))
        notes = (*resolved.notes, *comparison(endpoint, manifests))
        for stream in streams_of(project.spec, endpoint):
            project.target.events.apply(STREAMS[stream])
        if counts_units(endpoint):
            project.target.counters.apply(name)
        began = time.monotonic()
        created = running is None
        if created and not is_stopped(claim):
            claim = _intend(project, name, split, claim)
        if is_stopped(claim):
            claim = owner.begin_return(project.target.state, name, claim)
        state = _apply_until_ready(project, spec)
        seconds = time.monotonic() - began
        if is_stopped(claim):
            state = _first_split(project, state, claim, split)
        elif claim is not None and claim.owner.owner == "deploy" and not claim.owner.done:
            if set(claim.owner.split) != set(split):
                claim = _intend(
                    project, name, split, claim
                )  # the description changed before the first split was made
            state = _first_split(project, state, claim, claim.owner.split)
        answers = smoke(project, name, [v.name for v in state.variants if v.percent > 0])
    by_name = {v.name: v for v in state.variants}
    return Deployment(
        target=project.target.name,
        endpoint=name,
        variants=tuple(
            DeployedVariant(
                name=v.name, model=v.model, version=v.version, percent=by_name[v.name].percent
            )
            for v in spec.variants
        ),
        created=created,
        seconds=seconds,
        url=_url(project, name),
        smoke=answers,
        notes=notes,
    )


def _apply_until_ready(project: Project, spec: EndpointSpec) -> EndpointState:
    """Apply the endpoint's spec repeatedly until its variants run; never move traffic."""
    host = routed_endpoints(project.target)
    name = spec.name

    def step() -> EndpointState | None:
        state = host.observe(name)
        failed = state is not None and state.phase == "failed"
        remarked = (
            state is not None and state.failure is not None and not tried
        )  # an earlier version may serve, too
        if (remarked or not variants_ready(spec, state)) and not (failed and tried):
            _apply(project, spec)
            tried.extend(
                [True] * (failed or remarked)
            )  # a failure from before what was mended now is given one more chance
            state = host.observe(name)
        project.progress(
            f"deploy {name}",
            sum(v.phase == "ready" for v in state.variants) if state else 0,
            len(spec.variants),
        )
        return state

    def over(state: EndpointState | None) -> bool:
        return variants_ready(spec, state) or (
            state is not None and state.phase == "failed" and state.failure is not None
        )

    tried: list[bool] = []
    reached = wait(step, over, deadline=DEADLINE, what=f"endpoint {name}")
    if reached is None or not variants_ready(spec, reached):
        failure = reached.failure if reached else "it is absent"
        raise Unavailable(
            f"{name} does not come up: {failure}",
            remedy=f"isthmus endpoints logs {name}; then `isthmus deploy {name}` again",
        )
    return reached


def _apply(project: Project, spec: EndpointSpec) -> None:
    """Create or update the endpoint by its spec, in one step.

    If the target refuses, the error names the variant that cannot change.
    """
    try:
        routed_endpoints(project.target).apply(spec)
    except Conflict as error:
        state = routed_endpoints(project.target).observe(spec.name)
        declared = {v.name: v for v in spec.variants}
        for now in state.variants if state else ():
            new = declared.get(now.name)
            if now.target_percent > 0 and (
                new is None or (new.model, new.version) != (now.model, now.version)
            ):
                change = f"would become {new.model}@{new.version}" if new else "would go"
                share = percent_text(now.target_percent)
                raise Refused(
                    f"{spec.name}: {now.name} ({now.model}@{now.version}) has {share} % of the "
                    f"traffic and {change}; deploy never moves traffic",
                    remedy=f"isthmus traffic {spec.name} {now.name}=0     then     isthmus deploy "
                    f"{spec.name}",
                ) from error
        raise


def _intend(
    project: Project, name: str, split: Mapping[str, Decimal], claim: OwnerDocument | None
) -> OwnerDocument:
    """Record the traffic split that a deploy will set, before it changes any; return the record.

    A deploy that is repeated after a crash goes on from this record. `claim` is the record on who
    owns the traffic that was read before.
    """
    return owner.intend(
        project.target.state, name, split, kind="deploy", claim=claim, now=project.wall()
    )


def _first_split(
    project: Project,
    state: EndpointState,
    claim: OwnerDocument,
    intended: Mapping[str, Decimal],
) -> EndpointState:
    """Set a new endpoint's traffic to its intended split, and wait until the target serves it.

    `claim` is the record by which a repeated deploy goes on after a crash; it is deleted then.
    """
    if {v.name: v.target_percent for v in state.variants} != intended:
        if set(intended) != {v.name for v in state.variants}:
            raise Invalid(
                f"{state.name}: the first split names {', '.join(intended)}",
                remedy=f"isthmus destroy, then deploy {state.name}",
            )
        routed_endpoints(project.target).shift(state.name, intended, expect=state.token)
    state = read_back(project, state.name, intended)
    owner.settle(project.target.state, state.name, claim, now=project.wall())
    return state


def _url(project: Project, name: str) -> str | None:
    """Return the URL of the endpoint's page in the cloud's console, or None if it has none."""
    listed = (
        r
        for r in project.target.inventory.list(project.spec.name)
        if r.kind == "endpoint" and r.name == name
    )
    return next((r.console_url for r in listed), None)
