"""Query jobs: from a statement to rows in a table, or to a table that is changed."""

from __future__ import annotations

import contextlib
import hashlib
import uuid
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from ..data import encode
from ..data.types import SchemaField
from ..errors import BigQueryError, not_run
from ..request_values import whole_number_or_none
from ..sql.analysis import analyzer, partition_filters, sources
from ..sql.analysis.analyzer import AnalysisRequest, AnalyzedStatement
from ..sql.analysis.parameters import read
from ..sql.analysis.resolved_tree import ResolvedNode
from ..sql.execution import reference_evaluation, translation
from ..sql.language import unchecked_queries
from ..sql.scripts import control_flow, parsing, structure
from ..sql.scripts import script as scripting
from ..sql.statements import ddl, dml
from ..state.catalog import TableRef
from ..state.instance import BigQueryState
from ..state.job_work import RunningJob
from ..state.jobs import Job, Outcome
from ..tables import datasets, row_writes, tables

_LIFETIME = timedelta(hours=24)  # of a result [docs: bigquery/docs/cached-results]
_RESULT = "anon"  # begins the name of a table that holds a result
_MOST_RESULTS = 300  # that are kept


class QueryJobSpec(msgspec.Struct, frozen=True, kw_only=True):
    """The task of a query job.

    `question` is without its parameters, which are read when the job runs.
    """

    question: AnalysisRequest
    configuration: Mapping[str, Any]  # the job's `query`
    most_billed: int | None = None


def configuration_of(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return a QueryRequest of jobs.query as the configuration of a query job."""
    keys = (
        "query", "defaultDataset", "useQueryCache", "useLegacySql", "parameterMode",
        "queryParameters", "maximumBytesBilled", "connectionProperties", "createSession",
    )  # fmt: skip
    outer = ("labels", "dryRun", "jobTimeoutMs")
    return {
        "query": {k: content[k] for k in keys if k in content},
        **{k: content[k] for k in outer if k in content},
    }


def spec_of(job: Job, location: str | None = None) -> QueryJobSpec:
    """Return a query job's specification from its configuration, completed with defaults.

    `location` is where the request says that the data are. Raises BigQueryError `invalid` for a
    wrong configuration.
    """
    configuration = {"priority": "INTERACTIVE", **job.configuration["query"]}
    job.configuration = {**job.configuration, "query": configuration}
    if not str(configuration.get("query") or "").strip():
        raise BigQueryError("required", "Required parameter is missing: query", "query")
    if configuration.get("useLegacySql", True):
        raise not_run("legacy SQL (useLegacySql must be false)")
    if configuration.get("tableDefinitions"):
        raise not_run("external tables")
    if configuration.get("queryParameters"):
        configuration = {
            **configuration,
            "queryParameters": _parameters_as_text(configuration["queryParameters"]),
        }
        job.configuration = {**job.configuration, "query": configuration}
    default = configuration.get("defaultDataset") or {}
    dataset = (
        (default.get("projectId") or job.project, default["datasetId"])
        if default.get("datasetId")
        else None
    )
    question = AnalysisRequest(
        sql=str(configuration["query"]),
        project=job.project,
        dataset=dataset,
        location=location,
        temporary=_session_dataset(configuration),
        renames=not configuration.get("destinationTable"),
    )
    if question.temporary is not None:
        job.session = question.temporary.removeprefix(_SESSION)
    if configuration.get("destinationTable"):
        row_writes.target_of(configuration, "WRITE_EMPTY")
    else:
        job.configuration = {
            **job.configuration,
            "query": {**configuration, **_anonymous_destination(job.project)},
        }
    most = whole_number_or_none(configuration.get("maximumBytesBilled"), "maximumBytesBilled")
    return QueryJobSpec(
        question=question, configuration=job.configuration["query"], most_billed=most
    )


_SESSION = "_session"


def _session_dataset(configuration: Mapping[str, Any]) -> str | None:
    """Return the name of the hidden dataset for a session's temporary tables, or None.

    The session is one that the job creates, or one that its configuration names.
    """
    properties = {
        entry.get("key"): entry.get("value")
        for entry in configuration.get("connectionProperties") or ()
    }
    if configuration.get("createSession"):
        return f"{_SESSION}{uuid.uuid4().hex}"
    return f"{_SESSION}{properties['session_id']}" if properties.get("session_id") else None


def _parameters_as_text(value: Any) -> Any:
    """Return queryParameters with their float values as text, as the API returns them."""
    if isinstance(value, dict):
        texts = (
            {"value": encode.float_text(value["value"])}
            if isinstance(value.get("value"), float)
            else {}
        )
        return {key: _parameters_as_text(member) for key, member in value.items()} | texts
    return [_parameters_as_text(member) for member in value] if isinstance(value, list) else value


def _anonymous_destination(project: str) -> dict[str, Any]:
    """Return the TableReference (JSON) of a new hidden table for a query without destination."""
    dataset = "_" + hashlib.blake2b(project.encode(), digest_size=20).hexdigest()
    table = {"projectId": project, "datasetId": dataset, "tableId": f"{_RESULT}{uuid.uuid4().hex}"}
    return {
        "destinationTable": table,
        "createDisposition": "CREATE_IF_NEEDED",
        "writeDisposition": "WRITE_TRUNCATE",
    }


def dry_run(instance: BigQueryState, spec: QueryJobSpec) -> Outcome:
    """Analyze a query without running it; return its columns and the bytes it would read."""
    if not analyzer.available():
        return Outcome(fields=unchecked_queries.query(instance, _question(spec))[1], kind="SELECT")
    question = _question(spec)
    nodes = parsing.statements(question.sql) if parsing.is_script(question.sql) else []
    if nodes and not _is_query(nodes):
        structure.check(question, nodes)
        return Outcome(
            kind="SCRIPT"
        )  # of what runs one after the other nothing is known before it ran
    meaning = analyzer.analyze(
        instance, with_functions(instance, question, nodes) if nodes else question
    )
    fields: Sequence[SchemaField] = ()
    if meaning.statement.kind == "query_stmt":
        fields = [field for _, field in meaning.columns]
    return Outcome(
        fields=tuple(fields),
        processed=bytes_processed(instance, meaning),
        kind=statement_type(meaning),
        statistics=_referenced_tables(meaning),
    )


def _question(spec: QueryJobSpec) -> AnalysisRequest:
    """Return a query job's statement with its parameters, ready for analysis.

    Raises BigQueryError `invalid` for a wrong parameter.
    """
    parameters = read(
        spec.configuration.get("parameterMode"), spec.configuration.get("queryParameters") or ()
    )
    return msgspec.structs.replace(spec.question, parameters=parameters)


def _execute_unchecked(instance: BigQueryState, spec: QueryJobSpec, running: RunningJob) -> Outcome:
    """Run a query where GoogleSQL's analyzer is not installed; return its outcome.

    `running` lets a cancelled job stop DuckDB.
    """
    sql, fields = unchecked_queries.query(instance, _question(spec))

    def fill(cursor: Any, name: str, columns: Sequence[SchemaField]) -> None:
        running.watch(cursor)
        with translation.bigquery_errors(running):
            row_writes.fill_from(sql)(cursor, name, columns)

    target = _target(instance, spec)
    return Outcome(
        fields=fields,
        table=target.ref,
        rows=row_writes.write(instance, target, fields, fill),
        kind="SELECT",
    )


def _target(instance: BigQueryState, spec: QueryJobSpec) -> row_writes.WriteTarget:
    """Return the table to which a query's rows are written; create its dataset if it is hidden."""
    target = row_writes.target_of(spec.configuration, "WRITE_EMPTY")
    if target.ref.dataset.startswith("_"):
        ensure_hidden(instance, target.ref.project, target.ref.dataset)
        target = msgspec.structs.replace(target, expires=instance.now() + _LIFETIME)
        _forget_results(instance)
    row_writes.check(instance, target)
    return target


def _forget_results(instance: BigQueryState) -> None:
    """Drop the oldest hidden result tables if there are too many."""
    results = [
        table
        for table in instance.catalog.every_table()
        if table.ref.dataset.startswith("_") and table.ref.table.startswith(_RESULT)
    ]
    for table in results[:-_MOST_RESULTS]:
        with contextlib.suppress(BigQueryError):  # another query was faster
            tables.drop(instance, table.ref)


def run(instance: BigQueryState, spec: QueryJobSpec, running: RunningJob) -> Outcome:
    """Run a query job, one statement or a script, and return its outcome."""
    if not analyzer.available():
        return _execute_unchecked(instance, spec, running)
    if spec.question.temporary is not None:
        _open_session(instance, spec)
    question = _question(spec)
    if not parsing.is_script(question.sql):
        return _run_statement(instance, spec, question, running)
    nodes = parsing.statements(question.sql)
    if _is_query(nodes):
        return _run_statement(instance, spec, with_functions(instance, question, nodes), running)
    return _run_script(instance, spec, nodes, running)


def _is_query(nodes: Sequence[ResolvedNode]) -> bool:
    """Return whether parsed SQL is one query in BigQuery's view, and not a script.

    One statement is a query even with CREATE TEMP FUNCTION before it [docs: multi-statement-
    queries].
    """
    if len(nodes) == 1:
        return nodes[0].kind not in control_flow.OF_SCRIPTS and not parsing.makes_function(nodes[0])
    return all(map(parsing.makes_function, nodes[:-1])) and nodes[-1].kind == "query_statement"


def with_functions(
    instance: BigQueryState, question: AnalysisRequest, nodes: Sequence[ResolvedNode]
) -> AnalysisRequest:
    """Return the last of parsed statements, with the temporary functions defined before it."""
    sql = question.sql
    for node in nodes[:-1]:
        part = msgspec.structs.replace(
            question,
            sql=parsing.text_of(sql, node),
            parameters=question.parameters if question.named else (),
        )
        name, function = scripting.function_definition(instance, part)
        question = msgspec.structs.replace(
            question, functions={**question.functions, name: function}
        )
    return msgspec.structs.replace(question, sql=parsing.text_of(sql, nodes[-1]))


def _run_statement(
    instance: BigQueryState, spec: QueryJobSpec, question: AnalysisRequest, running: RunningJob
) -> Outcome:
    """Run one statement of a query job, unless it reads more than maximumBytesBilled.

    It returns the outcome, with the statement's statistics.
    """
    meaning = analyzer.analyze(instance, question)
    partition_filters.check_filters(meaning)
    size = bytes_processed(instance, meaning)
    if spec.most_billed is not None and size > spec.most_billed:
        words = (
            f"Query exceeded limit for bytes billed: {spec.most_billed}. {size} or higher required."
        )
        raise BigQueryError("bytesBilledLimitExceeded", words)
    outcome = _execute(instance, spec, meaning, running)
    return msgspec.structs.replace(
        outcome,
        processed=size,
        kind=statement_type(meaning),
        statistics={**_referenced_tables(meaning), **outcome.statistics},
    )


def _open_session(instance: BigQueryState, spec: QueryJobSpec) -> None:
    """Create the hidden dataset of the job's session, or check that it exists.

    Raises BigQueryError `notFound` if the job names a session that does not exist.
    """
    project, dataset = spec.question.project, str(spec.question.temporary)
    if spec.configuration.get("createSession"):
        ensure_hidden(instance, project, dataset)
        return
    try:
        instance.catalog.dataset(project, dataset)
    except BigQueryError as error:
        raise BigQueryError(
            "notFound", f"Not found: Session {dataset.removeprefix(_SESSION)}"
        ) from error


def _run_script(
    instance: BigQueryState, spec: QueryJobSpec, nodes: Sequence[ResolvedNode], running: RunningJob
) -> Outcome:
    """Run a script (several statements), and return the outcome of the last one.

    Source: [docs: bigquery/docs/multi-statement-queries].
    """
    question = _question(spec)
    structure.check(question, nodes)
    structure.check_parameters(question, nodes)
    session = spec.question.temporary
    temporary = session or f"_script{uuid.uuid4().hex}"
    ensure_hidden(instance, spec.question.project, temporary)

    def run_part(question: AnalysisRequest) -> Outcome:
        configuration = {**spec.configuration, **_anonymous_destination(question.project)}
        return _run_statement(
            instance, msgspec.structs.replace(spec, configuration=configuration), question, running
        )

    script = scripting.Script(
        instance, msgspec.structs.replace(question, temporary=temporary), nodes, running, run_part
    )
    try:
        control_flow.execute(script, nodes)
    finally:
        if session is None:
            datasets.remove(instance, spec.question.project, temporary, contents=True)
    children = script.children
    last = children[-1][1] if children else Outcome()
    size = sum(outcome.processed for _, outcome in children)
    return msgspec.structs.replace(
        last, kind="SCRIPT", processed=size, children=tuple(children), affected=None
    )


def _execute(
    instance: BigQueryState, spec: QueryJobSpec, meaning: AnalyzedStatement, running: RunningJob
) -> Outcome:
    """Run an analyzed statement (a query, DML or DDL), and return its outcome.

    `running` lets a cancelled job stop DuckDB.
    """
    kind = meaning.statement.kind
    if kind == "query_stmt":
        return _select(instance, spec, meaning, running)
    if kind in dml.KINDS:
        return dml.run(instance, meaning, running)
    if kind in ddl.KINDS:
        return ddl.run(instance, meaning, running)
    raise not_run(f"the statement {kind.removesuffix('_stmt').replace('_', ' ').upper()}")


def _select(
    instance: BigQueryState, spec: QueryJobSpec, meaning: AnalyzedStatement, running: RunningJob
) -> Outcome:
    """Run an analyzed query, write its rows to the destination table, and return the outcome."""
    fields = tuple(field for _, field in meaning.columns)
    target = _target(instance, spec)
    rows = reference_evaluation.select(
        instance,
        meaning,
        fields,
        running,
        lambda fill: row_writes.write(instance, target, fields, fill),
    )
    return Outcome(fields=fields, table=target.ref, rows=rows)


def ensure_hidden(instance: BigQueryState, project: str, dataset: str) -> None:
    """Create a hidden dataset for results or temporary tables, if it does not exist."""
    with instance.catalog.lock:
        try:
            instance.catalog.dataset(project, dataset)
        except BigQueryError:
            datasets.create(instance, project, dataset, {})


def bytes_processed(instance: BigQueryState, meaning: AnalyzedStatement) -> int:
    """Return the logical bytes of the columns that a statement reads."""
    if not meaning.sources:
        return 0
    read_columns: dict[TableRef, set[str]] = {}
    for node in meaning.statement.walk():
        if node.kind == "table_scan":
            source = meaning.sources[node.table.serialization_id]
            for table in source.parts or (source.table,):
                if table is not None and table.stored:
                    read_columns.setdefault(table.ref, set()).update(
                        column.name.lower() for column in node.column_list
                    )
    total = 0
    for ref, names in read_columns.items():
        _, sizes = tables.sizes_of(instance, instance.catalog.table(ref))
        total += sum(size for name, size in sizes.items() if name.lower() in names)
    return total


def statement_type(meaning: AnalyzedStatement) -> str:
    """Return the statementType of a query job's statistics, such as SELECT."""
    kind = meaning.statement.kind.removesuffix("_stmt")
    other_names = {
        "query": "SELECT",
        "truncate": "TRUNCATE_TABLE",
        "drop": f"DROP_{meaning.statement.object_type}" if kind == "drop" else "",
    }
    return other_names.get(kind) or kind.upper()


def _referenced_tables(meaning: AnalyzedStatement) -> dict[str, Any]:
    """Return the referencedTables of a query job's statistics, as REST members."""
    listed = sources.referenced_tables(meaning.sources)
    return {"referencedTables": listed} if listed else {}
