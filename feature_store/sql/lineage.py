"""Find which columns of relations a column of a query is made of. Pure.

It looks through subqueries, WITH and UNION ALL.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

import msgspec
from sqlglot import exp
from sqlglot.optimizer.scope import Scope

RelationColumns = Mapping[str, Collection[str]]  # relation -> its columns, all in lower case
PLAIN = frozenset(
    {exp.Alias, exp.Column, exp.Identifier, exp.Paren, exp.Star}
)  # what hands a value on as it is


class Leaf(msgspec.Struct, frozen=True, kw_only=True):
    relation: str
    column: str


class Lineage(msgspec.Struct, frozen=True, kw_only=True):
    """The columns that a value is made of, and the syntax that makes it."""

    leaves: frozenset[Leaf] = frozenset()
    nodes: frozenset[type[exp.Expr]] = frozenset()

    def __or__(self, other: Lineage) -> Lineage:
        return Lineage(leaves=self.leaves | other.leaves, nodes=self.nodes | other.nodes)

    @property
    def plain(self) -> bool:
        """Return whether the value passes through unchanged: no function, no arithmetic."""
        return self.nodes <= PLAIN


def branches(scope: Scope) -> Iterator[Scope]:
    """Yield the scopes of a query's SELECTs: its own, or those of the sides of its UNION ALL."""
    if scope.set_operation_scopes:
        for side in scope.set_operation_scopes:
            yield from branches(side)
    else:
        yield scope


def tables_read(scope: Scope) -> Iterator[exp.Table]:
    """Yield every relation that a query reads at any depth, also in EXISTS and IN.

    A WITH that nobody uses is not read.
    """
    for _, source in scope.selected_sources.values():
        if isinstance(source, Scope):
            yield from tables_read(source)
        elif isinstance(source, exp.Table):
            yield source
    for inner in (*scope.subquery_scopes, *scope.set_operation_scopes):
        yield from tables_read(inner)


def selects(scope: Scope) -> list[exp.Expr]:
    """Return the expressions in a SELECT's list, in order; none for any other statement."""
    return scope.expression.selects if isinstance(scope.expression, exp.Select) else []


def outputs(scope: Scope, name: str) -> Iterator[tuple[Scope, exp.Expr | None]]:
    """Yield each SELECT of a query with its expression for the output column `name`, or None.

    Sides of a UNION ALL go by position. If the SELECT has a *, the column stands for itself.
    """
    names = [projection.alias_or_name.lower() for projection in selects(next(branches(scope)))]
    for side in branches(scope):
        returned = selects(side)
        starred = any(projection.is_star for projection in returned)
        if name in names and not starred and "*" not in names:
            place = names.index(name)
            yield side, returned[place] if place < len(returned) else None
        else:
            own = [
                projection for projection in returned if projection.alias_or_name.lower() == name
            ]
            yield side, own[0] if own else exp.column(name) if starred else None


def lineage(expression: exp.Expr, scope: Scope, relations: RelationColumns) -> Lineage:
    """Return the relations' columns that a SQL expression is computed from, where resolvable.

    `scope` is the SELECT that has the expression.
    """
    origin = Lineage(nodes=frozenset({type(expression)}))
    if isinstance(expression, exp.Column):
        return origin | _column(expression, scope, relations)
    if isinstance(expression, exp.Query):
        query = expression.unnest()
        inner = next(
            (subquery for subquery in scope.subquery_scopes if subquery.expression is query), None
        )
        for side in branches(inner) if inner else ():
            for projection in selects(side):
                origin |= lineage(projection, side, relations)
        return origin
    for child in expression.iter_expressions():
        origin |= lineage(child, scope, relations)
    return origin


def _column(column: exp.Column, scope: Scope, relations: RelationColumns) -> Lineage:
    """Return the relations' columns that a column reference comes from, through subqueries."""
    name, table = column.name.lower(), column.table.lower()
    sources = {alias.lower(): source for alias, (_, source) in scope.selected_sources.items()}
    if not table:
        owners = [alias for alias, source in sources.items() if _has(source, name, relations)]
        table = owners[0] if owners else ""
    source = sources.get(table)
    if isinstance(source, exp.Table):
        return Lineage(leaves=frozenset({Leaf(relation=source.name.lower(), column=name)}))
    origin = Lineage()
    if isinstance(source, Scope):
        for side, projection in outputs(source, name):
            if projection is not None:
                origin |= lineage(projection, side, relations)
    elif scope.parent is not None and scope.is_correlated_subquery:
        return _column(column, scope.parent, relations)
    return origin


def _has(source: exp.Expr | Scope, name: str, relations: RelationColumns) -> bool:
    """Return whether a relation or a subquery in FROM has a column of this name.

    `relations` has the columns of known relations.
    """
    if not isinstance(source, Scope):
        return name in relations.get(source.name.lower(), ())
    first = next(branches(source))
    if name in {projection.alias_or_name.lower() for projection in selects(first)}:
        return True
    starred = any(projection.is_star for projection in selects(first))
    return starred and any(
        _has(inner, name, relations) for _, inner in first.selected_sources.values()
    )
