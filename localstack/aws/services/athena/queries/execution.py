"""The life of one query: queued, running in a thread of its own, ended."""

from __future__ import annotations

import sys
import threading
import time
import traceback
from datetime import datetime, timedelta
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from .....core.clock import Timer
from ....core import objects
from ....core.home.declarations import not_kept
from ....core.registry import Context
from ..errors import QueryFailed
from ..sql.errors import Malformed
from ..sql.statements import Select
from . import outcome
from .running_query import SECONDS, Cancelled, Running, TimedOut

QUEUED, RUNS = 0.1, 0.1  # seconds on the clock, before it runs and while it does
# real seconds for which a clock waits for a query's end
_PATIENCE = {
    "real": 0.0,
    "instant": 1.0,
    "manual": 60.0,
}
_ENDS = 5.0  # real seconds that an interrupted query may take to end; it takes milliseconds
FINAL = ("SUCCEEDED", "FAILED", "CANCELLED")
_finishing = threading.Lock()  # a query's thread and who cancels it may both end it


class Execution(msgspec.Struct, kw_only=True):
    """A query execution, as GetQueryExecution describes it."""

    request: outcome.QueryRequest
    query: str
    context: dict[str, Any]
    configuration: dict[str, Any]  # ResultConfiguration
    managed: dict[str, Any] | None  # ManagedQueryResultsConfiguration, where it is enabled
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
    reuse: dict[str, Any]  # ResultReuseByAgeConfiguration
    reused: bool = False
    running: Running


@not_kept
class Executions:
    """The query executions of one account and region. None outlives the stack."""

    def __init__(self) -> None:
        self.by_id: dict[str, Execution] = {}
        self.by_token: dict[str, str] = {}
        self.lock = threading.RLock()

    def stop(self) -> None:
        """Stop all running queries, and wait for their end, when the stack ends or is reset.

        DuckDB's threads must not meet the interpreter's end.
        """
        stopping = [
            execution.running
            for execution in list(self.by_id.values())
            if execution.state == "RUNNING"
        ]
        for running in stopping:
            running.stop(Cancelled())
        deadline = time.monotonic() + _ENDS
        for running in stopping:
            if running.begun.is_set():
                running.ended.wait(max(0.0, deadline - time.monotonic()))


def begin(ctx: Context, execution: Execution) -> None:
    """Run a queued query execution when its turn has come."""
    if execution.state != "QUEUED" or ctx.stopping.is_set():
        return
    execution.state, execution.started = "RUNNING", ctx.clock.now()
    if ctx.clock.mode == "real":
        _start(ctx, execution)
    else:
        ctx.clock.call_after(RUNS, lambda: _start(ctx, execution))


def _start(ctx: Context, execution: Execution) -> None:
    """Start a query in a thread of its own; give it a moment to end before returning."""
    if execution.state != "RUNNING" or ctx.stopping.is_set():
        return
    ctx.spawn(execution.running.run, lambda: _run(ctx, execution))
    execution.running.ended.wait(_PATIENCE[ctx.clock.mode])


def _run(ctx: Context, execution: Execution) -> None:
    """Run a query, and record whether it succeeded, failed or was cancelled."""
    limit = _time_limit(ctx, execution.running)
    try:
        with ctx.as_caller():
            earlier = _reusable(ctx, execution)
            execution.reused = earlier is not None
            done = earlier or outcome.run(ctx, execution.running, execution.request)
            if execution.request.output:
                execution.manifest = outcome.store(
                    ctx.client("s3"), execution.configuration["OutputLocation"], done
                )
        execution.done = done
        _finish(ctx, execution, "SUCCEEDED")
    except Cancelled:
        _finish(ctx, execution, "CANCELLED", "Query cancelled by user")
    except QueryFailed as error:
        _finish(
            ctx, execution, "FAILED", str(error), category=error.category, error_type=error.type
        )
    except Malformed as error:
        _finish(ctx, execution, "FAILED", str(error), category=2, error_type=1001)
    except objects.NoSuchBucket as error:
        _finish(
            ctx, execution, "FAILED", f"Unable to verify/create output bucket {error}", category=3
        )
    except ClientError as error:
        words = error.response["Error"]
        _finish(
            ctx, execution, "FAILED", f"{words.get('Code')}: {words.get('Message')}", category=3
        )
    except Exception as error:  # noqa: BLE001  a mistake of ours: a query must not stay RUNNING for ever
        traceback.print_exc(file=sys.stderr)
        reason = (
            f"GENERIC_INTERNAL_ERROR: the local AWS stack failed: {type(error).__name__}: {error}"
        )
        _finish(ctx, execution, "FAILED", reason, category=1, error_type=200)
    finally:
        limit.cancel()


def _reusable(ctx: Context, execution: Execution) -> outcome.Outcome | None:
    """Return the result of an equal earlier SELECT, or None.

    The request says whether a result may be reused, and how old it may be. Source: user guide,
    "Reuse query results".
    """
    if not execution.reuse.get("Enabled") or not isinstance(execution.request.statement, Select):
        return None
    oldest = ctx.clock.now() - timedelta(minutes=execution.reuse.get("MaxAgeInMinutes", 60))
    for other in reversed(list(ctx.store(Executions).by_id.values())):
        if (
            other.state == "SUCCEEDED"
            and other.completed is not None
            and other.completed >= oldest
            and _is_same_query(other, execution)
        ):
            return other.done and msgspec.structs.replace(other.done, scanned=0)
    return None


def _is_same_query(left: Execution, right: Execution) -> bool:
    """Return whether two executions have the same SQL, parameters, database and workgroup."""
    a, b = left.request, right.request
    return (left.query, left.workgroup, a.catalog, a.database, a.parameters) == (
        right.query,
        right.workgroup,
        b.catalog,
        b.database,
        b.parameters,
    )


def _time_limit(ctx: Context, running: Running) -> Timer | threading.Timer:
    """Start the timer that stops a query after Athena's 30 minutes, and return the timer.

    It counts real time, or the time of a clock that is moved by hand.
    """

    def end() -> None:
        running.stop(TimedOut())
        running.ended.wait(_ENDS)

    if ctx.clock.mode == "manual":
        return ctx.clock.call_after(SECONDS, end)
    timer = threading.Timer(SECONDS, end)
    timer.daemon = True
    timer.start()
    return timer


def _finish(
    ctx: Context,
    execution: Execution,
    state: str,
    reason: str | None = None,
    *,
    category: int = 0,
    error_type: int = 0,
) -> None:
    """Record the final state of a query execution, unless it has one already.

    `reason`, `category` and `error_type` are what GetQueryExecution says of a failure.
    """
    with _finishing:
        if execution.state in FINAL:
            return  # cancelled while it was still being translated
        execution.completed = ctx.clock.now()
        execution.reason, execution.category, execution.error_type = reason, category, error_type
        execution.state = state


def cancel(ctx: Context, execution: Execution) -> None:
    """Cancel a query; one that has finished, or is about to, stays what it is.

    This returns once the query's memory and files are gone. A query that is still being translated
    has neither: it is CANCELLED at once, and what its thread still does is dropped.
    """
    running = execution.running
    if not running.stop(Cancelled()):
        return
    if running.loaded:
        running.ended.wait(_ENDS)
    else:
        _finish(ctx, execution, "CANCELLED", "Query cancelled by user")
