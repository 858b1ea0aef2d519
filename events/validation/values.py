"""Judge an event's values one at a time: what each becomes, and in which words it is refused.

chunks.py applies the same rules to whole columns and comes here for values that a column's fast
path could not settle; intake/emit.py comes here for single events. There is one set of words, so
that a reason reads the same whichever way an event came.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b

import msgspec

from ...project.reading.names import did_you_mean
from ...project.specs.description import Attribute, Event
from ...times import epoch_milliseconds, utc_milliseconds

ID = Attribute(name="event_id", type="string")
TIMESTAMP = Attribute(name="event_timestamp", type="timestamp")
CONFLICT = (
    "same id, other content: another event of that day stands (ingest --corrects replaces it)"
)
UNRESOLVED = "refers to no {event} (late ones are tried again at the next ingest)"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONE = re.compile(r"(?i)(z|[+-]\d{2}(:?\d{2})?)$")
_ARTICLES = {
    "int": "an int",
    "bool": "a bool",
    "float": "a float",
    "string": "a string",
    "timestamp": "a timestamp",
}
_INT64 = 2**63
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


class Fault(msgspec.Struct, frozen=True):
    """Why a value is refused: `value rule`, as the quarantine shows it.

    Rows are counted by rule.
    """

    rule: str
    value: str = ""
    key: str = (
        ""  # of the event or the attribute in project.yaml, where the rule is one of the project's
    )

    def __str__(self) -> str:
        return f"{self.value} {self.rule}".lstrip()


class BadValueError(ValueError):
    """A value that is not of its attribute's type."""

    def __init__(self, rule: str, value: str = "") -> None:
        self.fault = Fault(rule, value)
        super().__init__(str(self.fault))


def shown(value: object) -> str:
    """Return a value as short text for an error: strings quoted, numbers bare, long ones cut."""
    if isinstance(value, str | bytes | bool) or value is None:
        text = _encode(value).decode()
    elif isinstance(value, datetime):
        text = value.isoformat(sep=" ", timespec="seconds")
    else:
        text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def number(value: float) -> str:
    """Return a number as text; a whole one without a decimal point."""
    return (
        str(int(value))
        if math.isfinite(value) and value == int(value) and abs(value) < 1e15
        else repr(value)
    )


def convert(value: object, attribute: Attribute, *, text: bool = False) -> object:
    """Return a value in its attribute's type; timestamps in naive UTC, whole milliseconds.

    `text`: the source has only text (CSV), so "12" may become an int; elsewhere text is not a
    number.

    Raises:
        BadValueError: it is not of that type.
    """
    return _CONVERTERS[attribute.type](value, text)


def out_of_bounds(value: object, attribute: Attribute) -> Fault | None:
    """Return the fault of a value outside its attribute's bounds or allowed values, or None."""
    if attribute.min is None and attribute.max is None and attribute.allowed is None:
        return None
    if isinstance(value, int | float) and not isinstance(value, bool):
        if attribute.min is not None and value < attribute.min:
            return Fault(f"is under the minimum, {number(attribute.min)}", shown(value), "min")
        if attribute.max is not None and value > attribute.max:
            return Fault(f"is over the maximum, {number(attribute.max)}", shown(value), "max")
    if attribute.allowed is not None and value not in attribute.allowed:
        return Fault(
            f"is not one of {', '.join(map(str, attribute.allowed))}", shown(value), "allowed"
        )
    return None


def too_late(moment: datetime, event: Event, *, now: datetime) -> Fault | None:
    """Return the fault of an event that is older than max_lateness allows, or None.

    `now` is the project's clock, in naive UTC.
    """
    return late(moment, event) if moment < now - event.max_lateness else None


def late(moment: datetime, event: Event) -> Fault:
    """Return the fault for an event that came later than max_lateness allows."""
    return Fault(
        f"is older than {_span(event.max_lateness)} (max_lateness)", shown(moment), "max_lateness"
    )


def too_early(moment: datetime, event: Event, *, now: datetime) -> Fault | None:
    """Return the fault of an event whose time is too far in the future, or None.

    Clocks differ, so some seconds ahead are no fault.
    """
    if moment <= now + event.max_ahead:
        return None
    ahead = (moment - now).total_seconds()
    return Fault(
        f"ahead of the clock, more than {_span(event.max_ahead)} (max_ahead)",
        f"{shown(moment)} is {ahead:,.10g} s",
        "max_ahead",
    )


def unknown(name: str, event: Event) -> str:
    """Return the error text for a name that is no attribute of the event, with the nearest one."""
    names = ["event_id", "event_timestamp", *(a.name for a in event.attributes)]
    hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
    return f"is not an attribute of {event.name} ({hint})"


def payload(names: Sequence[str], values: Sequence[object]) -> bytes:
    """Return an event's content as canonical JSON: names sorted, times in milliseconds.

    Nulls are left out, so that a new optional attribute changes no digest.
    """
    return _encode(
        {
            name: epoch_milliseconds(v) if isinstance(v, datetime) else v
            for name, v in zip(names, values, strict=True)
            if v is not None
        }
    )


def digest(content: bytes) -> str:
    """Return the hash of an event's content (BLAKE2b of 128 bits) in hexadecimal.

    Its 128 bits are enough to tell apart every event that will ever share an id.
    """
    return blake2b(content, digest_size=16).hexdigest()


def naive(moment: datetime) -> datetime:
    """Return a time in UTC without a time zone, in milliseconds, as times are stored."""
    return utc_milliseconds(moment).replace(tzinfo=None)


def as_json(row: Mapping[str, object]) -> str:
    """Return a row as JSON for the quarantine; values that JSON lacks become text."""
    try:
        return _encode(row).decode()
    except (ValueError, TypeError):  # e.g. text with half a surrogate pair
        return _encode({str(k): repr(v) for k, v in row.items()}).decode("utf-8", "replace")


def _span(span: timedelta) -> str:
    """Return a duration as text in the largest unit that divides it, such as `2 days`."""
    units = (
        ("day", timedelta(days=1)),
        ("hour", timedelta(hours=1)),
        ("minute", timedelta(minutes=1)),
        ("second", timedelta(seconds=1)),
    )
    unit, length = next(((unit, length) for unit, length in units if not span % length), units[-1])
    count = span / length
    return f"{count:g} {unit}{'' if count == 1 else 's'}"


def _wrong(value: object, kind: str) -> BadValueError:
    """Return the BadValueError for a value that is not of its type."""
    return BadValueError(f"is not {_ARTICLES[kind]}", shown(value))


def _int(value: object, text: bool) -> int:
    """Convert a value to an int; raise BadValueError if it is none.

    With `text` the value is text, as in CSV.
    """
    if type(value) is int and -_INT64 <= value < _INT64:
        return value
    number = value
    if text and isinstance(value, str):
        try:
            number = int(value) if value.isascii() and "_" not in value else None
        except ValueError:
            number = None
    elif (isinstance(value, float) and value.is_integer()) or (
        isinstance(value, Decimal) and value.is_finite() and value == int(value)
    ):
        number = int(value)
    if not isinstance(number, int) or isinstance(number, bool):
        raise _wrong(value, "int")
    if not -_INT64 <= number < _INT64:
        raise BadValueError("does not fit 64 bits", shown(value))
    return number


def _float(value: object, text: bool) -> float:
    """Convert a value to a finite float; raise BadValueError if it is none.

    With `text` the value is text, as in CSV.
    """
    if type(value) is float and math.isfinite(value):
        return value + 0.0  # -0.0 is 0.0
    number = value
    if text and isinstance(value, str):
        try:
            number = float(value) if value.isascii() and "_" not in value else None
        except ValueError:
            number = None
    if not isinstance(number, int | float | Decimal) or isinstance(number, bool):
        raise _wrong(value, "float")
    try:
        number = float(number)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise BadValueError("is not a finite number", shown(value))
    return number + 0.0


def _bool(value: object, text: bool) -> bool:
    """Convert a value to a bool; raise BadValueError if it is none.

    With `text` the value is text, as in CSV.
    """
    if text and isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise _wrong(value, "bool")
    return value


def _string(value: object, _text: bool) -> str:
    """Return a value that is text; raise BadValueError if it is none, or not valid Unicode."""
    if not isinstance(value, str):
        raise _wrong(value, "string")
    if value.isascii():
        return value
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadValueError("is not Unicode text", repr(value)) from None
    return value


def _timestamp(value: object, _text: bool) -> datetime:
    """Convert a value to a time in UTC; raise BadValueError if it is none."""
    if isinstance(value, datetime):
        return _in_utc(
            value if value.tzinfo else value.replace(tzinfo=UTC), value
        )  # only columns of a database come without a zone: UTC
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  naive UTC is how times are stored
    if not isinstance(value, str) or not _DATE.match(value):
        raise _wrong(value, "timestamp")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _wrong(value, "timestamp") from None
    if moment.tzinfo is None or not _ZONE.search(value):
        raise BadValueError("has no time zone", shown(value))
    return _in_utc(moment, value)


def _in_utc(moment: datetime, value: object) -> datetime:
    """Convert a time to UTC; raise BadValueError if it is outside the years 1 to 9999.

    `value` is what was read, for the error.
    """
    try:
        return naive(moment)
    except OverflowError:
        raise _wrong(value, "timestamp") from None


_CONVERTERS: dict[str, Callable[[object, bool], object]] = {
    "int": _int,
    "float": _float,
    "bool": _bool,
    "string": _string,
    "timestamp": _timestamp,
}
