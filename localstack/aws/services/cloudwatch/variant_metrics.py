"""AWS/SageMaker's metrics of variants, minute by minute."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from ...core.home.declarations import not_kept
from ...core.registry import Context

DELAY = "ISTHMUS_STACK_METRIC_SECONDS"
UNITS = {
    "Invocations": "None",
    "Invocation4XXErrors": "None",
    "Invocation5XXErrors": "None",
    "InvocationModelErrors": "None",
    "InvocationsPerInstance": "None",
    "ModelLatency": "Microseconds",
    "OverheadLatency": "Microseconds",
}


_ZEROS = ("Invocations", "InvocationsPerInstance")


class Minute(msgspec.Struct):
    """The calls of one minute. They append to its lists without a lock: one entry a call."""

    statuses: list[int]
    model: list[float]
    overhead: list[float]
    per_instance: list[float]


class Source(NamedTuple):
    """The variant that a call went to."""

    endpoint: str
    variant: str
    config: str  # the endpoint configuration that the variant is of

    def has(self, dimensions: Mapping[str, str]) -> bool:
        """Return whether the variant's metrics have these dimensions."""
        return all(
            dimensions.get(name, value) == value
            for name, value in zip(_DIMENSIONS, self, strict=True)
        )


_DIMENSIONS: tuple[str, ...] = ("EndpointName", "VariantName", "EndpointConfigName")
_BY = (frozenset(_DIMENSIONS[:2]), frozenset(_DIMENSIONS))  # what a metric is kept by


@not_kept
class Variants:
    """The variants' calls of one account and region."""

    def __init__(self) -> None:
        self.of: dict[Source, dict[int, Minute]] = {}
        # the first minute from which one without calls counts: they have a 0
        self.quiet: dict[tuple[str, str], int] = {}
        self._lock = threading.Lock()

    def minute(self, source: Source, number: int) -> Minute:
        """Return the record of a variant's calls in one minute; make it if it does not exist.

        `number` is the minute's, counted from 1970.
        """
        minutes = self.of.get(source)
        minute = minutes.get(number) if minutes is not None else None
        if minute is not None:
            return minute
        with self._lock:
            return self.of.setdefault(source, {}).setdefault(number, Minute([], [], [], []))


def record(
    ctx: Context,
    source: Source,
    status: int,
    *,
    model: float | None,
    overhead: float,
    instances: int,
    called_at: datetime,
) -> None:
    """Record one invocation of an endpoint variant for its CloudWatch metrics.

    Args:
        ctx: The handler's context.
        source: The variant.
        status: The container's status; 0: none came.
        model: The container's microseconds; None: it was not reached.
        overhead: The stack's own microseconds.
        instances: The number of the variant's instances.
        called_at: When the call came.
    """
    minute = ctx.store(Variants).minute(source, int(called_at.timestamp()) // 60)
    minute.statuses.append(status)
    minute.overhead.append(overhead)
    minute.per_instance.append(1 / max(instances, 1))
    if model is not None:
        minute.model.append(model)


def delay(ctx: Context) -> float:
    """Return the seconds after which a minute's metrics become visible."""
    seconds = os.environ.get(DELAY)
    if seconds is not None:
        return float(seconds)
    return 0.0 if ctx.clock.mode == "instant" else 60.0


def settled_until(ctx: Context) -> datetime | None:
    """Return the time until which metrics are visible; None: those of every minute are.

    None: every minute is, the running one, too.
    """
    late = delay(ctx)
    return ctx.clock.now() - timedelta(seconds=late) if late else None


def points(
    ctx: Context, metric: str, dimensions: dict[str, str], start: datetime, end: datetime
) -> Iterator[tuple[datetime, float]]:
    """Yield the values of a variant metric between two times, at the starts of their minutes.

    `dimensions` name the endpoint and the variant.
    """
    if frozenset(dimensions) not in _BY or metric not in UNITS:
        return
    of_sources = [
        dict(minutes)
        for source, minutes in list(ctx.store(Variants).of.items())
        if source.has(dimensions)
    ]
    for number in sorted(
        {
            *_idle_minutes(ctx, metric, dimensions, start, end),
            *(number for minutes in of_sources for number in minutes),
        }
    ):
        moment = datetime.fromtimestamp(number * 60, UTC)
        if start <= moment < end:
            called = [minutes[number] for minutes in of_sources if number in minutes]
            values = (
                [value for minute in called for value in _values(minute, metric)]
                if called
                else [0.0]
            )
            yield from ((moment, value) for value in values)


def _idle_minutes(
    ctx: Context, metric: str, dimensions: dict[str, str], start: datetime, end: datetime
) -> Iterable[int]:
    """Return the minutes in which a variant's metric is 0 because nobody called the variant.

    `dimensions` name the variant. Only scaled variants have such zeros; other variants' metrics are
    missing then.
    """
    if metric not in _ZEROS or len(dimensions) != 2:
        return ()
    quiet = ctx.store(Variants).quiet.get((dimensions["EndpointName"], dimensions["VariantName"]))
    return (
        range(max(quiet, int(start.timestamp()) // 60), _number(min(end, ctx.clock.now())))
        if quiet is not None
        else ()
    )


def emit_zeros(ctx: Context, endpoint: str, variant: str, *, until_now: bool = False) -> None:
    """Begin to report 0 for a variant's minutes without calls; with `until_now`, stop that.

    Such zeros show that a scaled variant is idle. "If a variant's traffic becomes zero ...
    SageMaker emits metrics with a value of zero" (guide, "Minimum and maximum capacity").
    """
    quiet = ctx.store(Variants).quiet
    if until_now:
        quiet.pop((endpoint, variant), None)
    else:
        quiet[endpoint, variant] = _number(ctx.clock.now()) + 1


def _number(moment: datetime) -> int:
    """Return the number of the minute, counted from 1970, in which a time lies."""
    return int(moment.timestamp()) // 60


def metrics(ctx: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names of all metrics of endpoint variants with their dimensions."""
    sources = sorted(ctx.store(Variants).of)
    of_variants = [
        dict(zip(_DIMENSIONS, source[:2], strict=False))
        for source in dict.fromkeys(source[:2] for source in sources)
    ]
    for dimensions in (
        *of_variants,
        *(dict(zip(_DIMENSIONS, source, strict=True)) for source in sources),
    ):
        yield from ((metric, dimensions) for metric in UNITS)


def _values(minute: Minute, metric: str) -> list[float]:
    """Return the values of one metric for the calls of a minute."""
    if metric in _OF_STATUS:
        function = _OF_STATUS[metric]
        return [float(function(status)) for status in list(minute.statuses)]
    if metric == "InvocationsPerInstance":
        return list(minute.per_instance)
    return list(minute.model if metric == "ModelLatency" else minute.overhead)


_OF_STATUS: dict[str, Callable[[int], bool]] = {
    "Invocations": lambda _status: True,
    "Invocation4XXErrors": lambda status: 400 <= status < 500,
    "Invocation5XXErrors": lambda status: status >= 500 or status == 0,
    "InvocationModelErrors": lambda status: not 200 <= status < 300,
}
