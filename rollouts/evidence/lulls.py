"""Lulls of the traffic: how long one may last before it shows that requests have stopped. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from msgspec.structs import replace

from ...endpoints.port import Bucket
from ..state.states import RequestPace, RolloutPlan
from .guardrails import needed_evidence
from .measurements import LULLS

LONGEST = 24 * 60  # minutes that no lull may exceed, however seldom requests come


def expected_pace(plan: RolloutPlan, minutes: Mapping[str, Sequence[Bucket]]) -> RequestPace:
    """Return how many of some minutes the new variant would have had requests in, in step 1.

    The minutes are of the endpoint before the rollout, after their first with requests up to the
    last; each request would have reached the new variant with the probability of the step's share.
    """
    share = float(plan.stages[0].traffic) / 100
    requests = Counter[datetime]()
    for buckets in minutes.values():
        requests.update({bucket.start: bucket.requests for bucket in buckets})
    if not requests:
        return RequestPace()
    first, last = min(requests), max(requests)
    chances = (1 - (1 - share) ** requests[minute] for minute in requests if minute > first)
    return RequestPace(minutes=(last - first) // timedelta(minutes=1), busy=round(sum(chances)))


def has_requests(
    plan: RolloutPlan,
    minute: datetime,
    minutes: Mapping[str, Sequence[Bucket]],
    scores: Mapping[str, Mapping[datetime, tuple[int, float]]],
    *,
    alone: bool,
) -> bool:
    """Return whether a minute has requests of the new variant that a guardrail can judge.

    Where variants are compared (not `alone`), the old one must have some in it, too. `scores` are
    by variant and minute: how many, and their mean.
    """
    compared = not alone and any(guardrail.max is None for guardrail in plan.guardrails)
    return all(
        minute in scores.get(variant, ())
        or any(bucket.start == minute for bucket in minutes.get(variant, ()))
        for variant in (plan.to, *((plan.source,) if compared else ()))
    )


def with_minute(pace: RequestPace, *, busy: bool) -> RequestPace:
    """Add one more minute to the counts of minutes with and without requests.

    `busy` says whether the minute had requests.
    """
    if busy:
        return replace(
            pace,
            minutes=pace.minutes + 1,
            busy=pace.busy + 1,
            quiet=0,
            longest=max(pace.longest, pace.quiet + 1),
        )
    return replace(
        pace,
        minutes=pace.minutes + 1,
        quiet=pace.quiet + 1,
        lulls=pace.lulls + (pace.quiet == 0),
    )


def rest_of_lull(plan: RolloutPlan, pace: RequestPace) -> timedelta:
    """Return for how long requests may be absent before that shows that they have stopped.

    It is the shortest lull after which the e-value that requests have stopped is as high as a
    guardrail must have it to fail; each lull of a rollout has its own part of that false alarm. The
    e-value is one over the chance of so many minutes without a request, as minutes so far predict
    it that are alike and independent: with `busy` of `n` the next is quiet with the chance 1 - busy
    / (n + 1), which counts as one of the n from then on. A lull may be at least `LULLS` times as
    long as the longest so far, and no longer than a day. Before the first request nothing is known:
    0.
    """
    if not pace.busy:
        return timedelta(0)
    ended = pace.minutes - pace.quiet
    lull = max(pace.lulls + (pace.quiet == 0), 1)
    needed = math.log(needed_evidence(plan.false_alarm, plan.guardrails, len(plan.stages)))
    needed += math.log(lull * (lull + 1))
    length, evidence = 0, 0.0
    while evidence < needed and length < LONGEST:
        evidence -= math.log1p(-pace.busy / (ended + 1 + length))
        length += 1
    length = min(max(length, LULLS * pace.longest), LONGEST)
    return timedelta(minutes=max(length - pace.quiet, 0))
