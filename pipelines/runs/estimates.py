"""Estimate what a run will cost before it starts, and refuse one above its target's budget.

The seconds of a step are those of the newest earlier run of the same pipeline that did its work.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from statistics import fmean
from typing import TYPE_CHECKING

import msgspec

from ...errors import IsthmusError, Refused
from ...project.profiles.job_options import run_budget, takes_unknown_run_costs
from ...project.profiles.option_lines import option_line
from ...reports.results import Shown
from ..graphs.graph import Pipeline
from .costs import (
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


class PlannedRuns(msgspec.Struct, frozen=True, kw_only=True):
    """Runs that have not started, whose cost is judged as one."""

    about: str  # a run of history; a study of models/ranker.yaml (20 trials)
    pipelines: tuple[Pipeline, ...]  # one for each run, as it would be submitted
    alike: Callable[[str], str] = str  # one name for all steps that do the same work, by a step's


def one_run(pipeline: Pipeline) -> PlannedRuns:
    """Return the plan of one run of a pipeline, whose cost is to be estimated."""
    return PlannedRuns(about=f"a run of {pipeline.name}", pipelines=(pipeline,))


class RunEstimate(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The cost of runs that have not started, if no step comes from the cache."""

    about: str  # a run of history
    target: str
    billed: bool  # whether the target bills anything at all
    usd: Decimal | None  # by the seconds of earlier runs; None: unknown
    most: Decimal | None  # if each step takes all of its time; None: a price is unknown
    seconds: float | None  # of all steps together; None: a step has not run before
    runs: tuple[str, ...]  # the earlier runs whose seconds count
    unmeasured: tuple[str, ...]  # the pipelines of which a step has not run before
    machines: str  # ml.m5.large
    table: str | None  # the price table's date; None: there is none

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
    none = " and ".join(f"{pipeline} has no earlier run" for pipeline in estimate.unmeasured)
    return f"{none} on {estimate.target} to judge by"


def estimate_runs(project: Project, planned: PlannedRuns) -> RunEstimate:
    """Estimate what planned runs will cost together if no step comes from the cache.

    `planned` are the runs: pipelines whose steps may do the same kind of work again.
    """
    target = project.target
    measured, earlier = _earlier_seconds(project, planned)
    fees: list[Decimal | None] = []
    costs: list[StepCost] = []
    longest: list[StepCost] = []
    unmeasured: dict[str, None] = {}
    table = None
    for pipeline in planned.pipelines:
        prices = prices_of(target, pipeline.steps)
        fees.append(prices.fee)
        table = prices.table
        for step in pipeline.steps:
            rate = prices.rates[step.name]
            seconds = measured.get((pipeline.name, planned.alike(step.name)))
            if seconds is None:
                unmeasured[pipeline.name] = None
            cost = StepCost(
                step=step.name, machine=rate.machine, seconds=seconds, hourly=rate.hourly
            )
            limit = step.timeout.total_seconds() * step.attempts + _MARGIN
            costs.append(cost)
            longest.append(msgspec.structs.replace(cost, seconds=limit))
    fee = None if None in fees else sum(filter(None, fees), Decimal(0))
    return RunEstimate(
        about=planned.about,
        target=target.name,
        billed=bills(target),
        usd=total(costs, fee),
        most=total(longest, fee),
        seconds=None if unmeasured else sum(cost.seconds or 0.0 for cost in costs),
        runs=earlier,
        unmeasured=tuple(unmeasured),
        machines=", ".join(dict.fromkeys(cost.machine for cost in costs if cost.machine)),
        table=table,
    )


def require_budget(project: Project, planned: PlannedRuns) -> RunEstimate:
    """Return the estimate of what runs cost, unless it is above the target's budget of runs.

    Call it before anything is changed. Without earlier runs, the time limits of the steps must fit
    the budget. An unknown cost is refused as the budget of endpoints does it: on an account, unless
    the budget says `unknown: allow`.

    Args:
        project: The project.
        planned: The runs.

    Raises:
        Refused: They may cost more than `jobs: {budget: ...}` of profiles.yaml.
    """
    profile, priced = project.target.profile, project.target.adapter.priced
    limit = run_budget(profile)
    if limit is not None and priced is not None:
        with suppress(IsthmusError):  # the last list, or the adapter's own table, stays in force
            priced.refresh(project.target)
    estimate = estimate_runs(project, planned)
    if limit is None or not estimate.billed:
        return estimate
    place = option_line(project.description, profile.name, ("jobs", "budget"))
    where = f"{place}: targets.{profile.name}.jobs.budget: "
    if estimate.usd is not None and estimate.usd > limit:
        raise Refused(
            f"{where}{planned.about} would cost about {amount_text(estimate.usd)} USD "
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
        f"{where}nobody knows what {planned.about} costs, so {limit} USD may not do: "
        f"{why_unknown(estimate)}{most}; nothing was started",
        remedy=f"if it may cost what it will, write budget: {{limit: {limit} USD, unknown: allow}}",
    )


def _earlier_seconds(
    project: Project, planned: PlannedRuns
) -> tuple[dict[tuple[str, str], float], tuple[str, ...]]:
    """Return how long each kind of work took when it was last done, and in which runs.

    A kind of work is known by its pipeline and the name that its steps have in common; of several
    steps in one run the mean counts. Steps that took a cached result did nothing, and runs of
    another target do not count. Work that was never done is left out. The runs come oldest first.
    """
    works = {(p.name, planned.alike(step.name)) for p in planned.pipelines for step in p.steps}
    measured: dict[tuple[str, str], float] = {}
    runs: list[str] = []
    blobs = project.target.blobs
    for name in costed_names(blobs)[:_LOOKED]:
        cost = find_cost(blobs, name)
        if cost is None or cost.target != project.target.name:
            continue
        news: dict[tuple[str, str], list[float]] = {}
        for step in cost.steps:
            work = (cost.pipeline, planned.alike(step.step))
            if work in works - measured.keys() and step.seconds is not None and not step.cached:
                news.setdefault(work, []).append(step.seconds)
        if news:
            measured |= {work: fmean(seconds) for work, seconds in news.items()}
            runs.append(name)
        if len(measured) == len(works):
            break
    return measured, tuple(reversed(runs))
