"""Functions of ARRAY."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ...data.googlesql_values import field_of
from ...data.types import duckdb_type
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from .translator import SqlTranslator, arguments
from .type_kinds import INT64, type_kind


def _array(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for an array literal in a GoogleSQL query."""
    return f"CAST([{', '.join(arguments(t, node))}] AS {duckdb_type(field_of(node.type))})"


def _element(shift: int, *, safe: bool) -> Callable[[SqlTranslator, ResolvedNode], str]:
    """Return a function that translates a GoogleSQL array subscript into DuckDB SQL.

    `shift` is what is added to an index, 1 where GoogleSQL counts from 0. With `safe` an index out
    of range gives NULL.
    """

    def write(t: SqlTranslator, node: ResolvedNode) -> str:
        array, place = arguments(t, node)
        index = f"{place} + {shift}" if shift else place
        outside = "NULL" if safe else f"error('Array index ' || {place} || ' is out of bounds')"
        return (
            f"CASE WHEN {place} < {1 - shift} OR {index} > len({array}) THEN {outside} ELSE "
            f"{array}[{index}] END"
        )

    return write


def _array_concat(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for ARRAY_CONCAT of GoogleSQL; one NULL argument makes it NULL."""
    values = arguments(t, node)
    unknown = " OR ".join(f"{value} IS NULL" for value in values)
    joined = " || ".join(values)
    return f"CASE WHEN {unknown} THEN NULL ELSE {joined} END"


def _generate_array(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for GENERATE_ARRAY in a GoogleSQL query."""
    if type_kind(node) != INT64:
        raise not_run("GENERATE_ARRAY of this type")
    values = arguments(t, node)
    return f"generate_series({', '.join(values)})"


FUNCTIONS: Mapping[str, Callable[[SqlTranslator, ResolvedNode], str]] = {
    "$make_array": _array,
    "$array_at_offset": _element(1, safe=False),
    "$array_at_ordinal": _element(0, safe=False),
    "$safe_array_at_offset": _element(1, safe=True),
    "$safe_array_at_ordinal": _element(0, safe=True),
    "array_concat": _array_concat,
    "generate_array": _generate_array,
}
