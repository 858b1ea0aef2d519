"""Count what a unit was shown lately, as the caps per unit of an endpoint count it."""

from __future__ import annotations

from ...core.runtime.project import Project
from ..gateway.decide.caps import caps_of, judge
from ..gateway.decide.rulebook import name_of


def unit_counts(project: Project, endpoint: str, unit: str) -> dict[str, dict[str, int]]:
    """Return how often a unit was shown each value that a cap counts, by rule.

    The store is read once, for all caps of the endpoint.

    Raises:
        Unsupported: The target cannot count.
        NotFound: `apply` has not made the counters yet.
    """
    caps = caps_of(project.spec.endpoints[endpoint].rules)
    counts = project.target.counters.get(endpoint, unit)
    return {
        name_of(cap): by_value
        for cap, by_value in judge(caps, counts, project.now()).before.items()
    }
