"""A WSGI front's server: waitress, without connections that keep others out.

Heads that come slowly are dropped, and so are bodies that stand still. When every place is taken,
the connection that has been silent for longest makes room, unless its request is whole: then it is
at work.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.server import TcpWSGIServer
from waitress.wasyncore import loop

from .answers import Cut
from .connection_limits import BODY_SILENT, HEAD_WITHIN, most_connections

_THREADS = 33  # one of them waits for what comes, the others answer
_logger = logging.getLogger(__name__)
_SMALL = 64 << 10  # bytes of a body that are copied to go out with the head
_BODY = 5 << 30  # S3's largest single PUT; more than other stores take in one request


class Task(HTTPChannel.task_class):  # type: ignore[misc]  # waitress has no types
    """The answer to one request."""

    def write(self, data: bytes) -> None:
        """Write a part of the answer; the head and a small body go out in one packet.

        Waitress would send each by itself, and the client would wake up for each.
        """
        if self.wrote_header or len(data) > _SMALL:
            super().write(data)
            return
        unsent: list[bytes] = []
        channel: Any = self.channel
        channel.unsent = unsent
        try:
            super().write(data)
        finally:
            channel.unsent = None
        channel.write_soon(b"".join(unsent))


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress has no types
    """A connection."""

    task_class = Task
    unsent: list[bytes] | None = None  # the parts of an answer that are to be sent together
    _head_began = 0.0

    def write_soon(self, data: Any) -> int:
        """Send a part of an answer, or keep it until the parts that go out with it have come."""
        if self.unsent is None:
            sent: int = super().write_soon(data)
            return sent
        self.unsent.append(data)
        return len(data)

    def received(self, data: bytes) -> Any:
        """Parse received bytes of a request, noting when the request's head began."""
        if self.request is None:
            self._head_began = time.time()
        return super().received(data)

    def overdue(self, now: float) -> bool:
        """Return whether the rest of a request that has begun comes too slowly.

        `now` is the time of the monotonic clock.
        """
        if (request := self.request) is None or self.requests:
            return False
        in_body: bool = request.headers_finished
        return (
            now - self.last_activity > BODY_SILENT
            if in_body
            else now - self._head_began > HEAD_WITHIN
        )


class _Threads:
    """The threads of a server, which take turns at its loop: who reads a request answers it.

    Waitress's own dispatcher reads in one thread and wakes another one for each request, while the
    client waits. Here the next thread at the loop is woken while the request is answered already
    (Schmidt et al., "Leader/Followers", 2000). The last free thread stays at the loop: a request
    that it reads waits for one of the others.
    """

    def __init__(self) -> None:
        self._requests: deque[Any] = deque()  # a channel for each
        self._turn = threading.Lock()  # of the thread that is at the loop
        self._waiting = 0  # threads that wait for their turn
        self._busy = 0  # threads that answer a request
        self._closed = False
        self._changed = threading.Condition(threading.Lock())  # guards what is above
        self._failed = threading.Event()

    def add_task(self, channel: Any) -> None:
        """Queue a channel whose next request has been read, for a thread to answer it."""
        self._requests.append(channel)

    def run(self, poll: Callable[[], object]) -> None:
        """Read and answer requests; return only if `poll` raises, which ends all threads.

        Args:
            poll: Waits for connections and bytes, a second at most, and takes what has come.
        """
        for number in range(_THREADS):
            threading.Thread(
                target=self._work, args=(poll,), name=f"wsgi-{number}", daemon=True
            ).start()
        self._failed.wait()

    def shutdown(self, timeout: float) -> None:
        """Begin no more requests, and wait at most `timeout` seconds for those under way."""
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: not self._busy, timeout)
        while self._requests:
            self._requests.popleft().cancel()

    def _work(self, poll: Callable[[], object]) -> None:
        """Answer one request after the other, and poll for more when it is this thread's turn."""
        while self._answer_next(poll):
            pass

    def _answer_next(self, poll: Callable[[], object]) -> bool:
        """Wait for a request, and answer it; return False if the loop has failed meanwhile.

        `poll` waits for connections and bytes.
        """
        channel = self._next_request(poll)
        if channel is None:
            return False
        try:
            channel.service()
        except BaseException:  # the thread goes on, or one day there would be none
            _logger.exception("a request was not answered")
        finally:
            with self._changed:
                self._busy -= 1
                if self._closed:
                    self._changed.notify_all()
        return True

    def _next_request(self, poll: Callable[[], object]) -> Any:
        """Wait for a request, and return its channel; None: the loop has failed.

        `poll` waits for connections and bytes.
        """
        with self._changed:
            self._waiting += 1
        try:
            if (channel := self._take()) is not None:  # read while no thread was free
                return channel
            self._turn.acquire()
        finally:
            with self._changed:
                self._waiting -= 1
        try:
            while not self._failed.is_set():
                if self._waiting and (channel := self._take()) is not None:
                    return channel
                poll()
        except BaseException:
            self._failed.set()  # before another thread has its turn
            raise
        finally:
            self._turn.release()
        return None

    def _take(self) -> Any:
        """Return the channel of the oldest request that nobody answers yet; None: there is none."""
        with self._changed:
            if self._closed or not self._requests:
                return None
            self._busy += 1
            return self._requests.popleft()


class _Server(TcpWSGIServer):  # type: ignore[misc]
    """Waitress's server, which drops connections that keep others out."""

    _swept = 0.0
    active_channels: Any  # waitress has no types: by descriptor

    def readable(self) -> bool:
        """Return whether the server can accept a new connection.

        Waitress asks at each turn of its loop, at least once a second.
        """
        now = time.time()
        if now - self._swept > 1:
            self._swept = now
            self.maintenance(int(now))
            for channel in list(self.active_channels.values()):
                channel.will_close |= channel.overdue(now)
        return self.accepting and (
            len(self.active_channels) < self.adj.connection_limit or bool(self._waiting())
        )

    def handle_accept(self) -> None:
        """Accept a connection; if the server is full, drop an idle one.

        The idle one is closed after the new one is accepted: else the new one could get its
        descriptor, and with it what poll() has said of the old one.
        """
        super().handle_accept()
        if len(self.active_channels) > self.adj.connection_limit:
            min(self._waiting(), key=lambda channel: channel.last_activity).handle_close()

    def _waiting(self) -> list[Channel]:
        """Return the connections for which no request is being answered."""
        return [channel for channel in self.active_channels.values() if not channel.requests]


class WsgiServer:
    """A server that listens from the moment that it is made.

    Raises:
        OSError: The port is taken.
    """

    def __init__(self, front: Any, host: str, port: int, channel: type[Channel]) -> None:
        self._threads: Any = _Threads()  # waitress wants its own class, and calls four methods
        self._server: Any = _Server(
            _cutting(front),
            dispatcher=self._threads,
            host=host,
            port=port,
            max_request_body_size=_BODY,
            connection_limit=most_connections(),
            ident="isthmus",
            clear_untrusted_proxy_headers=True,
        )
        self._server.channel_class = channel
        self.port: int = self._server.effective_port

    def run(self) -> None:
        """Serve HTTP requests until the process ends."""
        self._threads.run(
            partial(loop, timeout=1, use_poll=True, map=self._server._map, count=1)  # noqa: SLF001  waitress's own loop has no end
        )

    def close(self, seconds: float) -> None:
        """Stop the server; requests under way get `seconds` to end."""
        self._threads.shutdown(seconds)


def _cutting(front: Any) -> Any:
    """Wrap a WSGI application so that a fault can cut the connection without a response.

    waitress is made to believe that the client has left: it then closes the connection silently.
    """

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        try:
            return front(environ, start_response)
        except Cut:
            raise ClientDisconnected from None

    return application
