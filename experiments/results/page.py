"""The page of an experiment's results: one HTML file that fetches nothing."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from ...core.runtime.project import Project
from ...endpoints.gateway.decide.live_document import Change
from ...pipelines.run_pages.report_store import keep
from ...reports import page, plots
from ...reports.columns import plural
from ..design.definition import newest_run
from ..design.definition_text import definition_section
from ..monitors.arms import ArmFigure
from ..statistics import split as split_check
from ..statistics.ranges import FigureInterval
from . import text
from .chance_text import chance_lines
from .log_results import compare_log
from .results import DayEffect, Effect, MetricArms, Results, Segments, Trend
from .run_results import compare_run, last_look

_KINDS = {"ship": "pass", "better": "pass", "stop": "fail", "worse": "fail", "invalid": "fail"}
_FEWEST = 2  # of fewer marks a picture shows nothing that the table does not
_ROLE = {"decides": "", "guardrail": " (guardrail)", "also": " (also)"}
_STYLES: tuple[plots.Style, ...] = ("a", "b", "c", "d", "e", "f")
_ONE_LOG = (
    "Looks at one log are not independent: an interval that leaves zero on some day of a "
    "closed log says less than the last one."
)


def report(project: Project, name: str, *, despite_split: bool = False) -> Path:
    """Write the HTML report of an experiment's newest results, and return its path.

    If nobody has looked at the run's results yet, this is recorded as the first look.

    Returns:
        A path that opens the page.

    Raises:
        NotFound: There is no such experiment, or it never ran.
        Invalid: An arm has nobody.
        Refused: The split of a run is not as planned, and not `despite_split`.
    """
    if name in project.spec.analyses:
        compared = compare_log(project, name)
        return keep(project, f"experiment-{name}.html", html(compared, []).encode())
    run = newest_run(project, name)
    results = last_look(project, run.frozen.run, despite_split=despite_split) or compare_run(
        project, run, despite_split=despite_split
    )
    below = [
        definition_section(run.frozen.definition.experiment),
        history_section(run.own_changes),
    ]
    return keep(project, f"experiment-{results.run}.html", html(results, below).encode())


def html(results: Results, below: Sequence[str]) -> str:
    """Return the HTML report of results, with further sections below them."""
    title = f"{results.run}: {', '.join(results.arms[1:])} against {results.arms[0]}"
    parts = [page.heading(title, about(results)), verdict(results), *sections(results), *below]
    return page.page(results.run, parts, page.footer(results.as_of, results.target))


def about(results: Results) -> str:
    """Return a line of text on who assigned the units and how the arms are compared."""
    if not results.log:
        return (
            f"{results.endpoint}, layer {results.layer}, compared by {results.unit}: "
            f"{', '.join(text.head_parts(results))}"
        )
    unit = (
        f"Compared by {results.log.unit}"
        if results.log.unit
        else f"Compared by {results.log.exposure}: the log names no unit, so true intervals are "
        "wider"
    )
    how = (
        "One look at a closed log."
        if results.inference == "fixed"
        else "The log grows: every interval holds at all looks together."
    )
    return f"Assigned by the site. {unit}. {how}"


def verdict(results: Results) -> str:
    """Return the verdict on an experiment and its reason as HTML."""
    kind = _KINDS.get(results.conclusion.word, "")
    return page.verdict([results.headline.capitalize(), text.why_text(results)], kind)


def sections(results: Results) -> list[str]:
    """Return the HTML sections of the report, without the verdict."""
    parts = [
        *(_arms_section(results, metric) for metric in results.deciding),
        _effects_section(results),
        _over_time_section(results),
        _trends_section(results.arms, results.trends, results.deciding[0].metric.name)
        if not results.leaves_out
        else page.section("Days since the first exposure", page.words(f"{text.NO_TREND}.")),
        _segments_section(results.segments),
        _monitors_section(results.arms, results.monitors),
        split_section(results),
    ]
    return [part for part in parts if part]


def history_section(changes: Sequence[Change]) -> str:
    """Return the HTML section with the changes of a run."""
    rows = [
        [f"{c.at:%Y-%m-%d %H:%M}", c.who, c.what, c.before, c.after, c.because] for c in changes
    ]
    head = ["when", "who", "what", "from", "to", "why"]
    return page.section("History", page.table(head, rows, wordy=5))


def _arms_section(results: Results, metric: MetricArms) -> str:
    """Return the HTML section on one metric: its rate in every arm, each treatment's difference."""
    denominator = metric.metric.denominator
    below = [text.total_text(denominator)] if denominator else []
    numerator = text.total_text(metric.metric.numerator)
    lifts = {
        effect.arm: effect.relative
        for effect in results.effects
        if effect.metric == metric.metric.name and not results.interleaved
    }
    rows = [
        [
            name,
            page.with_interval(text.total_cells(metric, name)[-1], _rate_text(metric, name)),
            *([_lift_cell(lifts[name]) if name in lifts else ""] if lifts else []),
            f"{sums.units:,}",
            *text.total_cells(metric, name)[:-1],
        ]
        for name, sums in metric.arms.items()
    ]
    lift = [f"against {results.arms[0]}"] if lifts else []
    head = ["", f"{metric.metric.name}, 95 %", *lift, "units", *below, numerator]
    return page.section(f"Arms: {metric.metric.name}", page.table(head, rows, numbers=True))


def _lift_cell(relative: FigureInterval | None) -> str:
    """Return a table cell with a relative difference and its interval."""
    if relative is None or relative.value is None:
        return "too few"
    return page.with_interval(text.percent(relative.value), text.range_text(relative))


def _rate_text(metric: MetricArms, arm: str) -> str:
    """Return the confidence interval of an arm's rate as text."""
    rate = metric.rates[arm]
    if rate is None or rate.low is None or rate.high is None:
        return "too few"
    return f"{text.value_text(rate.low, metric)} .. {text.value_text(rate.high, metric)}"


def _effects_section(results: Results) -> str:
    """Return the HTML section on the effects: a picture, and a table behind it."""
    several = len(results.arms) > 2
    named = [
        (f"{e.metric}{f' of {e.arm}' if several else ''}{_ROLE[e.role]}", e)
        for e in results.effects
    ]
    rows = [[name, *_effect_cells(results, effect)] for name, effect in named]
    fifth = _absolute_head(results.metrics) if results.log else "a last look alone"
    table = page.table(["", "difference", "interval", fifth, ""], rows, wordy=4)
    drawn = _ranges(
        "treatment against control, relative", [(n, e.relative) for n, e in named], table
    )
    words = [
        page.words(
            f"{', '.join(text.wins_texts(effect))}; the difference is of all that counts "
            "for one of the two"
        )
        for effect in results.effects
    ]
    chances = [page.words(f"Chance: {line}.", "soft") for line in chance_lines(results)]
    return page.section("Differences", drawn, *(words if results.interleaved else chances))


def _absolute_head(metrics: Iterable[MetricArms]) -> str:
    """Return a table's column title for absolute differences.

    It is `points` (percentage points) if all metrics are shares, else `absolute`.
    """
    return "points" if all(metric.percents for metric in metrics) else "absolute"


def _effect_cells(results: Results, effect: Effect) -> list[str]:
    """Return the table cells of an effect: the difference, its interval, a further one, a remark.

    The further one is the interval of a single look, or of a log the absolute difference.
    """
    if effect.relative is None:
        return ["too few", "", "", str(effect.judged or "")]
    further = text.range_text(effect.once) if effect.once else ""
    if results.log:
        metric = next(arms for arms in results.metrics if arms.metric.name == effect.metric)
        further = text.absolute_text(effect.absolute, percents=metric.percents)
    difference = text.percent(effect.relative.value)
    return [difference, text.range_text(effect.relative), further, _remark(results, effect)]


def _remark(results: Results, effect: Effect) -> str:
    """Return a remark on an effect: a guardrail's judgement, or whether it is better or worse."""
    if effect.guardrail:
        bound = "guardrail" if results.log else text.bound_text(effect)
        return f"{bound}, {effect.guardrail}: {effect.judged}"
    q = [f"q {effect.q:.2f}"] if effect.q is not None else []
    side = [effect.side] if effect.role == "decides" and effect.side != "open" else []
    return ", ".join([*side, *text.saved_text(effect), *q])


def _mark(name: str, interval: FigureInterval | None) -> plots.Range | None:
    """Return an interval as a bar of a chart, in percent; None if one of its ends is missing."""
    if interval is None or interval.value is None or interval.low is None or interval.high is None:
        return None
    low, high = 100 * interval.low, 100 * interval.high
    return plots.Range(name=name, value=100 * interval.value, low=low, high=high)


def _ranges(title: str, named: Sequence[tuple[str, FigureInterval | None]], table: str) -> str:
    """Return an HTML chart of intervals with the table behind it, or the table alone."""
    marks = [mark for name, interval in named if (mark := _mark(name, interval))]
    if not marks:
        return table
    bounds = [bound for mark in marks for bound in (mark.low, mark.high)]
    axis = plots.axis_with_zero("relative difference, %", bounds)
    return plots.ranges(title, axis, marks, behind=table)


def _over_time_section(results: Results) -> str:
    """Return the HTML section on the effect at the end of each day."""
    if not results.over_time:
        return ""
    first = date.fromisoformat(min(results.split_by_day, default=results.over_time[0].day))
    absolute = [_absolute_head(results.deciding)] if results.log else []
    head = ["until", "arm", "units", "difference", "interval", *absolute]
    percents = results.deciding[0].percents
    rows = [
        [effect.day, *_day_cells(effect), *text.absolute_of_day(effect, percents=percents)]
        for effect in results.over_time
    ]
    days = [((date.fromisoformat(e.day) - first).days + 1, e) for e in results.over_time]
    bounds = "all days up to it" if results.log else "with the bounds of a look then"
    title = f"{results.deciding[0].metric.name} at the end of each day, {bounds}"
    drawn = _chart(title, "day", _series(results.arms, days), page.table(head, rows))
    note = page.words(_ONE_LOG, "soft") if results.inference == "fixed" else ""
    return page.section("Over time", drawn, note)


def _trends_section(arms: Sequence[str], trends: Sequence[Trend], metric: str) -> str:
    """Return the HTML section on the effect by days since the first exposure."""
    days = [(effect.since_first, effect) for trend in trends for effect in trend.days]
    if not days:
        return ""
    words = [page.words(f"{trend.arm}: {text.trend_text(trend)}") for trend in trends]
    head = ["days since the first", "arm", "units", "difference", "interval"]
    table = page.table(head, ([str(day), *_day_cells(effect)] for day, effect in days))
    title = f"{metric} by days since a unit's first exposure, each day by itself, 95 % of one look"
    drawn = _chart(title, "days", _series(arms, days), table)
    return page.section("Days since the first exposure", drawn, *words)


def _day_cells(effect: DayEffect) -> list[str]:
    """Return the table cells of a day's effect: arm, units, difference and interval."""
    if effect.relative is None:
        return [effect.arm, f"{effect.units:,}", "too few", ""]
    difference = text.percent(effect.relative.value)
    return [effect.arm, f"{effect.units:,}", difference, text.range_text(effect.relative)]


def _series(arms: Sequence[str], days: Sequence[tuple[int, DayEffect]]) -> list[plots.Series]:
    """Return a chart series for each treatment, of the days that have an interval."""
    series: list[plots.Series] = []
    for style, arm in zip(_STYLES, arms[1:], strict=False):  # the table has those beyond six
        marks = [
            (float(day), mark)
            for day, effect in days
            if effect.arm == arm and (mark := _mark("", effect.relative))
        ]
        if marks:
            x, ranges = zip(*marks, strict=True)
            series.append(
                plots.Series(
                    name=arm if len(arms) > 2 else "",
                    style=style,
                    x=x,
                    y=[mark.value for mark in ranges],
                    low=[mark.low for mark in ranges],
                    high=[mark.high for mark in ranges],
                    kind="dots",
                )
            )
    return series


def _chart(title: str, unit: str, series: list[plots.Series], table: str) -> str:
    """Return an HTML chart over days with the table behind it, or the table alone."""
    if sum(len(marks.x) for marks in series) < _FEWEST:
        return table
    last = max(max(marks.x) for marks in series)
    bounds = [bound for marks in series for bound in (*(marks.low or ()), *(marks.high or ()))]
    zero = plots.Series(name="", style="quiet", x=[-0.5, last + 1], y=[0.0, 0.0])
    across = _day_axis(unit, -0.5, last + 1)
    up = plots.axis_with_zero("relative difference, %", bounds)
    return plots.chart(title, across, up, [zero, *series], behind=table, wide=True)


def _day_axis(label: str, low: float, high: float) -> plots.Axis:
    """Return a chart axis of days, with ticks at whole days only."""
    step = max(1, round((high - low) / 10))
    ticks = [(day, str(day)) for day in range(0, int(high) + 1, step)]
    return plots.Axis(label=label, low=low, high=high, ticks=ticks)


def _segments_section(segments: Sequence[Segments]) -> str:
    """Return the HTML section on the effects by segment."""
    if not segments:
        return ""
    named = [
        (f"{segment.attribute} {value}, {segment.metric} of {segment.arm}", effect)
        for segment in segments
        for value, effect in segment.effects.items()
    ]
    rows = [
        [name, text.percent(effect.value), text.range_text(effect)]
        if effect
        else [name, "too few", ""]
        for name, effect in named
    ]
    table = page.table(["", "difference", "95 % of one look"], rows)
    drawn = _ranges("by the first value of each unit's requests", named, table)
    return page.section("Segments", drawn, *(page.words(text.segment_text(s)) for s in segments))


def _monitors_section(arms: Sequence[str], monitors: Sequence[ArmFigure]) -> str:
    """Return the HTML section on each arm's bias metrics."""
    if not monitors:
        return ""
    rows = [
        [text.figure_title(figure), *(_figure_cell(figure.arms[arm]) for arm in arms)]
        for figure in monitors
    ]
    words = ", ".join(words for figure in monitors for words in text.arm_texts(figure))
    table = page.table(["", *(f"{arm}, 95 %" for arm in arms)], rows, numbers=True)
    return page.section("Monitors", table, page.words(words))


def _figure_cell(figure: FigureInterval) -> str:
    """Return a bias metric as a table's cell, with its interval below it."""
    if figure.value is None:
        return "-"
    if figure.low is None or figure.high is None:
        return f"{figure.value:.2f}"
    return page.with_interval(f"{figure.value:.2f}", f"{figure.low:.2f} .. {figure.high:.2f}")


def split_section(results: Results) -> str:
    """Return the HTML section on whether the units came to the arms as planned."""
    if results.log:
        words = [f"{line}, left out" for line in text.left_out(results, results.log)]
        words = [str(results.split), *words] if results.split.planned else words
        words += results.warnings
        return page.section("Split", *map(page.words, words)) if words else ""
    arms = tuple(results.split.counts)
    rows = [
        [day, *(f"{counts[arm]:,}" for arm in arms)] for day, counts in results.split_by_day.items()
    ]
    words = [
        str(results.split).capitalize(),
        f"{plural(results.twice, 'unit')} in several arms, left out",
        *(f"Left out: {line}" for line in text.dropped_lines(results)),
        *results.warnings,
    ]
    return page.section(
        "Split",
        *map(page.words, words),
        page.table(["first day", *arms], rows, numbers=True),
        *(_split_by_value(results, attribute) for attribute in results.split_by_segment),
    )


def _split_by_value(results: Results, attribute: str) -> str:
    """Return an HTML table of the units of each arm by an attribute's values.

    For each value there are the odds that its units did not come in the planned shares.
    """
    rows = [
        [
            value,
            *(f"{counts[arm]:,}" for arm in results.arms),
            split_check.check(counts, results.split.planned).odds_text,
        ]
        for value, counts in results.split_by_segment[attribute].items()
    ]
    return page.table([attribute, *results.arms, ""], rows, wordy=len(results.arms) + 1)
