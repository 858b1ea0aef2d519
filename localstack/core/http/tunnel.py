"""CONNECT, as far as the clouds' doors share it.

TLS ends here, or bytes are handed on as they are.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

_HIGH = 1 << 20  # bytes on their way to a slow reader
_ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


async def through(transport: Any, host: str, port: str) -> None:
    """Connect a proxy's client to the real host that it asked for, passing bytes through.

    `transport` is the client's connection.
    """
    between = _Between()
    transport.set_protocol(between)
    try:
        outer, _ = await asyncio.get_running_loop().create_connection(
            lambda: Pipe(transport), host, int(port or 443)
        )
    except (OSError, ValueError):
        transport.write(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")
        transport.close()
        return
    transport.write(_ESTABLISHED)
    between.become(transport, Pipe(outer))


async def end_tls(
    transport: Any,
    context: Callable[[], ssl.SSLContext],
    onward: Callable[[Any], Awaitable[asyncio.Protocol]],
) -> None:
    """Answer a CONNECT, terminate TLS, and pass the decrypted bytes to a protocol.

    Args:
        transport: The client's connection.
        context: Makes the TLS context, in a thread.
        onward: Given the decrypted connection, returns the protocol that gets its bytes.

    Raises:
        OSError: `onward` raised it.
    """
    between = _Between()
    transport.set_protocol(between)
    ready = await asyncio.to_thread(context)
    if (
        transport.is_closing()
    ):  # the client is gone, and asyncio's TLS would wait for it without an end
        return
    transport.write(_ESTABLISHED)
    try:
        secure: Any = await asyncio.get_running_loop().start_tls(
            transport, between, ready, server_side=True, ssl_handshake_timeout=30
        )
    except (OSError, ssl.SSLError):  # a client that does not trust us has said so itself
        transport.abort()
        return
    if secure is not None:
        between.become(secure, await onward(secure))


class _Between(asyncio.Protocol):
    """A protocol that keeps what comes until it is known who reads it."""

    def __init__(self) -> None:
        self._early: list[bytes] = []
        self._closed: tuple[Exception | None] | None = None

    def data_received(self, data: bytes) -> None:
        """Keep bytes that arrive before the tunnel is open."""
        self._early.append(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Note that the connection was closed before the tunnel was open."""
        self._closed = (exc,)

    def become(self, transport: Any, protocol: Any) -> None:
        """Give the connection to its final protocol, with the bytes that came before."""
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        for data in self._early:
            protocol.data_received(data)
        if self._closed is not None:
            protocol.connection_lost(*self._closed)


class Pipe(asyncio.Protocol):
    """A protocol that writes what it reads to `other`, at the speed of the reader there."""

    def __init__(self, other: Any) -> None:
        self._other = other

    def connection_made(self, transport: Any) -> None:
        """Limit what is buffered for a slow reader of this connection."""
        transport.set_write_buffer_limits(high=_HIGH)

    def data_received(self, data: bytes) -> None:
        """Pass received bytes to the other connection."""
        self._other.write(data)

    def pause_writing(self) -> None:
        """Stop reading from the other connection until this one can send more."""
        with contextlib.suppress(RuntimeError):
            self._other.pause_reading()

    def resume_writing(self) -> None:
        """Read from the other connection again."""
        with contextlib.suppress(RuntimeError):
            self._other.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """Close the other connection, as this one is closed."""
        self._other.close()
