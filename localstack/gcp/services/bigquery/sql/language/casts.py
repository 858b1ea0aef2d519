"""Write CAST and SAFE_CAST."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...data.googlesql_values import element_of, field_of
from ...data.types import SchemaField, duckdb_type
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from .translator import SqlTranslator

_DIGITS = r"\s*[+-]?[0-9]+\s*"
_NUMBER = r"\s*[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?\s*"
_FLOATS = rf"{_NUMBER}|\s*[+-]?(inf|infinity|nan)\s*"
_DAY = r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}"
_CLOCK = r"[0-9]{1,2}:[0-9]{1,2}:[0-9]{1,2}(\.[0-9]{1,6})?"


def cast(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for CAST or SAFE_CAST in a GoogleSQL query."""
    source, target = field_of(node.expr.type), field_of(node.type)
    if "format" in node or "time_zone" in node or "extended_cast" in node:
        raise not_run("CAST with FORMAT or AT TIME ZONE")
    if "type_modifiers" in node and node.type_modifiers.ByteSize():
        raise not_run("CAST to a type with parameters")
    return conversion(t.expression(node.expr), source, target, safe=node.return_null_on_error)


def conversion(sql: str, source: SchemaField, target: SchemaField, *, safe: bool = False) -> str:
    """Return DuckDB SQL that converts the expression `sql` from one BigQuery type to another.

    With `safe` a value that does not fit gives NULL. Raises BigQueryError `notImplemented` where
    DuckDB converts differently.
    """
    if duckdb_type(source) == duckdb_type(target) and source.type == target.type:
        return sql
    if source.repeated != target.repeated or (source.type == "RECORD") != (target.type == "RECORD"):
        raise not_run(f"CAST of {source.type} to {target.type}")
    if source.repeated:
        inner = conversion("v", element_of(source), element_of(target), safe=safe)
        return f"list_transform({sql}, lambda v: {inner})"
    if source.type == "RECORD":
        return _struct(sql, source, target, safe=safe)
    rule = _RULES.get((source.type, target.type))
    if rule is None:
        raise not_run(f"CAST of {source.type} to {target.type}")
    return rule(sql, "TRY_CAST" if safe else "CAST", "NULL" if safe else None)


def _struct(sql: str, source: SchemaField, target: SchemaField, *, safe: bool) -> str:
    """Return DuckDB SQL that converts the STRUCT `sql`, one field after the other.

    With `safe` a value that does not fit gives NULL.
    """
    from ...data.types import duckdb_element, quoted
    from . import literals

    pairs = zip(source.fields, target.fields, strict=True)
    members = (
        f"{quoted(new.name)} := "
        f"{conversion(f'struct_extract({sql}, {literals.text(old.name)})', old, new, safe=safe)}"
        for old, new in pairs
    )
    return (
        f"CASE WHEN {sql} IS NULL THEN NULL ELSE CAST(struct_pack({', '.join(members)}) AS "
        f"{duckdb_element(target)}) END"
    )


Rule = Callable[
    [str, str, "str | None"], str
]  # the value, CAST or TRY_CAST, and what a wrong value gives (None: an error)


def _plain(kind: str) -> Rule:
    """Return a conversion rule that translates a cast into DuckDB's own CAST to the type `kind`."""
    return lambda sql, cast, _wrong: f"{cast}({sql} AS {kind})"


def _pattern_rule(pattern: str, kind: str, name: str, *, options: str = "") -> Rule:
    """Return a conversion rule from text to the type `kind`, for texts that match `pattern`.

    Its SQL fails for other texts; `name` is the type in the error, `options` those of the match.
    """

    def rule(sql: str, cast: str, wrong: str | None) -> str:
        bad = wrong or f"error('Bad {name} value: ' || {sql})"
        flags = f", '{options}'" if options else ""
        fits = f"regexp_full_match({sql}, '{pattern}'{flags})"
        return (
            f"CASE WHEN {fits} THEN {cast}(trim({sql}) AS {kind}) WHEN {sql} IS NULL THEN NULL "
            f"ELSE {bad} END"
        )

    return rule


def _integer_of_float(sql: str, cast: str, _wrong: str | None) -> str:
    """Return DuckDB SQL that casts a FLOAT64 to INT64, rounding halves away from zero.

    `cast` is CAST or TRY_CAST.
    """
    return f"{cast}(round({sql}) AS BIGINT)"


def float_text(sql: str, _cast: str = "CAST", _wrong: str | None = None) -> str:
    """Return DuckDB SQL that casts a FLOAT64 to STRING, whole numbers without a point.

    It fails for numbers that need an exponent, which DuckDB writes differently.
    """
    exponent = "error('NOT RUN: FLOAT64 with an exponent as STRING')"
    return (
        f"CASE WHEN isnan({sql}) OR isinf({sql}) THEN CAST({sql} AS VARCHAR) "
        f"WHEN {sql} = 0 THEN CASE WHEN signbit({sql}) THEN '-0' ELSE '0' END "
        f"WHEN abs({sql}) >= 1e15 OR abs({sql}) < 1e-4 THEN {exponent} "
        f"WHEN {sql} = floor({sql}) THEN CAST(CAST({sql} AS BIGINT) AS VARCHAR) ELSE "
        f"CAST({sql} AS VARCHAR) END"
    )


def decimal_text(sql: str, _cast: str = "CAST", _wrong: str | None = None) -> str:
    """Return DuckDB SQL that casts a NUMERIC to STRING, without trailing zeros."""
    return f"rtrim(rtrim(CAST({sql} AS VARCHAR), '0'), '.')"


def _fraction(moment: str) -> str:
    """Return DuckDB SQL of a time's fraction of a second as text with no, three or six digits."""
    micro = f"(epoch_us({moment}) % 1000000)"
    return (
        f"CASE WHEN {micro} = 0 THEN '' WHEN {micro} % 1000 = 0 THEN strftime({moment}, '.%g') "
        f"ELSE strftime({moment}, '.%f') END"
    )


def datetime_text(sql: str, _cast: str = "CAST", _wrong: str | None = None) -> str:
    """Return DuckDB SQL that casts a DATETIME to STRING as BigQuery does."""
    return f"(strftime({sql}, '%Y-%m-%d %H:%M:%S') || {_fraction(sql)})"


def timestamp_text(sql: str, _cast: str = "CAST", _wrong: str | None = None) -> str:
    """Return DuckDB SQL that casts a TIMESTAMP to STRING as BigQuery does, in UTC."""
    return f"({datetime_text(utc(sql))} || '+00')"


def _time_text(sql: str, _cast: str, _wrong: str | None) -> str:
    """Return DuckDB SQL that casts a TIME to STRING as BigQuery does."""
    moment = f"(DATE '2000-01-01' + {sql})"
    return f"(strftime({moment}, '%H:%M:%S') || {_fraction(moment)})"


def utc(sql: str) -> str:
    """Return DuckDB SQL that converts a TIMESTAMP to a DATETIME in UTC, or the other way round."""
    return f"({sql} AT TIME ZONE 'UTC')"


def _boolean(sql: str, _cast: str, wrong: str | None) -> str:
    """Return DuckDB SQL that casts a STRING to BOOL: "true" or "false", in any letter case.

    `wrong` is SQL of the value for any other text.
    """
    bad = wrong or f"error('Bad bool value: ' || {sql})"
    return (
        f"CASE lower({sql}) WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE ELSE CASE WHEN {sql} "
        f"IS NULL THEN NULL ELSE {bad} END END"
    )


_RULES: Mapping[tuple[str, str], Rule] = {
    ("INTEGER", "FLOAT"): _plain("DOUBLE"),
    ("INTEGER", "NUMERIC"): _plain("DECIMAL(38,9)"),
    ("INTEGER", "STRING"): _plain("VARCHAR"),
    ("INTEGER", "BOOLEAN"): _plain("BOOLEAN"),
    ("BOOLEAN", "INTEGER"): _plain("BIGINT"),
    ("BOOLEAN", "STRING"): _plain("VARCHAR"),
    ("FLOAT", "INTEGER"): _integer_of_float,
    ("FLOAT", "STRING"): float_text,
    ("NUMERIC", "FLOAT"): _plain("DOUBLE"),
    ("NUMERIC", "INTEGER"): _plain("BIGINT"),
    ("NUMERIC", "STRING"): decimal_text,
    ("STRING", "INTEGER"): _pattern_rule(_DIGITS, "BIGINT", "int64"),
    ("STRING", "FLOAT"): _pattern_rule(_FLOATS, "DOUBLE", "double", options="i"),
    ("STRING", "NUMERIC"): _pattern_rule(_NUMBER, "DECIMAL(38,9)", "NUMERIC"),
    ("STRING", "BOOLEAN"): _boolean,
    ("STRING", "DATE"): _pattern_rule(_DAY, "DATE", "DATE"),
    ("STRING", "DATETIME"): _pattern_rule(rf"{_DAY}([ T]{_CLOCK})?", "TIMESTAMP", "DATETIME"),
    ("STRING", "TIME"): _pattern_rule(_CLOCK, "TIME", "TIME"),
    ("STRING", "TIMESTAMP"): _pattern_rule(
        rf"{_DAY}([ T]{_CLOCK}(Z|[+-][0-9]{{2}}(:[0-9]{{2}})?)?)?", "TIMESTAMPTZ", "TIMESTAMP"
    ),
    ("STRING", "BYTES"): lambda sql, _cast, _wrong: f"encode({sql})",
    ("DATE", "STRING"): lambda sql, _cast, _wrong: f"strftime({sql}, '%Y-%m-%d')",
    ("DATE", "DATETIME"): _plain("TIMESTAMP"),
    ("DATE", "TIMESTAMP"): lambda sql, _cast, _wrong: utc(f"CAST({sql} AS TIMESTAMP)"),
    ("DATETIME", "STRING"): datetime_text,
    ("DATETIME", "DATE"): _plain("DATE"),
    ("DATETIME", "TIME"): _plain("TIME"),
    ("DATETIME", "TIMESTAMP"): lambda sql, _cast, _wrong: utc(sql),
    ("TIME", "STRING"): _time_text,
    ("TIMESTAMP", "STRING"): timestamp_text,
    ("TIMESTAMP", "DATE"): lambda sql, _cast, _wrong: f"CAST({utc(sql)} AS DATE)",
    ("TIMESTAMP", "DATETIME"): lambda sql, _cast, _wrong: utc(sql),
    ("TIMESTAMP", "TIME"): lambda sql, _cast, _wrong: f"CAST({utc(sql)} AS TIME)",
}
