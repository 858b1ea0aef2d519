"""Translate queries by sqlglot, unchecked, where GoogleSQL's analyzer is not installed.

Names, types and errors are DuckDB's. Everything but a query is refused.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...data.types import DUCKDB, SchemaField, check_names
from ...errors import invalid_query, not_run
from ...state import warehouse
from ...state.instance import BigQueryState
from ..analysis.analyzer import AnalysisRequest
from ..analysis.sources import source_of
from . import literals

if TYPE_CHECKING:
    from sqlglot import exp

_INTEGERS = ("INTEGER", "INT", "SMALLINT", "TINYINT", "UBIGINT", '"NULL"', "NULL")
_NAMES = {
    **{text: name for name, text in DUCKDB.items() if name not in ("GEOGRAPHY", "BIGNUMERIC")},
    **dict.fromkeys(_INTEGERS, "INTEGER"),
    "HUGEINT": "NUMERIC",
    "FLOAT": "FLOAT",
    "TEXT": "STRING",
    "TIMESTAMP WITH TIME ZONE": "TIMESTAMP",
    "TIMESTAMP_NS": "DATETIME",
}


def query(
    instance: BigQueryState, question: AnalysisRequest
) -> tuple[str, tuple[SchemaField, ...]]:
    """Translate a query by sqlglot, without GoogleSQL's analyzer; return its SQL and columns.

    The SQL is DuckDB's. It is the way where the analyzer is not installed.
    """
    import sqlglot  # not above: a process whose queries are checked does without it
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    try:
        parsed = sqlglot.parse_one(question.sql, read="bigquery")
    except SqlglotError as error:
        raise invalid_query(f"Syntax error: {error}") from error
    if not isinstance(parsed, exp.Query):
        raise not_run(
            "statements other than queries, without GoogleSQL's analyzer (pip install "
            "zetasql==0.1.5)"
        )
    with_names = {cte.alias_or_name.lower() for cte in parsed.find_all(exp.CTE)}
    for table in list(parsed.find_all(exp.Table)):
        if isinstance(table.this, exp.Identifier) and not (
            table.name.lower() in with_names and not table.db
        ):
            _replace_table(instance, table, question)
    positions = iter(question.parameters)
    for node in list(parsed.find_all(exp.Parameter, exp.Placeholder)):
        named = isinstance(node, exp.Parameter)
        parameter = question.named.get(node.name.lower()) if named else next(positions, None)
        if parameter is None:
            raise invalid_query(f"Query parameter '{node.name}' not found")
        node.replace(
            sqlglot.parse_one(literals.constant(parameter.value, parameter.field), read="duckdb")
        )
    sql = parsed.sql("duckdb")
    return sql, _columns(instance, sql)


def _replace_table(instance: BigQueryState, table: exp.Table, question: AnalysisRequest) -> None:
    """Replace a table in a parsed query by the DuckDB table, or by a view's query, in place."""
    import sqlglot
    from sqlglot import exp

    path = tuple(part.name for part in table.parts)
    source = source_of(
        instance, path, question.project, dataset=question.dataset, location=question.location
    )
    if source.table is None:
        raise not_run("INFORMATION_SCHEMA, without GoogleSQL's analyzer")
    relation = warehouse.relation(source.ref.project, source.ref.dataset, source.ref.table)
    alias = table.alias or path[-1].rpartition(".")[2]
    if source.table.kind == "VIEW":
        view, _ = query(
            instance,
            AnalysisRequest(sql=source.table.written["view"]["query"], project=source.ref.project),
        )
        table.replace(exp.alias_(sqlglot.parse_one(f"({view})", read="duckdb"), alias, table=True))
    else:
        table.replace(exp.alias_(exp.to_table(relation, dialect="duckdb"), alias, table=True))


def describe(instance: BigQueryState, project: str, sql: str) -> tuple[SchemaField, ...]:
    """Return the columns of a view's query, described without GoogleSQL's analyzer."""
    return query(instance, AnalysisRequest(sql=sql, project=project))[1]


def _columns(instance: BigQueryState, sql: str) -> tuple[SchemaField, ...]:
    """Return the columns of a DuckDB query's result, as DuckDB describes them."""
    import duckdb

    with instance.warehouse.session() as cursor:
        try:
            described = cursor.execute(f"DESCRIBE {sql}").fetchall()
        except duckdb.Error as error:
            raise invalid_query(str(error).splitlines()[0]) from error
    fields = tuple(_field(str(name), str(kind)) for name, kind, *_ in described)
    check_names(fields)
    return fields


def _field(name: str, kind: str) -> SchemaField:
    """Return a BigQuery column of this name, for a DuckDB type."""
    if kind.endswith("[]"):
        element = _field(name, kind.removesuffix("[]"))
        return SchemaField(name=name, type=element.type, mode="REPEATED", fields=element.fields)
    if kind.startswith("STRUCT("):
        from sqlglot import exp

        parsed: Any = exp.DataType.build(kind, dialect="duckdb")
        return SchemaField(
            name=name,
            type="RECORD",
            fields=tuple(_field(d.name, d.args["kind"].sql("duckdb")) for d in parsed.expressions),
        )
    if kind.startswith("DECIMAL"):
        return SchemaField(name=name, type="NUMERIC")
    if kind not in _NAMES:
        raise not_run(f"a result of DuckDB's type {kind}")
    return SchemaField(name=name, type=_NAMES[kind])
