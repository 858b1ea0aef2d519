"""The reply of a model server, which its waiter gets in the very call that brings it.

asyncio's own Future puts that off to the loop's next turn, which costs as much as reading the
answer does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any

from .connections import Answer


class Reply:
    """The part of a Future that a task asks of what it awaits.

    So do the eager tasks of the GCP stack. One waits, and nobody is told within a task.
    """

    __slots__ = ("_answer", "_asyncio_future_blocking", "_error", "_loop", "_waiter")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._asyncio_future_blocking = (
            False  # a task's way to tell a future that is awaited from a mistake
        )
        self._answer: Answer | None = None
        self._error: BaseException | None = None
        self._waiter: Callable[[], object] | None = None

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def done(self) -> bool:
        return self._answer is not None or self._error is not None

    def set_result(self, answer: Answer) -> None:
        self._answer = answer
        self._go_on()

    def set_exception(self, error: BaseException) -> None:
        self._error = error
        self._go_on()

    def cancel(self, msg: object = None) -> bool:  # noqa: ARG002  a task's word, which it keeps itself
        """Cancel the reply; False: it is done already."""
        if self.done():
            return False
        self._error = asyncio.CancelledError()
        if self._waiter is not None:  # by the loop: a task cancels from within another one
            self._loop.call_soon(self._waiter)
        return True

    def add_done_callback(self, callback: Callable[[Any], object], *, context: Any = None) -> None:
        self._waiter = (
            (lambda: callback(self)) if context is None else lambda: context.run(callback, self)
        )
        if self.done():
            self._loop.call_soon(self._waiter)

    def result(self) -> Answer:
        if self._error is not None:
            raise self._error
        assert self._answer is not None  # noqa: S101  who asks has been told that it is done
        return self._answer

    def __await__(self) -> Generator[Any, None, Answer]:
        if not self.done():
            self._asyncio_future_blocking = True
            yield self
        return self.result()

    def _go_on(self) -> None:
        if self._waiter is not None:
            self._waiter()
