"""Write expressions: literals, columns, STRUCTs, subqueries; other modules write the rest."""

from __future__ import annotations

from ...data.googlesql_values import field_of, python_value
from ...data.types import duckdb_element, quoted
from ...errors import not_run
from ..analysis.resolved_tree import ResolvedNode
from . import casts, functions, literals
from .translator import SqlTranslator, Words


def _literal(_t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a literal in a GoogleSQL query."""
    field = field_of(node.type)
    return literals.constant(python_value(node.value.value, field), field)


def _parameter(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the value of a query parameter as a DuckDB SQL constant."""
    named = (parameter for parameter in t.parameters if parameter.name == node.name.lower())
    parameter = next(named) if node.name else t.parameters[node.position - 1]
    return literals.constant(parameter.value, parameter.field)


def _constant(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the value of a script's variable as a DuckDB SQL constant."""
    variable = t.variables[node.constant.name.lower()]
    return literals.constant(variable.value, variable.field)


def _system(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the value of a system variable (@@name) as a DuckDB SQL constant."""
    variable = t.variables[".".join(node.name_path).lower()]
    return literals.constant(variable.value, variable.field)


_ATOMS = ("literal", "parameter", "constant", "column_ref")  # may stand several times


def _with(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for an expression over columns that are computed for it alone.

    The analyzer makes such expressions where it inlines a SQL function.
    """
    inner = "SELECT 1 AS none_"
    for assignment in node.assignment_list:
        number = assignment.column.column_id
        if assignment.expr.kind in _ATOMS:
            t.bound[number] = t.expression(assignment.expr)
        else:
            inner = (
                f"SELECT *, {t.expression(assignment.expr)} AS c{number} FROM ({inner}) AS "
                f"{t.name()}"
            )
    result = t.expression(node.expr)
    return (
        f"(SELECT {result} FROM ({inner}) AS {t.name()})"
        if inner != "SELECT 1 AS none_"
        else result
    )


def _column(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a reference to a column in a GoogleSQL query."""
    return t.bound.get(node.column.column_id) or f"c{node.column.column_id}"


def _struct(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for STRUCT in a GoogleSQL query."""
    field = field_of(node.type)
    names = [child.name.lower() for child in field.fields]
    if len(set(names)) != len(names):
        raise not_run("a STRUCT with two fields of the same name")
    if not names:
        raise not_run("a STRUCT without fields")
    members = zip(field.fields, node.field_list, strict=True)
    packed = ", ".join(f"{quoted(child.name)} := {t.expression(value)}" for child, value in members)
    return f"CAST(struct_pack({packed}) AS {duckdb_element(field)})"


def _member(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for the access to a STRUCT's field in a GoogleSQL query."""
    field = field_of(node.expr.type)
    return (
        f"struct_extract({t.expression(node.expr)}, "
        f"{literals.text(field.fields[node.field_idx].name)})"
    )


def _subquery(t: SqlTranslator, node: ResolvedNode) -> str:
    """Return the DuckDB SQL for a subquery in a GoogleSQL query: scalar, array, IN or EXISTS."""
    scan = t.scan(node.subquery)
    columns = node.subquery.column_list
    if node.subquery_type == 2:
        return f"EXISTS ({scan})"
    inner = f"SELECT c{columns[0].column_id} FROM ({scan}) AS {t.name()}"
    if node.subquery_type == 0:
        return f"({inner})"
    if node.subquery_type == 1:
        return f"ARRAY({inner})"
    if node.subquery_type == 3:
        return f"({t.expression(node.in_expr)} IN ({inner}))"
    raise not_run("LIKE ANY or LIKE ALL of a subquery")


EXPRESSIONS: Words = {
    "literal": _literal,
    "parameter": _parameter,
    "constant": _constant,
    "system_variable": _system,
    "column_ref": _column,
    "with_expr": _with,
    "function_call": functions.call,
    "cast": casts.cast,
    "make_struct": _struct,
    "get_struct_field": _member,
    "subquery_expr": _subquery,
}
