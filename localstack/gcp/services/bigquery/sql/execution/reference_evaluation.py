"""Run queries, where DuckDB does not, by GoogleSQL's reference implementation.

It is right by definition, and slow; so it runs over small tables only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ...data import arrow
from ...data.googlesql_values import proto_value, python_value, type_text
from ...data.types import SchemaField, duckdb_type, quoted
from ...errors import BigQueryError, invalid_query, not_run
from ...state import catalog
from ...state.instance import BigQueryState
from ...state.job_work import RunningJob
from ...tables import row_writes, tables
from ..analysis import analyzer, information_schema
from ..analysis.analyzer import AnalyzedStatement, analyzer_error, types_of
from ..analysis.resolved_tree import statement
from ..analysis.sources import TableSource
from . import translation

_QUERY = re.compile(
    rb"\bAS\s+(?=\(|SELECT\b|WITH\b)", re.IGNORECASE
)  # where it begins in CREATE TABLE ... AS
_UNKNOWN = re.compile(r"Unsupported built-in function: (\w+)")
_NOT_IMPLEMENTED = "not implemented"
_CODE_SEARCH = 2  # ParseLocationRecordType: a table scan's place is its name's
MOST_ROWS = 5_000  # of all tables that the query reads: about a second


def select(
    instance: BigQueryState,
    meaning: AnalyzedStatement,
    fields: Sequence[SchemaField],
    running: RunningJob,
    write: Callable[[row_writes.Fill], int],
) -> int:
    """Run a query, and pass a function that inserts its rows to `write`; return `write`'s result.

    DuckDB computes the rows; where it cannot do so exactly, or fails, Google's reference
    implementation does.

    Raises:
        BigQueryError: What the reference implementation refuses, in Google's words; DuckDB's error
            where the tables are too large for it.
    """
    try:
        sql = translation.query(instance, meaning)
    except BigQueryError as error:
        if error.reason != "notImplemented":
            raise
        return write(row_writes.fill_rows(evaluate(instance, meaning, fields, error)))

    def fill(cursor: Any, name: str, columns: Sequence[SchemaField]) -> None:
        running.watch(cursor)
        with translation.bigquery_errors(running):
            row_writes.fill_from(sql)(cursor, name, columns)

    try:
        return write(fill)
    except BigQueryError as error:
        if error.reason not in ("notImplemented", "invalidQuery"):
            raise
        rows = evaluate(instance, meaning, fields, error)
    return write(row_writes.fill_rows(rows))


def table(
    instance: BigQueryState,
    meaning: AnalyzedStatement,
    fields: Sequence[SchemaField],
    running: RunningJob,
) -> Any:
    """Run an analyzed query, and return its rows as an Arrow table with DuckDB's types."""
    columns = ", ".join(f"{quoted(f.name)} {duckdb_type(f)}" for f in fields)
    with instance.warehouse.session() as cursor:

        def write(fill: row_writes.Fill) -> int:
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE _answer ({columns})")
            fill(cursor, "temp.main._answer", fields)
            return 0

        select(instance, meaning, fields, running, write)
        return cursor.sql("SELECT * FROM temp.main._answer").to_arrow_table()


def evaluate(
    instance: BigQueryState,
    meaning: AnalyzedStatement,
    fields: Sequence[SchemaField],
    reason: BigQueryError,
) -> Any:
    """Evaluate a query by Google's reference implementation; return the rows as an Arrow table.

    Args:
        instance: The stack's BigQuery.
        meaning: The query.
        fields: The columns of the query's result.
        reason: Why DuckDB does not run it; raised where the tables are too large for this.

    Raises:
        BigQueryError: The query is wrong, or fails on these rows.
    """
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    from .....googlesql.analyzer import SqlRejected, analyzer_options, catalog_of
    from .....googlesql.service import service

    if any(function.tables for function in meaning.functions.values()) or any(
        n.kind == "system_variable" for n in meaning.statement.walk()
    ):
        raise reason  # the implementation takes neither here
    parameters = meaning.question.parameters
    sql, paths = _flattened(meaning)
    named = {
        parameter.name or _positional_name(place): parameter
        for place, parameter in enumerate(parameters, 1)
    }
    types = {name: type_text(parameter.field) for name, parameter in named.items()}
    request = messages.EvaluateQueryRequest(sql=sql, options=analyzer_options(types))
    request.simple_catalog.CopyFrom(
        catalog_of(paths, meaning.functions, analyzer.constants(meaning.question.variables))
    )
    _add_rows(instance, meaning.sources, request, reason)
    for name, parameter in named.items():
        request.params.add(name=name, value=proto_value(parameter.value, parameter.field))
    try:
        answer = messages.EvaluateQueryResponse.FromString(service().call("EvaluateQuery", request))
    except SqlRejected as error:
        if match := _UNKNOWN.match(error.message):
            raise not_run(f"the function {match[1].upper()}") from error
        if (
            _NOT_IMPLEMENTED in error.message and reason.reason == "notImplemented"
        ):  # its words name its own parts, not the statement's
            raise reason from error
        raise analyzer_error(error.message) from error
    rows = answer.content.table_data.row
    columns = {
        field.name: [python_value(row.cell[i], field) for row in rows]
        for i, field in enumerate(fields)
    }
    for field in fields:
        if field.repeated and any(
            element is None for value in columns[field.name] for element in value or ()
        ):
            raise invalid_query(
                f"Array cannot have a null element; error in writing field {field.name}"
            )
    return arrow.table(columns, fields)


def _flattened(meaning: AnalyzedStatement) -> tuple[str, dict[tuple[str, ...], Any]]:
    """Return a query's SQL with one-part table names, and its tables by these names.

    Google's reference implementation needs such names, and named parameters, which positional ones
    become.
    """
    from zetasql.wasi._pb2.zetasql.local_service import local_service_pb2 as messages

    from .....googlesql.analyzer import analyzer_options
    from .....googlesql.service import service

    request: Any = messages.AnalyzeRequest(
        sql_statement=meaning.question.sql,
        options=analyzer_options(types_of(meaning.question.parameters)),
    )
    request.options.parse_location_record_type = _CODE_SEARCH
    text = meaning.question.sql.encode()
    edits: dict[tuple[int, int], str] = {}
    tables_by_path: dict[tuple[str, ...], Any] = {}
    root = statement(service().call_with_catalog("Analyze", request, meaning.catalog))
    for node in root.walk():
        if node.kind == "table_scan":
            place, source = node.parse_location_range, meaning.sources[node.table.serialization_id]
            alias = (
                ""
                if node.alias
                else f" AS `{text[place.start : place.end].decode().strip('`').rpartition('.')[2]}`"
            )
            edits[place.start, place.end] = f"`{source.ref}`{alias}"
            tables_by_path[str(source.ref),] = analyzer.table_of(source)
        elif node.kind == "parameter" and not node.name:
            place = node.parse_location_range
            edits[place.start, place.end] = f"@{_positional_name(node.position)}"
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new.encode() + text[end:]
    if root.kind != "query_stmt":
        text = _QUERY.split(text[root.parse_location_range.end :], maxsplit=1)[1]
    if meaning.question.target is not None:  # the implementation coerces no result
        text = f"SELECT CAST(({text.decode()}\n) AS {meaning.question.target})".encode()
    return text.decode(), tables_by_path


def _positional_name(place: int) -> str:
    """Return the name that a positional query parameter gets, by its position."""
    return f"place_{place}"


def _add_rows(
    instance: BigQueryState, sources: Sequence[TableSource], request: Any, reason: BigQueryError
) -> None:
    """Copy the rows of the tables that a query reads into an evaluation request.

    Raises BigQueryError, `reason` or `notImplemented`, if there are too many.
    """
    rows_left = MOST_ROWS
    for source in sources:
        rows = rows_of(instance, source, rows_left)
        rows_left -= len(rows)
        if rows_left < 0 and reason.reason != "notImplemented":
            raise reason
        if rows_left < 0:
            raise not_run(
                f"{reason.message.partition(': ')[2]}, over more than {MOST_ROWS} rows"
            ) from reason
        content = request.table_content[str(source.ref)].table_data
        content.SetInParent()  # an empty table has content, too
        for row in rows if not content.row else ():
            content.row.add().cell.extend(
                proto_value(row[field.name], field) for field in (*source.fields, *source.pseudo)
            )


def rows_of(instance: BigQueryState, source: TableSource, most: int) -> list[dict[str, Any]]:
    """Return the rows of a table or view as dictionaries; of a table at most `most` + 1.

    More than `most` rows tell the caller that there are too many.
    """
    if source.table is None:
        return information_schema.rows(instance, source.ref)
    if source.table.kind == "VIEW":
        return _view_rows(instance, source.table)
    relation = f"({translation.wildcard(source)})" if source.parts else tables.relation(source.ref)
    with instance.warehouse.session() as cursor:
        return _python_rows(cursor, f"SELECT * FROM {relation} LIMIT {most + 1}")


def _python_rows(cursor: Any, sql: str) -> list[dict[str, Any]]:
    """Run a DuckDB query, and return its rows as dictionaries."""
    rows: list[dict[str, Any]] = cursor.sql(sql).to_arrow_table().to_pylist()
    return rows


def _view_rows(instance: BigQueryState, view: catalog.Table) -> list[dict[str, Any]]:
    """Run a view's query, and return its rows as dictionaries."""
    question = analyzer.AnalysisRequest(sql=view.written["view"]["query"], project=view.ref.project)
    meaning = analyzer.analyze(instance, question)
    fields = [field for _, field in meaning.columns]
    rows: list[dict[str, Any]] = table(instance, meaning, fields, RunningJob()).to_pylist()
    return rows
