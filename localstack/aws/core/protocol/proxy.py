"""A proxy that ends connections to AWS's hosts in the stack, for clients with fixed addresses.

The sagemaker SDK, for example, asks STS at its regional address. Other hosts are reached as without
the proxy: most of what a command does by HTTPS has nothing to do with AWS.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

from ....core.http.certificates import Authority
from ....core.http.connection_limits import HEAD_WITHIN
from ....core.http.peers import is_other_user
from ....core.http.tunnel import Pipe, end_tls, through
from ....core.state import Stack
from ..environment import DOOR

HOSTS = ("amazonaws.com", "amazonaws.com.cn", "api.aws")
_HOST = "127.0.0.1"
_LARGEST = 16 << 10  # bytes of a CONNECT with its headers


def leads_here(host: str) -> bool:
    """Return whether the proxy connects a host name to the offline AWS, not to the real host."""
    return any(host == domain or host.endswith(f".{domain}") for domain in HOSTS)


class Proxy:
    """The proxy of one stack. It listens on a port of its own once its variables are asked for."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = threading.Lock()
        self._variables: dict[str, str] | None = None
        self._close: Callable[[], object] = lambda: None

    def variables(self) -> dict[str, str]:
        """Return the environment variables (HTTPS_PROXY ...) that lead HTTPS through the proxy.

        They also make the AWS SDKs trust the certificate with which the proxy answers for AWS's
        hosts.
        """
        with self._lock:
            if self._variables is None:
                self._variables = self._begin()
            return self._variables

    def close(self) -> None:
        """Close the proxy, if it runs."""
        with self._lock:
            self._close()
            self._close = lambda: None

    def _begin(self) -> dict[str, str]:
        """Start the proxy's thread, and return the environment variables that point to it."""
        authority = Authority(self._stack.home / "authority", "Isthmus offline AWS", ["http/1.1"])
        loop = asyncio.new_event_loop()
        threading.Thread(target=_run, args=(loop,), name="proxy", daemon=True).start()
        serving = loop.create_server(lambda: _Connect(loop, self._stack, authority), _HOST, 0)
        server = asyncio.run_coroutine_threadsafe(serving, loop).result()
        self._close = lambda: loop.call_soon_threadsafe(_stop, loop, server)
        url = f"http://{_HOST}:{server.sockets[0].getsockname()[1]}"
        return {
            DOOR: url,
            "HTTPS_PROXY": url,
            "https_proxy": url,
            "AWS_CA_BUNDLE": str(authority.bundle),
        }


def _run(loop: asyncio.AbstractEventLoop) -> None:
    """Run the proxy's event loop in its thread."""
    loop.run_forever()
    loop.close()


def _stop(loop: asyncio.AbstractEventLoop, server: asyncio.Server) -> None:
    """Stop the proxy's server and its event loop."""
    server.close()
    loop.stop()


class _Connect(asyncio.Protocol):
    """One connection, until it is known where it leads."""

    def __init__(self, loop: asyncio.AbstractEventLoop, stack: Stack, authority: Authority) -> None:
        self._loop = loop
        self._stack = stack
        self._authority = authority
        self._transport: Any = None
        self._head = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Wait for the head of a CONNECT; refuse other users of the machine."""
        self._transport = transport
        self._late = self._loop.call_later(HEAD_WITHIN, transport.close)
        if is_other_user(
            transport.get_extra_info("peername"), transport.get_extra_info("sockname")[1]
        ):
            self._refuse("403 Forbidden", "this stack belongs to another user of this machine")

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  asyncio's name
        """Cancel the time limit of a connection that was closed."""
        self._late.cancel()

    def data_received(self, data: bytes) -> None:
        """Collect the bytes of a CONNECT request, and open the tunnel when its head is complete."""
        self._head += data
        head, end, _ = self._head.partition(b"\r\n\r\n")
        if end:
            self._late.cancel()
        if end and not self._transport.is_closing():
            self._lead(head.partition(b"\r\n")[0].decode("latin-1").split())
        elif len(self._head) > _LARGEST:
            self._refuse("431 Request Header Fields Too Large", "a CONNECT has 16 KiB at most here")

    def _lead(self, words: list[str]) -> None:
        """Connect the client to the real host that it named, or to the offline AWS.

        `words` are those of the request line: CONNECT, host:port, HTTP version.
        """
        if len(words) != 3 or words[0] != "CONNECT":
            self._refuse(
                "405 Method Not Allowed",
                f"only CONNECT is answered here; the stack is {self._stack.url}",
            )
            return
        host, _, port = words[1].lower().rpartition(":")
        if not leads_here(host) or host in self._stack.allow_hosts:
            work = through(self._transport, host.strip("[]"), port)
        else:
            work = end_tls(self._transport, partial(self._authority.context, host), self._stack_at)
        self._loop.create_task(work).add_done_callback(partial(_abort_on_error, self._transport))

    async def _stack_at(self, secure: Any) -> asyncio.Protocol:
        """Return an asyncio protocol that passes the client's decrypted bytes to the stack."""
        host, _, port = self._stack.url.removeprefix("http://").rpartition(":")
        inner, _ = await self._loop.create_connection(lambda: Pipe(secure), host, int(port))
        return Pipe(inner)

    def _refuse(self, status: str, words: str) -> None:
        """Send an HTTP error with this status and text to the client, and close the connection."""
        body = f"{words}\n".encode()
        self._transport.write(
            f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n".encode()
            + b"Connection: close\r\n\r\n"
            + body
        )
        self._transport.close()


def _abort_on_error(transport: Any, done: asyncio.Task[None]) -> None:
    """Close a connection whose task failed, so that its client does not wait for ever."""
    if not done.cancelled() and done.exception() is not None:
        transport.abort()
