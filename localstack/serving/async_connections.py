"""HTTP to containers on this machine from an event loop, over kept connections: aiohttp's.

It is what connections.py is for threads: a thread's hop costs more than a small model does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from io import BytesIO

import aiohttp

from .connections import (
    CLOSED,
    Answer,
    Headers,
    NotReached,
    TimedOut,
    clean,
    decoded,
    require_final,
)

_LONGEST_LINE = 65_536  # bytes of a line of an answer's head: as many as http.client reads
_LARGE = 1_000_000  # bytes of a body above which it is sent in parts


class AsyncConnections:
    """The connections of one event loop to every container.

    No request is repeated once it is sent: aiohttp repeats no POST.
    """

    def __init__(self) -> None:
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self,
        port: int,
        path: str,
        body: bytes = b"",
        headers: Headers = (),
        *,
        within: float,
        on_stop: Callable[[Callable[[], object]], None],
    ) -> Answer:
        """Send a POST request to a model container once, and return its response.

        Args:
            port: The container's.
            path: The URL's path.
            body: The request's body.
            headers: The headers besides Host and Content-Length.
            within: Seconds for the whole exchange.
            on_stop: Keeps what ends the connections when the stack stops.

        Raises:
            NotReached: The container gave no complete answer.
            TimedOut: The answer did not come in time.
        """
        session = self._session
        if session is None:
            session = self._session = _session()
            loop = asyncio.get_running_loop()
            on_stop(lambda: asyncio.run_coroutine_threadsafe(_close(session), loop))
        if session.closed:
            raise NotReached("the stack has stopped")
        try:
            async with session.post(
                f"http://127.0.0.1:{port}{path}",
                data=body if len(body) <= _LARGE else BytesIO(body),
                headers={name: _sent(value) for name, value in headers},
                timeout=aiohttp.ClientTimeout(total=within),
                allow_redirects=False,
            ) as response:
                require_final(response.status)
                content = await response.read()
                return Answer(response.status, decoded(response.raw_headers), content)
        except TimeoutError as error:
            raise TimedOut(f"no answer within {within:g} seconds") from error
        except aiohttp.ClientConnectorError as error:
            raise NotReached(f"nothing listens on 127.0.0.1:{port}") from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientPayloadError) as error:
            raise NotReached(CLOSED) from error
        except (aiohttp.ClientError, OSError) as error:
            raise NotReached(f"the connection to the container failed: {error}") from error


def _session() -> aiohttp.ClientSession:
    """Return a new aiohttp session without default headers and without a connection limit."""
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=0),
        cookie_jar=aiohttp.DummyCookieJar(),
        skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
        auto_decompress=False,
        max_line_size=_LONGEST_LINE,
        max_field_size=_LONGEST_LINE,
    )


async def _close(session: aiohttp.ClientSession) -> None:
    """Close an aiohttp session with its connections."""
    await session.close()


def _sent(value: str) -> str:
    """Return a header's value, read as latin-1, as the text that makes aiohttp send its bytes.

    A value that is not UTF-8 is sent as the UTF-8 of its latin-1 characters.
    """
    value = clean(value)
    if value.isascii():
        return value
    sent = value.encode("latin-1", "replace")
    try:
        return sent.decode()
    except UnicodeDecodeError:
        return sent.decode("latin-1")
