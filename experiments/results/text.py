"""A run's results as the console shows them. Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from .log_text import aligned, plural

if TYPE_CHECKING:
    from ...project.specs.experiments import Total
    from .results import ArmFigure, Effect, MetricArms, Range, RunResults, Segments, Trend

_CERTAIN = 0.05


def text(seen: RunResults) -> str:
    return "\n".join(_lines(seen))


def _lines(seen: RunResults) -> Iterator[str]:
    yield _head(seen)
    if seen.interleaved:
        yield from _wins(seen)
        return
    for metric in (metric for metric in seen.metrics if metric.role == "decides"):
        yield from _table(
            metric, [effect for effect in seen.effects if effect.metric == metric.metric.name]
        )
    for effect in seen.effects:
        if effect.role != "decides":
            yield _beside(effect, several=len(seen.arms) > 2)
    yield f"  checks      {seen.split}   twice assigned {seen.twice:,}"
    if told := [text for figure in seen.monitors for text in arm_texts(figure)]:
        yield f"  monitors    {', '.join(told)}"
    for trend in seen.trends:
        yield f"  since first {_trend(trend, several=len(seen.arms) > 2)}"
    for segments in seen.segments:
        yield f"  segments    {segment_text(segments)}"
    for warning in seen.warnings:
        yield f"  warning     {warning}"
    yield f"verdict   {verdict_text(seen)}"


def _wins(seen: RunResults) -> Iterator[str]:
    """Of two orders that were made one."""
    (metric,), (effect,) = seen.metrics, seen.effects
    rows = [["", total_text(metric.metric.numerator), "wins a unit"]]
    rows += [
        [name, amount(arm.total("y")), value_text(arm.rate, metric)]
        for name, arm in metric.arms.items()
    ]
    yield from aligned(rows, left=(0,))
    yield f"  difference  {'   '.join(wins_texts(effect))}"
    if effect.relative is not None and effect.once is not None:
        yield f"  of these    {percent(effect.relative.value)}   {range_text(effect.relative)}   ({_how(effect)}{once_text(effect)})"
    yield f"  checks      {plural(seen.complete, 'unit')}, each with one order of both; clicks on what both would pick count for neither"
    yield from (f"  warning     {warning}" for warning in seen.warnings)
    yield f"verdict   {verdict_text(seen)}"


def wins_texts(effect: Effect) -> Iterator[str]:
    """`challenger +0.017 wins a unit`, `+0.004 .. +0.031`."""
    of = effect.absolute
    if of is None or of.value is None:
        yield "too few that count"
        return
    yield f"{effect.arm} {of.value:+.3g} wins a unit"
    yield (
        "no interval yet"
        if of.low is None or of.high is None
        else f"{of.low:+.3g} .. {of.high:+.3g}"
    )


def figure_title(figure: ArmFigure) -> str:
    return (
        figure.figure
        if figure.figure == "concentration"
        else f"satisfied {figure.group} / {figure.against}"
    )


def arm_texts(figure: ArmFigure) -> Iterator[str]:
    """`concentration +0.06 in treatment`, `satisfied f / m 0.69 -> 0.74 in treatment`."""
    control, *treatments = figure.arms
    for arm in treatments:
        if figure.figure == "concentration":
            of = figure.differences[arm]
            ends = (
                f" ({of.low:+.2f} .. {of.high:+.2f})"
                if of.low is not None and of.high is not None
                else ""
            )
            yield f"{figure_title(figure)} {of.value:+.2f}{ends} in {arm}"
        else:
            before, after = figure.arms[control].value, figure.arms[arm].value
            yield f"{figure_title(figure)} {before:.2f} -> {after:.2f} in {arm}"


def _head(seen: RunResults) -> str:
    return f"{seen.run}   layer {seen.layer}   {'   '.join(head_parts(seen))}"


def head_parts(seen: RunResults) -> list[str]:
    """Which day and look it is, and what is not counted."""
    parts = [f"day {seen.day}" + (f" of {seen.days}" if seen.days else ""), look_text(seen)]
    if seen.open and seen.window:
        parts.append(
            f"{plural(seen.open, 'unit')} still inside their {plural(seen.window, 'day')} "
            "are not counted"
        )
    if seen.closed:
        parts.append(
            f"the plan ended at {seen.closed:%Y-%m-%d %H:%M} UTC: later data are not counted"
        )
    elif seen.plan_waits:
        parts.append(f"no new units since {seen.until:%Y-%m-%d %H:%M} UTC: that look stands")
    elif seen.stopped:
        parts.append(f"stopped {seen.stopped:%Y-%m-%d %H:%M} UTC")
    return parts


def look_text(seen: RunResults) -> str:
    if seen.inference == "always":
        return f"look {seen.look}, no plan"
    if seen.share is None:
        return f"look {seen.look}, too few outcomes to size the plan"
    return f"look {seen.look}, {100 * seen.share:.0f} % of the planned units"


def _table(metric: MetricArms, effects: Sequence[Effect]) -> list[str]:
    of = metric.metric
    below = [total_text(of.denominator)] if of.denominator else []
    rows = [["", "units", *below, total_text(of.numerator), of.name, "", "95 %", ""]]
    by_arm = {effect.arm: effect for effect in effects if effect.role == "decides"}
    for name, arm in metric.arms.items():
        effect = by_arm.get(name)
        totals = [amount(arm.total("d"))] if of.denominator else []
        shown = _comparison_text(effect) if effect else ["", "", ""]
        rows.append(
            [
                name,
                f"{arm.units:,}",
                *totals,
                amount(arm.total("y")),
                value_text(arm.rate, metric),
                *shown,
            ]
        )
    return aligned(rows, left=(0, len(rows[0]) - 1))


def _comparison_text(effect: Effect) -> list[str]:
    if effect.relative is None:
        return ["too few", "", ""]
    if effect.relative.low is None and effect.relative.high is None:
        return [percent(effect.relative.value), "no interval yet", once_text(effect)]
    return [
        percent(effect.relative.value),
        range_text(effect.relative),
        f"({_how(effect)}{once_text(effect)})",
    ]


def _how(effect: Effect) -> str:
    corrected = (
        "" if effect.level >= _CERTAIN else f", corrected to {100 * (1 - effect.level):.1f} %"
    )
    return f"at any look{corrected}; "


def once_text(effect: Effect) -> str:
    return f"a last look alone would say {range_text(effect.once)}" if effect.once else ""


def _beside(effect: Effect, *, several: bool) -> str:
    label = "guardrail" if effect.role == "guardrail" else "also"
    name = f"{effect.metric} of {effect.arm}" if several else effect.metric
    if effect.relative is None:
        return f"  {label:<11} {name}   too few" + (
            f"   {effect.guardrail}   {effect.judged}" if effect.guardrail else ""
        )
    parts = [f"  {label:<11} {name}", percent(effect.relative.value)]
    if effect.guardrail:
        parts += [bound_text(effect), str(effect.guardrail), str(effect.judged)]
    else:
        parts += [range_text(effect.relative), *saved_text(effect), f"q {effect.q:.2f}"]
    return "   ".join(parts)


def saved_text(effect: Effect) -> list[str]:
    return (
        [f"variance {-100 * effect.saved:.0f} % by the time before"]
        if effect.saved >= 0.005
        else []
    )


def bound_text(effect: Effect) -> str:
    if effect.bound is None or effect.guardrail is None:
        return "no bound yet"
    return f"at {'most' if effect.guardrail.may == 'rise' else 'least'} {percent(effect.bound)}"


def _trend(trend: Trend, *, several: bool) -> str:
    return (f"{trend.arm}: " if several else "") + trend_text(trend)


def trend_text(trend: Trend) -> str:
    if trend.a_day is None:
        return "too few days to see a trend"
    low, high = trend.a_day.low, trend.a_day.high
    flat = low is not None and high is not None and low <= 0 <= high
    return (
        f"{'no trend' if flat else 'the effect changes'} ({percent(trend.a_day.value)} a day, "
        f"{range_text(trend.a_day)})"
    )


def segment_text(of: Segments) -> str:
    values = (
        ", ".join(
            f"{value} {percent(effect.value) if effect else 'too few'}"
            for value, effect in of.effects.items()
        )
        or "none logged"
    )
    if of.p is None:
        return f"{of.attribute} {values}"
    return (
        f"{of.attribute} {values}: "
        f"{'a difference' if of.p < _CERTAIN else 'no difference shown'} (p {of.p:.2f})"
    )


def verdict_text(seen: RunResults) -> str:
    return f"{seen.headline}. {why_text(seen)}"


def why_text(seen: RunResults) -> str:
    left = (
        f" {100 * (1 - seen.share):.0f} % of the plan is left."
        if seen.share is not None and seen.share < 1
        else ""
    )
    return f"{seen.conclusion.why}{left if seen.conclusion.word == 'keep running' else ''}"


def total_text(total: Total) -> str:
    return f"{total.event}.{total.attribute}" if total.attribute else f"{total.event}s"


def amount(total: float) -> str:
    return f"{total:,.0f}" if abs(total) >= 100 or total == int(total) else f"{total:,.2f}"


def value_text(rate: float, of: MetricArms) -> str:
    """Of nothing there is no rate."""
    if math.isnan(rate):
        return "-"
    return f"{100 * rate:.3f} %" if of.percents else f"{rate:,.4g}"


def percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:+.1f} %"


def range_text(of: Range) -> str:
    low, high = ("-" if end is None else f"{100 * end:+.1f}" for end in (of.low, of.high))
    return f"{low} .. {high} %"
