"""A table or view of the catalogue as SQL that DuckDB understands, and which of them a query names."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from .catalogue import PARTITION, Document
from .spool import SEQUENCE

DUCKDB_TYPES = {"bool": "BOOLEAN", "int64": "BIGINT", "float64": "DOUBLE", "string": "VARCHAR", "timestamp": "TIMESTAMP"}
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GLOB = re.compile(r"([\[*?])")


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def spool_table(document: Document) -> str:
    return f"spool.{quoted(document.name)}"


def needed(documents: Mapping[str, Document], sql: str) -> tuple[str, ...]:
    """The relations that a query may read, those that a view stands on before it.

    Any word that is a table's name counts, wherever it is: registering one too many costs a little, parsing would cost more.
    """
    found: dict[str, None] = {}

    def visit(text: str, above: tuple[str, ...]) -> None:
        for name in dict.fromkeys(word.lower() for word in _WORD.findall(text)):
            document = documents.get(name)
            if document is None or name in found or name in above:  # a view cannot stand on itself: DuckDB will say so
                continue
            if document.view_sql is not None:
                visit(document.view_sql, (*above, name))
            found[name] = None

    visit(sql, ())
    return tuple(found)


def table_sql(document: Document, files: Sequence[str]) -> str:
    """The declared columns and dt. Columns are found by field id, so that files from before a column was added give nulls."""
    names = ", ".join(quoted(column.name) for column in document.columns)
    if not files:
        nulls = ", ".join(f"CAST(NULL AS {DUCKDB_TYPES[c.type]}) AS {quoted(c.name)}" for c in document.columns)
        from_files = f"SELECT {nulls}, CAST(NULL AS VARCHAR) AS {PARTITION} WHERE false"
    else:
        # a folder may be called data[1]; DuckDB would take it for a pattern
        paths = ", ".join("'" + _GLOB.sub(r"[\1]", path).replace("'", "''") + "'" for path in files)
        fields = ", ".join(
            f"{place}: {{name: '{c.name}', type: '{DUCKDB_TYPES[c.type]}', default_value: NULL}}"
            for place, c in enumerate(document.columns)
        )
        from_files = (
            f"SELECT {names}, {PARTITION} FROM read_parquet([{paths}], schema = MAP {{{fields}}}, "
            f"hive_partitioning = true, hive_types = {{'{PARTITION}': 'VARCHAR'}})"
        )
    if document.stream_key is None:
        return from_files
    return f"{from_files} UNION ALL SELECT {names}, {PARTITION} FROM {spool_table(document)}"


def spool_sql(document: Document) -> str:
    fields = ", ".join(f"{quoted(c.name)} {DUCKDB_TYPES[c.type]}" for c in document.columns)
    return f"CREATE OR REPLACE TABLE {spool_table(document)} ({fields}, {SEQUENCE} BIGINT, {PARTITION} VARCHAR)"


def broken(files: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Parquet files that cannot be read, and why: footers first, as that is fast; then everything."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    def failure(read: Callable[[str], object], path: str) -> str | None:
        try:
            read(path)
        except (pa.ArrowException, OSError) as error:
            return str(error).split("\n")[0]
        return None

    for read in (pq.read_metadata, lambda path: pq.ParquetFile(path).read()):
        for path in files:
            if Path(path).exists() and (why := failure(read, path)):
                yield path, why
