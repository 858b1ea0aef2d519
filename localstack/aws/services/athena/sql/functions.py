"""Athena's functions that this stack runs, and their meaning in DuckDB.

A rule is a template ($1, $2 ... are the arguments) or a function of the arguments. Where the
engines differ (dates that are counted in full units, nulls in concat and greatest, md5 of bytes)
the rule is Trino's side.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, ClassVar

import msgspec
import sqlglot
from sqlglot import expressions as exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.parsers.duckdb import DuckDBParser

from ..errors import NotRun, QueryFailed
from ..formats import time_patterns
from . import time_formats

Arguments = list[exp.Expr]
CallBuilder = Callable[[Arguments], exp.Expr]
RAW = "raw"  # in a node's meta: a literal that is the translation's own


class Rule(msgspec.Struct, frozen=True):
    """The translation of one function, for a number of arguments between `least` and `most`."""

    least: int
    most: int
    make: str | Callable[[Arguments], exp.Expr]


def _same(*names: str, least: int = 1, most: int = 1) -> dict[str, Rule]:
    """Return translation rules for Trino functions that DuckDB has by the same name.

    `least` and `most` are how many arguments the functions take.
    """
    return {name: Rule(least, most, f"{name}(*)") for name in names}


def raw(text: str) -> exp.Literal:
    """Return a SQL literal made by the translation, which later rules leave as it is."""
    literal = exp.Literal.string(text)
    literal.meta[RAW] = True
    return literal


def text_of(node: exp.Expr, what: str) -> str:
    """Return the text of a function's argument that must be a string literal.

    `what` names the argument in the error.

    Raises:
        NotRun: The argument is no string literal.
    """
    if isinstance(node, exp.Literal) and node.is_string:
        return str(node.this)
    raise NotRun(f"{what} that is not a literal")


def call(name: str, *arguments: exp.Expr) -> exp.Expr:
    """Return the syntax tree of a call of the DuckDB function `name`."""
    return exp.Anonymous(this=name, expressions=list(arguments))


def _concat(arguments: Arguments) -> exp.Expr:
    """Translate a call of concat into DuckDB, where it must be null if any argument is."""
    joined = arguments[0]
    for other in arguments[1:]:
        joined = exp.DPipe(this=joined, expression=other)
    return exp.Paren(this=joined)


def _null_if_any(name: str) -> CallBuilder:
    """Return a translation of a call to the DuckDB function `name`, null if any argument is."""

    def make(arguments: Arguments) -> exp.Expr:
        missing = exp.or_(*(exp.Is(this=a.copy(), expression=exp.Null()) for a in arguments))
        return exp.Case(ifs=[exp.If(this=missing, true=exp.Null())], default=call(name, *arguments))

    return make


def _time(template: str, convert: Callable[[str], str]) -> CallBuilder:
    """Return a translation into DuckDB of a function of a time and a date format.

    `template` is the DuckDB expression, and `convert` translates the format.
    """

    def make(arguments: Arguments) -> exp.Expr:
        return fill(template, [arguments[0], raw(convert(text_of(arguments[1], "a date format")))])

    return make


_UNITS = frozenset(
    {"millisecond", "second", "minute", "hour", "day", "week", "month", "quarter", "year"}
)


def _unit(node: exp.Expr) -> str:
    """Return the name of a time unit (day, month ...) that an argument holds."""
    unit = text_of(node, "a unit of time").lower()
    if unit not in _UNITS:
        raise QueryFailed("INVALID_FUNCTION_ARGUMENT", f"'{unit}' is not a valid TIMESTAMP field")
    return unit


def _date_add(arguments: Arguments) -> exp.Expr:
    """Translate a call of date_add into DuckDB."""
    unit = _unit(arguments[0])
    if unit == "quarter":
        return fill("($3 + CAST($2 AS BIGINT) * INTERVAL '3 months')", arguments)
    return fill(f"($3 + CAST($2 AS BIGINT) * INTERVAL '1 {unit}')", arguments)


def _in_units(template: str) -> CallBuilder:
    """Return a translation into DuckDB of a function whose first argument is a time unit.

    `template` is the DuckDB expression.
    """
    return lambda arguments: fill(template, [raw(_unit(arguments[0])), *arguments[1:]])


def _regexp_replace(arguments: Arguments) -> exp.Expr:
    """Translate a call of regexp_replace into DuckDB."""
    replacement = text_of(arguments[2], "a replacement") if len(arguments) == 3 else ""
    converted = re.sub(r"\$(\d)", r"\\\1", replacement.replace("\\", "\\\\"))
    return fill("regexp_replace($1, $2, $3, 'g')", [*arguments[:2], raw(converted)])


def _regexp_extract(arguments: Arguments) -> exp.Expr:
    """Translate a call of regexp_extract into DuckDB, where it must be null without a match."""
    group = arguments[2] if len(arguments) == 3 else exp.Literal.number(0)
    return fill(
        "CASE WHEN regexp_matches($1, $2) THEN regexp_extract($1, $2, $3) END",
        [*arguments[:2], group],
    )


def _cardinality(arguments: Arguments) -> exp.Expr:
    """Translate a call of cardinality, of a map or of an array, into DuckDB."""
    is_map = isinstance(arguments[0], exp.Anonymous) and str(arguments[0].this).lower().startswith(
        "map"
    )
    return fill("CAST(cardinality($1) AS BIGINT)" if is_map else "len($1)", arguments)


def _extreme_by(name: str) -> CallBuilder:
    """Return the translation of max_by or min_by, as `name` says, into DuckDB.

    With two arguments, (x, y), the call gives the x of the row with the extreme y; with a third, n,
    a list of the x of n rows. A null x counts, a null y does not.
    """

    def make(arguments: Arguments) -> exp.Expr:
        if len(arguments) == 2:
            return call(f"{name}_null", *arguments)
        if isinstance(arguments[0].parent, exp.Anonymous) and isinstance(
            arguments[0].parent.parent, (exp.Window, exp.Filter)
        ):
            raise NotRun("max_by and min_by with three arguments and FILTER or OVER")
        return fill(
            f"list_transform({name}({{'value': $1}}, $2, $3), lambda x: struct_extract(x, "
            "'value'))",
            arguments,
        )

    return make


def _array_join(arguments: Arguments) -> exp.Expr:
    """Translate a call of array_join into DuckDB."""
    if len(arguments) == 2:
        return call("array_to_string", *arguments)
    return fill(
        "array_to_string(list_transform($1, lambda x: coalesce(CAST(x AS VARCHAR), $3)), $2)",
        arguments,
    )


def _matches(template: str) -> Rule:
    """Return a translation rule for a function of an array and a lambda (any_match ...).

    `template` is the DuckDB expression.
    """
    return Rule(2, 2, template)


RULES: dict[str, Rule] = {
    # aggregates
    **_same(
        "sum",
        "avg",
        "bool_and",
        "bool_or",
        "count_if",
        "stddev",
        "stddev_pop",
        "stddev_samp",
        "variance",
        "var_pop",
        "var_samp",
    ),
    **_same("array_agg", "kurtosis", "skewness", "histogram"),
    **_same("corr", "covar_pop", "covar_samp", "regr_slope", "regr_intercept", least=2, most=2),
    **_same("min", "max", least=1, most=2),
    "count": Rule(0, 1, "count(*)"),
    "arbitrary": Rule(1, 1, "any_value(*)"),
    "any_value": Rule(1, 1, "any_value(*)"),
    "every": Rule(1, 1, "bool_and(*)"),
    "max_by": Rule(2, 3, _extreme_by("arg_max")),
    "min_by": Rule(2, 3, _extreme_by("arg_min")),
    "approx_distinct": Rule(1, 1, "approx_count_distinct(*)"),
    "approx_percentile": Rule(2, 2, "quantile_disc(*)"),
    "bitwise_and_agg": Rule(1, 1, "bit_and(*)"),
    "bitwise_or_agg": Rule(1, 1, "bit_or(*)"),
    "bitwise_xor_agg": Rule(1, 1, "bit_xor(*)"),
    "geometric_mean": Rule(1, 1, "geomean(*)"),
    # windows
    **_same("row_number", "rank", "dense_rank", "percent_rank", "cume_dist", least=0, most=0),
    **_same("first_value", "last_value", "ntile"),
    "nth_value": Rule(2, 2, "nth_value(*)"),
    **_same("lag", "lead", least=1, most=3),
    # numbers
    **_same(
        "abs",
        "acos",
        "asin",
        "atan",
        "cbrt",
        "cos",
        "cosh",
        "cot",
        "degrees",
        "exp",
        "floor",
        "ln",
        "log10",
        "log2",
        "radians",
    ),
    **_same("sign", "sin", "sinh", "sqrt", "tan", "tanh"),
    **_same("atan2", "log", "pow", "power", least=2, most=2),
    **_same("round", least=1, most=2),
    **_same("pi", least=0, most=0),
    "ceil": Rule(1, 1, "ceil(*)"),
    "ceiling": Rule(1, 1, "ceil(*)"),
    "truncate": Rule(1, 1, "trunc(*)"),
    "e": Rule(0, 0, "exp(1)"),
    "infinity": Rule(0, 0, "CAST('inf' AS DOUBLE)"),
    "nan": Rule(0, 0, "CAST('nan' AS DOUBLE)"),
    "is_nan": Rule(1, 1, "isnan(*)"),
    "is_finite": Rule(1, 1, "isfinite(*)"),
    "is_infinite": Rule(1, 1, "isinf(*)"),
    "mod": Rule(2, 2, "($1 % $2)"),
    "rand": Rule(0, 0, "random()"),
    "random": Rule(0, 0, "random()"),
    "bitwise_and": Rule(2, 2, "($1 & $2)"),
    "bitwise_or": Rule(2, 2, "($1 | $2)"),
    "bitwise_xor": Rule(2, 2, "xor($1, $2)"),
    "bitwise_not": Rule(1, 1, "(-1 - $1)"),
    "bitwise_left_shift": Rule(2, 2, "($1 << CAST($2 AS INTEGER))"),
    "bitwise_right_shift": Rule(2, 2, "($1 >> CAST($2 AS INTEGER))"),
    "greatest": Rule(1, 99, _null_if_any("greatest")),
    "least": Rule(1, 99, _null_if_any("least")),
    # conditions
    **_same("coalesce", least=2, most=999),
    **_same("nullif", least=2, most=2),
    "if": Rule(
        2,
        3,
        lambda a: exp.Case(
            ifs=[exp.If(this=a[0], true=a[1])], default=a[2] if len(a) == 3 else None
        ),
    ),
    "try": Rule(1, 1, "try(*)"),
    "typeof": Rule(1, 1, "trino_typeof($1)"),
    # text
    **_same("lower", "upper", "length", "reverse", "chr"),
    **_same("ltrim", "rtrim", least=1, most=1),
    **_same("lpad", "rpad", "translate", least=3, most=3),
    **_same("starts_with", "strpos", least=2, most=2),
    "split_part": Rule(3, 3, "nullif(split_part($1, $2, CAST($3 AS INTEGER)), '')"),
    "substr": Rule(2, 3, "substr(*)"),
    "substring": Rule(2, 3, "substr(*)"),
    "concat": Rule(2, 99, _concat),
    "concat_ws": Rule(2, 99, "concat_ws(*)"),
    "codepoint": Rule(1, 1, "unicode(*)"),
    "levenshtein_distance": Rule(2, 2, "levenshtein(*)"),
    "hamming_distance": Rule(2, 2, "hamming(*)"),
    "replace": Rule(2, 3, lambda a: call("replace", *a, *([raw("")] if len(a) == 2 else []))),
    "split": Rule(2, 2, "string_split(*)"),
    "to_utf8": Rule(1, 1, "encode(*)"),
    "from_utf8": Rule(1, 1, "decode(*)"),
    "to_hex": Rule(1, 1, "hex(*)"),
    "from_hex": Rule(1, 1, "unhex(*)"),
    "to_base64": Rule(1, 1, "to_base64(*)"),
    "from_base64": Rule(1, 1, "from_base64(*)"),
    "md5": Rule(1, 1, "unhex(md5(trino_bytes($1)))"),
    "sha1": Rule(1, 1, "unhex(sha1(trino_bytes($1)))"),
    "sha256": Rule(1, 1, "unhex(sha256(trino_bytes($1)))"),
    "regexp_like": Rule(2, 2, "regexp_matches(*)"),
    "regexp_extract": Rule(2, 3, _regexp_extract),
    "regexp_extract_all": Rule(2, 3, "regexp_extract_all(*)"),
    "regexp_replace": Rule(2, 3, _regexp_replace),
    "regexp_split": Rule(2, 2, "string_split_regex(*)"),
    "regexp_count": Rule(2, 2, "len(regexp_extract_all(*))"),
    "uuid": Rule(0, 0, "uuid()"),
    # JSON
    "json_extract": Rule(2, 2, "json_extract(*)"),
    "json_extract_scalar": Rule(2, 2, "trino_scalar(*)"),
    "json_parse": Rule(1, 1, "json(*)"),
    "json_format": Rule(1, 1, "CAST($1 AS VARCHAR)"),
    "json_array_length": Rule(1, 1, "CAST(json_array_length($1) AS BIGINT)"),
    # times
    "now": Rule(0, 0, "current_timestamp"),
    "date": Rule(1, 1, "CAST($1 AS DATE)"),
    "date_add": Rule(3, 3, _date_add),
    "date_diff": Rule(3, 3, _in_units("date_sub($1, $2, $3)")),
    "date_trunc": Rule(2, 2, _in_units("date_trunc($1, $2)")),
    "date_format": Rule(2, 2, _time("strftime($1, $2)", time_formats.mysql)),
    "date_parse": Rule(2, 2, _time("strptime($1, $2)", time_formats.mysql)),
    "format_datetime": Rule(2, 2, _time("strftime($1, $2)", time_patterns.joda)),
    "parse_datetime": Rule(
        2, 2, _time("CAST(strptime($1, $2) AS TIMESTAMPTZ)", time_patterns.joda)
    ),
    "to_timestamp": Rule(2, 2, _time("strptime($1, $2)", time_formats.teradata)),
    "to_date": Rule(2, 2, _time("CAST(strptime($1, $2) AS DATE)", time_formats.teradata)),
    "to_char": Rule(2, 2, _time("strftime($1, $2)", time_formats.teradata)),
    **_same("year", "quarter", "month", "day", "hour", "minute", "second"),
    "day_of_month": Rule(1, 1, "day(*)"),
    "day_of_week": Rule(1, 1, "isodow(*)"),
    "dow": Rule(1, 1, "isodow(*)"),
    "day_of_year": Rule(1, 1, "dayofyear(*)"),
    "doy": Rule(1, 1, "dayofyear(*)"),
    "week": Rule(1, 1, "week(*)"),
    "week_of_year": Rule(1, 1, "week(*)"),
    "year_of_week": Rule(1, 1, "isoyear(*)"),
    "yow": Rule(1, 1, "isoyear(*)"),
    "millisecond": Rule(1, 1, "(millisecond($1) % 1000)"),
    "last_day_of_month": Rule(1, 1, "last_day(*)"),
    "from_unixtime": Rule(1, 1, "trino_from_unixtime($1)"),
    "to_unixtime": Rule(1, 1, "epoch(*)"),
    "from_iso8601_timestamp": Rule(1, 1, "trino_iso8601($1)"),
    "from_iso8601_date": Rule(1, 1, "CAST($1 AS DATE)"),
    "with_timezone": Rule(2, 2, "timezone($2, $1)"),
    # arrays and maps
    "array_distinct": Rule(1, 1, "list_distinct(*)"),
    "array_except": Rule(
        2, 2, "list_filter(list_distinct($1), lambda x: NOT list_contains($2, x))"
    ),
    "array_intersect": Rule(2, 2, "list_intersect(*)"),
    "array_union": Rule(2, 2, "list_distinct(list_concat(*))"),
    "array_join": Rule(2, 3, _array_join),
    "array_max": Rule(1, 1, "list_max(*)"),
    "array_min": Rule(1, 1, "list_min(*)"),
    "array_position": Rule(2, 2, "coalesce(list_position($1, $2), 0)"),
    "array_remove": Rule(2, 2, "list_filter($1, lambda x: x <> $2)"),
    "array_sort": Rule(1, 1, "list_sort($1, 'ASC', 'NULLS LAST')"),
    "arrays_overlap": Rule(2, 2, "list_has_any(*)"),
    "cardinality": Rule(1, 1, _cardinality),
    "contains": Rule(2, 2, "list_contains(*)"),
    "element_at": Rule(2, 2, lambda a: exp.Bracket(this=a[0], expressions=[a[1]], offset=1)),
    "filter": Rule(2, 2, "list_filter(*)"),
    "flatten": Rule(1, 1, "flatten(*)"),
    "sequence": Rule(2, 3, "generate_series(*)"),
    "slice": Rule(3, 3, "list_slice($1, $2, $2 + $3 - 1)"),
    "transform": Rule(2, 2, "list_transform(*)"),
    "any_match": _matches("(len(list_filter(*)) > 0)"),
    "none_match": _matches("(len(list_filter(*)) = 0)"),
    "all_match": _matches("(len(list_filter(*)) = len($1))"),
    "map": Rule(0, 2, "map(*)"),
    "map_agg": Rule(2, 2, lambda a: call("map", call("list", a[0]), call("list", a[1]))),
    "map_keys": Rule(1, 1, "map_keys(*)"),
    "map_values": Rule(1, 1, "map_values(*)"),
    "map_entries": Rule(1, 1, "map_entries(*)"),
    "map_from_entries": Rule(1, 1, "map_from_entries(*)"),
    "map_concat": Rule(1, 9, "map_concat(*)"),
    "row": Rule(1, 999, "row(*)"),
}
# What a template calls that DuckDB does not have.
PRELUDE = """
CREATE MACRO trino_bytes(x) AS CASE WHEN typeof(x) = 'BLOB' THEN x
 ELSE error('TRINO Unexpected parameters (varchar) for function md5, sha1 or sha256. \
Expected: varbinary') END;
CREATE MACRO trino_from_unixtime(x) AS CASE WHEN typeof(x) = 'VARCHAR'
 THEN error('TRINO Unexpected parameters (varchar) for function from_unixtime. \
Expected: from_unixtime(double)')
 ELSE to_timestamp(round(CAST(x AS DOUBLE), 3)) END;
CREATE MACRO trino_scalar(x, p) AS CASE WHEN json_type(x, p) IN ('OBJECT', 'ARRAY') THEN NULL
 ELSE json_extract_string(x, p) END;
CREATE MACRO trino_json_text(x) AS CASE WHEN json_type(x) IN ('OBJECT', 'ARRAY')
 THEN error('TRINO_CAST Cannot cast to varchar. Expected a scalar, but got a JSON array or object')
 ELSE json_extract_string(x, '$') END;
CREATE MACRO trino_named_types(t) AS
 replace(replace(replace(replace(replace(replace(replace(replace(t,
 'TIMESTAMP WITH TIME ZONE', 'TIMESTAMP(3)_WITH_TIME_ZONE'), 'FLOAT', 'REAL'), 'BLOB', 'VARBINARY'),
 'STRUCT(', 'ROW('), 'TUPLE(', 'ROW('),
 'HUGEINT', 'BIGINT'), '"NULL"', 'UNKNOWN'), 'INTERVAL', 'INTERVAL DAY TO SECOND');
CREATE MACRO trino_time_types(t) AS regexp_replace(regexp_replace(t,
 '\\bTIMESTAMP(?:_MS|_NS|_S)?\\b([^(]|$)', 'TIMESTAMP(3)\\1', 'g'),
 '\\bTIME\\b([^(]|$)', 'TIME(3)\\1', 'g');
CREATE MACRO trino_array_types(t) AS regexp_replace(regexp_replace(t,
 '([A-Z_]+(?:\\([^()]*\\))?(?:_WITH_TIME_ZONE)?)\\[\\]', 'ARRAY(\\1)', 'g'),
 '([A-Z_]+\\((?:[^()]|\\([^()]*\\))*\\))\\[\\]', 'ARRAY(\\1)', 'g');
CREATE MACRO trino_typeof(x) AS replace(
 lower(trino_array_types(trino_time_types(trino_named_types(typeof(x))))),
 '_with_time_zone', ' with time zone');
CREATE MACRO trino_iso8601(x) AS CAST(CASE
 WHEN regexp_matches(x, 'T.*(Z|[+-][0-9]{2}(:?[0-9]{2})?)$') THEN x
 ELSE concat(x, 'Z') END AS TIMESTAMPTZ);
"""


def translate_call(name: str, arguments: Arguments, position: tuple[int, int]) -> exp.Expr:
    """Translate the call of a Trino function into a DuckDB expression.

    `position` is the call's place in the query, for an error.

    Raises:
        QueryFailed: The number of arguments is wrong (FUNCTION_NOT_FOUND).
        NotRun: This stack lacks the function.
    """
    rule = RULES.get(name)
    if rule is None:
        raise NotRun(f"the function {name}", position=position)
    if not rule.least <= len(arguments) <= rule.most:
        raise QueryFailed(
            "FUNCTION_NOT_FOUND",
            f"Unexpected parameters ({len(arguments)} of them) for function {name}",
            position=position,
        )
    return fill(rule.make, arguments) if isinstance(rule.make, str) else rule.make(arguments)


def fill(template: str, arguments: Arguments) -> exp.Expr:
    """Return a SQL template as a syntax tree, with the arguments in place of $n or (*)."""
    simple = re.fullmatch(r"(\w+)\(\*\)", template)
    if simple:
        return call(simple.group(1), *arguments)
    text = template.replace(
        "(*)", "(" + ", ".join(f"${i + 1}" for i in range(len(arguments))) + ")"
    )
    tree = sqlglot.parse_one(re.sub(r"\$(\d+)", r"argument_\1_", text), dialect=_Plain)
    for node in list(tree.find_all(exp.Literal)):
        node.meta[RAW] = True

    def place(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Column) and (match := re.fullmatch(r"argument_(\d+)_", node.name)):
            return arguments[int(match.group(1)) - 1].copy()
        return node

    return tree.transform(place)


class _Plain(DuckDB):
    """DuckDB's dialect, in which functions stay as they are written."""

    class Parser(DuckDBParser):
        FUNCTIONS: ClassVar[dict[str, Any]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {"CAST": DuckDBParser.FUNCTION_PARSERS["CAST"]}
        NO_PAREN_FUNCTION_PARSERS: ClassVar[dict[str, Any]] = {
            "CASE": DuckDBParser.NO_PAREN_FUNCTION_PARSERS["CASE"]
        }
