"""A simulation as the console tells it. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from ...reports.columns import plural

if TYPE_CHECKING:
    from .simulate import PlayedSimulation, Truth

_TOLD = 5  # of the reasons why requests or events were refused


def text(simulated: PlayedSimulation) -> str:
    """Return a simulation's result as text, for the command line."""
    return "\n".join(_lines(simulated))


def _lines(simulated: PlayedSimulation) -> Iterator[str]:
    """Yield a simulation's result as lines of text."""
    played, simulation = simulated.played, simulated.simulation
    yield (
        f"{simulated.target:<7} {simulation.name}   {simulated.clock} "
        f"{played.began:%Y-%m-%d %H:%M} .. {played.ended:%Y-%m-%d %H:%M} UTC   "
        f"seed {simulation.seed}"
    )
    bots = f" and {played.bots:,} bots" if simulation.bots else ""
    lost = f"   {played.lost:,} of arm {simulation.broken.arm} lost" if simulation.broken else ""
    yield f"  came        {played.units:,} visitors{bots}{lost}"
    failed = f"{sum(played.failed.values()):,} failed"
    shown = plural(played.shown, "item")
    yield f"  asked       {plural(played.requests, 'request')}, {failed}; {shown} shown"
    yield from _count_lines("failed", played.failed)
    late = (
        f"; {played.late:,} late, {played.waiting:,} still on their way" if simulation.late else ""
    )
    events = ", ".join(f"{count:,} {event}" for event, count in played.sent.items())
    yield f"  did         {events or 'nothing'}{late}"
    yield from _count_lines("rejected", played.rejected)
    if played.undelivered:
        yield f"  lost        {plural(played.undelivered, 'row')} of the gateway's log"
    if simulated.results is not None:
        yield str(simulated.results)
        yield from (f"truth     {_truth(truth)}" for truth in simulated.truths)
    if simulated.page is not None:
        yield f"page      {_page_text(simulated)}"


def _count_lines(what: str, reasons: Mapping[str, int]) -> Iterator[str]:
    """Yield a line of text for each of the most frequent reasons."""
    most = sorted(reasons.items(), key=lambda reason: -reason[1])
    yield from (f"  {what:<11} {count:,} times: {reason}" for reason, count in most[:_TOLD])


def _truth(truth: Truth) -> str:
    """Return a line of text on a true effect and the measured one.

    Example: `ctr of ranked is +10.0 %; +8.1 % is shown (+2.0 .. +14.5 %)`.
    """
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


def _page_text(simulated: PlayedSimulation) -> str:
    """Return the report's path, relative to the current folder if it is below."""
    from pathlib import Path

    page = simulated.page
    assert page is not None  # noqa: S101  for the type checker
    return str(page.relative_to(Path.cwd())) if page.is_relative_to(Path.cwd()) else str(page)
