"""The plan of a rollout of project.yaml on what runs now.

Everything that `start` refuses is refused here, before anything is written.
"""

from __future__ import annotations

import msgspec

from ...core.runtime.project import Project
from ...endpoints.gateway.request.inputs import was_adopted
from ...endpoints.port import EndpointSpec, EndpointState, VariantState
from ...endpoints.revision import revision_of
from ...endpoints.split import percent_text
from ...endpoints.traffic.manual import observe
from ...endpoints.traffic.resolution import endpoint_of, resolve
from ...errors import Busy, Invalid, NotFound, ProjectError, Refused
from ...project.reading.names import did_you_mean
from ...project.specs.description import Rollout
from ..state.planning import plan, traits_of
from ..state.states import RolloutPlan
from .target_check import check_target


def plan_of(project: Project, endpoint: str) -> RolloutPlan:
    """Return the plan of the declared rollout, with aliases resolved to versions.

    Raises:
        NotFound: There is no such rollout, or endpoint.
        Invalid: A variant does not run, a step is no step up, or a guardrail needs scores that no
            gateway logs.
        Unsupported: The target cannot do a step.
        Busy: A variant is not ready.
        Refused: The version was rejected or is the old one, a third variant has traffic, or other
            versions run than project.yaml names.
    """
    rollout, endpoint_spec = _declared_rollout(project, endpoint), endpoint_of(project, endpoint)
    state = observe(project, endpoint)
    old, new = _variant(state, rollout.source, "from"), _variant(state, rollout.to, "to")
    spec = _with_counts(resolve(project, endpoint_spec, state).spec, state)
    _check_running(project, spec, state)
    _check_pair(endpoint, old, new)
    _check_scores(project, rollout, new)
    _check_bystanders(state, {old.name, new.name})
    _check_steps(project, rollout, new)
    return plan(
        rollout,
        endpoint_spec,
        spec,
        initial={variant.name: variant.target_percent for variant in state.variants},
        aliases=_aliases(project, new.model),
        target=traits_of(project.target, state.routing),
    )


def _with_counts(spec: EndpointSpec, state: EndpointState) -> EndpointSpec:
    """Return a specification with the running number of instances where none is declared.

    A variant is scaled up from that number, and back to it.
    """
    counts = {variant.name: variant.target_instances for variant in state.variants}
    return msgspec.structs.replace(
        spec,
        variants=tuple(
            msgspec.structs.replace(variant, instances=(counts[variant.name],) * 2)
            if variant.instances is None and counts.get(variant.name)
            else variant
            for variant in spec.variants
        ),
    )


def _aliases(project: Project, model: str) -> dict[str, int]:
    """Return the version that each alias of a model points to."""
    return {
        alias: version.version
        for version in project.target.registry.versions(model)
        for alias in version.aliases
    }


def _declared_rollout(project: Project, endpoint: str) -> Rollout:
    """Return an endpoint's rollout from project.yaml; raise NotFound if there is none."""
    rollouts = project.spec.rollouts
    if endpoint not in rollouts:
        raise NotFound(
            f"project.yaml has no rollout for {endpoint}",
            remedy=did_you_mean(endpoint, rollouts, has="it has rollouts for")
            if rollouts
            else f"add   rollouts: {{{endpoint}: {{steps: [...]}}}}",
        )
    return rollouts[endpoint]


def _variant(state: EndpointState, name: str, key: str) -> VariantState:
    """Return the running state of the variant of this name; raise Invalid if it does not run.

    `key` is where project.yaml names it.
    """
    for variant in state.variants:
        if variant.name == name:
            return variant
    raise Invalid(
        f"rollouts.{state.name}.{key}: {state.name} runs no variant {name}; it runs "
        f"{', '.join(v.name for v in state.variants)}",
        remedy=f"isthmus deploy {state.name}",
    )


def _check_running(project: Project, spec: EndpointSpec, state: EndpointState) -> None:
    """Raise unless the endpoint is ready and runs the declared versions."""
    if state.phase != "ready" or any(variant.phase != "ready" for variant in state.variants):
        raise Busy(
            f"{state.name} is {state.phase}, or a variant of it is not ready",
            remedy=f"wait for it: isthmus deploy {state.name}",
        )
    if state.revision != revision_of(spec):
        runs = ", ".join(f"{v.name} {v.model}@{v.version}" for v in state.variants)
        declared = ", ".join(f"{v.name} {v.model}@{v.version}" for v in spec.variants)
        raise Refused(
            f"{project.target.name} {state.name} runs {runs}; project.yaml names {declared} now",
            remedy=f"isthmus deploy {state.name}",
        )


def _check_pair(endpoint: str, old: VariantState, new: VariantState) -> None:
    """Raise Refused if both variants have the same version."""
    if (old.model, old.version) == (new.model, new.version):
        raise Refused(
            f"{endpoint}: {new.name} is {new.model}@{new.version}, which {old.name} serves "
            "already: nothing would change",
            remedy=f"train another version for {new.name}, then isthmus deploy {endpoint}",
        )


def _check_scores(project: Project, rollout: Rollout, new: VariantState) -> None:
    """Raise Invalid if a guardrail judges scores that no gateway logs."""
    scored = [rail.name for rail in rollout.guardrails if rail.metric == "score_mean"]
    if scored and was_adopted(project.target.registry.get(new.model, new.version)):
        raise Invalid(
            f"rollouts.{rollout.endpoint}.guardrails: {scored[0]} judges the scores that a "
            f"gateway logs; none serves {rollout.endpoint}, which was adopted",
            remedy="judge it by error_rate and latency",
        )


def _check_bystanders(state: EndpointState, pair: set[str]) -> None:
    """Raise Refused if a variant outside the rollout has traffic."""
    for variant in state.variants:
        if variant.name not in pair and variant.target_percent > 0:
            share = percent_text(variant.target_percent)
            raise Refused(
                f"{state.name}: {variant.name} has {share} % of the traffic; a rollout moves "
                "that of two variants",
                remedy=f"move it away first: isthmus traffic {state.name} {variant.name}=0 ...",
            )


def _check_steps(project: Project, rollout: Rollout, new: VariantState) -> None:
    """Raise an error if the target cannot do a step, or the first step is no step up."""
    target = project.target
    if problems := check_target(project.description, rollout, target.name, target.capabilities):
        raise ProjectError(problems)
    if rollout.steps[0].traffic <= new.target_percent:
        raise Invalid(
            f"{target.name} {rollout.endpoint}: step 1 is "
            f"{percent_text(rollout.steps[0].traffic)} %, and {new.name} has "
            f"{percent_text(new.target_percent)} % already",
            remedy="begin above it, or take traffic back first: isthmus traffic "
            f"{rollout.endpoint} {new.name}=0",
        )


def differs(project: Project, endpoint: str, running: RolloutPlan) -> bool:
    """Return whether project.yaml declares another rollout than the running plan.

    A hand-over that an experiment began is not declared, and never differs.
    """
    if running.heir_of:
        return False
    rollout = project.spec.rollouts.get(endpoint)
    if rollout is None:
        return True
    same = (
        "to",
        "guardrails",
        "false_alarm",
        "failure_limit",
        "on_no_data",
        "on_inconclusive",
        "on_drift",
        "capacity",
        "advance",
        "webhook_env",
    )
    now, then = msgspec.structs.asdict(rollout), msgspec.structs.asdict(running)
    elsewhere = (rollout.steps, rollout.source, rollout.after.remove_old) != (
        running.stages,
        running.source,
        running.remove_old,
    )
    alias = rollout.after.promote_alias not in (None, running.promote_alias)
    return elsewhere or alias or any(now[key] != then[key] for key in same)
