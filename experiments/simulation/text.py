"""A simulation as the console tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .simulate import Simulated, Truth

_TOLD = 5  # of the reasons why requests or events were refused


def text(seen: Simulated) -> str:
    return "\n".join(_lines(seen))


def _lines(seen: Simulated) -> Iterator[str]:
    played, simulation = seen.played, seen.simulation
    yield (
        f"{seen.target:<7} {simulation.name}   {seen.clock} {played.began:%Y-%m-%d %H:%M} .. "
        f"{played.ended:%Y-%m-%d %H:%M} UTC   "
        f"seed {simulation.seed}"
    )
    bots = f" and {played.bots:,} bots" if simulation.bots else ""
    lost = f"   {played.lost:,} of arm {simulation.broken.arm} lost" if simulation.broken else ""
    yield f"  came        {played.units:,} visitors{bots}{lost}"
    yield f"  asked       {played.requests:,} requests, {sum(played.failed.values()):,} failed; {played.shown:,} items shown"
    yield from _count_lines("failed", played.failed)
    late = (
        f"; {played.late:,} late, {played.waiting:,} still on their way" if simulation.late else ""
    )
    yield f"  did         {', '.join(f'{count:,} {event}' for event, count in played.sent.items()) or 'nothing'}{late}"
    yield from _count_lines("rejected", played.rejected)
    if played.undelivered:
        yield f"  lost        {played.undelivered:,} rows of the gateway's log"
    if seen.results is not None:
        yield str(seen.results)
        yield from (f"truth     {_truth(truth)}" for truth in seen.truths)
    if seen.page is not None:
        yield f"page      {_here(seen)}"


def _count_lines(what: str, reasons: Mapping[str, int]) -> Iterator[str]:
    most = sorted(reasons.items(), key=lambda reason: -reason[1])
    yield from (f"  {what:<11} {count:,} times: {reason}" for reason, count in most[:_TOLD])


def _truth(truth: Truth) -> str:
    """`ctr of ranked: +10.0 %, and +8.1 % is shown (+2.0 .. +14.5 %)`."""
    true = (
        "is not known from the file's effects alone"
        if truth.true is None
        else f"is {100 * truth.true:+.1f} %"
    )
    if truth.shown is None:
        return f"{truth.metric} of {truth.arm} {true}; too little is there to show a difference"
    ends = (
        ""
        if truth.low is None or truth.high is None
        else f" ({100 * truth.low:+.1f} .. {100 * truth.high:+.1f} %)"
    )
    return f"{truth.metric} of {truth.arm} {true}; {100 * truth.shown:+.1f} % is shown{ends}"


def _here(seen: Simulated) -> str:
    from pathlib import Path

    page = seen.page
    assert page is not None  # noqa: S101  for the type checker
    return str(page.relative_to(Path.cwd())) if page.is_relative_to(Path.cwd()) else str(page)
