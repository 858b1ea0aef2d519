"""Show what verbs return in a notebook, and hand it to other libraries.

Structs become HTML by the page kit; tables become Arrow and pandas, too.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from . import page
from .columns import aligned

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

_Row = TypeVar("_Row")
_MOST = 100  # rows that a notebook or a prompt shows
_WIDEST = 60  # characters of a cell at a prompt
_ARROWS = (datetime, Decimal, bytes)  # what Arrow has itself


class Shown:
    """A mixin of result structs that notebooks and Python's prompt show as the console does.

    A struct without a text of its own is shown field by field.
    """

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self) if _has_own_text(self) else super().__repr__()

    def overview(self) -> Mapping[str, object]:
        """Return this result as a row of an overview table: by default all fields, by name."""
        return dict(_values(self))

    def _repr_html_(self) -> str:
        """Return this result as HTML, which Jupyter notebooks display."""
        return (
            page.code(str(self))
            if _has_own_text(self)
            else page.table(("", ""), _fields(self), wordy=1)
        )


class StructRows(tuple[_Row, ...]):
    """A tuple of a verb's structs, or dicts, which is a table with a column for each field."""

    __slots__ = ()

    def to_arrow(self) -> pa.Table:
        """Return these result rows as an Arrow table, nested structs as Arrow's structs.

        A column whose values have no common type becomes JSON text.
        """
        import pyarrow as pa

        rows = [msgspec.to_builtins(row, builtin_types=_ARROWS, enc_hook=str) for row in self]
        columns = list(dict.fromkeys(name for row in rows for name in row))
        return pa.table({name: _array([row.get(name) for row in rows]) for name in columns})

    def to_pandas(self) -> pd.DataFrame:
        """Return these result rows as a pandas DataFrame with the columns of `to_arrow`."""
        return self.to_arrow().to_pandas()

    def __repr__(self) -> str:
        if not self:
            return "no rows"
        head, rows = self._overview()
        lines = aligned(
            [head, *([_short(cell) for cell in row] for row in rows)], left=range(len(head))
        )
        return "\n".join([*lines, *self._rest()])

    def _repr_html_(self) -> str:
        """Return these rows as an HTML table, which Jupyter notebooks display."""
        if not self:
            return page.words("no rows")
        return page.table(*self._overview()) + "".join(map(page.words, self._rest()))

    def _overview(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the cells of the first rows, as text, for the HTML table."""
        rows = [
            row.overview() if isinstance(row, Shown) else dict(_values(row)) for row in self[:_MOST]
        ]
        head = list(dict.fromkeys(name for row in rows for name in row))
        return head, [[_cell(row.get(name)) for name in head] for row in rows]

    def _rest(self) -> list[str]:
        """Return a line on how many rows are not shown, as a list; empty if all are."""
        return [f"{len(self) - _MOST:,} more rows"] if len(self) > _MOST else []


def _array(values: list[Any]) -> pa.Array[Any]:
    """Return a column's values as an Arrow array; values of mixed types become JSON text."""
    import pyarrow as pa

    typed: pa.Array[Any]
    try:
        typed = pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError):
        typed = pa.array(
            [
                None if value is None else msgspec.json.encode(value, enc_hook=str).decode()
                for value in values
            ]
        )
    return typed


def _values(row: Any) -> Iterable[tuple[str, object]]:
    """Yield the (column, value) pairs of a row, which is a mapping or a struct."""
    return (
        row.items()
        if isinstance(row, Mapping)
        else ((name, getattr(row, name)) for name in row.__struct_fields__)
    )


def _short(cell: str) -> str:
    """Return a cell's text on one line, without control characters, cut if it is long."""
    line = cell if cell.isprintable() else repr(cell)[1:-1]
    return line if len(line) <= _WIDEST else f"{line[: _WIDEST - 1]}…"


def _fields(result: object) -> Iterable[tuple[str, str]]:
    """Yield a result's fields as (name, text) pairs."""
    return ((name, _cell(value)) for name, value in _values(result))


def _cell(value: object) -> str:
    """Return a value as the text of a table's cell."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, (tuple, list, set, frozenset)):
        return ", ".join(map(_cell, value))
    if isinstance(value, msgspec.Struct) and not _has_own_text(value):
        return ", ".join(f"{name} {cell}" for name, cell in _fields(value) if cell)
    return str(value)


def _has_own_text(value: object) -> bool:
    """Return whether a value's class defines its own `__str__`."""
    return type(value).__str__ is not object.__str__
