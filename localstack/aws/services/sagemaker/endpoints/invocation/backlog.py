"""The queue of an asynchronous endpoint: what waits, what is processed, within which limits.

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
    """A request that an instance has."""

    request: Request
    variant: Variant
    server: ModelServer
    began: datetime
    decided: bool = False  # what becomes of it: once


class Backlog:
    """Of one endpoint. Thread-safe."""

    def __init__(self) -> None:
        self.waiting: deque[Request] = deque()
        self.processed: list[UnderWay] = []
        self.changed = threading.Condition(threading.RLock())
        self.watched = False  # a thread looks after it

    @property
    def requests(self) -> list[Request]:
        """The oldest first."""
        return sorted(
            [*(of.request for of in self.processed), *self.waiting],
            key=lambda request: request.received,
        )

    def decide(self, of: UnderWay) -> bool:
        """Whether the caller is the one to end it."""
        with self.changed:
            first, of.decided = not of.decided, True
        return first

    def leave(self, of: UnderWay) -> bool:
        """False: it has left before."""
        with self.changed:
            if of not in self.processed:
                return False
            self.processed.remove(of)
            self.changed.notify_all()
            return True


@not_kept
class Backlogs:
    """The store, by endpoint."""

    def __init__(self) -> None:
        self._of: dict[str, Backlog] = {}
        self._lock = threading.Lock()

    def of(self, endpoint: str) -> Backlog:
        with self._lock:
            return self._of.setdefault(endpoint, Backlog())

    def drop(self, endpoint: str) -> None:
        """What waits ends; what is processed goes on."""
        with self._lock:
            backlog = self._of.pop(endpoint, None)
        if backlog is not None:
            with backlog.changed:
                backlog.waiting.clear()
                backlog.changed.notify_all()


def settings(endpoint: Endpoint) -> dict[str, Any] | None:
    """AsyncInferenceConfig; None: it answers at once."""
    config: dict[str, Any] | None = endpoint.fleet.config.params.get("AsyncInferenceConfig")
    return config


def note(ctx: Context, endpoint: Endpoint) -> None:
    """Tell CloudWatch how the queue stands. Of a deleted endpoint `drop` has."""
    if settings(endpoint) is None or endpoint.routing is None:
        return
    backlog = ctx.store(Backlogs).of(endpoint.name)
    with backlog.changed:
        requests = backlog.requests
    oldest = requests[0].received if requests else None
    instances = sum(variant.count for variant in endpoint.fleet.variants.values())
    queues.note_level(ctx, endpoint.name, size=len(requests), oldest=oldest, instances=instances)


def drop(ctx: Context, endpoint: Endpoint) -> None:
    """The endpoint is deleted."""
    ctx.store(Backlogs).drop(endpoint.name)
    if settings(endpoint) is not None:
        queues.note_level(ctx, endpoint.name, size=0, oldest=None, instances=None)


def overdue(ctx: Context, backlog: Backlog) -> Iterator[Request]:
    """Take out what has waited longer than it may."""
    now = ctx.clock.now()
    with backlog.changed:
        expired = [request for request in backlog.waiting if now - request.received > request.ttl]
        for request in expired:
            backlog.waiting.remove(request)
    yield from expired


def next_one(ctx: Context, endpoint: Endpoint, backlog: Backlog) -> UnderWay | None:
    """The request that waits the longest, with an instance that has room for it."""
    room = _room(endpoint)
    with backlog.changed:
        if room is None or not backlog.waiting:
            return None
        variant, server = room
        if not server.enter():
            return None
        of = UnderWay(
            request=backlog.waiting.popleft(), variant=variant, server=server, began=ctx.clock.now()
        )
        backlog.processed.append(of)
        return of


def look(backlog: Backlog) -> None:
    """Wait until something may have changed."""
    with backlog.changed:
        backlog.changed.wait(_LOOK)


def _room(endpoint: Endpoint) -> tuple[Variant, ModelServer] | None:
    """By weight, of the variants with an instance that may be asked.

    One whose process has ended starts again, and takes none meanwhile.
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
