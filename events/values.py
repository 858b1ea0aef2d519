"""The rules of an event's values, one value at a time: what a value becomes, and in which words it is refused.

`validate.py` applies the same rules to whole columns and comes here for the values that a column's fast path could not settle;
`emit.py` comes here for single events. One set of words, so that a reason reads the same whichever way an event came.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b

import msgspec

from ..project.names import did_you_mean
from ..project.specs import Attribute, Event
from ..times import epoch_milliseconds, utc_milliseconds

ID = Attribute(name="event_id", type="string")
TIMESTAMP = Attribute(name="event_timestamp", type="timestamp")
CONFLICT = "another event of that day has this id and other content"
UNRESOLVED = "refers to no {event} (late ones are tried again at the next ingest)"

_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_ZONE = re.compile(r"(?i)(z|[+-]\d{2}(:?\d{2})?)$")
_ARTICLES = {"int": "an int", "bool": "a bool", "float": "a float", "string": "a string", "timestamp": "a timestamp"}
_INT64 = 2**63
_encode = msgspec.json.Encoder(order="deterministic", enc_hook=str).encode


class BadValueError(ValueError):
    """Why a value is not of its attribute's type, in the words that the quarantine shows."""


def shown(value: object) -> str:
    """A value as a reason quotes it: text in quotes, numbers bare, long ones cut."""
    if isinstance(value, str | bytes | bool) or value is None:
        text = _encode(value).decode()
    elif isinstance(value, datetime):
        text = value.isoformat(sep=" ", timespec="seconds")
    else:
        text = number(value) if isinstance(value, float) else str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def number(value: float) -> str:
    return str(int(value)) if math.isfinite(value) and value == int(value) and abs(value) < 1e15 else repr(value)


def convert(value: object, attribute: Attribute, *, text: bool = False) -> object:
    """The value as its attribute's type (timestamps: naive UTC, whole milliseconds). BadValueError.

    `text`: the source has only text (CSV), so "12" may become an int; elsewhere text is not a number.
    """
    return _CONVERTERS[attribute.type](value, text)


def out_of_bounds(value: object, attribute: Attribute) -> str | None:
    """The reason why a converted value is refused, or None."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        if attribute.min is not None and value < attribute.min:
            return f"{shown(value)} is under the minimum, {number(attribute.min)}"
        if attribute.max is not None and value > attribute.max:
            return f"{shown(value)} is over the maximum, {number(attribute.max)}"
    if attribute.allowed is not None and value not in attribute.allowed:
        return f"{shown(value)} is not one of {', '.join(map(str, attribute.allowed))}"
    return None


def out_of_time(moment: datetime, *, now: datetime, max_lateness: timedelta) -> str | None:
    """The reason why an event's own time (naive UTC) is refused; `now` is the project's clock, naive UTC."""
    if moment > now:
        return f"{shown(moment)} is in the future (it is {shown(now)})"
    if moment < now - max_lateness:
        return f"{shown(moment)} is older than {_days(max_lateness)} (max_lateness)"
    return None


def unknown(name: str, event: Event) -> str:
    """The reason for a name that the event does not have, with the nearest one that it has."""
    known = ["event_id", "event_timestamp", *(a.name for a in event.attributes)]
    hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
    return f"is not an attribute of {event.name} ({hint})"


def payload(names: Sequence[str], values: Sequence[object]) -> bytes:
    """An event's content as canonical JSON: sorted names, nulls left out (a new optional attribute keeps old digests), times in ms."""
    return _encode(
        {name: epoch_milliseconds(v) if isinstance(v, datetime) else v for name, v in zip(names, values, strict=True) if v is not None}
    )


def digest(content: bytes) -> str:
    """Of a payload. 128 bits: enough to tell apart every event that will ever share an id."""
    return blake2b(content, digest_size=16).hexdigest()


def naive(moment: datetime) -> datetime:
    return utc_milliseconds(moment).replace(tzinfo=None)


def as_json(row: Mapping[str, object]) -> str:
    """Any row as it was read, for the quarantine; what JSON cannot say becomes text."""
    try:
        return _encode(row).decode()
    except (ValueError, TypeError):  # e.g. text with half a surrogate pair
        return _encode({str(k): repr(v) for k, v in row.items()}).decode("utf-8", "replace")


def _days(span: timedelta) -> str:
    days = span / timedelta(days=1)
    return f"{days:g} day{'' if days == 1 else 's'}"


def _wrong(value: object, kind: str) -> BadValueError:
    return BadValueError(f"{shown(value)} is not {_ARTICLES[kind]}")


def _int(value: object, text: bool) -> int:
    found = value
    if text and isinstance(value, str):
        try:
            found = int(value) if value.isascii() and "_" not in value else None
        except ValueError:
            found = None
    elif (isinstance(value, float) and value.is_integer()) or (isinstance(value, Decimal) and value.is_finite() and value == int(value)):
        found = int(value)
    if not isinstance(found, int) or isinstance(found, bool):
        raise _wrong(value, "int")
    if not -_INT64 <= found < _INT64:
        raise BadValueError(f"{shown(value)} does not fit 64 bits")
    return found


def _float(value: object, text: bool) -> float:
    found = value
    if text and isinstance(value, str):
        try:
            found = float(value) if value.isascii() and "_" not in value else None
        except ValueError:
            found = None
    if not isinstance(found, int | float | Decimal) or isinstance(found, bool):
        raise _wrong(value, "float")
    try:
        found = float(found)
    except OverflowError:
        found = math.inf
    if not math.isfinite(found):
        raise BadValueError(f"{shown(value)} is not a finite number")
    return found


def _bool(value: object, text: bool) -> bool:
    if text and isinstance(value, str) and value.lower() in {"true", "false"}:
        return value.lower() == "true"
    if not isinstance(value, bool):
        raise _wrong(value, "bool")
    return value


def _string(value: object, _text: bool) -> str:
    if not isinstance(value, str):
        raise _wrong(value, "string")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise BadValueError(f"{value!r} is not Unicode text") from None
    return value


def _timestamp(value: object, _text: bool) -> datetime:
    if isinstance(value, datetime):
        return naive(value if value.tzinfo else value.replace(tzinfo=UTC))  # only columns of a database come without a zone: UTC
    if isinstance(value, date):
        return datetime(value.year, value.month, value.day)  # noqa: DTZ001  naive UTC is how times are stored
    if not isinstance(value, str) or not _DATE.match(value):
        raise _wrong(value, "timestamp")
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        raise _wrong(value, "timestamp") from None
    if moment.tzinfo is None or not _ZONE.search(value):
        raise BadValueError(f"{shown(value)} has no time zone")
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
