"""SQL of tables whose events wait in the spool, and a search for files that cannot be read."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from ....events.tables.column_types import sql_type
from ...common.warehouse import relations
from ...common.warehouse.relations import quoted
from ...common.warehouse.tables import PARTITION, TableDocument
from .spool import SEQUENCE


def spool_table(document: TableDocument) -> str:
    """Return the quoted name of the DuckDB table with a stream's events that are not in files."""
    return f"spool.{quoted(document.name)}"


def table_sql(document: TableDocument, files: Sequence[str]) -> str:
    """Return a SELECT of a table's columns and dt, from its files and its events not in files."""
    from_files = relations.table_sql(document, files)
    if document.stream_key is None:
        return from_files
    names = ", ".join(quoted(column.name) for column in document.columns)
    return f"{from_files} UNION ALL SELECT {names}, {PARTITION} FROM {spool_table(document)}"


def spool_sql(document: TableDocument) -> str:
    """Return SQL that creates the empty DuckDB table for a stream's events not yet in files."""
    fields = ", ".join(f"{quoted(c.name)} {sql_type(c.type)}" for c in document.columns)
    return (
        f"CREATE OR REPLACE TABLE {spool_table(document)} ({fields}, {SEQUENCE} BIGINT, "
        f"{PARTITION} VARCHAR)"
    )


def broken_files(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield each Parquet file that cannot be read, with the reason.

    Footers are read first, as that is fast; then everything.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    def failure(read: Callable[[str], object], path: str) -> str | None:
        try:
            read(path)
        except (pa.ArrowException, OSError) as error:
            return str(error).split("\n")[0]
        return None

    for read in (
        pq.read_metadata,
        lambda path: pq.ParquetFile(path, page_checksum_verification=True).read(),
    ):
        for path in files:
            if Path(path).exists() and (why := failure(read, path)):
                yield path, why
