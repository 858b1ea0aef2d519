"""A run's page: one HTML file that fetches nothing, from what a look has stored and from the run's
history.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import Change
from ...errors import NotFound
from ...pipelines.run_pages.report_store import keep
from ...project.specs.experiments import Analysis, Experiment
from ...reports import page, plots
from ..design import runs
from ..design.definition_text import definition_rows
from ..statistics import split as split_check
from . import run_results
from . import text as run_text
from .results import DayEffect, Effect, MetricArms, Range, RunResults, Segments

_KINDS = {"ship": "pass", "stop": "fail", "invalid": "fail"}
_FEWEST = 2  # of fewer marks a picture shows nothing that the table does not


def report(project: Project, name: str, *, despite_split: bool = False) -> Path:
    """Write the page of the newest look, or of one now where nobody has looked.

    A path that opens it. Raises as run_results.results.
    """
    try:
        seen = run_results.last(project, name, despite_split=despite_split)
    except NotFound:
        seen = run_results.results(project, name, despite_split=despite_split)
    changes = [
        change
        for change in runs.history(project.target.state, runs.experiment_of(seen.run))
        if change.run == seen.run
    ]
    experiment = runs.frozen_run(project.target.state, seen.run).definition.experiment
    return keep(project, f"experiment-{seen.run}.html", html(seen, experiment, changes).encode())


def html(seen: RunResults, experiment: Experiment, changes: Sequence[Change]) -> str:
    parts = [
        page.heading(title(seen), about(seen)),
        verdict(seen),
        *sections(seen),
        definition(experiment),
        history(changes),
    ]
    return page.page(seen.run, parts, page.footer(seen.as_of, seen.target))


def title(seen: RunResults) -> str:
    return f"{seen.run}: {', '.join(seen.arms[1:])} against {seen.arms[0]}"


def about(seen: RunResults) -> str:
    return (
        f"{seen.endpoint}, layer {seen.layer}, compared by {seen.unit}: "
        f"{', '.join(run_text.head_parts(seen))}"
    )


def verdict(seen: RunResults) -> str:
    return page.verdict(
        [seen.headline.capitalize(), run_text.why_text(seen)], _KINDS.get(seen.conclusion.word, "")
    )


def sections(seen: RunResults) -> list[str]:
    """HTML of what a look showed, the verdict left out."""
    deciding = next(metric.metric.name for metric in seen.metrics if metric.role == "decides")
    return [
        *(
            page.section(f"Arms: {metric.metric.name}", _arms(metric))
            for metric in seen.metrics
            if metric.role == "decides"
        ),
        *_effects(seen),
        *_over_time(seen, deciding),
        *_since_first(seen, deciding),
        *_segments(seen.segments),
        *_monitors(seen),
        split(seen),
    ]


def definition(of: Experiment | Analysis) -> str:
    return page.section("What it is", page.table(["", ""], definition_rows(of), wordy=1))


def history(changes: Sequence[Change]) -> str:
    return page.section(
        "History",
        page.table(["when", "who", "what", "from", "to", "why"], map(_change, changes), wordy=5),
    )


def _arms(of: MetricArms) -> str:
    below = [run_text.total_text(of.metric.denominator)] if of.metric.denominator else []
    rows: list[list[str]] = []
    for name, arm in of.arms.items():
        totals = [run_text.amount(arm.total("d"))] if of.metric.denominator else []
        rows.append(
            [
                name,
                f"{arm.units:,}",
                *totals,
                run_text.amount(arm.total("y")),
                run_text.value_text(arm.rate, of),
                _of_rate(of.rates[name], of),
            ]
        )
    return page.table(
        ["", "units", *below, run_text.total_text(of.metric.numerator), of.metric.name, "95 %"],
        rows,
        numbers=True,
    )


def _of_rate(rate: Range | None, of: MetricArms) -> str:
    if rate is None or rate.low is None or rate.high is None:
        return "too few"
    return f"{run_text.value_text(rate.low, of)} .. {run_text.value_text(rate.high, of)}"


def _effects(seen: RunResults) -> list[str]:
    several = len(seen.arms) > 2
    names = [
        f"{effect.metric}{f' of {effect.arm}' if several else ''}{_ROLE[effect.role]}"
        for effect in seen.effects
    ]
    lines = [
        line
        for name, effect in zip(names, seen.effects, strict=True)
        if (line := _line(name, effect.relative))
    ]
    rows = [[name, *_row(effect)] for name, effect in zip(names, seen.effects, strict=True)]
    table = page.table(["", "difference", "interval", "a last look alone", ""], rows, wordy=4)
    drawn = _ranges("treatment against control, relative", lines, table) if lines else table
    words = [
        page.words(
            f"{', '.join(run_text.wins_texts(effect))}; the difference is of all that counts "
            "for one of the two"
        )
        for effect in seen.effects
    ]
    return [page.section("Differences", drawn, *(words if seen.interleaved else ()))]


_ROLE = {"decides": "", "guardrail": " (guardrail)", "also": " (also)"}


def _row(effect: Effect) -> list[str]:
    if effect.relative is None:
        return ["too few", "", "", str(effect.judged or "")]
    once = run_text.range_text(effect.once) if effect.once else ""
    return [
        run_text.percent(effect.relative.value),
        run_text.range_text(effect.relative),
        once,
        _words(effect),
    ]


def _words(effect: Effect) -> str:
    if effect.guardrail:
        return f"{run_text.bound_text(effect)}, {effect.guardrail}: {effect.judged}"
    q = [f"q {effect.q:.2f}"] if effect.q is not None else []
    side = [effect.side] if effect.role == "decides" and effect.side != "open" else []
    return ", ".join([*side, *run_text.saved_text(effect), *q])


def _line(name: str, of: Range | None) -> plots.Range | None:
    if of is None or of.value is None or of.low is None or of.high is None:
        return None
    return plots.Range(name=name, value=100 * of.value, low=100 * of.low, high=100 * of.high)


def _ranges(title: str, lines: Sequence[plots.Range], table: str) -> str:
    reach = max(1.0, *(abs(bound) for line in lines for bound in (line.low, line.high))) * 1.05
    return plots.ranges(
        title, plots.axis("relative difference, %", -reach, reach), lines, behind=table
    )


def _over_time(seen: RunResults, metric: str) -> list[str]:
    first = date.fromisoformat(min(seen.split_by_day))
    table = page.table(
        ["until", "arm", "units", "difference", "interval"],
        ([of.day, *_day_row(of)] for of in seen.over_time),
    )
    series = _days(
        seen.arms, [((date.fromisoformat(of.day) - first).days + 1, of) for of in seen.over_time]
    )
    title = f"{metric} at the end of each day, with the bounds of a look then"
    return (
        [page.section("Over time", *_chart(title, "day", series, table))] if seen.over_time else []
    )


def _since_first(seen: RunResults, metric: str) -> list[str]:
    words = [page.words(f"{trend.arm}: {run_text.trend_text(trend)}") for trend in seen.trends]
    days = [(of.since_first, of) for trend in seen.trends for of in trend.days]
    table = page.table(
        ["days since the first", "arm", "units", "difference", "interval"],
        ([str(day), *_day_row(of)] for day, of in days),
    )
    title = f"{metric} by days since a unit's first exposure, each day by itself, 95 % of one look"
    return (
        [
            page.section(
                "Days since the first exposure",
                *_chart(title, "days", _days(seen.arms, days), table),
                *words,
            )
        ]
        if days
        else []
    )


def _day_row(of: DayEffect) -> list[str]:
    if of.relative is None:
        return [of.arm, f"{of.units:,}", "too few", ""]
    return [
        of.arm,
        f"{of.units:,}",
        run_text.percent(of.relative.value),
        run_text.range_text(of.relative),
    ]


def _days(arms: Sequence[str], days: Sequence[tuple[int, DayEffect]]) -> list[plots.Series]:
    """Those that have an interval, a series for each treatment."""
    series: list[plots.Series] = []
    for style, arm in zip(_STYLES, arms[1:], strict=False):  # the table has those beyond six
        marks = [
            (float(day), line)
            for day, of in days
            if of.arm == arm and (line := _line("", of.relative))
        ]
        if marks:
            x, lines = zip(*marks, strict=True)
            series.append(
                plots.Series(
                    name=arm if len(arms) > 2 else "",
                    style=style,
                    x=x,
                    y=[line.value for line in lines],
                    low=[line.low for line in lines],
                    high=[line.high for line in lines],
                    kind="dots",
                )
            )
    return series


_STYLES: tuple[plots.Style, ...] = ("a", "b", "c", "d", "e", "f")


def _chart(title: str, unit: str, series: list[plots.Series], table: str) -> list[str]:
    if sum(len(of.x) for of in series) < _FEWEST:
        return [table]
    last = max(max(of.x) for of in series)
    reach = (
        max(1.0, *(abs(bound) for of in series for bound in (*(of.low or ()), *(of.high or ()))))
        * 1.05
    )
    zero = plots.Series(name="", style="quiet", x=[-0.5, last + 1], y=[0.0, 0.0])
    across, up = _whole(unit, -0.5, last + 1), plots.axis("relative difference, %", -reach, reach)
    return [plots.chart(title, across, up, [zero, *series], behind=table, wide=True)]


def _whole(label: str, low: float, high: float) -> plots.Axis:
    """An axis of days: no half of one has a tick."""
    step = max(1, round((high - low) / 10))
    return plots.Axis(
        label=label,
        low=low,
        high=high,
        ticks=[(day, str(day)) for day in range(0, int(high) + 1, step)],
    )


def _segments(segments: Sequence[Segments]) -> list[str]:
    if not segments:
        return []
    named = [
        (f"{of.attribute} {value}, {of.metric} of {of.arm}", effect)
        for of in segments
        for value, effect in of.effects.items()
    ]
    lines = [line for name, effect in named if (line := _line(name, effect))]
    rows = [
        [name, *([run_text.percent(of.value), run_text.range_text(of)] if of else ["too few", ""])]
        for name, of in named
    ]
    table = page.table(["", "difference", "95 % of one look"], rows)
    drawn = _ranges("by the first value of each unit's requests", lines, table) if lines else table
    return [
        page.section("Segments", drawn, *(page.words(run_text.segment_text(of)) for of in segments))
    ]


def _monitors(seen: RunResults) -> list[str]:
    """What decides nothing: whether an arm shows fewer items, or serves one kind of units better."""
    if not seen.monitors:
        return []
    rows = [
        [run_text.figure_title(figure), *(_plain(figure.arms[arm]) for arm in seen.arms)]
        for figure in seen.monitors
    ]
    told = ", ".join(text for figure in seen.monitors for text in run_text.arm_texts(figure))
    return [
        page.section("Monitors", page.table(["", *seen.arms], rows, numbers=True), page.words(told))
    ]


def _plain(of: Range) -> str:
    ends = "" if of.low is None or of.high is None else f" ({of.low:.2f} .. {of.high:.2f})"
    return "-" if of.value is None else f"{of.value:.2f}{ends}"


def split(seen: RunResults) -> str:
    arms = tuple(seen.split.counts)
    rows = [
        [day, *(f"{counts[arm]:,}" for arm in arms)] for day, counts in seen.split_by_day.items()
    ]
    words = [
        str(seen.split).capitalize(),
        f"{seen.twice:,} units in several arms, left out",
        *seen.warnings,
    ]
    by_day = page.table(["first day", *arms], rows, numbers=True)
    return page.section(
        "Split",
        *map(page.words, words),
        by_day,
        *(_by_value(seen, name) for name in seen.split_by_segment),
    )


def _by_value(seen: RunResults, attribute: str) -> str:
    """With the odds that the planned shares are broken among the units of each value."""
    rows = [
        [
            value,
            *(f"{counts[arm]:,}" for arm in seen.arms),
            str(split_check.check(counts, seen.split.planned)),
        ]
        for value, counts in seen.split_by_segment[attribute].items()
    ]
    return page.table([attribute, *seen.arms, ""], rows, wordy=len(seen.arms) + 1)


def _change(change: Change) -> list[str]:
    return [
        f"{change.at:%Y-%m-%d %H:%M}",
        change.who,
        change.what,
        change.before,
        change.after,
        change.because,
    ]
