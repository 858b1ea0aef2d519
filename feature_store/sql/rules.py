"""Judge single nodes of a statement by rules that the table of forms cannot say.

Each rule yields what is wrong and what to write instead.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from datetime import datetime

from sqlglot import exp

from ...events.tables.column_types import COLUMN_TYPES, sql_type
from .forms import AGGREGATES, NAVIGATION, RANKING, Node

RuleViolation = tuple[str, str]
Rule = Callable[[exp.Expr], Iterator[RuleViolation]]

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?(e[+-]?\d{1,2})?", re.IGNORECASE)
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
INTERVAL_MILLISECONDS = {
    "SECOND": 1_000,
    "MINUTE": 60_000,
    "HOUR": 3_600_000,
    "DAY": 86_400_000,
    "WEEK": 604_800_000,
}
TRUNCATE_TO = frozenset(
    {"SECOND", "MINUTE", "HOUR", "DAY", "MONTH", "YEAR"}
)  # a BigQuery week begins on Sunday
EXTRACTED = frozenset(
    {"YEAR", "MONTH", "DAY", "HOUR", "MINUTE"}
)  # weekdays are counted from other days
CASTS = {
    exp.DType.BOOLEAN: "bool",
    exp.DType.INT: "int64",
    exp.DType.BIGINT: "int64",
    exp.DType.DOUBLE: "float64",
    exp.DType.TEXT: "string",
    exp.DType.VARCHAR: "string",
    exp.DType.TIMESTAMP: "timestamp",
    exp.DType.TIMESTAMPNTZ: "timestamp",  # sqlglot's name for DuckDB's TIMESTAMP
}
_TYPES = ", ".join(map(sql_type, COLUMN_TYPES))
_ZONED = frozenset({exp.DType.TIMESTAMPTZ, exp.DType.TIMESTAMPLTZ})
_FRACTIONAL = (
    exp.Div,
    exp.Avg,
    exp.Ln,
    exp.Exp,
    exp.Sqrt,
    exp.Pow,
    exp.Stddev,
    exp.StddevSamp,
    exp.Variance,
)
_WHOLE = (exp.Round, exp.Floor, exp.Ceil, exp.Count, exp.Length, exp.Extract, exp.DateDiff)


def is_integer(node: object) -> bool:
    """Return whether a syntax node is a whole number written as a literal."""
    return isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdigit()


def unit_of(interval: exp.Expr) -> str:
    """Return an INTERVAL's unit as text in the singular and upper case, or an empty text."""
    return (
        str(interval.args["unit"].name).upper().removesuffix("S")
        if interval.args.get("unit")
        else ""
    )


def milliseconds(interval: exp.Expr) -> int:
    """Return the length of a SQL INTERVAL in milliseconds."""
    return int(interval.this.name) * INTERVAL_MILLISECONDS[unit_of(interval)]


def parse_timestamp(text: str) -> datetime | None:
    """Parse a timestamp literal that means the same everywhere; None for any other.

    It has no zone and at most milliseconds.
    """
    if not re.fullmatch(r"\d{4}-\d\d-\d\d([ T]\d\d:\d\d(:\d\d(\.\d{1,3})?)?)?", text):
        return None
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return None


def definition(window: exp.Window) -> exp.Window | None:
    """Return the window's definition: its own, or the one that `OVER name` refers to.

    None when there is none of that name.
    """
    name = window.args.get("alias")
    if name is None or window.arg_key == "windows":
        return window
    select = window.find_ancestor(exp.Select)
    named = select.args.get("windows") or [] if select else []
    return next((w for w in named if w.this.name.lower() == name.name.lower()), None)


def _identifier(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a name has other characters than letters, digits and _."""
    named_by_table = isinstance(node.parent, exp.Table) and node.arg_key == "this"
    if not NAME.fullmatch(node.name) and not named_by_table:
        yield (
            f'the name "{node.name}"',
            "names are letters, digits and _ on every target; rename it where it comes from",
        )


_ENGINES_OWN = ("duckdb_", "sqlite_", "pragma_")  # views that DuckDB finds without a schema


def _table(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if FROM reads something else than a relation of the project."""
    if not isinstance(node.this, exp.Identifier):
        yield (
            f"{node.this.sql(dialect='duckdb')} as a relation",
            "read from events, objectives and tables of project.yaml",
        )
    elif not NAME.fullmatch(node.this.name):
        yield (
            f"the file {node.this.name!r} as a relation",
            "declare it under `tables` in project.yaml and use its name",
        )
    elif node.this.name.lower().startswith(_ENGINES_OWN):
        yield f"{node.this.name} as a relation", "it is the laptop's engine's own; no cloud has it"


def _placeholder(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a parameter ($name) has no name."""
    if not node.name or not NAME.fullmatch(node.name):
        yield "a parameter without a name", "write $name"


def _join(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a JOIN is of a kind that not every engine has."""
    kind, side = str(node.args.get("kind") or "").upper(), str(node.args.get("side") or "").upper()
    method = str(node.args.get("method") or "").upper()
    if method:
        why = (
            "write ON"
            if method == "NATURAL"
            else "the clouds' references have none; use row_number() over a LEFT JOIN"
        )
        yield f"{method} JOIN", why
    elif kind not in {"", "INNER", "CROSS", "OUTER"} or side not in {"", "LEFT"}:
        yield (
            f"{side or kind} JOIN",
            (
                "the subset has JOIN, LEFT JOIN and CROSS JOIN; write EXISTS for SEMI, NOT "
                "EXISTS for ANTI"
            ),
        )
    elif kind != "CROSS" and not node.args.get("on") and not node.args.get("using"):
        yield "relations joined by a comma or without ON", "write JOIN ... ON, or CROSS JOIN"


def _union(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a UNION removes duplicates."""
    if node.args.get("distinct"):
        yield (
            "UNION",
            "write UNION ALL, with SELECT DISTINCT or GROUP BY around it where rows must differ",
        )


def _limit(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if LIMIT is not a number."""
    if not is_integer(node.args["expression"]):
        yield "LIMIT of an expression", "Athena takes a number only"


def _distinct(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if DISTINCT is used where not every engine has it."""
    inside = node.args.get("expressions") or []
    if inside and (not isinstance(node.parent, exp.Count) or len(inside) != 1):
        yield "DISTINCT in this place", "the subset has SELECT DISTINCT and count(DISTINCT x)"
    elif inside and node.parent is not None and isinstance(node.parent.parent, exp.Window):
        yield "count(DISTINCT x) OVER", "Athena has none; count in a subquery with GROUP BY"


def _var(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a bare keyword is used as anything but a date part."""
    if not isinstance(node.parent, exp.Interval | exp.TimestampTrunc | exp.Extract | exp.DateDiff):
        yield f"{node.name} in this place", "name the columns"


def _if(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a condition is written as if() and not as CASE."""
    if not (isinstance(node.parent, exp.Case) and node.arg_key == "ifs"):
        yield "if()", "write CASE WHEN ... THEN ... ELSE ... END"


def _is(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if IS compares with anything but NULL."""
    if not isinstance(node.args["expression"], exp.Null):
        yield (
            "IS with something else than NULL",
            "Athena has IS NULL, IS NOT NULL and IS DISTINCT FROM",
        )


def _like(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a LIKE pattern is not plain text."""
    pattern = node.args["expression"]
    if not (isinstance(pattern, exp.Literal) and pattern.is_string and "\\" not in pattern.name):
        yield (
            "LIKE with a pattern that is not plain text",
            "BigQuery reads a backslash as an escape; write a literal without one",
        )


def _mod(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if % divides by anything but a whole number."""
    if not is_integer(node.args["expression"]) or not int(node.args["expression"].name):
        yield (
            "% by something else than a whole number",
            "BigQuery's MOD takes no floats; write a - b * floor(a / b)",
        )


def _interval(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if an INTERVAL is not a literal number of a unit that every engine has."""
    if not isinstance(node, exp.Interval):
        return
    amount, unit = node.this, unit_of(node)
    if unit not in INTERVAL_MILLISECONDS or not (
        isinstance(amount, exp.Literal) and amount.name.isdigit()
    ):
        yield (
            f"{node.sql(dialect='duckdb')}",
            "an interval is a whole number of SECOND, MINUTE, HOUR, DAY or WEEK: INTERVAL 7 DAY",
        )
    elif not (
        isinstance(node.parent, exp.WindowSpec)
        or (isinstance(node.parent, exp.Add | exp.Sub) and node.arg_key == "expression")
    ):
        yield (
            "an interval in this place",
            "add it to a timestamp or take it away: event_timestamp + INTERVAL 7 DAY",
        )


def _literal(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a number is too large for a float, or none."""
    if node.args["is_string"]:
        return
    try:
        finite = math.isfinite(float(node.name))
    except ValueError:
        finite = False
    if not finite:
        yield f"the number {node.name[:20]}", "write a number of 1.7e308 at most"


def _cast(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a CAST does not mean the same in every engine."""
    to, value = node.args["to"].this, node.this
    if to in _ZONED:
        yield (
            "TIMESTAMPTZ",
            "timestamps are plain UTC here; write TIMESTAMP '2019-11-24 00:00:00', without a zone",
        )
    elif to not in CASTS:
        yield (
            f"a cast to {node.args['to'].sql(dialect='duckdb')}",
            f"the types of every target are {_TYPES}",
        )
    elif CASTS[to] == "timestamp" and isinstance(value, exp.Literal):
        if parse_timestamp(value.name) is None:
            yield (
                f"TIMESTAMP '{value.name}'",
                (
                    "write UTC without a zone, to milliseconds at most: TIMESTAMP '2019-11-24 "
                    "00:00:00'"
                ),
            )
    elif CASTS[to] == "float64" and isinstance(value, exp.Literal) and value.is_string:
        if not _NUMBER.fullmatch(value.name):
            yield (
                f"the number '{value.name}'",
                "there are finite numbers only, as engines compare nan and inf differently",
            )
    elif CASTS[to] in {"int64", "string"} and _may_be_fractional(value):
        kind = node.args["to"].sql(dialect="duckdb")
        yield (
            f"a cast of a fraction to {kind}",
            "engines round and print floats differently; round() it first",
        )


def _may_be_fractional(value: exp.Expr) -> bool:
    """Return whether a SQL expression may give a number with a fraction."""
    if isinstance(value, _WHOLE):
        return False
    if isinstance(value, exp.Literal):
        return not value.is_string and not is_integer(value)
    return isinstance(value, _FRACTIONAL) or any(
        _may_be_fractional(child)
        for child in value.iter_expressions()
        if not isinstance(child, exp.Predicate)
    )


def _literal_integers(*parts: str) -> Rule:
    """Return a rule: these arguments of a SQL function must be literal whole numbers."""

    def rule(node: exp.Expr) -> Iterator[RuleViolation]:
        for part in parts:
            if (value := node.args.get(part)) is not None and not is_integer(value):
                yield f"{node.key}() with a computed {part}", f"write {part} as a whole number"

    return rule


def _substring(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if the positions of substr() are not literals from 1."""
    yield from _literal_integers("start", "length")(node)
    if is_integer(node.args.get("start")) and int(node.args["start"].name) < 1:
        yield "substr() from 0", "positions begin at 1"


def _unit(allowed: frozenset[str], what: str, part: str) -> Rule:
    """Return a rule: the date part that a SQL function names must be one of those allowed.

    `part` is the argument's name, `what` names the function in the message.
    """

    def rule(node: exp.Expr) -> Iterator[RuleViolation]:
        value = node.args.get(part)
        name = value.name.upper() if isinstance(value, exp.Expr) else ""
        if name not in allowed:
            yield (
                f"{what} with {name or 'no unit'}",
                f"the same on every target are {', '.join(sorted(allowed))}",
            )

    return rule


def _count(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if count() has no argument."""
    if node.args.get("this") is None:
        yield "count()", "write count(*)"


def _needs_window(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield a problem if a window function has no OVER."""
    if not isinstance(node.parent, exp.Window):
        yield f"{node.key}() without OVER", "it is a function of a window"


def _window(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield problems of a window (OVER) that not every engine takes as it is written."""
    if not isinstance(node, exp.Window):
        return
    if node.arg_key == "windows":
        if node.args.get("alias"):
            yield f"window {node.this.name} built on another", "write it out"
        return
    function: Node = type(node.this)
    if function not in AGGREGATES | RANKING | NAVIGATION:
        yield f"{node.this.sql(dialect='duckdb')} OVER", "it is no window function of every target"
        return
    if node.args.get("alias") and any(
        node.args.get(part) for part in ("partition_by", "order", "spec")
    ):
        yield (
            f"OVER ({node.args['alias'].name} ...)",
            "write the window out, or name it as a whole: OVER name",
        )
        return
    window = definition(node)
    if window is None:
        yield f"OVER {node.args['alias'].name}", "no WINDOW of this SELECT has that name"
        return
    if function not in AGGREGATES and not window.args.get("order"):
        yield (
            f"{node.this.key}() over a window without ORDER BY",
            "its answer would be any row's; order the window",
        )
    if function in RANKING and window.args.get("spec"):
        yield (
            f"{node.this.key}() over a window with a frame",
            "the clouds refuse a frame here; give it a window of its own",
        )


def _frame(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield problems of a window's frame (ROWS, RANGE) that not every engine has."""
    kind = str(node.args.get("kind") or "").upper()
    bounds = [node.args.get("start"), node.args.get("end")]
    if kind not in {"ROWS", "RANGE"}:
        yield f"{kind} in a window", "BigQuery has ROWS and RANGE"
        return
    offsets = [bound for bound in bounds if isinstance(bound, exp.Expr)]
    if any(
        not is_integer(offset) and not (kind == "RANGE" and isinstance(offset, exp.Interval))
        for offset in offsets
    ):
        yield (
            f"a computed bound of {kind}",
            "write a whole number, or in RANGE an interval: INTERVAL 7 DAY PRECEDING",
        )
    if len({isinstance(offset, exp.Interval) for offset in offsets}) > 1:
        yield (
            "RANGE from an interval to a number",
            "write both bounds as intervals, or both as numbers",
        )
    if kind == "RANGE" and offsets:
        order = node.parent.args.get("order") if node.parent else None
        if order is None or len(order.expressions) != 1:
            yield "RANGE with a distance over several columns", "order that window by one column"
        if any(str(bound).upper() == "UNBOUNDED" for bound in bounds if isinstance(bound, str)):
            # a null key would be inside the frame on BigQuery, where nulls come first, and outside
            # elsewhere
            yield (
                "RANGE from UNBOUNDED to a distance",
                "engines sort nulls to different ends; write INTERVAL 3650 DAY",
            )


RULES: dict[Node, Rule] = {
    exp.Identifier: _identifier,
    exp.Table: _table,
    exp.Placeholder: _placeholder,
    exp.Literal: _literal,
    exp.Join: _join,
    exp.Union: _union,
    exp.Limit: _limit,
    exp.Distinct: _distinct,
    exp.Var: _var,
    exp.If: _if,
    exp.Is: _is,
    exp.Like: _like,
    exp.Mod: _mod,
    exp.Interval: _interval,
    exp.Cast: _cast,
    exp.Count: _count,
    exp.Window: _window,
    exp.WindowSpec: _frame,
    exp.Substring: _substring,
    exp.Round: _literal_integers("decimals"),
    exp.Lag: _literal_integers("offset"),
    exp.Lead: _literal_integers("offset"),
    exp.TimestampTrunc: _unit(TRUNCATE_TO, "date_trunc()", "unit"),
    exp.Extract: _unit(EXTRACTED, "extract()", "this"),
    exp.DateDiff: _unit(frozenset({"MILLISECOND"}), "date_diff()", "unit"),
}


def troubles(node: exp.Expr) -> Iterator[RuleViolation]:
    """Yield all problems that the rules find in one node of a SQL syntax tree."""
    if type(node) in RANKING or type(node) in NAVIGATION:
        yield from _needs_window(node)
    if rule := RULES.get(type(node)):
        yield from rule(node)
