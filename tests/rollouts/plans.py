"""A plan to judge by."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

from isthmus.endpoints.port import EndpointSpec
from isthmus.project.specs import Hold, OfficeHours, RolloutStep
from isthmus.rollouts.states import Plan

START = datetime(2026, 11, 25, 14, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


STAGES = tuple(RolloutStep(traffic=Decimal(percent), bake=30 * MINUTE) for percent in (25, 50, 100))


def plan(*guardrails, stages=STAGES):
    return Plan(
        source="champion",
        to="challenger",
        stages=stages,
        guardrails=guardrails,
        false_alarm=0.05,
        failure_limit=2,
        on_no_data=Hold(hold=30 * MINUTE),
        on_inconclusive=Hold(then="pause"),
        on_drift="correct",
        capacity="scale",
        advance=OfficeHours(),
        spec=EndpointSpec(name="ranker", variants=()),
        initial={"champion": Decimal(100), "challenger": Decimal(0)},
        promote_alias=None,
        remove_old=timedelta(hours=24),
        webhook_env=None,
        resolution=Decimal(1),
        metrics_delay=timedelta(),
        fenced=True,
    )
