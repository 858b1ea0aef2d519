"""A plan to judge by."""

from datetime import UTC, datetime
from decimal import Decimal

from isthmus.project.specs.description import RolloutStep

from .. import scene
from ..scene import MINUTE

START = datetime(2026, 11, 25, 14, 2, tzinfo=UTC)
STAGES = tuple(RolloutStep(traffic=Decimal(percent), bake=30 * MINUTE) for percent in (25, 50, 100))


def plan(*guardrails, stages=STAGES):
    return scene.plan(guardrails=guardrails, stages=stages)
