"""Cron schedules as FeatureView.SyncConfig writes them.

Five fields, with `TZ=Zone` or `CRON_TZ=Zone` before them. A day is due if day of month and day of
week both fit; if both are restricted, one of them is enough (crontab(5)).
"""

from __future__ import annotations

import re
from datetime import date, datetime
from zoneinfo import ZoneInfo

import msgspec

from .....core import cron

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    either_day: bool  # both kinds of days are restricted
    zone: str


def parse(text: str) -> Schedule:
    """Parse a cron expression, and return the schedule that it describes.

    Raises:
        ValueError: The text is no cron expression; the message says why.
    """
    prefix = _ZONE.match(text)
    zone = prefix[1] if prefix else "UTC"
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{zone!r} is no time zone of the IANA database") from None
    fields = text[prefix.end() if prefix else 0 :].split()
    if len(fields) != 5:
        raise ValueError(
            f"{text!r} has {len(fields)} fields; a schedule has five: minute, hour, day, "
            "month, weekday"
        )
    weekdays = {number % 7 for number in cron.numbers(fields[4], 0, 7, cron.DAYS, 0)}
    return Schedule(
        minutes=cron.numbers(fields[0], 0, 59),
        hours=cron.numbers(fields[1], 0, 23),
        days=cron.numbers(fields[2], 1, 31),
        months=cron.numbers(fields[3], 1, 12, cron.MONTHS, 1),
        weekdays=frozenset(weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        zone=zone,
    )


def next_time(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first minute after `after` at which a cron schedule is due, in UTC, or None.

    It is None for a schedule that is never due, such as one of 30 February.
    """
    zone = ZoneInfo(schedule.zone)
    return cron.first_time(
        lambda day: _due(schedule, day), schedule.hours, schedule.minutes, zone, after
    )


def _due(schedule: Schedule, day: date) -> bool:
    """Return whether a cron schedule is due on a day."""
    if day.month not in schedule.months:
        return False
    by_day, by_weekday = day.day in schedule.days, day.isoweekday() % 7 in schedule.weekdays
    return by_day or by_weekday if schedule.either_day else by_day and by_weekday
