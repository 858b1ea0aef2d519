"""Cells of text and their values.

OpenCSVSerde's cells are quoted, LazySimpleSerDe's delimited, and nested by further delimiters.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_UP, Context, Decimal, InvalidOperation
from typing import TYPE_CHECKING, Any

import msgspec

from ..errors import NotRun, QueryFailed
from ..schemas import Column, Table
from . import types

if TYPE_CHECKING:
    import pyarrow as pa

Convert = Callable[[str], object]
# what a Convert raises for a text that is not of its type
WRONG = (
    ValueError,
    InvalidOperation,
    OverflowError,
)
_DIGITS = Context(prec=76)
EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  Hive's timestamps have no zone
csv.field_size_limit(1 << 30)  # a cell may be as long as it likes
_DELIMITERS = tuple(chr(code) for code in range(1, 9))  # Hive's, by depth


class Lazy(msgspec.Struct, frozen=True):
    """The options of LazySimpleSerDe."""

    delimiters: tuple[str, ...]  # of fields, of items, of a map's keys, of what is nested deeper
    null: str
    escape: str | None


def lazy(options: Mapping[str, str]) -> Lazy:
    """Return LazySimpleSerDe's options (delimiters, null text ...) from a table's parameters."""
    field = _character(
        options.get("field.delim", options.get("serialization.format")), _DELIMITERS[0]
    )
    items = _character(
        options.get("collection.delim", options.get("colelction.delim")), _DELIMITERS[1]
    )
    keys = _character(options.get("mapkey.delim"), _DELIMITERS[2])
    escape = _character(options["escape.delim"], "\\") if "escape.delim" in options else None
    return Lazy(
        (field, items, keys, *_DELIMITERS[3:]),
        options.get("serialization.null.format", "\\N"),
        escape,
    )


def _character(written: str | None, default: str) -> str:
    """Return a delimiter from a serde's option, `written`: a character, or the number of one.

    Without the option it is `default` (Hive's LazyUtils).
    """
    if not written:
        return default
    return (
        chr(int(written))
        if re.fullmatch("[0-9]{1,3}", written) and int(written) < 128
        else written[0]
    )


def csv_lines(options: Mapping[str, str], data: bytes, skip: int) -> Iterator[list[str | None]]:
    """Yield the fields of each line of a CSV file, as OpenCSVSerde parses it.

    `options` are the serde's; the first `skip` lines are left out.
    """
    quote, escape = options.get("quoteChar", '"'), options.get("escapeChar", "\\")
    try:
        reader = csv.reader(
            io.StringIO(data.decode("utf-8", "replace"), newline=""),
            delimiter=options.get("separatorChar", ",")[:1],
            quotechar=quote[:1] or None,
            escapechar=escape[:1] if escape[:1] != quote[:1] else None,
            doublequote=True,
        )
    except (TypeError, ValueError) as error:
        raise QueryFailed("NOT_SUPPORTED", f"CSV not supported: {error}") from error
    for index, line in enumerate(reader):
        if index >= skip and line:
            yield list(line)


def lazy_lines(form: Lazy, data: bytes, skip: int) -> Iterator[list[str | None]]:
    """Yield the fields of each line of a text file, as LazySimpleSerDe parses it.

    `form` has the serde's options; the first `skip` lines are left out. Escapes are left as they
    are, since a field may be nested.
    """
    lines = data.decode("utf-8", "replace").removesuffix("\n").split("\n")  # an empty line is a row
    for index, line in enumerate(lines):
        if index >= skip:
            yield [
                None if cell == form.null else cell
                for cell in _split(line.rstrip("\r"), form.delimiters[0], form.escape)
            ]


def _split(text: str, delimiter: str, escape: str | None) -> list[str]:
    """Split a line of a text file at its unescaped delimiters."""
    if not escape:
        return text.split(delimiter)
    cells = re.findall(
        f"(?:{re.escape(escape)}.|[^{re.escape(delimiter)}])*(?:{re.escape(delimiter)}|$)",
        text,
        re.DOTALL,
    )
    whole = [cell.removesuffix(delimiter) for cell in cells[:-1]]
    return whole if whole and not text.endswith(delimiter) else [*whole, ""]


def converter(kind: pa.DataType, *, iso: bool, form: Lazy | None = None, depth: int = 1) -> Convert:  # noqa: PLR0911  one line a kind
    """Return a function that converts a field's text to a value of an Arrow type.

    Args:
        kind: The type.
        iso: Whether dates and times are ISO's; OpenCSVSerde has days and milliseconds since 1970.
        form: The options for nested cells.
        depth: How deep the cell is nested.
    """
    import pyarrow.types as t

    if t.is_nested(kind):
        if form is None:
            raise NotRun(f"columns of type {kind} in tables of this serde")
        return _nested_convert(kind, form, depth)
    if t.is_string(kind):
        return (
            (lambda text: _unescaped(text, form.escape))
            if form is not None and form.escape
            else str
        )
    if t.is_integer(kind):
        return lambda text: whole(text, kind.bit_width)
    if t.is_floating(kind):
        return float
    if t.is_boolean(kind):
        return _boolean
    if t.is_decimal(kind):
        return lambda text: decimal(text, kind)
    if t.is_date(kind):
        return lambda text: (
            date.fromisoformat(text)
            if iso or "-" in text
            else date(1970, 1, 1) + timedelta(days=int(text))
        )
    if t.is_timestamp(kind):
        return lambda text: _moment(text, iso=iso)
    return binary


def _unescaped(text: str, escape: str | None) -> str:
    """Return a field's text with its escape characters removed."""
    return re.sub(f"{re.escape(escape)}(.)", r"\1", text, flags=re.DOTALL) if escape else text


def whole(text: str, bits: int) -> int:
    """Parse the text of an integer that has at most `bits` bits.

    Raises:
        ValueError: The text is no integer, or the integer has more bits.
    """
    number = int(text)
    if "_" in text or not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(text)
    return number


def decimal(text: str, kind: Any) -> Decimal:
    """Parse a decimal, rounded to the scale of `kind`, a Decimal128Type, as Hive does.

    Raises:
        ValueError: The number has more digits than `kind` allows.
        InvalidOperation: The number has far more digits than that.
    """
    rounded = Decimal(text).quantize(Decimal(1).scaleb(-kind.scale), ROUND_HALF_UP, _DIGITS)
    if not rounded.is_finite() or len(rounded.as_tuple().digits) > kind.precision:
        raise ValueError(text)
    return rounded


def _boolean(text: str) -> bool:
    """Parse the text of a boolean field.

    Raises:
        ValueError: The text is no boolean.
    """
    if text.lower() not in ("true", "false"):
        raise ValueError(text)
    return text.lower() == "true"


def _moment(text: str, *, iso: bool) -> datetime:
    """Parse a timestamp's text, of ISO's form or of milliseconds since 1970."""
    if iso or not text.lstrip("-").isdigit():
        return datetime.fromisoformat(text).replace(tzinfo=None)
    return EPOCH + timedelta(milliseconds=int(text))


def binary(text: str) -> bytes:
    """Decode the base64 text of a binary field; other text is taken as its bytes."""
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return text.encode()


def _nested_convert(kind: pa.DataType, form: Lazy, depth: int) -> Convert:
    """Return a function that converts a field's text to a list, a map or a struct.

    `form` has the delimiters, and `depth` says how deep the field is nested.
    """
    import pyarrow.types as t

    if depth + 1 >= len(form.delimiters):
        raise NotRun("columns nested deeper than Hive's eight delimiters")
    outer, inner = form.delimiters[depth], form.delimiters[depth + 1]
    if t.is_list(kind):
        item = _lenient(kind.value_type, form, depth + 1)
        return lambda text: (
            [item(cell) for cell in _split(text, outer, form.escape)] if text else []
        )
    if t.is_map(kind):
        key, value = (
            _lenient(kind.key_type, form, depth + 2),
            _lenient(kind.item_type, form, depth + 2),
        )
        return lambda text: [
            _pair(cell.partition(inner), key, value)
            for cell in _split(text, outer, form.escape)
            if cell
        ]
    fields = [kind.field(index) for index in range(kind.num_fields)]
    members = [(member.name, _lenient(member.type, form, depth + 1)) for member in fields]
    return lambda text: _members(_split(text, outer, form.escape), members)


def _lenient(kind: pa.DataType, form: Lazy, depth: int) -> Callable[[str], object]:
    """Return a function that converts a nested item's text, to null if it is not of the type.

    `form` has the delimiters, and `depth` says how deep the item is nested.
    """
    convert = converter(kind, iso=True, form=form, depth=depth)

    def read(text: str) -> object:
        try:
            return None if text == form.null else convert(text)
        except WRONG:
            return None

    return read


def _pair(parts: tuple[str, str, str], key: Convert, value: Convert) -> tuple[object, object]:
    """Return a map entry's key and value, converted from its split text.

    `parts` are the key's text, the delimiter and the value's text.
    """
    return key(parts[0]), value(parts[2]) if parts[1] else None


def _members(cells: list[str], members: Sequence[tuple[str, Convert]]) -> dict[str, object]:
    """Return a struct's fields, converted by position from its split text."""
    return {
        name: read(cells[index]) if index < len(cells) else None
        for index, (name, read) in enumerate(members)
    }


def typed_table(
    lines: Iterator[list[str | None]],
    uri: str,
    table: Table,
    columns: list[Column],
    form: Lazy | None,
) -> pa.Table:
    """Return an Arrow table of parsed lines, in the types of the table's columns.

    Fields are taken by position. One that is not of its type fails with HIVE_BAD_DATA for
    OpenCSVSerde (without `form`), and is null for LazySimpleSerDe.
    """
    import pyarrow as pa

    kinds = {column.name: types.arrow(column.type) for column in columns}
    read = {column.name: _cell_reader(column, kinds[column.name], uri, form) for column in columns}
    places = [
        (index, column.name) for index, column in enumerate(table.columns) if column.name in read
    ]
    values: dict[str, list[object]] = {column.name: [] for column in columns}
    for line in lines:
        for index, name in places:
            cell = line[index] if index < len(line) else None
            values[name].append(None if cell is None else read[name](cell))
    return pa.table(
        {column.name: pa.array(values[column.name], kinds[column.name]) for column in columns}
    )


def _cell_reader(column: Column, kind: pa.DataType, uri: str, form: Lazy | None) -> Convert:
    """Return a function that converts the text fields of one column to its type.

    `kind` is the type; `uri` names the file in errors. `form` has the options of LazySimpleSerDe;
    None: the serde is OpenCSVSerde.
    """
    convert = converter(kind, iso=form is not None, form=form)

    def read(cell: str) -> object:
        try:
            return convert(cell)
        except WRONG as error:
            if form is not None:
                return None
            where = f"Error parsing field value '{cell}' for field {column.name}"
            raise QueryFailed(
                "HIVE_BAD_DATA",
                f"{where}: it is not of type {column.type}. This error occurred in {uri}",
                category=3,
            ) from error

    return read
