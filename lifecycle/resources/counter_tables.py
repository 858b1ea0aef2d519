"""Counter tables: those that the rules of endpoints need, in plan and apply.

A target that has none makes none: its `deploy` refuses.
"""

from __future__ import annotations

from collections.abc import Iterator

from ...core.runtime.project import Project
from ...project.endpoints.rules import counts_units


def due(project: Project) -> Iterator[str]:
    """List the endpoints that need a counter table."""
    if "counters" in project.target.adapter.ports:
        yield from (
            endpoint.name for endpoint in project.spec.endpoints.values() if counts_units(endpoint)
        )


def make(project: Project) -> None:
    """Make the counter table of each endpoint that caps how often units see an item."""
    for endpoint in due(project):
        project.target.counters.apply(endpoint)


def is_there(project: Project, endpoint: str) -> bool:
    """Return whether an endpoint's counter table is made."""
    return project.target.counters.observe(endpoint) not in (None, "creating", "failed")


def price(project: Project) -> str:
    """Say what counting shown items costs; empty where it costs nothing."""
    priced = project.target.adapter.priced
    if priced is None:
        return ""
    cost = priced.count_price(project.target.profile)
    return (
        "(a million answers: unknown)"
        if cost is None
        else f"(a million answers: {cost:.2f} USD or more)"
    )
