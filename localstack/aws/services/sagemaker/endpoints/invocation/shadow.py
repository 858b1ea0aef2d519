"""Copies of requests for a shadow variant.

Their answers go nowhere but into metrics and captured data.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from ......serving.connections import NotReached, TimedOut
from .....core.home.declarations import not_kept
from .....core.registry import Context
from ....cloudwatch import variant_metrics as variants
from ..records import Endpoint, Target
from .capture import capture

_WAITING = 256  # copies at most; what is more is dropped, so that a slow shadow holds up nobody
_THREADS = 4


@not_kept
class Copies:
    """The threads that send the copies."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="shadow")
        self._room = threading.BoundedSemaphore(_WAITING)

    def send(self, function: Callable[..., object], *arguments: object) -> None:
        """Call a function in a background thread, or drop the call when too many wait."""
        if self._room.acquire(blocking=False):
            self._pool.submit(function, *arguments).add_done_callback(
                lambda _: self._room.release()
            )


def copy(
    ctx: Context,
    endpoint: Endpoint,
    target: Target,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
) -> None:
    """Send a copy of a request to the endpoint's shadow variant, in the background.

    `target` is the shadow variant; `body` and `headers` are the request's.
    """
    if target.variant.healthy:
        ctx.store(Copies).send(_send, ctx.without_request(), endpoint, target, body, headers)


def _send(
    ctx: Context,
    endpoint: Endpoint,
    target: Target,
    body: bytes,
    headers: tuple[tuple[str, str], ...],
) -> None:
    """Send a copy of a request to the shadow variant `target`, and record its metrics."""
    server = target.variant.pick()
    if server is None or not server.enter():
        return
    began = time.perf_counter()
    status = 0
    try:
        answer = server.predict(body, headers)
        status = answer.status
        if target.fleet.capture and 200 <= status < 300:
            named: dict[str, Any] = {"ContentType": dict(headers).get("content-type")}
            capture(ctx, endpoint, target, params=named, body=body, answer=answer)
    except (NotReached, TimedOut):
        server.revive()
    finally:
        server.leave()
    spent = (time.perf_counter() - began) * 1e6
    variants.record(
        ctx,
        target.source(endpoint.name),
        status,
        model=spent,
        overhead=0.0,
        instances=target.variant.count,
        called_at=ctx.clock.now(),
    )
