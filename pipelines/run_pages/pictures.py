"""Draw the pictures of runs' forward predictions, by the kind of their objective."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import numpy as np
import pyarrow as pa

from ...reports import page, plots
from ..evaluation import regression
from ..evaluation.metrics import clusters, is_number
from .figures import ChartedRun, calibration_chart, daily_chart, roc_chart
from .records import Run

_POINTS = 200  # of a curve that is 380 points wide


class Label(msgspec.Struct, frozen=True, kw_only=True):
    """The words for what a run predicts."""

    outcome: str  # the event: `stay`
    amount: str  # what a number is, with its unit: `dwell`


def label_of(run: Run) -> Label:
    """Return the words for what a run predicts, for titles and axes of its charts."""
    return Label(outcome=run.data.outcome if run.data else "positive", amount=run.objective)


def pictures(drawn: Sequence[ChartedRun], label: Label) -> list[str]:
    """Return the charts of runs' forward predictions as HTML.

    For a 0-or-1 outcome they are ROC and calibration; for a number, how much of its sum the highest
    predicted rows hold, and its mean by tenths of the predictions; for both, the ranking by day.
    """
    charts = (
        (captured_chart(drawn, label.amount), decile_chart(drawn, label.amount))
        if is_number(drawn[0].predictions)
        else (roc_chart(drawn, label.outcome), calibration_chart(drawn, label.outcome))
    )
    return [page.charts(*charts), daily_chart(drawn, label.outcome)]


def captured(predictions: pa.Table) -> tuple[list[float], list[float]]:
    """Return how much of the outcome's sum the highest predicted rows hold: two lists of shares.

    The first is the share of rows, the second that of the sum. Rows of equal prediction hold their
    mean. Outcomes that sum to nothing give no curve.
    """
    scores, outcomes = predictions["prediction"].to_numpy(), predictions["outcome"].to_numpy()
    total = float(outcomes.sum())
    if total <= 0:
        return [], []
    _, code = np.unique(-scores, return_inverse=True)
    rows = np.append(0.0, np.cumsum(np.bincount(code))) / len(scores)
    sum_shares = np.append(0.0, np.cumsum(np.bincount(code, weights=outcomes))) / total
    keep = np.unique(np.linspace(0, len(rows) - 1, _POINTS).astype(int))
    return rows[keep].tolist(), sum_shares[keep].tolist()


def captured_chart(drawn: Sequence[ChartedRun], amount: str) -> str:
    """Return the chart of how much of the outcome's sum the highest predicted rows hold.

    `amount` names the outcome.
    """
    lines = [plots.Series(name="chance", style="quiet", x=[0, 1], y=[0, 1])]
    shares = (0.05, 0.1, 0.2, 0.5)
    rows = []
    for run in drawn:
        x, y = captured(run.predictions)
        if x:
            lines.append(plots.Series(name=run.name, style=run.style, x=x, y=y))
            rows.append((run.name, *(f"{float(np.interp(share, x, y)):.3f}" for share in shares)))
    head = (f"{amount} held, by the share of rows predicted highest", *map(str, shares))
    return plots.chart(
        f"Share of all {amount} in the rows predicted highest",
        plots.axis("rows, the highest predicted first, share", 0, 1),
        plots.axis(f"{amount} that they hold, share", 0, 1),
        lines,
        behind=page.table(head, rows, numbers=True),
    )


def decile_chart(drawn: Sequence[ChartedRun], amount: str) -> str:
    """Return the chart of the mean outcome by tenths of the predictions, with its table.

    `amount` names the outcome.
    """
    tenths = [(run, _deciles(run.predictions)) for run in drawn]
    every = [part for _, parts in tenths for part in parts]
    tops = [part.interval.high if part.interval else part.outcome for part in every]
    lows = [part.interval.low if part.interval else part.outcome for part in every]
    means = [part.predicted for part in every]
    low = min(0.0, *lows, *means)
    high = max(0.0, *tops, *means) or 1.0
    widest = max(0.0, *means) * 1.15 or 1.0
    narrow = min(0.0, *means)
    series = [plots.Series(name="perfect", style="quiet", x=[narrow, widest], y=[narrow, widest])]
    rows = []
    for run, parts in tenths:
        bounds = [
            (part.interval.low, part.interval.high)
            if part.interval
            else (part.outcome, part.outcome)
            for part in parts
        ]
        series.append(
            plots.Series(
                name=run.name,
                style=run.style,
                kind="dots",
                x=[part.predicted for part in parts],
                y=[part.outcome for part in parts],
                low=[bound[0] for bound in bounds],
                high=[bound[1] for bound in bounds],
            )
        )
        for part in parts:
            between = (
                (f"{part.interval.low:.4g}", f"{part.interval.high:.4g}")
                if part.interval
                else ("too few units", "")
            )
            rows.append(
                (
                    run.name,
                    f"{part.rows:,}",
                    f"{part.predicted:.4g}",
                    f"{part.outcome:.4g}",
                    *between,
                )
            )
    head = ("", "rows", f"predicted {amount}", f"mean {amount}", "from", "to")
    return plots.chart(
        "Calibration: rows in tenths by prediction, 95 %",
        plots.axis(f"predicted {amount}, mean", narrow, widest),
        plots.axis(f"{amount}, mean", low, max(high, widest)),
        series,
        behind=page.table(head, rows, numbers=True),
    )


def _deciles(predictions: pa.Table) -> tuple[regression.Decile, ...]:
    """Return the mean outcome of each tenth of the predictions."""
    among = clusters(predictions)
    return regression.deciles(
        predictions["outcome"].to_numpy(),
        predictions["prediction"].to_numpy(),
        among.unit,
        among.units,
    )
