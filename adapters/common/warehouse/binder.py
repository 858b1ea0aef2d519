"""What a query would return and what is wrong with it, before a cloud is asked: its relations,
empty, in a DuckDB in memory.

The neutral subset is DuckDB's SQL, so this gives the canonical types of the columns, and errors
with their line and column, for nothing.
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
from .tables import Document

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A query that is sound against the project's relations."""

    schema: pa.Schema
    params: dict[str, object]  # those that it uses


def bind(documents: Mapping[str, Document], sql: str, params: Params) -> Bound:
    """Invalid with the position.

    One query at a time in a process: opening a database costs more than binding in it.
    """
    import duckdb

    with _ONE_AT_A_TIME:
        db = _database()
        views: list[str] = []
        try:
            for name in relations_in(documents, sql):
                document = documents[name]
                body = table_sql(document, ()) if document.view_sql is None else document.view_sql
                db.execute(
                    f"CREATE OR REPLACE VIEW {quoted(name)} AS {body}"
                )  # one may be left by an interruption
                views.append(name)
            relation, values = queries.bind(db, sql, params)
            empty = (
                relation.limit(0).to_arrow_table().rename_columns(relation.columns)
            )  # limit tells equal names apart
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
    import duckdb

    database = duckdb.connect(
        ":memory:",
        config={"python_enable_replacements": "false", "autoinstall_known_extensions": "false"},
    )
    database.execute("SET enable_external_access = false")
    return database


_ONE_AT_A_TIME = Lock()
