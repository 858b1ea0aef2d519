"""Trino's meaning of an expression, in DuckDB's words: a rule for each kind of node."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import msgspec
from sqlglot import expressions as exp

from ..errors import NotRun, QueryFailed
from ..tables.catalog import CATALOG
from . import checks as check
from . import functions
from .inference import ARRAY, CHAR, DATE, DOUBLE, JSON, TIMESTAMP, TypeFamily, Types

PRELUDE = (
    functions.PRELUDE
    + """
CREATE MACRO trino_append(a, x) AS CASE WHEN a IS NULL OR x IS NULL THEN NULL
 ELSE list_append(a, x) END;
CREATE MACRO trino_prepend(x, a) AS CASE WHEN a IS NULL OR x IS NULL THEN NULL
 ELSE list_prepend(x, a) END;
CREATE MACRO trino_nonzero(b) AS CASE
 WHEN b = 0 AND typeof(b) NOT IN ('DOUBLE', 'FLOAT') THEN error('Division by zero') ELSE b END;
CREATE MACRO trino_divide(a, b) AS CASE WHEN b = 0
 THEN CAST(CASE WHEN a > 0 THEN 'inf' WHEN a < 0 THEN '-inf' WHEN a = 0 THEN 'nan' END
 AS DOUBLE) ELSE CAST(a AS DOUBLE) / b END;
"""
)
_NULLS = {
    "first_value": exp.FirstValue,
    "last_value": exp.LastValue,
    "lag": exp.Lag,
    "lead": exp.Lead,
    "nth_value": exp.NthValue,
}


class _OriginalTypes(msgspec.Struct, frozen=True):
    """The types of a node and of its operands in the query as it was written."""

    text: str
    now: datetime
    kind: TypeFamily | None
    left: TypeFamily | None
    right: TypeFamily | None


def rewrite(text: str, query: exp.Query, types: Types, now: datetime) -> None:
    """Rewrite the syntax tree of a Trino query in place into DuckDB's SQL.

    `text` is the query's text, `types` infers the types of its nodes, and `now` is the stack's
    time. Nodes are rewritten from the leaves up, so a rule sees arguments that are translated
    already. It is told the types of the query as it was written.
    """
    nodes = [node for node in query.walk() if type(node) in _RULES]
    originals = {
        id(node): _OriginalTypes(text, now, types.kind_of(node), *_sides(types, node))
        for node in nodes
    }
    for node in reversed(nodes):
        if node.parent is None and node is not query:
            continue
        replacement = _RULES[type(node)](node, originals[id(node)])
        if replacement is not None:
            node.replace(replacement)


def _sides(types: Types, node: exp.Expr) -> tuple[TypeFamily | None, TypeFamily | None]:
    """Return the types of the left and right operand of an expression; None where unknown."""
    if isinstance(node, exp.Binary):
        return types.kind_of(node.left), types.kind_of(node.right)
    if isinstance(node, (exp.In, exp.Between)):
        values = (
            types.kind_of(value)
            for value in (node.this, *node.expressions, node.args.get("low"), node.args.get("high"))
        )
        return (CHAR if CHAR in values else None), None
    return (types.kind_of(node.this), None) if isinstance(node, exp.Cast) else (None, None)


def _function(node: exp.Expr, original: _OriginalTypes) -> exp.Expr | None:
    """Translate a function call of Trino's into DuckDB, by the types of the original query."""
    name = str(node.this).lower()
    call = functions.translate_call(name, node.expressions, check.place(original.text, node))
    if isinstance(node.parent, (exp.IgnoreNulls, exp.RespectNulls)) and name in _NULLS:
        return _NULLS[name](
            this=node.expressions[0],
            **({"offset": node.expressions[1]} if len(node.expressions) > 1 else {}),
        )
    if name == "now":
        return _current_timestamp(node, original)
    if name in ("date_add", "date_trunc") and original.kind == DATE:
        return exp.cast(call, "date")
    if (
        name == "avg"
        and original.kind is not None
        and original.kind.name == "decimal"
        and not isinstance(node.parent, (exp.Window, exp.Filter))
    ):
        return _rounded_quotient(call, original.kind)
    return call


def _date_arithmetic(node: exp.Expr, original: _OriginalTypes) -> exp.Expr | None:
    """Translate + and - with dates into DuckDB, by the operands' types in the original query.

    A date and an interval are a date, two dates an interval; a date and a number are an error.
    None: the expression stays as it is.
    """
    if original.left == original.right == DATE and isinstance(node, exp.Sub):
        return functions.fill(
            "to_days(CAST($1 - $2 AS INTEGER))", [node.left.copy(), node.right.copy()]
        )
    if original.kind == DATE:
        return exp.cast(exp.Paren(this=node.copy()), "date")
    names = [side.name for side in (original.left, original.right) if side is not None]
    if "date" in names and "int" in names:
        sign = "+" if isinstance(node, exp.Add) else "-"
        raise QueryFailed(
            "TYPE_MISMATCH",
            f"Cannot apply operator: date {sign} integer",
            position=check.place(original.text, node),
        )
    return None


def _array_concatenation(node: exp.DPipe, original: _OriginalTypes) -> exp.Expr | None:
    """Translate || between an array and an element into DuckDB.

    `original` has the operands' types. None: the expression stays as it is.
    """
    if original.left == ARRAY and _no_array(node.right, original.right):
        return functions.call("trino_append", node.left.copy(), node.right.copy())
    if original.right == ARRAY and _no_array(node.left, original.left):
        return functions.call("trino_prepend", node.left.copy(), node.right.copy())
    return None


def _no_array(node: exp.Expr, kind: TypeFamily | None) -> bool:
    """Return whether an operand of || is certainly not an array.

    `kind` is its inferred type. An element that is taken out of a value may be an array.
    """
    taken = isinstance(node.unnest(), (exp.Bracket, exp.Dot, exp.Query)) or (
        isinstance(node, exp.Anonymous)
        and str(node.this).lower() in ("array_max", "array_min", "element_at")
    )
    return kind not in (None, ARRAY) and not taken


def _pad_char(node: exp.Expr, original: _OriginalTypes) -> None:
    """Translate a comparison with a char(n), which ignores the spaces at its end, in place.

    `original` has the operands' types.
    """
    if CHAR not in (original.left, original.right):
        return
    if node.args.get("query") is not None:
        raise NotRun("IN (SELECT ...) of a char(n)", position=check.place(original.text, node))
    for key in ("this", "expression", "expressions", "low", "high"):
        value = node.args.get(key)
        if isinstance(value, list):
            node.set(
                key, [functions.call("rtrim", item.copy(), functions.raw(" ")) for item in value]
            )
        elif isinstance(value, exp.Expr):
            node.set(key, functions.call("rtrim", value.copy(), functions.raw(" ")))


def _remainder(node: exp.Expr, _original: _OriginalTypes) -> None:
    """Change % in place so that a division by zero fails, as in Trino; in DuckDB it is null."""
    if not _nonzero(node.expression) and not _is_in_try(node):
        node.set("expression", functions.call("trino_nonzero", node.expression.copy()))


def _current_date(_node: exp.Expr, original: _OriginalTypes) -> exp.Expr:
    """Translate CURRENT_DATE into the date on the stack's clock."""
    return exp.cast(functions.raw(f"{original.now:%Y-%m-%d}"), "date")


def _localtimestamp(_node: exp.Expr, original: _OriginalTypes) -> exp.Expr:
    """Translate LOCALTIMESTAMP into the time on the stack's clock."""
    return exp.cast(functions.raw(_millis(original.now)), "timestamp")


def _current_timestamp(_node: exp.Expr, original: _OriginalTypes) -> exp.Expr:
    """Translate CURRENT_TIMESTAMP into the time on the stack's clock."""
    return exp.cast(functions.raw(_millis(original.now) + "+00"), "timestamptz")


def _localtime(_node: exp.Expr, original: _OriginalTypes) -> exp.Expr:
    """Translate LOCALTIME into the time of day on the stack's clock."""
    return exp.cast(functions.raw(_millis(original.now).partition(" ")[2]), "time")


def _current_catalog(_node: exp.Expr, _original: _OriginalTypes) -> exp.Expr:
    """Translate CURRENT_CATALOG into the name of Athena's catalog."""
    return exp.cast(functions.raw(CATALOG), "varchar")


def _not_run(name: str) -> Callable[[exp.Expr, _OriginalTypes], None]:
    """Return a rule that raises an error: DuckDB computes the function `name` differently."""

    def refuse(node: exp.Expr, original: _OriginalTypes) -> None:
        raise NotRun(name, position=check.place(original.text, node))

    return refuse


def _at_time_zone(node: exp.Expr, original: _OriginalTypes) -> exp.Expr:
    """Translate AT TIME ZONE into DuckDB; only UTC is supported."""
    zone = functions.text_of(node.args["zone"], "a time zone")
    if zone.upper() not in ("UTC", "ETC/UTC", "GMT", "Z"):
        raise NotRun(
            f"AT TIME ZONE '{zone}' (only 'UTC')", position=check.place(original.text, node)
        )
    return exp.cast(node.this.copy(), "timestamptz")


def _division(node: exp.Expr, original: _OriginalTypes) -> exp.Expr:
    """Translate a division into DuckDB, by the type of its result in the original query."""
    a, b = exp.Paren(this=node.this.copy()), node.expression.copy()
    if original.kind == DOUBLE:
        return functions.call("trino_divide", a, b)
    divided = exp.Div(
        this=a,
        expression=b if _nonzero(b) or _is_in_try(node) else functions.call("trino_nonzero", b),
    )
    return (
        _rounded_quotient(divided, original.kind)
        if original.kind is not None and original.kind.name == "decimal"
        else exp.Paren(this=divided)
    )


def _rounded_quotient(node: exp.Expr, kind: TypeFamily) -> exp.Expr:
    """Round a quotient of decimals half up, to the larger of both scales, as Trino does.

    `kind` is the quotient's type, with the scale.
    """
    return exp.cast(
        functions.call("round", node, exp.Literal.number(kind.scale)), f"decimal(38, {kind.scale})"
    )


def _nonzero(node: exp.Expr) -> bool:
    """Return whether an operand is a number literal other than 0."""
    inner = node.unnest()
    return isinstance(inner, exp.Literal) and not inner.is_string and float(inner.name) != 0


def _is_in_try(node: exp.Expr) -> bool:
    """Return whether an expression is inside TRY, where a division by zero is null.

    DuckDB's TRY does not take error().
    """
    parent = node.parent
    while parent is not None:
        if isinstance(parent, exp.Anonymous) and str(parent.this).lower() == "try":
            return True
        parent = parent.parent
    return False


def _cast(node: Any, original: _OriginalTypes) -> exp.Expr | None:
    """Translate a cast into DuckDB, by the type to which it converts; None: it stays as it is."""
    rule = _CASTS.get(node.to.this)
    return rule(node, original) if rule is not None else None


def _as_decimal(node: exp.Cast, _original: _OriginalTypes) -> None:
    """Set precision and scale of a cast to DECIMAL, in place, as Trino has them.

    DECIMAL '1.50' has two digits after the point, a cast without digits none.
    """
    if not node.to.expressions:
        literal = isinstance(node.this, exp.Literal) and node.this.is_string
        scale = len(str(node.this.this).partition(".")[2]) if literal else 0
        node.set("to", exp.DataType.build(f"decimal(38, {scale})"))


def _as_json(node: exp.Cast, _original: _OriginalTypes) -> exp.Expr:
    """Translate a cast to JSON into DuckDB: a text becomes a JSON string."""
    literal = isinstance(node.this, exp.Literal) and node.this.is_string
    return functions.call(
        "to_json", exp.cast(node.this.copy(), "varchar") if literal else node.this.copy()
    )


def _as_timestamp(node: exp.Cast, _original: _OriginalTypes) -> exp.Expr | None:
    """Translate a cast to TIMESTAMP, which has milliseconds in Trino, into DuckDB.

    None: the cast has been changed in place.
    """
    node.set("to", exp.DataType.build("timestamp"))
    if isinstance(node.this, exp.Literal):
        return None
    inner = type(node)(this=node.this.copy(), to=exp.DataType(this=exp.DataType.Type.TIMESTAMP_MS))
    return exp.cast(inner, "timestamp")


def _as_instant(node: exp.Cast, _original: _OriginalTypes) -> None:
    """Translate a cast to TIMESTAMP WITH TIME ZONE into DuckDB."""
    node.set("to", exp.DataType.build("timestamptz"))


def _as_varchar(node: exp.Cast, original: _OriginalTypes) -> exp.Expr | None:
    """Translate a cast to VARCHAR into DuckDB: VARCHAR(n) cuts, timestamps show milliseconds.

    `original` has the type of what is cast. None: the cast has been changed in place.
    """
    size = node.to.expressions
    node.set("to", exp.DataType.build("varchar"))
    if original.left == JSON:
        return functions.call("trino_json_text", node.this.copy())
    if original.left == TIMESTAMP:
        return functions.fill("strftime($1, '%Y-%m-%d %H:%M:%S.%g')", [node.this.copy()])
    if size and not isinstance(node.this, exp.Literal):
        return functions.call("substr", node.copy(), exp.Literal.number(1), size[0].this.copy())
    return None


def _as_char(node: exp.Cast, _original: _OriginalTypes) -> exp.Expr:
    """Translate a cast to CHAR(n) into DuckDB: it cuts, and pads with spaces."""
    size = node.to.expressions[0].this.copy() if node.to.expressions else exp.Literal.number(1)
    text = type(node)(this=node.this.copy(), to=exp.DataType.build("varchar"))
    return functions.fill("rpad(left($1, $2), $2, ' ')", [text, size])


_CASTS: dict[Any, Callable[[exp.Cast, _OriginalTypes], exp.Expr | None]] = {
    exp.DataType.Type.DECIMAL: _as_decimal,
    exp.DataType.Type.JSON: _as_json,
    exp.DataType.Type.TIMESTAMP: _as_timestamp,
    exp.DataType.Type.TIMESTAMPTZ: _as_instant,
    exp.DataType.Type.VARCHAR: _as_varchar,
    exp.DataType.Type.CHAR: _as_char,
}


def _json(node: exp.Expr, _original: _OriginalTypes) -> exp.Expr:
    """Translate a literal such as JSON '{}' into DuckDB."""
    return functions.call("json", functions.raw(node.this.name))


def _millis(now: datetime) -> str:
    """Return a time as text with its milliseconds, for a SQL literal."""
    return f"{now:%Y-%m-%d %H:%M:%S}.{now.microsecond // 1000:03d}"


_RULES: dict[type[exp.Expr], Callable[[Any, _OriginalTypes], exp.Expr | None]] = {
    exp.Anonymous: _function,
    exp.Div: _division,
    exp.Mod: _remainder,
    exp.Add: _date_arithmetic,
    exp.Sub: _date_arithmetic,
    exp.DPipe: _array_concatenation,
    exp.EQ: _pad_char,
    exp.NEQ: _pad_char,
    exp.NullSafeEQ: _pad_char,
    exp.NullSafeNEQ: _pad_char,
    exp.GT: _pad_char,
    exp.GTE: _pad_char,
    exp.LT: _pad_char,
    exp.LTE: _pad_char,
    exp.In: _pad_char,
    exp.Between: _pad_char,
    exp.Cast: _cast,
    exp.TryCast: _cast,
    exp.CurrentTimestamp: _current_timestamp,
    exp.CurrentDate: _current_date,
    exp.Localtimestamp: _localtimestamp,
    exp.Localtime: _localtime,
    exp.CurrentTime: _not_run("current_time"),
    exp.CurrentUser: _not_run("current_user"),
    exp.CurrentCatalog: _current_catalog,
    exp.AtTimeZone: _at_time_zone,
    exp.ParseJSON: _json,
}
