"""What a forked process begins anew: locks that a thread of its parent holds, threads that it has
not, numbers that are the parent's.
"""

from __future__ import annotations

import os
import weakref
from typing import Protocol


class Renewing(Protocol):
    def renew(self) -> None:
        """In the child, before it has a second thread."""


def renewed_when_forked(thing: Renewing) -> None:
    """As long as somebody else holds it."""
    _things.add(thing)


_things: weakref.WeakSet[Renewing] = weakref.WeakSet()


def _after_fork() -> None:
    for thing in _things:
        thing.renew()


os.register_at_fork(after_in_child=_after_fork)
