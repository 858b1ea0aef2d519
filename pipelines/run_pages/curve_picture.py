"""Draw a learning curve as a section of a run's page. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...reports import page, plots
from .curve_text import (
    drawn_units,
    draws_rows,
    figure_cells,
    last_step,
    metric_name,
    size_cells,
)
from .figure_text import digits_of

if TYPE_CHECKING:
    from ..evaluation.evaluation import CurvePoint, LearningCurve
    from ..evaluation.statistics import Estimate


def curve_section(curve: LearningCurve) -> str:
    """Return the HTML section on a learning curve: a picture, its table, and the last step."""
    rows = [
        [f"{point.percent} %", *size_cells(curve, point), *cells]
        for point, cells in zip(curve.points, figure_cells(curve), strict=True)
    ]
    sizes = [drawn_units(curve)] if draws_rows(curve) else [drawn_units(curve), "rows"]
    head = ["share", *sizes, f"{metric_name(curve)}, 95 %", "gain over the share before"]
    table = page.table(head, rows, wordy=len(head) - 2)
    measured = [(point, point.figures[curve.metric]) for point in _measured(curve)]
    drawn = _chart(curve, measured, table) if measured else table
    notes = (
        f"Each share is trained as the run is and tested on the same {curve.tested:,} rows; "
        "shares are nested. Gains are paired by row, and surer than the whiskers of two shares "
        f"look. Intervals draw who was tested: which {drawn_units(curve)} were trained on is one "
        "draw of many. Features know the whole history at every share."
    )
    return page.section(
        "Learning curve", drawn, page.words(last_step(curve)), page.words(notes, "soft")
    )


def _measured(curve: LearningCurve) -> Sequence[CurvePoint]:
    """Return the points of a learning curve at which its metric could be measured."""
    return [point for point in curve.points if curve.metric in point.figures]


def _chart(
    curve: LearningCurve, measured: Sequence[tuple[CurvePoint, Estimate]], table: str
) -> str:
    """Return the picture of a learning curve as HTML, with its table behind.

    `measured` are the points with their metric; `table` is HTML.
    """
    shares = [float(point.percent) for point, _ in measured]
    values = [figure.value for _, figure in measured]
    lows, highs = [figure.low for _, figure in measured], [figure.high for _, figure in measured]
    room = max(0.1 * (max(highs) - min(lows)), 10.0 ** -digits_of(curve.metric, measured[-1][1]))
    across = plots.Axis(
        label=f"% of {drawn_units(curve)} trained on",
        low=0,
        high=105,
        ticks=[(point.percent, str(point.percent)) for point in curve.points],
    )
    up = plots.axis(metric_name(curve), min(lows) - room, max(highs) + room)
    dots = plots.Series(name="", style="a", x=shares, y=values, low=lows, high=highs, kind="dots")
    line = plots.Series(name="", style="quiet", x=shares, y=values)
    title = f"{metric_name(curve)} by the share of {drawn_units(curve)} trained on, 95 %"
    return plots.chart(title, across, up, [line, dots], behind=table, wide=True)
