"""Names in a query: the tables that it reads, and its columns where Trino looks for them.

Trino knows no alias inside its own SELECT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import msgspec
from sqlglot import expressions as exp

from ..errors import NotRun, QueryFailed
from ..schemas import Table
from ..tables.catalog import Catalog
from .checks import place

Names = frozenset[str] | None  # None: not known


class Read(msgspec.Struct, frozen=True):
    """A table of Glue in a query."""

    node: exp.Table
    table: Table


def tables(text: str, query: exp.Expr, catalog: Catalog, database: str) -> list[Read]:
    """Return every Glue table that a query reads.

    `database` is the one of names without any. Names of the query's common table expressions are
    left out.

    Raises:
        QueryFailed: There is no such table (SCHEMA_NOT_FOUND, TABLE_NOT_FOUND).
        NotRun: The query reads a table function.
    """
    reads = []
    for node in list(query.find_all(exp.Table)):
        if not isinstance(node.this, exp.Identifier):
            raise NotRun(
                f"the table function {node.this.sql(dialect='trino')[:40]}",
                position=place(text, node),
            )
        if not node.db and node.name.lower() in _ctes(node):
            continue
        if node.catalog:
            catalog.check_name(node.catalog, place(text, node))
        reads.append(Read(node, catalog.needed(node.db or database, node.name, place(text, node))))
    return reads


def _ctes(node: exp.Expr) -> set[str]:
    """Return the names of the common table expressions that are in scope at a node."""
    names: set[str] = set()
    child, parent = node, node.parent
    while parent is not None:
        with_ = parent.args.get("with_")
        if isinstance(with_, exp.With):
            inside = with_.expressions.index(child) if child in with_.expressions else None
            names |= {
                cte.alias.lower()
                for cte in (with_.expressions if inside is None else with_.expressions[:inside])
            }
        if isinstance(parent, exp.With):
            index = next(
                (i for i, cte in enumerate(parent.expressions) if cte is child),
                len(parent.expressions),
            )
            names |= {cte.alias.lower() for cte in parent.expressions[:index]}
            if parent.args.get("recursive"):
                names |= {cte.alias.lower() for cte in parent.expressions}
            child, parent = (
                parent.parent or parent,
                (parent.parent.parent if parent.parent is not None else None),
            )
            continue
        child, parent = parent, parent.parent
    return names


def check_aliases(text: str, query: exp.Expr, columns_of: Callable[[exp.Table], Names]) -> None:
    """Raise an error for an alias that is used in its own SELECT, which DuckDB would allow.

    `columns_of` returns the column names of a table, None where they are unknown.

    Raises:
        QueryFailed: It stands in WHERE, GROUP BY, HAVING or beside the alias (COLUMN_NOT_FOUND).
    """
    for select in query.find_all(exp.Select):
        aliases = {
            alias.alias.lower() for alias in select.expressions if isinstance(alias, exp.Alias)
        }
        if not aliases:
            continue
        source_columns = _sources(select, columns_of)
        if source_columns is None:
            continue
        for column in _own_columns(select):
            name = column.name.lower()
            if (
                not column.table
                and name in aliases
                and name not in source_columns
                and not _outer_has(select, name, columns_of)
            ):
                raise QueryFailed(
                    "COLUMN_NOT_FOUND",
                    f"Column '{name}' cannot be resolved",
                    position=place(text, column),
                )


def _own_columns(select: exp.Select) -> Iterator[exp.Column]:
    """Yield the column references in a SELECT's list, WHERE, GROUP BY and HAVING.

    Those in its subqueries and in lambdas are left out.
    """
    parts = [
        *select.expressions,
        *(select.args[key] for key in ("where", "group", "having") if select.args.get(key)),
    ]
    for part in parts:
        for node in part.walk(prune=lambda n: isinstance(n, (exp.Query, exp.Lambda))):
            if isinstance(node, exp.Column):
                yield node


def sources(select: exp.Select) -> list[exp.Expr]:
    """Return the syntax nodes of a SELECT's sources: what FROM and the JOINs name."""
    from_ = select.args.get("from_")
    joins = [join.this for join in select.args.get("joins") or ()]
    return [*([from_.this] if from_ is not None else []), *joins]


def _sources(select: exp.Select, columns_of: Callable[[exp.Table], Names]) -> Names:
    """Return the column names of all sources (tables, subqueries) of a SELECT; None: unknown.

    `columns_of` returns the column names of a table.
    """
    names: set[str] = set()
    for source in sources(select):
        columns = outputs(source, columns_of)
        if columns is None:
            return None
        names |= columns
    return frozenset(names)


def outputs(source: exp.Expr, columns_of: Callable[[exp.Table], Names]) -> Names:  # noqa: PLR0911  one line a kind
    """Return the column names that a table, subquery or query yields; None: unknown.

    `columns_of` returns the column names of a table.
    """
    alias = source.args.get("alias")
    if isinstance(alias, exp.TableAlias) and alias.columns:
        return frozenset(column.name.lower() for column in alias.columns)
    if isinstance(source, exp.Table):
        return columns_of(source)
    if isinstance(source, exp.Subquery):
        return outputs(source.this, columns_of)
    if isinstance(source, exp.SetOperation):
        return outputs(source.left, columns_of)
    if isinstance(source, exp.Select):
        names: set[str] = set()
        for item in source.expressions:
            if isinstance(item, exp.Star) or (
                isinstance(item, exp.Column) and isinstance(item.this, exp.Star)
            ):
                below = _sources(source, columns_of)
                if below is None:
                    return None
                names |= below
            elif item.alias_or_name:
                names.add(item.alias_or_name.lower())
        return frozenset(names)
    return None


def _outer_has(select: exp.Select, name: str, columns_of: Callable[[exp.Table], Names]) -> bool:
    """Return whether a SELECT around this one has a column of this name.

    `columns_of` returns the column names of a table.
    """
    outer = select.find_ancestor(exp.Select)
    while outer is not None:
        outer_columns = _sources(outer, columns_of)
        if outer_columns is None or name in outer_columns:
            return True
        outer = outer.find_ancestor(exp.Select)
    return False


def columns_with_ctes(
    query: exp.Expr, glue: Callable[[exp.Table], Names]
) -> Callable[[exp.Table], Names]:
    """Return a function that gives the column names of a table in the query.

    It looks among the common table expressions, and else asks `glue`.
    """
    ctes = {cte.alias.lower(): cte for cte in query.find_all(exp.CTE)}
    busy: set[str] = set()

    def columns(node: exp.Table) -> Names:
        name = node.name.lower()
        cte = ctes.get(name) if not node.db else None
        if cte is None:
            return glue(node)
        alias = cte.args.get("alias")
        if isinstance(alias, exp.TableAlias) and alias.columns:
            return frozenset(column.name.lower() for column in alias.columns)
        if name in busy:
            return None
        busy.add(name)
        try:
            return outputs(cte.this, columns)
        finally:
            busy.discard(name)

    return columns
