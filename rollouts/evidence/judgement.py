"""Judgement of a bake's minutes, one after the other. Pure.

Each newly settled minute is judged once, on everything since the bake began. So it does not matter
when somebody looked: a controller that slept for an hour judges the hour minute by minute, and
decides what it would have decided.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

from msgspec.structs import replace

from ..state.convergence import settled_by
from ..state.states import Check, Observation, RolloutPlan, RolloutState, Tally
from ..state.transitions import evidence, note
from . import guardrails
from .lulls import has_requests, rest_of_lull, with_minute

MINUTE = timedelta(minutes=1)
# changes of a verdict that one look tells, and the last one: who slept for a day must not make the
# document too large
MOST_NEWS = 4
# that one look judges, each on everything since the bake began: the lease must outlive the look
MOST_MINUTES = 240
# minutes that are settled and cannot be read for so long are no data; a single failed call is not
LATE = 2 * MINUTE


def judged_until(state: RolloutState) -> datetime | None:
    """Return the time up to which a bake's minutes are judged; None outside of a bake.

    A bake is the time in which a step of the rollout is watched.
    """
    return min((tally.until for tally in state.checks.values()), default=state.bake_from)


def is_alone(state: RolloutState) -> bool:
    """Return whether the new variant has all traffic, so that nothing can be compared.

    While traffic shifts to a step, the share in the step before counts.
    """
    if state.phase in ("promoted", "handing"):
        return state.phase == "promoted"
    stage = max(state.stage - 1, 1) if state.phase in ("sizing", "shifting") else state.stage
    return state.plan.stages[stage - 1].traffic == 100


def judge(
    state: RolloutState, observation: Observation, now: datetime, *, plan: RolloutPlan | None = None
) -> tuple[RolloutState, str]:
    """Check the guardrails on the metrics that have come since the last check.

    At most MOST_MINUTES minutes are checked at once. A `plan` is passed where other variants are
    compared than in the rollout's own.

    Returns:
        The state with the checks, and why the rollout must be aborted, or "".
    """
    begun = judged_until(state)
    if begun is None or observation.settled is None or not state.plan.guardrails:
        return state, ""
    until, news, untold, cause = begun + MINUTE, 0, False, ""
    last = min(observation.settled, begun + MOST_MINUTES * MINUTE)
    while until <= last and not cause:
        busy = has_requests(
            plan or state.plan,
            until - MINUTE,
            observation.minutes,
            observation.scores,
            alone=is_alone(state),
        )
        state = replace(state, pace=with_minute(state.pace, busy=busy))
        checks = guardrails.judge(
            plan or state.plan,
            observation.minutes,
            observation.scores,
            alone=is_alone(state),
            settled=until,
        )
        changed = _is_news(state, checks)
        state = _with_more_time(state, checks, until)
        state = replace(state, checks=_tallies(state, checks, until))
        if changed and news < MOST_NEWS:
            state, news = note(state, now, "check", basis=evidence(state)), news + 1
        else:
            untold |= changed
        cause = _failures(state)
        until += MINUTE
    return (note(state, now, "check", basis=evidence(state)) if untold else state), cause


def wait_for_data(state: RolloutState) -> timedelta:
    """Return how long a step waits for missing data: `on_no_data.hold`, more if traffic is rare."""
    hold = state.plan.on_no_data.hold or state.plan.stages[state.stage - 1].bake
    return max(hold, rest_of_lull(state.plan, state.pace))


def is_behind(state: RolloutState, observation: Observation) -> bool:
    """Return whether the observation has minutes that are not judged yet.

    No decision is made before they are, in the next iterations.
    """
    until = judged_until(state)
    return (
        until is not None
        and observation.settled is not None
        and bool(state.plan.guardrails)
        and until < observation.settled
    )


def overall_verdict(
    state: RolloutState, now: datetime
) -> Literal["no data", "fail", "inconclusive", "pass", "unread"]:
    """Return the worst verdict of the guardrails that can abort, over all final metrics.

    It is "unread" if some of the minutes were not judged yet.
    """
    deciding = {guardrail.name for guardrail in state.plan.guardrails if not guardrail.dry_run}
    verdicts = {tally.check.verdict for name, tally in state.checks.items() if name in deciding}
    behind = settled_by(state.plan, now) - (judged_until(state) or now)
    if deciding and behind > LATE:
        return "no data"
    if deciding and behind > timedelta(0):
        return "unread"
    if deciding and not verdicts:
        return "no data"
    for verdict in ("fail", "no data", "inconclusive"):
        if verdict in verdicts:
            return verdict
    return "pass"


def _with_more_time(state: RolloutState, checks: Sequence[Check], until: datetime) -> RolloutState:
    """Return the state with more time to wait for data, if the minute until `until` had some.

    So little traffic is waited for until it suffices, and the wait ends when none comes.
    """
    dry = {guardrail.name for guardrail in state.plan.guardrails if guardrail.dry_run}
    lacking = [
        check for check in checks if check.verdict == "no data" and check.guardrail not in dry
    ]
    if (
        state.hold_until is None
        or not lacking
        or not all(
            check.guardrail in state.checks
            and check.requests > state.checks[check.guardrail].check.requests
            for check in lacking
        )
    ):
        return state
    later = until + state.plan.metrics_delay + wait_for_data(state)
    return replace(state, hold_until=max(state.hold_until, later))


def _is_news(state: RolloutState, checks: Sequence[Check]) -> bool:
    """Return whether a guardrail's verdict differs from its last one in the state."""
    previous = {name: tally.check.verdict for name, tally in state.checks.items()}
    return any(check.verdict != previous.get(check.guardrail, "no data") for check in checks)


def _tallies(state: RolloutState, checks: Sequence[Check], until: datetime) -> dict[str, Tally]:
    """Return each guardrail's latest check, with the number of times it failed in a row.

    `until` is the end of the minutes that the checks are on.
    """
    running = {name: tally.running for name, tally in state.checks.items()}
    return {
        check.guardrail: Tally(
            check=check,
            until=until,
            running=running.get(check.guardrail, 0) + 1 if check.verdict == "fail" else 0,
        )
        for check in checks
    }


def _failures(state: RolloutState) -> str:
    """Return a clause on which guardrail aborts the rollout and why, or "" if none does."""
    for guardrail in state.plan.guardrails:
        tally = state.checks[guardrail.name]
        if guardrail.dry_run or tally.check.verdict != "fail":
            continue
        if tally.check.outright or tally.running >= state.plan.failure_limit:
            running = (
                "broken outright" if tally.check.outright else f"{tally.running} checks running"
            )
            return f"guardrail {guardrail.name}: {tally.check.why}, {running}"
    return ""
