"""Estimate what a run will cost before it starts, and refuse one above its target's budget.

The seconds of a step are those of the newest earlier run of the same pipeline in which it ran.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ...errors import IsthmusError, Refused
from ...project.profiles.job_options import run_budget, takes_unknown_run_costs
from ...project.profiles.option_lines import option_line
from ...reports.results import Shown
from ..graphs.graph import Pipeline, Step
from ..port import StepSpec
from .costs import (
    RunCost,
    StepCost,
    amount_text,
    bills,
    costed_names,
    find_cost,
    prices_of,
    total,
)

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_MARGIN = 300.0  # seconds of a provider's own around a step, which it bills
_LOOKED = 100  # earlier runs that are read, at most; the rounds of a study are runs, too


class RunEstimate(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The cost of a run that has not started, if no step comes from the cache."""

    pipeline: str
    target: str
    billed: bool  # whether the target bills anything at all
    usd: Decimal | None  # by the seconds of earlier runs; None: unknown
    most: Decimal | None  # if each step takes all of its time; None: a price is unknown
    seconds: float | None  # of all steps together; None: a step has not run before
    runs: tuple[str, ...]  # the earlier runs whose seconds count
    machines: str  # ml.m5.large
    table: str | None  # the price table's date; None: there is none
    times: int = 1  # how often the steps run

    def __str__(self) -> str:
        after = f" as in {', '.join(self.runs)}" if self.runs else ""
        work = "" if self.seconds is None else f"{self.seconds:,.0f} s{after}"
        if not self.billed:
            return f"cost    0.00 USD: {self.target} bills nothing" + (
                f"   about {work}" if work else ""
            )
        if self.usd is not None:
            return (
                f"cost    about {amount_text(self.usd)} USD: {work} on {self.machines}, price "
                f"table of {self.table}"
            )
        limit = (
            ""
            if self.most is None
            else f"; at most {amount_text(self.most)} USD by the time limits of its steps"
        )
        return f"cost    unknown: {why_unknown(self)}{limit}"


def why_unknown(estimate: RunEstimate) -> str:
    """Return as text why nobody knows what a run will cost."""
    if estimate.table is None:
        return f"the prices of {estimate.target} are not known"
    if estimate.most is None:
        return f"no price of {estimate.machines} for jobs in the table of {estimate.table}"
    return f"{estimate.pipeline} has no earlier run on {estimate.target} to judge by"


def estimate_run(project: Project, pipeline: Pipeline, *, times: int = 1) -> RunEstimate:
    """Estimate what a run of a pipeline will cost if no step comes from the cache.

    Args:
        project: The project.
        pipeline: The pipeline, as it would be submitted.
        times: How often its steps run, as with the trials of a study.
    """
    target = project.target
    specs = [_spec(step) for step in pipeline.steps]
    prices = prices_of(target, specs)
    seconds, runs = _earlier_seconds(project, pipeline)
    billed = bills(target)
    none = None if billed else Decimal(0)
    fee = prices.fee if prices else none
    machines = {step.name: prices.rates[step.name].machine if prices else "" for step in specs}
    hourly = {step.name: prices.rates[step.name].hourly if prices else none for step in specs}

    def costs(lasting: dict[str, float | None]) -> tuple[StepCost, ...]:
        return tuple(
            StepCost(step=step, machine=machines[step], seconds=duration, hourly=hourly[step])
            for step, duration in lasting.items()
        )

    limits = {
        step.name: step.timeout.total_seconds() * step.attempts + _MARGIN for step in pipeline.steps
    }
    usd = total(costs(seconds), fee)
    most = total(costs(dict(limits)), fee)
    durations = [duration for duration in seconds.values() if duration is not None]
    return RunEstimate(
        pipeline=pipeline.name,
        target=target.name,
        billed=billed,
        usd=None if usd is None else usd * times,
        most=None if most is None else most * times,
        seconds=sum(durations) * times if len(durations) == len(seconds) else None,
        runs=runs,
        machines=", ".join(dict.fromkeys(filter(None, machines.values()))),
        table=prices.table if prices else None,
        times=times,
    )


def require_budget(project: Project, pipeline: Pipeline, *, times: int = 1) -> RunEstimate:
    """Return the estimate of a run's cost, unless it is above the target's budget of runs.

    Call it before anything is changed. Without earlier runs, the time limits of the steps must fit
    the budget. An unknown cost is refused as the budget of endpoints does it: on an account, unless
    the budget says `unknown: allow`.

    Args:
        project: The project.
        pipeline: The pipeline, as it would be submitted.
        times: How often its steps run, as with the trials of a study.

    Raises:
        Refused: The run may cost more than `jobs: {budget: ...}` of profiles.yaml.
    """
    profile, priced = project.target.profile, project.target.adapter.priced
    limit = run_budget(profile)
    if limit is not None and priced is not None:
        with suppress(IsthmusError):  # the last list, or the adapter's own table, stays in force
            priced.refresh(project.target)
    estimate = estimate_run(project, pipeline, times=times)
    if limit is None or not estimate.billed:
        return estimate
    place = option_line(project.description, profile.name, ("jobs", "budget"))
    where = f"{place}: targets.{profile.name}.jobs.budget: "
    if estimate.usd is not None and estimate.usd > limit:
        raise Refused(
            f"{where}a run of {pipeline.name} would cost about {amount_text(estimate.usd)} USD "
            f"({estimate.seconds or 0:,.0f} s as in {', '.join(estimate.runs)} on "
            f"{estimate.machines}), which is above {limit} USD; nothing was started",
            remedy="raise the budget, or take a smaller machine or less data",
        )
    fits = estimate.usd is not None or (estimate.most is not None and estimate.most <= limit)
    if fits or takes_unknown_run_costs(profile) or "endpoint_url" in profile.options:
        return estimate
    most = (
        ""
        if estimate.most is None
        else (f" (by the time limits of its steps {amount_text(estimate.most)} USD at most)")
    )
    raise Refused(
        f"{where}nobody knows what a run of {pipeline.name} costs, so {limit} USD may not do: "
        f"{why_unknown(estimate)}{most}; nothing was started",
        remedy=f"if it may cost what it will, write budget: {{limit: {limit} USD, unknown: allow}}",
    )


def _spec(step: Step) -> StepSpec:
    """Return a step as prices are asked for it."""
    return StepSpec(name=step.name, kind=step.kind, machine=step.machine)


def _earlier_seconds(
    project: Project, pipeline: Pipeline
) -> tuple[dict[str, float | None], tuple[str, ...]]:
    """Return each step's seconds in the newest run in which it ran, and those runs, oldest first.

    A step that has not run before has None. Runs of another target do not count.
    """
    seconds: dict[str, float | None] = {step.name: None for step in pipeline.steps}
    runs: list[str] = []
    blobs = project.target.blobs
    for name in costed_names(blobs)[:_LOOKED]:
        cost = find_cost(blobs, name)
        if cost is None or (cost.pipeline, cost.target) != (pipeline.name, project.target.name):
            continue
        news = _news(cost, [step for step, duration in seconds.items() if duration is None])
        if news:
            seconds |= news
            runs.append(name)
        if None not in seconds.values():
            break
    return seconds, tuple(reversed(runs))


def _news(cost: RunCost, missing: Sequence[str]) -> dict[str, float | None]:
    """Return the seconds of those missing steps that a run tells: what really ran in it."""
    return {
        step.step: step.seconds
        for step in cost.steps
        if step.step in missing and step.seconds is not None and not step.cached
    }
