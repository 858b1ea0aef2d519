"""Tell what a run cost: the billed seconds of each step, by its machine's dated price.

The cost is kept when a run has ended, as `runs/<run>/cost.json`, with the prices of that day.
Machines alone are counted: not disks, storage, queries or data transfer.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

import msgspec

from ...core.formats import StoredDocument
from ...reports.results import Shown
from ...storage import BlobStore
from ...target import RunPrices, StepRate
from ..graphs.graph import Step
from ..port import RunState, StepSpec, StepState
from .document import RunDocument, StepResult, find, runs_folder, write
from .step_results import step_folder

if TYPE_CHECKING:
    from ...target import Target

_ENDED = ("done", "failed", "cancelled")
_MICRO = Decimal("0.000001")  # USD: to what a cost is rounded


class StepCost(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of one step of a run."""

    step: str
    machine: str  # ml.m5.large; "" where the machine is this one, or nobody says
    seconds: float | None  # that are billed; None: it has not ended, or nobody says
    hourly: Decimal | None  # USD; None: not in the price table
    cached: bool = False  # it took an earlier run's result


class RunCost(Shown, StoredDocument, frozen=True, kw_only=True):
    """The document cost.json: the cost of a run on the machines of its steps."""

    run: str
    pipeline: str
    target: str
    usd: Decimal | None  # None: unknown
    table: str | None  # the price table's date; None: there is none
    billed: bool  # whether the target bills anything at all
    fee: Decimal | None  # USD of the run itself, beside its steps
    steps: tuple[StepCost, ...]  # those that ran

    @property
    def seconds(self) -> float | None:
        """The seconds of all steps together; None if those of one are not known."""
        seconds = [step.seconds for step in self.steps if step.seconds is not None]
        return sum(seconds) if len(seconds) == len(self.steps) else None

    def short(self) -> str:
        """Return the cost as a word or a figure, for a table: `0.0131` or `unknown`."""
        return "unknown" if self.usd is None else amount_text(self.usd)

    def __str__(self) -> str:
        if not self.billed:
            return f"0.00 USD: {self.target} bills nothing{_time(self.seconds)}"
        if self.usd is not None:
            return f"{amount_text(self.usd)} USD ({_work(self.steps)}, price table of {self.table})"
        return f"unknown: {_why_unknown(self)}"


def amount_text(usd: Decimal) -> str:
    """Return an amount in USD as text, with more decimals below 1: `12.40`, `0.0131`."""
    if usd == 0 or usd >= 1:
        return f"{usd:.2f}"
    return f"{usd:.4f}" if usd >= Decimal("0.0001") else f"{usd:.6f}"


def prices_of(target: Target, steps: Sequence[Step]) -> RunPrices:
    """Return the prices of a run's steps on a target.

    Without a price table they are 0 on this machine, and unknown elsewhere.
    """
    priced = target.adapter.jobs_priced
    if priced is not None:
        specs = [StepSpec(name=step.name, kind=step.kind, machine=step.machine) for step in steps]
        return priced.run_prices(target.profile, specs)
    usd = None if bills(target) else Decimal(0)
    rate = StepRate(machine="", hourly=usd)
    return RunPrices(table=None, rates={step.name: rate for step in steps}, fee=usd)


def bills(target: Target) -> bool:
    """Return whether a target may charge money for a run's steps: all do but this machine."""
    return target.adapter.remote or target.adapter.jobs_priced is not None


def cost_of(target: Target, document: RunDocument, state: RunState) -> RunCost:
    """Return what a run has cost so far, from its state and the seconds that the provider bills.

    Steps that did not begin, or whose result was known when the run began, are left out.
    """
    phases = {step.name: step for step in state.steps}
    ran = [
        step
        for step in document.steps
        if step.name not in document.settled and phases[step.name].started is not None
    ]
    prices = prices_of(target, ran)
    priced = target.adapter.jobs_priced
    provider_seconds = (
        priced.billed_seconds(target, document.run_id) if priced is not None and ran else {}
    )
    costs = tuple(
        StepCost(
            step=step.name,
            machine=prices.rates[step.name].machine,
            seconds=_seconds(phases[step.name], provider_seconds),
            hourly=prices.rates[step.name].hourly,
            cached=_took_earlier(target.blobs, document.run, step.name),
        )
        for step in ran
    )
    fee = prices.fee if ran else Decimal(0)
    return RunCost(
        run=document.run,
        pipeline=document.pipeline,
        target=target.name,
        usd=total(costs, fee),
        table=prices.table,
        billed=bills(target),
        fee=fee,
        steps=costs,
    )


def total(costs: Sequence[StepCost], fee: Decimal | None) -> Decimal | None:
    """Return the USD of steps and of their run's fee; None as soon as a part is unknown."""
    if fee is None:
        return None
    usd = fee
    for step in costs:
        if step.hourly is None or (step.seconds is None and step.hourly):
            return None
        usd += Decimal(str(step.seconds or 0)) * step.hourly / 3600
    return usd.quantize(_MICRO)


def _seconds(state: StepState, provider_seconds: Mapping[str, float]) -> float | None:
    """Return a step's billed seconds: those that the provider reported, else from begin to end.

    None: it has not ended.
    """
    if state.name in provider_seconds:
        return provider_seconds[state.name]
    if state.phase not in _ENDED or state.started is None or state.ended is None:
        return None
    return (state.ended - state.started).total_seconds()


def _took_earlier(blobs: BlobStore, run: str, step: str) -> bool:
    """Return whether a step, once it ran, took the result of an earlier run from the cache."""
    result = find(blobs, f"{step_folder(blobs, run, step)}/step.json", StepResult)
    return result is not None and result.cached_from is not None


def _work(steps: Sequence[StepCost]) -> str:
    """Return the machines of steps with their seconds as text: `412 s of ml.m5.large`."""
    by_machine: dict[str, float] = {}
    for step in steps:
        by_machine[step.machine] = by_machine.get(step.machine, 0.0) + (step.seconds or 0.0)
    return ", ".join(f"{seconds:,.0f} s of {name}" for name, seconds in by_machine.items()) or "0 s"


def _time(seconds: float | None) -> str:
    """Return the seconds of a run's steps as the end of a line, or nothing if unknown."""
    return "" if seconds is None else f"   {seconds:,.1f} s of steps"


def _why_unknown(cost: RunCost) -> str:
    """Return as text why a run's cost is unknown."""
    unpriced = sorted({step.machine for step in cost.steps if step.hourly is None})
    if cost.table is None:
        return "its provider's prices are not known"
    if unpriced:
        return f"no price of {', '.join(unpriced)} for jobs in the table of {cost.table}"
    running = [step.step for step in cost.steps if step.seconds is None]
    return f"nobody says how long {', '.join(running)} ran"


def cost_uri(blobs: BlobStore, run: str) -> str:
    """Return the URI of the document that says what a run cost."""
    return f"{runs_folder(blobs.root)}/{run}/cost.json"


def find_cost(blobs: BlobStore, run: str) -> RunCost | None:
    """Return the kept cost of a run that has ended, or None if there is none."""
    return find(blobs, cost_uri(blobs, run), RunCost)


def keep_cost(target: Target, document: RunDocument, state: RunState) -> RunCost:
    """Store what a run that has ended cost, and return it; what is stored already stays."""
    stored = find_cost(target.blobs, document.run)
    if stored is not None:
        return stored
    cost = cost_of(target, document, state)
    write(target.blobs, cost_uri(target.blobs, document.run), cost)
    return cost


def costed_names(blobs: BlobStore) -> tuple[str, ...]:
    """Return the names of the runs whose cost is kept, the newest first."""
    pattern = re.compile(re.escape(runs_folder(blobs.root)) + r"/([^/]+)/cost\.json")
    hits = (pattern.fullmatch(info.uri) for info in blobs.list(f"{runs_folder(blobs.root)}/"))
    return tuple(sorted((hit[1] for hit in hits if hit), key=_number, reverse=True))


def _number(name: str) -> tuple[int, str]:
    """Return a sort key that puts run names in the order of their number."""
    return (int(name[1:]) if name[1:].isdigit() else 0, name)
