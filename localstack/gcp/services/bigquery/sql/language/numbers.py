"""Write functions of numbers: arithmetic, domains that end in an error, rounding."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...data.googlesql_values import field_of
from ...data.types import duckdb_type
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import dates
from .translator import SqlTranslator, arguments
from .type_kinds import ARRAY, FLOAT, INT64, NUMERIC, STRUCT, type_kind


def _arithmetic(operator: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates +, - or * of numbers or dates into DuckDB SQL."""

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        first, second = type_kind(node), type_kind(node, 1)
        if first != second or first not in (INT64, FLOAT, NUMERIC):
            return dates.arithmetic(t, node, operator)
        left, right = arguments(t, node)
        return f"CAST({left} {operator} {right} AS {duckdb_type(field_of(node.type))})"

    return write


def _divide(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for division in a GoogleSQL query; division by zero is an error."""
    left, right = arguments(t, node)
    _check_floats(node, "/")
    return (
        f"CASE WHEN {right} = 0 THEN error('division by zero: ' || {left} || ' / ' || {right}) "
        f"ELSE {left} / {right} END"
    )


def _safe_divide(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for SAFE_DIVIDE in a GoogleSQL query."""
    left, right = arguments(t, node)
    _check_floats(node, "SAFE_DIVIDE")
    return f"CASE WHEN {right} = 0 THEN NULL ELSE {left} / {right} END"


def _ieee_divide(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for IEEE_DIVIDE in a GoogleSQL query."""
    left, right = arguments(t, node)
    return f"({left} / {right})"


def _check_floats(node: ResolvedNode, name: str) -> None:
    """Raise `notImplemented` if the function `name` is not called with FLOAT64 arguments."""
    if type_kind(node) != FLOAT:
        raise not_run(f"{name} of NUMERIC")


def _domain(sql: str, condition: str, name: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates the FLOAT64 function `name` by the template `sql`.

    The SQL fails where `condition` holds of the arguments, outside the function's domain, or gives
    NULL after SAFE. The reference implementation words the error.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        values = arguments(t, node)
        if type_kind(node) != FLOAT or len(values) != 1 + sql.count("{1}"):
            raise not_run(f"{name} of this type")
        outside = (
            "NULL" if node.error_mode else f"error('Floating point error in function: {name}')"
        )
        return (
            f"CASE WHEN {condition.format(*values)} THEN {outside} ELSE {sql.format(*values)} END"
        )

    return write


def _rounding(name: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates ROUND and the like (`name`) into DuckDB SQL.

    Halves are rounded away from zero. ROUND to some digits is supported for numbers below 1e12 and
    up to three digits, where DuckDB gives Google's result.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        values = arguments(t, node)
        if name == "round" and len(values) == 2 and type_kind(node) == FLOAT:
            value, digits = values
            fits = f"abs({value}) < 1e12 AND {digits} BETWEEN 0 AND 3 OR {value} IS NULL"
            return (
                f"CASE WHEN {fits} THEN round({value}, CAST({digits} AS INTEGER)) ELSE "
                "error('NOT RUN: ROUND of large numbers') END"
            )
        if len(values) != 1 or type_kind(node) != FLOAT:
            raise not_run(f"{name.upper()} of NUMERIC, or to a number of digits")
        return f"{name}({values[0]})"

    return write


def _sign(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for SIGN in a GoogleSQL query."""
    (value,) = arguments(t, node)
    if type_kind(node) == FLOAT:
        return f"CASE WHEN isnan({value}) THEN {value} ELSE CAST(sign({value}) AS DOUBLE) END"
    if type_kind(node) != INT64:
        raise not_run("SIGN of this type")
    return f"CAST(sign({value}) AS BIGINT)"


def _abs(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for ABS in a GoogleSQL query."""
    if type_kind(node) not in (INT64, FLOAT, NUMERIC):
        raise not_run("ABS of this type")
    return f"abs({arguments(t, node)[0]})"


def _extreme(name: str) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates GREATEST or LEAST of GoogleSQL into DuckDB SQL."""

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        if type_kind(node) in (FLOAT, STRUCT, ARRAY):
            raise not_run(f"{name.upper()} of FLOAT64")
        values = arguments(t, node)
        return (
            f"CASE WHEN {' OR '.join(f'{value} IS NULL' for value in values)} THEN NULL ELSE "
            f"{name}({', '.join(values)}) END"
        )

    return write


FUNCTIONS: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    "$add": _arithmetic("+"),
    "$subtract": _arithmetic("-"),
    "$multiply": _arithmetic("*"),
    "$divide": _divide,
    "safe_divide": _safe_divide,
    "ieee_divide": _ieee_divide,
    "sign": _sign,
    "exp": _domain("exp({0})", "isfinite({0}) AND isinf(exp({0}))", "EXP"),
    "pow": _domain(
        "pow({0}, {1})", "isfinite({0}) AND isfinite({1}) AND NOT isfinite(pow({0}, {1}))", "POW"
    ),
    "ln": _domain("ln({0})", "{0} <= 0", "LN"),
    "log10": _domain("log10({0})", "{0} <= 0", "LOG10"),
    "sqrt": _domain("sqrt({0})", "{0} < 0", "SQRT"),
    "round": _rounding("round"),
    "ceil": _rounding("ceil"),
    "floor": _rounding("floor"),
    "trunc": _rounding("trunc"),
    "abs": _abs,
    "greatest": _extreme("greatest"),
    "least": _extreme("least"),
}
