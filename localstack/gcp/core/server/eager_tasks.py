"""Run a coroutine's first step at once, instead of at the loop's next turn."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

if sys.version_info >= (3, 12):

    def start_eagerly(coroutine: Coroutine[Any, Any, None]) -> object:
        """Run a coroutine in the running loop, the first step before this returns.

        The caller keeps what is returned until the coroutine has ended.
        """
        return asyncio.Task(coroutine, loop=asyncio.get_running_loop(), eager_start=True)

else:

    class start_eagerly:  # noqa: N801  called as the function of 3.12 above is
        """Run it in the loop that calls.

        It is no task: nothing in it may ask for the current one. What it waits for are futures.
        """

        __slots__ = ("_coroutine",)

        def __init__(self, coroutine: Coroutine[Any, Any, None]) -> None:
            self._coroutine = coroutine
            self._step()

        def _step(self, _: object = None) -> None:
            """Run the coroutine to its next wait."""
            try:
                awaited = self._coroutine.send(None)
            except StopIteration:
                return
            if awaited is None:  # asyncio.sleep(0)
                asyncio.get_running_loop().call_soon(self._step)
            else:
                awaited._asyncio_future_blocking = False  # noqa: SLF001  as a task does with a future that is awaited
                awaited.add_done_callback(self._step)
