"""`close`: what a run has shipped becomes true below the gateway, and the run is over.

In this order, so that no unit falls back in between: all of the traffic to the shipped variant,
read back; the alias; the run leaves the live document; the promoted version comes home to the
control's name (rollouts/hand_over.py), which gives the traffic back last. Each step looks first
whether it is done: killed anywhere, `close` again goes on.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import Change, LiveRun
from ...endpoints.port import EndpointState, VariantState
from ...endpoints.split import percent_text
from ...endpoints.traffic import owner
from ...endpoints.traffic.manual import observe, read_back
from ...endpoints.traffic.router import routed_endpoints
from ...errors import NotFound, Refused
from ...pipelines.training.promotion import promote
from ...project.specs.description import OF_EVERY_ENDPOINT, Endpoint
from ...reports.results import Shown
from ...rollouts.state.states import RolloutState
from ...rollouts.verbs import rollout
from ...rollouts.verbs.hand_over import begun_state, hand_over
from ..design import buckets, live_runs, runs
from ..design.definition import never_ran
from ..design.definition_text import parameters_text
from ..design.runs import FrozenRun, StoredLive
from . import ownership
from .answers import FOLLOW


class Closed(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A run whose arm has become the endpoint's own.

    `steps`: what was done, or was done before, a line each.
    """

    target: str
    run: str
    ships: str
    config: int
    steps: tuple[str, ...]
    rollout: str | None = None  # of the hand-over
    home: bool = True  # the roles are as project.yaml names them

    def __str__(self) -> str:
        head = (
            f"{self.target:<7} {self.run}   closed: {self.ships} is the endpoint's own   config "
            f"{self.config}"
        )
        return "\n".join([head, *(f"  {step}" for step in self.steps)])


class _WinningVariant(msgspec.Struct, frozen=True, kw_only=True):
    """The way below the gateway: which variant ships in whose place, and which version it serves.

    None of `alias`: project.yaml names the control by a number, or another model.
    """

    endpoint: str
    variant: str  # ships
    control: str
    model: str
    version: int
    alias: str | None

    @property
    def comes_home(self) -> bool:
        """Return whether the shipped version is to be served under the control variant's name."""
        return self.variant != self.control and self.alias is not None


def close(project: Project, name: str, *, everybody: bool = False) -> Closed:
    """Close a shipped run: make the winning arm's parameters the endpoint's own.

    It takes some minutes, in which variants start.

    Args:
        project: The project.
        name: The experiment.
        everybody: Close it even if it has shipped to some units only.

    Raises:
        NotFound: There is no run.
        Refused: Nothing has shipped; project.yaml's defaults are not yet the shipped parameters; it
            ships to some units only, and not `everybody`; or the version may not be promoted.
        Conflict, Busy: Somebody else changes the endpoint; a repeat goes on.
    """
    with project.lock("experiment close"):
        stored = runs.read(project.target.state)
        run = stored.live.run_of(name) if stored else None
        if stored is None or run is None:
            return _resume(project, stored, name)
        frozen = runs.frozen_run(project.target.state, run.run)
        _check_closable(project, run, frozen, everybody=everybody)
        shipping = next(
            change
            for change in reversed(runs.history(project.target.state, name))
            if change.what == "shipped"
        )
        steps = _ship_by_variant(project, run, frozen, shipping)
        entry = runs.next_change(
            stored,
            run,
            "closed",
            changed_at=project.log_time(),
            before_text=f"{run.ships} ships",
            after=f"{run.ships} is the endpoint's own",
            because=shipping.because,
        )
        live = runs.change(
            project.target.state, stored, live_runs.without_run(stored.live, run.run), entry
        )
        steps.append(
            f"gateways take it within {FOLLOW} (config {live.version}){_ended_holdout(run)}"
        )
        return _finish_close(project, frozen, run.ships, live.version, steps)


def _check_closable(project: Project, run: LiveRun, frozen: FrozenRun, *, everybody: bool) -> None:
    """Raise an error unless a run may be closed.

    Raises:
        Refused: Nothing has shipped, it ships to some units only, or units would lose the shipped
            parameters.
    """
    if run.state != "shipped":
        raise Refused(
            f"{run.run} is running: nothing has shipped",
            remedy=f'isthmus experiment stop {run.experiment} --ship ARM --because "..."',
        )
    if run.targeting and not everybody:
        attributes = ", ".join(dict.fromkeys(condition.attribute for condition in run.targeting))
        raise Refused(
            f"{run.run} has shipped {run.ships} to the units that its targeting names "
            f"({attributes}); closed, every unit gets it",
            remedy=f"isthmus experiment close {run.experiment} --everybody",
        )
    endpoint = _endpoint_spec(project, frozen.definition.layer.endpoint)
    if missing := _missing_lines(endpoint, _shipped_parameters(run)):
        raise Refused(
            f"{run.run} has shipped {parameters_text(_shipped_parameters(run))}, and "
            "project.yaml says otherwise: units would fall back",
            remedy="\n".join(
                [
                    "write in project.yaml, and restart the gateways with it; then close again:",
                    *missing,
                ]
            ),
        )


def _endpoint_spec(project: Project, endpoint: str) -> Endpoint:
    """Return the endpoint's declaration in project.yaml; raise NotFound if it is gone."""
    if endpoint not in project.spec.endpoints:
        raise NotFound(
            f"project.yaml has no endpoint {endpoint} any more",
            remedy="put it back until this is closed",
        )
    return project.spec.endpoints[endpoint]


def _shipped_parameters(run: LiveRun) -> dict[str, Any]:
    """Return the parameters of the arm that ships."""
    return next(arm.parameters for arm in run.arms if arm.name == run.ships)


def _missing_lines(endpoint: Endpoint, shipped: dict[str, Any]) -> list[str]:
    """Return the lines that project.yaml needs so that the shipped parameters are its defaults."""
    lines = [
        f"  endpoints.{endpoint.name}.parameters.{name}: {{default: "
        f"{msgspec.json.encode(value).decode()}}}"
        for name, value in shipped.items()
        if name not in OF_EVERY_ENDPOINT
        and (name not in endpoint.parameters or endpoint.parameters[name].default != value)
    ]
    explore = shipped.get("explore")
    if explore is not None and Decimal(str(explore)) != endpoint.explore:
        lines.append(f"  endpoints.{endpoint.name}.explore: {explore}%")
    return lines


def _ship_by_variant(
    project: Project, run: LiveRun, frozen: FrozenRun, shipping: Change
) -> list[str]:
    """Move all traffic to the winning variant, then give its version the control's alias.

    `shipping` is the change by which the arm was shipped. Returns a line of text for each step.
    """
    if not run.aims:
        return ["project.yaml's defaults are what has shipped"]
    way = _winning_variant(project, frozen, run.ships)
    ownership.take(project, observe(project, way.endpoint), run.run)
    _shift_all(project, way.endpoint, way.variant)
    steps = [f"{way.variant} has 100 % of {way.endpoint}, read back"]
    if way.comes_home and way.alias is not None:
        promote(
            project,
            way.model,
            way.version,
            way.alias,
            because=f"{run.run} ships {run.ships}: {shipping.because}",
        )
        steps.append(f"{way.model}@{way.version} is {way.alias}")
    return steps


def _winning_variant(project: Project, frozen: FrozenRun, ships: str) -> _WinningVariant:
    """Return the variant that the winning arm `ships` names, its version, and whom it replaces."""
    name = frozen.definition.layer.endpoint
    variant, control = _variant_of(frozen, ships), _variant_of(frozen, frozen.arms[0].name)
    serving = _serving(observe(project, name), variant)
    declared = next(
        (role for role in _endpoint_spec(project, name).variants if role.name == control), None
    )
    named = declared is not None and not declared.ref.isdigit() and declared.model == serving.model
    return _WinningVariant(
        endpoint=name,
        variant=variant,
        control=control,
        model=serving.model,
        version=serving.version,
        alias=declared.ref if declared is not None and named else None,
    )


def _variant_of(frozen: FrozenRun, arm: str) -> str:
    """Return the name of the variant that answers an arm's units."""
    return str(
        next(live_arm.parameters["variant"] for live_arm in frozen.arms if live_arm.name == arm)
    )


def _serving(endpoint: EndpointState, name: str) -> VariantState:
    """Return a variant's running state by its name; raise NotFound if it does not run."""
    for variant in endpoint.variants:
        if variant.name == name:
            return variant
    raise NotFound(
        f"{endpoint.name} runs no variant {name} any more",
        remedy=f"isthmus status; isthmus deploy {endpoint.name}",
    )


def _shift_all(project: Project, endpoint: str, variant: str) -> None:
    """Move all traffic to one variant, and wait until the endpoint serves it so."""
    state = observe(project, endpoint)
    split = {other.name: Decimal(100 if other.name == variant else 0) for other in state.variants}
    if {other.name: other.target_percent for other in state.variants} != split:
        routed_endpoints(project.target).shift(endpoint, split, expect=state.token)
    read_back(project, endpoint, split)


def _ended_holdout(run: LiveRun) -> str:
    """Return a remark if a holdout ends with the run, else ""."""
    return (
        f"; the holdout ({percent_text(buckets.percent(run.holdout))} %) ends with it"
        if run.holdout
        else ""
    )


def _resume(project: Project, stored: StoredLive | None, name: str) -> Closed:
    """Finish closing a run that was interrupted after the run had left the live document.

    `name` is the experiment's. Raises NotFound or Refused if it was never closed.
    """
    changes = runs.history(project.target.state, name)
    if stored is None or not changes:
        raise never_ran(project, name)
    if changes[-1].what != "closed":
        raise Refused(
            f"{changes[-1].run} was {changes[-1].what}: nothing has shipped",
            remedy=f"isthmus experiment status {name}",
        )
    frozen, ships = runs.frozen_run(project.target.state, changes[-1].run), changes[-1].ships
    if not _is_done(project, frozen):
        return _finish_close(project, frozen, ships, stored.live.version, [])
    step = f"it was closed at {changes[-1].at:%Y-%m-%d %H:%M} UTC, and nothing is left to do"
    return Closed(
        target=project.target.name,
        run=frozen.run,
        ships=ships,
        config=stored.live.version,
        steps=(step,),
    )


def _finish_close(
    project: Project, frozen: FrozenRun, ships: str, config: int, steps: list[str]
) -> Closed:
    """Give the control variant's name to the shipped version, then release the traffic.

    `ships` is the arm; `config` the version of the live document, and `steps` what was done so far.
    """
    state = _hand_over(project, frozen, ships)
    if state is not None:
        steps.append(_handed_text(state))
    elif frozen.aims:
        steps += _stays_texts(project, frozen, ships)
    ownership.give_back(project, frozen.definition.layer.endpoint, frozen.run)
    return Closed(
        target=project.target.name,
        run=frozen.run,
        ships=ships,
        config=config,
        steps=tuple(steps),
        rollout=state.id if state else None,
        home=state is None or state.handover == "done",
    )


def _hand_over(project: Project, frozen: FrozenRun, ships: str) -> RolloutState | None:
    """Hand the control variant's name over to the shipped version, as a rollout does.

    `ships` is the arm. Returns the rollout's last state; None if there is nothing to hand over.
    """
    endpoint = frozen.definition.layer.endpoint
    if not frozen.aims:
        return None
    state = begun_state(project, endpoint, frozen.run)
    if state is None:
        way = _winning_variant(project, frozen, ships)
        if not way.comes_home:
            return None
        because = f"{frozen.run} ships {ships}"
        state = hand_over(
            project,
            endpoint,
            to=way.variant,
            source=way.control,
            heir_of=frozen.run,
            who=runs.who(),
            because=because,
        )
    if not state.released:
        rollout.run_to_end(project, endpoint)
    return begun_state(project, endpoint, frozen.run)


def _is_done(project: Project, frozen: FrozenRun) -> bool:
    """Return whether neither a run nor its hand-over owns the endpoint's traffic any more."""
    state = begun_state(project, frozen.definition.layer.endpoint, frozen.run)
    claim = owner.read(project.target.state, frozen.definition.layer.endpoint)
    return (state is None or state.released) and (
        claim is None or not claim.owner.is_of("experiment", frozen.run)
    )


def _handed_text(state: RolloutState) -> str:
    """Return a sentence on how the hand-over ended."""
    if state.handover == "done":
        return (
            f"{state.plan.source} has it by {state.id}; {state.plan.to} is gone. The traffic of "
            f"{state.endpoint} is free"
        )
    why = state.cause or state.end
    return (
        f"{state.id} ended before the roles were home ({why}): {state.plan.to} serves. isthmus "
        f"rollout history {state.endpoint}"
    )


def _stays_texts(project: Project, frozen: FrozenRun, ships: str) -> list[str]:
    """Return text on what the user has to do if the shipped version keeps its variant's name."""
    way = _winning_variant(project, frozen, ships)
    if way.variant == way.control:
        return [f"{way.control} serves all of {way.endpoint}, and its traffic is free"]
    return [
        (
            f"{way.variant} serves all of {way.endpoint}: write {way.model}@{way.version} as "
            f"{way.control} in project.yaml, then isthmus deploy"
        )
    ]
