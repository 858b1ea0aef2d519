"""The files of a batch's shards: written and read some rows at a time, however many there are."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

FILE = "rows.parquet"  # of the folders that the steps hand on
_ROWS = 100_000  # in memory at a time


def deal(tables: Iterable[pa.Table], schema: pa.Schema, folders: Sequence[Path]) -> int:
    """Distribute rows over the shards, one each in turn; return the number of rows.

    Args:
        tables: The rows, some at a time.
        schema: The columns and types to write.
        folders: The shards' folders; each has a file afterwards, which may hold no rows.
    """
    import numpy as np
    import pyarrow.parquet as pq

    rows, count = 0, len(folders)
    with ExitStack() as stack:
        writers = [
            stack.enter_context(pq.ParquetWriter(folder / FILE, schema)) for folder in folders
        ]
        for group in _regrouped(tables, -(-_ROWS // count) * count):
            part = group.cast(schema)
            for number, writer in enumerate(writers):
                writer.write_table(part.take(np.arange(number, part.num_rows, count)))
            rows += part.num_rows
    return rows


def _regrouped(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """Yield the same rows in tables of `size` rows; the last table may be shorter."""
    import pyarrow as pa

    buffered: list[pa.Table] = []
    for table in tables:
        buffered.append(table)
        while (rows := sum(part.num_rows for part in buffered)) >= size:
            whole = pa.concat_tables(buffered)
            yield whole.slice(0, size).combine_chunks()
            buffered = [whole.slice(size, rows - size)] if rows > size else []
    if any(part.num_rows for part in buffered):
        yield pa.concat_tables(buffered).combine_chunks()


def limited(tables: Iterable[pa.Table], limit: int | None) -> Iterator[pa.Table]:
    """Yield the first `limit` rows of some tables; all of them if it is None."""
    for table in tables:
        part = table.slice(0, limit)
        yield part
        if limit is not None:
            limit -= part.num_rows
            if not limit:
                return


def parts(folder: Path) -> Iterator[pa.Table]:
    """Yield the rows of a shard's file, some at a time; one table of no rows if it has none."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    with pq.ParquetFile(folder / FILE) as file:
        if not file.metadata.num_rows:
            yield file.schema_arrow.empty_table()
        for batch in file.iter_batches(_ROWS):
            yield pa.Table.from_batches([batch])
