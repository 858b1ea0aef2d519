"""The gateway's stream `exposures`, as an event that a project has without declaring it."""

from __future__ import annotations

from .description import Attribute, AttributeType, Event, Objective, ProjectSpec
from .reach import EXPOSURE_ID

EXPOSURES = "exposures"


def _attributes(type_: AttributeType, *names: str, required: bool = True) -> tuple[Attribute, ...]:
    """Return attributes of one type, one for each name."""
    return tuple(Attribute(name=name, type=type_, required=required) for name in names)


# One for each item that was shown. JSON stands in strings.
EVENT = Event(
    name=EXPOSURES,
    attributes=(
        *_attributes("string", "endpoint", "unit", "variant", "version", "entity", "entity_key"),
        *_attributes("int", "position"),  # from 1
        *_attributes("float", "score", "propensity"),
        *_attributes("bool", "explored"),
        # {run: arm}, and {name: value}
        *_attributes("string", "assignments", "parameters", required=False),
        *_attributes("int", "config", required=False),  # the live document's version
        # {run: variant} that a click counts for, of an interleaved run; null: nobody
        *_attributes("string", "credit", required=False),
        # {name: value}: the row that was scored, where the endpoint has log_features; null: it has
        # not, or the row was too large
        *_attributes("string", "features", required=False),
        *_attributes("string", "scored_by", required=False),  # model@version; null: no log_features
    ),
)


def event_named(spec: ProjectSpec, name: str) -> Event | None:
    """Return the event of this name: a declared one, or the gateway's `exposures`.

    It is None if there is none. The gateway logs exposures of endpoints that rank, so without one
    there are none.
    """
    if name == EXPOSURES and name not in spec.events and logs_exposures(spec):
        return EVENT
    return spec.events.get(name)


def logs_exposures(spec: ProjectSpec) -> bool:
    """Return whether the project has an endpoint that ranks, whose exposures a gateway logs."""
    return any(endpoint.objective for endpoint in spec.endpoints.values())


def is_served(objective: Objective) -> bool:
    """Return whether an objective counts what gateways showed, not a declared event."""
    return objective.exposure == EXPOSURES


def served_objectives(spec: ProjectSpec) -> tuple[Objective, ...]:
    """Return the objectives that count what gateways showed."""
    return tuple(objective for objective in spec.objectives.values() if is_served(objective))


def reference_to(exposure: str) -> str:
    """Return the attribute by which an outcome's event refers to an exposure event.

    Of `impression` it is `impression_id`, and of the gateway's `exposures` it is `exposure_id`.
    """
    return EXPOSURE_ID if exposure == EXPOSURES else f"{exposure}_id"
