"""From project.yaml and what runs to a rollout's plan. Everything that `start` refuses is refused here, before anything is written."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec

from ..endpoints.deploy import declared, resolve
from ..endpoints.hosting import resolution
from ..endpoints.port import EndpointSpec, EndpointState, VariantState
from ..endpoints.revision import revision_of
from ..endpoints.split import representable, shown
from ..endpoints.traffic import observed
from ..errors import Busy, Invalid, NotFound, Refused
from ..project.names import did_you_mean
from ..project.specs import Endpoint, Rollout
from ..runtime import Project
from .states import Plan

LOOKS = timedelta(minutes=2)  # that a bake needs beside the delay of its metrics
_WHOLE = Decimal(100)


def planned(project: Project, endpoint: str) -> Plan:
    """The rollout of project.yaml on what runs now, versions in the place of aliases.

    NotFound: no such rollout, or endpoint. Invalid, Unsupported: a variant or a step that cannot be. Busy: a variant is not ready.
    Refused: the version was rejected or is the old one, a third variant has traffic, or other versions run than project.yaml names.
    """
    rollout, endpoint_spec = _declared_rollout(project, endpoint), declared(project, endpoint)
    state = observed(project, endpoint)
    old, new = _variant(state, rollout.source, "from"), _variant(state, rollout.to, "to")
    spec = resolve(project, endpoint_spec)
    _check_running(project, spec, state)
    _check_pair(endpoint, old, new)
    _check_bystanders(state, {old.name, new.name})
    _check_steps(project, rollout, new)
    promote_alias = rollout.after.promote_alias or _alias(endpoint_spec, old.name)
    return Plan(
        source=old.name,
        to=new.name,
        stages=rollout.steps,
        guardrails=rollout.guardrails,
        false_alarm=rollout.false_alarm,
        failure_limit=rollout.failure_limit,
        on_no_data=rollout.on_no_data,
        on_inconclusive=rollout.on_inconclusive,
        on_drift=rollout.on_drift,
        capacity=rollout.capacity,
        advance=rollout.advance,
        spec=spec,
        initial={variant.name: variant.target_percent for variant in state.variants},
        promote_alias=promote_alias,
        alias_before=_version(project, new.model, promote_alias),
        retire_alias=_alias(endpoint_spec, new.name),
        remove_old=rollout.after.remove_old,
        webhook_env=rollout.webhook_env,
        resolution=resolution(project.target),
        metrics_delay=metrics_delay(project),
        fenced=project.target.capabilities["traffic.touch"].level == "native",
    )


def metrics_delay(project: Project) -> timedelta:
    """How long after its end a minute's figures are final on this target."""
    value = project.target.capabilities["metrics.delay"].value
    return value if isinstance(value, timedelta) else timedelta(0)


def _declared_rollout(project: Project, endpoint: str) -> Rollout:
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
    for variant in state.variants:
        if variant.name == name:
            return variant
    raise Invalid(
        f"rollouts.{state.name}.{key}: {state.name} runs no variant {name}; it runs {', '.join(v.name for v in state.variants)}",
        remedy=f"isthmus deploy {state.name}",
    )


def _check_running(project: Project, spec: EndpointSpec, state: EndpointState) -> None:
    if state.phase != "ready" or any(variant.phase != "ready" for variant in state.variants):
        raise Busy(f"{state.name} is {state.phase}, or a variant of it is not ready", remedy=f"wait for it: isthmus deploy {state.name}")
    if state.revision != revision_of(spec):
        runs = ", ".join(f"{v.name} {v.model}@{v.version}" for v in state.variants)
        wanted = ", ".join(f"{v.name} {v.model}@{v.version}" for v in spec.variants)
        raise Refused(
            f"{project.target.name} {state.name} runs {runs}; project.yaml names {wanted} now", remedy=f"isthmus deploy {state.name}"
        )


def _check_pair(endpoint: str, old: VariantState, new: VariantState) -> None:
    if (old.model, old.version) == (new.model, new.version):
        raise Refused(
            f"{endpoint}: {new.name} is {new.model}@{new.version}, which {old.name} serves already: nothing would change",
            remedy=f"train another version for {new.name}, then isthmus deploy {endpoint}",
        )


def _check_bystanders(state: EndpointState, pair: set[str]) -> None:
    for variant in state.variants:
        if variant.name not in pair and variant.target_percent > 0:
            raise Refused(
                f"{state.name}: {variant.name} has {shown(variant.target_percent)} % of the traffic; a rollout moves that of two variants",
                remedy=f"move it away first: isthmus traffic {state.name} {variant.name}=0 ...",
            )


def _check_steps(project: Project, rollout: Rollout, new: VariantState) -> None:
    where = f"{project.target.name} {rollout.endpoint}"
    shares = {f"step {number}": step.traffic for number, step in enumerate(rollout.steps, start=1)}
    representable(shares, resolution=resolution(project.target), where=where)
    if rollout.steps[0].traffic <= new.target_percent:
        raise Invalid(
            f"{where}: step 1 is {shown(rollout.steps[0].traffic)} %, and {new.name} has {shown(new.target_percent)} % already",
            remedy=f"begin above it, or take traffic back first: isthmus traffic {rollout.endpoint} {new.name}=0",
        )
    least = metrics_delay(project) + LOOKS
    for number, step in enumerate(rollout.steps, start=1):
        if step.bake < least:
            raise Invalid(
                f"{where}: step {number} bakes {_minutes(step.bake)}, and its figures need {_minutes(least)}: "
                f"{project.target.adapter.title}'s minutes are final {_minutes(metrics_delay(project))} after they end",
                remedy=f"rollouts.{rollout.endpoint}.steps: bake {_minutes(least)} or longer",
            )


def _minutes(span: timedelta) -> str:
    return f"{span.total_seconds() / 60:g}m"


def _alias(endpoint: Endpoint, variant: str) -> str | None:
    """The alias that a variant follows; None: it names a version's number."""
    refs = {declared.name: declared.ref for declared in endpoint.variants}
    ref = refs.get(variant, "")
    return ref if ref and not ref.isdigit() else None


def _version(project: Project, model: str, alias: str | None) -> int:
    """What an alias names; 0: nothing, or there is no alias."""
    try:
        return 0 if alias is None else project.target.registry.get(model, alias).version
    except NotFound:
        return 0


def differs(project: Project, endpoint: str, plan: Plan) -> bool:
    """Whether project.yaml says something else by now than the running plan."""
    rollout = project.spec.rollouts.get(endpoint)
    if rollout is None:
        return True
    same = ("to", "guardrails", "false_alarm", "failure_limit", "on_no_data", "on_inconclusive", "on_drift", "capacity", "advance")
    now, then = msgspec.structs.asdict(rollout), msgspec.structs.asdict(plan)
    return rollout.steps != plan.stages or rollout.source != plan.source or any(now[key] != then[key] for key in same)
