"""The minutes of an endpoint's variants as small charts: requests, errors, latency."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

import msgspec

from ....endpoints.operations.minutes import VariantSummary, of_buckets
from ....endpoints.port import Bucket, Window
from ....reports import page as kit
from ....reports import plots

_MINUTE = timedelta(minutes=1)
_TICKS = 4

Minutes = Mapping[str, tuple[Bucket, ...]]


def minutes_parts(minutes: Minutes, window: Window) -> list[str]:
    """Return an HTML table and charts of the variants' requests, errors and latency by minute."""
    drawn = [_chart(figure, minutes, window) for figure in _FIGURES]
    rows = [_row(of_buckets(variant, buckets)) for variant, buckets in minutes.items() if buckets]
    words = "Latencies are the medians of the minutes' own: percentiles do not add up."
    return [kit.table(_HEAD, rows, numbers=True), kit.words(words, "soft"), kit.charts(*drawn)]


_HEAD = ("variant", "minutes with requests", "requests", "4xx", "5xx", "p50 ms", "p99 ms")


def _row(summary: VariantSummary) -> tuple[str, ...]:
    """Return a variant's cells in the table: minutes, requests, errors and latency percentiles."""
    counts = (
        f"{summary.minutes:,}",
        f"{summary.requests:,}",
        f"{summary.client_errors:,}",
        f"{summary.server_errors:,}",
    )
    return (summary.variant, *counts, f"{summary.p50_ms:.2f}", f"{summary.p99_ms:.2f}")


def _errors(bucket: Bucket) -> float:
    """Return the percentage of a minute's requests that failed, by the client or the server."""
    return 100 * (bucket.client_errors + bucket.server_errors) / bucket.requests


class _Figure(msgspec.Struct, frozen=True):
    title: str
    unit: str
    of: Callable[[Bucket], float]
    gaps: bool  # where no request was there is nothing to show; else it is 0 there


_FIGURES = (
    _Figure("Requests a minute", "requests", lambda bucket: bucket.requests, gaps=False),
    _Figure("Errors", "% of the requests", _errors, gaps=True),
    _Figure("Latency, median", "ms", lambda bucket: bucket.p50_ms, gaps=True),
    _Figure("Latency, 99 of 100", "ms", lambda bucket: bucket.p99_ms, gaps=True),
)


def _chart(figure: _Figure, minutes: Minutes, window: Window) -> str:
    """Return an HTML chart of one metric by the minute, with a series for each variant."""
    start, length = window.start, (window.end - window.start) // _MINUTE
    values = {
        name: {bucket.start: figure.of(bucket) for bucket in buckets}
        for name, buckets in minutes.items()
        if buckets
    }
    every = [start + number * _MINUTE for number in range(length)]
    series = [
        _series(
            name,
            style,
            start,
            by_minute if figure.gaps else {minute: by_minute.get(minute, 0.0) for minute in every},
            figure,
        )
        for (name, by_minute), style in zip(values.items(), plots.STYLES, strict=False)
    ]
    top = (
        max((value for by_minute in values.values() for value in by_minute.values()), default=0)
        * 1.1
        or 1.0
    )
    behind = kit.table(("minute (UTC)", *values), _rows(values), numbers=True)
    return plots.chart(
        figure.title, _across(start, length), plots.axis(figure.unit, 0, top), series, behind=behind
    )


def _series(
    name: str,
    style: plots.Style,
    start: datetime,
    by_minute: Mapping[datetime, float],
    figure: _Figure,
) -> plots.Series:
    """Return a variant's values of one metric by the minute, as a series of a chart.

    `start` is the minute at which the chart begins.
    """
    titles = [
        f"{name} {minute:%H:%M}: {value:.4g} {figure.unit}" for minute, value in by_minute.items()
    ]
    x = [(minute - start) / _MINUTE for minute in by_minute]
    return plots.Series(
        name=name,
        style=style,
        x=x,
        y=list(by_minute.values()),
        kind="dots" if figure.gaps else "line",
        titles=titles,
    )


def _rows(values: Mapping[str, Mapping[datetime, float]]) -> list[tuple[str, ...]]:
    """Return the rows of the table behind a chart: a minute and each variant's value, as text.

    `values` are by variant, then by minute.
    """
    every = sorted({minute for by_minute in values.values() for minute in by_minute})
    return [
        (
            f"{minute:%H:%M}",
            *(
                f"{by_minute[minute]:.4g}" if minute in by_minute else ""
                for by_minute in values.values()
            ),
        )
        for minute in every
    ]


def _across(start: datetime, length: int) -> plots.Axis:
    """Return a chart's horizontal axis: `length` minutes from `start`, ticks as times of day."""
    places = [round(number * (length - 1) / _TICKS) for number in range(_TICKS + 1)]
    ticks = [(float(place), f"{start + place * _MINUTE:%H:%M}") for place in dict.fromkeys(places)]
    return plots.Axis(label="minute (UTC)", low=-0.5, high=length - 0.5, ticks=ticks)
