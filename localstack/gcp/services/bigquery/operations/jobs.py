"""The operations bigquery.jobs."""

from __future__ import annotations

import sys
import traceback
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import Any

from ....core.call import Call
from ....core.http_messages import HttpAnswer, HttpRequest
from ..errors import BigQueryError, invalid
from ..jobs import copies, extracts, loads, queries
from ..jobs.results import Page, arrow_answer, rows_page, timestamps_of
from ..request_values import whole_number, whole_number_or_none
from ..sql.analysis.parameters import check_labels
from ..sql.analysis.sources import check_location
from ..state.instance import BigQueryState, time_of_rest
from ..state.job_work import RunningJob
from ..state.jobs import Job, Jobs, Outcome, query_statistics, reference, resource, statistics
from .instances import instance_of
from .routes import Answer, body, page, serves

PATIENCE = {
    "real": 0.0,
    "instant": 5.0,
    "manual": 10.0,
}  # real seconds for which an insert waits for its job's end
_LONGEST_WAIT = 200.0  # seconds of timeoutMs
_DEFAULT_WAIT = 10.0
_KINDS = ("query", "load", "copy", "extract")


@serves("jobs.insert", "POST", "/projects/{project}/jobs")
async def insert_job(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call jobs.insert: start a job, such as a query or a load."""
    job = await call.in_thread(lambda: begin(call, request.params["project"], body(request)))
    await job.running.wait(PATIENCE[call.clock.mode])
    return await call.in_thread(resource, job)


def begin(call: Call, project: str, content: dict[str, Any], upload: bytes | None = None) -> Job:
    """Start the job that a Job resource (JSON) describes, and return it."""
    instance = instance_of(call)
    configuration = dict(content.get("configuration") or {})
    configuration.pop("jobType", None)
    kinds = [kind for kind in _KINDS if kind in configuration]
    if len(kinds) != 1:
        raise BigQueryError(
            "required",
            "Required parameter is missing: a job configuration must have one of query, "
            "load, copy, extract",
        )
    check_labels(configuration.get("labels"))
    about = content.get("jobReference") or {}
    if about.get("projectId") not in (None, project):
        raise invalid(
            "Value of the project in the job reference is not the URL's", "jobReference.projectId"
        )
    job = _new_job(
        instance,
        project,
        kinds[0],
        configuration=configuration,
        name=about.get("jobId"),
        location=about.get("location"),
    )
    _check_tables_location(instance, job, about.get("location"))
    work = _work(call, instance, job, upload=upload, location=about.get("location"))
    if configuration.get("dryRun"):
        job.outcome = (
            queries.dry_run(instance, queries.spec_of(job, about.get("location")))
            if job.kind == "query"
            else Outcome()
        )
        job.running.end()
        return job
    call.store(Jobs).add(job)
    start(call, instance, job, work)
    return job


def _new_job(
    instance: BigQueryState,
    project: str,
    kind: str,
    *,
    configuration: dict[str, Any],
    name: str | None,
    location: str | None,
) -> Job:
    """Return a new job, which has not started; `kind` is query, load, copy or extract."""
    return Job(
        project=project,
        id=name or f"job_{uuid.uuid4().hex}",
        location=location or _location(instance, project, configuration[kind]),
        configuration=configuration,
        kind=kind,
        created=instance.now(),
        running=RunningJob(),
    )


def _location(instance: BigQueryState, project: str, configuration: dict[str, Any]) -> str:
    """Return the location of the data that a job's configuration names, or US."""
    for key in ("destinationTable", "sourceTable", "defaultDataset"):
        place_of = configuration.get(key) or {}
        for dataset in instance.catalog.datasets(place_of.get("projectId") or project):
            if dataset.id == place_of.get("datasetId"):
                return dataset.location
    return "US"


def _check_tables_location(instance: BigQueryState, job: Job, location: str | None) -> None:
    """Raise `notFound` if the job's tables are in another location."""
    for key in ("destinationTable", "sourceTable"):
        ref = job.configuration[job.kind].get(key) or {}
        project = ref.get("projectId") or job.project
        if location and any(
            dataset.id == ref.get("datasetId") for dataset in instance.catalog.datasets(project)
        ):
            check_location(instance, project, ref["datasetId"], location)


def _work(
    call: Call, instance: BigQueryState, job: Job, *, upload: bytes | None, location: str | None
) -> Callable[[], Outcome]:
    """Return the function that does a job's work, by the job's kind.

    Raises:
        BigQueryError: The job's configuration is wrong.
    """
    if job.kind == "query":
        spec = queries.spec_of(job, location)
        return lambda: queries.run(instance, spec, job.running)
    if job.kind == "load":
        return loads.prepare(call, instance, job, upload)
    return (
        copies.prepare(instance, job)
        if job.kind == "copy"
        else extracts.prepare(call, instance, job)
    )


def start(call: Call, instance: BigQueryState, job: Job, work: Callable[[], Outcome]) -> None:
    """Start a job's work in a thread."""
    job.started = instance.now()
    call.spawn(_run, call.without_request(), instance, job, work)


def _run(call: Call, instance: BigQueryState, job: Job, work: Callable[[], Outcome]) -> None:
    """Run a job's work, and record its outcome or error in the job."""
    try:
        job.running.check()
        job.outcome = work()
        _add_children(call, instance, job, job.outcome)
    except BigQueryError as error:
        job.error = error
    except Exception as error:  # noqa: BLE001  a mistake of ours: a job must not stay RUNNING for ever
        if job.running.stopped:
            job.error = BigQueryError(
                "stopped", "Job execution was cancelled: User requested cancellation"
            )
        else:
            traceback.print_exc(file=sys.stderr)
            job.error = BigQueryError(
                "internalError", f"the offline BigQuery failed: {type(error).__name__}: {error}"
            )
    finally:
        job.ended = instance.now()
        job.running.end()


def _add_children(call: Call, instance: BigQueryState, job: Job, outcome: Outcome) -> None:
    """Add a finished child job for each statement that a script has run."""
    for number, (sql, part) in enumerate(outcome.children):
        name, configuration = (
            f"script_job_{job.id}_{number}",
            {"query": {"query": sql.strip(), "useLegacySql": False}},
        )
        child = _new_job(
            instance,
            job.project,
            "query",
            configuration=configuration,
            name=name,
            location=job.location,
        )
        child.parent, child.outcome, child.started, child.ended = (
            job.id,
            part,
            job.started,
            instance.now(),
        )
        child.running.end()
        call.store(Jobs).add(child)


@serves("jobs.get", "GET", "/projects/{project}/jobs/{job}")
def get_job(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call jobs.get: return a job."""
    return resource(_requested_job(call, request))


def _requested_job(call: Call, request: HttpRequest) -> Job:
    """Return the job that a request's path and location name."""
    instance_of(call)
    return call.store(Jobs).get(
        request.params["project"], request.params["job"], request.query.get("location")
    )


@serves("jobs.cancel", "POST", "/projects/{project}/jobs/{job}/cancel")
def cancel_job(call: Call, request: HttpRequest) -> Answer:
    """Stop a job, which ends a moment later; the client polls its state."""
    job = _requested_job(call, request)
    job.running.stop()
    return {"kind": "bigquery#jobCancelResponse", "job": resource(job)}


@serves("jobs.delete", "DELETE", "/projects/{project}/jobs/{job}/delete")
def delete_job(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call jobs.delete: delete a job."""
    job = _requested_job(call, request)
    if not job.done:
        raise BigQueryError("resourceInUse", f"Job {job.project}:{job.id} is still running")
    call.store(Jobs).remove(job)
    return HttpAnswer(status=204)


@serves("jobs.list", "GET", "/projects/{project}/jobs")
def list_jobs(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call jobs.list: list the jobs."""
    instance_of(call)
    parent = request.query.get("parentJobId")
    states = {state.upper() for state in request.query_lists.get("stateFilter", ())}
    oldest, newest = (_time(request, name) for name in ("minCreationTime", "maxCreationTime"))
    jobs = [
        job
        for job in call.store(Jobs).newest(request.params["project"], parent)
        if (not states or job.state in states)
        and (oldest is None or job.created >= oldest)
        and (newest is None or job.created <= newest)
    ]
    shown, token = page(jobs, request)
    rows = [
        {**resource(job), "state": job.state}
        | ({"errorResult": job.error.proto()} if job.error else {})
        for job in shown
    ]
    return {
        "kind": "bigquery#jobList",
        **({"jobs": rows} if rows else {}),
        **({"nextPageToken": token} if token else {}),
    }


def _time(request: HttpRequest, name: str) -> datetime | None:
    """Return the time in a query parameter of a request, or None."""
    text = request.query.get(name)
    return time_of_rest(whole_number(text, name)) if text else None


@serves("jobs.getQueryResults", "GET", "/projects/{project}/queries/{job}")
async def get_query_results(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call jobs.getQueryResults: return a page of a query job's rows."""
    seconds = _seconds(request.query.get("timeoutMs"))
    job = await call.in_thread(_requested_job, call, request)
    if job.kind != "query":
        raise invalid(f"Cannot retrieve query results of a {job.kind} job")
    await job.running.wait(seconds)
    form = timestamps_of(
        {
            k.removeprefix("formatOptions."): v
            for k, v in request.query.items()
            if k.startswith("formatOptions.")
        }
    )
    return await call.in_thread(
        lambda: results(instance_of(call), job, Page.from_request(request), form)
    )


def _seconds(milliseconds: str | int | None) -> float:
    """Return a request's timeoutMs in seconds: how long it waits for its job to end.

    Raises BigQueryError `invalid` if it is no number.
    """
    return (
        _DEFAULT_WAIT
        if milliseconds is None
        else min(whole_number(str(milliseconds), "timeoutMs") / 1000, _LONGEST_WAIT)
    )


def results(instance: BigQueryState, job: Job, page_asked: Page, timestamps: str) -> dict[str, Any]:
    """Return one page of a query job's results as a response of jobs.getQueryResults.

    `timestamps` is the format of TIMESTAMP values. Raises the job's BigQueryError if it failed.
    """
    answer: dict[str, Any] = {
        "kind": "bigquery#getQueryResultsResponse",
        "jobReference": reference(job),
        "jobComplete": job.done,
    }
    if not job.done:
        return answer
    if job.error is not None:
        raise job.error
    assert job.outcome is not None  # noqa: S101  it is done without an error
    about = query_statistics(job.outcome)
    keys = (
        "schema",
        "numDmlAffectedRows",
        "dmlStats",
        "totalBytesProcessed",
        "cacheHit",
        "totalBytesBilled",
        "totalSlotMs",
    )
    times = {key: value for key, value in statistics(job).items() if key.endswith("Time")}
    session = {"sessionInfo": {"sessionId": job.session}} if job.session else {}
    return {
        **answer,
        **session,
        **times,
        "location": job.location,
        **{k: about[k] for k in keys if k in about},
        **rows_page(instance, job.outcome, page_asked, timestamps),
    }


@serves("jobs.query", "POST", "/projects/{project}/queries")
async def run_query(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call jobs.query: run a query, and return its first rows."""
    content, job = await call.in_thread(_begin_query, call, request)
    if job.outcome is not None and content.get("dryRun"):
        about = query_statistics(job.outcome)
        return {
            "kind": "bigquery#queryResponse",
            "jobComplete": True,
            "jobReference": {"projectId": job.project, "location": job.location},
            **{k: about[k] for k in ("schema", "totalBytesProcessed", "cacheHit") if k in about},
        }
    await job.running.wait(_seconds(content.get("timeoutMs")))
    return await call.in_thread(_first_results, call, job, content)


def _begin_query(call: Call, request: HttpRequest) -> tuple[dict[str, Any], Job]:
    """Start the job of a jobs.query request; return the request's body and the job.

    A repeated requestId returns the earlier request's job. A dry run's job has ended at once.
    """
    instance, content = instance_of(call), body(request)
    _seconds(content.get("timeoutMs"))  # refused before anything runs
    configuration = queries.configuration_of(content)
    job = _new_job(
        instance,
        request.params["project"],
        "query",
        configuration=configuration,
        name=None,
        location=content.get("location"),
    )
    check_labels(configuration.get("labels"))
    spec = queries.spec_of(job, content.get("location"))
    if content.get("dryRun"):
        job.outcome = queries.dry_run(instance, spec)
        job.running.end()
        return content, job
    current = call.store(Jobs).add(job, content.get("requestId"))
    if current is job:
        start(call, instance, job, lambda: queries.run(instance, spec, job.running))
    return content, current


def _first_results(call: Call, job: Job, content: dict[str, Any]) -> dict[str, Any]:
    """Return a query job as a QueryResponse, with its first page of rows if the job has ended.

    `content` is the request's body. Raises the job's BigQueryError if it failed.
    """
    instance = instance_of(call)
    first_page = Page(limit=whole_number_or_none(content.get("maxResults"), "maxResults"))
    if content.get("queryResultsFormat") == "ARROW":
        return arrow_answer(instance, job, first_page, results)
    answer = results(instance, job, first_page, timestamps_of(content.get("formatOptions") or {}))
    return {**answer, "kind": "bigquery#queryResponse"}


@serves("projects.getServiceAccount", "GET", "/projects/{project}/serviceAccount")
def get_service_account(_call: Call, request: HttpRequest) -> Answer:
    """Return the service account's address.

    It answers BigQuery's API call projects.getServiceAccount.
    """
    email = f"bq-{request.params['project']}@bigquery-encryption.iam.gserviceaccount.com"
    return {"kind": "bigquery#getServiceAccountResponse", "email": email}
