"""What the charts show, computed from forward predictions (evaluation.SCHEMA): calibration, ROC within days, AUC by day."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import msgspec
import numpy as np
import pyarrow as pa

from ..reports import plots
from . import ranking, units
from .metrics import chances, clusters, day_of
from .statistics import poisson_interval

_BINS = 5  # few clicks make few bins


class Bin(msgspec.Struct, frozen=True, kw_only=True):
    """Rows of similar prediction: what was expected of them and what came, in clicks per row."""

    expected: float
    observed: float
    low: float  # 95 %: units drawn; exact Poisson where the log names none, or for too few
    high: float
    rows: int


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """One run's predictions under its name on the chart."""

    name: str
    style: Literal["a", "b"]
    predictions: pa.Table


def calibration_bins(predictions: pa.Table, bins: int = _BINS) -> tuple[Bin, ...]:
    """Bins of about equally many rows by prediction; equal predictions stay together."""
    scores, outcomes = predictions["prediction"].to_numpy(), predictions["outcome"].to_numpy()
    among = clusters(predictions)
    edges = np.unique(np.quantile(scores, np.linspace(0, 1, bins + 1)[1:-1]))
    where = np.searchsorted(edges, scores, side="right")
    found = []
    for number in np.unique(where):
        inside = where == number
        rows, clicks = int(inside.sum()), int(outcomes[inside].sum())
        low, high = (bound / rows for bound in poisson_interval(clicks))
        if among.dependent and clicks:
            rate = units.totals(outcomes[inside], 1.0, among.unit[inside], among.units)
            drawn = units.estimates({"rate": rate}).get("rate")
            low, high = (drawn.low, drawn.high) if drawn else (low, high)
        found.append(Bin(expected=float(scores[inside].mean()), observed=clicks / rows, low=low, high=high, rows=rows))
    return tuple(found)


def roc(predictions: pa.Table) -> tuple[list[float], list[float]]:
    """The ROC curve within days: false and true positive rates, where a score is replaced by its rank among its own day's non-clicks."""
    scores, outcomes, days = predictions["prediction"].to_numpy(), predictions["outcome"].to_numpy(), day_of(predictions)
    ranks = np.empty(len(scores))
    for day in np.unique(days):
        inside = days == day
        misses = np.sort(scores[inside & (outcomes == 0)])
        if len(misses):
            between = np.searchsorted(misses, scores[inside], "left") + np.searchsorted(misses, scores[inside], "right")
            ranks[inside] = between / (2 * len(misses))
        else:
            ranks[inside] = 0.5
    levels = np.unique(ranks)[::-1]
    at = len(levels) - 1 - np.searchsorted(levels[::-1], ranks)
    hits = np.cumsum(np.bincount(at, weights=outcomes == 1, minlength=len(levels)))
    misses_so_far = np.cumsum(np.bincount(at, weights=outcomes == 0, minlength=len(levels)))
    keep = np.unique(np.linspace(0, len(levels) - 1, 400).astype(int))  # a curve of 380 points' width needs no more
    across = [0.0, *(misses_so_far[keep] / max(misses_so_far[-1], 1)).tolist()]
    return across, [0.0, *(hits[keep] / max(hits[-1], 1)).tolist()]


def roc_chart(seen: Sequence[Seen]) -> str:
    lines = [plots.Series(name="chance", style="quiet", x=[0, 1], y=[0, 1])]
    for one in seen:
        x, y = roc(one.predictions)
        lines.append(plots.Series(name=one.name, style=one.style, x=x, y=y))
    across = plots.axis("rows without a click ranked as high, share", 0, 1)
    return plots.chart("ROC within days", across, plots.axis("clicks found, share", 0, 1), lines)


def calibration_chart(seen: Sequence[Seen]) -> str:
    """Empty when a run's predictions are no rates."""
    tables = [(one, calibration_bins(one.predictions)) for one in seen if chances(one.predictions["prediction"].to_numpy())]
    if not tables:
        return ""
    top = 100 * max(max(found.high, found.expected) for _, bins in tables for found in bins)
    series = [plots.Series(name="perfect", style="quiet", x=[0, top], y=[0, top])]
    for one, bins in tables:
        series.append(
            plots.Series(
                name=one.name,
                style=one.style,
                kind="dots",
                x=[100 * found.expected for found in bins],
                y=[100 * found.observed for found in bins],
                low=[100 * found.low for found in bins],
                high=[100 * found.high for found in bins],
            )
        )
    widest = 100 * max(found.expected for _, bins in tables for found in bins) * 1.15
    shown = [msgspec.structs.replace(series[0], x=[0, widest], y=[0, widest]), *series[1:]]
    title = "Calibration: rows in fifths by prediction, 95 %"
    return plots.chart(title, plots.axis("expected clicks, %", 0, widest), plots.axis("observed clicks, %", 0, top), shown)


def daily_chart(seen: Sequence[Seen]) -> str:
    """AUC of every test day, with a whisker of 1.96 standard errors."""
    days = sorted({day for one in seen for day in np.unique(day_of(one.predictions)).tolist()})
    places = {day: number for number, day in enumerate(days)}
    series = [plots.Series(name="", style="quiet", x=[-0.5, len(days) - 0.5], y=[0.5, 0.5])]
    for number, one in enumerate(seen):
        shift = (number - (len(seen) - 1) / 2) * 0.16
        found = [(places[day] + shift, area, margin) for day, area, margin in daily(one.predictions)]
        series.append(
            plots.Series(
                name=one.name,
                style=one.style,
                kind="dots",
                x=[x for x, _, _ in found],
                y=[area for _, area, _ in found],
                low=[max(0.0, area - margin) for _, area, margin in found],
                high=[min(1.0, area + margin) for _, area, margin in found],
            )
        )
    every = max(1, math.ceil(len(days) / 7))
    ticks = [(float(place), f"{day:%-d %b}") for day, place in places.items() if place % every == 0]
    across = plots.Axis(label="test day", low=-0.5, high=len(days) - 0.5, ticks=ticks)
    return plots.chart("AUC by day, 95 %", across, plots.axis("AUC", 0, 1), series)


def daily(predictions: pa.Table) -> list[tuple[Any, float, float]]:
    """Day, AUC, half-width; days without both outcomes are left out.

    The half-width is what so few clicks allow at chance, 1.96 / sqrt(12 clicks); where the log names units, that of an AUC of clustered
    rows (Obuchowski, Biometrics 53, 1997): each unit's part of it, squared and summed.
    """
    days, scores, outcomes = day_of(predictions), predictions["prediction"].to_numpy(), predictions["outcome"].to_numpy()
    among = clusters(predictions)
    rows = []
    for day in np.unique(days):
        inside = days == day
        clicks = int(outcomes[inside].sum())
        if not 0 < clicks < inside.sum():
            continue
        pairs = ranking.pair_shares(scores[inside], outcomes[inside], np.zeros(int(inside.sum()), dtype=np.int64))
        sums = units.totals(*pairs, among.unit[inside], among.units, degree=2)
        margin = 1.96 * (math.sqrt(float((units.parts(sums) ** 2).sum())) if among.dependent else 1 / math.sqrt(12 * clicks))
        rows.append((day.tolist(), sums.value, margin))
    return rows
