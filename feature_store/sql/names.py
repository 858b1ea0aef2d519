"""Find names in a view's SQL that only DuckDB resolves, and names that are reserved for us. Pure.

Only DuckDB resolves an alias in the SELECT that makes it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer.scope import Scope, traverse_scope

from ...project.reading.names import OURS, name_problem
from ..port import SqlProblem
from .subset import line_of


def names_of_ours(tree: exp.Query) -> Iterator[SqlProblem]:
    """Yield a problem for each name in a query that begins with Isthmus's reserved prefix.

    Names are those of CTEs, aliases, windows and columns; each is named once.
    """
    outputs = [
        select.args.get("alias") for select in tree.selects
    ]  # judged as features (view_columns.py)
    names = [
        node
        for node in tree.find_all(exp.Identifier)
        if not any(node is output for output in outputs)
    ]
    ours = sorted(
        (line_of(node), node.name) for node in names if node.name.lower().startswith(OURS)
    )
    for name, line in {name: line for line, name in reversed(ours)}.items():
        what, why = name_problem(name) or (f"{name} is not a name", "choose another name")
        yield SqlProblem(line=line, what=f"{name}: {what}", why=why)


def reused_aliases(
    tree: exp.Query, relations: Mapping[str, Collection[str]]
) -> tuple[SqlProblem, ...]:
    """Return a problem for each alias that is used inside the SELECT that defines it.

    Such are `SELECT a + 1 AS b, b * 2 AS c` and aliases in WHERE, GROUP BY, HAVING and windows.
    ORDER BY may use them on every target.
    """
    try:
        scopes = traverse_scope(tree)
    except SqlglotError:  # two sources of one name: the engine says so, with the place
        return ()
    problems = (problem for scope in scopes for problem in _reused(scope, relations))
    return tuple(sorted(set(problems), key=lambda problem: problem.line))


def _reused(scope: Scope, relations: Mapping[str, Collection[str]]) -> Iterator[SqlProblem]:
    """Yield a problem for each alias that is used inside the SELECT that defines it.

    Only DuckDB resolves such an alias.
    """
    select = scope.expression
    if not isinstance(select, exp.Select):
        return
    aliases = {
        projection.alias.lower()
        for projection in select.selects
        if isinstance(projection, exp.Alias)
    }
    columns = _columns(scope, relations)
    if columns is None:
        return
    for column in scope.columns:
        name = column.name.lower()
        if column.table or name not in aliases or name in columns or _in_order_of(column, select):
            continue
        yield SqlProblem(
            line=line_of(column),
            what=f"the alias {column.name} inside its own SELECT",
            why="only DuckDB allows that: repeat the expression, or use the name in a SELECT "
            "around it",
        )


def _columns(scope: Scope, relations: Mapping[str, Collection[str]]) -> frozenset[str] | None:
    """Return the names of all columns that a SELECT can refer to, in lower case.

    None when that cannot be told: there is a * of something unknown.
    """
    columns: set[str] = set()
    for source in scope.sources.values():
        names = _outputs(source, relations)
        if names is None:
            return None
        columns |= names
    return frozenset(columns)


def _outputs(source: exp.Expr | Scope, relations: Mapping[str, Collection[str]]) -> set[str] | None:
    """Return the column names of a relation or subquery in FROM, or None if unknown."""
    if not isinstance(source, Scope):
        columns = relations.get(source.name.lower())
        return None if columns is None else {name.lower() for name in columns}
    if not isinstance(source.expression, exp.Query):
        return None
    names = {name.lower() for name in source.expression.named_selects}
    if "*" not in names:
        return names
    below = _columns(source, relations)
    return None if below is None else (names - {"*"}) | below


def _in_order_of(column: exp.Expr, select: exp.Expr) -> bool:
    """Return whether a column reference stands in this SELECT's ORDER BY."""
    order = column.find_ancestor(exp.Order, exp.Select)
    return isinstance(order, exp.Order) and order.parent is select
