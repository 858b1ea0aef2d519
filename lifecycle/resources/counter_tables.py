"""Counter tables: those that the rules of endpoints need, in plan and apply.

A target that has none makes none: its `deploy` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.runtime.project import Project
from ...project.endpoints.rules import counts_units


def due(project: Project) -> Iterator[str]:
    """Yield the names of the endpoints that need a table of counters.

    They limit how often a unit sees an item. There are none on a target that cannot count.
    """
    if "counters" in project.target.adapter.ports:
        yield from (
            endpoint.name for endpoint in project.spec.endpoints.values() if counts_units(endpoint)
        )


def make(project: Project) -> None:
    """Create a table of counters for each endpoint that limits how often a unit sees an item."""
    for endpoint in due(project):
        project.target.counters.apply(endpoint)


def is_there(project: Project, endpoint: str) -> bool:
    """Return whether an endpoint's table of counters exists and is ready."""
    return project.target.counters.observe(endpoint) not in (None, "creating", "failed")


def price(project: Project) -> str:
    """Return text on what counting the shown items of a million answers costs.

    It is "" if the target has no prices.
    """
    priced = project.target.adapter.priced
    if priced is None:
        return ""
    cost = priced.count_price(project.target.profile)
    return (
        "(a million answers: unknown)"
        if cost is None
        else f"(a million answers: {cost:.2f} USD or more)"
    )
