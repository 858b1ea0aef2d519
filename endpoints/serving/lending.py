"""A connection that is lent to the predicting thread, which reads and answers it itself: no other
thread must wake for a request.

It knows whole requests that are like the one before; with whatever else comes it goes back to the
loop, which knows all of HTTP.
"""

from __future__ import annotations

import os
import select
import socket
from collections.abc import Callable

import msgspec

from .connection import answer_head
from .connections import Connection, Request
from .repeated import Head

ALONE = 8  # requests of one connection, and none of another, before it is lent
SILENT = (
    5.0  # seconds without a request, then it goes back: how long it may idle is the loop's to say
)
_PIECE = 262_144  # bytes


class Rest(msgspec.Struct, frozen=True):
    """With what a connection goes back."""

    data: bytes = b""  # that was read, and is the loop's
    unsent: bytes = b""  # of the last answer
    keep: bool = True


class Loan:
    """Made in the loop's thread, served in the predicting one."""

    def __init__(self, connection: Connection, head: Head) -> None:
        """`head`: of the requests. OSError: no descriptor is left."""
        self.connection = connection
        self._head = head
        self._wake, self._woken = socket.socketpair()
        self._poll = select.poll()
        for descriptor in (connection.descriptor, self._woken.fileno()):
            self._poll.register(descriptor, select.POLLIN)

    def recall(self) -> None:
        """It goes back once a request that is under way is answered."""
        self._wake.close()  # which the other end sees; a byte each time might find no room

    def serve(self, predicted: Callable[[Request], tuple[int, bytes]], extra: bytes) -> Rest:
        """Answer requests until it has to go back."""
        while True:
            ready = dict(self._poll.poll(1000 * SILENT))
            rest = self._next(predicted, extra) if self.connection.descriptor in ready else Rest()
            if rest is not None or len(ready) > 1:
                return rest or Rest()

    def close(self) -> None:
        self._wake.close()
        self._woken.close()

    def _next(self, predicted: Callable[[Request], tuple[int, bytes]], extra: bytes) -> Rest | None:
        """One request. None: more may come."""
        try:
            data = os.read(self.connection.descriptor, _PIECE)
        except OSError:  # which the loop will see, too
            return Rest()
        body = self._head.body(data)
        if body is None:
            return Rest(data=data)
        status, answer = predicted(self._head.again(self.connection, body))
        keep = not self.connection.server.stopping
        return self._send(answer_head(status, len(answer), extra, keep=keep) + answer, keep=keep)

    def _send(self, message: bytes, *, keep: bool) -> Rest | None:
        try:
            unsent = message[os.write(self.connection.descriptor, message) :]
        except BlockingIOError:
            unsent = message
        except OSError:
            return Rest()
        return None if keep and not unsent else Rest(unsent=unsent, keep=keep)
