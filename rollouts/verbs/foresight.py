"""The forecast before a rollout starts: what its guardrails can see, and what it costs.

It is for the traffic that there is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from decimal import Decimal

import msgspec

from ...core.runtime.project import Project
from ...endpoints.operations.minutes import settled_window
from ...endpoints.port import Bucket, EndpointSpec
from ...errors import IsthmusError
from ..evidence.sensitivity import foresight, traffic_of
from ..state.capacity import hand_over_spec, sized_spec
from ..state.states import RolloutPlan

_LOOKED_BACK = timedelta(hours=1)


class Foresight(msgspec.Struct, frozen=True, kw_only=True):
    """The forecast of a rollout."""

    guardrails: dict[str, str]  # Guardrail.name -> what it can see
    false_alarm: float
    more_per_hour: Decimal | None  # USD, at most, while it runs; None: a price is not known

    def __str__(self) -> str:
        cost = "unknown" if self.more_per_hour is None else f"{self.more_per_hour:.2f}"
        lines = [f"  {name:<22} {text}" for name, text in self.guardrails.items()]
        return "\n".join(
            (
                *lines,
                (
                    f"  cost                   {cost} USD/h more while it runs       false "
                    f"alarms {100 * self.false_alarm:g} % or less"
                ),
            )
        )


def recent_minutes(project: Project, endpoint: str) -> tuple[Mapping[str, tuple[Bucket, ...]], str]:
    """Return the last hour's metrics by variant, and why they cannot be read; "" if they can."""
    try:
        return project.target.metrics.read(endpoint, settled_window(project, _LOOKED_BACK)), ""
    except IsthmusError as error:
        return {}, str(error)


def foresee(
    project: Project, plan: RolloutPlan, minutes: Mapping[str, tuple[Bucket, ...]], unread: str
) -> Foresight:
    """Forecast what a rollout's guardrails can detect and what it costs.

    Args:
        project: The project.
        plan: The rollout's plan.
        minutes: Metrics of the last hour, by variant.
        unread: Why they cannot be read, or "".
    """
    traffic = traffic_of(minutes, plan.source)
    why = (
        f"what it sees is not foreseen: {unread}"
        if unread
        else f"{plan.source} had no request in the last hour: what it sees is not foreseen"
    )
    sights = {
        guardrail.name: why if traffic is None else foresight(plan, guardrail, traffic)
        for guardrail in plan.guardrails
    }
    return Foresight(
        guardrails=sights,
        false_alarm=plan.false_alarm,
        more_per_hour=_extra_hourly_cost(project, plan),
    )


def _extra_hourly_cost(project: Project, plan: RolloutPlan) -> Decimal | None:
    """Return how much a rollout's largest step costs more than what runs now, in USD an hour.

    None if a price is unknown.
    """
    largest = [
        _hourly(project, spec)
        for spec in (
            *(sized_spec(plan, stage + 1) for stage in range(len(plan.stages))),
            hand_over_spec(plan),
        )
    ]
    now = _hourly(project, plan.spec)
    known_costs = [cost for cost in largest if cost is not None]
    return None if now is None or len(known_costs) < len(largest) else max(known_costs) - now


def _hourly(project: Project, spec: EndpointSpec) -> Decimal | None:
    """Return the price of an endpoint's instances in USD an hour, or None if it is unknown."""
    adapter = project.target.adapter
    if adapter.priced is None:
        return None if adapter.remote else Decimal(0)
    return adapter.priced.estimate(project.target.profile, spec.variants).hourly_cost
