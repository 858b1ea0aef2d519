"""Give the requests of one variant to its processes, in turn.

What finds no process that is ready and idle waits, in the order in which it came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic

from ....endpoints.http.requests import Headers, JsonAnswer
from .backend import ForwardedRequest, VariantProcess, failed

TIMEOUT = 60.0  # seconds of a prediction, SageMaker's limit
RETURN_WAIT = 2.0  # seconds that a request waits when no process of its variant runs
MAX_ANSWER = 6_291_456  # bytes, as of a request


class Balancer:
    """The requests of one variant and its processes. A request is sent once.

    `timeout` is a prediction's. A request waits `return_wait` when no process is ready, and where
    all are busy as long as it takes to end what hangs and to replace its process: the sum of both.
    """

    def __init__(
        self,
        variant: str,
        version: int,
        *,
        timeout: float = TIMEOUT,
        return_wait: float = RETURN_WAIT,
        max_answer: int = MAX_ANSWER,
    ) -> None:
        self.variant = variant
        self.headers: Headers = (
            (b"x-amzn-invoked-production-variant", variant.encode()),
            (b"x-isthmus-version", b"%d" % version),
        )
        self.timeout = timeout
        self.return_wait = return_wait
        self.max_answer = max_answer
        self.backends: list[VariantProcess] = []
        self._idle: deque[VariantProcess] = deque()
        self._queue: deque[ForwardedRequest] = deque()
        self._down_since = monotonic()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def quiet(self) -> bool:
        """Whether no request waits and no model server process works at one."""
        return not self._queue and not any(backend.busy for backend in self.backends)

    def send(self, exchange: ForwardedRequest) -> None:
        """Send a request to an idle model server process, or queue it until one is idle.

        `exchange` is the request with its caller.
        """
        if self._timer is None:
            self._arm()
        while self._idle:
            if self._idle.popleft().send(exchange):
                return
        if any(backend.returns for backend in self.backends):
            self._queue.append(exchange)
        else:
            self._unavailable(exchange)

    def ready(self, backend: VariantProcess) -> None:
        """Send the next queued request to a model server process that has become idle."""
        if backend not in self.backends:
            return
        while self._queue:
            exchange = self._queue.popleft()
            if exchange.request.gone:
                continue
            if not backend.send(exchange):
                self._queue.appendleft(exchange)  # it comes back once it is ready
            return
        if backend not in self._idle:
            self._idle.append(backend)

    def put_back(self, exchange: ForwardedRequest) -> None:
        """Put a request of which nothing was sent back into the queue, as the next to be answered.

        `exchange` is the request with its caller.
        """
        if exchange.request.gone:
            return
        if any(backend.returns for backend in self.backends):
            self._queue.appendleft(exchange)
            if self._timer is None:
                self._arm()
        else:
            self._unavailable(exchange)

    def leave(self, backend: VariantProcess) -> None:
        """Count a model server process as busy until it reports that it is ready again."""
        if backend in self._idle:
            self._idle.remove(backend)

    def went(self, backend: VariantProcess) -> None:
        """Send no more requests to a process that has ended, or is about to end.

        If no process is expected to be ready again, all queued requests are answered 503.
        """
        self.leave(backend)
        if all(other.port is None for other in self.backends):
            self._down_since = monotonic()
        if not any(other.returns for other in self.backends):
            self.close()

    def add(self, backend: VariantProcess) -> None:
        """Add a model server process to those that share the variant's requests."""
        self.backends.append(backend)

    def remove(self, backend: VariantProcess) -> None:
        """Remove a model server process from those that share the variant's requests."""
        self.leave(backend)
        if backend in self.backends:
            self.backends.remove(backend)

    def close(self) -> None:
        """Answer 503 to all queued requests, as no process will take them."""
        waiting, self._queue = self._queue, deque()
        for exchange in waiting:
            if not exchange.request.gone:
                self._unavailable(exchange)

    def failure(self, status: int, error: str, message: str, code: str) -> JsonAnswer:
        """Return an HTTP error answer of the router, with the headers that name the variant."""
        return failed(status, error, message, code=code, headers=self.headers)

    def _unavailable(self, exchange: ForwardedRequest) -> None:
        """Answer 503 to a request, with the reason why no process of the variant can take it.

        `exchange` is the request with its caller.
        """
        why = self.backends[0].why if self.backends else "it is being removed"
        exchange.done(
            self.failure(
                503, "Unavailable", f"variant {self.variant} cannot answer: {why}", "unavailable"
            )
        )

    def _arm(self) -> None:
        """Start the timer that checks waiting and running requests against their time-out."""
        pause = max(0.01, min(self.timeout / 8, self.return_wait / 8, 0.25))
        self._timer = asyncio.get_running_loop().call_later(pause, self._tick)

    def _tick(self) -> None:
        """Answer an error to each request, queued or running, that exceeds its time-out.

        One timer looks at all of them: a timer for each request would cost too much.
        """
        self._timer = None
        now = monotonic()
        for backend in list(self.backends):
            backend.expire(now, self.timeout)
        up = any(backend.port is not None for backend in self.backends)
        while self._queue:
            first = self._queue[0]
            if first.request.gone:
                self._queue.popleft()
            elif (waited := now - first.begun) >= self.timeout + self.return_wait:
                self._queue.popleft()
                words = (
                    f"variant {self.variant} was busy with other requests for {waited:.0f} s: it "
                    "needs more instances"
                )
                first.done(self.failure(503, "Unavailable", words, "unavailable"))
            elif not up and now - max(first.begun, self._down_since) >= self.return_wait:
                self._unavailable(self._queue.popleft())
            else:
                break
        if not self.quiet and self._timer is None:
            self._arm()
