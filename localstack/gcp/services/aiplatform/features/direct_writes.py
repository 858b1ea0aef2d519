"""Feature values that were written directly into a feature view, on top of what was synced.

Each value has a time, `generate_time` or when it came; one that is older than the stored value is
ignored. A sync serves the value with the most recent time, and deletes nothing that was written
[docs: featurestore/latest/featureview-direct-write].
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from .values import Key, Response

_TIMESTAMP = "feature_timestamp"  # of a row that comes from feature groups, in microseconds


class Written(msgspec.Struct):
    """The directly written values of one entity, and the row that is served because of them."""

    values: dict[str, tuple[int, bytes]]  # by the feature's name: nanoseconds, a FeatureValue
    row: bytes = b""  # a FetchFeatureValuesResponse


def write(
    written: dict[Key, Written],
    snapshot: Mapping[Key, bytes],
    key: Key,
    values: Mapping[str, tuple[int, bytes]],
    features: Sequence[str],
) -> None:
    """Store an entity's values, each unless a younger one is stored, and renew its served row.

    Args:
        written: The directly written values of the view.
        snapshot: The view's synced rows.
        key: The entity.
        values: The new values.
        features: The names of the view's features, in order.
    """
    former = written.get(key)
    merged = dict(former.values) if former is not None else {}
    for name, value in values.items():
        if name not in merged or merged[name][0] <= value[0]:
            merged[name] = value
    written[key] = Written(values=merged, row=_row(snapshot.get(key), merged, features))


def after_sync(
    written: Mapping[Key, Written],
    snapshot: Mapping[Key, bytes],
    features: Sequence[str],
    synced_at: int,
    *,
    timed: bool,
) -> dict[Key, Written]:
    """Return what remains of directly written values after a sync has read a snapshot.

    Args:
        written: The values before the sync.
        snapshot: The rows that it has read.
        features: The names of the view's features, in order.
        synced_at: When it began, in nanoseconds: the time of rows that have none of their own.
        timed: Whether the rows have one, as those of feature groups have.
    """
    remaining = {}
    for key, entity in written.items():
        row = snapshot.get(key)
        since = (_time_of(row) if timed else None) or synced_at
        values = {
            name: value for name, value in entity.values.items() if row is None or value[0] > since
        }
        if values:
            remaining[key] = Written(values=values, row=_row(row, values, features))
    return remaining


def _time_of(row: bytes | None) -> int | None:
    """Return the time that a synced row has, in nanoseconds, or None."""
    if row is None:
        return None
    for pair in Response.FromString(row).key_values.features:
        if pair.name == _TIMESTAMP and pair.value.WhichOneof("value") == "int64_value":
            return int(pair.value.int64_value) * 1_000
    return None


def _row(
    synced: bytes | None, values: Mapping[str, tuple[int, bytes]], features: Sequence[str]
) -> bytes:
    """Return the row that is served of a synced row and the values that were written since.

    A feature that neither has is there without a value, as a null is.
    """
    pairs: dict[str, Any] = {}
    if synced is not None:
        pairs = {pair.name: pair for pair in Response.FromString(synced).key_values.features}
    response = Response()
    for name in features:
        pair = response.key_values.features.add(name=name)
        if name in values:
            pair.value.MergeFromString(values[name][1])
        elif name in pairs:
            pair.CopyFrom(pairs[name])
        if pair.HasField("value") and pair.value.WhichOneof("value") is None:
            pair.ClearField("value")
    return bytes(response.SerializeToString())
