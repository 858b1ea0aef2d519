"""Per-variant figures of a stretch of time, from the target's minute buckets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

import msgspec

from ...core.runtime.project import Project
from ..hosting import metrics_delay
from ..port import Bucket, Window


class VariantSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A variant's figures over several minutes.

    Percentiles of minutes do not merge: p50_ms and p99_ms are the medians of the minutes' own,
    weighed by nothing.
    """

    variant: str
    minutes: int  # with requests
    requests: int
    client_errors: int
    server_errors: int
    p50_ms: float
    p99_ms: float

    @property
    def errors(self) -> int:
        """Return the number of failed requests: client errors and server errors together."""
        return self.client_errors + self.server_errors


def summary(
    project: Project, endpoint: str, start: datetime, end: datetime
) -> dict[str, VariantSummary]:
    """Return requests, errors and latencies by variant, over whole minutes from start to end.

    A variant without requests is absent: no data is not zero errors.

    Raises:
        NotSettled: The last minute is not over, or younger than the target's `metrics.delay`.
    """
    minute = timedelta(minutes=1)
    first, last = floor_minute(start), floor_minute(end)
    window = Window(start=first, end=last if last == end else last + minute)
    minutes = project.target.metrics.read(endpoint, window)
    return {
        variant: of_buckets(variant, buckets) for variant, buckets in minutes.items() if buckets
    }


def settled_window(project: Project, length: timedelta) -> Window:
    """Return the last whole minutes, of this length in all, whose metrics are final."""
    end = settled_by(metrics_delay(project.target), project.wall())
    return Window(start=floor_minute(end - length), end=end)


def settled_by(delay: timedelta, now: datetime) -> datetime:
    """Return the time up to which metrics are final: the last minute that is older than a delay."""
    return floor_minute(now - delay)


def of_buckets(variant: str, buckets: Sequence[Bucket]) -> VariantSummary:
    """Return one variant's figures over several minutes: summed counts and median latencies."""
    return VariantSummary(
        variant=variant,
        minutes=len(buckets),
        requests=sum(b.requests for b in buckets),
        client_errors=sum(b.client_errors for b in buckets),
        server_errors=sum(b.server_errors for b in buckets),
        p50_ms=median(b.p50_ms for b in buckets),
        p99_ms=median(b.p99_ms for b in buckets),
    )


def floor_minute(moment: datetime) -> datetime:
    """Return the start of the minute that a time is in, in UTC."""
    return moment.astimezone(UTC).replace(second=0, microsecond=0)
