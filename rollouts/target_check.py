"""What one target cannot do of a rollout: shares that it cannot represent, bakes shorter than its metrics take to come."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

from ..endpoints.gateway.sticky import STEP
from ..endpoints.traffic.split import representable
from ..errors import Problem, Unsupported
from ..project.quantities import duration_text
from ..project.report import problem_at
from ..project.specs import Description, Rollout
from ..target import Capability

SPARE = timedelta(minutes=2)  # of a bake, beyond the metrics' delay: a minute must be over, and another one seen


def check_target(description: Description, rollout: Rollout, target: str, capabilities: Mapping[str, Capability]) -> tuple[Problem, ...]:
    """Each step that `target` refuses, where it is written. What a target says nothing of is not judged."""
    problems: list[Problem] = []
    resolution, delay = (capabilities[name].value if name in capabilities else None for name in ("traffic.resolution", "metrics.delay"))
    endpoint = description.spec.endpoints.get(rollout.endpoint)  # absent: what is wrong with it is said already
    if endpoint is not None and endpoint.routing == "sticky":
        resolution = STEP  # the gateway splits
    for position, step in enumerate(rollout.steps):
        key = f"rollouts.{rollout.endpoint}.steps[{position}]"
        if isinstance(resolution, Decimal):
            try:
                representable({rollout.to: step.traffic}, resolution=resolution, where=target)
            except Unsupported as error:
                problems.append(problem_at(description, f"{key}.traffic", error.message, error.remedy))
        if isinstance(delay, timedelta) and step.bake < delay + SPARE:
            late = f"metrics come up to {duration_text(delay)} late" if delay else "a minute is judged when it is over"
            message = f"{duration_text(step.bake)} is too short on {target}, where {late}"
            problems.append(problem_at(description, f"{key}.bake", message, f"write {duration_text(delay + SPARE)} or more"))
    return tuple(problems)
