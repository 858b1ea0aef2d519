"""The surroundings of Hive's statements: the catalogue, the database, and what they print."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from ..errors import QueryFailed
from ..schemas import Table
from ..sql.words import TokenCursor
from ..tables.catalog import Catalog


class StatementOutput(msgspec.Struct, frozen=True):
    """The output of a statement: columns and rows."""

    columns: tuple[str, ...] = ()
    rows: tuple[tuple[str | None, ...], ...] = ()


class StatementSession(msgspec.Struct, frozen=True):
    """The surroundings in which a statement runs."""

    catalog: Catalog
    s3: Any
    database: str
    now: datetime


def named_table(session: StatementSession, tokens: TokenCursor, *, views: bool = True) -> Table:
    """Parse a table's name in a DDL statement, and return that table or view from Glue.

    Raises:
        QueryFailed: It does not exist, or it is a view and `views` is False.
    """
    database, name = tokens.name()
    relation = session.catalog.table(database or session.database, name)
    if relation is None:
        raise QueryFailed(
            "FAILED",
            "SemanticException [Error 10001]: Table not found "
            f"{database or session.database}.{name}",
            category=2,
        )
    if relation.view is not None and not views:
        raise QueryFailed("FAILED", f"{relation.name} is a view")
    return relation
