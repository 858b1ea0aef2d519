"""Moments at ports: aware, UTC, whole milliseconds (PORTS.md, rule 4).

Also as the integers that JSON and databases keep of them.
"""

from __future__ import annotations

import time as machine
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from typing import final

from .errors import Unavailable

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
_STILL = 5.0  # seconds


def wall_clock() -> datetime:
    """Return the present time in UTC by this machine's clock."""
    return datetime.now(UTC)


@final
class StillClockAlarm:
    """An alarm that raises an error when the clock of a wait stands still.

    The wait would have no end.
    """

    def __init__(self, clock: Clock, *, what: str) -> None:
        """Begin to watch a clock that `what`, named in the error message, waits for."""
        self._clock, self._what = clock, what
        self._since, self._moment = machine.monotonic(), clock()

    def check(self) -> None:
        """Raise Unavailable if the clock that is watched has stood still for 5 s.

        It is called after each pause while something is waited for.
        """
        monotonic = (
            machine.monotonic()
        )  # before the clock: a process that is stopped in between must not think that it stands
        moment = self._clock()
        if moment != self._moment:
            self._since, self._moment = monotonic, moment
        elif monotonic - self._since >= _STILL:
            raise Unavailable(
                f"{self._what} waits for the target's clock, which stands still at "
                f"{moment:%Y-%m-%d %H:%M:%S} UTC",
                remedy="give the target a clock that moves; then the same command again goes on",
            )


def utc_milliseconds(moment: datetime) -> datetime:
    """Return a time in UTC, cut to whole milliseconds, the resolution of every port."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    beyond = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment


def midnight(day: date) -> datetime:
    """Return the first moment of a day, 00:00 UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)


def epoch_milliseconds(moment: datetime) -> int:
    """Return a time as whole milliseconds since 1970, rounded down.

    A datetime without a zone is UTC, as tables and Arrow have it.
    """
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def from_epoch(milliseconds: int) -> datetime:
    """Return the UTC datetime of a number of milliseconds since 1970."""
    return _EPOCH + milliseconds * _MILLISECOND
