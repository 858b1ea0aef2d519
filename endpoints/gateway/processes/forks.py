"""Renewal of objects in a forked process.

It renews locks that a thread of the parent holds, threads that the child lacks, and numbers that
are the parent's.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewing(Protocol):
    def renew(self) -> None:
        """Replace the locks and threads of the parent process, in a process just forked."""


def renewed_when_forked(thing: Renewing) -> None:
    """Register an object whose `renew()` is called in each process forked while it exists.

    A child process has copies of its parent's locks, but none of its threads.
    """
    _things.add(thing)


_things: weakref.WeakSet[Renewing] = weakref.WeakSet()


def _after_fork() -> None:
    """Call `renew()` of every registered object, in a process that was just forked."""
    for thing in _things:
        thing.renew()


os.register_at_fork(after_in_child=_after_fork)
