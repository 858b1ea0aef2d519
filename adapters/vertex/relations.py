"""The relation that a name means, where BigQuery reads it otherwise than DuckDB. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from sqlglot import exp
from sqlglot.optimizer.scope import Scope, traverse_scope

_ALIAS = "isthmus_from_"


def place(tree: exp.Expr, dataset: str) -> None:
    """Put each table of a query into the BigQuery dataset, except the query's WITH names."""
    for scope in traverse_scope(tree):
        for source in scope.sources.values():
            if isinstance(source, exp.Table):
                source.set("db", exp.to_identifier(dataset, quoted=True))


def tell_rows_from_columns(tree: exp.Expr) -> None:
    """Give tables of a query aliases where BigQuery would confuse them with columns.

    A column with the name of a relation is, to BigQuery, the relation's whole row. In a subquery
    `x.y` is the field y of its own column x before it is the column y of the relation x around it.
    """
    scopes = list(traverse_scope(tree))
    taken = {column.name.lower() for column in tree.find_all(exp.Column) if not column.table}
    taken |= {
        column.table.lower()
        for scope in scopes
        for column in scope.find_all(exp.Column)
        if column.table and column.table.lower() not in {name.lower() for name in _sources(scope)}
    }
    renamed: dict[int, dict[str, str]] = {}
    for scope in scopes:
        renamed[id(scope)] = {
            name.lower(): _ALIAS + name.lower() for name in _sources(scope) if name.lower() in taken
        }
    for scope in scopes:
        for column in scope.find_all(exp.Column):
            if column.table and (alias := _alias(scope, column.table.lower(), renamed)) is not None:
                column.set("table", exp.to_identifier(alias))
    for scope in scopes:
        for name, node in _sources(scope).items():
            if alias := renamed[id(scope)].get(name.lower()):
                node.set("alias", exp.TableAlias(this=exp.to_identifier(alias)))


def _sources(scope: Scope) -> dict[str, exp.Expr]:
    """Return the tables and subqueries in a SELECT's FROM and JOINs, by their aliases."""
    sources: dict[str, exp.Expr] = {}
    for name, (node, _) in scope.selected_sources.items():
        # of a subquery sqlglot gives what is inside
        named = node if isinstance(node, exp.Table) else node.parent
        if isinstance(named, exp.Table | exp.Subquery):
            sources[name] = named
    return sources


def _alias(scope: Scope | None, name: str, renamed: Mapping[int, Mapping[str, str]]) -> str | None:
    """Return the new alias of the table that a column names, or None if it has none.

    `renamed` has the new aliases by query. The table is searched in the column's query, then in
    those around it.
    """
    while scope is not None:
        if name in {source.lower() for source in _sources(scope)}:
            return renamed[id(scope)].get(name)
        scope = scope.parent if scope.is_subquery or scope.is_correlated_subquery else None
    return None
