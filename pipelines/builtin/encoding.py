"""Encode a table's columns as numbers that a linear model reads.

A number, or a bool as 0 and 1, is standardised: minus the mean of the training rows, through their
standard deviation. Where it is missing (null, NaN or infinite) it counts as the mean; and if
training rows lacked it, too, an indicator of that is 1 (unless `nulls: mean`).

A category is a string, or what the model's file names. Each value of the training rows has an
indicator, null too; a value that they lack has none.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ...events.port import ColumnType
from ...events.tables.column_types import of_arrow
from ..transforms.columns import floats

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray
    from scipy.sparse import csr_matrix

MOST_VALUES = 100_000  # of one category


class Number(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    mean: float
    scale: float
    has_null: bool  # it has an indicator of being missing


class Category(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    values: tuple[str, ...]  # sorted
    has_null: bool


class Encoding(msgspec.Struct, frozen=True, kw_only=True):
    """The encoding of a training set's columns. `types` has the type of each."""

    types: dict[str, ColumnType]
    numbers: tuple[Number, ...]
    categories: tuple[Category, ...]


def learn(
    data: pa.Table, features: Sequence[str], categories: Sequence[str], nulls: str
) -> Encoding:
    """Return the encoding of a training set's columns.

    Args:
        data: The training set.
        features: The columns to read.
        categories: Those that are categories though they are no strings.
        nulls: `indicator`, or `mean` for numbers without one.

    Raises:
        Invalid: a column is a timestamp, a category is a float, or has too many values.
    """
    types: dict[str, ColumnType] = {
        name: of_arrow(data.schema.field(name).type) for name in features
    }
    for name, kind in types.items():
        if kind == "timestamp":
            raise Invalid(
                f"{name} is a timestamp, which no built-in trainer reads",
                remedy="compute a number in its view's SQL",
            )
        if kind == "float64" and name in categories:
            raise Invalid(f"{name} is a float, which is no category", remedy="bucketize it")
    as_categories = [name for name in features if types[name] == "string" or name in categories]
    return Encoding(
        types=types,
        numbers=tuple(
            _learn_number(name, floats(data[name].combine_chunks()), indicated=nulls == "indicator")
            for name in features
            if name not in as_categories
        ),
        categories=tuple(_learn_category(name, texts(data[name])) for name in as_categories),
    )


def _learn_number(name: str, values: NDArray[np.float64], *, indicated: bool) -> Number:
    """Return a number column's mean and standard deviation, for scaling.

    Missing values count as the mean. `indicated` says whether the column also gets an indicator of
    being missing.
    """
    import numpy as np

    finite = values[np.isfinite(values)]
    mean = float(finite.mean()) if finite.size else 0.0
    deviation = float(np.sqrt(np.square(finite - mean).sum() / max(values.size, 1)))
    return Number(
        name=name,
        mean=mean,
        scale=deviation or 1.0,
        has_null=indicated and finite.size < values.size,
    )


def _learn_category(name: str, values: pa.Array[Any]) -> Category:
    """Return the encoding of a category column: its values in the training set, sorted."""
    different = sorted(value for value in values.unique().to_pylist() if value is not None)
    if len(different) > MOST_VALUES:
        raise Invalid(
            f"{name} has {len(different):,} values, and a category has at most {MOST_VALUES:,}",
            remedy="hash it with another into fewer: {cross: [a, b], into: 4096, as: ab}",
        )
    return Category(name=name, values=tuple(different), has_null=values.null_count > 0)


def matrix(encoding: Encoding, data: pa.Table) -> csr_matrix:
    """Encode a table's rows as a sparse matrix of numbers.

    Its columns are each number; each value of each category, with null last where training rows
    lacked it; each number's indicator of being missing, where it has one.
    """
    import numpy as np
    from scipy import sparse

    standardised: list[NDArray[np.float64]] = []
    indicators: list[NDArray[np.float64]] = []
    for number in encoding.numbers:
        values = floats(data[number.name].combine_chunks())
        finite = np.isfinite(values)
        standardised.append(np.where(finite, (values - number.mean) / number.scale, 0.0))
        if number.has_null:
            indicators.append((~finite).astype(float))
    blocks = [sparse.csr_matrix(np.column_stack(standardised))] if standardised else []
    for category in encoding.categories:
        places = value_places(texts(data[category.name]), category.values)
        width = len(category.values) + category.has_null
        rows = np.flatnonzero((places >= 0) & (places < width))
        blocks.append(
            sparse.csr_matrix(
                (np.ones(rows.size), (rows, places[rows])), shape=(data.num_rows, width)
            )
        )
    if indicators:
        blocks.append(sparse.csr_matrix(np.column_stack(indicators)))
    return sparse.csr_matrix(sparse.hstack(blocks, format="csr"))


def value_places(column: pa.Array[Any], values: Sequence[str]) -> NDArray[np.int64]:
    """Return each row's index in the list of a category's values.

    It is the length of the list for null, and -1 for a value that is not in the list.
    """
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    places = pc.index_in(column, pa.array(values, pa.string())).fill_null(-1)
    return np.where(
        column.is_null().to_numpy(zero_copy_only=False),
        len(values),
        places.to_numpy(zero_copy_only=False),
    ).astype(np.int64)


def texts(column: pa.ChunkedArray[Any]) -> pa.Array[Any]:
    """Return a column of strings, whole numbers or bools as strings."""
    import pyarrow as pa

    whole: pa.Array[Any] = column.combine_chunks()
    return whole if pa.types.is_string(whole.type) else whole.cast(pa.string())
