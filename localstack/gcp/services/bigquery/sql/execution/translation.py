"""Translate analyzed statements to SQL of DuckDB over the warehouse."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ...data.types import SchemaField, quoted
from ...errors import BigQueryError, invalid_query, not_run
from ...state.instance import BigQueryState
from ...state.job_work import RunningJob
from ...tables import tables
from ..analysis import analyzer, information_schema
from ..analysis.analyzer import AnalyzedStatement
from ..analysis.resolved_tree import ResolvedNode
from ..analysis.sources import TableSource
from ..language import literals
from ..language.expressions import EXPRESSIONS
from ..language.scans import SCANS
from ..language.translator import SqlTranslator

_NOT_RUN = "NOT RUN: "


def translator(instance: BigQueryState, meaning: AnalyzedStatement) -> SqlTranslator:
    """Return a translator of an analyzed statement's nodes into DuckDB SQL."""
    relations = [
        (_relation(instance, source), [field.name for field in (*source.fields, *source.pseudo)])
        for source in meaning.sources
    ]
    question = meaning.question
    variables = (*question.variables, *question.system)
    return SqlTranslator(
        relations,
        question.parameters,
        instance.clock.now(),
        variables=variables,
        scans=SCANS,
        expressions=EXPRESSIONS,
    )


def query(instance: BigQueryState, meaning: AnalyzedStatement) -> str:
    """Return the DuckDB SELECT for an analyzed query, with the query's output names.

    Raises BigQueryError `notImplemented`, which names what DuckDB computes differently.
    """
    columns = ", ".join(
        f"{_without_null_elements(number, field)} AS {quoted(field.name)}"
        for number, field in meaning.columns
    )
    return (
        f"SELECT {columns} FROM ({translator(instance, meaning).scan(meaning.statement.query)}) AS "
        "result"
    )


def _without_null_elements(number: int, field: SchemaField) -> str:
    """Return SQL of output column `number`, which fails if one of its arrays contains NULL."""
    name = f"c{number}"
    if not field.repeated:
        return name
    words = literals.text(f"Array cannot have a null element; error in writing field {field.name}")
    return (
        f"CASE WHEN len(list_filter({name}, lambda v: v IS NULL)) > 0 THEN error({words}) ELSE "
        f"{name} END"
    )


def condition(instance: BigQueryState, meaning: AnalyzedStatement) -> str:
    """Return the WHERE condition of an analyzed `SELECT * FROM t WHERE ...` as DuckDB SQL.

    It names the table's columns as they are.
    """
    t = translator(instance, meaning)
    filters = [node for node in meaning.statement.walk() if node.kind == "filter_scan"]
    if len(filters) != 1 or any(node.kind == "subquery_expr" for node in meaning.statement.walk()):
        raise not_run("a row restriction that is not one condition")
    scan = filters[0].input_scan
    names = dict(zip((c.column_id for c in scan.column_list), scan.column_index_list, strict=True))
    columns = meaning.sources[0].fields
    return _over_named_columns(
        t,
        filters[0].filter_expr,
        {number: quoted(columns[index].name) for number, index in names.items()},
    )


def _over_named_columns(t: SqlTranslator, node: ResolvedNode, names: dict[int, str]) -> str:
    """Return DuckDB SQL of an expression over named columns; `names` are by column number.

    The analyzer refers to columns by number, so it is a scalar subquery that renames them.
    """
    numbered = ", ".join(f"{name} AS c{number}" for number, name in names.items())
    return f"(SELECT {t.expression(node)} FROM (SELECT {numbered or '1 AS none_'}))"


def _relation(instance: BigQueryState, source: TableSource) -> str:
    """Return the DuckDB SQL by which FROM reads a table, view or wildcard, `source`."""
    if source.table is None:
        return _information_schema_rows(instance, source)
    if source.parts:
        return f"({wildcard(source)}) AS wildcard"
    if source.table.kind == "VIEW":
        question = analyzer.AnalysisRequest(
            sql=source.table.written["view"]["query"], project=source.ref.project
        )
        sql = query(instance, analyzer.analyze(instance, question))
        return f"({sql}) AS {quoted(source.ref.table)}"
    return tables.relation(source.ref)


def wildcard(source: TableSource) -> str:
    """Return a DuckDB query of all rows of the tables that a wildcard such as `events_*` names.

    A column that a table lacks is NULL, or empty, in its rows.
    """
    selects = []
    for part in source.parts:
        names = {field.name.lower(): field.name for field in part.fields}
        columns = [
            f"{_column_of_part(names.get(field.name.lower()), field)} AS {quoted(field.name)}"
            for field in source.fields
        ]
        suffix = [
            f"{literals.text(source.suffix(part))} AS {quoted(field.name)}"
            for field in source.pseudo
        ]
        selects.append(f"SELECT {', '.join([*columns, *suffix])} FROM {tables.relation(part.ref)}")
    return " UNION ALL ".join(selects)


def _column_of_part(name: str | None, field: SchemaField) -> str:
    """Return the SQL of a wildcard's column in one table: its name there, or NULL or [].

    `name` is None if the table has no such column.
    """
    return quoted(name) if name else literals.constant([] if field.repeated else None, field)


def _information_schema_rows(instance: BigQueryState, source: TableSource) -> str:
    """Return the rows of an INFORMATION_SCHEMA view as DuckDB SQL: a list of VALUES."""
    rows = information_schema.rows(instance, source.ref)
    columns = ", ".join(quoted(field.name) for field in source.fields)
    written = [
        f"({', '.join(literals.constant(row[field.name], field) for field in source.fields)})"
        for row in rows
    ]
    if not written:
        empty = ", ".join(
            f"{literals.constant(None, field)} AS {quoted(field.name)}" for field in source.fields
        )
        return f"(SELECT {empty} LIMIT 0) AS information"
    return f"(VALUES {', '.join(written)}) AS information({columns})"


@contextlib.contextmanager
def bigquery_errors(running: RunningJob) -> Iterator[None]:
    """Translate DuckDB's errors in the `with` block into BigQuery's; `running` is the job's work.

    If the job was cancelled, its own error is raised instead.
    """
    import duckdb

    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.InterruptException:
        running.check()
        raise
    except (
        duckdb.BinderException,
        duckdb.ParserException,
        duckdb.CatalogException,
        duckdb.NotImplementedException,
    ) as error:
        raise not_run(f"this statement in DuckDB ({str(error).splitlines()[0]})") from error
    except duckdb.Error as error:
        running.check()
        raise _bigquery_error(str(error)) from error


def _bigquery_error(words: str) -> BigQueryError:
    """Return the BigQuery error for the text of an error message of DuckDB."""
    first = words.splitlines()[0]
    if _NOT_RUN in words:
        return not_run(words.partition(_NOT_RUN)[2].splitlines()[0])
    if "NOT NULL constraint failed" in words:
        return invalid_query(f"Required field {first.rpartition('.')[2]} cannot be null")
    if "CHECK constraint failed" in words:
        return invalid_query(
            f"A value does not fit its column's type parameters: {first.rpartition(': ')[2]}"
        )
    if "More than one row returned by a subquery" in words:
        return invalid_query("Scalar subquery produced more than one element")
    return invalid_query(first.partition(": ")[2] or first)
