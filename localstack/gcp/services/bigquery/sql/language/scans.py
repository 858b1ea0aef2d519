"""Write the scans of a resolved statement as SELECTs.

Every column has its number as its name: c7.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...data.types import quoted
from ...errors import invalid_query, not_run
from ..analysis.resolved_tree import ResolvedNode
from . import aggregates, windows
from .translator import SqlTranslator, Words, column, column_list, ordering


def _table(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a table in the FROM of a GoogleSQL query."""
    relation, names = t.relations[node.table.serialization_id]
    if "for_system_time_expr" in node:
        raise not_run("FOR SYSTEM_TIME AS OF")
    pairs = zip(node.column_index_list, node.column_list, strict=True)
    columns = ", ".join(f"{quoted(names[index])} AS {column(c)}" for index, c in pairs)
    return f"SELECT {columns or '1 AS none_'} FROM {relation}"


def _project(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for the computed columns of a SELECT."""
    computed = {c.column.column_id: t.expression(c.expr) for c in node.expr_list}
    columns = [
        f"{computed[c.column_id]} AS {column(c)}" if c.column_id in computed else column(c)
        for c in node.column_list
    ]
    return f"SELECT {', '.join(columns) or '1 AS none_'}{t.source(node.input_scan)}"


def _filter(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for WHERE in a GoogleSQL query."""
    return (
        f"SELECT {column_list(node)}{t.source(node.input_scan)} WHERE "
        f"{t.expression(node.filter_expr)}"
    )


_JOINS = {0: "INNER", 1: "LEFT", 2: "RIGHT", 3: "FULL"}


def _join(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a join in a GoogleSQL query."""
    if node.is_lateral:
        raise not_run("LATERAL")
    left, right = (f"({t.scan(side)}) AS {t.name()}" for side in (node.left_scan, node.right_scan))
    if "join_expr" not in node:
        kind = "CROSS JOIN" if node.join_type == 0 else None
        if kind is None:
            raise invalid_query("An outer join needs a condition")
        return f"SELECT {column_list(node)} FROM {left} CROSS JOIN {right}"
    _check_outer(node)
    return (
        f"SELECT {column_list(node)} FROM {left} {_JOINS[node.join_type]} JOIN {right} ON "
        f"{t.expression(node.join_expr)}"
    )


def _check_outer(node: ResolvedNode) -> None:
    """Raise BigQuery's errors about an outer join that GoogleSQL's analyzer accepts."""
    if node.join_type == 0:
        return
    left, right = (
        {c.column_id for c in side.column_list} for side in (node.left_scan, node.right_scan)
    )
    if not any(_equates(condition, left, right) for condition in _conjuncts(node.join_expr)):
        words = (
            "cannot be used without a condition that is an equality of fields from both sides of "
            "the join."
        )
        raise invalid_query(f"{_JOINS[node.join_type]} OUTER JOIN {words}")


def _conjuncts(node: ResolvedNode) -> list[ResolvedNode]:
    """Return the conditions that AND joins in a node, as a list of nodes."""
    if node.kind == "function_call" and node.function.name == "ZetaSQL:$and":
        return [part for argument in node.argument_list for part in _conjuncts(argument)]
    return [node]


def _equates(node: ResolvedNode, left: set[int], right: set[int]) -> bool:
    """Return whether a join condition is a literal, or equates columns of both sides.

    `left` and `right` are the ids of each side's columns.
    """
    if node.kind == "literal":
        return True
    if node.kind != "function_call" or node.function.name not in (
        "ZetaSQL:$equal",
        "ZetaSQL:$is_not_distinct_from",
    ):
        return False
    first, second = (
        {n.column.column_id for n in argument.walk() if n.kind == "column_ref"}
        for argument in node.argument_list
    )
    return bool(
        (first <= left and second <= right and first and second)
        or (first <= right and second <= left and first and second)
    )


def _array(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for UNNEST in a GoogleSQL query."""
    if len(node.array_expr_list) != 1:
        raise not_run("UNNEST of several arrays")
    array = t.expression(node.array_expr_list[0])
    new = [f"unnest(_array) AS {column(node.element_column_list[0])}"]
    if node.array_offset_column is not None:
        offsets = (
            "CASE WHEN len(_array) > 0 THEN range(len(_array)) ELSE [NULL] END"
            if node.is_outer
            else "range(len(_array))"
        )
        new.append(f"unnest({offsets}) AS {column(node.array_offset_column.column)}")
    if node.is_outer:
        array = f"CASE WHEN len({array}) > 0 THEN {array} ELSE [NULL] END"
    input_from = "" if "input_scan" not in node else t.source(node.input_scan)
    inner = f"SELECT {'*, ' if input_from else ''}{array} AS _array{input_from}"
    input_columns = ", ".join(column(c) for c in node.input_scan.column_list) if input_from else ""
    columns = ", ".join([*([input_columns] if input_columns else []), *new])
    sql = f"SELECT {columns} FROM ({inner}) AS {t.name()}"
    if "join_expr" in node:
        if node.is_outer:
            raise not_run("an outer join of UNNEST with a condition")
        return (
            f"SELECT {column_list(node)} FROM ({sql}) AS {t.name()} WHERE "
            f"{t.expression(node.join_expr)}"
        )
    return sql


_SETS = ("UNION ALL", "UNION", "INTERSECT ALL", "INTERSECT", "EXCEPT ALL", "EXCEPT")


def _set_operation(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for UNION, INTERSECT or EXCEPT in a GoogleSQL query."""
    parts = [
        _renaming(t, item.scan, item.output_column_list, node.column_list)
        for item in node.input_item_list
    ]
    return f" {_SETS[node.op_type]} ".join(f"({part})" for part in parts)


def _renaming(
    t: SqlTranslator, scan: ResolvedNode, outputs: Sequence[Any], names: Sequence[Any]
) -> str:
    """Return a SELECT over a scan that numbers its output columns anew, for a set operation.

    `outputs` are the scan's columns, and `names` those of the result.
    """
    columns = ", ".join(
        f"{column(output)} AS {column(name)}" for output, name in zip(outputs, names, strict=True)
    )
    return f"SELECT {columns} FROM ({t.scan(scan)}) AS {t.name()}"


def _order_by(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for ORDER BY in a GoogleSQL query."""
    order = ", ".join(ordering(item) for item in node.order_by_item_list)
    return f"SELECT {column_list(node)}{t.source(node.input_scan)} ORDER BY {order}"


def _limit(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for LIMIT and OFFSET in a GoogleSQL query."""
    limit = f" LIMIT {t.expression(node.limit)}" if "limit" in node else ""
    offset = f" OFFSET {t.expression(node.offset)}" if "offset" in node else ""
    if node.input_scan.kind == "order_by_scan":
        return f"{t.scan(node.input_scan)}{limit}{offset}"
    return f"SELECT {column_list(node)}{t.source(node.input_scan)}{limit}{offset}"


def _with(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for WITH in a GoogleSQL query."""
    entries = []
    for entry in node.with_entry_list:
        t.entry(entry.with_query_name, entry.with_subquery.column_list)
        entries.append(f"{quoted(entry.with_query_name)} AS ({_entry(t, entry)})")
    return f"WITH {'RECURSIVE ' if node.recursive else ''}{', '.join(entries)} {t.scan(node.query)}"


def _entry(t: SqlTranslator, entry: ResolvedNode) -> str:
    """Return the SQL of one query of WITH; a recursive one is a UNION of two terms."""
    query = entry.with_subquery
    if query.kind != "recursive_scan":
        return t.scan(query)
    t.recursive.append(entry.with_query_name)
    terms = [
        _renaming(t, term.scan, term.output_column_list, query.column_list)
        for term in (query.non_recursive_term, query.recursive_term)
    ]
    t.recursive.pop()
    if "recursion_depth_modifier" in query:
        raise not_run("WITH DEPTH")
    return f"{terms[0]} {'UNION ALL' if query.op_type == 0 else 'UNION'} {terms[1]}"


def _with_ref(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a reference to a query of WITH."""
    name = node.with_query_name if node.kind == "with_ref_scan" else t.recursive[-1]
    pairs = zip(t.entry_columns(name), node.column_list, strict=True)
    columns = ", ".join(
        f"{column(entry_column)} AS {column(own_column)}" for entry_column, own_column in pairs
    )
    return f"SELECT {columns or '1 AS none_'} FROM {quoted(name)}"


SCANS: Words = {
    "single_row_scan": lambda _t, _node: "SELECT 1 AS none_",
    "table_scan": _table,
    "project_scan": _project,
    "filter_scan": _filter,
    "join_scan": _join,
    "array_scan": _array,
    "set_operation_scan": _set_operation,
    "order_by_scan": _order_by,
    "limit_offset_scan": _limit,
    "with_scan": _with,
    "with_ref_scan": _with_ref,
    "recursive_ref_scan": _with_ref,
    "aggregate_scan": aggregates.aggregate_scan,
    "analytic_scan": windows.analytic_scan,
    "pivot_scan": aggregates.pivot_scan,
}
