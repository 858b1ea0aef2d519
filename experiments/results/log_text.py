"""An experiment's results as the console shows them. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..statistics.ratio import Difference
    from .log_results import Metric, Results

_HOW = {"fixed": "fixed horizon: the log is closed", "always": "at any look: the log grows"}


def text(seen: Results) -> str:
    return "\n".join(_lines(seen))


def _lines(seen: Results) -> Iterator[str]:
    whose = (
        f"unit: {seen.unit}"
        if seen.unit
        else f"unit: {seen.exposure} (the log names none, so true intervals are wider)"
    )
    yield f"{seen.experiment}   assigned by the site; {whose}"
    yield from _arms(seen)
    if seen.metric.difference is not None:
        yield f"  difference   {points(seen.metric.difference)}      relative {percents(seen.metric.difference)}   {_HOW[seen.inference]}"
    for guardrail in seen.guardrails:
        yield f"  guardrail   {guardrail.name}   {_harmful_side(guardrail)}   {guardrail.guardrail}   {guardrail.judged}"
    for told in seen.also:
        yield f"  also        {told.name}   {_too_few(told) or percents(told.difference)}"
    if seen.split is not None:
        yield f"  {seen.split}"
    if seen.twice:
        yield f"  left out: {plural(seen.twice, 'unit')} in both arms"
    if seen.unnamed:
        yield f"  left out: {plural(seen.unnamed, 'row')} without {seen.unit}"
    yield f"verdict   {seen.verdict}"


def _arms(seen: Results) -> list[str]:
    units = seen.unit is not None
    rows = [
        [
            "",
            *(["units"] if units else []),
            f"{seen.exposure}s",
            f"{seen.metric.outcome}s",
            seen.metric.name,
            "95 %",
        ]
    ]
    for name, arm in seen.metric.arms.items():
        interval = seen.metric.rates[name]
        shown = (
            "too few"
            if interval is None
            else f"{100 * interval.low:.2f} .. {100 * interval.high:.2f}"
        )
        rows.append(
            [
                name,
                *([f"{arm.units:,}"] if units else []),
                f"{arm.d:,}",
                f"{arm.y:,}",
                f"{100 * arm.rate:.3f} %",
                shown,
            ]
        )
    return aligned(rows, left=(0, len(rows[0]) - 1))


def aligned(rows: Sequence[Sequence[str]], *, left: Sequence[int]) -> list[str]:
    """Columns of one width each, those at `left` from the left."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  "
        + "   ".join(
            cell.ljust(w) if at in left else cell.rjust(w)
            for at, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def points(difference: Difference) -> str:
    of = difference.absolute
    return f"{100 * of.value:+.3f} points   {100 * of.low:+.3f} .. {100 * of.high:+.3f}"


def percents(difference: Difference | None) -> str:
    if difference is None:
        return "too few"
    of = difference.relative
    return f"{100 * of.value:+.0f} %   {100 * of.low:+.0f} .. {100 * of.high:+.0f} %"


def _harmful_side(metric: Metric) -> str:
    """The side of the interval on which the harm would be."""
    if metric.difference is None or metric.guardrail is None:
        return "too few"
    of = metric.difference.relative
    side = (
        f"at most {100 * of.high:+.1f} %"
        if metric.guardrail.may == "rise"
        else f"at least {100 * of.low:+.1f} %"
    )
    return f"{100 * of.value:+.1f} %   {side}"


def _too_few(metric: Metric) -> str:
    return f"too few {metric.outcome}s" if metric.difference is None else ""


def plural(count: int, what: str) -> str:
    return f"{count:,} {what}{'s' * (count != 1)}"
