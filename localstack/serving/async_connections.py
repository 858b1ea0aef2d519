"""HTTP to a container from an event loop: what connections.py is for threads.

A thread's hop costs more than a small model does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from .connections import Answer, NotReached, Reading, TimedOut, head, whole_answer
from .reply import Reply


class AsyncConnections:
    """The pool of one container in one event loop."""

    def __init__(self) -> None:
        self._idle: deque[_Connection] = deque()

    async def ask(
        self,
        port: int,
        method: str,
        path: str,
        body: bytes = b"",
        headers: tuple[tuple[str, str], ...] = (),
        *,
        within: float = 60.0,
    ) -> Answer:
        """Send a request once, and return its answer.

        Raises:
            NotReached: There is no whole answer.
            TimedOut: There is none in time.
        """
        connection = await self._take(port)
        answer = connection.send(head(port, method, path, len(body), headers) + body, within)
        try:
            result = await answer
        except TimeoutError as error:
            raise TimedOut(f"no answer within {within:g} seconds") from error
        except BaseException:
            connection.close()
            raise
        if result.keep and not connection.closed:
            self._idle.append(connection)
        else:
            connection.close()
        return result

    async def _take(self, port: int) -> _Connection:
        """Return an idle connection, or a new one."""
        while self._idle:
            idle = self._idle.pop()
            if not idle.closed and idle.port == port:
                return idle
            idle.close()
        loop = asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: _Connection(port, loop), "127.0.0.1", port
            )
        except OSError as error:
            raise NotReached(f"nothing listens on 127.0.0.1:{port}") from error
        return connection

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()


class _Connection(asyncio.Protocol):
    def __init__(self, port: int, loop: asyncio.AbstractEventLoop) -> None:
        self.port = port
        self.closed = False
        self._loop = loop
        self._transport: Any = None
        self._answer: Reading | None = None  # of which a part has come
        self._waiting: Reply | None = None
        self._until = 0.0  # when the answer is overdue, of the loop's time
        self._timer: asyncio.TimerHandle | None = (
            None  # at `_until` or before: a timer an exchange costs as much as its parsing
        )

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def send(self, request: bytes, within: float) -> Reply:
        """Send a request, and return its answer that is to come.

        The answer ends in TimeoutError when none has come within so many seconds, in NotReached
        when none will.
        """
        self._transport.write(request)
        self._answer = None
        self._waiting = waiting = Reply(self._loop)
        self._until = self._loop.time() + within
        if self._timer is None or self._timer.when() > self._until:
            self._time()
        if self.closed:
            self._fail(NotReached("the container closed the connection before it had answered"))
        return waiting

    def _time(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(self._until, self._look)

    def _look(self) -> None:
        """Fail the answer if it is overdue; else look again when it is."""
        self._timer = None
        if self._waiting is None or self._waiting.done():
            return
        if self._loop.time() < self._until:
            self._time()
        else:
            self._fail(TimeoutError())
            self.close()

    def data_received(self, data: bytes) -> None:
        if self._answer is None and (answer := whole_answer(data)) is not None:
            self._end(answer)
            return
        answer = self._answer = self._answer or Reading()
        try:
            answer.parser.feed_data(data)
        except Exception as error:  # noqa: BLE001  httptools has a class an error
            self._fail(NotReached(f"the connection to the container failed: {error}"))
            self.close()
            return
        if answer.complete:
            self._end(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        answer = self._answer
        if exc is None and answer is not None and answer.ends_with_connection:
            answer.on_message_complete()
            answer.keep = False
            self._end(answer)
        self._fail(NotReached("the container closed the connection before it had answered"))

    def close(self) -> None:
        self.closed = True
        if self._timer is not None:
            self._timer.cancel()
        if self._transport is not None:
            self._transport.close()

    def _end(self, answer: Answer) -> None:
        """Give the answer to its waiter.

        A caller does so last: the waiter may have sent the next request when this returns.
        """
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(answer)

    def _fail(self, error: Exception) -> None:
        """Give an error to the waiter."""
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(error)
