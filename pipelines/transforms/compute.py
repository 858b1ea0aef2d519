"""Compute the columns of a model's transforms from a table of its features. Pure.

bucketize: the bucket's text, `below 10`, `10 to 100` (100 is the next one's) or `100 or more`;
null for null and NaN.

cross: the text of a number from 0 to `into` - 1, by MurmurHash3 (x86, 32 bits: the library mmh3).
Null is a value among others.

log: log(1 + x), a float; null for null, NaN, infinity and what is below 0.

dot: the scalar product of two vectors, whose columns come one vector after the other; cosine: that
of the vectors at length 1. Null where a column is null or not finite; a cosine also where a vector
is 0.

Nothing is learnt: a value that training has not seen has its bucket, its hash, its log.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ...project.specs.description import Transform
from .columns import floats

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    from numpy.typing import NDArray

_FEW = 32  # edges: so many comparisons of a whole column take less time than a search for each row


def apply(table: pa.Table, transforms: Sequence[Transform]) -> pa.Table:
    """Return the table with a column for each transform behind its own, in their order.

    A transform may read the columns of those before it.

    Args:
        table: Has every column that the transforms read.
        transforms: They are checked already: `isthmus validate`.
    """
    for transform in transforms:
        columns = [table[name].combine_chunks() for name in transform.inputs]
        if transform.kind == "cross":
            column = _cross(columns, transform.into)
        elif transform.kind == "bucketize":
            column = _bucketize(columns[0], transform.at)
        elif transform.kind in ("cosine", "dot"):
            column = _product(columns, by_length=transform.kind == "cosine")
        else:
            column = _log(columns[0])
        table = table.append_column(transform.name, column)
    return table


def bucket_names(edges: Sequence[float]) -> list[str]:
    """Return the text of each bucket between ascending edges, the lowest first."""
    texts = [repr(int(edge) if edge.is_integer() else edge) for edge in edges]
    between = [f"{low} to {high}" for low, high in itertools.pairwise(texts)]
    return [f"below {texts[0]}", *between, f"{texts[-1]} or more"]


def _bucketize(column: pa.Array[Any], edges: Sequence[float]) -> pa.Array[Any]:
    """Return the text of the bucket of each number; null for null and NaN."""
    import numpy as np
    import pyarrow as pa

    values = floats(column)
    if len(edges) <= _FEW:
        buckets = np.zeros(len(values), np.int32)
        for edge in edges:
            buckets += values >= edge
    else:
        buckets = np.searchsorted(np.asarray(edges), values, side="right").astype(np.int32)
    indices = pa.array(buckets, pa.int32(), mask=np.isnan(values))
    return pa.array(bucket_names(edges), pa.string()).take(indices)


def _log(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return log(1 + x) of each number; null where it is null, not finite or below 0."""
    import numpy as np
    import pyarrow as pa

    values = floats(column)
    countable = np.isfinite(values) & (values >= 0)
    return pa.array(np.log1p(np.where(countable, values, 0.0)), pa.float64(), mask=~countable)


def _product(columns: Sequence[pa.Array[Any]], *, by_length: bool) -> pa.Array[Any]:
    """Return the scalar product of each row's two vectors; null where it is not a number.

    `by_length`: divide it by both vectors' lengths.
    """
    import numpy as np
    import pyarrow as pa

    values = np.column_stack([floats(column) for column in columns])
    left, right = np.hsplit(values, 2)
    with np.errstate(all="ignore"):  # what is no number becomes null
        products: NDArray[np.float64] = (left * right).sum(axis=1)
        if by_length:
            lengths = np.linalg.norm(left, axis=1) * np.linalg.norm(right, axis=1)
            products = np.clip(products / lengths, -1.0, 1.0)
    countable = np.isfinite(products)
    return pa.array(np.where(countable, products, 0.0), pa.float64(), mask=~countable)


def _cross(columns: Sequence[pa.Array[Any]], into: int) -> pa.Array[Any]:
    """Return the hash of each row's values, as the text of a number below `into`.

    What is hashed is their JSON in a list, in UTF-8: `["books",1]`. Each combination is hashed
    once.
    """
    import mmh3
    import numpy as np
    import pyarrow as pa

    rows = len(columns[0])
    codes: NDArray[np.int64] = np.zeros(rows, np.int64)
    count = 1  # of the codes, which are 0 .. count - 1
    for column in columns:
        encoded = column.dictionary_encode()
        own = np.asarray(encoded.indices.fill_null(-1).cast(pa.int64())) + 1
        # by a hash table: numpy.unique sorts
        combined = pa.array(codes * (len(encoded.dictionary) + 1) + own).dictionary_encode()
        codes, count = np.asarray(combined.indices.cast(pa.int64())), len(combined.dictionary)
    first: NDArray[np.int64] = np.empty(count if rows else 0, np.int64)
    first[codes[::-1]] = np.arange(rows)[::-1]  # of equal codes the last one that is written stays
    values = (column.take(pa.array(first, pa.int64())).to_pylist() for column in columns)
    hashes = [
        mmh3.hash(json.dumps(row, ensure_ascii=False, separators=(",", ":")), signed=False) % into
        for row in zip(*values, strict=True)
    ]
    return pa.array(list(map(str, hashes)), pa.string()).take(pa.array(codes, pa.int64()))
