"""A rollout's page: one HTML file that fetches nothing.

Everything on it is from the history and from the stored minutes.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Literal

from ...endpoints.split import percent_text
from ...project.rollouts.guardrails import METRICS
from ...project.specs.description import Guardrail
from ...reports import page, plots
from ..state import documents
from ..state.documents import KeptMinutes
from ..state.ports import ControllerPorts
from ..state.states import HistoryEntry, RolloutState
from .verdict_history import GuardrailCheck, retrace

Kind = Literal["line", "dots"]
_MINUTE = timedelta(minutes=1)
_LEAST = 0.001  # evidence that is drawn as no less
_SERVED = (
    "converged",
    "corrected",
    "promoted",
    "aborted",
)  # entries after which another share is served, as it was read back
_PEOPLE = ("asked", "paused", "resumed")
_DECISIONS = (
    "step",
    "promoted",
    "abort",
    "held",
    "data",
    "waiting",
    "drift",
    "late",
    "lost",
    "handed",
)


def report_uri(ports: ControllerPorts, state: RolloutState) -> str:
    """Return the URI at which a rollout's HTML report is stored."""
    return f"{documents.folder_uri(ports.blobs, state)}/report.html"


def write(ports: ControllerPorts, state: RolloutState) -> str:
    """Write a rollout's HTML report to the blob store, and return its URI.

    It is safe to repeat.
    """
    uri = report_uri(ports, state)
    ports.blobs.put(
        uri,
        html(
            state,
            tuple(documents.history(ports.state, state)),
            documents.kept_minutes(ports.blobs, state),
        ).encode(),
    )
    return uri


def html(
    state: RolloutState, entries: Sequence[HistoryEntry], bakes: Mapping[str, KeptMinutes]
) -> str:
    """Return a rollout's report as an HTML page.

    `bakes` has the metrics of each bake (the time in which a step is watched), by
    <stage>-<attempt>, or the phase after the last step.
    """
    heading = page.heading(f"Rollout {state.id} of {state.endpoint}", about(state))
    return page.page(
        f"{state.id} {state.endpoint}",
        [heading, *parts(state, entries, bakes)],
        _footer(state, entries),
    )


def parts(
    state: RolloutState, entries: Sequence[HistoryEntry], bakes: Mapping[str, KeptMinutes]
) -> list[str]:
    """Return the HTML fragments of a rollout's report, without its heading and its footer.

    `bakes` has the metrics of each bake (the time in which a step is watched).
    """
    points = retrace(state.plan, bakes)
    return [
        _verdict(state),
        page.section("Traffic", _traffic(state, entries, bakes), page.words(_MARKS, "soft")),
        *_guardrails(state, points),
        page.section("What each decision stood on", _checks(entries)),
        page.section("History", _history(entries)),
    ]


_MARKS = (
    "The line is what was served, as it was read back; measured is the share of each minute's "
    "requests, where the figures were kept."
)


def about(state: RolloutState) -> str:
    """Return two sentences on a rollout: its variants with versions, its steps and its start."""
    versions = {
        variant.name: f"{variant.model}@{variant.version}" for variant in state.plan.spec.variants
    }
    new, old = state.plan.to, state.plan.source
    steps = ", ".join(
        f"{percent_text(stage.traffic)} % for {stage.bake // _MINUTE} min"
        for stage in state.plan.stages
    )
    return (
        f"{old} {versions[old]} to {new} {versions[new]}: {steps}. Started {_time(state.started)}."
    )


def _verdict(state: RolloutState) -> str:
    """Return HTML on how the rollout ended."""
    kinds = {"promoted": "pass", "aborted": "fail", "lost": "fail"}
    took = (
        "" if state.ended is None else f" after {(state.ended - state.started) // _MINUTE} minutes"
    )
    lines = [
        f"{(state.end or state.phase).capitalize()}{took}",
        *([state.cause] if state.cause else []),
    ]
    return page.verdict(lines, kinds.get(state.end or "", ""))


def _traffic(
    state: RolloutState, entries: Sequence[HistoryEntry], bakes: Mapping[str, KeptMinutes]
) -> str:
    """Return the chart, as HTML, of the new variant's share of the traffic over time.

    `bakes` has the metrics of each bake (the time in which a step is watched).
    """
    new = state.plan.to
    since = state.started
    line: list[tuple[float, float]] = [(0.0, float(state.plan.initial[new]))]
    for entry in entries:
        if entry.what in _SERVED and entry.percent is not None:
            line += [
                (_minutes(since, entry.at), line[-1][1]),
                (_minutes(since, entry.at), float(entry.percent)),
            ]
    end = max([_minutes(since, entry.at) for entry in entries] or [1.0])
    line.append((end, line[-1][1]))
    measured = [sorted(_shares(new, since, bake)) for bake in bakes.values()]
    series = [
        _series("served", "b", line),
        *(
            _series("" if number else "measured", "quiet", shares)
            for number, shares in enumerate(measured)
        ),
        _marks(
            "decisions", "a", (entry for entry in entries if entry.what in _DECISIONS), line, since
        ),
        _marks(
            "people", "c", (entry for entry in entries if _by_a_person(entry, state)), line, since
        ),
    ]
    rows = [
        (f"{_minutes(since, entry.at):.0f}", entry.what, _percent(entry), entry.who, entry.why)
        for entry in entries
        if entry.what in (*_SERVED, *_DECISIONS, *_PEOPLE)
    ]
    behind = page.table(("minute", "what", new, "who", "why"), rows, wordy=4)
    axis = plots.axis(f"% of the requests to {new}", 0, 100)
    return plots.chart(
        f"Share of {new}",
        _across(end),
        axis,
        [line for line in series if line.x],
        behind=behind,
        wide=True,
    )


def _guardrails(
    state: RolloutState, points: Mapping[str, Sequence[GuardrailCheck]]
) -> Iterable[str]:
    """Yield an HTML section for each guardrail: its value and its evidence, minute by minute."""
    unjudged = []
    for guardrail in state.plan.guardrails:
        drawn = [point for point in points.get(guardrail.name, ()) if point.check.value is not None]
        title = f"Guardrail {guardrail.name}" + (
            " (dry run: it decides nothing)" if guardrail.dry_run else ""
        )
        if not drawn:
            unjudged.append(guardrail.name)
            continue
        yield page.section(
            title, page.charts(_values(state, guardrail, drawn), _evidence(state, drawn))
        )
    if unjudged:
        why = "they had no minutes with data, or nothing to compare with."
        words = page.words(f"{', '.join(unjudged)}: {why}", "soft")
        yield page.section("Guardrails that were never judged", words)


def _values(state: RolloutState, guardrail: Guardrail, points: Sequence[GuardrailCheck]) -> str:
    """Return the chart, as HTML, of a guardrail's measured value over time."""
    unit, factor = _unit(guardrail)
    limit = guardrail.limit * factor
    values = [(point.check.value or 0.0) * factor for point in points]
    top, bottom = max(*values, limit) * 1.15, min(0.0, *values)
    end = _minutes(state.started, points[-1].until)
    lines = [
        _series("limit", "quiet", [(0.0, limit), (end, limit)]),
        *_by_bake(state.started, points, values),
    ]
    rows = [
        (
            _time(point.until),
            point.bake,
            f"{value:.3g}",
            f"{limit:.3g}",
            f"{point.check.n:,}",
            point.check.verdict,
        )
        for point, value in zip(points, values, strict=True)
    ]
    behind = page.table(("until", "step-attempt", unit, "limit", "n", "verdict"), rows)
    return plots.chart(
        f"{guardrail.name}: {unit}",
        _across(end),
        plots.axis(unit, bottom, top or 1.0),
        lines,
        behind=behind,
    )


def _evidence(state: RolloutState, points: Sequence[GuardrailCheck]) -> str:
    """Return the chart, as HTML, of the evidence (e-values) that guardrails are broken.

    It is drawn as a power of ten, in which it grows by even steps.
    """
    judged = [point for point in points if point.check.evidence is not None]
    if not judged:
        return ""
    values = [_power(point.check.evidence or 0.0) for point in judged]
    needed = _power(judged[-1].check.needed or 1.0)
    end = _minutes(state.started, judged[-1].until)
    lines = [
        _series("needed to fail", "quiet", [(0.0, needed), (end, needed)]),
        *_by_bake(state.started, judged, values),
    ]
    rows = [
        (
            _time(point.until),
            point.bake,
            f"{point.check.evidence:.3g}",
            f"{point.check.needed or 0:,.0f}",
            point.check.verdict,
        )
        for point in judged
    ]
    behind = page.table(("until", "step-attempt", "evidence", "needed", "verdict"), rows)
    axis = plots.axis("evidence, power of 10", min(-1.0, *values), max(needed * 1.3, *values))
    return plots.chart(
        "Evidence that it is beyond the limit", _across(end), axis, lines, behind=behind
    )


def _checks(entries: Sequence[HistoryEntry]) -> str:
    """Return the HTML table of the guardrail checks that decisions are based on."""
    rows = [
        (check.guardrail, check.verdict, entry.what, _time(entry.at), check.why)
        for entry in entries
        if entry.what in ("step", "promoted", "abort")
        for check in entry.checks
    ]
    return (
        page.table(("guardrail", "verdict", "decision", "at (UTC)", "why"), rows, wordy=4)
        if rows
        else page.words("No decision.", "soft")
    )


def _history(entries: Sequence[HistoryEntry]) -> str:
    """Return the HTML table of the rollout's history."""
    rows = [
        (
            f"{entry.seq}",
            _time(entry.at),
            entry.what,
            f"{entry.stage}",
            _percent(entry),
            entry.who,
            entry.why,
        )
        for entry in entries
    ]
    return page.table(("", "at (UTC)", "what", "step", "new", "who", "why"), rows, wordy=6)


def _shares(new: str, since: datetime, bake: KeptMinutes) -> Iterable[tuple[float, float]]:
    """Yield (minute, percentage of the requests that the variant `new` had) of a bake.

    Minutes are counted from `since`. A bake is the time in which a step is watched.
    """
    counts: dict[datetime, dict[str, int]] = {}
    for variant, buckets in bake.minutes.items():
        for bucket in buckets:
            counts.setdefault(bucket.start, {})[variant] = bucket.requests
    for minute, by_variant in counts.items():
        yield _minutes(since, minute), 100 * by_variant.get(new, 0) / sum(by_variant.values())


def _by_bake(
    since: datetime, points: Sequence[GuardrailCheck], values: Sequence[float]
) -> list[plots.Series]:
    """Return a line of a chart for each bake, which starts anew with each step.

    The points' `values` are drawn over minutes from `since`.
    """
    lines: dict[str, list[tuple[float, float]]] = {}
    for point, value in zip(points, values, strict=True):
        lines.setdefault(point.bake, []).append((_minutes(since, point.until), value))
    return [
        _series("" if number else "so far in its bake", "b", line)
        for number, line in enumerate(lines.values())
    ]


def _marks(
    name: str,
    style: plots.Style,
    entries: Iterable[HistoryEntry],
    line: Sequence[tuple[float, float]],
    since: datetime,
) -> plots.Series:
    """Return a chart series with a dot on the given line for each of these history entries.

    The line's points are minutes from `since`, with a value.
    """
    spots = [
        (minute, [y for x, y in line if x <= minute][-1])
        for minute in (_minutes(since, entry.at) for entry in entries)
    ]
    return _series(name, style, spots, kind="dots")


def _series(
    name: str, style: plots.Style, points: Sequence[tuple[float, float]], *, kind: Kind = "line"
) -> plots.Series:
    """Return (x, y) points as a series of a chart."""
    return plots.Series(
        name=name, style=style, x=[x for x, _ in points], y=[y for _, y in points], kind=kind
    )


def _by_a_person(entry: HistoryEntry, state: RolloutState) -> bool:
    """Return whether a person, and not the controller, caused a history entry."""
    wish = state.wish.abort
    return entry.what in _PEOPLE or (
        entry.what == "abort" and wish is not None and entry.why.startswith(wish.who)
    )


def _unit(guardrail: Guardrail) -> tuple[str, float]:
    """Return the unit in which a guardrail's value is shown, and the factor to convert it by."""
    if guardrail.max_ratio is not None:
        return "times the old variant's", 1.0
    if guardrail.max_shift is not None:
        return "% away from the old variant's", 100.0
    return ("%", 100.0) if METRICS[guardrail.metric].kind == "rate" else ("ms", 1.0)


def _across(end: float) -> plots.Axis:
    """Return a chart's x axis: minutes since the rollout's start, to `end`."""
    return plots.axis("minutes since the start", 0, max(end, 1.0))


def _percent(entry: HistoryEntry) -> str:
    """Return the new variant's traffic percentage in a history entry, as text."""
    return "" if entry.percent is None else f"{percent_text(entry.percent)} %"


def _power(evidence: float) -> float:
    """Return evidence as its common logarithm, for a chart with a logarithmic scale."""
    return math.log10(max(evidence, _LEAST))


def _minutes(since: datetime, moment: datetime) -> float:
    """Return the minutes between two times, never below 0.

    The writer of an entry may have another clock than the one that started the rollout.
    """
    return max((moment - since) / _MINUTE, 0.0)


def _time(moment: datetime) -> str:
    """Return a time as text for the report's tables."""
    return f"{moment:%Y-%m-%d %H:%M:%S}"


def _footer(state: RolloutState, entries: Sequence[HistoryEntry]) -> str:
    """Return the HTML footer of a rollout's report."""
    newest = entries[-1].at if entries else state.started
    return (
        f"Isthmus, rollout {state.id} of {state.endpoint}, as of {_time(newest)} UTC. Nothing on "
        "this page is fetched from elsewhere."
    )
