"""Write a learning curve as text. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...project.models.gate_figures import is_loss
from ...project.specs.description import ROW
from ...reports.columns import aligned
from .figure_text import digits_of, interval, people, signed

if TYPE_CHECKING:
    from ..evaluation.evaluation import CurvePoint, LearningCurve
    from ..evaluation.statistics import Estimate


def curve_lines(curve: LearningCurve) -> list[str]:
    """Return a learning curve as lines of text: a point a line, and what the last step says."""
    rows = [
        [f"{point.percent} %", *size_cells(curve, point, named=True), *cells]
        for point, cells in zip(curve.points, figure_cells(curve), strict=True)
    ]
    head = (
        f"{metric_name(curve)} by the share of {drawn_units(curve)} trained on, tested on the same "
        f"{curve.tested:,} rows"
    )
    left = (len(rows[0]) - 2, len(rows[0]) - 1)
    return [head, *aligned(rows, left=left), last_step(curve)]


def last_step(curve: LearningCurve) -> str:
    """Return a sentence on what the last units added to a learning curve's metric."""
    last = curve.points[-1]
    gain, start = last.gains.get(curve.metric), last.gained_from
    if gain is None or start is None:
        return "No smaller share was measured, so that nothing is known of what more would bring."
    digits = digits_of(curve.metric, gain)
    fewer = next(point.units for point in curve.points if point.percent == start)
    change = f"{signed(gain.value, digits)} ({interval(gain, digits, sign=True)})"
    step = (
        f"The last {last.units - fewer:,} of {last.units:,} {drawn_units(curve)} changed "
        f"{metric_name(curve)} by {change}"
    )
    low, high = _by_quality(curve, gain)
    if low == high == 0:
        return f"{step}: both models order the rows alike."
    if low > 0:
        return f"{step}: the model still learnt of them, so that more may help; how much is open."
    if high < 0:
        return f"{step}: the model got worse by them; more rows alone are no remedy."
    most = f"{high:.{digits}f}"
    return f"{step}: no gain is shown, and if there is one it is hardly above {most}."


def _by_quality(curve: LearningCurve, gain: Estimate) -> tuple[float, float]:
    """Return a gain's interval as (low, high), where more is better.

    `gain` is what more training data add to the curve's metric. Its sign is changed if the metric
    is a loss.
    """
    return (-gain.high, -gain.low) if is_loss(curve.metric) else (gain.low, gain.high)


def figure_cells(curve: LearningCurve) -> list[list[str]]:
    """Return for each point of a curve the cells of its metric and gain, or why there are none."""
    cells = []
    for point in curve.points:
        figure, gain = point.figures.get(curve.metric), point.gains.get(curve.metric)
        if figure is None:
            cells.append([f"not measured: {point.why_not or 'too few units'}", ""])
            continue
        digits = digits_of(curve.metric, figure)
        value = f"{figure.value:.{digits}f} ({interval(figure, digits)})"
        gained = (
            f"{signed(gain.value, digits)} ({interval(gain, digits, sign=True)})" if gain else ""
        )
        cells.append([value, gained])
    return cells


def size_cells(curve: LearningCurve, point: CurvePoint, *, named: bool = False) -> list[str]:
    """Return a point's cells: how many units and rows it trained on.

    There is one cell where each row is a unit. With `named` the cells say what they count.
    """
    counts = (
        {"rows": point.rows}
        if draws_rows(curve)
        else {drawn_units(curve): point.units, "rows": point.rows}
    )
    return [f"{count:,}{f' {noun}' if named else ''}" for noun, count in counts.items()]


def draws_rows(curve: LearningCurve) -> bool:
    """Return whether a learning curve's shares draw single rows, not units with all their rows."""
    return curve.unit in (None, ROW)


def drawn_units(curve: LearningCurve) -> str:
    """Return what a share of the training set is a share of, as text: `users`, or rows."""
    return "rows" if draws_rows(curve) else people(curve.unit or "")


def metric_name(curve: LearningCurve) -> str:
    """Return the curve's metric as text: `ndcg@10`, `log loss`."""
    return curve.metric.replace("_", " ")
