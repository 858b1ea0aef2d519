"""The results of an experiment as the console shows them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from ...reports.columns import aligned, plural
from .chance_text import chance_lines

if TYPE_CHECKING:
    from ...project.specs.experiments import Total
    from ..monitors.arms import ArmFigure
    from ..statistics.ranges import FigureInterval
    from .results import DayEffect, Effect, MetricArms, Results, Segments, SiteLog, Trend

_CERTAIN = 0.05
_INFERENCE = {"fixed": "fixed horizon: the log is closed", "always": "at any look: the log grows"}


def text(results: Results) -> str:
    """Return the results as text: head, arms, other metrics, verdict."""
    if results.log:
        lines = _log_lines(results, results.log)
    elif results.interleaved:
        lines = _interleaved_lines(results)
    else:
        lines = _run_lines(results)
    return "\n".join([*lines, f"verdict   {verdict_text(results)}"])


NO_TREND = "days are not compared where units are left out by drop_above: that is not supported yet"


def _run_lines(results: Results) -> Iterator[str]:
    """Yield the results of a run whose units the gateway assigned to arms, as lines of text."""
    several = len(results.arms) > 2
    yield _head(results)
    for metric in results.deciding:
        yield from _arms_with_effects(
            metric, [effect for effect in results.effects if effect.metric == metric.metric.name]
        )
    yield from (f"  chance      {line}" for line in chance_lines(results))
    for effect in results.effects:
        if effect.role != "decides":
            yield _secondary_line(effect, several=several)
    yield f"  checks      {results.split}   twice assigned {results.twice:,}"
    if figures := [figure for arm_figure in results.monitors for figure in arm_texts(arm_figure)]:
        yield f"  monitors    {', '.join(figures)}"
    yield from (f"  left out    {line}" for line in dropped_lines(results))
    for trend in results.trends:
        arm = f"{trend.arm}: " if several else ""
        yield f"  since first {arm}{trend_text(trend)}"
    if results.leaves_out:
        yield f"  since first {NO_TREND}"
    for segments in results.segments:
        yield f"  segments    {segment_text(segments)}"
    for warning in results.warnings:
        yield f"  warning     {warning}"


def _interleaved_lines(results: Results) -> Iterator[str]:
    """Yield the results of an interleaved run as lines of text."""
    (metric,), (effect,) = results.metrics, results.effects
    rows = [["", total_text(metric.metric.numerator), "wins a unit"]]
    rows += [
        [name, amount(sums.total("y")), value_text(sums.rate, metric)]
        for name, sums in metric.arms.items()
    ]
    yield _head(results)
    yield from aligned(rows, left=(0,))
    yield f"  difference  {'   '.join(wins_texts(effect))}"
    if effect.relative is not None and effect.once is not None:
        how = f"({_confidence_text(effect)}{single_look_text(effect)})"
        share = f"{percent(effect.relative.value)}   {range_text(effect.relative)}"
        yield f"  of these    {share}   {how}"
    both = "each with one order of both; clicks on what both would pick count for neither"
    yield f"  checks      {plural(results.complete, 'unit')}, {both}"
    yield from (f"  warning     {warning}" for warning in results.warnings)


def _log_lines(results: Results, log: SiteLog) -> Iterator[str]:
    """Yield the results of an analysis of a site's log as lines of text."""
    unit = log.unit or f"{log.exposure} (the log names none, so true intervals are wider)"
    yield f"{results.run}   assigned by the site; unit: {unit}"
    (metric,) = results.deciding
    yield from _arms_with_rates(metric, units=log.unit is not None)
    for effect in results.effects:
        if effect.guardrail is not None:
            bound = _log_bound_text(effect)
            yield f"  guardrail   {effect.metric}   {bound}   {effect.guardrail}   {effect.judged}"
        elif effect.role == "also":
            outcome = next(
                m.metric.numerator for m in results.metrics if m.metric.name == effect.metric
            )
            shown = (
                log_percents(effect.relative)
                if effect.relative
                else f"too few {total_text(outcome)}"
            )
            yield f"  also        {effect.metric}   {shown}"
        elif effect.absolute is not None:
            relative = f"relative {log_percents(effect.relative)}"
            how = _INFERENCE[results.inference]
            absolute = absolute_text(effect.absolute, percents=metric.percents)
            yield f"  difference   {absolute}      {relative}   {how}"
    yield from (f"  chance      {line}" for line in chance_lines(results))
    if results.split.planned:
        yield f"  {results.split}"
    for line in left_out(results, log):
        yield f"  left out: {line}"
    yield from (f"  warning: {warning}" for warning in results.warnings)


def left_out(results: Results, log: SiteLog) -> list[str]:
    """Return a line of text for each reason for which rows of the log were not counted."""
    lines = [f"{plural(results.twice, 'unit')} in both arms"] if results.twice else []
    lines += [f"{plural(log.unnamed, 'row')} without {log.unit}"] if log.unnamed else []
    return lines + dropped_lines(results)


def dropped_lines(results: Results) -> list[str]:
    """Return a line of text for each rate that leaves units out, with their number in each arm."""
    if results.drop_above is None:
        return []
    return [
        f"units with more than {results.drop_above:,} {total_text(denominator)}: "
        + ", ".join(f"{sums.dropped:,} of {arm}" for arm, sums in metric.arms.items())
        + f" ({metric.metric.name})"
        for metric in results.metrics
        if (denominator := metric.metric.denominator) and metric.metric.per_event
    ]


def _head(results: Results) -> str:
    """Return the first line of a report of results."""
    return f"{results.run}   layer {results.layer}   {'   '.join(head_parts(results))}"


def head_parts(results: Results) -> list[str]:
    """Return the clauses of the first line: the day of the run, the look, what is not counted."""
    planned = results.days
    over = planned is not None and results.day > planned
    days = "" if planned is None else f" (the plan had {planned})" if over else f" of {planned}"
    parts = [f"day {results.day}{days}", look_text(results)]
    if results.open and results.window:
        parts.append(
            f"{plural(results.open, 'unit')} still inside their {plural(results.window, 'day')} "
            "are not counted"
        )
    if results.closed:
        ended_at = f"{results.closed:%Y-%m-%d %H:%M} UTC"
        parts.append(f"the plan ended at {ended_at}: later data are not counted")
    elif results.repeats_last_look:
        parts.append(f"no new units since {results.until:%Y-%m-%d %H:%M} UTC: that look stands")
    elif results.stopped:
        parts.append(f"stopped {results.stopped:%Y-%m-%d %H:%M} UTC")
    return parts


def look_text(results: Results) -> str:
    """Return a clause on which look at the results this is, and how far the plan is."""
    if results.inference == "always":
        return f"look {results.look}, no plan"
    if results.share is None:
        return f"look {results.look}, too few outcomes to size the plan"
    return f"look {results.look}, {100 * results.share:.0f} % of the planned units"


def _arms_with_effects(metric: MetricArms, effects: Sequence[Effect]) -> list[str]:
    """Return the lines of a table of the arms: each rate, and the treatments' differences."""
    denominator = metric.metric.denominator
    below = [total_text(denominator)] if denominator else []
    numerator = total_text(metric.metric.numerator)
    rows = [["", "units", *below, numerator, metric.metric.name, "", "95 %", ""]]
    by_arm = {effect.arm: effect for effect in effects if effect.role == "decides"}
    for name, sums in metric.arms.items():
        effect = by_arm.get(name)
        shown = _comparison_cells(effect) if effect else ["", "", ""]
        rows.append([name, f"{sums.units:,}", *total_cells(metric, name), *shown])
    return aligned(rows, left=(0, len(rows[0]) - 1))


def _arms_with_rates(metric: MetricArms, *, units: bool) -> list[str]:
    """Return the lines of a table of the arms, each with its rate's interval.

    With `units` each line has the arm's number of units, too.
    """
    totals = [total_text(t) for t in (metric.metric.denominator, metric.metric.numerator) if t]
    rows = [["", *(["units"] if units else []), *totals, metric.metric.name, "95 %"]]
    for name, sums in metric.arms.items():
        rate = metric.rates[name]
        interval = "too few"
        if rate is not None and rate.low is not None and rate.high is not None:
            interval = (
                f"{100 * rate.low:.2f} .. {100 * rate.high:.2f}"
                if metric.percents
                else f"{rate.low:,.4g} .. {rate.high:,.4g}"
            )
        count = [f"{sums.units:,}"] if units else []
        rows.append([name, *count, *total_cells(metric, name), interval])
    return aligned(rows, left=(0, len(rows[0]) - 1))


def total_cells(metric: MetricArms, arm: str) -> list[str]:
    """Return the table cells of an arm's totals and its rate.

    The denominator's total comes first if there is one.
    """
    sums = metric.arms[arm]
    below = [amount(sums.total("d"))] if metric.metric.denominator else []
    return [*below, amount(sums.total("y")), value_text(sums.rate, metric)]


def _comparison_cells(effect: Effect) -> list[str]:
    """Return a treatment's cells in a table: difference, interval, and the interval's level."""
    if effect.relative is None:
        return ["too few", "", ""]
    difference = percent(effect.relative.value)
    if effect.relative.low is None and effect.relative.high is None:
        return [difference, "no interval yet", single_look_text(effect)]
    how = f"({_confidence_text(effect)}{single_look_text(effect)})"
    return [difference, range_text(effect.relative), how]


def _confidence_text(effect: Effect) -> str:
    """Return a clause on how to read the interval: for how many looks and at which level."""
    corrected = (
        "" if effect.level >= _CERTAIN else f", corrected to {100 * (1 - effect.level):.1f} %"
    )
    return f"at any look{corrected}; "


def single_look_text(effect: Effect) -> str:
    """Return the narrower interval of a single look as a clause, or "" where there is none.

    It would hold only if nobody had looked before; the interval beside it holds at every look.
    """
    return f"a last look alone would say {range_text(effect.once)}" if effect.once else ""


def _secondary_line(effect: Effect, *, several: bool) -> str:
    """Return the line of text on a guardrail or on a metric that decides nothing.

    With `several` it names the treatment, as there are several.
    """
    label = "guardrail" if effect.role == "guardrail" else "also"
    name = f"{effect.metric} of {effect.arm}" if several else effect.metric
    if effect.relative is None:
        judged = f"   {effect.guardrail}   {effect.judged}" if effect.guardrail else ""
        return f"  {label:<11} {name}   too few{judged}"
    parts = [f"  {label:<11} {name}", percent(effect.relative.value)]
    if effect.guardrail:
        parts += [bound_text(effect), str(effect.guardrail), str(effect.judged)]
    else:
        parts += [range_text(effect.relative), *saved_text(effect), f"q {effect.q:.2f}"]
    return "   ".join(parts)


def saved_text(effect: Effect) -> list[str]:
    """Return a clause, in a list, on how much the covariate reduces the variance.

    The list is empty if it hardly does.
    """
    if effect.saved < 0.005:
        return []
    return [f"variance {-100 * effect.saved:.0f} % by the time before"]


def bound_text(effect: Effect) -> str:
    """Return a guardrail's bound on the side of harm as text, such as `at most +1.2 %`."""
    if effect.bound is None or effect.guardrail is None:
        return "no bound yet"
    return f"at {'most' if effect.guardrail.may == 'rise' else 'least'} {percent(effect.bound)}"


def _log_bound_text(effect: Effect) -> str:
    """Return a guardrail's difference on a log as text, with its bound on the side of harm."""
    relative = effect.relative
    if relative is None or effect.guardrail is None:
        return "too few"
    word, end = (
        ("most", relative.high) if effect.guardrail.may == "rise" else ("least", relative.low)
    )
    return f"{percent(relative.value)}   at {word} {percent(end)}"


def absolute_text(difference: FigureInterval | None, *, percents: bool) -> str:
    """Return a difference as text, with its interval: of shares in percentage points.

    Without `percents` the metric is an amount, and so is the difference.
    """
    if difference is None:
        return "too few"
    value, low, high = (
        "-" if figure is None else f"{100 * figure:+.3f}" if percents else f"{figure:+,.4g}"
        for figure in (difference.value, difference.low, difference.high)
    )
    return f"{value}{' points' if percents else ''}   {low} .. {high}"


def log_percents(difference: FigureInterval | None) -> str:
    """Return a relative difference as text in whole percents, with its interval."""
    if difference is None:
        return "too few"
    value, low, high = (
        "-" if figure is None else f"{100 * figure:+.0f}"
        for figure in (difference.value, difference.low, difference.high)
    )
    return f"{value} %   {low} .. {high} %"


def figure_text(metric: str, outcome: str, relative: FigureInterval | None) -> str:
    """Return the figure of a log's verdict as text: `ctr +12 % (+3 .. +22 %)`.

    `outcome` is the event that the metric counts.
    """
    if relative is None:
        return f"too few {outcome}s"
    value, low, high = (
        "-" if figure is None else f"{100 * figure:+.0f}"
        for figure in (relative.value, relative.low, relative.high)
    )
    return f"{metric} {value} % ({low} .. {high} %)"


def absolute_of_day(effect: DayEffect, *, percents: bool) -> list[str]:
    """Return the absolute difference between two arms on one day as a list of one text.

    The list is empty for an experiment that the gateway ran, of which only the relative difference
    is computed by day. `percents` writes it in percentage points, as of a rate.
    """
    return [absolute_text(effect.absolute, percents=percents)] if effect.absolute else []


def wins_texts(effect: Effect) -> Iterator[str]:
    """Yield text on which variant wins, and by how much: `challenger +0.017 wins a unit`."""
    wins = effect.absolute
    if wins is None or wins.value is None:
        yield "too few that count"
        return
    yield f"{effect.arm} {wins.value:+.3g} wins a unit"
    yield (
        "no interval yet"
        if wins.low is None or wins.high is None
        else f"{wins.low:+.3g} .. {wins.high:+.3g}"
    )


def figure_title(figure: ArmFigure) -> str:
    """Return the title of a bias metric of the arms."""
    if figure.figure == "concentration":
        return figure.figure
    return f"satisfied {figure.group} / {figure.against}"


def arm_texts(figure: ArmFigure) -> Iterator[str]:
    """Yield a bias metric of each treatment as text, such as `concentration +0.06 in treatment`.

    A ratio of two groups names them: `satisfied f / m 0.69 -> 0.74 in treatment`.
    """
    control, *treatments = figure.arms
    for arm in treatments:
        if figure.figure == "concentration":
            rise = figure.differences[arm]
            ends = (
                f" ({rise.low:+.2f} .. {rise.high:+.2f})"
                if rise.low is not None and rise.high is not None
                else ""
            )
            yield f"{figure_title(figure)} {rise.value:+.2f}{ends} in {arm}"
        else:
            in_control, in_treatment = figure.arms[control].value, figure.arms[arm].value
            yield f"{figure_title(figure)} {in_control:.2f} -> {in_treatment:.2f} in {arm}"


def trend_text(trend: Trend) -> str:
    """Return a sentence on whether the effect changes with the days since first exposure."""
    if trend.a_day is None:
        return "too few days to see a trend"
    low, high = trend.a_day.low, trend.a_day.high
    flat = low is not None and high is not None and low <= 0 <= high
    figures = f"{percent(trend.a_day.value)} a day, {range_text(trend.a_day)}"
    if flat:
        return f"no trend ({figures})"
    if not trend.by_unit:
        return f"no verdict: this look took no unit's own drift into account ({figures})"
    return f"the effect changes ({figures})"


def segment_text(segments: Segments) -> str:
    """Return a line of text on the effect by an attribute's values, and whether they differ."""
    values = (
        ", ".join(
            f"{value} {percent(effect.value) if effect else 'too few'}"
            for value, effect in segments.effects.items()
        )
        or "none logged"
    )
    if segments.p is None:
        return f"{segments.attribute} {values}"
    differ = "a difference" if segments.p < _CERTAIN else "no difference shown"
    return f"{segments.attribute} {values}: {differ} (p {segments.p:.2f})"


def verdict_text(results: Results) -> str:
    """Return the verdict on an experiment with its reason, as text."""
    word = results.conclusion.word if results.log else results.headline
    return f"{word}. {why_text(results)}"


def why_text(results: Results) -> str:
    """Return text on the reason for the verdict and on how much of the plan is left."""
    left = (
        f" {100 * (1 - results.share):.0f} % of the plan is left."
        if results.share is not None and results.share < 1
        else ""
    )
    keeps_running = results.conclusion.word == "keep running"
    return f"{results.conclusion.why}{left if keeps_running else ''}"


def total_text(total: Total) -> str:
    """Return the name of a metric's total: `clicks`, or `purchase.amount`."""
    return f"{total.event}.{total.attribute}" if total.attribute else f"{total.event}s"


def amount(total: float) -> str:
    """Return a total as text, with two decimals if it is small and not whole."""
    return f"{total:,.0f}" if abs(total) >= 100 or total == int(total) else f"{total:,.2f}"


def value_text(rate: float, metric: MetricArms) -> str:
    """Return a metric's value as the text of a share or an amount; `-` where nothing was shown."""
    if math.isnan(rate):
        return "-"
    return f"{100 * rate:.3f} %" if metric.percents else f"{rate:,.4g}"


def percent(share: float | None) -> str:
    """Return a share as the text of a signed percentage, `+1.2 %`; `-` where there is none."""
    return "-" if share is None else f"{100 * share:+.1f} %"


def range_text(interval: FigureInterval) -> str:
    """Return an interval's ends as text in percent: `-1.0 .. +3.4 %`."""
    low, high = (
        "-" if end is None else f"{100 * end:+.1f}" for end in (interval.low, interval.high)
    )
    return f"{low} .. {high} %"
