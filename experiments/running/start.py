"""The start of a run: what project.yaml says becomes a run that is live.

Killed anywhere, the same start again goes on.
"""

from __future__ import annotations

from msgspec.structs import replace

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import Change, LiveExperiments, LiveRun
from ...endpoints.gateway.log.streams import STREAMS
from ...endpoints.gateway.smoke import SmokeResult, smoke_arm
from ...endpoints.port import EndpointState
from ...endpoints.traffic.router import routed_endpoints
from ...errors import Conflict, Refused, Unavailable
from ...project.specs.description import OF_EVERY_ENDPOINT
from ...project.specs.streams import streams_of
from ..design import buckets, live_runs, runs
from ..design.definition import (
    arms_of,
    check_parameters,
    check_unlike,
    conflicting,
    definition_of,
    frozen_run,
    with_defaults,
)
from ..design.runs import ExperimentDefinition, FrozenRun, StoredLive
from . import ownership
from .answers import Started


def start(project: Project, name: str) -> Started:
    """Start a run of an experiment on its share of a layer's units.

    A run that is live already is returned, and nothing changes.

    Raises:
        NotFound, ProjectError, Busy: The endpoint cannot serve its arms.
        Refused: Too few buckets are free, the traffic has another owner, or a run is live with
            another definition.
        Unavailable: An arm does not answer.
        Conflict: Somebody was faster.
    """
    with project.lock("experiment start"):
        definition = definition_of(project, name)
        stored = runs.current(project.target.state)
        if (run := stored.live.run_of(name)) is not None:
            return _live_already(project, stored.live, run, definition)
        return _start(project, stored, definition)


def _start(project: Project, stored: StoredLive, definition: ExperimentDefinition) -> Started:
    """Check the experiment, freeze its definition as a run, and make the run live."""
    layer = definition.layer
    share = definition.experiment.share
    ranges = live_runs.ranges_for(stored.live, layer.name, buckets.count(share))
    layers = live_runs.layers_with(stored.live, layer)
    arms = arms_of(project, definition)
    check_parameters(stored.live, definition, arms)
    endpoint = routed_endpoints(project.target).observe(layer.endpoint)
    if definition.experiment.aims:
        ownership.check_free(project, endpoint, definition.experiment.name)
        check_unlike(definition.experiment, arms)
    arms = with_defaults(project, stored.live, layer, arms)
    frozen = _claim(project, frozen_run(project, definition, arms))
    for stream in streams_of(project.spec, project.spec.endpoints[layer.endpoint]):
        project.target.events.apply(
            STREAMS[stream]
        )  # as `deploy` does: who is assigned from now on is logged
    answers = _smoke_arms(project, frozen) if endpoint is not None else {}
    run = replace(live_runs.live_run(frozen, ranges), started=project.log_time())
    after = replace(stored.live, layers=layers, runs=(*stored.live.runs, run))
    entry = runs.next_change(
        stored, run, "started", changed_at=project.log_time(), after=traffic_text(run)
    )
    runs.next_live(after, entry)  # too large: refused before the traffic is taken
    aims = definition.experiment.aims
    former = ownership.take(project, endpoint, frozen.run) if aims else None
    live = _go_live(project, stored, after, entry, endpoint, aims=aims)
    return _summary(project, live, run, frozen, former=former, answers=answers)


def _live_already(
    project: Project, live: LiveExperiments, run: LiveRun, definition: ExperimentDefinition
) -> Started:
    """Return the live run if it is the same as project.yaml's; raise an error if not.

    Raises:
        Refused: It has shipped.
        ProjectError: project.yaml says something else by now.
    """
    if run.state == "shipped":
        raise Refused(
            f"{run.run} has shipped {run.ships}",
            remedy=f"isthmus experiment close {run.experiment}, then start the next run",
        )
    frozen = runs.frozen_run(project.target.state, run.run)
    if (differs := conflicting(project, frozen, definition)) is not None:
        raise differs
    return _summary(project, live, run, frozen, already=True)


def _summary(
    project: Project,
    live: LiveExperiments,
    run: LiveRun,
    frozen: FrozenRun,
    *,
    former: str | None = None,
    answers: dict[str, SmokeResult] | None = None,
    already: bool = False,
) -> Started:
    """Return the result of `start`: the live run, its share and the answers to test requests.

    `former` is who had the traffic before, `already` says that the run was live before.
    """
    experiment = frozen.definition.experiment
    return Started(
        target=project.target.name,
        run=run.run,
        endpoint=frozen.definition.layer.endpoint,
        layer=run.layer,
        share=buckets.share(run.ranges),
        ranges=run.ranges,
        weights=experiment.weights,
        holdout=experiment.holdout,
        targeting=experiment.targeting,
        git=frozen.git,
        config=live.version,
        owner_before=former,
        answers=answers or {},
        already=already,
    )


def _claim(project: Project, unnumbered: FrozenRun) -> FrozenRun:
    """Give the run its number; raise Conflict if somebody else starts one at the same time."""
    try:
        return runs.claim(project.target.state, unnumbered)
    except Conflict as error:
        raise Conflict(
            f"somebody else starts {unnumbered.run} just now; nothing was changed",
            remedy=f"isthmus experiment status {unnumbered.run}",
        ) from error


def _smoke_arms(project: Project, frozen: FrozenRun) -> dict[str, SmokeResult]:
    """Send test requests with each arm's parameters, or to both variants of an interleaved run.

    Raises:
        Unavailable: A test request of an arm failed.
    """
    endpoint, answers = frozen.definition.layer.endpoint, dict[str, SmokeResult]()
    for arm in frozen.shippable:
        parameters = {
            name: value for name, value in arm.parameters.items() if name not in OF_EVERY_ENDPOINT
        }
        defaults = {
            name: parameter.default
            for name, parameter in project.spec.endpoints[endpoint].parameters.items()
        }
        answers[arm.name] = smoke_arm(
            project, endpoint, arm.parameters.get("variant"), defaults | parameters
        )
        if not answers[arm.name].ok:
            raise Unavailable(
                f"{endpoint}: arm {arm.name} does not answer: {answers[arm.name]}",
                remedy=f"isthmus endpoints logs {endpoint}; no unit was assigned",
            )
    return answers


def _go_live(
    project: Project,
    stored: StoredLive,
    after: LiveExperiments,
    entry: Change,
    endpoint: EndpointState | None,
    *,
    aims: bool,
) -> LiveExperiments:
    """Write the run into the document of live runs; with `aims` give it the endpoint's traffic.

    `after` is the new document and `entry` the change. If another start was faster, Conflict is
    raised, and the traffic goes to the other run.
    """
    try:
        live = runs.change(project.target.state, stored, after, entry)
    except Conflict:
        live = runs.current(project.target.state).live
        winner = live.run_of(runs.experiment_of(entry.run))
        if winner is not None and winner.aims:
            ownership.take(project, endpoint, winner.run)
        raise
    if aims:
        ownership.take(project, endpoint, entry.run)
    return live


def traffic_text(run: LiveRun) -> str:
    """Return a run's share of its layer, or the arm that it ships, as text."""
    return f"{run.ships} ships" if run.state == "shipped" else f"{buckets.share(run.ranges):.2f} %"
