"""The values of a statement's question marks.

An execution parameter that is a constant of SQL (`1`, `'usa'`, `DATE '2020-01-01'`, `CAST('1' AS
bigint)`) is that constant; a word, or what does not parse, is a text: AWS's own awswrangler passes
`Washington`. The values of EXECUTE ... USING are SQL and nothing else.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlglot import expressions as exp

from ..errors import QueryFailed
from . import checks as check
from .errors import Malformed

_NOT_CONSTANT = (exp.Column, exp.Query, exp.Placeholder, exp.Star)


def as_sql(parameter: str) -> str:
    """Return an execution parameter of a query as the SQL text of a constant."""
    try:
        tree = check.accept(f"SELECT {parameter}")
    except (Malformed, QueryFailed):
        tree = None
    if tree is not None and _constant(tree) is not None:
        return parameter
    return _literal(parameter) if tree is None else _quoted(parameter)


def _literal(parameter: str) -> str:
    """Return an execution parameter that does not parse as SQL as a quoted SQL string.

    A call of a function that Athena lacks is not quoted: the query fails with the function's name.
    """
    return parameter if parameter.rstrip().endswith(")") else _quoted(parameter)


def _quoted(text: str) -> str:
    """Return a text as a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _constant(tree: exp.Query) -> exp.Expr | None:
    """Return the expression of a query `SELECT expression` that needs no table; else None."""
    clauses = any(value for key, value in tree.args.items() if key != "expressions")
    if not isinstance(tree, exp.Select) or len(tree.expressions) != 1 or clauses:
        return None
    value: exp.Expr = tree.expressions[0]
    return None if isinstance(value, exp.Alias) or value.find(*_NOT_CONSTANT) is not None else value


def _value(parameter: str) -> exp.Expr | None:
    """Parse an execution parameter's text as a constant SQL expression, or return None.

    Raises:
        QueryFailed: Athena lacks its function or its type.
    """
    try:
        return _constant(check.parsed(f"SELECT {parameter}"))
    except Malformed:
        return None


def bind(text: str, query: exp.Expr, parameters: Sequence[str]) -> None:
    """Replace the question marks of a query by the values of its parameters, in their order.

    `text` is the query's text, for the position in an error.

    Raises:
        QueryFailed: There are more or fewer (INVALID_PARAMETER_USAGE).
    """
    marks = sorted(query.find_all(exp.Placeholder), key=lambda mark: int(mark.meta[check.WRITTEN]))
    if len(marks) != len(parameters):
        raise QueryFailed(
            "INVALID_PARAMETER_USAGE",
            f"Incorrect number of parameters: expected {len(marks)} but found {len(parameters)}",
        )
    for mark, parameter in zip(marks, parameters, strict=True):
        value = _value(parameter)
        if value is None:
            raise QueryFailed(
                "SYNTAX_ERROR",
                f"the parameter {parameter!r} is not a constant",
                position=check.place(text, mark),
            )
        mark.replace(value if isinstance(value, exp.Literal) else exp.Paren(this=value))
