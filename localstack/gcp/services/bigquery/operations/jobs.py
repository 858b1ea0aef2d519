"""bigquery.jobs."""

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
from ..jobs import copies as copying
from ..jobs import extracts as extracting
from ..jobs import loads as loading
from ..jobs import queries as query
from ..jobs.results import Page, arrow_answer, rows_page, timestamps_of, whole_or_none
from ..sql.analysis.parameters import check_labels
from ..sql.analysis.sources import in_location
from ..state.instance import Answer, Place, body, moment, page, serves, whole
from ..state.job_work import Running
from ..state.jobs import Job, Jobs, Outcome, query_statistics, reference, resource, statistics
from .instances import place

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
    job = await call.in_thread(lambda: begin(call, request.params["project"], body(request)))
    await job.running.wait(PATIENCE[call.clock.mode])
    return await call.in_thread(resource, job)


def begin(call: Call, project: str, content: dict[str, Any], upload: bytes | None = None) -> Job:
    """Start a job from its resource."""
    here = place(call)
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
    job = _new(
        here,
        project,
        kinds[0],
        configuration=configuration,
        name=about.get("jobId"),
        location=about.get("location"),
    )
    _check_location(here, job, about.get("location"))
    work = _work(call, here, job, upload=upload, location=about.get("location"))
    if configuration.get("dryRun"):
        job.outcome = (
            query.dry_run(here, query.spec_of(job, about.get("location")))
            if job.kind == "query"
            else Outcome()
        )
        job.running.end()
        return job
    call.store(Jobs).add(job)
    start(call, here, job, work)
    return job


def _new(
    here: Place,
    project: str,
    kind: str,
    *,
    configuration: dict[str, Any],
    name: str | None,
    location: str | None,
) -> Job:
    return Job(
        project=project,
        id=name or f"job_{uuid.uuid4().hex}",
        location=location or _location(here, project, configuration[kind]),
        configuration=configuration,
        kind=kind,
        created=here.now(),
        running=Running(),
    )


def _location(here: Place, project: str, configuration: dict[str, Any]) -> str:
    """Where the data is, as far as the configuration says; US."""
    for key in ("destinationTable", "sourceTable", "defaultDataset"):
        place_of = configuration.get(key) or {}
        for dataset in here.catalog.datasets(place_of.get("projectId") or project):
            if dataset.id == place_of.get("datasetId"):
                return dataset.location
    return "US"


def _check_location(here: Place, job: Job, location: str | None) -> None:
    """notFound, where the job's tables are elsewhere."""
    for key in ("destinationTable", "sourceTable"):
        ref = job.configuration[job.kind].get(key) or {}
        project = ref.get("projectId") or job.project
        if location and any(
            dataset.id == ref.get("datasetId") for dataset in here.catalog.datasets(project)
        ):
            in_location(here, project, ref["datasetId"], location)


def _work(
    call: Call, here: Place, job: Job, *, upload: bytes | None, location: str | None
) -> Callable[[], Outcome]:
    """What the job does. What is wrong with its configuration is refused at once."""
    if job.kind == "query":
        spec = query.spec_of(job, location)
        return lambda: query.run(here, spec, job.running)
    if job.kind == "load":
        return loading.prepare(call, here, job, upload)
    return copying.prepare(here, job) if job.kind == "copy" else extracting.prepare(call, here, job)


def start(call: Call, here: Place, job: Job, work: Callable[[], Outcome]) -> None:

    job.started = here.now()
    call.spawn(_run, call.without_request(), here, job, work)


def _run(call: Call, here: Place, job: Job, work: Callable[[], Outcome]) -> None:
    try:
        job.running.check()
        job.outcome = work()
        _add_children(call, here, job, job.outcome)
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
        job.ended = here.now()
        job.running.end()


def _add_children(call: Call, here: Place, job: Job, outcome: Outcome) -> None:
    """A job for each statement of a script."""
    for number, (sql, part) in enumerate(outcome.children):
        name, configuration = (
            f"script_job_{job.id}_{number}",
            {"query": {"query": sql.strip(), "useLegacySql": False}},
        )
        child = _new(
            here,
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
            here.now(),
        )
        child.running.end()
        call.store(Jobs).add(child)


@serves("jobs.get", "GET", "/projects/{project}/jobs/{job}")
def get_job(call: Call, request: HttpRequest) -> Answer:
    return resource(_job(call, request))


def _job(call: Call, request: HttpRequest) -> Job:
    place(call)
    return call.store(Jobs).get(
        request.params["project"], request.params["job"], request.query.get("location")
    )


@serves("jobs.cancel", "POST", "/projects/{project}/jobs/{job}/cancel")
def cancel_job(call: Call, request: HttpRequest) -> Answer:
    """It ends in a moment; whoever cares asks for its state."""
    job = _job(call, request)
    job.running.stop()
    return {"kind": "bigquery#jobCancelResponse", "job": resource(job)}


@serves("jobs.delete", "DELETE", "/projects/{project}/jobs/{job}/delete")
def delete_job(call: Call, request: HttpRequest) -> Answer:
    job = _job(call, request)
    if not job.done:
        raise BigQueryError("resourceInUse", f"Job {job.project}:{job.id} is still running")
    call.store(Jobs).remove(job)
    return HttpAnswer(status=204)


@serves("jobs.list", "GET", "/projects/{project}/jobs")
def list_jobs(call: Call, request: HttpRequest) -> Answer:
    place(call)
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
    text = request.query.get(name)
    return moment(whole(text, name)) if text else None


@serves("jobs.getQueryResults", "GET", "/projects/{project}/queries/{job}")
async def get_query_results(call: Call, request: HttpRequest) -> Answer:
    seconds = _seconds(request.query.get("timeoutMs"))
    job = await call.in_thread(_job, call, request)
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
    return await call.in_thread(lambda: results(place(call), job, Page.of(request), form))


def _seconds(milliseconds: str | int | None) -> float:
    return (
        _DEFAULT_WAIT
        if milliseconds is None
        else min(whole(str(milliseconds), "timeoutMs") / 1000, _LONGEST_WAIT)
    )


def results(here: Place, job: Job, wanted: Page, timestamps: str) -> dict[str, Any]:
    """A GetQueryResultsResponse, which is a QueryResponse, too. Raises what the job ended with."""
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
        **rows_page(here, job.outcome, wanted, timestamps),
    }


@serves("jobs.query", "POST", "/projects/{project}/queries")
async def run_query(call: Call, request: HttpRequest) -> Answer:
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
    """What is asked, and the job that answers, which may be the one of an earlier request with the
    same requestId; a dry run has ended.
    """
    here, content = place(call), body(request)
    _seconds(content.get("timeoutMs"))  # refused before anything runs
    configuration = query.configuration_of(content)
    job = _new(
        here,
        request.params["project"],
        "query",
        configuration=configuration,
        name=None,
        location=content.get("location"),
    )
    check_labels(configuration.get("labels"))
    spec = query.spec_of(job, content.get("location"))
    if content.get("dryRun"):
        job.outcome = query.dry_run(here, spec)
        job.running.end()
        return content, job
    current = call.store(Jobs).add(job, content.get("requestId"))
    if current is job:
        start(call, here, job, lambda: query.run(here, spec, job.running))
    return content, current


def _first_results(call: Call, job: Job, content: dict[str, Any]) -> dict[str, Any]:
    """A QueryResponse. Raises what the job ended with."""
    here = place(call)
    wanted = Page(limit=whole_or_none(content.get("maxResults"), "maxResults"))
    if content.get("queryResultsFormat") == "ARROW":
        return arrow_answer(here, job, wanted, results)
    answer = results(here, job, wanted, timestamps_of(content.get("formatOptions") or {}))
    return {**answer, "kind": "bigquery#queryResponse"}


@serves("projects.getServiceAccount", "GET", "/projects/{project}/serviceAccount")
def get_service_account(_call: Call, request: HttpRequest) -> Answer:
    email = f"bq-{request.params['project']}@bigquery-encryption.iam.gserviceaccount.com"
    return {"kind": "bigquery#getServiceAccountResponse", "email": email}
