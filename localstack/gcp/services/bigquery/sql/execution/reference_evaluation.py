"""A query by GoogleSQL's reference implementation: right by definition, and slow; so over small
tables only.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from ...data import arrow
from ...data.googlesql_values import proto_value, python_value, type_text
from ...data.types import Field, duckdb_type, quoted
from ...errors import BigQueryError, invalid_query, not_run
from ...state import catalog
from ...state.instance import Place
from ...state.job_work import Running
from ...tables import row_writes as writing
from ...tables import tables
from ..analysis import analyzer as analysis
from ..analysis import information_schema as information
from ..analysis.analyzer import Analysis, analyzer_error, types_of
from ..analysis.resolved_tree import statement
from ..analysis.sources import Source
from . import translation

_QUERY = re.compile(
    rb"\bAS\s+(?=\(|SELECT\b|WITH\b)", re.IGNORECASE
)  # where it begins in CREATE TABLE ... AS
_UNKNOWN = re.compile(r"Unsupported built-in function: (\w+)")
_NOT_IMPLEMENTED = "not implemented"
_CODE_SEARCH = 2  # ParseLocationRecordType: a table scan's place is its name's
MOST_ROWS = 5_000  # of all tables that the query reads: about a second


def select(
    here: Place,
    meaning: Analysis,
    fields: Sequence[Field],
    running: Running,
    write: Callable[[writing.Fill], int],
) -> int:
    """Hand a query's rows to `write`:

    DuckDB's; or, where it does not run them truly or fails, the reference implementation's.

    BigQueryError of the latter, in Google's words; DuckDB's, where the tables are too large.
    """
    try:
        sql = translation.query(here, meaning)
    except BigQueryError as error:
        if error.reason != "notImplemented":
            raise
        return write(writing.fill_rows(evaluate(here, meaning, fields, error)))

    def fill(cursor: Any, name: str, columns: Sequence[Field]) -> None:
        running.watch(cursor)
        with translation.bigquery_errors(running):
            writing.fill_from(sql)(cursor, name, columns)

    try:
        return write(fill)
    except BigQueryError as error:
        if error.reason not in ("notImplemented", "invalidQuery"):
            raise
        rows = evaluate(here, meaning, fields, error)
    return write(writing.fill_rows(rows))


def table(here: Place, meaning: Analysis, fields: Sequence[Field], running: Running) -> Any:
    """A query's rows as Arrow, as DuckDB holds them."""
    columns = ", ".join(f"{quoted(f.name)} {duckdb_type(f)}" for f in fields)
    with here.warehouse.session() as cursor:

        def write(fill: writing.Fill) -> int:
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE _answer ({columns})")
            fill(cursor, "temp.main._answer", fields)
            return 0

        select(here, meaning, fields, running, write)
        return cursor.sql("SELECT * FROM temp.main._answer").to_arrow_table()


def evaluate(here: Place, meaning: Analysis, fields: Sequence[Field], reason: BigQueryError) -> Any:
    """The query's rows by GoogleSQL's reference implementation: the fields' columns, as an Arrow
    table in the types that DuckDB is given.

    `reason`: why DuckDB does not run it; raised where the tables are too large for this.
    BigQueryError for what the query does wrong.
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
        parameter.name or _place_name(place): parameter
        for place, parameter in enumerate(parameters, 1)
    }
    types = {name: type_text(parameter.field) for name, parameter in named.items()}
    request = messages.EvaluateQueryRequest(sql=sql, options=analyzer_options(types))
    request.simple_catalog.CopyFrom(
        catalog_of(paths, meaning.functions, analysis.constants(meaning.question.variables))
    )
    _fill(here, meaning.sources, request, reason)
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


def _flattened(meaning: Analysis) -> tuple[str, dict[tuple[str, ...], Any]]:
    """The query with each table under one name and each parameter under a name of its own, and the
    tables.

    The implementation looks for rows below no inner catalog, and takes no parameters by their
    place.
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
    known: dict[tuple[str, ...], Any] = {}
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
            known[str(source.ref),] = analysis.table_of(source)
        elif node.kind == "parameter" and not node.name:
            place = node.parse_location_range
            edits[place.start, place.end] = f"@{_place_name(node.position)}"
    for (start, end), new in sorted(edits.items(), reverse=True):
        text = text[:start] + new.encode() + text[end:]
    if root.kind != "query_stmt":
        text = _QUERY.split(text[root.parse_location_range.end :], maxsplit=1)[1]
    if meaning.question.target is not None:  # the implementation coerces no result
        text = f"SELECT CAST(({text.decode()}\n) AS {meaning.question.target})".encode()
    return text.decode(), known


def _place_name(place: int) -> str:
    return f"place_{place}"


def _fill(here: Place, known: Sequence[Source], request: Any, reason: BigQueryError) -> None:
    left = MOST_ROWS
    for source in known:
        rows = rows_of(here, source, left)
        left -= len(rows)
        if left < 0 and reason.reason != "notImplemented":
            raise reason
        if left < 0:
            raise not_run(
                f"{reason.message.partition(': ')[2]}, over more than {MOST_ROWS} rows"
            ) from reason
        content = request.table_content[str(source.ref)].table_data
        content.SetInParent()  # an empty table has content, too
        for row in rows if not content.row else ():
            content.row.add().cell.extend(
                proto_value(row[field.name], field) for field in (*source.fields, *source.pseudo)
            )


def rows_of(here: Place, source: Source, most: int) -> list[dict[str, Any]]:
    """At most one row more than `most`."""
    if source.table is None:
        return information.rows(here, source.ref)
    if source.table.kind == "VIEW":
        return _view_rows(here, source.table)
    relation = f"({translation.wildcard(source)})" if source.parts else tables.relation(source.ref)
    with here.warehouse.session() as cursor:
        return _python(cursor, f"SELECT * FROM {relation} LIMIT {most + 1}")


def _python(cursor: Any, sql: str) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = cursor.sql(sql).to_arrow_table().to_pylist()
    return rows


def _view_rows(here: Place, view: catalog.Table) -> list[dict[str, Any]]:
    question = analysis.Question(sql=view.written["view"]["query"], project=view.ref.project)
    meaning = analysis.analyze(here, question)
    fields = [field for _, field in meaning.columns]
    rows: list[dict[str, Any]] = table(here, meaning, fields, Running()).to_pylist()
    return rows
