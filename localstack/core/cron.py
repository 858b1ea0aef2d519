"""The parts that the dialects of cron share.

They are the numbers of a field, and the first minute that fits.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
YEARS = 8  # 29 February comes once in eight years at the rarest
_ITEM = re.compile(r"(\*|\w+)(?:-(\w+))?(?:/(\d+))?")


def numbers(
    field: str, low: int, high: int, names: tuple[str, ...] = (), first: int = 0
) -> frozenset[int]:
    """Parse one field of a cron expression (`*`, 1-5, 1,2 or */5) into its numbers.

    The numbers are `low` to `high`. `names`, such as JAN, stand for numbers from `first`.

    Raises:
        ValueError: The field is wrong; the message says how.
    """
    values: set[int] = set()
    for item in field.split(","):
        match = _ITEM.fullmatch(item)
        if match is None:
            raise ValueError(f"{item!r} is no item of a schedule")
        start, end, step = match.groups()
        begin = low if start == "*" else _number(start, names, first)
        stop = _number(end, names, first) if end else (high if start == "*" or step else begin)
        if not (low <= begin <= stop <= high) or step == "0":
            raise ValueError(f"{item!r} is not within {low}-{high}")
        values.update(range(begin, stop + 1, int(step or 1)))
    return frozenset(values)


def first_time(
    fits: Callable[[date], bool],
    hours: Iterable[int],
    minutes: Iterable[int],
    zone: ZoneInfo,
    after: datetime,
    *,
    years: int = YEARS,
) -> datetime | None:
    """Return the first time of a cron schedule after `after`, in UTC.

    Args:
        fits: Whether the schedule runs on a day.
        hours: The hours at which it runs.
        minutes: The minutes of these hours.
        zone: The time zone of days, hours and minutes.
        after: The time after which to look.
        years: How far to look.

    Returns:
        The time; None: there is none within `years`.
    """
    local = after.astimezone(zone)
    times = [time(hour, minute) for hour in sorted(hours) for minute in sorted(minutes)]
    for offset in range(years * 366):
        day = local.date() + timedelta(days=offset)
        if not fits(day):
            continue
        for time_of_day in times:
            moment = datetime.combine(day, time_of_day, zone).astimezone(UTC)
            exists = (
                moment.astimezone(zone).time() == time_of_day
            )  # an hour that a zone skips is skipped
            if exists and moment > after:
                return moment
    return None


def _number(word: str, names: tuple[str, ...], first: int) -> int:
    """Parse a word of a cron field, digits or a name such as MON, into its number.

    `names` stand for numbers from `first`.
    """
    if word.isdecimal():
        return int(word)
    if word.lower() in names:
        return names.index(word.lower()) + first
    raise ValueError(f"{word!r} is no number or name of a schedule")
