"""Whether an endpoint is idle, by the requests that the target's metrics have seen.

What cannot be measured is unknown, never idle: an endpoint is called idle only where its metrics
have shown a request (`deploy` sends some) and none since.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Literal

import msgspec

from ...core.runtime.project import Project
from ...endpoints.operations.minutes import settled_window
from ...endpoints.port import Bucket, Window
from ...errors import Denied, NotSettled, Throttled, Unavailable, Unsupported
from ...project.profiles.idle import LOOKBACK

_MINUTE = timedelta(minutes=1)


class Idleness(msgspec.Struct, frozen=True, kw_only=True):
    """An endpoint's last request, and whether it is idle by that."""

    status: Literal["active", "idle", "unknown"]
    why: str
    last_request: datetime | None = None  # the end of the newest minute with a request
    idle_for: timedelta | None = None  # up to the newest minute whose metrics are final


def measure(
    project: Project, endpoint: str, *, after: timedelta, touched: datetime | None
) -> Idleness:
    """Read an endpoint's metrics backwards until its last request, and judge whether it is idle.

    Args:
        project: The project.
        endpoint: Its name.
        after: How long an endpoint may be without a request before it is idle.
        touched: When `deploy` or `traffic` last set its split; None: not known.

    Raises:
        NotFound: There is no such endpoint.
    """
    if "metrics" not in project.target.adapter.ports:
        return Idleness(status="unknown", why="this target has no metrics")
    try:
        window = settled_window(project, after)
        last = _last_request(project, endpoint, window)
    except NotSettled as error:
        return Idleness(status="unknown", why=f"metrics not settled: {error}")
    except (Unavailable, Throttled, Denied, Unsupported) as error:
        return Idleness(status="unknown", why=f"its metrics cannot be read: {error}")
    return judge(last, touched, measured_until=window.end, after=after)


def judge(
    last_request: datetime | None,
    touched: datetime | None,
    *,
    measured_until: datetime,
    after: timedelta,
) -> Idleness:
    """Return whether an endpoint is idle, from its last request and the time it was last changed.

    Args:
        last_request: The end of the newest minute with a request; None: no metric of it was seen.
        touched: When its split was last set; None: not known.
        measured_until: The end of the newest minute whose metrics are final.
        after: How long an endpoint may be without a request before it is idle.
    """
    if touched is not None and measured_until - touched < after:
        return Idleness(
            status="active",
            why=f"deployed or moved {span_text(max(measured_until - touched, timedelta(0)))} ago",
            last_request=last_request,
        )
    if last_request is None:
        return Idleness(
            status="unknown",
            why=f"no metric of it in the last {span_text(LOOKBACK)}: unused for longer than "
            "metrics are looked for, or its requests are not counted",
        )
    since = last_request if touched is None else max(last_request, touched)
    idle_for = measured_until - since
    if idle_for < after:
        return Idleness(
            status="active",
            why=f"last request {span_text(max(idle_for, timedelta(0)))} ago",
            last_request=last_request,
        )
    return Idleness(
        status="idle",
        why=f"no request for {span_text(idle_for)}",
        last_request=last_request,
        idle_for=idle_for,
    )


def _last_request(project: Project, endpoint: str, newest: Window) -> datetime | None:
    """Return the end of the newest minute with a request, or None if metrics show none.

    Windows are read backwards, each as long as all after it, so that a busy endpoint costs one
    read.
    """
    start, end = newest.start, newest.end
    while True:
        minutes = project.target.metrics.read(endpoint, Window(start=start, end=end))
        if (last := _newest(minutes)) is not None:
            return last + _MINUTE
        if newest.end - start >= LOOKBACK:
            return None
        start, end = max(start - (newest.end - start), newest.end - LOOKBACK), start


def _newest(minutes: Mapping[str, tuple[Bucket, ...]]) -> datetime | None:
    """Return the start of the newest minute in which any variant had a request, or None."""
    starts = [bucket.start for buckets in minutes.values() for bucket in buckets if bucket.requests]
    return max(starts, default=None)


def span_text(span: timedelta) -> str:
    """Return a span of time in its two largest units, such as `9h 12m` or `3d 4h`."""
    minutes = int(span.total_seconds()) // 60
    days, hours, rest = minutes // 1440, minutes % 1440 // 60, minutes % 60
    parts = [f"{days}d"] * bool(days) + [f"{hours}h"] * bool(hours)
    if not days and (rest or not parts):
        parts.append(f"{rest}m")
    return " ".join(parts)
