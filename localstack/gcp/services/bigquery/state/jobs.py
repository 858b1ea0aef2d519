"""Jobs: what was asked, how far each is, what came of it; and all jobs of a stack."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from ..data.types import SchemaField, schema_to_rest
from ..errors import BigQueryError, invalid
from .catalog import TableRef
from .instance import rest_time
from .job_work import RunningJob

_ID = re.compile(r"[A-Za-z0-9_-]{1,1024}")
USER = "isthmus@example.iam.gserviceaccount.com"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a job.

    `table` holds the rows of a query. `statistics` is what the job's kind notes, in the form of the
    REST API.
    """

    fields: tuple[SchemaField, ...] = ()
    table: TableRef | None = None
    rows: int = 0
    processed: int = 0  # bytes
    affected: Mapping[str, int] | None = None  # DML: inserted, updated, deleted
    kind: str = ""  # SELECT, INSERT, CREATE_TABLE_AS_SELECT ...
    statistics: Mapping[str, Any] = {}
    children: tuple[
        tuple[str, Outcome], ...
    ] = ()  # of a script: each statement and what came of it


class Job(msgspec.Struct, kw_only=True):
    """A job: query, load, copy or extract."""

    project: str
    id: str
    location: str
    configuration: dict[str, Any]
    kind: str  # query, load, copy, extract
    created: datetime
    started: datetime | None = None
    ended: datetime | None = None
    error: BigQueryError | None = None
    warnings: list[BigQueryError] = []
    outcome: Outcome | None = None
    parent: str | None = None  # the id of the script's job
    session: str | None = None  # the id of its session
    running: RunningJob

    @property
    def done(self) -> bool:
        """Whether the job has ended."""
        return self.running.ended.is_set()

    @property
    def state(self) -> str:
        """The state that the REST API shows: PENDING, RUNNING or DONE."""
        return "DONE" if self.done else "RUNNING" if self.started else "PENDING"


class Jobs:
    """All jobs of a stack; it guards itself."""

    def __init__(self) -> None:
        self._jobs: dict[tuple[str, str], Job] = {}
        self._requests: dict[tuple[str, str], str] = {}
        self._lock = threading.RLock()

    def add(self, job: Job, request_id: str | None = None) -> Job:
        """Add a job, and return it; for a repeated requestId return the earlier request's job."""
        if not _ID.fullmatch(job.id):
            raise invalid(
                f'Invalid job ID "{job.id}". Job IDs must be alphanumeric (plus underscores '
                "and dashes) and at most 1024 long."
            )
        with self._lock:
            if request_id is not None:
                earlier = self._requests.setdefault((job.project, request_id), job.id)
                if earlier != job.id and (job.project, earlier) in self._jobs:
                    return self._jobs[job.project, earlier]
            if (job.project, job.id) in self._jobs:
                raise BigQueryError(
                    "duplicate", f"Already Exists: Job {job.project}:{job.location}.{job.id}"
                )
            self._jobs[job.project, job.id] = job
        return job

    def get(self, project: str, name: str, location: str | None = None) -> Job:
        """Return the job `name` at a location, or at any if `location` is None.

        Raises BigQueryError `notFound`.
        """
        job = self._jobs.get((project, name))
        if job is None or location not in (None, "", job.location):
            raise BigQueryError(
                "notFound", f"Not found: Job {project}:{f'{location}.' if location else ''}{name}"
            )
        return job

    def remove(self, job: Job) -> None:
        """Remove a job from the list of jobs, if it is there."""
        with self._lock:
            self._jobs.pop((job.project, job.id), None)

    def newest(self, project: str, parent: str | None = None) -> list[Job]:
        """Return a project's jobs, or the child jobs of a script, the newest first."""
        with self._lock:
            jobs = [
                job
                for job in reversed(self._jobs.values())
                if (job.project, job.parent) == (project, parent)
            ]
        return sorted(jobs, key=lambda job: job.created, reverse=True)

    def stop(self) -> None:
        """Cancel all running jobs, and wait until they have ended."""
        with self._lock:
            active = [job for job in self._jobs.values() if not job.done]
        for job in active:
            job.running.stop()
        for job in active:
            job.running.ended.wait(5)


def status(job: Job) -> dict[str, Any]:
    """Return a job's state and errors as a JobStatus in JSON."""
    answer: dict[str, Any] = {"state": job.state}
    if job.done and job.error is not None:
        answer["errorResult"] = job.error.proto()
    errors = [*([job.error] if job.error and job.done else []), *job.warnings]
    if errors:
        answer["errors"] = [error.proto() for error in errors]
    return answer


def resource(job: Job) -> dict[str, Any]:
    """Return a job as the REST API's Job resource, in JSON."""
    return {
        "kind": "bigquery#job",
        "etag": f"{job.id}-{job.state}",
        "id": f"{job.project}:{job.location}.{job.id}",
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{job.project}/jobs/{job.id}?location={job.location}",
        "user_email": USER,
        "jobReference": reference(job),
        "configuration": {**job.configuration, "jobType": job.kind.upper()},
        "status": status(job),
        "statistics": statistics(job),
    }


def reference(job: Job) -> dict[str, str]:
    """Return a job's project, id and location as a JobReference in JSON."""
    return {"projectId": job.project, "jobId": job.id, "location": job.location}


def statistics(job: Job) -> dict[str, Any]:
    """Return a job's times and numbers as JobStatistics in JSON."""
    answer: dict[str, Any] = {"creationTime": rest_time(job.created)}
    if job.started is not None:
        answer["startTime"] = rest_time(job.started)
    if job.ended is not None:
        answer["endTime"] = rest_time(job.ended)
    if job.session is not None:
        answer["sessionInfo"] = {"sessionId": job.session}
    if job.parent is not None:
        answer["parentJobId"] = job.parent
    if job.outcome is None or not job.done:
        return answer
    if job.outcome.children:
        answer["numChildJobs"] = str(len(job.outcome.children))
    if job.kind != "query":
        return {**answer, job.kind: dict(job.outcome.statistics)}
    return {
        **answer,
        "totalBytesProcessed": str(job.outcome.processed),
        "query": query_statistics(job.outcome),
    }


def query_statistics(outcome: Outcome) -> dict[str, Any]:
    """Return a query's statistics (bytes, DML counts ...) as JobStatistics2 in JSON."""
    answer: dict[str, Any] = {
        "statementType": outcome.kind,
        "totalBytesProcessed": str(outcome.processed),
        "totalBytesBilled": "0",
        "totalSlotMs": "0",
        "billingTier": 0,
        "cacheHit": False,
        **outcome.statistics,
    }
    if outcome.kind == "SELECT" or outcome.fields:
        answer["schema"] = schema_to_rest(outcome.fields)
    if outcome.affected is not None:
        answer["numDmlAffectedRows"] = str(sum(outcome.affected.values()))
        names = {
            "inserted": "insertedRowCount",
            "updated": "updatedRowCount",
            "deleted": "deletedRowCount",
        }
        answer["dmlStats"] = {names[key]: str(count) for key, count in outcome.affected.items()}
    return answer
