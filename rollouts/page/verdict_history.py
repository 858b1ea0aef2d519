"""Verdicts of a rollout's guardrails minute by minute, judged again from the stored minutes.

Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec
from msgspec.structs import replace

from ..evidence import guardrails
from ..state.documents import KeptMinutes
from ..state.states import Check, RolloutPlan

_MINUTE = timedelta(minutes=1)
_MOST = 120  # points of a bake: each judges everything since the bake began


class GuardrailCheck(msgspec.Struct, frozen=True, kw_only=True):
    """A check of one guardrail over [the bake's begin, until).

    `bake` is such as 1-0, or the phase after the last step.
    """

    bake: str
    until: datetime
    check: Check


def retrace(plan: RolloutPlan, bakes: Mapping[str, KeptMinutes]) -> dict[str, list[GuardrailCheck]]:
    """Return each guardrail's checks over time, computed anew from the stored metrics.

    `bakes` has the metrics of each bake (the time in which a step is watched). Of a long one there
    are checks every so many minutes, and always the last.
    """
    points: dict[str, list[GuardrailCheck]] = {guardrail.name: [] for guardrail in plan.guardrails}
    for bake, minutes in sorted(bakes.items(), key=lambda pair: pair[1].since):
        judged, alone = _plan_of_bake(plan, bake)
        scores = {
            variant: {minute: (n, mean) for minute, n, mean in rows}
            for variant, rows in minutes.scores.items()
        }
        for until in _moments(minutes.since, minutes.until):
            for check in guardrails.judge(
                judged, minutes.minutes, scores, alone=alone, settled=until
            ):
                points[check.guardrail].append(GuardrailCheck(bake=bake, until=until, check=check))
    return points


def _plan_of_bake(plan: RolloutPlan, bake: str) -> tuple[RolloutPlan, bool]:
    """Return the plan by which a bake was judged, and whether its variant had all traffic.

    `bake` is its name. In the hand-over the two variants change places.
    """
    if bake == "handing":
        return replace(plan, source=plan.to, to=plan.source), False
    stage = bake.partition("-")[0]
    return plan, not stage.isdigit() or plan.stages[int(stage) - 1].traffic == 100


def _moments(since: datetime, until: datetime) -> Iterator[datetime]:
    """Yield the times of a bake for which the report shows checks: evenly spaced, and its end."""
    whole: Sequence[int] = range(1, (until - since) // _MINUTE + 1)
    step = -(-len(whole) // _MOST) or 1
    yield from (since + number * _MINUTE for number in whole if (len(whole) - number) % step == 0)
