"""When a cron schedule is due, as FeatureView.SyncConfig writes it: five fields, with `TZ=Zone` or `CRON_TZ=Zone` before them.

A day is due where day of month and day of week both fit; where both are restricted, where either does (crontab(5)).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import msgspec

_ZONE = re.compile(r"(?:CRON_)?TZ=(\S+)\s+")
_ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_YEARS = 8  # 29 February comes once in eight years at the rarest


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # Sunday is 0
    either_day: bool  # both kinds of days are restricted
    zone: str


def parse(text: str) -> Schedule:
    """ValueError says what is wrong with `text`."""
    prefix = _ZONE.match(text)
    zone = prefix[1] if prefix else "UTC"
    try:
        ZoneInfo(zone)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"{zone!r} is no time zone of the IANA database") from None
    fields = text[prefix.end() if prefix else 0 :].split()
    if len(fields) != 5:
        raise ValueError(f"{text!r} has {len(fields)} fields; a schedule has five: minute, hour, day, month, weekday")
    weekdays = {number % 7 for number in _numbers(fields[4], 0, 7, _DAYS, 0)}
    return Schedule(
        minutes=tuple(sorted(_numbers(fields[0], 0, 59))),
        hours=tuple(sorted(_numbers(fields[1], 0, 23))),
        days=frozenset(_numbers(fields[2], 1, 31)),
        months=frozenset(_numbers(fields[3], 1, 12, _MONTHS, 1)),
        weekdays=frozenset(weekdays),
        either_day=not fields[2].startswith("*") and not fields[4].startswith("*"),
        zone=zone,
    )


def next_time(schedule: Schedule, after: datetime) -> datetime | None:
    """The first due minute later than `after`, in UTC; None: there is none (30 February)."""
    zone = ZoneInfo(schedule.zone)
    local = after.astimezone(zone)
    for offset in range(_YEARS * 366):
        day = local.date() + timedelta(days=offset)
        if not _due(schedule, day):
            continue
        for hour in schedule.hours:
            for minute in schedule.minutes:
                moment = datetime.combine(day, time(hour, minute), zone).astimezone(UTC)
                exists = moment.astimezone(zone).time() == time(hour, minute)  # an hour that a zone skips is skipped
                if exists and moment > after:
                    return moment
    return None


def _due(schedule: Schedule, day: date) -> bool:
    if day.month not in schedule.months:
        return False
    by_day, by_weekday = day.day in schedule.days, day.isoweekday() % 7 in schedule.weekdays
    return by_day or by_weekday if schedule.either_day else by_day and by_weekday


def _numbers(field: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0) -> set[int]:
    numbers: set[int] = set()
    for item in field.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no item of a schedule")
        start, end, step = match.groups()
        begin = low if start == "*" else _number(start, names, first)
        stop = _number(end, names, first) if end else (high if start == "*" or step else begin)
        if not (low <= begin <= stop <= high) or step == "0":
            raise ValueError(f"{item!r} is not within {low}-{high}")
        numbers.update(range(begin, stop + 1, int(step or 1)))
    return numbers


def _number(word: str, names: tuple[str, ...], first: int) -> int:
    if word.isdecimal():
        return int(word)
    if word.lower() in names:
        return names.index(word.lower()) + first
    raise ValueError(f"{word!r} is no number or name of a schedule")
