"""The neutral subset in BigQuery's SQL (GoogleSQL). Pure; no SDK."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache

from sqlglot import exp

from ...feature_store.port import Rendered, SqlProblem
from ...feature_store.sql.rules import CASTS, definition, milliseconds, parse_timestamp, unit_of
from ...feature_store.sql.subset import check as check_neutral
from ...feature_store.sql.subset import line_of, parse
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
from .relations import place, tell_rows_from_columns

_PAGES = "https://cloud.google.com/bigquery/docs/reference/standard-sql"
_QUERY = f"{_PAGES}/query-syntax"
_OPERATORS = f"{_PAGES}/operators"
_CALLS = f"{_PAGES}/window-function-calls"
_MATH = f"{_PAGES}/mathematical_functions"
_STRING = f"{_PAGES}/string_functions"
_TIME = f"{_PAGES}/timestamp_functions"
_AGGREGATE = f"{_PAGES}/aggregate_functions"
_LEXICAL = f"{_PAGES}/lexical"

FORMS = (
    Form(
        nodes=(exp.Select, exp.From, exp.Where, exp.Group, exp.Having, exp.Distinct, exp.Star),
        rendering="as written",
        page=_QUERY,
    ),
    Form(
        nodes=(exp.Table, exp.TableAlias, exp.Subquery, exp.Alias, exp.Column, exp.Identifier),
        rendering="as written",
        page=_QUERY,
    ),
    Form(nodes=(exp.With, exp.CTE, exp.Union, exp.Limit), rendering="as written", page=_QUERY),
    Form(nodes=(exp.Exists, exp.In), rendering="as written", page=f"{_PAGES}/subqueries"),
    Form(
        nodes=(exp.Join,),
        rendering="JOIN, CROSS JOIN; LEFT JOIN only with an equality of both sides",
        page=f"{_QUERY}#join_types",
    ),
    Form(
        nodes=(exp.Order, exp.Ordered),
        rendering="of a query: NULLS LAST; of a window: x IS NULL, x",
        page=f"{_QUERY}#order_by_clause",
    ),
    Form(
        nodes=(exp.Window, exp.WindowSpec),
        rendering="named windows written out; RANGE INTERVAL as ORDER BY UNIX_MILLIS(t) RANGE "
        "BETWEEN 604800000 PRECEDING AND CURRENT ROW",
        page=f"{_CALLS}#def_window_frame",
    ),
    Form(
        nodes=(exp.Literal, exp.Boolean, exp.Null, exp.Paren, exp.Var),
        rendering="as written",
        page=f"{_LEXICAL}#literals",
    ),
    Form(nodes=(exp.Placeholder,), rendering="@name", page=f"{_LEXICAL}#query_parameters"),
    Form(
        nodes=(exp.And, exp.Or, exp.Not),
        rendering="as written",
        page=f"{_OPERATORS}#logical_operators",
    ),
    Form(
        nodes=(exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between),
        rendering="as written",
        page=_OPERATORS,
    ),
    Form(
        nodes=(exp.Is, exp.NullSafeEQ, exp.NullSafeNEQ, exp.Like),
        rendering="as written",
        page=_OPERATORS,
    ),
    Form(
        nodes=(exp.Add, exp.Sub),
        rendering="of an interval: TIMESTAMP_ADD, TIMESTAMP_SUB; else as written",
        page=f"{_TIME}#timestamp_add",
    ),
    Form(
        nodes=(exp.Mul, exp.Neg), rendering="as written", page=f"{_OPERATORS}#arithmetic_operators"
    ),
    Form(nodes=(exp.Mod,), rendering="MOD(a, b)", page=f"{_MATH}#mod"),
    Form(
        nodes=(exp.Div,),
        rendering="a / NULLIF(b, 0), or / by a literal",
        page=f"{_OPERATORS}#arithmetic_operators",
    ),
    Form(nodes=(exp.DPipe,), rendering="a || b", page=f"{_OPERATORS}#concatenation_operator"),
    Form(
        nodes=(exp.Case, exp.If, exp.Coalesce, exp.Nullif),
        rendering="as written",
        page=f"{_PAGES}/conditional_expressions",
    ),
    Form(
        nodes=(exp.Cast, exp.DataType),
        rendering="BOOL, INT64, FLOAT64, STRING, TIMESTAMP",
        page=f"{_PAGES}/conversion_functions#cast",
    ),
    Form(
        nodes=(exp.Interval,),
        rendering="INTERVAL 7 DAY inside TIMESTAMP_ADD; weeks as days",
        page=f"{_TIME}#timestamp_add",
    ),
    Form(
        nodes=(exp.Count, exp.Sum, exp.Min, exp.Max, exp.Avg),
        rendering="as written",
        page=_AGGREGATE,
    ),
    Form(
        nodes=(exp.Stddev, exp.StddevSamp, exp.Variance),
        rendering="of the sample",
        page=f"{_PAGES}/statistical_aggregate_functions",
    ),
    Form(
        nodes=(exp.RowNumber, exp.Rank, exp.DenseRank),
        rendering="as written",
        page=f"{_PAGES}/numbering_functions",
    ),
    Form(
        nodes=(exp.Lag, exp.Lead, exp.FirstValue, exp.LastValue),
        rendering="as written",
        page=f"{_PAGES}/navigation_functions",
    ),
    Form(
        nodes=(exp.Abs, exp.Sign, exp.Floor, exp.Ceil, exp.Round),
        rendering="as written; floats come out",
        page=_MATH,
    ),
    Form(
        nodes=(exp.Ln, exp.Exp, exp.Sqrt, exp.Pow),
        rendering="NULL where BigQuery's own is an error, as the result is no finite number",
        page=_MATH,
    ),
    Form(
        nodes=(exp.Lower, exp.Upper),
        rendering="TRANSLATE, of the letters whose other case is one letter",
        page=f"{_STRING}#translate",
    ),
    Form(
        nodes=(exp.Length, exp.Substring, exp.Replace, exp.StartsWith),
        rendering="as written",
        page=_STRING,
    ),
    Form(
        nodes=(exp.TimestampTrunc,),
        rendering="TIMESTAMP_TRUNC(t, DAY)",
        page=f"{_TIME}#timestamp_trunc",
    ),
    Form(nodes=(exp.Extract,), rendering="EXTRACT(HOUR FROM t), in UTC", page=f"{_TIME}#extract"),
    Form(
        nodes=(exp.DateDiff,),
        rendering="TIMESTAMP_DIFF(b, a, MILLISECOND)",
        page=f"{_TIME}#timestamp_diff",
    ),
)
_ALLOWED = nodes_of(FORMS)


@lru_cache(maxsize=256)
def check(sql: str) -> tuple[SqlProblem, ...]:
    """Return a problem for each part of a query that BigQuery's SQL cannot express.

    Queries are in neutral SQL, the subset that all targets share; problems on every target come
    first.
    """
    if neutral := check_neutral(sql):
        return neutral
    tree = parse(sql)
    return unlisted_nodes(tree, _ALLOWED, "BigQuery") + rounded_decimals(tree) + tuple(_joins(tree))


def render(sql: str, dataset: str = "") -> Rendered:
    """Translate SQL that all targets share to BigQuery's, with tables in a dataset.

    Parameters become `@name`. Raises Invalid if `check` finds a problem.
    """
    refuse(check(sql), "BigQuery")
    tree = parse(sql)
    rewritten = {
        id(definition(spec.parent))
        for spec in tree.find_all(exp.WindowSpec)
        if isinstance(spec.parent, exp.Window) and _distances(spec)
    }
    write_windows_out(tree)
    tell_rows_from_columns(tree)
    if dataset:
        place(tree, dataset)
    for window in tree.find_all(exp.Window):
        _window(window)
    return Rendered(sql=generate(rewrite(tree, _say), "bigquery"), windows_rewritten=len(rewritten))


def _joins(tree: exp.Expr) -> Iterator[SqlProblem]:
    """Yield a problem for each LEFT JOIN whose ON has no equality between its two sides.

    BigQuery refuses such joins.
    """
    for join in tree.find_all(exp.Join):
        if str(join.args.get("side") or "").upper() == "LEFT" and not any(
            map(_equality, _conjuncts(join.args["on"]))
        ):
            yield SqlProblem(
                line=line_of(join),
                what="LEFT JOIN without an equality",
                why="BigQuery needs `ON a.x = b.x` of both sides in a LEFT JOIN; other "
                "conditions may stand beside it",
            )


def _conjuncts(condition: exp.Expr) -> Iterator[exp.Expr]:
    """Yield the conditions that AND joins in an SQL condition."""
    if isinstance(condition, exp.And):
        yield from _conjuncts(condition.left)
        yield from _conjuncts(condition.right)
    elif isinstance(condition, exp.Paren):
        yield from _conjuncts(condition.this)
    else:
        yield condition


def _equality(condition: exp.Expr) -> bool:
    """Return whether an SQL condition equates columns of two tables, such as a.x = b.x.

    Columns without a table count as such.
    """
    if not isinstance(condition, exp.EQ):
        return False
    sides = [
        {column.table for column in side.find_all(exp.Column)}
        for side in (condition.left, condition.right)
    ]
    return all(sides) and (sides[0].isdisjoint(sides[1]) or "" in sides[0] | sides[1])


def _distances(spec: exp.Expr) -> tuple[str, ...]:
    """Return the names of the bounds of a window frame that are intervals, such as 1 DAY."""
    return tuple(part for part in ("start", "end") if isinstance(spec.args.get(part), exp.Interval))


def _window(window: exp.Window) -> None:
    """Change an SQL window in place so that BigQuery orders nulls as DuckDB does."""
    order, spec = window.args.get("order"), window.args.get("spec")
    if order is None:
        return
    distances = _distances(spec) if spec is not None else ()
    by_distance = (
        spec is not None
        and spec.args["kind"] == "RANGE"
        and any(isinstance(bound, exp.Expr) for bound in spec.args.values())
    )
    if spec is not None:
        for part in distances:
            spec.set(part, exp.Literal.number(milliseconds(spec.args[part])))
    keys: list[exp.Expr] = []
    by_distance = (
        spec is not None
        and str(spec.args["kind"]).upper() == "RANGE"
        and any(isinstance(b, exp.Expr) for b in spec.args.values())
    )
    for key in order.expressions:
        descending, nulls_first = bool(key.args.get("desc")), bool(key.args.get("nulls_first"))
        # exact, because every stored timestamp is in whole milliseconds (PORTS.md, rule 4) and no
        # interval is shorter than a second
        value = exp.Anonymous(this="UNIX_MILLIS", expressions=[key.this]) if distances else key.this
        if (
            nulls_first is descending and not by_distance
        ):  # BigQuery: nulls first when ascending, last when descending
            place = exp.Is(this=key.this.copy(), expression=exp.null())
            keys.append(exp.Ordered(this=place, desc=nulls_first, nulls_first=not nulls_first))
        keys.append(exp.Ordered(this=value, desc=descending, nulls_first=not descending))
    order.set("expressions", keys)


def _say(node: exp.Expr) -> exp.Expr:
    """Rewrite one node of an SQL tree into a form that sqlglot can write for BigQuery."""
    return _WORDS[type(node)](node) if type(node) in _WORDS else node


def _sum(node: exp.Expr) -> exp.Expr:
    """Return a timestamp plus or minus an interval as TIMESTAMP_ADD or TIMESTAMP_SUB."""
    if not isinstance(node.args["expression"], exp.Interval):
        return node
    name = "TIMESTAMP_ADD" if isinstance(node, exp.Add) else "TIMESTAMP_SUB"
    return exp.Anonymous(this=name, expressions=[node.this, _number(node.args["expression"])])


def _difference(node: exp.Expr) -> exp.Expr:
    """Return a difference of two timestamps as TIMESTAMP_DIFF in milliseconds."""
    return exp.Anonymous(
        this="TIMESTAMP_DIFF",
        expressions=[node.this, node.args["expression"], exp.var("MILLISECOND")],
    )


def _number(interval: exp.Interval) -> exp.Interval:
    """Return an SQL interval as BigQuery takes it: the amount as a number, weeks as days."""
    weeks = unit_of(interval) == "WEEK"
    amount = int(interval.this.name) * (7 if weeks else 1)
    return exp.Interval(
        this=exp.Literal.number(amount), unit=exp.var("DAY" if weeks else unit_of(interval))
    )


def _cast(node: exp.Expr) -> exp.Expr:
    """Return an SQL cast in BigQuery's form: a TIMESTAMP literal, or a cast to TIMESTAMP."""
    if CASTS[node.args["to"].this] != "timestamp":
        return node
    moment = parse_timestamp(node.this.name) if isinstance(node.this, exp.Literal) else None
    if moment is not None:
        return exp.var(f"TIMESTAMP '{moment.isoformat(sep=' ', timespec='milliseconds')}+00'")
    return exp.cast(node.this, exp.DType.TIMESTAMPTZ)  # sqlglot's name for BigQuery's TIMESTAMP


_WORDS: dict[type[exp.Expr], Callable[[exp.Expr], exp.Expr]] = {
    exp.Add: _sum,
    exp.Sub: _sum,
    exp.Div: ratio,
    exp.Cast: _cast,
    exp.DateDiff: _difference,
    exp.Lower: lambda node: in_case(node, TO_LOWER),
    exp.Upper: lambda node: in_case(node, TO_UPPER),
    exp.Pow: lambda node: filled(
        "SAFE.POWER(x, y)", {"x": node.this, "y": node.args["expression"]}
    ),
    **dict.fromkeys(DOMAINS, within_domain),
}
