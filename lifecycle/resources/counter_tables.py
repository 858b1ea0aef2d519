"""Counter tables: those that the rules of endpoints need, in plan and apply.

A target that has none makes none: its `deploy` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.runtime.project import Project
from ...project.endpoints.rules import counts_units


def due(project: Project) -> Iterator[str]:
    """Yield the endpoints with frequency caps per unit, which need a table of counters."""
    if "counters" in project.target.adapter.ports:
        yield from (
            endpoint.name for endpoint in project.spec.endpoints.values() if counts_units(endpoint)
        )


def make(project: Project) -> None:
    """Create the table of counters of each endpoint that caps how often units see an item."""
    for endpoint in due(project):
        project.target.counters.apply(endpoint)


def is_there(project: Project, endpoint: str) -> bool:
    """Return whether an endpoint's table of counters exists and is ready."""
    return project.target.counters.observe(endpoint) not in (None, "creating", "failed")


def price(project: Project) -> str:
    """Return text on what counting shown items costs, "" if the target has no prices."""
    priced = project.target.adapter.priced
    if priced is None:
        return ""
    cost = priced.count_price(project.target.profile)
    return (
        "(a million answers: unknown)"
        if cost is None
        else f"(a million answers: {cost:.2f} USD or more)"
    )
