"""What a request to an endpoint may carry, beside its unit and the keys of entities."""

from __future__ import annotations

from .specs import Attribute, Endpoint, ProjectSpec


def exposure_attributes(spec: ProjectSpec, endpoint: Endpoint) -> dict[str, Attribute]:
    """Those of the endpoint's exposure that are no key; none, if the exposure is not sound."""
    keys = {entity.key for entity in spec.entities.values()}
    objective = spec.objectives.get(endpoint.objective)
    exposure = spec.events.get(objective.exposure) if objective else None
    return {attribute.name: attribute for attribute in exposure.attributes if attribute.name not in keys} if exposure else {}


def request_attributes(spec: ProjectSpec, endpoint: Endpoint) -> dict[str, Attribute]:
    return exposure_attributes(spec, endpoint) | {attribute.name: attribute for attribute in endpoint.attributes}
