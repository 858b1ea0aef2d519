"""Read the JSON values that clients send: of insertAll, JSON lines and query parameters.

They become Python values of a column, or a WrongValue says what is wrong.
"""

from __future__ import annotations

import base64
import binascii
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation, localcontext
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from ..errors import BigQueryError
from .bignumeric import key
from .types import SchemaField

_DATE = re.compile(r"(\d{4})-(\d{1,2})-(\d{1,2})")
_TIME = re.compile(r"(\d{1,2}):(\d{1,2}):(\d{1,2})(?:\.(\d{1,9}))?")
_ZONE = re.compile(
    r"(?:Z|UTC|([+-])(\d{1,2})(?::?(\d{2}))?|([A-Za-z_]+(?:/[A-Za-z_+-]+)*))$", re.IGNORECASE
)
_RANGE = re.compile(r"\s*\[\s*(.*?)\s*,\s*(.*?)\s*\)\s*")
_INTERVAL = re.compile(r"([+-]?)(\d+)-(\d+) ([+-]?\d+) ([+-]?)(\d+):(\d+):(\d+)(?:\.(\d{1,9}))?")
_PART = r"(?:(-?[\d.]+)%s)?"
_DURATION = re.compile(
    "P"
    + "".join(_PART % unit for unit in "YMD")
    + "(?:T"
    + "".join(_PART % unit for unit in "HMS")
    + ")?"
)
_FRACTION = re.compile(r"\d+\.\d+")
_NUMERIC_MOST = Decimal("99999999999999999999999999999.999999999")
_INT64 = (-(2**63), 2**63 - 1)


class WrongValue(ValueError):
    """A value that does not fit its column.

    `place` is the column, `words` are BigQuery's.
    """

    def __init__(self, place: str, words: str) -> None:
        super().__init__(f"{words} Field: {place}" if place else words)
        self.place = place
        self.words = words


def record(
    value: Any,
    fields: Sequence[SchemaField],
    *,
    ignore_unknown: bool = False,
    place: str = "",
    defaults: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Convert a JSON object to a dictionary of Python values by column, for a row or a struct.

    Names match in any letter case.

    Args:
        value: The object, as JSON gave it.
        fields: The struct's members.
        ignore_unknown: Whether members that are no field are passed over.
        place: The path of the struct, with a point at its end; empty for a row.
        defaults: The values of members that are absent.

    Raises:
        WrongValue: A value does not fit.
    """
    if not isinstance(value, Mapping):
        raise WrongValue(place, "This field is a record.")
    members = {str(name).lower(): member for name, member in value.items()}
    if not ignore_unknown and (extra := members.keys() - {field.name.lower() for field in fields}):
        raise WrongValue(f"{place}{min(extra)}", "no such field: " + f"{place}{min(extra)}.")
    absent = {
        name: default for name, default in (defaults or {}).items() if name.lower() not in members
    }
    return absent | {
        field.name: column(
            members.get(field.name.lower()), field, ignore_unknown=ignore_unknown, place=place
        )
        for field in fields
        if field.name not in absent
    }


def column(value: Any, field: SchemaField, *, ignore_unknown: bool = False, place: str = "") -> Any:
    """Convert a column's JSON value to Python; a repeated column gives a list.

    Unknown members are skipped with `ignore_unknown`. `place` is the path of the record around it,
    for errors. Raises WrongValue if the value does not fit the column.
    """
    path = f"{place}{field.name}"
    if field.repeated:
        if value is None:
            return []
        if not isinstance(value, list):
            raise WrongValue(
                path,
                "Array specified for non-repeated field."
                if not field.repeated
                else "This field is repeated: an array is needed.",
            )
        if any(member is None for member in value):
            raise WrongValue(path, "Only optional fields can be set to NULL.")
        return [_element(member, field, path, ignore_unknown=ignore_unknown) for member in value]
    if value is None:
        if field.mode == "REQUIRED":
            raise WrongValue(path, "Missing required field.")
        return None
    if isinstance(value, list) and field.type != "JSON":
        raise WrongValue(path, "Array specified for non-repeated field.")
    return _element(value, field, path, ignore_unknown=ignore_unknown)


def _element(value: Any, field: SchemaField, place: str, *, ignore_unknown: bool) -> Any:
    """Convert the JSON value of one element of a column to a Python value.

    Unknown members are skipped with `ignore_unknown`. `place` is the path of the record around it,
    for errors. Raises WrongValue if the value does not fit.
    """
    if field.type == "RANGE":
        return _range(value, field, place)
    if field.type == "RECORD":
        return record(value, field.fields, ignore_unknown=ignore_unknown, place=f"{place}.")
    try:
        return READERS[field.type](value)
    except WrongValue as error:
        raise WrongValue(place, error.words) from error
    except BigQueryError as error:
        if error.reason == "notImplemented":
            raise
        raise WrongValue(place, error.message) from error
    except (ValueError, TypeError, OverflowError, InvalidOperation, binascii.Error) as error:
        raise WrongValue(
            place, f"Could not convert value to {field.type.lower()}: {value!r}."
        ) from error


def _range(value: Any, field: SchemaField, place: str) -> dict[str, Any]:
    """Convert the JSON of a RANGE to a dictionary with its start and end.

    It is text, `[start, end)`, or an object of the two; UNBOUNDED and NULL are the same. `place` is
    the path, for errors.
    """
    if isinstance(value, Mapping):
        ends: tuple[Any, ...] = (value.get("start"), value.get("end"))
    elif isinstance(value, str) and (match := _RANGE.fullmatch(value)) is not None:
        ends = match.groups()
    else:
        raise WrongValue(place, f"Could not convert value to range: {value!r}.")
    bounds = [
        None if end is None or str(end).upper() in ("UNBOUNDED", "NULL") else end for end in ends
    ]
    return {
        child.name: column(end, child, place=f"{place}.")
        for child, end in zip(field.fields, bounds, strict=True)
    }


def interval(value: Any) -> dict[str, int]:
    """Convert an INTERVAL's text to a dictionary with months, days and microseconds.

    It is `Y-M D H:M:S`, or a duration of ISO 8601.
    """
    words = str(value).strip()
    if match := _DURATION.fullmatch(words):
        parts = [Decimal(part or 0) for part in match.groups()]
        years, months, days = parts[:3]
        micros = (parts[3] * 3600 + parts[4] * 60 + parts[5]) * 1_000_000
        return {"months": int(years * 12 + months), "days": int(days), "micros": int(micros)}
    match = _INTERVAL.fullmatch(words)
    if match is None:
        raise ValueError(value)
    hours, minutes, seconds = map(int, match.group(6, 7, 8))
    span = (hours * 3600 + minutes * 60 + seconds) * 1_000_000 + int(
        (match[9] or "0").ljust(6, "0")[:6]
    )
    count = int(match[2]) * 12 + int(match[3])
    return {
        "months": -count if match[1] == "-" else count,
        "days": int(match[4]),
        "micros": -span if match[5] == "-" else span,
    }


def integer(value: Any) -> int:
    """Convert JSON to an INTEGER: a whole number, also as text or as a float without a fraction."""
    if isinstance(value, bool):
        raise TypeError(value)
    number = (
        value
        if isinstance(value, int)
        else int(value)
        if isinstance(value, str) and re.fullmatch(r"\s*[+-]?\d+\s*", value)
        else None
    )
    if number is None:
        exact = float(value)
        if not exact.is_integer():
            raise ValueError(value)
        number = int(exact)
    if not _INT64[0] <= number <= _INT64[1]:
        raise OverflowError(value)
    return number


def floating(value: Any) -> float:
    """Convert JSON to a FLOAT; inf and nan come as text."""
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, str):
        return {"inf": math.inf, "+inf": math.inf, "-inf": -math.inf, "nan": math.nan}.get(
            value.strip().lower()
        ) or float(value)
    return float(value)


def boolean(value: Any) -> bool:
    """Convert JSON to a BOOLEAN; besides true and false, words such as "yes" and "0" are taken."""
    if isinstance(value, bool):
        return value
    answer = {
        "true": True,
        "t": True,
        "yes": True,
        "y": True,
        "1": True,
        "false": False,
        "f": False,
        "no": False,
        "n": False,
        "0": False,
    }
    try:
        return answer[str(value).strip().lower()]
    except KeyError:
        raise ValueError(value) from None


def text(value: Any) -> str:
    """Convert JSON to a STRING; numbers and booleans become their JSON text."""
    if isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return json.dumps(value)
    raise ValueError(value)


def bytes_of(value: Any) -> bytes:
    """Convert base64 text to BYTES, in either alphabet and with or without padding."""
    if isinstance(value, bytes):
        return value
    words = "".join(str(value).split()).replace("-", "+").replace("_", "/").rstrip("=")
    return base64.b64decode(words + "=" * (-len(words) % 4), validate=True)


def numeric(value: Any) -> Decimal:
    """Convert JSON to a NUMERIC, rounded half up to nine decimals."""
    with localcontext() as context:
        context.prec = 100
        number = Decimal(str(value) if isinstance(value, float) else value).quantize(
            Decimal("1e-9"), ROUND_HALF_UP
        )
        if not number.is_finite() or abs(number) > _NUMERIC_MOST:
            raise ValueError(value)
    return number


def date_of(value: Any) -> date:
    """Convert the text of a DATE, YYYY-MM-DD, to a date."""
    match = _DATE.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(value)
    return date(*map(int, match.groups()))


def time_of(value: Any) -> time:
    """Convert the text of a TIME, such as 12:30:00.5, to a time."""
    match = _TIME.fullmatch(str(value).strip())
    if match is None:
        raise ValueError(value)
    hour, minute, second, fraction = match.groups()
    return time(int(hour), int(minute), int(second), int((fraction or "0").ljust(6, "0")[:6]))


def datetime_of(value: Any) -> datetime:
    """Convert the text of a DATETIME, a date and perhaps a time, to a datetime."""
    words = re.split(r"[Tt ]", str(value).strip(), maxsplit=1)
    return datetime.combine(date_of(words[0]), time_of(words[1]) if len(words) > 1 else time())


def timestamp_of(value: Any) -> datetime:
    """Convert a TIMESTAMP to a UTC datetime: text with or without a zone, or seconds since 1970."""
    if isinstance(value, bool):
        raise TypeError(value)
    if isinstance(value, int | float):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            microseconds=round(Decimal(str(value)) * 1_000_000)
        )
    words = str(value).strip()
    if re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", words):
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            microseconds=int(Decimal(words) * 1_000_000)
        )
    head, rest = words[:10], words[10:]
    zone = _ZONE.search(rest)
    local = datetime_of(head + (rest[: zone.start()] if zone else rest).rstrip())
    if zone is None or (not zone.group(1) and not zone.group(4)):
        return local.replace(tzinfo=UTC)
    if zone.group(4):
        try:
            return local.replace(tzinfo=ZoneInfo(zone.group(4))).astimezone(UTC)
        except (ZoneInfoNotFoundError, ValueError) as error:
            raise ValueError(value) from error
    offset = timedelta(hours=int(zone.group(2)), minutes=int(zone.group(3) or 0))
    return local.replace(tzinfo=UTC) - (offset if zone.group(1) == "+" else -offset)


def json_text(value: Any) -> str:
    """Return a JSON column's value as compact JSON text.

    A text is parsed as JSON first, as load jobs and insertAll do.
    """
    if isinstance(value, str):
        value = json.loads(value)
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


READERS: dict[str, Callable[[Any], Any]] = {
    "INTEGER": integer,
    "FLOAT": floating,
    "BOOLEAN": boolean,
    "STRING": text,
    "GEOGRAPHY": lambda value: _FRACTION.sub(
        lambda match: match[0].rstrip("0").rstrip("."), text(value)
    ),
    "BYTES": bytes_of,
    "NUMERIC": numeric,
    "BIGNUMERIC": lambda value: {
        "bignumeric": key(str(value) if isinstance(value, float) else value)
    },
    "DATE": date_of,
    "DATETIME": datetime_of,
    "TIME": time_of,
    "TIMESTAMP": timestamp_of,
    "JSON": json_text,
    "INTERVAL": interval,
}
