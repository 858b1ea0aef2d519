"""GROUP BY, PIVOT and the aggregate functions."""

from __future__ import annotations

from ...data.googlesql_values import field_of
from ...data.types import duckdb_type
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from .translator import SqlTranslator, ordering
from .type_kinds import BIGNUMERIC, FLOAT, INT64, STRING, STRUCT, type_kind

_IGNORE = 1  # NullHandlingModifier
# What is the same in DuckDB.
_SAME = {
    "logical_and": "bool_and", "logical_or": "bool_or", "stddev": "stddev_samp",
    "stddev_samp": "stddev_samp", "stddev_pop": "stddev_pop", "variance": "var_samp",
    "var_samp": "var_samp", "var_pop": "var_pop", "corr": "corr", "covar_pop": "covar_pop",
    "covar_samp": "covar_samp", "bit_and": "bit_and", "bit_or": "bit_or", "bit_xor": "bit_xor",
    "count": "count", "max": "max", "min": "min", "any_value": "first", "countif": "count_if",
    "sum": "sum",
}  # fmt: skip


def aggregate_scan(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for GROUP BY in a GoogleSQL query, with its grouping sets."""
    groups = {c.column.column_id: t.expression(c.expr) for c in node.group_by_list}
    values = {c.column.column_id: aggregate(t, c.expr) for c in node.aggregate_list}
    for grouping in node.grouping_call_list:
        values[grouping.output_column.column_id] = (
            f"CAST(GROUPING({groups[grouping.group_by_column.column.column_id]}) AS BIGINT)"
        )
    every = groups | values
    columns = ", ".join(f"{every[c.column_id]} AS c{c.column_id}" for c in node.column_list)
    clause = f" GROUP BY {', '.join(groups.values())}" if groups else ""
    if node.grouping_set_list:
        clause = (
            " GROUP BY GROUPING SETS "
            f"({', '.join(_grouping_set(s, groups) for s in node.grouping_set_list)})"
        )
    if not columns:
        columns = "1 AS none_" if groups else "count(*) AS none_"
    return f"SELECT {columns}{t.source(node.input_scan)}{clause}"


def _grouping_set(node: ResolvedNode, groups: dict[int, str]) -> str:
    """Return the SQL of one grouping set of ROLLUP, CUBE or GROUPING SETS.

    `groups` has the SQL of each grouping column by its number.
    """
    if node.kind == "grouping_set":
        return f"({', '.join(groups[ref.column.column_id] for ref in node.group_by_column_list)})"
    if node.kind not in ("rollup", "cube"):
        raise not_run(node.kind)
    parts = node.rollup_column_list if node.kind == "rollup" else node.cube_column_list
    columns = [
        f"({', '.join(groups[ref.column.column_id] for ref in part.column_list)})" for part in parts
    ]
    return f"{node.kind.upper()} ({', '.join(columns)})"


def pivot_scan(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for PIVOT in a GoogleSQL query: aggregate functions with conditions."""
    groups = {c.column.column_id: t.expression(c.expr) for c in node.group_by_list}
    chosen = t.expression(node.for_expr)
    values = {}
    for pivot in node.pivot_column_list:
        value = t.expression(node.pivot_value_list[pivot.pivot_value_index])
        condition = f"({chosen} IS NOT DISTINCT FROM {value})"
        values[pivot.column.column_id] = aggregate(
            t, node.pivot_expr_list[pivot.pivot_expr_index], condition
        )
    every = groups | values
    columns = ", ".join(f"{every[c.column_id]} AS c{c.column_id}" for c in node.column_list)
    clause = f" GROUP BY {', '.join(groups.values())}" if groups else ""
    return f"SELECT {columns}{t.source(node.input_scan)}{clause}"


def aggregate(t: SqlTranslator, node: ResolvedNode, condition: str | None = None) -> str:
    """Return the DuckDB SQL for one GoogleSQL aggregate function call.

    Only the rows that fulfil `condition`, a condition in DuckDB SQL, are aggregated.
    """
    if node.kind != "aggregate_function_call":
        raise not_run(f"{node.kind} in an aggregation")
    name = node.function.name.removeprefix("ZetaSQL:")
    if any(
        part in node
        for part in ("having_modifier", "group_by_list", "having_expr", "generic_argument_list")
    ):
        raise not_run(f"{name.upper()} with HAVING or GROUP BY")
    if node.error_mode:
        raise not_run(f"SAFE.{name.upper()}")
    conditions = [condition] if condition else []
    if "where_expr" in node:
        conditions.append(t.expression(node.where_expr))
    arguments = [t.expression(argument) for argument in node.argument_list]
    if node.null_handling_modifier == _IGNORE or name == "string_agg":
        conditions.append(f"{arguments[0]} IS NOT NULL")
    where = f" FILTER (WHERE {' AND '.join(f'({c})' for c in conditions)})" if conditions else ""
    return _aggregate(t, node, name, arguments, where)


def _aggregate(
    t: SqlTranslator, node: ResolvedNode, name: str, arguments: list[str], where: str
) -> str:
    """Return the DuckDB SQL for a call of the GoogleSQL aggregate function `name`.

    `arguments` and the FILTER clause `where` are DuckDB SQL.
    """
    if name == "$count_star":
        return f"count(*){where}"
    if name in ("array_agg", "string_agg"):
        return _collection(t, node, name, arguments, where)
    if "order_by_item_list" in node or "limit" in node:
        raise not_run(f"{name.upper()} with ORDER BY or LIMIT")
    if name == "approx_quantiles":
        return _quantiles(node, arguments, where)
    return _computed(node, name, arguments, where)


def _computed(node: ResolvedNode, name: str, arguments: list[str], where: str) -> str:
    """Return the DuckDB SQL for a GoogleSQL aggregate function that takes no ORDER BY.

    `arguments` and the FILTER clause `where` are DuckDB SQL.
    """
    kind = type_kind(node)
    if name == "approx_count_distinct":
        return f"count(DISTINCT {arguments[0]}){where}"
    if name == "avg" and kind in (INT64, FLOAT):
        return f"avg({_distinct(node)}{arguments[0]}){where}"
    if name in ("min", "max") and kind == FLOAT:
        unknown = f"bool_or(isnan({arguments[0]})){where}"
        return (
            f"(CASE WHEN {unknown} THEN CAST('nan' AS DOUBLE) ELSE {name}({arguments[0]}){where} "
            "END)"
        )
    return _duckdb_function(node, name, kind, arguments, where)


def _duckdb_function(
    node: ResolvedNode, name: str, kind: int, arguments: list[str], where: str
) -> str:
    """Return DuckDB SQL that calls the aggregate function `name`, cast to GoogleSQL's result type.

    `kind` is GoogleSQL's type of the argument; `arguments` and the FILTER clause `where` are DuckDB
    SQL.
    """
    if name not in _SAME or (
        kind in (STRUCT, BIGNUMERIC) and name not in ("count", "any_value", "min", "max")
    ):
        raise not_run(f"{name.upper()} of this type" if name in _SAME else name.upper())
    if name == "countif" and node.distinct:
        raise not_run("COUNTIF(DISTINCT)")
    return (
        f"CAST({_SAME[name]}({_distinct(node)}{', '.join(arguments)}){where} AS "
        f"{duckdb_type(field_of(node.type))})"
    )


def _distinct(node: ResolvedNode) -> str:
    """Return the keyword DISTINCT for an aggregate function call, or an empty text."""
    return "DISTINCT " if node.distinct else ""


def _quantiles(node: ResolvedNode, arguments: list[str], where: str) -> str:
    """Return the DuckDB SQL for APPROX_QUANTILES: exact quantiles, which GoogleSQL permits.

    `arguments` and the FILTER clause `where` are DuckDB SQL.
    """
    number = node.argument_list[1]
    if number.kind != "literal" or node.distinct or type_kind(node) not in (INT64, FLOAT):
        raise not_run("APPROX_QUANTILES of this type")
    count = number.value.value.int64_value
    shares = ", ".join(repr(i / count) for i in range(count + 1))
    return f"quantile_disc({arguments[0]}, [{shares}]){where}"


def _collection(
    t: SqlTranslator, node: ResolvedNode, name: str, arguments: list[str], where: str
) -> str:
    """Return the DuckDB SQL for ARRAY_AGG or STRING_AGG in a GoogleSQL query.

    `arguments` and the FILTER clause `where` are DuckDB SQL.
    """
    order = ", ".join(ordering(item) for item in node.order_by_item_list)
    order = f" ORDER BY {order}" if order else ""
    if name == "string_agg" and type_kind(node) != STRING:
        raise not_run("STRING_AGG of BYTES")
    values = f"list({_distinct(node)}{arguments[0]}{order}){where}"
    if "limit" in node:
        values = f"list_slice({values}, 1, {t.expression(node.limit)})"
    if name == "array_agg":
        return values
    return (
        f"array_to_string({values}, "
        f"{arguments[1] if len(arguments) > 1 else chr(39) + ',' + chr(39)})"
    )


def window_function(node: ResolvedNode, name: str, arguments: list[str]) -> str:
    """Return the DuckDB SQL of an aggregate function call, to which the caller appends OVER."""
    kind = type_kind(node)
    if name == "avg" and kind in (INT64, FLOAT):
        return f"avg({arguments[0]})"
    if name == "array_agg":
        return f"list({arguments[0]})"
    if name not in _SAME or kind in (STRUCT, BIGNUMERIC):
        raise not_run(f"{name.upper()} OVER")
    return f"{_SAME[name]}({', '.join(arguments)})"
