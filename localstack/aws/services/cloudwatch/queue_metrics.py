"""AWS/SageMaker's metrics of asynchronous endpoints: their queues, and the requests' outcomes.

Source: SageMaker developer guide, "Monitor asynchronous endpoint" and "Autoscale an asynchronous
endpoint". A queue's metrics have a datapoint for what it was when a minute began, and one for each
change within it.
"""

from __future__ import annotations

import threading
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from ...core.home.declarations import not_kept
from ...core.registry import Context

UNITS = {
    "ApproximateBacklogSize": "Count",
    "ApproximateBacklogSizePerInstance": "Count",
    "ApproximateAgeOfOldestRequest": "Seconds",
    "HasBacklogWithoutCapacity": "Count",
    "RequestDownloadFailures": "Count",
    "ResponseUploadFailures": "Count",
    "RequestDownloadLatency": "Microseconds",
    "ResponseUploadLatency": "Microseconds",
    "ExpiredRequests": "Count",
    "InvocationFailures": "Count",
    "InvocationsProcessed": "Count",
    "TimeInBacklog": "Microseconds",
    "TotalProcessingTime": "Milliseconds",
    "Invocation4XXErrors": "None",
    "Invocation5XXErrors": "None",
    "ModelLatency": "Microseconds",
}
_MINUTE = timedelta(minutes=1)


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """The state of a queue from a moment on."""

    at: datetime
    size: int  # requests that wait or are processed
    oldest: datetime | None  # when the oldest of them came
    instances: int | None  # None: the endpoint is gone


@not_kept
class Queues:
    """The queues' levels and the requests' metrics of one account and region."""

    def __init__(self) -> None:
        # of an endpoint, the earliest first
        self.levels: dict[str, list[Level]] = defaultdict(list)
        # endpoint, variant, metric: minutes, values
        self.values: dict[tuple[str, str, str], list[tuple[int, float]]] = defaultdict(list)
        self.lock = threading.Lock()


def note_level(
    ctx: Context, endpoint: str, *, size: int, oldest: datetime | None, instances: int | None
) -> None:
    """Record the state of an asynchronous endpoint's request queue, for its metrics.

    `size` is the number of requests, `oldest` the time of the oldest one, and `instances` the
    number of instances.
    """
    store, level = (
        ctx.store(Queues),
        Level(at=ctx.clock.now(), size=size, oldest=oldest, instances=instances),
    )
    with store.lock:
        levels = store.levels[endpoint]
        if not levels or msgspec.structs.replace(level, at=levels[-1].at) != levels[-1]:
            levels.append(level)


def record(ctx: Context, endpoint: str, variant: str, **values: float) -> None:
    """Record metrics of one asynchronous request of a variant, given by name."""
    store, minute = ctx.store(Queues), int(ctx.clock.now().timestamp()) // 60
    with store.lock:
        for metric, value in values.items():
            store.values[endpoint, variant, metric].append((minute, value))


def points(
    ctx: Context, metric: str, dimensions: dict[str, str], start: datetime, end: datetime
) -> Iterator[tuple[datetime, float]]:
    """Yield the values of a queue metric between two times, at the starts of their minutes.

    `dimensions` name the endpoint and, for some metrics, the variant.
    """
    store = ctx.store(Queues)
    if set(dimensions) == {"EndpointName", "VariantName"}:
        with store.lock:
            values = list(
                store.values.get(
                    (dimensions["EndpointName"], dimensions["VariantName"], metric), ()
                )
            )
        moments = ((datetime.fromtimestamp(minute * 60, UTC), value) for minute, value in values)
        yield from ((moment, value) for moment, value in moments if start <= moment < end)
    elif set(dimensions) == {"EndpointName"} and metric in _OF_A_LEVEL:
        with store.lock:
            levels = list(store.levels.get(dimensions["EndpointName"], ()))
        for moment, moment_within, level in _samples(levels, start, min(end, ctx.clock.now())):
            value = _OF_A_LEVEL[metric](level, moment_within)
            if value is not None:
                yield moment, value


def metrics(ctx: Context) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield the names of all metrics of asynchronous endpoints with their dimensions."""
    store = ctx.store(Queues)
    with store.lock:
        endpoints, values = sorted(store.levels), sorted(store.values)
    yield from (
        (metric, {"EndpointName": endpoint}) for endpoint in endpoints for metric in _OF_A_LEVEL
    )
    yield from (
        (metric, {"EndpointName": endpoint, "VariantName": variant})
        for endpoint, variant, metric in values
    )


def _samples(
    levels: list[Level], start: datetime, end: datetime
) -> Iterator[tuple[datetime, datetime, Level]]:
    """Yield the queue's states in each minute: the minute, the moment, the state.

    The first state of a minute is the one in which the minute began.
    """
    if not levels:
        return
    times = [level.at for level in levels]
    minute = max(start, times[0] - _MINUTE).replace(second=0, microsecond=0)
    minute += _MINUTE if minute < start else timedelta()
    while minute < end:
        first = bisect_right(times, minute)
        if first:
            yield minute, minute, levels[first - 1]
        yield from (
            (minute, level.at, level)
            for level in levels[first : bisect_right(times, minute + _MINUTE)]
            if level.at < end
        )
        minute += _MINUTE


def _size_per_instance(level: Level) -> float | None:
    """Return a queue's requests per instance; a queue without instances counts as having one.

    So the endpoint scales out from no instance once there are more requests than the target (guide,
    "Troubleshooting").
    """
    return None if level.instances is None else level.size / max(level.instances, 1)


def _age(level: Level, moment: datetime) -> float:
    """Return the seconds that the oldest request in the queue has waited at a moment."""
    return (moment - level.oldest).total_seconds() if level.oldest else 0.0


_OF_A_LEVEL: dict[str, Callable[[Level, datetime], float | None]] = {
    "ApproximateBacklogSize": lambda level, _at: (
        None if level.instances is None else float(level.size)
    ),
    "ApproximateBacklogSizePerInstance": lambda level, _at: _size_per_instance(level),
    "ApproximateAgeOfOldestRequest": lambda level, moment: (
        None if level.instances is None else _age(level, moment)
    ),
    "HasBacklogWithoutCapacity": lambda level, _at: (
        None if level.instances is None else float(level.size > 0 and not level.instances)
    ),
}
