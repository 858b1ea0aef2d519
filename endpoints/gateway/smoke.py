"""Requests that test a fresh deployment, made from keys that the feature history knows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from ...core.runtime.project import Project
from ...errors import IsthmusError, NotFound
from ...project.specs.description import Endpoint, ProjectSpec
from .. import hosting
from .gateway import Gateway

REQUESTS = 20
CANDIDATES = 4


class SmokeResult(msgspec.Struct, frozen=True, kw_only=True):
    sent: int
    answered: int
    first_error: str | None = None

    @property
    def ok(self) -> bool:
        """Whether every variant answered the test requests."""
        return self.answered == self.sent

    def __str__(self) -> str:
        counts = f"{self.answered} of {self.sent} requests answered"
        return counts if self.first_error is None else f"{counts} (first error: {self.first_error})"


def smoke(project: Project, name: str, variants: list[str]) -> SmokeResult:
    """Send test requests to each variant of an endpoint, and return how many were answered.

    Nothing is shown to anybody, so no exposure is logged.
    """
    aimed = hosting.aims(project.target.capabilities, project.spec.endpoints[name].routing)
    return _send(
        project,
        name,
        [variants[number % len(variants)] if aimed else None for number in range(REQUESTS)],
        {},
    )


def smoke_arm(
    project: Project, name: str, variant: str | None, parameters: Mapping[str, object]
) -> SmokeResult:
    """Send test requests with the parameters of an experiment's arm.

    They are sent to `variant`, or to any variant by the traffic split if it is None.
    """
    return _send(project, name, [variant] * REQUESTS, parameters)


def _send(
    project: Project, name: str, variants: Sequence[str | None], parameters: Mapping[str, object]
) -> SmokeResult:
    """Send an example request to each variant, and return how many requests it answered."""
    gateway = Gateway(project, name)
    answered, first = 0, None
    try:
        request = example_request(project, name)
    except IsthmusError as error:
        return SmokeResult(
            sent=len(variants), answered=0, first_error=f"no example request: {error}"
        )
    for variant in variants:
        try:
            gateway.score(request, variant=variant, parameters=parameters)
        except IsthmusError as error:
            first = first or str(error)
        else:
            answered += 1
    return SmokeResult(sent=len(variants), answered=answered, first_error=first)


def example_request(project: Project, name: str) -> dict[str, Any]:
    """Return a request for an endpoint, made of keys and attributes of its newest exposures."""
    from ...events.tables.relations import view_name

    spec = project.spec
    endpoint = spec.endpoints[name]
    exposure = spec.events[spec.objectives[endpoint.objective].exposure]
    columns = [a.name for a in exposure.attributes]
    sql = (
        f"SELECT {', '.join(columns)} FROM {view_name(exposure.name)} ORDER BY event_timestamp "
        "DESC, event_id LIMIT 200"
    )
    rows = project.target.warehouse.query(sql, {}).to_pylist()
    ranked = ranked_key(spec, endpoint)
    if ranked is None or not rows:
        raise NotFound(
            f"{exposure.name} has no rows, or no entity's key",
            remedy="isthmus ingest, isthmus materialize",
        )
    request: dict[str, Any] = {key: value for key, value in rows[0].items() if value is not None}
    request[ranked] = list(dict.fromkeys(row[ranked] for row in rows))[:CANDIDATES]
    request.setdefault(endpoint.unit, "smoke")
    return request


def ranked_key(spec: ProjectSpec, endpoint: Endpoint) -> str | None:
    """Return the name of the key that an endpoint ranks, such as item_id.

    It is the entity key that both exposures and outcomes have; None if exposures have none.
    """
    objective = spec.objectives[endpoint.objective]
    exposed, outcome = (
        {a.name: a for a in spec.events[name].attributes}
        for name in (objective.exposure, objective.outcome)
    )
    entities = {entity.key for entity in spec.entities.values()}
    keys = [
        name for name in exposed if name in entities and name not in (endpoint.unit, objective.unit)
    ]  # nobody ranks people
    return next((key for key in keys if key in outcome), next(iter(keys), None))
