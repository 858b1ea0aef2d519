"""Make an Arrow table of the rows that a predictor is asked with, and numbers of its columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from ...events.port import ColumnType
from ...events.tables.column_types import arrow_type

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray


class WrongRows(ValueError):
    """A mistake in the rows that a predictor is asked with, in words for who asked."""


def table_of(rows: Sequence[Mapping[str, Any]], types: Mapping[str, ColumnType]) -> pa.Table:
    """Return rows as a table of the columns in `types`, each in its type; None is null.

    3.0 is a whole number, too, as JSON of some clients has no other.

    Raises:
        WrongRows: a row lacks a column, or has a value of another type.
    """
    import pyarrow as pa

    columns: dict[str, pa.Array[Any]] = {}
    for name, kind in types.items():
        try:
            values = [row[name] for row in rows]
            if kind == "int64":
                values = list(map(_whole, values))
            columns[name] = pa.array(values, arrow_type(kind))
        except KeyError:
            number = next(number for number, row in enumerate(rows) if name not in row)
            raise WrongRows(f"instance {number} has no {name}") from None
        except (pa.ArrowInvalid, pa.ArrowTypeError, ValueError, OverflowError) as error:
            raise WrongRows(f"{name} is not of type {kind} in every instance: {error}") from None
    return pa.table(columns)


def floats(column: pa.Array[Any]) -> NDArray[np.float64]:
    """Return a column of numbers or bools as doubles, NaN for null."""
    import pyarrow as pa

    numbers = column.cast(pa.int8()) if pa.types.is_boolean(column.type) else column
    values: NDArray[np.float64] = numbers.cast(pa.float64(), safe=False).to_numpy(
        zero_copy_only=False
    )
    return values


def warm_up() -> None:
    """Make a first table, so that no request waits for what pyarrow imports for it.

    That is pandas, where it is installed: seconds.
    """
    table_of([{"warm": 1}], {"warm": "int64"})


def _whole(value: Any) -> Any:
    """Return 3.0 as 3 and what is no float as it is; raise ValueError for 3.5."""
    if type(value) is not float:
        return value
    if not value.is_integer():
        raise ValueError(f"{value!r} is not a whole number")
    return int(value)
