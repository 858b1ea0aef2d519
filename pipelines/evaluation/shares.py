"""Choose a share of the units of a training set: nested, and the same in every process.

A unit is in a share if its hash says so, so what 10 % hold is part of what 20 % hold.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from ...project.specs.description import ROW

_PARTS = 10_000
_SALT = b"isthmus learning curve"


def share_of_units(data: pa.Table, unit: str | None, percent: int) -> pa.Table:
    """Return the rows whose units are in a share of all units.

    Args:
        data: A training set, or rows of one.
        unit: The column whose values are drawn; None: each row is drawn by its event_id. A row
            without a value is drawn by its event_id, too.
        percent: The share, from 1 to 100.
    """
    if percent >= 100:
        return data
    names = data[ROW].cast(pa.string())
    if unit not in (None, ROW):
        names = pc.coalesce(data[unit].cast(pa.string()), names)
    encoded: Any = names.combine_chunks().dictionary_encode()
    encoded = encoded if isinstance(encoded, pa.DictionaryArray) else encoded.combine_chunks()
    drawn = pa.array(
        [_place(name) < percent * _PARTS // 100 for name in encoded.dictionary.to_pylist()],
        pa.bool_(),
    )
    return data.filter(drawn.take(encoded.indices)) if len(drawn) else data


def count_units(data: pa.Table, unit: str | None) -> int:
    """Return how many units the rows of a training set are of; each row without one counts."""
    if unit in (None, ROW):
        return data.num_rows
    named: int = pc.count_distinct(data[unit], mode="only_valid").as_py()
    return named + data[unit].null_count


def _place(name: str) -> int:
    """Return a unit's number from 0 to 9,999, a hash of its name, by which shares are cut."""
    digest = blake2b(name.encode(), digest_size=8, key=_SALT).digest()
    return int.from_bytes(digest, "big") % _PARTS
