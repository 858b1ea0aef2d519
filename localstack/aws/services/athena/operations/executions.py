"""Query executions: started, described, stopped, listed, and their results read."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from ....core import objects, paging
from ....core.registry import Context, handles
from ..ddl import statements as ddl
from ..errors import refusal
from ..queries import outcome, results
from ..queries import prepared_statements as prepared
from ..queries.execution import FINAL, QUEUED, Execution, Executions, begin, cancel
from ..queries.running_query import Running
from ..sql import checks as check
from ..sql import parameters, statements
from ..sql import vocabulary as allowed
from ..sql.errors import Malformed
from ..tables.catalog import CATALOG
from . import workgroups

_ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}


@handles("athena", "StartQueryExecution")
def start_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer StartQueryExecution; a repeated ClientRequestToken gives the same execution."""
    executions = ctx.store(Executions)
    token = params.get("ClientRequestToken")
    with executions.lock:
        if token and token in executions.by_token:
            old = executions.by_id[executions.by_token[token]]
            if old.query != params["QueryString"]:
                raise refusal("Idempotent parameters do not match")
            return {"QueryExecutionId": old.request.id}
        execution = _execution(ctx, params)
        if not executions.by_id:
            ctx.on_stop(executions.stop)
        executions.by_id[execution.request.id] = execution
        if token:
            executions.by_token[token] = execution.request.id
    context = ctx.without_request()
    ctx.clock.call_after(QUEUED, lambda: begin(context, execution))
    return {"QueryExecutionId": execution.request.id}


def _execution(ctx: Context, params: dict[str, Any]) -> Execution:
    """Validate a StartQueryExecution request, and return a new query execution."""
    text = params["QueryString"]
    if len(text.encode()) > allowed.LONGEST_QUERY:
        raise refusal(f"The query is longer than {allowed.LONGEST_QUERY} bytes.")
    workgroup = params.get("WorkGroup", "primary")
    settings = _settings(ctx, workgroup)
    output, enforced = _output(params, settings)
    try:
        statement = statements.read(text)
        values = tuple(
            parameters.as_sql(value) for value in params.get("ExecutionParameters") or ()
        )
        if isinstance(statement, statements.Execute):
            statement, values = prepared.resolve(ctx, workgroup, statement, values)
        _parse(statement)
    except Malformed as error:
        raise refusal(str(error), "MALFORMED_QUERY") from error
    context = params.get("QueryExecutionContext") or {}
    id_ = str(uuid.uuid4())
    request = outcome.QueryRequest(
        id=id_,
        statement=statement,
        workgroup=workgroup,
        catalog=context.get("Catalog") or CATALOG,
        database=(context.get("Database") or "default").strip("`"),
        parameters=values,
        output=output,
        enforced=enforced,
    )
    configuration = {
        **settings.get("ResultConfiguration", {}),
        **(params.get("ResultConfiguration") or {}),
    }
    if output:
        configuration["OutputLocation"] = outcome.location(statement, output, id_)
    return Execution(
        request=request,
        query=text,
        context=context,
        configuration=configuration,
        managed=None if output else settings[workgroups.MANAGED],
        workgroup=workgroup,
        parameters=list(params.get("ExecutionParameters") or ()),
        submitted=ctx.clock.now(),
        token=params.get("ClientRequestToken"),
        reuse=((params.get("ResultReuseConfiguration") or {}).get("ResultReuseByAgeConfiguration"))
        or {"Enabled": False},
        running=Running(memory=ctx.query_memory, folder=ctx.home / "athena"),
    )


def _parse(statement: statements.Statement) -> None:
    """Raise an error at once for SQL that does not parse; other errors come when it runs."""
    if isinstance(statement, statements.Prepare):
        statement = statements.preparable(statement.query)
    if isinstance(statement, statements.Ddl):
        ddl.check(statement.text)
        return
    query = getattr(statement, "query", None)
    if query is not None:
        check.syntax(query)


def _settings(ctx: Context, workgroup: str) -> dict[str, Any]:
    """Return the configuration of a workgroup; raise an error if it is disabled."""
    group = workgroups.find(ctx, workgroup)
    if group.state == "DISABLED":
        raise refusal(f"WorkGroup {workgroup} is disabled.")
    configuration: dict[str, Any] = group.configuration
    return configuration


def _output(params: dict[str, Any], settings: dict[str, Any]) -> tuple[str, bool]:
    """Return the S3 folder of a query's results, and whether the workgroup enforces it.

    `settings` is the workgroup's configuration. "": the results are managed by Athena.
    """
    of_group = settings.get("ResultConfiguration", {}).get("OutputLocation")
    enforced = bool(settings.get("EnforceWorkGroupConfiguration")) and of_group is not None
    of_call = (params.get("ResultConfiguration") or {}).get("OutputLocation")
    if workgroups.is_managed(settings):
        if of_call:
            raise refusal(
                "OutputLocation cannot be given in a workgroup with managed query results"
            )
        return "", True
    chosen = of_group if enforced else of_call or of_group
    if not chosen:
        raise refusal(
            "No output location provided. An output location is required either through the "
            "Workgroup result configuration setting "
            "or as an API input."
        )
    try:
        objects.split(chosen)
    except ValueError as error:
        raise refusal(f"outputLocation is not a valid S3 path: {chosen}") from error
    return chosen.rstrip("/"), enforced


def find(ctx: Context, id_: str) -> Execution:
    """Return a query execution by its id.

    Raises:
        AwsError: There is no such query execution.
    """
    execution = ctx.store(Executions).by_id.get(id_)
    if execution is None:
        raise refusal(f"QueryExecution {id_} was not found")
    return execution


@handles("athena", "GetQueryExecution")
def get_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call GetQueryExecution: return a query execution."""
    return {"QueryExecution": _description(find(ctx, params["QueryExecutionId"]))}


@handles("athena", "BatchGetQueryExecution")
def batch_get_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call BatchGetQueryExecution: describe several query executions."""
    by_id = ctx.store(Executions).by_id
    ids = params["QueryExecutionIds"]
    return {
        "QueryExecutions": [_description(by_id[id_]) for id_ in ids if id_ in by_id],
        "UnprocessedQueryExecutionIds": [
            {
                "QueryExecutionId": id_,
                "ErrorCode": "INVALID_INPUT",
                "ErrorMessage": f"QueryExecution {id_} was not found",
            }
            for id_ in ids
            if id_ not in by_id
        ],
    }


def _description(execution: Execution) -> dict[str, Any]:
    """Return a query execution in the form of GetQueryExecution's response."""
    statement_type, substatement = outcome.statement_types(execution.request.statement)
    status: dict[str, Any] = {"State": execution.state, "SubmissionDateTime": execution.submitted}
    if execution.completed is not None:
        status["CompletionDateTime"] = execution.completed
    if execution.reason is not None:
        status["StateChangeReason"] = execution.reason
        if execution.state == "FAILED":
            status["AthenaError"] = {
                "ErrorCategory": execution.category,
                "ErrorType": execution.error_type,
                "Retryable": False,
                "ErrorMessage": execution.reason,
            }
    return {
        "QueryExecutionId": execution.request.id,
        "Query": execution.query,
        "StatementType": statement_type,
        "SubstatementType": substatement,
        "ResultConfiguration": execution.configuration,
        **({workgroups.MANAGED: execution.managed} if execution.managed else {}),
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": execution.reuse},
        "QueryExecutionContext": execution.context,
        "Status": status,
        "Statistics": _statistics(execution),
        "WorkGroup": execution.workgroup,
        "EngineVersion": _ENGINE,
        **({"ExecutionParameters": execution.parameters} if execution.parameters else {}),
    }


def _statistics(execution: Execution) -> dict[str, Any]:
    """Return a query execution's run times and scanned bytes (Statistics in the API)."""

    def millis(start: datetime | None, end: datetime | None) -> int:
        return max(0, round((end - start).total_seconds() * 1000)) if start and end else 0

    run = millis(execution.started, execution.completed)
    # nobody is served in no time
    queued = max(1, millis(execution.submitted, execution.started)) if execution.started else 0
    statistics: dict[str, Any] = {
        "EngineExecutionTimeInMillis": run,
        "DataScannedInBytes": execution.done.scanned if execution.done else 0,
        "TotalExecutionTimeInMillis": queued + run,
        "QueryQueueTimeInMillis": queued,
        "ServiceProcessingTimeInMillis": 0,
        "ResultReuseInformation": {"ReusedPreviousResult": execution.reused},
    }
    if execution.manifest:
        statistics["DataManifestLocation"] = execution.manifest
    return statistics


@handles("athena", "GetQueryRuntimeStatistics")
def get_query_runtime_statistics(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Return the timing of a query execution.

    It answers Athena's API call GetQueryRuntimeStatistics.
    """
    execution = find(ctx, params["QueryExecutionId"])
    figures = _statistics(execution)
    timeline = {key: figures[key] for key in figures if key.endswith("InMillis")}
    done = execution.done or outcome.Outcome()
    rows = {
        "InputRows": done.read_rows,
        "InputBytes": done.scanned,
        "OutputRows": len(done.rows),
        "OutputBytes": len(done.output or b""),
    }
    return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": rows}}


@handles("athena", "GetQueryResults")
def get_query_results(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call GetQueryResults: return a page of a query's result rows."""
    execution = find(ctx, params["QueryExecutionId"])
    if execution.state not in FINAL:
        raise refusal(
            f"Query has not yet finished. Current state: {execution.state}",
            "INVALID_QUERY_EXECUTION_STATE",
        )
    if execution.state != "SUCCEEDED" or execution.done is None:
        raise refusal(
            f"Query did not finish successfully. Final query state: {execution.state}",
            "INVALID_QUERY_EXECUTION_STATE",
        )
    done = execution.done
    size = params.get("MaxResults", 1000)
    if not 1 <= size <= 1000:
        raise refusal("MaxResults is more than maximum allowed length 1000.")
    start = paging.start(params, refusal("The NextToken is not valid."))
    if params.get("QueryResultType") == "DATA_MANIFEST":
        rows, more = results.page([[uri] for uri in done.manifest or ()], None, start, size)
    else:
        rows, more = results.page(done.rows, done.header, start, size)
    answer: dict[str, Any] = {
        "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": done.columns}},
        "UpdateCount": done.update_count or 0,
    }
    return {**answer, **({"NextToken": more} if more else {})}


@handles("athena", "StopQueryExecution")
def stop_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call StopQueryExecution: stop a query execution."""
    cancel(ctx, find(ctx, params["QueryExecutionId"]))
    return {}


@handles("athena", "ListQueryExecutions")
def list_query_executions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call ListQueryExecutions: list the query executions."""
    workgroup = params.get("WorkGroup", "primary")
    ids = [
        e.request.id
        for e in reversed(list(ctx.store(Executions).by_id.values()))
        if e.workgroup == workgroup
    ]
    page, more = paging.page(ids, params, 50, refusal("The NextToken is not valid."))
    return {"QueryExecutionIds": page, **more}
