"""Warnings about the traffic and time that a rollout's guardrails need, one of a kind.

`validate` gives them without knowing either.
"""

from __future__ import annotations

import math
from datetime import timedelta

from ...errors import Problem
from ...project.reading.quantities import duration_text
from ...project.reading.report import place
from ...project.rollouts.guardrails import METRICS
from ...project.specs.description import Guardrail, ParsedProject, Rollout
from .guardrails import needed_evidence
from .measurements import LEAST_MINUTES
from .statistics import sign_evidence

_MINUTE = timedelta(minutes=1)


def warnings(description: ParsedProject, rollout: Rollout) -> tuple[Problem, ...]:
    """Return warnings that a declared rollout's guardrails may not be able to judge its steps.

    There are four: on the step that needs the most requests a second, on minutes with too few
    requests to measure a latency, on a step that is watched too shortly (its `bake`), and on a last
    step that has nothing to compare with.
    """
    texts = (
        _requests(rollout),
        _minutes_that_count(rollout),
        _short_bake(rollout),
        _nothing_absolute(rollout),
    )
    return tuple(
        Problem(
            file=step_place.file,
            line=step_place.line,
            message=f"rollouts.{rollout.endpoint} step {number}: {message}",
            remedy=remedy,
            severity="warning",
        )
        for number, message, remedy in filter(None, texts)
        for step_place in [place(description, f"rollouts.{rollout.endpoint}.steps[{number - 1}]")]
    )


_Warning = tuple[int, str, str | None] | None  # of which step, what, remedy


def _requests(rollout: Rollout) -> _Warning:
    """Return a warning on how many requests a second the steps need to be judged.

    It names the step that needs the most; None if no step has a guardrail.
    """
    needs = [
        (
            guardrail.min_requests / (step.bake.total_seconds() * share),
            number,
            guardrail.min_requests,
            step.bake,
            share,
        )
        for number, share, guardrail in _judged_parts(rollout)
        for step in [rollout.steps[number - 1]]
    ]
    if not needs:
        return None
    rate, number, requests, bake, share = max(needs, key=lambda need: need[0])
    message = (
        f"{requests} requests in {duration_text(bake)} at {100 * share:g} % take {_amount(rate)} "
        "requests/s"
    )
    return number, f"{message}; below that the step takes longer", None


def _minutes_that_count(rollout: Rollout) -> _Warning:
    """Return a warning on how many requests a second a minute needs to count for a latency.

    It names the guardrail that needs the most, and as the remedy percentiles that need fewer.
    """
    needs = [
        (METRICS[guardrail.metric].least / (60 * share), number, guardrail.metric, share)
        for number, share, guardrail in _judged_parts(rollout)
        if METRICS[guardrail.metric].kind == "latency"
    ]
    if not needs:
        return None
    rate, number, metric, share = max(needs, key=lambda need: need[0])
    least = METRICS[metric].least
    others = {
        name: about.least
        for name, about in METRICS.items()
        if about.kind == "latency" and about.least < least and "_p" in name
    }
    remedy = ", ".join(
        f"{name} takes {_amount(fewer / (60 * share))}"
        for name, fewer in sorted(others.items(), key=lambda item: -item[1])
    )
    return (
        number,
        (
            f"{metric} judges minutes of {least} requests, at {100 * share:g} % {_amount(rate)} "
            "requests/s; below that a person is asked"
        ),
        remedy or None,
    )


def _short_bake(rollout: Rollout) -> _Warning:
    """Return a warning on a step that is too short for its latency or score guardrail to fail."""
    needed = needed_evidence(rollout.false_alarm, rollout.guardrails, len(rollout.steps))
    for number, _share, guardrail in _judged_parts(rollout):
        if METRICS[guardrail.metric].kind == "rate":
            continue
        sides = 1 if guardrail.max_shift is None else 2
        first = next(
            n
            for n in range(LEAST_MINUTES, 10_000)
            if sign_evidence(n, n) >= math.log(needed * sides)
        )
        minutes, bake = first + rollout.failure_limit - 1, rollout.steps[number - 1].bake
        if bake < minutes * _MINUTE:
            message = (
                f"{guardrail.metric} cannot fail before minute {minutes}, and "
                f"{duration_text(bake)} end before it"
            )
            return number, message, "until then it passes or is inconclusive: bake longer"
    return None


def _nothing_absolute(rollout: Rollout) -> _Warning:
    """Return a warning that no guardrail has an absolute limit, so that 100 % is not judged.

    A rollout without any guardrail is warned of already.
    """
    deciding = [guardrail for guardrail in rollout.guardrails if not guardrail.dry_run]
    if (
        not deciding
        or any(guardrail.max is not None for guardrail in deciding)
        or rollout.steps[-1].traffic < 100
    ):
        return None
    return (
        len(rollout.steps),
        "at 100 % nothing is judged: every guardrail compares with the old variant",
        "add one with a max",
    )


def _judged_parts(rollout: Rollout) -> list[tuple[int, float, Guardrail]]:
    """Return each pair of a step and a guardrail that judges it, with the share of the traffic.

    They are (step number, share from 0 to 1, guardrail). The share is the new variant's, or the
    smaller variant's where the guardrail compares the two.
    """
    return [
        (number, min(share, 1 - share) if guardrail.max is None else share, guardrail)
        for number, step in enumerate(rollout.steps, 1)
        for share in [float(step.traffic) / 100]
        for guardrail in rollout.guardrails
        if guardrail.max is not None or share < 1
    ]


def _amount(rate: float) -> str:
    """Format a request rate as text with one digit: `2.5`, or `0.03` below 0.1."""
    return f"{rate:.1f}" if rate >= 0.1 else f"{rate:.1g}"
