"""Write a learning curve as text and as a section of a run's page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...project.specs.description import ROW
from ...reports import page, plots
from ...reports.columns import aligned
from .figure_text import interval, people, signed

if TYPE_CHECKING:
    from ..evaluation.learning_curve import CurvePoint, LearningCurve
    from ..evaluation.statistics import Estimate

_LOWER_IS_BETTER = "log_loss"


def curve_lines(curve: LearningCurve) -> list[str]:
    """Return a learning curve as lines of text: a point a line, and what the last step says."""
    rows = [
        [f"{point.percent} %", *_sizes(curve, point, named=True), *cells]
        for point, cells in zip(curve.points, _figure_cells(curve), strict=True)
    ]
    head = (
        f"{_name(curve)} by the share of {_drawn(curve)} trained on, tested on the same "
        f"{curve.tested:,} rows"
    )
    left = (len(rows[0]) - 2, len(rows[0]) - 1)
    return [head, *aligned(rows, left=left), last_step(curve)]


def curve_section(curve: LearningCurve) -> str:
    """Return the HTML section on a learning curve: a picture, its table, and the last step."""
    rows = [
        [f"{point.percent} %", *_sizes(curve, point), *cells]
        for point, cells in zip(curve.points, _figure_cells(curve), strict=True)
    ]
    sizes = [_drawn(curve)] if _draws_rows(curve) else [_drawn(curve), "rows"]
    head = ["share", *sizes, f"{_name(curve)}, 95 %", "gain over the share before"]
    table = page.table(head, rows, wordy=len(head) - 2)
    measured = [(point, point.figures[curve.metric]) for point in _measured(curve)]
    drawn = _chart(curve, measured, table) if measured else table
    notes = (
        f"Each share is trained as the run is and tested on the same {curve.tested:,} rows; "
        f"shares are nested. Intervals draw who was tested: which {_drawn(curve)} were trained on "
        "is one draw of many. Features know the whole history at every share."
    )
    return page.section(
        "Learning curve", drawn, page.words(last_step(curve)), page.words(notes, "soft")
    )


def last_step(curve: LearningCurve) -> str:
    """Return a sentence on what the last units brought, which is all that is known of more."""
    last = curve.points[-1]
    gain, start = last.gains.get(curve.metric), last.gained_from
    if gain is None or start is None:
        return "No smaller share was measured, so that nothing is known of what more would bring."
    digits = _digits(curve)
    fewer = next(point.units for point in curve.points if point.percent == start)
    step = (
        f"The last {last.units - fewer:,} of {last.units:,} {_drawn(curve)} changed "
        f"{_name(curve)} by {signed(gain.value, digits)} ({interval(gain, digits, sign=True)})"
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
    """Return a gain's interval as (low, high) in quality, where more is better."""
    lower = curve.metric == _LOWER_IS_BETTER
    return (-gain.high, -gain.low) if lower else (gain.low, gain.high)


def _figure_cells(curve: LearningCurve) -> list[list[str]]:
    """Return each point's cells of its figure and of its gain, or why there is none."""
    digits = _digits(curve)
    cells = []
    for point in curve.points:
        figure, gain = point.figures.get(curve.metric), point.gains.get(curve.metric)
        if figure is None:
            cells.append([f"not measured: {point.why_not or 'too few units'}", ""])
            continue
        value = f"{figure.value:.{digits}f} ({interval(figure, digits)})"
        gained = (
            f"{signed(gain.value, digits)} ({interval(gain, digits, sign=True)})" if gain else ""
        )
        cells.append([value, gained])
    return cells


def _measured(curve: LearningCurve) -> Sequence[CurvePoint]:
    """Return the points that have the curve's metric."""
    return [point for point in curve.points if curve.metric in point.figures]


def _chart(
    curve: LearningCurve, measured: Sequence[tuple[CurvePoint, Estimate]], table: str
) -> str:
    """Return the picture of a learning curve as HTML, with its table behind."""
    shares = [float(point.percent) for point, _ in measured]
    values = [figure.value for _, figure in measured]
    lows, highs = [figure.low for _, figure in measured], [figure.high for _, figure in measured]
    room = max(0.1 * (max(highs) - min(lows)), 10.0 ** -_digits(curve))
    across = plots.Axis(
        label=f"% of {_drawn(curve)} trained on",
        low=0,
        high=105,
        ticks=[(point.percent, str(point.percent)) for point in curve.points],
    )
    up = plots.axis(_name(curve), min(lows) - room, max(highs) + room)
    dots = plots.Series(name="", style="a", x=shares, y=values, low=lows, high=highs, kind="dots")
    line = plots.Series(name="", style="quiet", x=shares, y=values)
    title = f"{_name(curve)} by the share of {_drawn(curve)} trained on, 95 %"
    return plots.chart(title, across, up, [line, dots], behind=table, wide=True)


def _sizes(curve: LearningCurve, point: CurvePoint, *, named: bool = False) -> list[str]:
    """Return the cells of a share's units and rows; one cell where each row is a unit."""
    counts = (
        {"rows": point.rows}
        if _draws_rows(curve)
        else {_drawn(curve): point.units, "rows": point.rows}
    )
    return [f"{count:,}{f' {noun}' if named else ''}" for noun, count in counts.items()]


def _draws_rows(curve: LearningCurve) -> bool:
    """Return whether shares draw rows, as each is a unit or nobody says whose they are."""
    return curve.unit in (None, ROW)


def _drawn(curve: LearningCurve) -> str:
    """Return what shares draw as text: `users`, or rows."""
    return "rows" if _draws_rows(curve) else people(curve.unit or "")


def _name(curve: LearningCurve) -> str:
    """Return the curve's metric as text: `ndcg@10`, `log loss`."""
    return curve.metric.replace("_", " ")


def _digits(curve: LearningCurve) -> int:
    """Return how many decimal digits the curve's metric is shown with."""
    return 5 if curve.metric == _LOWER_IS_BETTER else 3
