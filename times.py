"""Moments at ports: aware, UTC, whole milliseconds (PORTS.md, rule 4); and as the integers that JSON and databases keep of them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def wall_clock() -> datetime:
    """This machine's."""
    return datetime.now(UTC)


def utc_milliseconds(moment: datetime) -> datetime:
    """Truncate to whole milliseconds in UTC: the one time resolution of every port."""
    if moment.tzinfo is not UTC:
        moment = moment.astimezone(UTC)
    beyond = moment.microsecond % 1000
    return moment.replace(microsecond=moment.microsecond - beyond) if beyond else moment


def midnight(day: date) -> datetime:
    """The day's first moment, in UTC."""
    return datetime.combine(day, time(), tzinfo=UTC)


def epoch_milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970, rounded down. A datetime without a zone is UTC, as tables and Arrow have it."""
    return ((moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH) // _MILLISECOND


def from_epoch(milliseconds: int) -> datetime:
    """The moment, in UTC, that is so many milliseconds after 1970."""
    return _EPOCH + milliseconds * _MILLISECOND
