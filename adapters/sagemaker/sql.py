"""The neutral subset in Athena's SQL (engine version 3, which follows Trino). Pure; no SDK.

Nobody has run these texts on an account yet (`known: docs`). Where the documents leave a doubt, the
older or plainer form is written: windows inline, `a || b`, casts instead of implicit types.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

from sqlglot import exp

from ...errors import Invalid
from ...feature_store.port import Params, Rendered, SqlProblem
from ...feature_store.sql.rules import CASTS, parse_timestamp, unit_of
from ...feature_store.sql.subset import check as check_neutral
from ...feature_store.sql.subset import parse
from ...times import utc_milliseconds
from ..common.warehouse.allow_list import (
    Form,
    generate,
    nodes_of,
    refuse,
    rewrite,
    rounded_decimals,
    unlisted_nodes,
    write_windows_out,
)
from ..common.warehouse.letters import TO_LOWER, TO_UPPER
from ..common.warehouse.templates import DOMAINS, filled, in_case, ratio, within_domain

_ATHENA = "https://docs.aws.amazon.com/athena/latest/ug"
_TRINO = "https://trino.io/docs/current"
_SELECT = f"{_ATHENA}/select.html"
_MATH = f"{_TRINO}/functions/math.html"
_STRING = f"{_TRINO}/functions/string.html"
_TIME = f"{_TRINO}/functions/datetime.html"
_WINDOW = f"{_TRINO}/functions/window.html"
_AGGREGATE = f"{_TRINO}/functions/aggregate.html"
_COMPARISON = f"{_TRINO}/functions/comparison.html"

FORMS = (
    Form(
        nodes=(exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Distinct, exp.Star),
        rendering="as written",
        page=_SELECT,
    ),
    Form(
        nodes=(exp.Table, exp.TableAlias, exp.Subquery, exp.Alias, exp.Column, exp.Identifier),
        rendering="as written",
        page=_SELECT,
    ),
    Form(
        nodes=(exp.With, exp.CTE, exp.Union, exp.Limit, exp.Exists, exp.In),
        rendering="as written",
        page=_SELECT,
    ),
    Form(nodes=(exp.Join,), rendering="JOIN, LEFT JOIN, CROSS JOIN", page=_SELECT),
    Form(
        nodes=(exp.Order, exp.Ordered),
        rendering="nulls last by default in both directions, as in DuckDB",
        page=f"{_TRINO}/sql/select.html",
    ),
    Form(
        nodes=(exp.Window, exp.WindowSpec),
        rendering="named windows written out; ROWS, and RANGE with an interval over a timestamp",
        page="https://trino.io/blog/2021/03/10/introducing-new-window-features.html",
    ),
    Form(
        nodes=(exp.Literal,),
        rendering="1.5 as 1.5E0: a DOUBLE, not a DECIMAL; refused where that decides",
        page=f"{_TRINO}/language/types.html",
    ),
    Form(
        nodes=(exp.Boolean, exp.Null, exp.Paren, exp.Var),
        rendering="as written",
        page=f"{_TRINO}/language/types.html",
    ),
    Form(
        nodes=(exp.Placeholder,),
        rendering="a typed literal, put in by `bind`",
        page=f"{_ATHENA}/querying-with-prepared-statements.html",
    ),
    Form(
        nodes=(exp.And, exp.Or, exp.Not),
        rendering="as written",
        page=f"{_TRINO}/functions/logical.html",
    ),
    Form(
        nodes=(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between),
        rendering="as written",
        page=_COMPARISON,
    ),
    Form(
        nodes=(exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Like),
        rendering="as written",
        page=_COMPARISON,
    ),
    Form(nodes=(exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Neg), rendering="as written", page=_MATH),
    Form(
        nodes=(exp.Div,),
        rendering="CAST(a AS DOUBLE) / NULLIF(b, 0): on whole numbers Athena's / drops the "
        "fraction; 1 / 0 is NULL",
        page=_MATH,
    ),
    Form(nodes=(exp.DPipe,), rendering="a || b", page=_STRING),
    Form(
        nodes=(exp.Case, exp.If, exp.Coalesce, exp.Nullif),
        rendering="as written",
        page=f"{_TRINO}/functions/conditional.html",
    ),
    Form(
        nodes=(exp.Cast, exp.DataType),
        rendering="BOOLEAN, BIGINT, DOUBLE, VARCHAR, TIMESTAMP",
        page=f"{_ATHENA}/data-types.html",
    ),
    Form(
        nodes=(exp.Interval,),
        rendering="INTERVAL '7' DAY; weeks as days",
        page=f"{_TRINO}/language/types.html",
    ),
    Form(
        nodes=(exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg),
        rendering="as written",
        page=_AGGREGATE,
    ),
    Form(
        nodes=(exp.Stddev, exp.StddevSamp, exp.Variance), rendering="of the sample", page=_AGGREGATE
    ),
    Form(
        nodes=(exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead),
        rendering="as written, without a frame",
        page=_WINDOW,
    ),
    Form(nodes=(exp.FirstValue, exp.LastValue), rendering="as written", page=_WINDOW),
    Form(
        nodes=(exp.Abs, exp.Sign, exp.Floor, exp.Ceil),
        rendering="as written",
        page=_MATH,
    ),
    Form(
        nodes=(exp.Round,),
        rendering="of what is below 2^53: Athena's would give 2^63 at most (MathFunctions.java)",
        page=_MATH,
    ),
    Form(
        nodes=(exp.Ln, exp.Exp, exp.Sqrt, exp.Pow),
        rendering="NULL where the result is no finite number",
        page=_MATH,
    ),
    Form(
        nodes=(exp.Lower, exp.Upper),
        rendering="TRANSLATE, of the letters whose other case is one letter",
        page=_STRING,
    ),
    Form(
        nodes=(exp.Replace,),
        rendering="of an empty text none: Athena's own would put the other between all letters",
        page=_STRING,
    ),
    Form(
        nodes=(exp.Length, exp.Substring, exp.StartsWith),
        rendering="as written",
        page=_STRING,
    ),
    Form(
        nodes=(exp.TimestampTrunc, exp.Extract),
        rendering="date_trunc('DAY', t); EXTRACT(HOUR FROM t)",
        page=_TIME,
    ),
    Form(nodes=(exp.DateDiff,), rendering="DATE_DIFF('millisecond', a, b)", page=_TIME),
)
_ALLOWED = nodes_of(FORMS)


@lru_cache(maxsize=256)
def check(sql: str) -> tuple[SqlProblem, ...]:
    """Return a problem for each part of a query that Athena's SQL cannot express.

    Queries are in neutral SQL, the subset that all targets share; problems on every target come
    first.
    """
    if neutral := check_neutral(sql):
        return neutral
    tree = parse(sql)
    return unlisted_nodes(tree, _ALLOWED, "Athena") + rounded_decimals(tree)


def render(sql: str) -> Rendered:
    """Translate SQL that all targets share to Athena's; parameters stay as `$name`.

    Raises Invalid if `check` finds a problem.
    """
    refuse(check(sql), "Athena")
    tree = parse(sql)
    write_windows_out(tree)
    return Rendered(sql=generate(rewrite(tree, _say), "athena"), windows_rewritten=0)


def bind(sql: str, params: Params) -> str:
    """Return SQL with its `$name` parameters replaced by literals of their types.

    Athena's own parameters are untyped text.

    Args:
        sql: Neutral SQL.
        params: A bool, int, float, str, datetime (aware, or naive in UTC; milliseconds) or None by
            name.

    Raises:
        Invalid: A value of another type, a name without a value, or a value without a name.
    """
    tree = parse(sql)
    names = {placeholder.name for placeholder in tree.find_all(exp.Placeholder)}
    if names != set(params):
        wrong = ", ".join(sorted(names ^ set(params)))
        raise Invalid(
            f"parameters do not fit the query: {wrong}",
            remedy="give a value for each $name, and no other",
        )
    for placeholder in list(tree.find_all(exp.Placeholder)):
        placeholder.replace(_literal(placeholder.name, params[placeholder.name]))
    return tree.sql("duckdb", copy=False)


def _literal(name: str, value: object) -> exp.Expr:
    """Return a parameter's value as an SQL literal of its type; `name` is for errors."""
    if value is None:
        return exp.null()
    if isinstance(value, bool | str | int) or (isinstance(value, float) and math.isfinite(value)):
        return exp.convert(value)
    if isinstance(value, datetime):
        moment = utc_milliseconds(value if value.tzinfo else value.replace(tzinfo=UTC)).replace(
            tzinfo=None
        )
        return exp.cast(
            exp.Literal.string(moment.isoformat(sep=" ", timespec="milliseconds")),
            exp.DType.TIMESTAMPNTZ,
        )
    raise Invalid(
        f"parameter {name} is {value!r}",
        remedy="a parameter is a bool, int, finite float, str, datetime or None",
    )


def _say(node: exp.Expr) -> exp.Expr:
    """Rewrite one node of an SQL tree into a form that sqlglot can write for Athena."""
    return _WORDS[type(node)](node) if type(node) in _WORDS else node


def _number(node: exp.Expr) -> exp.Expr:
    """Return a decimal literal such as 1.5 as 1.5E0, which Athena reads as a DOUBLE."""
    if node.args["is_string"] or not re.fullmatch(r"\d*\.\d*", node.name):
        return node
    return exp.Literal(this=f"{node.name}E0", is_string=False)


def _interval(node: exp.Expr) -> exp.Expr:
    """Return an SQL interval as Athena takes it: the amount as quoted text, weeks as days."""
    unit = unit_of(node)
    amount, unit = (
        (7 * int(node.this.name), "DAY") if unit == "WEEK" else (int(node.this.name), unit)
    )
    return exp.Interval(this=exp.Literal.string(str(amount)), unit=exp.var(unit))


def _cast(node: exp.Expr) -> exp.Expr:
    """Return an SQL cast in Athena's form: a TIMESTAMP literal, or BIGINT for whole numbers."""
    kind = CASTS[node.args["to"].this]
    moment = (
        parse_timestamp(node.this.name)
        if kind == "timestamp" and isinstance(node.this, exp.Literal)
        else None
    )
    if moment is not None:
        return exp.var(f"TIMESTAMP '{moment.isoformat(sep=' ', timespec='milliseconds')}'")
    return exp.cast(node.this, exp.DType.BIGINT) if kind == "int64" else node


def _rounded(node: exp.Expr) -> exp.Expr:
    """Return ROUND of a number in Athena's SQL, or the number if it is too large to round.

    Athena's ROUND counts in 64 bits, and gives the largest of them for any larger number.
    """
    decimals = int(node.args["decimals"].name) if node.args.get("decimals") else 0
    limit = f"{2.0**53 / 10 ** min(decimals, 30):E}"
    return filled(f"CASE WHEN ABS(x) < {limit} THEN r ELSE x END", {"x": node.this, "r": node})


def _replaced(node: exp.Expr) -> exp.Expr:
    """Return REPLACE in Athena's SQL, where replacing an empty text changes nothing."""
    search = node.args["expression"]
    if isinstance(search, exp.Literal) and search.name:
        return node
    new = node.args["replacement"]
    unless_null = "" if isinstance(new, exp.Literal) else "AND NOT y IS NULL "
    parts = {"x": node.this, "s": search, "y": new, "r": node}
    return filled(f"CASE WHEN s = '' {unless_null}THEN x ELSE r END", parts)


def _difference(node: exp.Expr) -> exp.Expr:
    """Return a difference of two timestamps as Athena's DATE_DIFF in milliseconds."""
    return exp.Anonymous(
        this="DATE_DIFF",
        expressions=[exp.Literal.string("millisecond"), node.args["expression"], node.this],
    )


_POWER = "CASE WHEN IS_FINITE(POWER(x, y)) THEN POWER(x, y) END"
_WORDS: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Literal: _number,
    exp.Div: ratio,
    exp.Round: _rounded,
    exp.Replace: _replaced,
    exp.Lower: lambda node: in_case(node, TO_LOWER),
    exp.Upper: lambda node: in_case(node, TO_UPPER),
    exp.Pow: lambda node: filled(_POWER, {"x": node.this, "y": node.args["expression"]}),
    **dict.fromkeys(DOMAINS, within_domain),
    exp.Interval: _interval,
    exp.Cast: _cast,
    exp.DateDiff: _difference,
    exp.DPipe: lambda node: exp.DPipe(
        this=node.this, expression=node.args["expression"], safe=False
    ),  # safe: with casts around it
    exp.Placeholder: lambda node: exp.var(f"${node.name}"),
}
