"""Values of records: types, event times, times to live. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from ....core.registry import AwsError

RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
MAX_RECORD = 350 * 1024  # bytes
_SECONDS = {"Seconds": 1, "Minutes": 60, "Hours": 3600, "Days": 86_400, "Weeks": 604_800}
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d{3})?Z")
_INTEGRAL = re.compile(r"[+-]?\d{1,19}")

Value = str | tuple[str, ...]


class Feature(msgspec.Struct, frozen=True):
    """A feature's name and type."""

    name: str
    kind: str  # String, Integral, Fractional
    collection: str | None = None  # List, Set, Vector


def refusal(message: str) -> AwsError:
    """Return the ValidationError of the Feature Store runtime with this message."""
    return AwsError("ValidationError", message, 400)


def parsed_record(
    record: Sequence[Mapping[str, Any]], features: Mapping[str, Feature]
) -> dict[str, Value]:
    """Parse the Record of a request into feature values by name, in the request's order.

    Raises:
        AwsError: A name, a type or a size is not right (ValidationError).
    """
    values: dict[str, Value] = {}
    size = 0
    for item in record:
        name = item["FeatureName"]
        feature = features.get(name)
        if feature is None:
            raise refusal(f"FeatureName {name} does not exist in the feature group.")
        if name in values:
            raise refusal(f"FeatureName {name} is given more than once.")
        value = _value(feature, item)
        if value is None:
            continue  # a feature without a value is one that is left out
        values[name] = value
        size += len(name) + sum(
            len(part.encode()) for part in ((value,) if isinstance(value, str) else value)
        )
    if size > MAX_RECORD:
        raise refusal(
            f"The record is {size} bytes; the maximum size of a record is {MAX_RECORD} bytes."
        )
    return values


def _value(feature: Feature, item: Mapping[str, Any]) -> Value | None:
    """Return the checked value of one feature in a request; None: it has none."""
    if feature.collection:
        many = item.get("ValueAsStringList")
        if "ValueAsString" in item:
            raise refusal(
                f"Feature {feature.name} is a {feature.collection}: use ValueAsStringList."
            )
        if many is None:
            return None
        for text in many:
            _check(feature, text)
        return tuple(many)
    if item.get("ValueAsStringList") is not None:
        raise refusal(f"Feature {feature.name} is not a collection: use ValueAsString.")
    text = item.get("ValueAsString")
    if text is not None:
        _check(feature, text)
    return text


def _check(feature: Feature, text: str) -> None:
    """Raise an error unless a text can be read as a feature's type."""
    if feature.kind == "Integral" and not (
        _INTEGRAL.fullmatch(text) and -(2**63) <= int(text) < 2**63
    ):
        raise refusal(
            f"Failed to parse value '{text}' of feature {feature.name}: it is not of type Integral."
        )
    if feature.kind == "Fractional":
        try:
            float(text)
        except ValueError:
            raise refusal(
                f"Failed to parse value '{text}' of feature {feature.name}: it is not of "
                "type Fractional."
            ) from None


def event_time(feature: Feature, text: str) -> datetime:
    """Parse the event time of a feature record.

    A Fractional feature has seconds since the epoch, a String one yyyy-MM-dd'T'HH:mm:ss[.SSS]Z.

    Raises:
        AwsError: The text has another form (ValidationError).
    """
    try:
        if feature.kind != "String":
            # ValueError for nan, OverflowError for inf
            return datetime.fromtimestamp(0, UTC) + timedelta(seconds=round(float(text), 3))
        if _ISO.fullmatch(text):
            return datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        pass
    shape = (
        "yyyy-MM-dd'T'HH:mm:ssZ or yyyy-MM-dd'T'HH:mm:ss.SSSZ"
        if feature.kind == "String"
        else "seconds since the Unix epoch"
    )
    raise refusal(
        f"Failed to parse the event time '{text}' of feature {feature.name}: it has to be {shape}."
    )


def lifetime(duration: Mapping[str, Any] | None) -> timedelta | None:
    """Return a TtlDuration as a time span, or None."""
    return timedelta(seconds=_SECONDS[duration["Unit"]] * duration["Value"]) if duration else None


def stamp(moment: datetime) -> str:
    """Return a time as the text of ExpiresAt, with milliseconds only if needed."""
    return (
        moment.strftime("%Y-%m-%dT%H:%M:%S")
        + (f".{moment.microsecond // 1000:03d}" if moment.microsecond else "")
        + "Z"
    )
