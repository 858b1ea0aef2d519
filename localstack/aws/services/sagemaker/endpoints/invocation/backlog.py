"""The queue of an asynchronous endpoint: waiting and processed requests, and their limits.

It is the stack's memory: it goes with it.
"""

from __future__ import annotations

import random
import threading
from collections import deque
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ......serving.model_server import ModelServer
from .....core.home.declarations import not_kept
from .....core.registry import Context
from ....cloudwatch import queue_metrics as queues
from ..records import Endpoint, Variant

# requests of an instance, where MaxConcurrentInvocationsPerInstance is not given: the service's
# number is not published
_AT_ONCE = 4
_LOOK = 0.1  # seconds
_choices = random.choices


class Request(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """One asynchronous invocation."""

    id: str
    headers: tuple[tuple[str, str], ...]
    source: str | None  # s3://... of the input
    body: bytes
    output: str  # s3://..., where its answer goes
    failure: str | None
    key: str | None  # KMS
    received: datetime
    ttl: timedelta
    timeout: timedelta


class UnderWay(msgspec.Struct, kw_only=True, eq=False):
    """A request that an instance processes."""

    request: Request
    variant: Variant
    server: ModelServer
    began: datetime
    decided: bool = False  # what becomes of it: once


class Backlog:
    """The queue of one endpoint. Thread-safe."""

    def __init__(self) -> None:
        self.waiting: deque[Request] = deque()
        self.processed: list[UnderWay] = []
        self.changed = threading.Condition(threading.RLock())
        self.watched = False  # a thread looks after it

    @property
    def requests(self) -> list[Request]:
        """All requests, oldest first."""
        return sorted(
            [*(work.request for work in self.processed), *self.waiting],
            key=lambda request: request.received,
        )

    def decide(self, work: UnderWay) -> bool:
        """Claim the right to end an asynchronous request; return whether it is the first claim."""
        with self.changed:
            first, work.decided = not work.decided, True
        return first

    def leave(self, work: UnderWay) -> bool:
        """Remove a request that an instance processed; return False if it was removed before."""
        with self.changed:
            if work not in self.processed:
                return False
            self.processed.remove(work)
            self.changed.notify_all()
            return True


@not_kept
class Backlogs:
    """The queues of one account and region, by endpoint."""

    def __init__(self) -> None:
        self._of: dict[str, Backlog] = {}
        self._lock = threading.Lock()

    def backlog_of(self, endpoint: str) -> Backlog:
        """Return the queue of asynchronous requests of an endpoint; it is made if needed."""
        with self._lock:
            return self._of.setdefault(endpoint, Backlog())

    def drop(self, endpoint: str) -> None:
        """Delete an endpoint's queue of asynchronous requests; those under way continue."""
        with self._lock:
            backlog = self._of.pop(endpoint, None)
        if backlog is not None:
            with backlog.changed:
                backlog.waiting.clear()
                backlog.changed.notify_all()


def settings(endpoint: Endpoint) -> dict[str, Any] | None:
    """Return an endpoint's AsyncInferenceConfig; None: it is a synchronous endpoint."""
    config: dict[str, Any] | None = endpoint.fleet.config.params.get("AsyncInferenceConfig")
    return config


def note(ctx: Context, endpoint: Endpoint) -> None:
    """Record the size of an endpoint's request queue, and its oldest request's age, as metrics."""
    if settings(endpoint) is None or endpoint.routing is None:
        return
    backlog = ctx.store(Backlogs).backlog_of(endpoint.name)
    with backlog.changed:
        requests = backlog.requests
    oldest = requests[0].received if requests else None
    instances = sum(variant.count for variant in endpoint.fleet.variants.values())
    queues.note_level(ctx, endpoint.name, size=len(requests), oldest=oldest, instances=instances)


def drop(ctx: Context, endpoint: Endpoint) -> None:
    """Delete the queue of asynchronous requests of a deleted endpoint."""
    ctx.store(Backlogs).drop(endpoint.name)
    if settings(endpoint) is not None:
        queues.note_level(ctx, endpoint.name, size=0, oldest=None, instances=None)


def overdue(ctx: Context, backlog: Backlog) -> Iterator[Request]:
    """Remove from a queue the requests that have waited longer than they may, and yield them."""
    now = ctx.clock.now()
    with backlog.changed:
        expired = [request for request in backlog.waiting if now - request.received > request.ttl]
        for request in expired:
            backlog.waiting.remove(request)
    yield from expired


def next_one(ctx: Context, endpoint: Endpoint, backlog: Backlog) -> UnderWay | None:
    """Take the oldest request out of a queue for an instance with room; None: there is no such.

    The result has the request and the instance.
    """
    room = _free_instance(endpoint)
    with backlog.changed:
        if room is None or not backlog.waiting:
            return None
        variant, server = room
        if not server.enter():
            return None
        work = UnderWay(
            request=backlog.waiting.popleft(), variant=variant, server=server, began=ctx.clock.now()
        )
        backlog.processed.append(work)
        return work


def await_change(backlog: Backlog) -> None:
    """Wait until a queue may have changed."""
    with backlog.changed:
        backlog.changed.wait(_LOOK)


def _free_instance(endpoint: Endpoint) -> tuple[Variant, ModelServer] | None:
    """Choose a variant by weight and its least busy instance; None if all are full.

    An instance whose process has ended is started again, and gets no requests until it runs.
    """
    routing = endpoint.routing
    at_once = ((settings(endpoint) or {}).get("ClientConfig") or {}).get(
        "MaxConcurrentInvocationsPerInstance", _AT_ONCE
    )
    targets = routing.by_weight.things if routing is not None else ()
    for target in targets:
        for server in target.variant.healthy:
            server.revive()
    free = [
        (
            target.variant,
            [server for server in target.variant.healthy if server.ready and server.busy < at_once],
        )
        for target in targets
    ]
    free = [(variant, servers) for variant, servers in free if servers]
    if not free:
        return None
    variant, servers = _choices(free, [variant.weight for variant, _ in free])[0]
    return variant, min(servers, key=lambda server: server.busy)
