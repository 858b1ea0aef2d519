"""JSON as rows, an object a line, and its values in the types that Glue says."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from ..errors import QueryFailed
from ..schemas import Column, Table
from . import text, types

if TYPE_CHECKING:
    import pyarrow as pa

ValueReader = Callable[[Any], object]
_MILLIS = 10**11  # a whole number beyond it is milliseconds since 1970, not seconds


def rows(table: Table, data: bytes, uri: str, columns: list[Column]) -> pa.Table:
    """Parse a file of JSON lines into a table, in the types of the table's columns.

    It is done as OpenX's serde or Hive's does, whichever the table has.

    Raises:
        QueryFailed: HIVE_BAD_DATA for a value of another type, HIVE_CURSOR_ERROR for a line that is
            no object, unless ignore.malformed.json makes it a row of nulls.
    """
    import pyarrow as pa

    fold = table.serde_parameters.get("case.insensitive", "true").lower() != "false"
    ignore = table.serde_parameters.get("ignore.malformed.json", "false").lower() == "true"
    kinds = {column.name: types.arrow(column.type) for column in columns}
    keys = {name: table.serde_parameters.get(f"mapping.{name}", name) for name in kinds}
    places = [
        (name, key.lower() if fold else key, reader(kinds[name], uri)) for name, key in keys.items()
    ]
    values: dict[str, list[object]] = {name: [] for name in kinds}
    for line in data.decode("utf-8", "replace").split("\n"):
        if line.strip():
            row = _object(line, uri, ignore=ignore)
            by_key = {key.lower(): value for key, value in row.items()} if fold else row
            for name, key, read in places:
                values[name].append(read(by_key.get(key)))
    return pa.table({name: pa.array(values[name], kind) for name, kind in kinds.items()})


def _object(line: str, uri: str, *, ignore: bool) -> dict[str, Any]:
    """Parse one line of a file, at `uri`, as a JSON object.

    With `ignore` a malformed line is {}.

    Raises:
        QueryFailed: The line is malformed (HIVE_CURSOR_ERROR).
    """
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None
    if isinstance(row, dict):
        return row
    if ignore:
        return {}
    raise QueryFailed("HIVE_CURSOR_ERROR", f"Row is not a valid JSON Object: {uri}", category=3)


def reader(kind: pa.DataType, uri: str) -> ValueReader:
    """Return a function that converts a column's JSON values to a type.

    It raises QueryFailed with HIVE_BAD_DATA for a value that is not of the type; `uri` says where.
    """
    read = _reader(kind)

    def value(written: object) -> object:
        try:
            return read(written)
        except text.WRONG as error:
            raise QueryFailed(
                "HIVE_BAD_DATA",
                f"Error parsing a column in the table: {written!r} in {uri}",
                category=3,
            ) from error

    return value


def _reader(kind: pa.DataType) -> ValueReader:
    """Return a function that converts JSON values to an Arrow type; null stays null."""
    import pyarrow.types as t

    make = next((make for is_such, make in _READERS.items() if getattr(t, is_such)(kind)), _scalar)
    read = make(kind)
    return lambda value: None if value is None else read(value)


def _struct(kind: Any) -> ValueReader:
    """Return a function that converts JSON objects to structs, by lower-case field names."""
    members = [(field.name, field.name.lower(), _reader(field.type)) for field in kind]

    def read(value: Any) -> object:
        by_key = (
            {key.lower(): inner for key, inner in value.items()} if isinstance(value, dict) else {}
        )
        return {name: of_member(by_key.get(key)) for name, key, of_member in members}

    return read


def _list(kind: Any) -> ValueReader:
    """Return a function that converts JSON arrays to lists of one element type."""
    item = _reader(kind.value_type)
    return lambda value: [item(inner) for inner in value] if isinstance(value, list) else None


def _map(kind: Any) -> ValueReader:
    """Return a function that converts JSON objects to maps of one value type."""
    item = _reader(kind.item_type)
    return lambda value: (
        [(key, item(inner)) for key, inner in value.items()] if isinstance(value, dict) else None
    )


def _integer_reader(kind: Any) -> ValueReader:
    """Return a function that converts JSON values to integers of one width."""
    return lambda value: (
        text.whole(str(int(value)), kind.bit_width)
        if isinstance(value, (int, float, str))
        else None
    )


def _scalar(kind: Any) -> ValueReader:
    """Return a function that converts JSON values to a type by way of their text."""
    convert = text.converter(kind, iso=True)
    return lambda value: convert(str(value))


def _moment(value: Any) -> datetime:
    """Return a timestamp of a JSON value: a number since 1970, or a text."""
    if isinstance(value, (int, float)):
        return text.EPOCH + (
            timedelta(milliseconds=value)
            if isinstance(value, int) and abs(value) > _MILLIS
            else timedelta(seconds=value)
        )
    moment = datetime.fromisoformat(str(value))
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


_READERS: dict[
    str, Callable[[Any], ValueReader]
] = {  # a predicate of pyarrow.types -> what makes the reader of such a kind
    "is_string": lambda _kind: (
        lambda value: value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
    ),
    "is_struct": _struct,
    "is_list": _list,
    "is_map": _map,
    "is_timestamp": lambda _kind: _moment,
    "is_boolean": lambda _kind: lambda value: str(value).lower() == "true",
    "is_integer": _integer_reader,
    "is_floating": lambda _kind: (
        lambda value: float(value) if isinstance(value, (int, float, str)) else None
    ),
}
