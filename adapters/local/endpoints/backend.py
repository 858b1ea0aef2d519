"""Forward one request to a variant's process, over one kept connection, one request at a time.

A model predicts one request at a time. What waits does so here, where it can still go to another
process: only the request that a process works at is lost with it. A request is sent once: aiohttp
repeats no POST.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from io import BytesIO
from time import monotonic
from typing import Any, Protocol

import aiohttp
from yarl import URL

from ....endpoints.http.error_log import tell
from ....endpoints.http.requests import Headers, JsonAnswer, Request, failure

AGAIN = 0.1  # seconds until a process that refused a connection is tried again
KEPT = (
    1_800.0  # seconds that an idle connection is used again; a model server closes it after 3,600
)
_LARGE = 1_000_000  # bytes of a body above which it is sent in parts


def failed(
    status: int, error: str, message: str, *, code: str = "", headers: Headers = ()
) -> JsonAnswer:
    """Return an HTTP error answer that the router itself makes, as JSON.

    `code` tells Isthmus's own client what happened, for example that the answer was lost.
    """
    line = ((b"x-isthmus-error", code.encode()),) if code else ()
    return failure(status, error, message, headers=(*headers, *line))


class ForwardedRequest:
    """A request on its way to a variant.

    `done` is called exactly once, unless the request is `gone` (nobody waits any more) before it
    was sent.
    """

    __slots__ = ("_answered", "begun", "request", "variant")

    def __init__(
        self,
        request: Request,
        variant: str,
        answered: Callable[[ForwardedRequest, JsonAnswer], None],
    ) -> None:
        self.request = request
        self.variant = variant
        self.begun = monotonic()
        self._answered = answered

    def done(self, answer: JsonAnswer) -> None:
        """Deliver the answer to the caller that waits for this request."""
        self._answered(self, answer)


class Queue(Protocol):
    """A variant's balancer, as a process knows it: who brings requests and hears how it is."""

    variant: str
    headers: Headers  # of every answer
    max_answer: int  # bytes

    def ready(self, backend: VariantProcess) -> None:
        """Record that a process is idle, and send it the next waiting request, if any."""

    def went(self, backend: VariantProcess) -> None:
        """Send no more requests to a process that has ended, or is about to end."""

    def put_back(self, exchange: ForwardedRequest) -> None:
        """Put a request that could not be sent back into the queue, as the next to be answered.

        `exchange` is the request with its caller.
        """

    def failure(self, status: int, error: str, message: str, code: str) -> JsonAnswer:
        """Return an HTTP error answer of the router, with the headers that name the variant."""
        ...


class _TooLarge(Exception):
    """The answer is above the limit."""


class VariantProcess:
    """One process of a variant.

    `open` it when the process is ready, `close` it when it is gone or about to go.
    """

    def __init__(self, balancer: Queue, *, hung: Callable[[], None] = lambda: None) -> None:
        self.balancer = balancer
        # called when the process works at one request for longer than the time-out
        self.hung = hung
        self.port: int | None = None  # None: no process is ready
        self.why = "it is starting"
        self.returns = True  # a process will be ready soon: requests may wait for it
        self.answered = 0  # by the process that is open now
        self.exchange: ForwardedRequest | None = None
        self.sent: float | None = None  # since when the process works at it
        self._session: aiohttp.ClientSession | None = None  # with the process that is open now
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def busy(self) -> bool:
        """Whether the model server process works at a request now."""
        return self.sent is not None

    def open(self, port: int) -> None:
        """Start to send requests to the model server process that listens at a port."""
        self._hang_up()
        self.port, self.returns, self.answered = port, True, 0
        self._session = _session()
        self.balancer.ready(self)

    def close(self, why: str, *, returns: bool) -> None:
        """Stop sending requests to the process; keep the reason `why` for error messages.

        The request under way gets the answer that still comes. `returns` says that a process will
        be ready again soon, so that requests may wait for it.
        """
        self.port, self.why, self.returns = None, why, returns
        if not self.busy:
            self._hang_up()
        self.balancer.went(self)

    def send(self, exchange: ForwardedRequest) -> bool:
        """Send a request to the process; return False if it is not ready, and nothing was sent.

        `exchange` is the request with its caller.
        """
        if self.port is None or self._session is None or self.busy:
            return False
        self.exchange, self.sent = exchange, monotonic()
        self._begin(self._ask(self._session, self.port, exchange))
        return True

    def expire(self, now: float, timeout: float) -> None:
        """Answer 504 to a request that exceeds the time-out, and report that the process hangs."""
        if self.sent is None or now - self.sent < timeout:
            return
        exchange, self.exchange, self.sent = self.exchange, None, None
        if exchange is not None:
            words = f"variant {self.balancer.variant} did not answer within {timeout:g} s"
            exchange.done(self.balancer.failure(504, "Timeout", words, ""))
        self.hung()

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Start an asyncio task, and hold a reference to it until it ends."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _hang_up(self) -> None:
        """Close the connection to the process; a caller that still waits gets the 502 answer."""
        session, self._session = self._session, None
        exchange, self.exchange, self.sent = self.exchange, None, None
        if session is not None:
            self._begin(session.close())
        if exchange is not None:
            exchange.done(self._lost())

    async def _ask(
        self, session: aiohttp.ClientSession, port: int, exchange: ForwardedRequest
    ) -> None:
        """Send a request to the model server, pass its answer on, then take the next one.

        `exchange` is the request with its caller. A request of which nothing was sent goes back to
        the balancer's queue.
        """
        answer = await self._answer(session, port, exchange.request)
        if session is not self._session:
            return  # whoever hung up has told it
        waits, self.exchange, self.sent = self.exchange is exchange, None, None
        if waits and answer is not None:
            exchange.done(answer)
        elif waits:
            self.balancer.put_back(exchange)
        if answer is None:
            await asyncio.sleep(AGAIN)
        if session is not self._session or self.busy:
            return
        if self.port is None:
            self._hang_up()
        else:
            self.balancer.ready(self)

    async def _answer(
        self, session: aiohttp.ClientSession, port: int, request: Request
    ) -> JsonAnswer | None:
        """Post a request to the model server; return its answer, or None if nothing was sent.

        If the answer was lost, a 502 answer is returned. After None another process may take the
        request.
        """
        try:
            answer = await self._post(session, port, request)
        except aiohttp.ClientConnectorError:  # it is dying, or this process has no descriptor left
            return None
        except _TooLarge:
            words = (
                f"variant {self.balancer.variant} answered more than "
                f"{self.balancer.max_answer:,} bytes"
            )
            return self.balancer.failure(502, "AnswerTooLarge", words, "")
        except (aiohttp.ClientError, OSError) as error:
            if not isinstance(error, aiohttp.ClientConnectionError | OSError):
                tell("reading a model server's answer failed", error)
            return self._lost()
        self.answered += 1
        return answer

    def _lost(self) -> JsonAnswer:
        """Return the 502 answer for a request that was sent and whose reply was lost."""
        words = f"variant {self.balancer.variant} ended the connection before it answered"
        return self.balancer.failure(502, "ConnectionLost", words, "lost")

    async def _post(
        self, session: aiohttp.ClientSession, port: int, request: Request
    ) -> JsonAnswer:
        """Post a request to the model server's HTTP port, and return its answer."""
        body = request.body if len(request.body) <= _LARGE else BytesIO(request.body)
        headers = {"content-type": request.headers[b"content-type"].decode("latin-1")}
        url = URL.build(scheme="http", host="127.0.0.1", port=port, path="/invocations")
        async with session.post(url, data=body, headers=headers, allow_redirects=False) as response:
            parts, size = [], 0
            async for part in response.content.iter_any():
                size += len(part)
                if size > self.balancer.max_answer:
                    response.close()
                    raise _TooLarge
                parts.append(part)
        return JsonAnswer(response.status, b"".join(parts), self.balancer.headers)


async def ping(port: int) -> None:
    """Return once the model server at a port answers /ping; raise OSError if it does not."""
    async with _session() as session:
        try:
            async with session.get(f"http://127.0.0.1:{port}/ping") as response:
                status = response.status
        except aiohttp.ClientError as error:
            raise ConnectionError(str(error)) from error
    if status != 200:
        raise ConnectionError(f"/ping answered {status}")


def _session() -> aiohttp.ClientSession:
    """Return an aiohttp client session limited to one connection.

    It adds no default headers, and has no time-out of its own: the caller has one.
    """
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=1, keepalive_timeout=KEPT),
        cookie_jar=aiohttp.DummyCookieJar(),
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
        skip_auto_headers=("user-agent", "accept", "accept-encoding"),
        auto_decompress=False,
    )
