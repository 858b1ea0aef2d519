"""AWS/SageMaker: what happened at each variant, minute by minute."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from ..registry import Context

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
    """Lists that calls append to without a lock: one entry a call."""

    statuses: list[int]
    model: list[float]
    overhead: list[float]
    per_instance: list[float]


class Variants:
    """The store. Key: (endpoint, variant)."""

    def __init__(self) -> None:
        self.of: dict[tuple[str, str], dict[int, Minute]] = {}
        self.quiet: dict[tuple[str, str], int] = {}  # the first minute from which one without calls counts: they have a 0
        self._lock = threading.Lock()

    def minute(self, endpoint: str, variant: str, number: int) -> Minute:
        minutes = self.of.get((endpoint, variant))
        found = minutes.get(number) if minutes is not None else None
        if found is not None:
            return found
        with self._lock:
            return self.of.setdefault((endpoint, variant), {}).setdefault(number, Minute([], [], [], []))


def record(
    ctx: Context, endpoint: str, variant: str, status: int, *, model: float | None, overhead: float, instances: int, at: datetime
) -> None:
    """One call: the container's status (0: none came), its and our microseconds."""
    minute = ctx.store(Variants).minute(endpoint, variant, int(at.timestamp()) // 60)
    minute.statuses.append(status)
    minute.overhead.append(overhead)
    minute.per_instance.append(1 / max(instances, 1))
    if model is not None:
        minute.model.append(model)


def delay(ctx: Context) -> float:
    given = os.environ.get(DELAY)
    if given is not None:
        return float(given)
    return 0.0 if ctx.clock.mode == "instant" else 60.0


def settled(ctx: Context) -> datetime | None:
    """Minutes that end by this moment are to be seen. None: every minute is, the running one too."""
    late = delay(ctx)
    return ctx.clock.now() - timedelta(seconds=late) if late else None


def points(ctx: Context, metric: str, dimensions: dict[str, str], start: datetime, end: datetime) -> Iterator[tuple[datetime, float]]:
    """The values of a metric in [start, end), at the starts of their minutes."""
    if set(dimensions) != {"EndpointName", "VariantName"} or metric not in UNITS:
        return
    store, of = ctx.store(Variants), (dimensions["EndpointName"], dimensions["VariantName"])
    minutes = store.of.get(of, {})
    quiet = store.quiet.get(of) if metric in _ZEROS else None
    silent = range(max(quiet, int(start.timestamp()) // 60), _number(min(end, ctx.clock.now()))) if quiet is not None else ()
    for number in sorted({*minutes, *silent}):
        moment = datetime.fromtimestamp(number * 60, UTC)
        if start <= moment < end:
            yield from ((moment, value) for value in (_values(minutes[number], metric) if number in minutes else (0.0,)))


def emit_zeros(ctx: Context, endpoint: str, variant: str, *, until_now: bool = False) -> None:
    """From the next minute on one without calls is a 0, by which a scaled variant is seen to be idle; `until_now`: no longer.

    "If a variant's traffic becomes zero ... SageMaker emits metrics with a value of zero" (guide, "Minimum and maximum capacity").
    """
    quiet = ctx.store(Variants).quiet
    if until_now:
        quiet.pop((endpoint, variant), None)
    else:
        quiet[endpoint, variant] = _number(ctx.clock.now()) + 1


def _number(moment: datetime) -> int:
    """Of the minute that a moment is in."""
    return int(moment.timestamp()) // 60


def named(ctx: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """Every metric there is, with its dimensions."""
    for endpoint, variant in sorted(ctx.store(Variants).of):
        yield from ((metric, {"EndpointName": endpoint, "VariantName": variant}) for metric in UNITS)


def _values(minute: Minute, metric: str) -> list[float]:
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
