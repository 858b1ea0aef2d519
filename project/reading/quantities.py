"""How quantities are written: 30m, 5%, 2019-11-24 .. 2019-11-30, click / impression.

Each raises Mistake with what to write instead.
"""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta
from decimal import Decimal, InvalidOperation

from ...times import midnight, utc_milliseconds

DURATION = r"[1-9][0-9]{0,8}[smhdw]"
DAYS = r"[1-9][0-9]{0,8}[dw]"
PERCENT = r"[0-9]{1,3}(\.[0-9]{1,6})?%"
WINDOW = r"[0-9]{4}-[0-9]{2}-[0-9]{2} *\.\. *[0-9]{4}-[0-9]{2}-[0-9]{2}"
MOMENT = (
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T "
    r"][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]+)?)?(Z|[+-][0-9]{2}:[0-9]{2})"
)
LATENCY = r"[0-9]{1,7}(\.[0-9]{1,6})?(ms|s)"
HOURS = r"[0-2][0-9]:[0-5][0-9] *- *[0-2][0-9]:[0-5][0-9]"
_DAY_NAMES = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_SOME_DAYS = rf"({'|'.join(_DAY_NAMES)})(-({'|'.join(_DAY_NAMES)}))?"
WEEKDAYS = rf"{_SOME_DAYS}( *, *{_SOME_DAYS})*"
RATE = r"[a-z][a-z0-9_]* */ *[a-z][a-z0-9_]*"

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}  # seconds, longest first
_LONGEST = timedelta(days=3650)


class Mistake(Exception):
    """A mistake in one value; the caller knows where the value is."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


def duration(text: str) -> timedelta:
    """Parse a duration such as `30m`: a whole number and a unit (s, m, h, d, w)."""
    if not re.fullmatch(DURATION, text):
        if re.fullmatch(r"[0-9]+", text) and int(text[:9]):
            raise Mistake(f"{text} has no unit", f"write {text}s, {text}m, {text}h or {text}d")
        raise Mistake(
            f"{text!r} is not a duration",
            "write a whole number above 0 and a unit, s m h d or w: 30m, 24h, 7d",
        )
    seconds = int(text[:-1]) * _UNITS[text[-1]]
    if seconds > _LONGEST.total_seconds():
        raise Mistake(f"{text} is longer than ten years", "write a shorter one")
    return timedelta(seconds=seconds)


def duration_text(value: timedelta) -> str:
    """Return a duration in its shortest notation, such as `30m` or `7d`.

    `duration(duration_text(d)) == d` for whole positive seconds.
    """
    seconds = int(value.total_seconds())
    # people say 7d, not 1w
    unit = next((unit for unit, size in _UNITS.items() if seconds % size == 0 and unit != "w"))
    return f"{seconds // _UNITS[unit]}{unit}"


def percent(text: str) -> Decimal:
    """Parse a percentage with its sign: `5%` is Decimal 5.

    The sign is required, so that 0.05 for 5 % is not read as a twentieth of a percent.
    """
    if not re.fullmatch(PERCENT, text):
        remedy = "write it with the sign: 5%"
        try:
            number = Decimal(text)
            if 0 < number < 1:
                remedy = f"write {(number * 100).normalize():f}% or {text}%, whichever is meant"
            elif number.is_finite() and 0 <= number <= 100:
                remedy = f"write {text}%"
        except InvalidOperation:
            pass
        raise Mistake(f"{text!r} is not a percentage", remedy)
    value = Decimal(text[:-1])
    if value > 100:
        raise Mistake(f"{text} is more than 100%", "write a share between 0% and 100%")
    return value


def share(text: str) -> Decimal:
    """Parse a traffic share in percent, `90` or `90%`."""
    return (
        percent(text if text.endswith("%") else f"{text}%")
        if re.match(r"[0-9]", text)
        else percent(text)
    )


def moment(text: str) -> datetime:
    """Parse a timestamp with time zone; return it in UTC, in whole milliseconds."""
    if not re.fullmatch(MOMENT, text):
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}.*)?", text):
            full = text if len(text) > 10 else f"{text}T00:00:00"
            raise Mistake(f"{text} has no time zone", f"write {full}Z for UTC")
        raise Mistake(f"{text!r} is not a time", "write it as 2019-12-01T00:00:00Z")
    try:
        return utc_milliseconds(datetime.fromisoformat(text))
    except (ValueError, OverflowError) as error:
        raise Mistake(
            f"{text} is not a time: {error}", "write it as 2019-12-01T00:00:00Z"
        ) from None


def window(text: str) -> tuple[datetime, datetime] | timedelta:
    """Parse a time window: two days, both included, or a length back from now (`28d`).

    `2019-11-24 .. 2019-11-30` is [24 Nov 00:00, 1 Dec 00:00) UTC.
    """
    if ".." not in text:
        try:
            return duration(text)
        except Mistake as error:
            raise Mistake(
                f"{text!r} is not a window",
                error.remedy
                if "has no unit" in error.message
                else "write two days, 2019-11-24 .. 2019-11-30 (both included), or a length: 28d",
            ) from None
    first, last = (_day(part.strip()) for part in text.split("..", 1))
    if last < first:
        raise Mistake(f"{text}: the last day is before the first", f"write {last} .. {first}")
    if last >= date.max:
        raise Mistake(f"{text}: {last} has no day after it", "write an earlier day")
    return midnight(first), midnight(last + timedelta(days=1))


def rate(text: str) -> tuple[str, str]:
    """Parse `click / impression` as (outcome, exposure)."""
    if not re.fullmatch(RATE, text):
        raise Mistake(
            f"{text!r} is not a rate",
            "write the outcome's event, a slash, the exposure's event: click / impression",
        )
    outcome, exposure = (part.strip() for part in text.split("/"))
    return outcome, exposure


def latency(text: str) -> float:
    """Parse `50ms` or `1.2s` as milliseconds above 0."""
    if not re.fullmatch(LATENCY, text) or not float(text.rstrip("ms")):
        raise Mistake(f"{text!r} is not a latency", "write a number above 0 and ms or s: 50ms")
    return (
        float(text.removesuffix("ms"))
        if text.endswith("ms")
        else 1000 * float(text.removesuffix("s"))
    )


def weekdays(text: str) -> tuple[int, ...]:
    """Parse `mon-fri` or `mon, wed-fri` as a tuple of weekday numbers, Monday being 0."""
    if not re.fullmatch(WEEKDAYS, text):
        raise Mistake(
            f"{text!r} are not days of a week", f"write mon-fri, or some of {', '.join(_DAY_NAMES)}"
        )
    days: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        start, end = _DAY_NAMES.index(first), _DAY_NAMES.index(last or first)
        days |= {day % 7 for day in range(start, end + 1 if end >= start else end + 8)}
    return tuple(sorted(days))


def hours(text: str) -> tuple[int, int]:
    """Parse `09:00-17:00` as start and end in minutes since midnight; 24:00 ends the day."""
    if not re.fullmatch(HOURS, text):
        raise Mistake(f"{text!r} are not hours of a day", 'write them as "09:00-17:00"')
    start, end = (60 * int(part[:2]) + int(part[3:]) for part in map(str.strip, text.split("-")))
    if not start < end <= 24 * 60:
        raise Mistake(
            f"{text}: the end is not after the start, within one day", 'write them as "09:00-17:00"'
        )
    return start, end


def zone(text: str) -> str:
    """Return an IANA time zone's name unchanged; raise Mistake if this machine lacks it."""
    from zoneinfo import ZoneInfo, available_timezones

    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):  # the last one: ZoneInfoNotFoundError
        from .names import did_you_mean

        remedy = (
            did_you_mean(text, sorted(available_timezones()))
            or "write a name of the IANA database: Asia/Tokyo, Europe/Paris, UTC"
        )
        raise Mistake(f"{text!r} is not a time zone", remedy) from None
    return text


def _day(text: str) -> date:
    """Parse a day such as `2019-11-24`."""
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Mistake(f"{text!r} is not a day", "write days as 2019-11-24") from None
