"""`isthmus rollout rehearse`: a project's rollout under a scenario.

It plays in the scripted world of the target that it is for.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec

from ...core.runtime.project import Project
from ...endpoints.port import EndpointSpec, VariantSpec
from ...errors import Invalid
from ...project.specs.description import Endpoint, OfficeHours, Rollout
from ...target import Target
from ..state.convergence import is_open
from ..state.planning import plan
from ..state.states import RolloutPlan
from ..world import START, Traits, traits_of
from .player import play
from .results import Rehearsal
from .scenario import Scenario
from .scenario_file import read
from .setting import Setting, WorldSetting

_WEEK = timedelta(days=7)


def rehearse(project: Project, path: str | Path) -> Rehearsal:
    """Rehearse a rollout with simulated models, traffic and time; the target is not touched.

    Raises:
        ProjectError: The scenario has mistakes.
    """
    return rehearse_in(project, path, partial(_world_of, project.target))


def rehearse_in(
    project: Project, path: str | Path, setting: Callable[[Scenario, RolloutPlan], Setting]
) -> Rehearsal:
    """Rehearse the rollout of a scenario file in an environment, and close that afterwards.

    `setting` builds the environment.
    """
    scenario = read(Path(path), project.spec.rollouts)
    return _play(project, scenario, project.spec.rollouts[scenario.rollout], setting)


def without_guardrails(project: Project, path: str | Path) -> Rehearsal:
    """Rehearse a scenario with guardrails that decide nothing, to compare.

    No step waits for a person.
    """
    scenario = read(Path(path), project.spec.rollouts)
    return _play(
        project,
        scenario,
        blind(project.spec.rollouts[scenario.rollout]),
        partial(_world_of, project.target),
    )


def blind(rollout: Rollout) -> Rollout:
    """Return a rollout with its guardrails in dry run, and without steps that wait.

    Nothing stops it, so that a rehearsal shows what guardrails would have prevented.
    """
    return msgspec.structs.replace(
        rollout,
        guardrails=tuple(
            msgspec.structs.replace(guardrail, dry_run=True) for guardrail in rollout.guardrails
        ),
        steps=tuple(msgspec.structs.replace(step, pause=False) for step in rollout.steps),
    )


def _play(
    project: Project,
    scenario: Scenario,
    rollout: Rollout,
    setting: Callable[[Scenario, RolloutPlan], Setting],
) -> Rehearsal:
    """Play a scenario of a rollout in the environment that `setting` builds."""
    endpoint = project.spec.endpoints[rollout.endpoint]
    planned = plan_of(rollout, endpoint, traits_of(project.target, endpoint.routing))
    stage = setting(scenario, planned)
    try:
        return play(scenario, planned, rollout.endpoint, stage)
    finally:
        stage.close()


def plan_of(rollout: Rollout, endpoint: Endpoint, traits: Traits) -> RolloutPlan:
    """Return the plan of a declared rollout, for a rehearsal that has no deployed endpoint.

    The variants have versions 1, 2, ... of their models; the declared split is where it begins.

    Raises:
        Invalid: A third variant has traffic.
    """
    if others := [
        v.name
        for v in endpoint.variants
        if v.traffic and v.name not in (rollout.source, rollout.to)
    ]:
        raise Invalid(
            f"endpoint {endpoint.name} gives traffic to {', '.join(others)}, and a rollout "
            "moves it between two variants",
            remedy=f"give it to {rollout.source} or {rollout.to} first",
        )
    spec = EndpointSpec(
        name=endpoint.name,
        variants=tuple(
            VariantSpec(name=v.name, model=v.model, version=n)
            for n, v in enumerate(endpoint.variants, start=1)
        ),
        routing=endpoint.routing,
    )
    versions = {variant.name: variant.version for variant in spec.variants}
    return plan(
        rollout,
        endpoint,
        spec,
        initial={variant.name: variant.traffic for variant in endpoint.variants},
        aliases={variant.ref: versions[variant.name] for variant in endpoint.variants},
        target=traits,
    )


def _world_of(target: Target, scenario: Scenario, planned: RolloutPlan) -> WorldSetting:
    """Return a simulated environment for a plan, as fast and as capable as a target."""
    return setting(scenario, planned, traits_of(target, planned.spec.routing))


def setting(scenario: Scenario, planned: RolloutPlan, traits: Traits) -> WorldSetting:
    """Return a simulated environment whose clock starts when the rollout's steps are allowed.

    `traits` say how the simulated target behaves.
    """
    return WorldSetting(scenario, planned, traits, opening(planned.advance, START))


def opening(hours: OfficeHours, since: datetime) -> datetime:
    """Return the first quarter of an hour from `since` on that lies in the office hours.

    A rehearsal starts there, as it would otherwise show only waiting.
    """
    moments = (
        since + timedelta(minutes=15 * number) for number in range(_WEEK // timedelta(minutes=15))
    )
    return next((moment for moment in moments if is_open(hours, moment)), since)
