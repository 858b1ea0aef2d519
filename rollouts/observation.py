"""Observation of a rollout's endpoint by one look.

Whatever cannot be read is left out: nothing is decided about it this time.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from functools import partial
from typing import Any, Literal

import msgspec

from ..endpoints.port import Bucket, EndpointState, Window
from ..endpoints.traffic import owner
from ..endpoints.traffic.convergence import variants_ready
from ..errors import IsthmusError, NotFound, NotSettled
from .evidence.judgement import is_alone, judged_until
from .phases.promoted import model_of
from .state.capacity import hand_over_spec
from .state.convergence import settled_by
from .state.ports import ControllerPorts
from .state.states import Observation, RolloutState


class PartialObservation(msgspec.Struct, frozen=True, kw_only=True):
    """An observation, and what could not be read."""

    observation: Observation
    problems: tuple[str, ...] = ()


def observe(ports: ControllerPorts, state: RolloutState, now: datetime) -> PartialObservation:
    """Read from the target all that one control loop iteration of a rollout needs to decide.

    That is the endpoint, the owner of its traffic, aliases, metrics and the smoke test.
    """
    problems: list[str] = []
    fields: dict[str, Any] = {}
    try:
        endpoint = ports.endpoints.observe(state.endpoint)
        fields |= {"endpoint": endpoint, "absent": endpoint is None}
    except IsthmusError as error:
        endpoint = None
        problems.append(f"endpoint: {error}")
    whose = partial(_owner, absent=fields.get("absent", False))
    for what, read in (
        ("owner", whose),
        ("alias", _aliases),
        ("metrics", _metrics),
        ("smoke", _smoke),
    ):
        try:
            fields |= read(ports, state, endpoint, now)
        except NotSettled:
            continue  # at the next look
        except IsthmusError as error:
            problems.append(f"{what}: {error}")
    return PartialObservation(observation=Observation(**fields), problems=tuple(problems))


def _owner(
    ports: ControllerPorts,
    state: RolloutState,
    endpoint: EndpointState | None,
    now: datetime,
    *,
    absent: bool,
) -> dict[str, Any]:
    """Return the observation's field on who owns the endpoint's traffic: ours, free or other.

    It is a dict for the observation's constructor. `absent` says that the endpoint does not exist.
    """
    claim = owner.read(ports.state, state.endpoint)
    whose: Literal["ours", "free", "other"]
    if endpoint is not None:
        whose = owner.whose(
            claim, endpoint, kind="rollout", name=state.id, now=now, heir_of=state.plan.heir_of
        )
    elif claim is not None and claim.owner.is_of("rollout", state.id):
        whose = "ours"
    elif absent:  # a hand's change cannot arrive where nothing is
        whose = "other" if claim is not None and claim.owner.lasting else "free"
    else:
        return {}  # nothing is given up, or taken, that was not looked at
    text = (
        f"{claim.owner.owner} {claim.owner.name} since {claim.owner.changed:%Y-%m-%d %H:%M} UTC"
        if claim
        else ""
    )
    return {"owner": whose, "owner_text": text}


def _aliases(
    ports: ControllerPorts, state: RolloutState, endpoint: EndpointState | None, now: datetime
) -> dict[str, Any]:
    """Return the observation's fields on the model versions that the rollout's aliases point to.

    It is a dict for the observation's constructor. An alias is read only in the phases in which the
    rollout may move it.
    """
    del endpoint, now
    fields: dict[str, Any] = {}
    if (
        state.plan.promote_alias is not None
        and state.phase in ("promoted", "aborting", "ended")
        and not state.released
    ):
        fields["alias_version"] = _alias_version(ports, model_of(state), state.plan.promote_alias)
    if state.plan.retire_alias is not None and state.handover == "removing":
        fields["retired_version"] = _alias_version(ports, model_of(state), state.plan.retire_alias)
    return fields


def _alias_version(ports: ControllerPorts, model: str, alias: str) -> int:
    """Return the number of the model version that an alias points to; 0 if there is no alias."""
    try:
        return ports.registry.get(model, alias).version
    except NotFound:
        return 0


def is_due(state: RolloutState, now: datetime) -> bool:
    """Return whether a further minute's metrics are final by now, so that they can be judged."""
    begun = judged_until(state)
    return (
        state.bake_from is not None
        and begun is not None
        and settled_by(state.plan, now) > begun
        and bool(state.plan.guardrails)
    )


def _metrics(
    ports: ControllerPorts, state: RolloutState, endpoint: EndpointState | None, now: datetime
) -> dict[str, Any]:
    """Return the observation's fields with all metrics since the bake began.

    It is a dict for the observation's constructor. A bake is the time in which a step is watched.
    The fields are empty unless a further minute is final.
    """
    del endpoint
    if state.bake_from is None or not is_due(state, now):
        return {}
    return _read(ports, state, Window(start=state.bake_from, end=settled_by(state.plan, now)))


def _read(ports: ControllerPorts, state: RolloutState, window: Window) -> dict[str, Any]:
    """Return the observation's fields with the metrics and the scores of a time window.

    Scores are read only where variants are compared; else the numbers of requests suffice.
    """
    fields: dict[str, Mapping[str, Any]] = {}
    metrics, alone = {guardrail.metric for guardrail in state.plan.guardrails}, is_alone(state)
    if alone or metrics != {"score_mean"}:
        minutes: Mapping[str, tuple[Bucket, ...]] = ports.metrics.read(state.endpoint, window)
        fields["minutes"] = minutes
    if ports.scores is not None and not alone and "score_mean" in metrics:
        fields["scores"] = ports.scores(state.endpoint, window)
    return {"settled": window.end, **fields}


def minutes_so_far(
    ports: ControllerPorts, state: RolloutState, observation: Observation
) -> Observation:
    """Return an observation with the metrics of the last checks, if it read none itself.

    Minutes that cannot be read are left out.
    """
    until = judged_until(state)
    if (
        observation.settled is not None
        or state.bake_from is None
        or until is None
        or until <= state.bake_from
    ):
        return observation
    try:
        return Observation(**_read(ports, state, Window(start=state.bake_from, end=until)))
    except IsthmusError:
        return observation


def _smoke(
    ports: ControllerPorts, state: RolloutState, endpoint: EndpointState | None, now: datetime
) -> dict[str, Any]:
    """Return the observation's field with the error of a smoke test, if one is due.

    It is a dict for the observation's constructor. In the hand-over after a promotion, the variant
    that takes the version over gets test requests before it has traffic.
    """
    del now
    if state.handover != "resizing" or not variants_ready(hand_over_spec(state.plan), endpoint):
        return {}
    try:
        ports.smoke(state.endpoint, state.plan.source)
    except IsthmusError as error:
        return {"smoke": str(error)}
    return {"smoke": ""}
