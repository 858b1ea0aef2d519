"""Schedules of scheduled actions: at(), rate() and cron(), and when they are due.

Source: Application Auto Scaling user guide, "Scheduled scaling" and "Schedule recurring scaling
actions using cron expressions".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

from ....core import cron

_FIELDS: tuple[tuple[str, int, int, tuple[str, ...]], ...] = (
    ("minutes", 0, 59, ()),
    ("hours", 0, 23, ()),
    ("day of month", 1, 31, ()),
    ("month", 1, 12, cron.MONTHS),
    ("day of week", 1, 7, cron.DAYS),
    ("year", 1970, 2199, ()),
)
_UNITS = {"minute": timedelta(minutes=1), "hour": timedelta(hours=1), "day": timedelta(days=1)}
NextRun = Callable[[datetime], datetime | None]  # the first moment after one; None: never again


def due(expression: str, zone: ZoneInfo, start: datetime) -> NextRun:
    """Return a function that gives the first run of a schedule after a given time.

    Args:
        expression: The schedule.
        zone: The time zone of the times in at() and cron().
        start: The moment from which a rate counts.

    Raises:
        ValueError: The expression cannot be read; the message says what is wrong.
    """
    match = re.fullmatch(r"(at|rate|cron)\((.*)\)", expression.strip())
    if match is None:
        raise ValueError(
            "it is none of at(yyyy-mm-ddThh:mm:ss), rate(value unit), cron(minutes hours "
            "day-of-month month day-of-week year)"
        )
    kind, text = match.groups()
    if kind == "at":
        return _due_once(_moment(text, zone))
    return _due_at_interval(_rate(text), start) if kind == "rate" else _due_by_cron(text, zone)


def _moment(text: str, zone: ZoneInfo) -> datetime:
    """Parse the time in an at(...) schedule."""
    try:
        return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S").replace(tzinfo=zone).astimezone(UTC)
    except ValueError as error:
        raise ValueError(f"{text!r} is no time such as 2026-01-31T08:00:00") from error


def _due_once(moment: datetime) -> NextRun:
    """Return the next-run function of a schedule that runs once."""
    return lambda after: moment if moment > after else None


def _rate(text: str) -> timedelta:
    """Parse the interval in a rate(...) schedule."""
    match = re.fullmatch(r"([1-9]\d*) (minute|hour|day)(s?)", text)
    if match is None or (match[1] == "1") == bool(match[3]):
        raise ValueError(f"{text!r} is no rate such as 1 hour or 5 minutes")
    return int(match[1]) * _UNITS[match[2]]


def _due_at_interval(span: timedelta, start: datetime) -> NextRun:
    """Return the next-run function of a schedule that runs at an interval, counted from `start`."""
    return lambda after: start + span * max(1, (after - start) // span + 1)


def _due_by_cron(text: str, zone: ZoneInfo) -> NextRun:
    """Return the next-run function of a cron(...) schedule."""
    parts = text.split()
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{text!r} has {len(parts)} fields, not {len(_FIELDS)}")
    if [place for place, part in enumerate(parts) if part == "?"] not in ([2], [4]):
        raise ValueError("one of day of month and day of week, and one alone, must be ?")
    minutes, hours, days, months, weekdays, years = (
        _values(part, *field) for part, field in zip(parts, _FIELDS, strict=True)
    )

    def fits(day: date) -> bool:
        return (
            day.year in years
            and day.month in months
            and day.day in days
            and day.isoweekday() % 7 + 1 in weekdays
        )

    def first(after: datetime) -> datetime | None:
        span = max(0, max(years) - after.year + 1) if "*" not in parts[5] else cron.YEARS
        return cron.first_time(fits, hours, minutes, zone, after, years=span)

    return first


def _values(text: str, name: str, low: int, high: int, names: tuple[str, ...]) -> frozenset[int]:
    """Parse one field of a cron expression into the numbers that it allows, `low` to `high`.

    `name` is the field's, and `names` stand for its numbers, such as MON.
    """
    if re.search(r"#|(^|\d)[LW]|[LW]$", text) and not set(re.split("[,-]", text.lower())) <= set(
        names
    ):
        raise ValueError(f"{text!r}: the local stack does not support L, W and # in the {name}")
    return cron.numbers(text.replace("?", "*"), low, high, names, low)
