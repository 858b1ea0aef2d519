"""Signals, told to a function whichever thread of the process the kernel gives them to.

A handler of Python's runs in the main thread, once that is back at bytecode. A main thread that
waits in a read or for a lock does not hear of a signal that another thread was given.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def calling(
    numbers: tuple[signal.Signals, ...], function: Callable[[int], object]
) -> Iterator[None]:
    """Call `function(number)` in a separate thread when these signals arrive during the block.

    Only the main thread may enter the block.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    thread = threading.Thread(
        target=_call_for_each_signal,
        args=(reading, frozenset(numbers), function),
        name="signals",
        daemon=True,
    )
    thread.start()
    wakeup = signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    previous_handlers = {number: signal.signal(number, _nothing) for number in numbers}
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(wakeup)
        os.close(writing)
        thread.join()
        os.close(reading)


def _call_for_each_signal(
    reading: int, numbers: frozenset[int], function: Callable[[int], object]
) -> None:
    """Read signal numbers from a pipe until it is closed, and call a function for each.

    `reading` is the pipe's file descriptor; numbers that are not in `numbers` are passed over.
    """
    while caught := os.read(reading, 64):
        for number in caught:
            if number in numbers:
                function(number)


def _nothing(*_: object) -> None:
    """Handle a signal by doing nothing, as without a handler its default action would run."""


def lives(process: int) -> bool:
    """Return whether a process with this id exists, whoever owns it."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
