"""Moments as the integers that SQLite keeps: UTC milliseconds since 1970."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from ...storage import utc_milliseconds

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)


def milliseconds(moment: datetime) -> int:
    return (utc_milliseconds(moment) - _EPOCH) // _MILLISECOND


def moment(value: int) -> datetime:
    return _EPOCH + value * _MILLISECOND
