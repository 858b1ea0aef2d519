"""Results of a rehearsal: what was decided when, and how many requests failed.

They say whether that is what the scenario expects.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from ...endpoints.split import percent_text
from ...project.reading.quantities import duration_text
from ...reports.results import Shown
from ..state.documents import KeptMinutes
from ..state.states import HistoryEntry, RolloutState, Verdict
from ..world.traffic import Minute
from .scenario import Scenario

_WIDTH = 110  # characters of a printed line
Step = tuple[
    str, int, int, tuple[tuple[str, Verdict], ...]
]  # what, stage, attempt, (guardrail, verdict)


class PlayedEvent(msgspec.Struct, frozen=True, kw_only=True):
    """An event of the scenario as it came, after the entry `seq` of the history."""

    at: datetime
    seq: int
    text: str


class Rehearsal(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A rehearsal that was played."""

    scenario: Scenario
    state: RolloutState
    entries: tuple[HistoryEntry, ...]
    events: tuple[PlayedEvent, ...]  # of the scenario, as they came
    never: tuple[str, ...]  # events that it was over before
    started: datetime
    grace: timedelta | None  # the grace time that was rehearsed in the place of a longer one
    minutes: Mapping[str, tuple[Minute, ...]]  # what was sent, by variant
    kept: Mapping[str, KeptMinutes]  # what the controller saw of them, by bake
    seconds: float  # that it took, of real time
    unexpected: tuple[str, ...] = ()  # in what it differs from what the scenario expects

    @property
    def end(self) -> str:
        """Return the rollout's end, or its phase if it has not ended."""
        return self.state.end or self.state.phase

    @property
    def decided(self) -> HistoryEntry | None:
        """Return the history entry in which the end was decided; None if there is none."""
        deciding = {
            "promoted": "promoted",
            "aborted": "abort",
            "lost": "lost",
            "waiting": "waiting",
        }.get(self.end)
        return next((entry for entry in self.entries if entry.what == deciding), None)

    @property
    def detected(self) -> HistoryEntry | None:
        """Return the entry of the first failing check after a scripted event, or None."""
        since = self.events[0].at if self.events else self.started
        return next(
            (
                entry
                for entry in self.entries
                if entry.at >= since and any(check.verdict == "fail" for check in entry.checks)
            ),
            None,
        )

    @property
    def requests(self) -> int:
        """Return the number of simulated requests."""
        return sum(minute.requests for minutes in self.minutes.values() for minute in minutes)

    @property
    def failed(self) -> int:
        """Return the number of simulated requests that failed."""
        return sum(
            minute.client_errors + minute.server_errors
            for minutes in self.minutes.values()
            for minute in minutes
        )

    def failed_before(self, moment: datetime) -> int:
        """Return how many simulated requests failed in the minutes that began before a moment."""
        return sum(
            minute.client_errors + minute.server_errors
            for minutes in self.minutes.values()
            for minute in minutes
            if minute.start < moment
        )

    @property
    def sequence(self) -> tuple[Step, ...]:
        """Return the rollout's decisions, without times, calls and figures.

        They must be the same on every target.
        """
        return tuple(
            (
                entry.what,
                entry.stage,
                entry.attempt,
                tuple((check.guardrail, check.verdict) for check in entry.checks),
            )
            for entry in self.entries
        )

    def __str__(self) -> str:
        lines = [*_wrap("virtual", (*self._timeline(), f"{self.seconds:.1f} s"))]
        figures = f"  {self.failed:,} of {self.requests:,} requests failed"
        if self.detected is not None and self.events:
            figures += f"; seen {_minutes(self.detected.at - self.events[0].at)} after it began"
        lines.append(figures)
        if self.grace is not None:
            lines.append(
                f"  the grace time after the promotion is rehearsed for {duration_text(self.grace)}"
            )
        lines += [f"  never happened, it was over before: {text}" for text in self.never]
        lines += [f"  not as expected: {text}" for text in self.unexpected] or ["  as expected"]
        return "\n".join(lines)

    def _timeline(self) -> Iterator[str]:
        """Yield the events and the decisions as lines of text, in the order of their times."""
        rows = [(happened.seq, 1, happened.at, happened.text) for happened in self.events]
        rows += [
            (entry.seq, 0, entry.at, text)
            for entry in self.entries
            if (text := _clause(entry, self.state))
        ]
        for _seq, _after, happened_at, text in sorted(rows):
            yield f"{_clock(happened_at - self.started)} {text}"


def judge(rehearsal: Rehearsal) -> Rehearsal:
    """Add to a rehearsal the ways in which it differs from the scenario's expectations."""
    return msgspec.structs.replace(rehearsal, unexpected=tuple(_unexpected(rehearsal)))


def _unexpected(rehearsal: Rehearsal) -> Iterator[str]:
    """Yield a sentence for each way in which a rehearsal differs from what its scenario expects."""
    expect, decided = rehearsal.scenario.expect, rehearsal.decided
    if rehearsal.end != expect.end:
        yield f"it ended {rehearsal.end}, not {expect.end}" + (
            f": {rehearsal.state.cause}" if rehearsal.state.cause else ""
        )
        return
    if expect.stage is not None and rehearsal.state.stage != expect.stage:
        yield f"in step {rehearsal.state.stage}, not in step {expect.stage}"
    if expect.within is not None and decided is not None:
        since = rehearsal.events[0].at if rehearsal.events else rehearsal.started
        if (took := decided.at - since) > expect.within:
            within = duration_text(expect.within)
            yield f"it was decided after {_minutes(took)}, not within {within}"
    if expect.by and expect.by not in rehearsal.state.cause:
        yield f"by {rehearsal.state.cause or 'nothing'}, not by {expect.by}"


_TOLD = (
    "held",
    "waiting",
    "drift",
    "late",
    "lost",
    "handed",
    "promoted",
    "paused",
    "resumed",
    "asked",
    "abort",
)


def _clause(entry: HistoryEntry, state: RolloutState) -> str:
    """Return a history entry of the rollout as a few words; "" if it is not to be shown."""
    if entry.what in ("converged", "corrected") and entry.percent is not None:
        return f"{percent_text(entry.percent)} %"
    if entry.what == "check":
        return ", ".join(
            f"{check.guardrail} {check.verdict.upper()}"
            for check in entry.checks
            if check.verdict == "fail"
        )
    if entry.what == "aborted":
        return "aborted, " + "/".join(map(percent_text, state.intent.values()))
    if entry.what in _TOLD:
        return entry.what + (f": {entry.why}" if entry.why else "")
    return "start" if entry.what == "started" else ""


def _wrap(first: str, parts: tuple[str, ...]) -> Iterator[str]:
    """Yield clauses as lines of text, wrapped at the page's width, after a first column."""
    line = first
    for part in parts:
        if len(line) + 2 + len(part) > _WIDTH and line.strip():
            yield line
            line = " " * len(first)
        line += "  " + part
    yield line


def _clock(span: timedelta) -> str:
    """Return the time since the start in hours and minutes: `04:10` or `1d 02:30`."""
    hours, minutes = divmod(int(span.total_seconds()) // 60, 60)
    days, hours = divmod(hours, 24)
    return (f"{days}d " if days else "") + f"{hours:02}:{minutes:02}"


def _minutes(span: timedelta) -> str:
    """Return a time span in minutes, as text."""
    minutes = round(span.total_seconds() / 60)
    return f"{minutes} minute{'s' * (minutes != 1)}"
