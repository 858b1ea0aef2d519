"""Rows of features as Feature Store's records, and back. Pure.

Its values are strings, and a null is a feature that is left out. Values that its String and
Fractional may not take as they are (floats that are no number, empty texts, control characters)
travel in an extra feature, as JSON, so that every value comes back bit by bit.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from ....errors import Invalid
from ....events.port import Column
from ....times import epoch_milliseconds, from_epoch
from ..column_types import FEATURE_STORE

KEY = "entity_key"
SYNCED = "synced_until"  # the record's EventTime
FEATURE_TIME = "feature_timestamp"
_SPECIAL = "isthmus_special"
_OURS = (KEY, SYNCED, FEATURE_TIME, _SPECIAL)
_NAME = re.compile(r"[a-zA-Z0-9]([_-]*[a-zA-Z0-9]){0,63}")
_RESERVED = frozenset({"is_deleted", "write_time", "api_invocation_time"})
_AWKWARD = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def definitions(features: Sequence[Column]) -> list[dict[str, str]]:
    """Return a feature group's FeatureDefinitions, including those that Isthmus adds.

    Raises Invalid for a name that Feature Store cannot have.
    """
    ours = [(KEY, "String"), (SYNCED, "String"), (FEATURE_TIME, "Integral"), (_SPECIAL, "String")]
    for feature in features:
        if not _NAME.fullmatch(feature.name) or feature.name.lower() in {*_RESERVED, *_OURS}:
            raise Invalid(
                f"{feature.name!r} cannot be a feature in Feature Store",
                remedy="letters, digits, - and _; not one of its own names",
            )
    return [
        {"FeatureName": name, "FeatureType": kind}
        for name, kind in (*ours, *((f.name, FEATURE_STORE[f.type]) for f in features))
    ]


def event_time(stamp: int) -> str:
    """Convert milliseconds to the EventTime text by which Feature Store orders records."""
    return f"{from_epoch(stamp).replace(tzinfo=None).isoformat(timespec='milliseconds')}Z"


def encode(row: Mapping[str, Any], features: Sequence[Column], stamp: str) -> list[dict[str, str]]:
    """Return a row of feature values as a Feature Store record; `stamp` is its EventTime."""
    values = {
        KEY: str(row[KEY]),
        SYNCED: stamp,
        FEATURE_TIME: str(epoch_milliseconds(row["event_timestamp"])),
    }
    special: dict[str, str] = {}
    for feature in features:
        value = row[feature.name]
        if value is None:
            continue
        text, plain = _stored_text(value)
        (values if plain else special)[feature.name] = text
    if special:
        values[_SPECIAL] = _escaped(special)
    return [{"FeatureName": name, "ValueAsString": text} for name, text in values.items()]


def _escaped(special: Mapping[str, str]) -> str:
    """Return feature values as JSON of printable characters, as Feature Store keeps no others."""
    text = msgspec.json.encode(special).decode()
    return _AWKWARD.sub(lambda match: f"\\u{ord(match.group()):04x}", text)


def _stored_text(value: object) -> tuple[str, bool]:
    """Return a feature value as text, and whether Feature Store would keep that text."""
    if isinstance(value, bool):
        return ("true" if value else "false"), True
    if isinstance(value, datetime):
        return str(epoch_milliseconds(value)), True
    if isinstance(value, float):
        return repr(value), math.isfinite(value)
    text = str(value)
    return text, bool(text) and text == text.strip() and not _AWKWARD.search(text)


def decode(
    records: Mapping[str, Sequence[Mapping[str, str]]],
    keys: Sequence[str],
    features: Sequence[Column],
) -> list[dict[str, object] | None]:
    """Return a row for each key from its Feature Store record; None for a key without one."""
    return [_feature_values(records[key], features) if key in records else None for key in keys]


def _feature_values(
    record: Sequence[Mapping[str, str]], features: Sequence[Column]
) -> dict[str, object]:
    """Return the feature values in a Feature Store record, by feature name."""
    texts = {
        item["FeatureName"]: item["ValueAsString"]
        for item in record
        if item.get("ValueAsString") is not None
    }
    if _SPECIAL in texts:
        texts |= msgspec.json.decode(texts[_SPECIAL], type=dict[str, str])
    values: dict[str, object] = {FEATURE_TIME: from_epoch(int(texts[FEATURE_TIME]))}
    for feature in features:
        text = texts.get(feature.name)
        values[feature.name] = None if text is None else _from_text(feature, text)
    return values


def _from_text(feature: Column, text: str) -> object:
    """Convert the text of a feature value back to the feature's type."""
    if feature.type == "bool":
        return text == "true"
    if feature.type == "timestamp":
        return from_epoch(int(text))
    if feature.type == "int64":
        return int(text)
    return float(text) if feature.type == "float64" else text
