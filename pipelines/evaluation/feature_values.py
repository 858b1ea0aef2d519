"""Give every feature an order by which the leak alarm can rank: numbers, times, and texts.

A text has no order of its own. It is ordered by the outcome's rate among the rows of other units
that have the same text, so that no row says its own outcome. Where nearly every row has a text of
its own nothing is learnt that way: such an id keeps its alphabetical order.
"""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from .statistics import Floats, sums

Codes = NDArray[np.int64]
_FOLDS = 5
_SMOOTHING = 2.0  # rows at the overall rate that each text is given
_OWN = 0.98  # share of rows with a value of their own, from which on a column is an id
_FEWEST_OF_ID = 500  # values; fewer may all differ by chance


class FeatureValues(msgspec.Struct, frozen=True, kw_only=True):
    """A feature's values in an order: `numbers` are NaN where there is none."""

    numbers: Floats
    codes: Codes | None  # of equal values, -1 without one; None of floats: they are no categories
    text: bool = False
    is_id: bool = False  # nearly every row, or every list, has one of its own


def why_not_ordered(table: pa.Table, name: str) -> str | None:
    """Return text on why a column cannot be used as a score; None if it can."""
    if name not in table.column_names:
        return "it is not in the training set"
    column = table[name]
    if column.null_count == table.num_rows:
        return "it has no value"
    kind = column.type
    if _is_number(kind) or _is_text(kind) or pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return None
    return f"values of type {kind} have no order"


def feature_values(
    table: pa.Table,
    name: str,
    truth: NDArray[np.bool_],
    units: Codes,
    lists: Codes | None = None,
) -> FeatureValues:
    """Return a feature's values as numbers by which rows can be ranked.

    `truth` are the outcomes. A text becomes the rate of the outcome among rows of other units with
    that text; `lists` says which rows were ranked together.
    """
    column: Any = table[name].combine_chunks()
    kind = column.type
    if pa.types.is_floating(kind) or pa.types.is_decimal(kind):
        return FeatureValues(numbers=_floats(column), codes=None)
    encoded: Any = column.dictionary_encode()
    codes = np.asarray(encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False), np.int64)
    alphabetical = np.empty(len(encoded.dictionary), np.int64)
    alphabetical[pc.array_sort_indices(encoded.dictionary).to_numpy()] = np.arange(
        len(encoded.dictionary)
    )
    codes = np.where(codes < 0, -1, alphabetical[codes]) if len(alphabetical) else codes
    text = _is_text(kind)
    is_id = (text or pa.types.is_integer(kind)) and _is_id(codes, lists)
    if text and not is_id:
        numbers = _by_rate(codes, truth, units)
    elif text:
        numbers = np.where(codes < 0, np.nan, codes.astype(float))
    elif pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        numbers = _floats(column.cast(pa.timestamp("ms")).cast(pa.int64()))
    else:
        numbers = _floats(column)
    return FeatureValues(numbers=numbers, codes=codes, text=text, is_id=is_id)


def _is_number(kind: pa.DataType) -> bool:
    """Return whether values of this Arrow type are numbers or booleans."""
    return (
        pa.types.is_integer(kind)
        or pa.types.is_floating(kind)
        or pa.types.is_boolean(kind)
        or pa.types.is_decimal(kind)
    )


def _is_text(kind: pa.DataType) -> bool:
    """Return whether values of this Arrow type are text."""
    return pa.types.is_string(kind) or pa.types.is_large_string(kind)


def _floats(column: Any) -> Floats:
    """Return an Arrow column as a NumPy array of floats."""
    return np.asarray(column.cast(pa.float64()).to_numpy(zero_copy_only=False), np.float64)


def _is_id(codes: Codes, lists: Codes | None) -> bool:
    """Return whether a feature looks like an id: nearly every row, or every list, has its own.

    `codes` are the values as integers; `lists` says which rows were ranked together.
    """
    filled = codes >= 0
    values = len(np.unique(codes[filled]))
    if values < _FEWEST_OF_ID:
        return False
    if values >= _OWN * int(filled.sum()):
        return True
    if lists is None:
        return False
    number = len(np.unique(lists[filled]))
    pairs = len(np.unique(codes[filled] * (int(lists.max()) + 1) + lists[filled]))
    return values >= _OWN * number and pairs * _OWN <= min(values, number)


def _by_rate(codes: Codes, truth: NDArray[np.bool_], units: Codes) -> Floats:
    """Return for each row the outcome rate of its text among rows of other units.

    This is out-of-fold target encoding, so that no row reveals its own outcome.

    `codes` are the texts as integers, `truth` the outcomes, `units` the unit of each row.
    """
    filled = codes >= 0
    order = np.random.default_rng(0).permutation(int(units.max(initial=-1)) + 1)
    fold = order[units] % _FOLDS
    number = int(codes.max(initial=-1)) + 1
    cell = np.where(filled, codes, 0) * _FOLDS + fold
    rows = sums(cell[filled], 1.0, number * _FOLDS).reshape(number, _FOLDS)
    hits = sums(cell[filled], truth[filled], number * _FOLDS).reshape(number, _FOLDS)
    overall = float(truth.mean()) if len(truth) else 0.0
    others = (hits.sum(axis=1, keepdims=True) - hits + _SMOOTHING * overall) / (
        rows.sum(axis=1, keepdims=True) - rows + _SMOOTHING
    )
    return np.where(filled, others[np.where(filled, codes, 0), fold], np.nan)
