"""Validate a whole chunk of rows, a column at a time.

Values that a column cannot settle at once are settled one by one in values.py.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from ...project.specs.description import Attribute, Event
from ..tables.column_types import OF_ATTRIBUTE, arrow_type
from . import values
from .values import Fault

pc: Any = (
    pyarrow.compute
)  # its functions are made at run time; the stubs' overloads do not follow a column's declared type
ColumnData = Any  # pa.Array, pa.ChunkedArray

_STAMP = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?(Z|[+-]\d\d(:?\d\d)?)$"
# Arrow's own scalars: given Python's, its functions import pandas to look at them (0.8 s).
_EMPTY, _TRUE, _FALSE, _ZERO = (
    pa.scalar("", pa.string()),
    pa.scalar(True),
    pa.scalar(False),
    pa.scalar(0.0, pa.float64()),
)
# Python's datetimes, and the clouds' timestamps, have the years 1 to 9999; Arrow has more.
_FIRST, _LAST = (
    pa.scalar(datetime(*day), pa.timestamp("ms"))  # noqa: DTZ001
    for day in ((1, 1, 1), (9999, 12, 31))
)


class Broken(msgspec.Struct, frozen=True, kw_only=True):
    """A row that could not be read as one: `value reason`, as the quarantine shows it."""

    line: int | None
    reason: str
    text: str  # as it was read
    value: str = ""


class Chunk(msgspec.Struct, frozen=True, kw_only=True):
    """Some rows of a source, by column.

    A column is Arrow's, or a Python list where its values are of several types.
    """

    columns: dict[str, Any]  # name -> pa.Array, pa.ChunkedArray or list
    rows: int
    lines: Sequence[int] | None = None  # 1-based; None: the source has no lines
    text: bool | frozenset[str] = False  # only text (CSV), or the names of such columns
    broken: tuple[Broken, ...] = ()
    strange: tuple[tuple[int, str], ...] = ()  # row, a name in it that the event does not have
    faulty: tuple[tuple[int, str, Fault], ...] = ()  # row, attribute, fault: already judged
    source: str | None = None  # the file, where a source has several


class Bad(msgspec.Struct, frozen=True, kw_only=True):
    row: int  # within the chunk; -1: a line that is no row
    event_id: str | None
    event_timestamp: datetime | None
    attribute: str
    fault: Fault
    line: int | None
    payload: str


class Checked(msgspec.Struct, frozen=True, kw_only=True):
    good: pa.Table  # event_id, event_timestamp, the attributes; line, payload_digest, dt
    late: pa.Table  # the same columns: they keep every rule but max_lateness
    ahead: pa.Table  # ... but max_ahead
    bad: tuple[Bad, ...]


Faults = dict[int, Fault]  # of a column, by row
Reasons = dict[int, tuple[str, Fault]]  # row -> attribute, fault


def attributes_of(event: Event) -> tuple[Attribute, ...]:
    """Return all attributes of an event, event_id and event_timestamp first.

    In this order a row's faults are looked for.
    """
    return (values.ID, values.TIMESTAMP, *event.attributes)


def validate(event: Event, chunk: Chunk, *, now: datetime, backfill: bool = False) -> Checked:
    """Split a chunk of rows into valid and invalid ones, by every rule that needs no other event.

    The rules are type, required, bounds, allowed, zone, lateness and clock; a row has one reason,
    the first. A `backfill` may be of any age. References, duplicates and conflicts are looked for
    by intake/, which sees the whole source.
    """
    reasons: Reasons = {
        row: (name, Fault(values.unknown(name, event))) for row, name in reversed(chunk.strange)
    }
    reasons |= {row: (name, fault) for row, name, fault in reversed(chunk.faulty)}
    typed: dict[str, ColumnData] = {}
    for attribute in attributes_of(event):
        column = chunk.columns.get(attribute.name)
        array, faults = (
            (pa.array([None] * chunk.rows, _arrow(attribute)), {})
            if column is None
            else _convert(column, attribute, text=_is_only_text(chunk, attribute.name))
        )
        typed[attribute.name] = array
        _merge(reasons, attribute, faults)
        _merge(reasons, attribute, _missing(array, attribute))
        _merge(reasons, attribute, _bounds(array, attribute))
    good = pa.table(typed)
    lines = pa.array([None] * chunk.rows if chunk.lines is None else chunk.lines, pa.int64())
    good = good.append_column("line", lines)
    if reasons:
        good = good.filter(_mask(chunk.rows, reasons))
    good, late, ahead = _by_clock(_with_digest_and_date(event, good), event, now, backfill=backfill)
    return Checked(
        good=good, late=late, ahead=ahead, bad=(*_rows(chunk, typed, reasons), *_broken(chunk))
    )


def _is_only_text(chunk: Chunk, name: str) -> bool:
    """Return whether a column was read as text, so that its values must still be converted."""
    return chunk.text if isinstance(chunk.text, bool) else name in chunk.text


def _by_clock(
    rows: pa.Table, event: Event, now: datetime, *, backfill: bool
) -> tuple[pa.Table, pa.Table, pa.Table]:
    """Split rows by event time into those in time, those too old, and those in the future.

    With `backfill` none is too old.
    """
    times, clock = rows["event_timestamp"], values.naive(now)
    ahead = pc.greater(times, pa.scalar(clock + event.max_ahead, pa.timestamp("ms")))
    late = pc.less(times, pa.scalar(clock - event.max_lateness, pa.timestamp("ms")))
    late = pc.and_(late, _FALSE) if backfill else late
    out_of_time = pc.or_(ahead, late)
    if not pc.any(out_of_time, min_count=0).as_py():
        return rows, rows.slice(0, 0), rows.slice(0, 0)
    return rows.filter(pc.invert(out_of_time)), rows.filter(late), rows.filter(ahead)


def _with_digest_and_date(event: Event, good: pa.Table) -> pa.Table:
    """Return the rows with two columns added: a digest of the content, and the UTC date."""
    names = sorted(a.name for a in attributes_of(event))
    digests = [values.digest(content) for content in payloads(good, names)]
    return good.append_column("payload_digest", pa.array(digests, pa.string())).append_column(
        "dt", pc.cast(pc.cast(good["event_timestamp"], pa.date32()), pa.string())
    )


def takes(attribute: Attribute, kind: pa.DataType) -> bool:
    """Return whether a source column of this Arrow type can be converted to the attribute."""
    try:
        return (
            pa.types.is_null(kind) or _FAST[attribute.type](pa.array([], kind), False) is not None
        )
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return False


def payloads(table: pa.Table, names: Sequence[str]) -> list[bytes]:
    """Return the content of each row as canonical JSON of these columns.

    It is the JSON that `values.payload` makes for one event.
    """
    columns = []
    nulls = False
    for name in names:
        column = table[name]
        nulls = nulls or column.null_count > 0
        columns.append(
            (
                column.cast(pa.timestamp("ms")).cast(pa.int64())
                if pa.types.is_timestamp(column.type)
                else column
            ).to_pylist()
        )
    if nulls:
        return [values.payload(names, row) for row in zip(*columns, strict=True)]
    encode = msgspec.json.encode
    return [encode(dict(zip(names, row, strict=True))) for row in zip(*columns, strict=True)]


# --- a column's type


def _convert(column: Any, attribute: Attribute, *, text: bool) -> tuple[ColumnData, Faults]:
    """Convert a column to its attribute's type; return it and the faults of rows that do not fit.

    Values that do not fit become null. With `text` the column is text, as of CSV.
    """
    if not isinstance(column, list):
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        if isinstance(column, pa.DictionaryArray):
            column = column.dictionary_decode()
        try:
            array = _FAST[attribute.type](column, text)
        except pa.ArrowInvalid:  # some value does not fit: which one, the slow path says
            array = None
        if array is not None:
            return array, {}
        column = [_value(column, row) for row in range(len(column))]
    faults: Faults = {}
    converted: list[object] = []
    for row, value in enumerate(column):
        if value is None or (text and value == ""):
            converted.append(None)
            continue
        try:
            converted.append(values.convert(value, attribute, text=text))
        except values.BadValueError as error:
            converted.append(None)
            faults[row] = error.fault
    return pa.array(converted, _arrow(attribute)), faults


def _arrow(attribute: Attribute) -> pa.DataType:
    """Return the Arrow type that stores an attribute."""
    return arrow_type(OF_ATTRIBUTE[attribute.type])


def _is_text(column: ColumnData) -> bool:
    """Return whether an Arrow column has a text type."""
    return (
        pa.types.is_string(column.type)
        or pa.types.is_large_string(column.type)
        or pa.types.is_string_view(column.type)
    )


def _fast_int(column: ColumnData, text: bool) -> ColumnData | None:
    """Convert a whole column to int64; return None if values must be converted one by one."""
    kind = column.type
    if pa.types.is_null(kind) or pa.types.is_integer(kind) or pa.types.is_floating(kind):
        return column.cast(pa.int64())  # ArrowInvalid on overflow and on a fraction
    if (
        text
        and _is_text(column)
        and pc.all(pc.match_substring_regex(column, r"^-?\d{1,18}$"), min_count=0).as_py()
    ):
        return column.cast(pa.int64())
    return None


def _fast_float(column: ColumnData, text: bool) -> ColumnData | None:
    """Convert a whole column to float64; return None if values must be converted one by one."""
    kind = column.type
    plain = (
        pa.types.is_null(kind)
        or pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_decimal(kind)
    )
    if plain or (
        text
        and _is_text(column)
        and pc.all(pc.match_substring_regex(column, r"^-?\d+(\.\d+)?$"), min_count=0).as_py()
    ):
        array = pc.add(column.cast(pa.float64(), safe=False), _ZERO)  # -0.0 is 0.0
        return array if pc.all(pc.is_finite(array), min_count=0).as_py() else None
    return None


def _fast_bool(column: ColumnData, _text: bool) -> ColumnData | None:
    """Convert a whole column to bool; return None if values must be converted one by one."""
    return (
        column.cast(pa.bool_())
        if pa.types.is_boolean(column.type) or pa.types.is_null(column.type)
        else None
    )


def _fast_string(column: ColumnData, text: bool) -> ColumnData | None:
    """Convert a whole column to text; return None if values must be converted one by one."""
    if pa.types.is_null(column.type):
        return column.cast(pa.string())
    if not _is_text(column):
        return None
    column = column.cast(pa.string())
    return (
        pc.if_else(pc.equal(column, _EMPTY), pa.scalar(None, pa.string()), column)
        if text
        else column
    )


def _fast_timestamp(column: ColumnData, _text: bool) -> ColumnData | None:
    """Convert a whole column to timestamps; return None if values must be converted one by one."""
    kind = column.type
    if pa.types.is_null(kind) or pa.types.is_date(kind):
        return column.cast(pa.timestamp("ms"))
    if _is_text(column):
        if not pc.all(pc.match_substring_regex(column, _STAMP), min_count=0).as_py():
            return None
        column = column.cast(pa.timestamp("us", "UTC"))
    elif not pa.types.is_timestamp(kind):
        return None
    # A zone is only a way to show the same instant: dropping it leaves UTC. Floor, as
    # utc_milliseconds does.
    array = pc.floor_temporal(column.cast(pa.timestamp(column.type.unit)), unit="millisecond").cast(
        pa.timestamp("ms")
    )
    inside = pc.and_(pc.greater_equal(array, _FIRST), pc.less_equal(array, _LAST))
    return array if pc.all(inside, min_count=0).as_py() else None


_FAST: dict[str, Callable[[ColumnData, bool], ColumnData | None]] = {
    "int": _fast_int,
    "float": _fast_float,
    "bool": _fast_bool,
    "string": _fast_string,
    "timestamp": _fast_timestamp,
}


# --- a column's rules


def _where(condition: ColumnData) -> list[int]:
    """Return the numbers of the rows in which a condition is true."""
    return pc.indices_nonzero(pc.fill_null(condition, _FALSE)).to_pylist()  # type: ignore[no-any-return]


def _missing(array: ColumnData, attribute: Attribute) -> Faults:
    """Return a fault for each row without a required value, by the row's number."""
    if attribute is values.ID:
        return {
            row: Fault("is missing" if array[row].as_py() is None else "is empty")
            for row in _where(_empty(array))
        }
    return (
        dict.fromkeys(_where(pc.is_null(array)), Fault("is missing"))
        if attribute.required and array.null_count
        else {}
    )


def _empty(array: ColumnData) -> ColumnData:
    """Return, as a boolean array, which values are null or an empty text."""
    return pc.fill_null(pc.equal(array, _EMPTY), _TRUE)


def _bounds(array: ColumnData, attribute: Attribute) -> Faults:
    """Return a fault for each value outside the attribute's bounds or allowed values, by row."""
    suspects: set[int] = set()
    if attribute.type in {"int", "float"}:
        if attribute.min is not None:
            suspects.update(_where(pc.less(array, _bound(attribute.min, array.type, math.ceil))))
        if attribute.max is not None:
            suspects.update(
                _where(pc.greater(array, _bound(attribute.max, array.type, math.floor)))
            )
    if attribute.allowed is not None:
        inside = pc.is_in(array, value_set=pa.array(attribute.allowed, array.type))
        suspects.update(_where(pc.and_(pc.is_valid(array), pc.invert(inside))))
    checked = ((row, values.out_of_bounds(array[row].as_py(), attribute)) for row in suspects)
    return {row: fault for row, fault in checked if fault is not None}


def _bound(bound: float, kind: pa.DataType, whole: Callable[[float], int]) -> ColumnData:
    """Return a minimum or maximum as an Arrow scalar of the column's type `kind`.

    For a column of ints, `whole` (floor or ceil) rounds it.
    """
    if pa.types.is_floating(kind):
        return pa.scalar(bound, kind)
    limit = float(2**63)
    return pa.scalar(
        2**63 - 1 if bound >= limit else -(2**63) if bound <= -limit else whole(bound), kind
    )


# --- what is refused


def _merge(reasons: Reasons, attribute: Attribute, faults: Faults) -> None:
    """Add the faults of an attribute's values to the reasons for refusing rows.

    `reasons` are by row, and changed; a row that has one keeps it.
    """
    for row, fault in faults.items():
        reasons.setdefault(row, (attribute.name, fault))


def _mask(rows: int, reasons: Reasons) -> ColumnData:
    """Return a boolean array that is true for each row without a reason to refuse it.

    `rows` is their number.
    """
    keep = bytearray(b"\x01") * rows
    for row in reasons:
        keep[row] = 0
    return pc.equal(
        pa.Array.from_buffers(pa.uint8(), rows, [None, pa.py_buffer(keep)]),
        pa.scalar(1, pa.uint8()),
    )


def _rows(chunk: Chunk, typed: dict[str, ColumnData], reasons: Reasons) -> list[Bad]:
    """Return the invalid rows of a chunk, each with its content as JSON and the reason.

    `typed` are the converted columns, `reasons` by row why it is refused.
    """
    rejected = []
    for row in sorted(reasons):
        attribute, fault = reasons[row]
        read = {name: _value(column, row) for name, column in chunk.columns.items()}
        rejected.append(
            Bad(
                row=row,
                event_id=typed["event_id"][row].as_py() or None,
                event_timestamp=typed["event_timestamp"][row].as_py(),
                attribute=attribute,
                fault=fault,
                line=None if chunk.lines is None else chunk.lines[row],
                payload=values.as_json(
                    {name: value for name, value in read.items() if value is not None}
                ),
            )
        )
    return rejected


def _value(column: Any, row: int) -> object:
    """Return a cell of an Arrow column as a Python value, or a text if Python cannot hold it."""
    if isinstance(column, list):
        return column[row]
    try:
        return column[row].as_py()
    except UnicodeDecodeError:  # text within a list or a struct
        return f"{column.type} that is not UTF-8"
    except (OverflowError, ValueError):  # a time that Python has no datetime for
        return f"{column[row].value} {column.type}"


def _broken(chunk: Chunk) -> list[Bad]:
    """Convert a chunk's unreadable lines to the form of invalid rows."""
    return [
        Bad(
            row=-1,
            event_id=None,
            event_timestamp=None,
            attribute="line",
            fault=Fault(row.reason, row.value),
            line=row.line,
            payload=row.text[:10_000],
        )
        for row in chunk.broken
    ]
