"""Refusals of what one target cannot do of an endpoint.

It may not leave its split to the gateway, count what units are shown, or aim copies at a shadow.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ..errors import Problem
from ..project.endpoints.rules import counts_units, places
from ..project.reading.report import problem_at
from ..project.specs.description import Endpoint, ParsedProject
from ..project.specs.rules import UnitCap
from ..target import Capability
from .hosting import STICKY, aims

COUNTERS = "counters"


def can_run(endpoint: Endpoint, capabilities: Mapping[str, Capability]) -> bool:
    """Return whether a target's capabilities include an endpoint's routing, weighted or sticky.

    A capability that the target does not list counts as there.
    """
    return endpoint.routing == "weighted" or not _refuses(capabilities, STICKY)


def can_count(endpoint: Endpoint, capabilities: Mapping[str, Capability]) -> bool:
    """Return whether a target can count how often units are shown items, if a rule needs it."""
    return not (counts_units(endpoint) and _refuses(capabilities, COUNTERS))


def can_shadow(endpoint: Endpoint, capabilities: Mapping[str, Capability]) -> bool:
    """Return whether a target can send the endpoint's shadow traffic, if it declares any."""
    return endpoint.shadow is None or aims(capabilities, endpoint.routing)


def check_target(
    description: ParsedProject,
    endpoint: Endpoint,
    target: str,
    capabilities: Mapping[str, Capability],
) -> tuple[Problem, ...]:
    """Return a problem, with its line, for each part of an endpoint that a target cannot do.

    `target` is the target's name.
    """
    return tuple(
        problem_at(
            description,
            key,
            f"{what} is not supported yet on {target}",
            f"{remedy}, or choose another target",
        )
        for key, what, remedy in _refusals(endpoint, capabilities)
    )


def _refusals(
    endpoint: Endpoint, capabilities: Mapping[str, Capability]
) -> Iterator[tuple[str, str, str]]:
    """Yield (key, value, remedy) for each part of a declared endpoint that a target cannot do."""
    if not can_run(endpoint, capabilities):
        yield f"endpoints.{endpoint.name}.routing", "sticky", "write weighted"
    if not can_count(endpoint, capabilities):
        caps = (key for rule, key in places(endpoint) if isinstance(rule, UnitCap))
        yield from ((f"{key}.per", "a cap per unit", "take it out") for key in caps)
    if not can_shadow(endpoint, capabilities):
        yield (
            f"endpoints.{endpoint.name}.shadow",
            "a shadow under routing: weighted",
            "write routing: sticky",
        )


def _refuses(capabilities: Mapping[str, Capability], row: str) -> bool:
    """Return whether a target declares that it lacks a capability, such as sticky routing.

    `row` is the capability's name.
    """
    return row in capabilities and capabilities[row].level == "refused"
