"""Hive's buckets: in which of a table's files a row belongs.

The hash is that of Hive's bucketing version 1, which Athena's engine uses, too.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING

from ..errors import NotRun, QueryFailed

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = date(1970, 1, 1)
_HASHED = (
    "boolean",
    "tinyint",
    "smallint",
    "int",
    "bigint",
    "string",
    "varchar",
    "double",
    "float",
    "date",
)
_NEVER = ("char", "timestamp", "decimal", "binary", "struct")  # Trino does not hash them either


def columns_of(
    bucketed_by: object, count: object, names: Sequence[str]
) -> tuple[tuple[str, ...], int]:
    """Return the bucketing columns and the number of buckets of a CREATE TABLE AS.

    `bucketed_by` and `count` are its properties, and `names` the columns of the table.

    Raises:
        QueryFailed: The properties do not fit (INVALID_TABLE_PROPERTY).
    """
    columns = tuple(
        str(name).lower()
        for name in (bucketed_by if isinstance(bucketed_by, tuple) else (bucketed_by,))
    )
    if count is None:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            "Must specify 'bucket_count' along with 'bucketed_by'",
            position=(1, 1),
        )
    if not str(count).isdigit() or int(str(count)) < 1:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY", "bucket_count must be greater than zero", position=(1, 1)
        )
    missing = [name for name in columns if name not in [other.lower() for other in names]]
    if missing:
        raise QueryFailed(
            "INVALID_TABLE_PROPERTY",
            f"Bucketing columns [{', '.join(missing)}] not present in schema",
            position=(1, 1),
        )
    return columns, int(str(count))


def by_bucket(
    rows: pa.Table, indices: Sequence[int], kinds: Sequence[str], count: int
) -> list[tuple[int, pa.Table]]:
    """Split rows by Hive's bucket hash; return each bucket's number (from 0) and its rows.

    A bucket without rows is left out.

    Args:
        rows: The rows.
        indices: The columns that are hashed.
        kinds: Their types in Glue.
        count: The number of buckets.

    Raises:
        QueryFailed: Athena does not bucket by such a type.
        NotRun: The hash of such a type is not known here.
    """
    for kind in kinds:
        name = kind.partition("(")[0].partition("<")[0]
        if name in _NEVER:
            raise QueryFailed(
                "NOT_SUPPORTED", "Cannot create a table bucketed on an unsupported type"
            )
        if name not in _HASHED:
            raise NotRun(f"bucketed_by a column of type {kind}")
    buckets: dict[int, list[int]] = {}
    columns = [rows.column(index).to_pylist() for index in indices]
    for row, values in enumerate(zip(*columns, strict=True)):
        buckets.setdefault(bucket(values, kinds, count), []).append(row)
    return [(number, rows.take(some)) for number, some in sorted(buckets.items())]


def bucket(values: Sequence[object], kinds: Sequence[str], count: int) -> int:
    """Return the number of the Hive bucket to which a row belongs, by its hash.

    `values` are the row's bucketing columns, `kinds` their types, and `count` is the number of
    buckets.
    """
    combined = 0
    for value, kind in zip(values, kinds, strict=True):
        combined = _int32(31 * combined + _hash(value, kind))
    return (combined & 0x7FFFFFFF) % count


def _hash(value: object, kind: str) -> int:
    """Return Hive's bucket hash of a value of the Glue type `kind`."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return _fold(value) if kind == "bigint" else value
    if isinstance(value, float):
        return _float(value) if kind == "float" else _double(value)
    if isinstance(value, str):
        return _text(value, 0 if kind == "string" else 1)
    if isinstance(value, date) and not isinstance(value, datetime):
        return (value - _EPOCH).days
    raise NotRun(f"bucketed_by a column of type {kind}")


def _text(value: str, code: int) -> int:
    """Return Hive's bucket hash of a text, where `code` is the hash of the empty text."""
    for byte in value.encode():
        code = _int32(31 * code + (byte - 256 if byte > 127 else byte))
    return code


def _double(value: float) -> int:
    """Return Hive's bucket hash of a double."""
    return _fold(struct.unpack(">q", struct.pack(">d", value + 0.0))[0])


def _float(value: float) -> int:
    """Return Hive's bucket hash of a real."""
    code: int = struct.unpack(">i", struct.pack(">f", value + 0.0))[0]
    return code


def _fold(value: int) -> int:
    """Return the hash of a 64-bit integer, as Java's Long.hashCode has it."""
    return _int32(value ^ ((value & 0xFFFFFFFFFFFFFFFF) >> 32))


def _int32(value: int) -> int:
    """Return a number cut to a signed integer of 32 bits, as Java computes."""
    return ((value + 0x80000000) & 0xFFFFFFFF) - 0x80000000
