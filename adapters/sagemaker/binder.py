"""What a query would return and what is wrong with it, before Athena is asked: its relations, empty, in a DuckDB in memory.

The neutral subset is DuckDB's SQL, so this gives the canonical types of the columns, and errors with their line and column, for nothing.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid
from ...feature_store.port import Params
from ...project.names import did_you_mean
from ..local.catalogue import Document
from ..local.errors import sql_invalid
from ..local.relations import needed, quoted, table_sql
from ..local.results import canonical, parameters

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa


class Bound(msgspec.Struct, frozen=True, kw_only=True):
    """A query that is sound against the project's relations."""

    schema: pa.Schema
    params: dict[str, object]  # those that it uses


def bound(documents: Mapping[str, Document], sql: str, params: Params) -> Bound:
    """Invalid with the position."""
    import duckdb

    with duckdb.connect(":memory:", config={"python_enable_replacements": "false", "autoinstall_known_extensions": "false"}) as db:
        try:
            for name in needed(documents, sql):
                document = documents[name]
                plain = msgspec.structs.replace(document, stream_key=None)
                body = table_sql(plain, ()) if document.view_sql is None else document.view_sql
                db.execute(f"CREATE VIEW {quoted(name)} AS {body}")
            statements = db.extract_statements(sql)
            if len(statements) != 1 or statements[0].type.name != "SELECT":
                raise Invalid("SQL: a query is one SELECT statement", remedy="tables change by append and save only")
            values = parameters(params, set(statements[0].named_parameters))
            found = db.sql(statements[0].query, params=values) if values else db.sql(statements[0].query)
            assert found is not None  # noqa: S101  a SELECT always gives a relation
            empty = found.limit(0).to_arrow_table().rename_columns(found.columns)  # limit tells equal names apart
            return Bound(schema=canonical(empty).schema, params=values)
        except duckdb.Error as error:
            raise _explained(db, error, sql, params, documents) from error


def _explained(db: duckdb.DuckDBPyConnection, error: duckdb.Error, sql: str, params: Params, documents: Mapping[str, Document]) -> Invalid:
    import duckdb

    missing = re.search(r"Table with name (\w+) does not exist", str(error))
    if "\n\nLINE " not in str(error):
        try:  # binding a relation loses the position; preparing the same statement finds it again
            statement = db.extract_statements(sql)[0]
            db.execute(statement, parameters(params, set(statement.named_parameters)))
        except duckdb.Error as again:
            error = again
    if missing is None:
        return sql_invalid(error)
    remedy = did_you_mean(missing.group(1).lower(), documents) or "`isthmus apply` makes the tables that the project declares"
    return sql_invalid(Exception(re.sub(r"\nDid you mean [^\n]*", "", str(error))), remedy=remedy)
