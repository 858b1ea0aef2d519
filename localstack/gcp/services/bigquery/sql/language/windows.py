"""Write analytic functions."""

from __future__ import annotations

from ...data.googlesql_values import field_of
from ...data.types import duckdb_type
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import aggregates
from .translator import SqlTranslator, ordering
from .type_kinds import FLOAT, type_kind

_FUNCTIONS = {
    "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile", "lag", "lead",
    "first_value", "last_value", "nth_value",
}  # fmt: skip
_IGNORE = 1
_UNBOUNDED = (0, 4)
_BOUNDS = {
    0: "UNBOUNDED PRECEDING",
    1: "PRECEDING",
    2: "CURRENT ROW",
    3: "FOLLOWING",
    4: "UNBOUNDED FOLLOWING",
}


def analytic_scan(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SELECT for a scan that computes analytic (window) functions.

    Its columns are those of the input, and the functions' values.
    """
    values = {}
    for group in node.function_group_list:
        for computed in group.analytic_function_list:
            values[computed.column.column_id] = _function(t, group, computed.expr)
    columns = [
        f"{values[c.column_id]} AS c{c.column_id}" if c.column_id in values else f"c{c.column_id}"
        for c in node.column_list
    ]
    return f"SELECT {', '.join(columns) or '1 AS none_'}{t.source(node.input_scan)}"


def _function(t: SqlTranslator, group: ResolvedNode, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for the analytic function call `node`, with OVER of its `group`.

    A group is the calls that share PARTITION BY and ORDER BY.
    """
    name = node.function.name.removeprefix("ZetaSQL:")
    arguments = [t.expression(argument) for argument in node.argument_list]
    over = f"OVER ({_partition(group)}{_order(group, node)}{_frame(t, node)})"
    if "where_expr" in node or node.error_mode:
        raise not_run(f"{name.upper()} OVER with a modifier")
    if name in _FUNCTIONS:
        ignore = " IGNORE NULLS" if node.null_handling_modifier == _IGNORE else ""
        return (
            f"CAST({name}({', '.join(arguments)}{ignore}) {over} AS "
            f"{duckdb_type(field_of(node.type))})"
        )
    return _window_aggregate(node, name, arguments, over)


def _window_aggregate(node: ResolvedNode, name: str, arguments: list[str], over: str) -> str:
    """Return the DuckDB SQL for an aggregate function with the window clause `over`."""
    if name == "$count_star":
        return f"count(*) {over}"
    if (
        node.distinct
        or node.null_handling_modifier
        or (name in ("min", "max") and type_kind(node) == FLOAT)
    ):
        raise not_run(f"{name.upper()} OVER with DISTINCT, NULLS or of FLOAT64")
    written = aggregates.window_function(node, name, arguments)
    return f"CAST({written} {over} AS {duckdb_type(field_of(node.type))})"


def _partition(group: ResolvedNode) -> str:
    """Return the PARTITION BY clause of a group of window functions as DuckDB SQL."""
    if group.partition_by is None:
        return ""
    return (
        "PARTITION BY "
        f"{', '.join(f'c{ref.column.column_id}' for ref in group.partition_by.partition_by_list)} "
    )


def _order(group: ResolvedNode, node: ResolvedNode) -> str:
    """Return the ORDER BY clause of a window function of a group as DuckDB SQL.

    A frame of values (RANGE) takes one expression only.
    """
    if group.order_by is None:
        return ""
    frame = node.window_frame
    by_value = (
        frame is not None
        and frame.frame_unit == 1
        and {1, 3} & {frame.start_expr.boundary_type, frame.end_expr.boundary_type}
    )
    keys = 1 if by_value else 2
    items = (ordering(item, keys=keys) for item in group.order_by.order_by_item_list)
    return f"ORDER BY {', '.join(items)} "


def _frame(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the frame clause of a window function, such as ROWS BETWEEN ..., as DuckDB SQL."""
    frame = node.window_frame
    if frame is None:
        return ""
    bounds = [_frame_bound(t, bound) for bound in (frame.start_expr, frame.end_expr)]
    return f"{'RANGE' if frame.frame_unit else 'ROWS'} BETWEEN {bounds[0]} AND {bounds[1]}"


def _frame_bound(t: SqlTranslator, bound: ResolvedNode) -> str:
    """Return one end of a window's frame as DuckDB SQL."""
    words = _BOUNDS[bound.boundary_type]
    return f"{t.expression(bound.expression)} {words}" if "expression" in bound else words
