"""What one target cannot do of an endpoint: leave its split to the gateway."""

from __future__ import annotations

from collections.abc import Mapping

from ..errors import Problem
from ..project.report import problem_at
from ..project.specs import Description, Endpoint
from ..target import Capability
from .hosting import STICKY


def can_run(endpoint: Endpoint, capabilities: Mapping[str, Capability]) -> bool:
    """What a target says nothing of is not judged."""
    return endpoint.routing == "weighted" or STICKY not in capabilities or capabilities[STICKY].level != "refused"


def check_target(description: Description, endpoint: Endpoint, target: str, capabilities: Mapping[str, Capability]) -> tuple[Problem, ...]:
    """The routing that `target` refuses, where it is written."""
    if can_run(endpoint, capabilities):
        return ()
    words = f"sticky is not supported yet on {target}"
    return (problem_at(description, f"endpoints.{endpoint.name}.routing", words, "write weighted, or choose another target"),)
