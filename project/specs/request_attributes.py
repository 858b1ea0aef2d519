"""The attributes of a request to an endpoint that experiments may ask for.

Its unit and the keys of entities are not among them.
"""

from __future__ import annotations

from .description import Attribute, Endpoint, ProjectSpec
from .reach import EXPOSURE_ID

# What the gateway decides while it ranks: no request carries it, so a model that reads it needs a
# value at serving.
DECIDED_BY_RANKING = ("position", "propensity", "policy")


def exposure_attributes(spec: ProjectSpec, endpoint: Endpoint) -> dict[str, Attribute]:
    """Return the exposure event's attributes that are no entity key, by name."""
    keys = {entity.key for entity in spec.entities.values()}
    objective = spec.objectives.get(endpoint.objective)
    exposure = spec.events.get(objective.exposure) if objective else None
    return (
        {
            attribute.name: attribute
            for attribute in exposure.attributes
            if attribute.name not in keys
        }
        if exposure
        else {}
    )


def request_attributes(spec: ProjectSpec, endpoint: Endpoint) -> dict[str, Attribute]:
    """Return the attributes that a request may have, by name.

    They are those of the exposure event that ranking does not decide itself, such as the position,
    and the endpoint's own.
    """
    shown = exposure_attributes(spec, endpoint)
    exposed = {
        name: attribute
        for name, attribute in shown.items()
        if name not in (*DECIDED_BY_RANKING, EXPOSURE_ID)
    }
    return exposed | {attribute.name: attribute for attribute in endpoint.attributes}
