"""StartQueryExecution and what follows it."""

from __future__ import annotations

import sys
import threading
import time
import traceback
import uuid
from datetime import datetime
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from ...clock import Timer
from .. import objects
from ..hive.errors import QueryFailed
from ..registry import AwsError, Context, handles
from . import ddl, outcome, prepared, results
from .language import allowed, check, statements
from .language.errors import Malformed
from .running import SECONDS, Cancelled, Running, TimedOut

QUEUED, RUNS = 0.1, 0.1  # seconds on the clock, before it runs and while it does
_PATIENCE = {"real": 0.0, "instant": 1.0, "manual": 10.0}  # real seconds for which a clock waits for a query's end
_ENDS = 5.0  # real seconds that an interrupted query may take to end; it takes milliseconds
_FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
_ENGINE = {"SelectedEngineVersion": "AUTO", "EffectiveEngineVersion": "Athena engine version 3"}


class Execution(msgspec.Struct, kw_only=True):
    asked: outcome.Asked
    query: str
    context: dict[str, Any]
    configuration: dict[str, Any]  # ResultConfiguration
    workgroup: str
    parameters: list[str]
    submitted: datetime
    token: str | None
    state: str = "QUEUED"
    reason: str | None = None
    category: int = 0
    error_type: int = 0
    started: datetime | None = None
    completed: datetime | None = None
    done: outcome.Outcome | None = None
    manifest: str | None = None
    running: Running


class Executions:
    def __init__(self) -> None:
        self.by_id: dict[str, Execution] = {}
        self.by_token: dict[str, str] = {}
        self.lock = threading.RLock()

    def stop(self) -> None:
        """End what runs, and see it end: DuckDB's threads must not meet the interpreter's end."""
        stopping = [execution.running for execution in self.by_id.values() if execution.state == "RUNNING"]
        for running in stopping:
            running.stop(Cancelled())
        deadline = time.monotonic() + _ENDS
        for running in stopping:
            if running.begun.is_set():
                running.ended.wait(max(0.0, deadline - time.monotonic()))


def refused(message: str, code: str = "INVALID_INPUT") -> AwsError:
    return AwsError("InvalidRequestException", message, 400, AthenaErrorCode=code)


@handles("athena", "StartQueryExecution")
def start_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """The same ClientRequestToken again gives the same execution."""
    executions = ctx.store(Executions)
    token = params.get("ClientRequestToken")
    with executions.lock:
        if token and token in executions.by_token:
            old = executions.by_id[executions.by_token[token]]
            if old.query != params["QueryString"]:
                raise refused("Idempotent parameters do not match")
            return {"QueryExecutionId": old.asked.id}
        made = _execution(ctx, params)
        if not executions.by_id:
            ctx.on_stop(executions.stop)
        executions.by_id[made.asked.id] = made
        if token:
            executions.by_token[token] = made.asked.id
    kept = ctx.without_request()
    ctx.clock.call_after(QUEUED, lambda: _begin(kept, made))
    return {"QueryExecutionId": made.asked.id}


def _execution(ctx: Context, params: dict[str, Any]) -> Execution:
    text = params["QueryString"]
    if len(text.encode()) > allowed.LONGEST_QUERY:
        raise refused(f"The query is longer than {allowed.LONGEST_QUERY} bytes.")
    workgroup = params.get("WorkGroup", "primary")
    settings = _settings(ctx, workgroup)
    output, enforced = _output(params, settings)
    try:
        statement = statements.read(text)
        parameters = tuple(params.get("ExecutionParameters") or ())
        if isinstance(statement, statements.Execute):
            statement, parameters = prepared.resolved(ctx, workgroup, statement)
        _parse(statement)
    except Malformed as error:
        raise refused(str(error), "MALFORMED_QUERY") from error
    context = params.get("QueryExecutionContext") or {}
    id_ = str(uuid.uuid4())
    asked = outcome.Asked(
        id=id_,
        statement=statement,
        database=(context.get("Database") or "default").strip("`"),
        parameters=parameters,
        output=output,
        enforced=enforced,
    )
    configuration = {**settings.get("ResultConfiguration", {}), **(params.get("ResultConfiguration") or {})}
    configuration["OutputLocation"] = outcome.location(statement, output, id_)
    return Execution(
        asked=asked,
        query=text,
        context=context,
        configuration=configuration,
        workgroup=workgroup,
        parameters=list(params.get("ExecutionParameters") or ()),
        submitted=ctx.clock.now(),
        token=params.get("ClientRequestToken"),
        running=Running(memory=ctx.query_memory, folder=ctx.home / "athena" / id_),
    )


def _parse(statement: statements.Statement) -> None:
    """What does not parse is refused now; what parses and is wrong fails later."""
    if isinstance(statement, statements.Ddl):
        ddl.check(statement.text)
        return
    query = getattr(statement, "query", None)
    if query is not None:
        try:
            check.parsed(query)
        except QueryFailed:
            return


def _settings(ctx: Context, workgroup: str) -> dict[str, Any]:
    try:
        found = ctx.moto("athena", "GetWorkGroup", {"WorkGroup": workgroup}).get("WorkGroup")
    except AwsError:
        found = None
    if not found:
        raise refused(f"WorkGroup {workgroup} is not found.")
    if found.get("State") == "DISABLED":
        raise refused(f"WorkGroup {workgroup} is disabled.")
    configuration: dict[str, Any] = found.get("Configuration", {})
    return configuration


def _output(params: dict[str, Any], settings: dict[str, Any]) -> tuple[str, bool]:
    """The folder of the results, and whether the workgroup insists on it."""
    of_group = settings.get("ResultConfiguration", {}).get("OutputLocation")
    enforced = bool(settings.get("EnforceWorkGroupConfiguration")) and of_group is not None
    given = (params.get("ResultConfiguration") or {}).get("OutputLocation")
    chosen = of_group if enforced else given or of_group
    if not chosen:
        raise refused(
            "No output location provided. An output location is required either through the Workgroup result configuration setting "
            "or as an API input."
        )
    try:
        objects.split(chosen)
    except ValueError as error:
        raise refused(f"outputLocation is not a valid S3 path: {chosen}") from error
    return chosen.rstrip("/"), enforced


def _begin(ctx: Context, execution: Execution) -> None:
    if execution.state != "QUEUED" or ctx.stopping.is_set():
        return
    execution.state, execution.started = "RUNNING", ctx.clock.now()
    if ctx.clock.mode == "real":
        _start(ctx, execution)
    else:
        ctx.clock.call_after(RUNS, lambda: _start(ctx, execution))


def _start(ctx: Context, execution: Execution) -> None:
    if execution.state != "RUNNING" or ctx.stopping.is_set():
        return
    ctx.spawn(execution.running.run, lambda: _run(ctx, execution))
    execution.running.ended.wait(_PATIENCE[ctx.clock.mode])


def _run(ctx: Context, execution: Execution) -> None:
    limit = _limited(ctx, execution.running)
    try:
        with ctx.as_caller():
            done = outcome.run(ctx, execution.running, execution.asked)
            execution.manifest = outcome.store(ctx.client("s3"), execution.configuration["OutputLocation"], done)
        execution.done = done
        _finish(ctx, execution, "SUCCEEDED")
    except Cancelled:
        _finish(ctx, execution, "CANCELLED", "Query cancelled by user")
    except QueryFailed as error:
        _finish(ctx, execution, "FAILED", str(error), category=error.category, error_type=error.type)
    except Malformed as error:
        _finish(ctx, execution, "FAILED", str(error), category=2, error_type=1001)
    except objects.NoSuchBucket as error:
        _finish(ctx, execution, "FAILED", f"Unable to verify/create output bucket {error}", category=3)
    except ClientError as error:
        words = error.response["Error"]
        _finish(ctx, execution, "FAILED", f"{words.get('Code')}: {words.get('Message')}", category=3)
    except Exception as error:  # noqa: BLE001  a mistake of ours: a query must not stay RUNNING for ever
        traceback.print_exc(file=sys.stderr)
        reason = f"GENERIC_INTERNAL_ERROR: the local AWS stack failed: {type(error).__name__}: {error}"
        _finish(ctx, execution, "FAILED", reason, category=1, error_type=200)
    finally:
        limit.cancel()


def _limited(ctx: Context, running: Running) -> Timer | threading.Timer:
    """Athena's 30 minutes: of real time, or of the clock that is moved by hand."""

    def end() -> None:
        running.stop(TimedOut())
        running.ended.wait(_ENDS)

    if ctx.clock.mode == "manual":
        return ctx.clock.call_after(SECONDS, end)
    timer = threading.Timer(SECONDS, end)
    timer.daemon = True
    timer.start()
    return timer


def _finish(ctx: Context, execution: Execution, state: str, reason: str | None = None, *, category: int = 0, error_type: int = 0) -> None:
    execution.completed = ctx.clock.now()
    execution.reason, execution.category, execution.error_type = reason, category, error_type
    execution.state = state


def find(ctx: Context, id_: str) -> Execution:
    found = ctx.store(Executions).by_id.get(id_)
    if found is None:
        raise refused(f"QueryExecution {id_} was not found")
    return found


@handles("athena", "GetQueryExecution")
def get_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    return {"QueryExecution": _described(find(ctx, params["QueryExecutionId"]))}


@handles("athena", "BatchGetQueryExecution")
def batch_get_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    by_id = ctx.store(Executions).by_id
    ids = params["QueryExecutionIds"]
    return {
        "QueryExecutions": [_described(by_id[id_]) for id_ in ids if id_ in by_id],
        "UnprocessedQueryExecutionIds": [
            {"QueryExecutionId": id_, "ErrorCode": "INVALID_INPUT", "ErrorMessage": f"QueryExecution {id_} was not found"}
            for id_ in ids
            if id_ not in by_id
        ],
    }


def _described(execution: Execution) -> dict[str, Any]:
    statement_type, substatement = outcome.kind(execution.asked.statement)
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
        "QueryExecutionId": execution.asked.id,
        "Query": execution.query,
        "StatementType": statement_type,
        "SubstatementType": substatement,
        "ResultConfiguration": execution.configuration,
        "ResultReuseConfiguration": {"ResultReuseByAgeConfiguration": {"Enabled": False}},
        "QueryExecutionContext": execution.context,
        "Status": status,
        "Statistics": _statistics(execution),
        "WorkGroup": execution.workgroup,
        "EngineVersion": _ENGINE,
        **({"ExecutionParameters": execution.parameters} if execution.parameters else {}),
    }


def _statistics(execution: Execution) -> dict[str, Any]:
    def millis(start: datetime | None, end: datetime | None) -> int:
        return max(0, round((end - start).total_seconds() * 1000)) if start and end else 0

    queued, run = millis(execution.submitted, execution.started), millis(execution.started, execution.completed)
    made: dict[str, Any] = {
        "EngineExecutionTimeInMillis": run,
        "DataScannedInBytes": execution.done.scanned if execution.done else 0,
        "TotalExecutionTimeInMillis": queued + run,
        "QueryQueueTimeInMillis": queued,
        "ServiceProcessingTimeInMillis": 0,
        "ResultReuseInformation": {"ReusedPreviousResult": False},
    }
    if execution.manifest:
        made["DataManifestLocation"] = execution.manifest
    return made


@handles("athena", "GetQueryRuntimeStatistics")
def get_query_runtime_statistics(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    execution = find(ctx, params["QueryExecutionId"])
    figures = _statistics(execution)
    timeline = {key: figures[key] for key in figures if key.endswith("InMillis")}
    done = execution.done or outcome.Outcome()
    rows = {"InputRows": done.read_rows, "InputBytes": done.scanned, "OutputRows": len(done.rows), "OutputBytes": len(done.output or b"")}
    return {"QueryRuntimeStatistics": {"Timeline": timeline, "Rows": rows}}


@handles("athena", "GetQueryResults")
def get_query_results(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    execution = find(ctx, params["QueryExecutionId"])
    if execution.state not in _FINAL:
        raise refused(f"Query has not yet finished. Current state: {execution.state}", "INVALID_QUERY_EXECUTION_STATE")
    if execution.state != "SUCCEEDED" or execution.done is None:
        raise refused(f"Query did not finish successfully. Final query state: {execution.state}", "INVALID_QUERY_EXECUTION_STATE")
    done = execution.done
    size = params.get("MaxResults", 1000)
    if not 1 <= size <= 1000:
        raise refused("MaxResults is more than maximum allowed length 1000.")
    if params.get("QueryResultType") == "DATA_MANIFEST":
        rows, more = results.page([[uri] for uri in done.manifest or ()], None, int(params.get("NextToken") or 0), size)
    else:
        rows, more = results.page(done.rows, done.header, int(params.get("NextToken") or 0), size)
    answer: dict[str, Any] = {
        "ResultSet": {"Rows": rows, "ResultSetMetadata": {"ColumnInfo": done.columns}},
        "UpdateCount": done.update_count or 0,
    }
    return {**answer, **({"NextToken": more} if more else {})}


@handles("athena", "StopQueryExecution")
def stop_query_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """One that has finished, or is about to, stays what it is. The answer waits for the end, so that its memory and files are gone."""
    execution = find(ctx, params["QueryExecutionId"])
    running = execution.running
    if not running.stop(Cancelled()):
        return {}
    if running.begun.is_set():
        running.ended.wait(_ENDS)
    else:
        _finish(ctx, execution, "CANCELLED", "Query cancelled by user")
    return {}


@handles("athena", "ListQueryExecutions")
def list_query_executions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    workgroup = params.get("WorkGroup", "primary")
    ids = [e.asked.id for e in reversed(list(ctx.store(Executions).by_id.values())) if e.workgroup == workgroup]
    start, size = int(params.get("NextToken") or 0), params.get("MaxResults", 50)
    return {"QueryExecutionIds": ids[start : start + size], **({"NextToken": str(start + size)} if start + size < len(ids) else {})}
