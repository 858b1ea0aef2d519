"""All connections of the HTTP port; one that waits for its client keeps no other out."""

from __future__ import annotations

import asyncio
from typing import Protocol

from ....core.http.connection_limits import BODY_SILENT, HEAD_WITHIN, most_connections


class Waiting(Protocol):
    """A connection as far as making room for others is concerned."""

    busy: bool  # a whole request is being answered
    in_head: bool  # a part of a head has come
    heard: float  # when something last came, of the loop's time; a head's is when it began

    def idle(self) -> bool:
        """Return whether nothing of a further request has been received on the connection."""
        ...

    def abort(self) -> None:
        """Close the connection at once."""


class Connections:
    """The open connections, at most as many as the process may have.

    The one that has been silent for longest makes room for a new one, unless its request is whole.
    Slow heads and bodies that stand still are dropped.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._open: set[Waiting] = set()
        self._most = most_connections()
        loop.call_soon_threadsafe(self._sweep)

    def add(self, connection: Waiting) -> None:
        """Add a connection; if there are now too many, close the one that was silent the longest.

        Connections that are answering a request are not closed for this.
        """
        self._open.add(connection)
        if len(self._open) > self._most:
            waiting = [other for other in self._open if not other.busy]
            oldest = min(waiting, key=lambda other: other.heard)
            self.discard(oldest)
            oldest.abort()

    def discard(self, connection: Waiting) -> None:
        """Remove a connection from those that are counted."""
        self._open.discard(connection)

    def _sweep(self) -> None:
        """Close connections whose requests come too slowly; repeated every second."""
        now = self._loop.time()
        for connection in [other for other in self._open if not (other.busy or other.idle())]:
            if now - connection.heard > (HEAD_WITHIN if connection.in_head else BODY_SILENT):
                connection.abort()
        self._loop.call_later(1, self._sweep)
