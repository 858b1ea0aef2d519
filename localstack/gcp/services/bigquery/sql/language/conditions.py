"""Write comparisons and conditions: NULL, NaN and CASE as GoogleSQL has them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from .translator import SqlTranslator, arguments
from .type_kinds import ARRAY, FLOAT, STRING, STRUCT, type_kind


def _joining(word: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates AND or OR (`word`) of GoogleSQL into DuckDB SQL."""
    return lambda t, node: f"({f' {word} '.join(arguments(t, node))})"


def comparison(operator: str, left: str, right: str, kind: int) -> str:
    """Return DuckDB SQL that compares two expressions of type `kind` as GoogleSQL does.

    NaN equals nothing in GoogleSQL and is the greatest number in DuckDB.
    """
    if kind in (STRUCT, ARRAY):
        raise not_run("comparing STRUCT or ARRAY")
    if kind != FLOAT:
        return f"({left} {operator} {right})"
    if operator == "<>":
        return f"({left} <> {right} OR (isnan({left}) AND {right} IS NOT NULL))"
    other = right if operator in ("<", "<=") else left
    return f"({left} {operator} {right} AND NOT isnan({other}))"


def _comparison(operator: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates a comparison of GoogleSQL into DuckDB SQL."""

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        left, right = arguments(t, node)
        return comparison(operator, left, right, type_kind(node))

    return write


def _between(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for BETWEEN in a GoogleSQL query."""
    value, low, high = arguments(t, node)
    return (
        f"({comparison('>=', value, low, type_kind(node))} AND "
        f"{comparison('<=', value, high, type_kind(node))})"
    )


def _nullif(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for NULLIF in a GoogleSQL query."""
    left, right = arguments(t, node)
    equal = comparison("=", left, right, type_kind(node))
    return f"CASE WHEN {equal} THEN NULL ELSE {left} END"


def _in(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for IN with a list in a GoogleSQL query."""
    value, *others = arguments(t, node)
    if type_kind(node) in (STRUCT, ARRAY):
        raise not_run("IN of STRUCT or ARRAY")
    if type_kind(node) == FLOAT:
        return f"({' OR '.join(comparison('=', value, other, FLOAT) for other in others)})"
    return f"({value} IN ({', '.join(others)}))"


def _in_array(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for IN UNNEST in a GoogleSQL query."""
    value, array = arguments(t, node)
    if type_kind(node) in (FLOAT, STRUCT, ARRAY):
        raise not_run("IN UNNEST of FLOAT64 or STRUCT")
    unknown = (
        f"{value} IS NULL OR list_has_any(list_transform({array}, lambda v: v IS NULL), [TRUE])"
    )
    contains = f"list_contains({array}, {value})"
    return (
        f"CASE WHEN len(coalesce({array}, [])) = 0 THEN FALSE WHEN {contains} THEN TRUE WHEN "
        f"{unknown} THEN NULL ELSE FALSE END"
    )


def _distinct(word: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates IS [NOT] DISTINCT FROM of GoogleSQL into DuckDB SQL.

    `word` is DuckDB's operator.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        left, right = arguments(t, node)
        return f"({left} {word} {right})"

    return write


def _like(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for LIKE in a GoogleSQL query."""
    if type_kind(node) != STRING:
        raise not_run("LIKE of BYTES")
    value, pattern = arguments(t, node)
    return f"({value} LIKE {pattern} ESCAPE '\\')"


def _case(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for CASE with conditions in a GoogleSQL query."""
    parts = arguments(t, node)
    whens = "".join(
        f" WHEN {condition} THEN {value}"
        for condition, value in zip(parts[0:-1:2], parts[1::2], strict=False)
    )
    return f"CASE{whens} ELSE {parts[-1] if len(parts) % 2 else 'NULL'} END"


def _case_value(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for CASE with a value in a GoogleSQL query."""
    value, *parts = arguments(t, node)
    pairs = zip(parts[0:-1:2], parts[1::2], strict=False)
    whens = "".join(
        f" WHEN {comparison('=', value, other, type_kind(node))} THEN {result}"
        for other, result in pairs
    )
    return f"CASE{whens} ELSE {parts[-1] if len(parts) % 2 else 'NULL'} END"


def _coalesce(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for COALESCE in a GoogleSQL query."""
    return f"coalesce({', '.join(arguments(t, node))})"


FUNCTIONS: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    "$and": _joining("AND"),
    "$or": _joining("OR"),
    "$equal": _comparison("="),
    "$not_equal": _comparison("<>"),
    "$less": _comparison("<"),
    "$less_or_equal": _comparison("<="),
    "$greater": _comparison(">"),
    "$greater_or_equal": _comparison(">="),
    "$between": _between,
    "nullif": _nullif,
    "$in": _in,
    "$in_array": _in_array,
    "$is_distinct_from": _distinct("IS DISTINCT FROM"),
    "$is_not_distinct_from": _distinct("IS NOT DISTINCT FROM"),
    "$like": _like,
    "$case_no_value": _case,
    "$case_with_value": _case_value,
    "coalesce": _coalesce,
}
