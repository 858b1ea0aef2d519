"""The shape of a cloud's SQL allow-list, and rewritings that the clouds share.

Each adapter's list says for every construct of the neutral subset how it is rendered and on which
page the provider documents that; a construct that the list does not name is refused. The local
stack shares none of this (DESIGN.md, section 2).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal

import msgspec
from sqlglot import ErrorLevel, exp

from ....errors import Invalid
from ....feature_store.port import SqlProblem
from ....feature_store.sql.rules import definition
from ....feature_store.sql.subset import line_of

_EXACT = (
    "0.1 is exact in DuckDB and a float in the cloud: write CAST(0.1 AS DOUBLE), or whole "
    "numbers: a / 10"
)
_ARITHMETIC = (exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Neg, exp.Paren)
_DECIDED = (
    exp.Round,
    exp.Floor,
    exp.Ceil,
    exp.Sign,
    exp.Mod,
    exp.EQ,
    exp.NEQ,
    exp.GT,
    exp.GTE,
    exp.LT,
    exp.LTE,
    exp.Between,
    exp.NullSafeEQ,
    exp.NullSafeNEQ,
)


class Form(msgspec.Struct, frozen=True, kw_only=True):
    """One line of an allow-list."""

    nodes: tuple[type[exp.Expr], ...]
    rendering: str  # for the reader; the golden texts show it
    page: str  # where the provider says that it has this


def nodes_of(forms: Iterable[Form]) -> frozenset[type[exp.Expr]]:
    """Return the sqlglot node types that the entries of an allow-list permit."""
    return frozenset(node for form in forms for node in form.nodes)


def unlisted_nodes(
    tree: exp.Expr, allowed: frozenset[type[exp.Expr]], engine: str
) -> tuple[SqlProblem, ...]:
    """Return a problem for each construct of a query's tree whose node type is not allowed.

    `engine` is named in the problems.
    """
    return tuple(
        SqlProblem(
            line=line_of(node),
            what=node.key.upper(),
            why=f"it is not in the list of what {engine} says as DuckDB does",
        )
        for node in tree.walk()
        if type(node) not in allowed
    )


def rounded_decimals(tree: exp.Expr) -> tuple[SqlProblem, ...]:
    """Return a problem for each rounding or comparison of a decimal such as 0.1 in a query.

    DuckDB computes with 0.1 exactly and the clouds as a float, so the answers may differ there.
    """
    return tuple(
        SqlProblem(line=line_of(node), what=f"{node.sql(dialect='duckdb')}", why=_EXACT)
        for node in tree.find_all(*_DECIDED)
        if any(
            map(
                _exact,
                (
                    value
                    for part in ("this", "expression", "low", "high")
                    if (value := node.args.get(part)) is not None
                ),
            )
        )
        and not (
            isinstance(node, exp.Predicate)
            and not any(map(_is_arithmetic, node.iter_expressions()))
        )
    )


def _exact(node: exp.Expr) -> bool:
    """Return whether an SQL node is a decimal that no float equals, or is computed of one.

    DuckDB computes it exactly. 0.1 is such a decimal, and 0.5 is not.
    """
    if isinstance(node, exp.Literal):
        return (
            not node.is_string
            and "e" not in node.name.lower()
            and Decimal(node.name) != Decimal(float(node.name))
        )
    return isinstance(node, _ARITHMETIC) and any(map(_exact, node.iter_expressions()))


def _is_arithmetic(node: exp.Expr) -> bool:
    """Return whether an SQL expression computes something, unlike a plain number.

    A plain number compares alike as a float.
    """
    return isinstance(
        node.unnest() if isinstance(node, exp.Paren) else node,
        exp.Add | exp.Sub | exp.Mul | exp.Mod,
    )


def refuse(problems: tuple[SqlProblem, ...], engine: str) -> None:
    """Raise Invalid with a query's first problem, if it has problems; `engine` is named in it.

    It is called before SQL is rendered for an engine: only a query without problems can be.
    """
    if problems:
        first = problems[0]
        raise Invalid(
            f"line {first.line}: {first.what} cannot be said to {engine}", remedy=first.why
        )


def write_windows_out(tree: exp.Expr) -> None:
    """Replace each use of a named window in a query by the window's definition, in place.

    Every engine takes an inline OVER.
    """
    for window in list(tree.find_all(exp.Window)):
        if (
            window.arg_key != "windows"
            and window.args.get("alias")
            and (named := definition(window)) is not None
        ):
            _inline(window, named)
    for select in tree.find_all(exp.Select):
        select.set("windows", None)

    for spec in tree.find_all(exp.WindowSpec):
        for part, value in spec.args.items():
            if isinstance(value, str):
                spec.set(part, value.upper())


def _inline(window: exp.Window, named: exp.Window) -> None:
    """Copy a named window's PARTITION BY, ORDER BY and frame into a window that names it."""
    for part in ("partition_by", "order", "spec"):
        if value := named.args.get(part):
            window.set(
                part, [item.copy() for item in value] if isinstance(value, list) else value.copy()
            )
    window.set("alias", None)


def rewrite(tree: exp.Expr, say: Callable[[exp.Expr], exp.Expr]) -> exp.Expr:
    """Replace each node of a query's tree by what `say` returns for it, children first.

    Returns the tree.
    """
    for node in reversed(list(tree.walk(bfs=True))):
        parent = node.parent
        if parent is None:
            continue
        part, index = node.arg_key, node.index
        replacement = say(node)
        if replacement is not node and part is not None:
            parent.set(part, replacement, index)
    return tree


def generate(tree: exp.Expr, dialect: str) -> str:
    """Return the SQL text of a query's tree in a dialect, one clause a line.

    One clause a line makes the line numbers in an engine's errors useful. Comments are left out.
    The tree is changed and must not be used afterwards.
    """
    return tree.sql(
        dialect=dialect, copy=False, pretty=True, comments=False, unsupported_level=ErrorLevel.RAISE
    )
