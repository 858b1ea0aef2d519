"""Tables and views as SQL that DuckDB reads, and which of them a query names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from ....events.tables.column_types import sql_type
from .tables import PARTITION, TableDocument

_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_GLOB = re.compile(r"([\[*?])")


def quoted(name: str) -> str:
    """Return a name as a double-quoted SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def path_literal(path: str) -> str:
    """Return a file path as an SQL string literal that DuckDB does not take for a pattern.

    A folder may be called data[1], which DuckDB would otherwise read as a glob.
    """
    return "'" + _GLOB.sub(r"[\1]", path).replace("'", "''") + "'"


def relations_in(documents: Mapping[str, TableDocument], sql: str) -> tuple[str, ...]:
    """Return the names of tables and views that a query may read, a view after what it uses.

    Every word of the query that is a table's name counts, even if it is used otherwise: to register
    one too many costs less than to parse the query.
    """
    relations: dict[str, None] = {}

    def visit(text: str, above: tuple[str, ...]) -> None:
        for name in dict.fromkeys(word.lower() for word in _WORD.findall(text)):
            document = documents.get(name)
            if (
                document is None or name in relations or name in above
            ):  # a view cannot stand on itself: DuckDB will say so
                continue
            if document.view_sql is not None:
                visit(document.view_sql, (*above, name))
            relations[name] = None

    visit(sql, ())
    return tuple(relations)


def table_sql(document: TableDocument, files: Sequence[str]) -> str:
    """Return SQL that selects a table's declared columns and dt from Parquet files.

    Columns are found by field id: files from before a column was added give nulls.
    """
    names = ", ".join(quoted(column.name) for column in document.columns)
    if not files:
        nulls = ", ".join(
            f"CAST(NULL AS {sql_type(c.type)}) AS {quoted(c.name)}" for c in document.columns
        )
        return f"SELECT {nulls}, CAST(NULL AS VARCHAR) AS {PARTITION} WHERE false"
    paths = ", ".join(path_literal(path) for path in files)
    fields = ", ".join(
        f"{place}: {{name: '{c.name}', type: '{sql_type(c.type)}', default_value: NULL}}"
        for place, c in enumerate(document.columns)
    )
    return (
        f"SELECT {names}, {PARTITION} FROM read_parquet([{paths}], schema = MAP {{{fields}}}, "
        f"hive_partitioning = true, hive_types = {{'{PARTITION}': 'VARCHAR'}})"
    )
