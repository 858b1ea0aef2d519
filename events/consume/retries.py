"""Ask a provider again that refuses a call for a moment, so that its bad minute stops no worker."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Protocol, TypeVar

from ...errors import OutcomeUnknown, Throttled, Unavailable
from ...times import Clock

FOR_A_MOMENT = (Throttled, Unavailable, OutcomeUnknown)  # what is worth asking again
_LONGEST = timedelta(seconds=60)  # for which it is asked
_FIRST, _MOST = 0.2, 5.0  # seconds between two calls: doubled from the one up to the other

Answer = TypeVar("Answer")


class Ask(Protocol):
    """A way to make a call to a provider: once, or again where it refuses for a moment."""

    def __call__(self, act: Callable[[], Answer], /) -> Answer:
        """Return what `act` returns."""
        ...


def at_once(act: Callable[[], Answer], /) -> Answer:
    """Return what `act` returns, asking once."""
    return act()


pause: Callable[[float], object] = threading.Event().wait


def insist(
    act: Callable[[], Answer],
    *,
    clock: Clock,
    meanwhile: Callable[[], object] = lambda: None,
) -> Answer:
    """Return what `act` returns, asking again for a minute where a provider refuses for a moment.

    Args:
        act: A call that may be done twice: what it did before is as if it had been done once.
        clock: By which the minute goes.
        meanwhile: Called after each pause: it keeps a lease, or ends the waiting by an error.

    Raises:
        Throttled, Unavailable, OutcomeUnknown: The provider still refuses after a minute.
    """
    began, seconds = clock(), _FIRST
    while True:
        try:
            return act()
        except FOR_A_MOMENT:
            if clock() - began >= _LONGEST:
                raise
        pause(seconds)
        seconds = min(2 * seconds, _MOST)
        meanwhile()
