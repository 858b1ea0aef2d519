"""Lengths of a result's texts: the n of Trino's varchar(n), char(n) and time(n).

DuckDB's types do not have them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from sqlglot import expressions as exp

from ..schemas import Table
from . import scopes

Length = int | None  # None: no limit, or no text
Columns = list[tuple[str, Length]]  # by name, in their order
Sources = dict[str, Columns | None]  # by alias; None: not known
_WRAPPERS = (
    exp.Alias,
    exp.Paren,
    exp.Window,
    exp.Trim,
    exp.Substring,
    exp.IgnoreNulls,
    exp.RespectNulls,
    exp.Filter,
)
_AS_FIRST = frozenset((
    "lower", "upper", "ltrim", "rtrim", "reverse", "substr", "nullif", "min", "max", "arbitrary",
    "any_value", "first_value", "last_value", "lag", "lead",
))  # fmt: skip
_AS_WIDEST = frozenset({"coalesce", "greatest", "least"})


class Char(int):
    """The n of char(n)."""


class Digits(int):
    """The n of time(n)."""


def length_of_type(kind: str) -> Length:
    """Return the declared length of a Hive type: the n of varchar(n) or char(n).

    None: the type has no length.
    """
    match = re.fullmatch(r"(var)?char\((\d+)\)", kind.lower())
    if match is None:
        return None
    return int(match.group(2)) if match.group(1) else Char(match.group(2))


def type_with_length(kind: str, length: Length) -> str:
    """Return the name of a DuckDB type with the length or precision that Trino shows.

    DuckDB itself has no VARCHAR(n), CHAR(n) and TIME(n).
    """
    if isinstance(length, Digits):
        return f"TIME({length:d})" if kind == "TIME" else kind
    if kind != "VARCHAR" or length is None:
        return kind
    return f"{'CHAR' if isinstance(length, Char) else 'VARCHAR'}({max(1, length):d})"


class Lengths:
    """The lengths of a query's columns.

    Args:
        tables: The query's tables, by the names that they have in it.
    """

    def __init__(self, tables: Mapping[str, Table]) -> None:
        self._tables = tables
        self._ctes: dict[int, Columns | None] = {}

    def columns_of(self, query: exp.Expr) -> Columns | None:
        """Return each column of a query's result with its maximum text length.

        None: it cannot be said how many columns there are.
        """
        if isinstance(query, exp.Subquery):
            return self.columns_of(query.this)
        if isinstance(query, exp.SetOperation):
            return _union(self.columns_of(query.left), self.columns_of(query.right))
        return self._select_columns(query) if isinstance(query, exp.Select) else None

    def length_of(self, node: exp.Expr) -> Length:
        """Return the maximum text length, the n of varchar(n), of an expression; None: no limit."""
        select = node.find_ancestor(exp.Select)
        return _length(node, self._sources(select)) if select is not None else None

    def _select_columns(self, select: exp.Select) -> Columns | None:
        """Return the columns of a SELECT with their maximum text lengths; None if unknown."""
        sources = self._sources(select)
        columns: Columns = []
        for item in select.expressions:
            more = (
                _star_columns(item, select, sources)
                if _is_star(item)
                else [(item.alias_or_name.lower(), _length(item, sources))]
            )
            if more is None:
                return None
            columns += more
        return columns

    def _sources(self, select: exp.Select) -> Sources:
        """Return the tables and subqueries of a SELECT with their columns' maximum text lengths."""
        return {
            source.alias_or_name.lower(): _renamed(self._columns(source), source)
            for source in scopes.sources(select)
        }

    def _columns(self, source: exp.Expr) -> Columns | None:
        """Return the columns of a table or subquery with their maximum text lengths."""
        if isinstance(source, exp.Values):
            rows = [
                row.expressions if isinstance(row, exp.Tuple) else [row]
                for row in source.expressions
            ]
            return [("", _of_all(cells, {})) for cells in zip(*rows, strict=False)]
        if isinstance(source, exp.Table):
            table = self._tables.get(source.name)
            return (
                [(column.name, length_of_type(column.type)) for column in table.every]
                if table is not None
                else self._of_cte(_cte(source))
            )
        return self.columns_of(source) if isinstance(source, exp.Subquery) else None

    def _of_cte(self, cte: exp.CTE | None) -> Columns | None:
        """Return the columns of a common table expression with their maximum text lengths."""
        if cte is None:
            return None
        if id(cte) not in self._ctes:
            self._ctes[id(cte)] = _renamed(self.columns_of(cte.this), cte)
        return self._ctes[id(cte)]


def _union(left: Columns | None, right: Columns | None) -> Columns | None:
    """Return the columns of a union, each with the longer of its two maximum text lengths."""
    if left is None or right is None or len(left) != len(right):
        return None
    return [
        (name, _widest((length, other)))
        for (name, length), (_, other) in zip(left, right, strict=True)
    ]


def _is_star(item: exp.Expr) -> bool:
    """Return whether an item of a SELECT is `*` or `t.*`."""
    return isinstance(item, exp.Star) or (
        isinstance(item, exp.Column) and isinstance(item.this, exp.Star)
    )


def _star_columns(item: exp.Expr, select: exp.Select, sources: Sources) -> Columns | None:
    """Return the columns to which `*` expands in a SELECT, with their maximum text lengths.

    `item` is `*` or `t.*`, and `sources` are the SELECT's tables with their columns' lengths.
    """
    if any(
        join.args.get("using") or join.args.get("method") for join in select.args.get("joins") or ()
    ):
        return None  # columns that are joined by name stand once
    table = item.table.lower() if isinstance(item, exp.Column) else ""
    some = [sources.get(table)] if table else list(sources.values())
    return None if None in some else [column for columns in some for column in columns or ()]


def _renamed(columns: Columns | None, source: exp.Expr) -> Columns | None:
    """Return the columns of a source under the names that `AS t (a, b)` gives them."""
    alias = source.args.get("alias")
    names = (
        [column.name.lower() for column in alias.columns]
        if isinstance(alias, exp.TableAlias)
        else []
    )
    if columns is None or not names:
        return columns
    return [(name, length) for name, (_, length) in zip(names, columns, strict=False)]


def _cte(source: exp.Table) -> exp.CTE | None:
    """Return the common table expression that a source names; None within a recursive one."""
    around = list(_ancestors(source))
    named = (
        cte for node in around for cte in _ctes(node) if cte.alias.lower() == source.name.lower()
    )
    nearest = next(named, None)
    return None if any(node is nearest for node in around) else nearest


def _ctes(node: exp.Expr) -> list[exp.CTE]:
    """Return the common table expressions that a node declares."""
    with_ = node.args.get("with_")
    return list(with_.expressions) if isinstance(with_, exp.With) else []


def _ancestors(node: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the nodes around a node, from the inside."""
    parent = node.parent
    while parent is not None:
        yield parent
        parent = parent.parent


def _widest(lengths: Iterable[Length]) -> Length:
    """Return the largest of several maximum text lengths; None if one has no limit."""
    every = list(lengths)
    return (
        None
        if None in every
        else max((length for length in every if length is not None), default=None)
    )


def _of_all(nodes: Iterable[exp.Expr], sources: Sources) -> Length:
    """Return the largest of the maximum text lengths of several expressions.

    `sources` are the SELECT's tables with their columns' lengths.
    """
    return _widest(_length(node, sources) for node in nodes if not isinstance(node, exp.Null))


def _length(node: exp.Expr, sources: Sources) -> Length:
    """Return the maximum text length, the n of varchar(n), of an expression; None: no limit.

    `sources` are the SELECT's tables with their columns' lengths.
    """
    rule = next((rule for kinds, rule in _RULES if isinstance(node, kinds)), None)
    return rule(node, sources) if rule is not None else None


def _of_literal(literal: exp.Literal, _sources: Sources) -> Length:
    """Return the length of a string literal, which is also its maximum text length."""
    return len(literal.this) if literal.is_string else None


def _of_cast(cast: exp.Cast, _sources: Sources) -> Length:
    """Return the maximum text length of a cast, as its type declares it."""
    if (
        cast.to.this == exp.DataType.Type.TIME
        and isinstance(cast.this, exp.Literal)
        and cast.to.expressions
    ):
        # TIME '13:24:11' is parsed as a cast to TIME(0)
        return Digits(min(6, int(cast.to.expressions[0].name)))
    return length_of_type(cast.to.sql(dialect="trino"))


def _of_wrapped(node: exp.Expr, sources: Sources) -> Length:
    """Return the maximum text length of an expression that wraps another (parentheses ...).

    `sources` are the SELECT's tables with their columns' lengths.
    """
    return _length(node.this, sources)


def _of_case(case: exp.Case, sources: Sources) -> Length:
    """Return the maximum text length of a CASE: the largest of its branches.

    `sources` are the SELECT's tables with their columns' lengths.
    """
    return _of_all(
        [
            *(branch.args["true"] for branch in case.args["ifs"]),
            case.args.get("default") or exp.Null(),
        ],
        sources,
    )


def _of_column(column: exp.Column, sources: Sources) -> Length:
    """Return the maximum text length of a column, looked up in the SELECT's tables, `sources`."""
    table, name = column.table.lower(), column.name.lower()
    candidates = [columns for source, columns in sources.items() if table in ("", source)]
    if None in candidates:
        return None
    return next(
        (length for columns in candidates for other, length in columns or () if other == name), None
    )


def _of_function(call: exp.Anonymous, sources: Sources) -> Length:
    """Return the maximum text length of a function's result; None: no limit.

    `sources` are the SELECT's tables with their columns' lengths.
    """
    name, arguments = str(call.this).lower(), call.expressions
    if name in _AS_FIRST:
        return _length(arguments[0], sources) if arguments else None
    if name == "if":
        return _of_all(arguments[1:], sources)
    return _of_all(arguments, sources) if name in _AS_WIDEST else None


_RULES: tuple[
    tuple[type[exp.Expr] | tuple[type[exp.Expr], ...], Callable[[Any, Sources], Length]], ...
] = (
    (exp.Literal, _of_literal),
    (exp.Cast, _of_cast),
    (exp.Column, _of_column),
    (_WRAPPERS, _of_wrapped),
    (exp.Case, _of_case),
    (exp.Anonymous, _of_function),
)
