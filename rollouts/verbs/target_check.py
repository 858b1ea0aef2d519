"""Checks of what one target cannot do of a rollout.

Those are shares that it cannot represent, and bakes shorter than its metrics take to come.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from decimal import Decimal

from ...endpoints.gateway.decide.sticky_split import STEP
from ...endpoints.split import representable
from ...errors import Problem, Unsupported
from ...project.reading.quantities import duration_text
from ...project.reading.report import problem_at
from ...project.specs.description import ParsedProject, Rollout
from ...target import Capability

# of a bake, beyond the metrics' delay: a minute must be over, and another one seen
SPARE = timedelta(minutes=2)


def check_target(
    description: ParsedProject,
    rollout: Rollout,
    target: str,
    capabilities: Mapping[str, Capability],
) -> tuple[Problem, ...]:
    """Return a problem, with its line, for each step of a rollout that a target cannot do.

    `target` is its name. A capability that a target does not list counts as there.
    """
    problems: list[Problem] = []
    resolution, delay = (
        capabilities[name].value if name in capabilities else None
        for name in ("traffic.resolution", "metrics.delay")
    )
    # absent: what is wrong with it is said already
    endpoint = description.spec.endpoints.get(rollout.endpoint)
    if endpoint is not None and endpoint.routing == "sticky":
        resolution = STEP  # the gateway splits
    for position, step in enumerate(rollout.steps):
        if isinstance(resolution, Decimal):
            try:
                representable({rollout.to: step.traffic}, resolution=resolution, where=target)
            except Unsupported as error:
                key = _written_key(description, rollout, (f"steps[{position}].traffic", "step"))
                problems.append(
                    problem_at(
                        description,
                        key or f"rollouts.{rollout.endpoint}",
                        error.message,
                        error.remedy,
                    )
                )
        if isinstance(delay, timedelta) and step.bake < delay + SPARE:
            key = _written_key(description, rollout, (f"steps[{position}].bake", "every", "bake"))
            late = (
                f"metrics come up to {duration_text(delay)} late"
                if delay
                else "a minute is judged when it is over"
            )
            message = f"{duration_text(step.bake)} is too short on {target}, where {late}"
            # else the last step, which nobody wrote: it takes the longest bake, which is told
            # already
            if key:
                problems.append(
                    problem_at(
                        description, key, message, f"write {duration_text(delay + SPARE)} or more"
                    )
                )
    return tuple(dict.fromkeys(problems))


def _written_key(description: ParsedProject, rollout: Rollout, keys: Sequence[str]) -> str | None:
    """Return the first of these keys that is written in project.yaml, or None.

    Steps of a linear or blue-green rollout have no keys of their own.
    """
    return next(
        (
            key
            for key in (f"rollouts.{rollout.endpoint}.{key}" for key in keys)
            if key in description.places
        ),
        None,
    )
