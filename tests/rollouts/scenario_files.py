"""The scenario files, and the rollout and the endpoint that they are about."""

from decimal import Decimal
from pathlib import Path

from isthmus.project.specs.description import (
    AfterRollout,
    Endpoint,
    Guardrail,
    Rollout,
    RolloutStep,
    Variant,
)
from isthmus.rollouts.rehearsal.player import play
from isthmus.rollouts.rehearsal.rehearse import plan_of, setting
from isthmus.rollouts.rehearsal.scenario_file import read
from isthmus.tests.rollouts.scene import MINUTE

FILES = sorted((Path(__file__).parent / "scenarios").glob("*.yaml"))
ENDPOINT = Endpoint(
    name="ranker",
    objective="ctr",
    unit="visitor_id",
    variants=(
        Variant(name="champion", model="ranker", ref="champion", traffic=Decimal(90)),
        Variant(name="challenger", model="ranker", ref="challenger", traffic=Decimal(10)),
    ),
)
ROLLOUT = Rollout(
    endpoint="ranker",
    steps=tuple(
        RolloutStep(traffic=Decimal(share), bake=bake * MINUTE)
        for share, bake in ((25, 10), (50, 15), (100, 15))
    ),
    guardrails=(
        Guardrail(metric="error_rate", max=0.01),
        Guardrail(metric="error_rate", max_ratio=2),
        Guardrail(metric="latency_p90", max_ratio=1.5),
    ),
    after=AfterRollout(remove_old=30 * MINUTE),
)


def rehearsal(path, traits):
    scenario = read(path, {"ranker": ROLLOUT})
    planned = plan_of(ROLLOUT, ENDPOINT, traits)
    place = setting(scenario, planned, traits)
    return play(scenario, planned, "ranker", place), place.world
