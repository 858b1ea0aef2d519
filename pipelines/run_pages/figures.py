"""Compute and draw charts of forward predictions: calibration, ROC within days, figures by day.

The predictions are of forward_evaluation.SCHEMA.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date, timedelta

import msgspec
import numpy as np
import pyarrow as pa

from ...reports import page, plots
from ..evaluation import ranking, regression, units
from ..evaluation.metrics import chances, clusters, day_of, is_number
from ..evaluation.statistics import poisson_interval

_BINS = 5  # few positives make few bins


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of similar prediction: what was expected of them and what came, in positives per row."""

    expected: float
    observed: float
    low: float  # 95 %: units drawn; exact Poisson where the log names none, or for too few
    high: float
    rows: int


class ChartedRun(msgspec.Struct, frozen=True, kw_only=True):
    """One run's predictions under its name on the chart."""

    name: str
    style: plots.Style
    predictions: pa.Table


def calibration_bins(predictions: pa.Table, bins: int = _BINS) -> tuple[Bin, ...]:
    """Return the points of a calibration plot: bins of about equally many rows by prediction.

    Equal predictions stay together.
    """
    scores, outcomes = predictions["prediction"].to_numpy(), predictions["outcome"].to_numpy()
    among = clusters(predictions)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, scores, side="right")
    parts = []
    for number in np.unique(where):
        inside = where == number
        rows, positives = int(inside.sum()), int(outcomes[inside].sum())
        low, high = (bound / rows for bound in poisson_interval(positives))
        if among.dependent and positives:
            rate = units.totals(outcomes[inside], 1.0, among.unit[inside], among.units)
            drawn = units.estimates({"rate": rate}).get("rate")
            low, high = (drawn.low, drawn.high) if drawn else (low, high)
        parts.append(
            Bin(
                expected=float(scores[inside].mean()),
                observed=positives / rows,
                low=low,
                high=high,
                rows=rows,
            )
        )
    return tuple(parts)


def roc(predictions: pa.Table) -> tuple[list[float], list[float]]:
    """Return the ROC curve within days: lists of false and true positive rates.

    A score is replaced by its rank among its own day's negatives.
    """
    scores, outcomes, days = (
        predictions["prediction"].to_numpy(),
        predictions["outcome"].to_numpy(),
        day_of(predictions),
    )
    ranks = np.empty(len(scores))
    for day in np.unique(days):
        inside = days == day
        misses = np.sort(scores[inside & (outcomes == 0)])
        if len(misses):
            between = np.searchsorted(misses, scores[inside], "left") + np.searchsorted(
                misses, scores[inside], "right"
            )
            ranks[inside] = between / (2 * len(misses))
        else:
            ranks[inside] = 0.5
    levels = np.unique(ranks)[::-1]
    level_numbers = len(levels) - 1 - np.searchsorted(levels[::-1], ranks)
    hits = np.cumsum(np.bincount(level_numbers, weights=outcomes == 1, minlength=len(levels)))
    misses_so_far = np.cumsum(
        np.bincount(level_numbers, weights=outcomes == 0, minlength=len(levels))
    )
    keep = np.unique(
        np.linspace(0, len(levels) - 1, 400).astype(int)
    )  # a curve of 380 points' width needs no more
    across = [0.0, *(misses_so_far[keep] / max(misses_so_far[-1], 1)).tolist()]
    return across, [0.0, *(hits[keep] / max(hits[-1], 1)).tolist()]


def roc_chart(drawn: Sequence[ChartedRun], outcome: str) -> str:
    """Return the chart of runs' ROC curves as SVG in HTML, with a table of points."""
    lines = [plots.Series(name="chance", style="quiet", x=[0, 1], y=[0, 1])]
    shares = (0.05, 0.1, 0.2, 0.5)
    rows = []
    for run in drawn:
        x, y = roc(run.predictions)
        lines.append(plots.Series(name=run.name, style=run.style, x=x, y=y))
        rows.append((run.name, *(f"{float(np.interp(share, x, y)):.3f}" for share in shares)))
    across = plots.axis(f"rows without a {outcome} ranked as high, share", 0, 1)
    behind = page.table(
        (f"{outcome}s found, at a share of rows without one of", *map(str, shares)),
        rows,
        numbers=True,
    )
    return plots.chart(
        "ROC within days",
        across,
        plots.axis(f"{outcome}s found, share", 0, 1),
        lines,
        behind=behind,
    )


def calibration_chart(drawn: Sequence[ChartedRun], outcome: str) -> str:
    """Return the calibration chart of runs as HTML; empty if no predictions are rates."""
    tables = [
        (run, calibration_bins(run.predictions))
        for run in drawn
        if chances(run.predictions["prediction"].to_numpy())
    ]
    if not tables:
        return ""
    top = 100 * max(max(part.high, part.expected) for _, bins in tables for part in bins)
    widest = 100 * max(part.expected for _, bins in tables for part in bins) * 1.15
    series = [plots.Series(name="perfect", style="quiet", x=[0, widest], y=[0, widest])]
    rows = []
    for run, bins in tables:
        observed, low, high = (
            [100 * getattr(part, side) for part in bins] for side in ("observed", "low", "high")
        )
        expected = [100 * part.expected for part in bins]
        series.append(
            plots.Series(
                name=run.name,
                style=run.style,
                kind="dots",
                x=expected,
                y=observed,
                low=low,
                high=high,
            )
        )
        rows += [
            (run.name, f"{part.rows:,}", *(f"{value:.3g}" for value in values))
            for part, *values in zip(bins, expected, observed, low, high, strict=True)
        ]
    title = "Calibration: rows in fifths by prediction, 95 %"
    behind = page.table(("", "rows", "expected %", "observed %", "from", "to"), rows, numbers=True)
    ups = plots.axis(f"observed {outcome}s, %", 0, top)
    return plots.chart(
        title, plots.axis(f"expected {outcome}s, %", 0, widest), ups, series, behind=behind
    )


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The figure of a stretch of time, with the half-width of its 95 % interval.

    It is AUC within days, or of a number Spearman's correlation.
    """

    start: date
    value: float
    margin: float
    rows: int
    positives: int


_POINTS = 31  # of the chart by time: more could not be told apart


def daily_chart(drawn: Sequence[ChartedRun], outcome: str) -> str:
    """Return the chart of AUC by test day as HTML, with whiskers of 1.96 standard errors.

    It is that of Spearman's correlation if the outcome is a number. Over more than 31 days a point
    stands for one or more weeks.
    """
    number = is_number(drawn[0].predictions)
    chance, lowest = (0.0, -1.0) if number else (0.5, 0.0)
    days = sorted({day for run in drawn for day in np.unique(day_of(run.predictions)).tolist()})
    count = (days[-1] - days[0]).days + 1
    length = 1 if count <= _POINTS else 7 * math.ceil(count / _POINTS / 7)
    places = math.ceil(count / length)
    series = [plots.Series(name="", style="quiet", x=[-0.5, places - 0.5], y=[chance, chance])]
    rows = []
    for place, run in enumerate(drawn):
        shift = (place - (len(drawn) - 1) / 2) * min(0.16, 0.7 / len(drawn))
        spans = by_time(run.predictions, days[0], length)
        series.append(
            plots.Series(
                name=run.name,
                style=run.style,
                kind="dots",
                x=[(span.start - days[0]).days / length + shift for span in spans],
                y=[span.value for span in spans],
                low=[max(lowest, span.value - span.margin) for span in spans],
                high=[min(1.0, span.value + span.margin) for span in spans],
            )
        )
        rows += [
            (
                f"{span.start:%-d %b %Y}",
                run.name,
                f"{span.rows:,}",
                f"{span.positives:,}",
                f"{span.value:.3f}",
                f"{span.margin:.3f}",
            )
            for span in spans
        ]
    every = max(1, math.ceil(places / 7))
    ticks = [
        (float(place), f"{days[0] + timedelta(days=place * length):%-d %b}")
        for place in range(0, places, every)
    ]
    what = "day" if length == 1 else "week" if length == 7 else f"{length} days"
    across = plots.Axis(
        label="test day" if length == 1 else f"first day of {what}",
        low=-0.5,
        high=places - 0.5,
        ticks=ticks,
    )
    figure, title = (
        ("Spearman", "Spearman's rank correlation") if number else ("AUC", "AUC within days")
    )
    behind = page.table(("from", "", "rows", f"{outcome}s", figure, "+-"), rows, numbers=True)
    lows = [low for points in series for low in points.low or ()]
    return plots.chart(
        f"{title}, by {what}, 95 %",
        across,
        plots.axis(figure, min([0.0, *lows]), 1),
        series,
        behind=behind,
        wide=True,
    )


def by_time(predictions: pa.Table, first: date, length: int) -> list[Span]:
    """Return how well rows are ranked in each period of `length` days, from `first` on.

    It is AUC within days, or Spearman's correlation of outcomes that are numbers. A period without
    such a figure is left out.
    """
    place = (day_of(predictions) - np.datetime64(first)).astype(np.int64) // length
    spans = (
        _span(first + timedelta(days=int(number) * length), predictions.filter(place == number))
        for number in np.unique(place)
    )
    return [span for span in spans if span is not None]


def _span(start: date, rows: pa.Table) -> Span | None:
    """Return how well the rows of one period are ranked; None without two different outcomes."""
    scores, outcomes = rows["prediction"].to_numpy(), rows["outcome"].to_numpy()
    among, number = clusters(rows), is_number(rows)
    if number:
        shares, degree = regression.spearman_shares(scores, outcomes), 1
    else:
        days = np.unique(day_of(rows), return_inverse=True)[1].astype(np.int64)
        shares, degree = ranking.pair_shares(scores, outcomes, days), 2
    sums = units.totals(*shares, among.unit, among.units, degree=degree)
    if not sums.denominator.any():
        return None
    positives = int(np.count_nonzero(outcomes))
    error = (
        math.sqrt(float((units.parts(sums) ** 2).sum()))
        if among.dependent or number
        else 1 / math.sqrt(12 * positives)
    )
    return Span(
        start=start,
        value=sums.value,
        margin=1.96 * error,
        rows=rows.num_rows,
        positives=positives,
    )
