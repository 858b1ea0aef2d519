"""Values of the section `objectives:` -> structs."""

from __future__ import annotations

from ..sections.values import Values
from ..specs.description import Objective


def build_objective(name: str, values: Values) -> Objective:
    """Build an objective; rows are ranked within their unit unless it says otherwise."""
    outcome, exposure = values.pop("rate")
    within = {"ranked_within": values["unit"]} if "unit" in values else {}
    return Objective(name=name, outcome=outcome, exposure=exposure, **within | values)
