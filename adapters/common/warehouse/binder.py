"""Binding of a query in DuckDB before a cloud is asked.

The neutral subset is DuckDB's SQL. Bound against the project's relations, empty and in memory, a
query gives the canonical types of its columns, or an error with line and column, at no cost.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING

import msgspec

from ....feature_store.port import Params
from . import queries
from .relations import quoted, relations_in, table_sql
from .results import canonical
from .tables import TableDocument

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A query that is sound against the project's relations."""

    schema: pa.Schema
    params: dict[str, object]  # those that it uses


def bind(documents: Mapping[str, TableDocument], sql: str, params: Params) -> Bound:
    """Check a query in DuckDB against the project's tables, before a cloud runs it.

    Return its columns and the parameters it uses. One query at a time in a process: opening a
    database costs more than binding in it.

    Raises:
        Invalid: The query is wrong; the message has the position.
    """
    import duckdb

    with _ONE_AT_A_TIME:
        db = _database()
        views: list[str] = []
        try:
            for name in relations_in(documents, sql):
                document = documents[name]
                body = table_sql(document, ()) if document.view_sql is None else document.view_sql
                # one may be left by an interruption
                db.execute(f"CREATE OR REPLACE VIEW {quoted(name)} AS {body}")
                views.append(name)
            relation, values = queries.bind(db, sql, params)
            # limit tells equal names apart
            empty = relation.limit(0).to_arrow_table().rename_columns(relation.columns)
            return Bound(schema=canonical(empty).schema, params=values)
        except duckdb.Error as error:
            raise queries.sql_error(
                queries.with_position(db, error, sql, params), documents
            ) from error
        finally:
            for name in reversed(views):
                db.execute(f"DROP VIEW {quoted(name)}")


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """Return the process's DuckDB database in memory, opened once and cut off from the disk."""
    import duckdb

    database = duckdb.connect(
        ":memory:",
        config={"python_enable_replacements": "false", "autoinstall_known_extensions": "false"},
    )
    database.execute("SET enable_external_access = false")
    return database


_ONE_AT_A_TIME = Lock()
