"""Values of the section `objectives:` -> structs."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from ..sections.values import YamlValues
from ..specs.description import ROW, Endpoint, Event, Objective
from ..specs.exposures import EXPOSURES


def build_objective(name: str, values: YamlValues) -> Objective:
    """Build the Objective struct; rows are ranked within their unit unless it says otherwise."""
    outcome, exposure = values.pop("rate")
    if exposure.event == EXPOSURES:  # they have it, whatever endpoint showed the item
        values = {"unit": "unit"} | values
    unit = values.get("unit", ROW)
    derived: YamlValues = {} if unit == ROW else {"ranked_within": unit}
    if "at_most" in values:
        derived["at_most"] = float(values.pop("at_most"))
    return Objective(
        name=name,
        outcome=outcome.event,
        sums=outcome.attribute,
        exposure=exposure.event,
        **derived | values,
    )


def with_units_of_endpoints(
    objectives: Mapping[str, Objective],
    endpoints: Mapping[str, Endpoint],
    events: Mapping[str, Event],
) -> dict[str, Objective]:
    """Return the objectives, with the unit of their endpoints where they declare none.

    That is so only if all endpoints of one have the same unit, and the exposure event logs it.
    """
    return {
        name: objective
        if objective.unit is not None
        else _with_unit(objective, endpoints, events.get(objective.exposure))
        for name, objective in objectives.items()
    }


def _with_unit(
    objective: Objective, endpoints: Mapping[str, Endpoint], exposure: Event | None
) -> Objective:
    """Return an objective with its endpoint's unit, if the exposure has that attribute."""
    units = {e.unit for e in endpoints.values() if e.objective == objective.name}
    logged = {
        attribute.name
        for attribute in (exposure.attributes if exposure else ())
        if attribute.type in ("int", "string")
    }
    if len(units) != 1 or not units <= logged:
        return objective
    (unit,) = units
    return msgspec.structs.replace(
        objective, unit=unit, ranked_within=objective.ranked_within or unit
    )
