"""Verdicts of guardrails on the minutes of two variants. Pure.

A check judges everything since the bake began, so it does not matter when one looked, or how often.
The verdicts, in their order: fail (broken outright, or proven, for which no number of requests is
too small), no data, pass (the estimate is within the limit), inconclusive (it is above, without
proof, or the requests come in minutes that are too small to be judged).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from datetime import datetime

from ...endpoints.port import Bucket
from ...project.rollouts.guardrails import METRICS
from ...project.specs.description import Guardrail
from ..state.states import Check, RolloutPlan, Verdict
from .measurements import Measurement, Minutes, measure

_HIGHEST = 700.0  # exp of more than 709 is no number


def needed_evidence(false_alarm: float, guardrails: Sequence[Guardrail], stages: int) -> float:
    """Return how much evidence (an e-value) a guardrail needs to fail in a step.

    It is one over the allowed probability of a false alarm, divided among guardrails and steps. The
    grace time after the promotion counts as a step; a dry-run guardrail raises no alarm.
    """
    judges = sum(not guardrail.dry_run for guardrail in guardrails)
    return max(judges, 1) * (stages + 1) / false_alarm


def judge(
    plan: RolloutPlan,
    minutes: Mapping[str, Sequence[Bucket]],
    scores: Mapping[str, Mapping[datetime, tuple[int, float]]],
    *,
    alone: bool,
    settled: datetime,
) -> tuple[Check, ...]:
    """Return the check of each guardrail of a plan, on the metrics of the minutes up to `settled`.

    Args:
        plan: The plan.
        minutes: Minutes by variant, from the bake's first.
        scores: Scores by variant and minute: how many, and their mean.
        alone: The new variant has all of the traffic, so nothing can be compared.
        settled: Minutes before it are final.
    """
    new, old = (
        Minutes(
            buckets={
                bucket.start: bucket
                for bucket in minutes.get(variant, ())
                if bucket.start < settled
            },
            scores={
                minute: score
                for minute, score in scores.get(variant, {}).items()
                if minute < settled
            },
        )
        for variant in (plan.to, plan.source)
    )
    served = any(bucket.requests for bucket in new.buckets.values())
    needed = needed_evidence(plan.false_alarm, plan.guardrails, len(plan.stages))
    return tuple(
        _not_judged(guardrail, served=served)
        if alone and guardrail.max is None
        else _check(guardrail, measure(guardrail, new, old, settled), needed)
        for guardrail in plan.guardrails
    )


def _not_judged(guardrail: Guardrail, *, served: bool) -> Check:
    """Return the check of a guardrail that has nothing to compare with.

    Its verdict is "not judged", or "no data" if the new variant served no request (`served`).
    """
    if served:
        return Check(
            guardrail=guardrail.name,
            verdict="not judged",
            limit=guardrail.limit,
            why="the old variant has no traffic to compare with",
        )
    return Check(
        guardrail=guardrail.name,
        verdict="no data",
        limit=guardrail.limit,
        why="no request of the new variant",
    )


def _check(guardrail: Guardrail, measured: Measurement, needed: float) -> Check:
    """Turn a guardrail's measurement into its check, with verdict, figures and reason.

    `needed` is the evidence (e-value) at which it fails.
    """
    needed *= measured.sides
    return Check(
        guardrail=guardrail.name,
        verdict=_verdict(measured, needed),
        value=measured.value,
        figure=measured.figure,
        base=measured.base,
        limit=guardrail.limit,
        n=measured.n,
        requests=measured.requests,
        evidence=math.exp(min(measured.log_evidence, _HIGHEST)),
        needed=needed,
        outright=bool(measured.outright),
        why=_reason(guardrail, measured, needed),
    )


def _verdict(measured: Measurement, needed: float) -> Verdict:
    """Return the verdict on a measurement: fail, no data, pass or inconclusive.

    `needed` is the evidence (e-value) at which it fails.
    """
    if measured.outright or measured.log_evidence >= math.log(needed):
        return "fail"
    if measured.missing:
        return "inconclusive" if measured.hopeless else "no data"
    return "pass" if measured.within else "inconclusive"


def _reason(guardrail: Guardrail, measured: Measurement, needed: float) -> str:
    """Explain a guardrail's verdict in a clause, with its figures and its evidence.

    `needed` is the evidence (e-value) at which it fails.
    """
    verdict = _verdict(measured, needed)
    if measured.outright or (measured.missing and verdict != "fail"):
        return measured.outright or measured.missing
    clauses = [_figures(guardrail, measured)]
    if METRICS[guardrail.metric].kind != "rate":
        clauses.append(f"{measured.beyond} of {measured.n} minutes beyond it")
    if verdict != "pass":
        clauses.append(f"evidence {_amount(measured.log_evidence)} of {needed:,.0f}")
    return ", ".join(clauses)


def _figures(guardrail: Guardrail, measured: Measurement) -> str:
    """Format a guardrail's measured figures and its limit as text.

    Such as `3.1 % of 2,290, max 1 %`, or `4.6 ms, 1.31x, max 1.2x`.
    """
    kind, figure, value = METRICS[guardrail.metric].kind, measured.figure or 0.0, measured.value
    own = (
        f"{percent(figure)} of {measured.n:,}"
        if kind == "rate"
        else f"{figure:.3g} ms"
        if kind == "latency"
        else f"{figure:.3g}"
    )
    if guardrail.max is not None:
        return f"{own}, max {percent(guardrail.max) if kind == 'rate' else f'{guardrail.max:g} ms'}"
    if guardrail.max_shift is not None:
        return (
            f"{own}, {100 * (value or 0.0):+.3g} %, max {percent(guardrail.max_shift)} either way"
        )
    return (
        f"{own}, {'none of the old variant' if value is None else f'{value:.2f}x'}, max "
        f"{guardrail.limit:g}x"
    )


def percent(part: float) -> str:
    """Format a share as a percentage with two significant digits: `3.1 %` or `12 %`.

    A share of 1 or more is in whole percents.
    """
    return f"{100 * part:.2g} %" if part < 1 else f"{100 * part:.0f} %"


def _amount(logarithm: float) -> str:
    """Format evidence, an e-value that is given by its logarithm, as text: `0.1` or `4,100`."""
    if logarithm > math.log(1e6):
        return "over 1,000,000"
    value = math.exp(logarithm)
    return f"{value:.1f}" if value < 10 else f"{float(f'{value:.2g}'):,.0f}"
