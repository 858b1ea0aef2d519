"""The last part of a rollout alone: a variant hands its version to another one's name, and goes.

It has all of the traffic already. An experiment that ships ends so. The rollout is written down in
its phase `handing`, and driven as any other; it inherits the traffic from the run, so that the
traffic has an owner until the roles are home.
"""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import msgspec

from ...core.lease import Lease
from ...core.runtime.project import Project
from ...endpoints.port import EndpointSpec, EndpointState, VariantSpec
from ...endpoints.revision import revision_of
from ...endpoints.traffic.manual import observe
from ...errors import Refused
from ...project.specs.description import Endpoint, Rollout, RolloutStep
from ..state import documents, planning
from ..state.planning import traits_of
from ..state.states import RolloutPlan, RolloutState
from ..state.transitions import SHIFT_TIME, note


def begun_state(project: Project, endpoint: str, heir_of: str) -> RolloutState | None:
    """Return the state of the hand-over that an experiment's run (`heir_of`) began, or None.

    It is found only while it is the endpoint's newest rollout.
    """
    stored = documents.read(project.target.state, endpoint)
    return stored.state if stored is not None and stored.state.plan.heir_of == heir_of else None


def hand_over(
    project: Project, endpoint: str, *, to: str, source: str, heir_of: str, who: str, because: str
) -> RolloutState:
    """Begin a hand-over: variant `source` gets the version of variant `to`.

    If it was begun already, that one is returned. Nothing moves until somebody drives it
    (rollout.run_to_end, tick).

    Raises:
        Refused: `to` has not all of the traffic, other variants run than can be told apart, or
            another rollout has not ended.
    """
    if (state := begun_state(project, endpoint, heir_of)) is not None:
        return state
    plan = _plan(project, endpoint, source=source, to=to, heir_of=heir_of)
    now = project.wall()

    def build(name: str) -> RolloutState:
        state = RolloutState(
            id=name,
            endpoint=endpoint,
            plan=plan,
            phase="handing",
            handover="resizing",
            intent=plan.initial,
            shift_by=now + SHIFT_TIME,
            alias="moved",
            lease=Lease(),
            started=now,
            taken=True,
        )
        return note(state, now, "started", f"{to} hands over to {source}: {because}", who=who)

    return documents.begin(project.target.state, endpoint, build).state


def _plan(project: Project, endpoint: str, *, source: str, to: str, heir_of: str) -> RolloutPlan:
    """Return the plan by which an experiment's winner gives its version to another variant's name.

    It is a rollout of one step to 100 % of the traffic.

    Args:
        project: The project.
        endpoint: The endpoint's name.
        source: The variant that gets the model version of `to`, and its traffic.
        to: The variant that won, and has all of the traffic.
        heir_of: The run of the experiment that ships so.
    """
    state, declared = observe(project, endpoint), project.spec.endpoints[endpoint]
    _check_serves(state, to)
    everything = RolloutStep(traffic=Decimal(100), bake=timedelta(0))
    plan = planning.plan(
        project.spec.rollouts.get(endpoint)
        or Rollout(endpoint=endpoint, source=source, to=to, steps=(everything,)),
        declared,
        _running(declared, state),
        initial={variant.name: variant.target_percent for variant in state.variants},
        aliases={},
        target=traits_of(project.target, state.routing),
    )
    refs = {
        variant.name: None if variant.ref.isdigit() else variant.ref
        for variant in declared.variants
    }
    return msgspec.structs.replace(
        plan,
        source=source,
        to=to,
        stages=(everything,),
        # the same version serves under both names: what is judged is whether it comes up, and stays
        # ready
        guardrails=(),
        promote_alias=None,  # the run's own business, before this
        retire_alias=refs.get(to),
        heir_of=heir_of,
    )


def _check_serves(state: EndpointState, to: str) -> None:
    """Raise Refused unless the named variant has all of the traffic."""
    if {variant.name: variant.percent for variant in state.variants}.get(to) != 100:
        raise Refused(
            f"{state.name}: {to} has not all of the traffic, so it has nothing to hand over",
            remedy="who has it: isthmus status; once it is all there, the same command again",
        )


def _running(declared: Endpoint, state: EndpointState) -> EndpointSpec:
    """Return the specification of an endpoint as it runs now, with the settings of project.yaml.

    `declared` is the endpoint in project.yaml.
    """
    variants = tuple(
        VariantSpec(
            name=v.name,
            model=v.model,
            version=v.version,
            instances=(v.target_instances, v.target_instances),
        )
        for v in state.variants
    )
    spec = EndpointSpec(name=state.name, variants=variants, routing=declared.routing)
    if revision_of(spec) != state.revision:
        raise Refused(
            f"{state.name} runs variants in another way than `deploy` makes them",
            remedy=f"isthmus status; then isthmus deploy {state.name}",
        )
    return spec
