"""Finding, listing and stopping jobs: the same for all kinds."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from ....core import paging
from ....core.registry import AwsError, Context
from .records import ENDED, Job, Jobs, Kind

_SORT: dict[str, Callable[[Job], Any]] = {
    "Name": lambda job: job.name,
    "CreationTime": lambda job: job.created,
    "Status": lambda job: job.status,
}


def register(
    ctx: Context,
    kind: Kind,
    name: str,
    arn: str,
    params: dict[str, Any],
    *,
    tuning: str | None = None,
) -> Job:
    """Create the record of a new job (training, processing ...) under a name that is not taken.

    `params` is the request, and `tuning` the ARN of the tuning job that asks for it.

    Raises:
        AwsError: The name was used before, as names of jobs are never free again (ResourceInUse).
    """
    job = Job(kind, name, arn, params, ctx.clock.now())
    job.tuning = tuning
    jobs = ctx.store(Jobs)
    with jobs.lock:
        earlier = jobs.jobs_of(kind).get(name)
        # moto replaces, and so does what is answered as moto does
        if earlier is not None and earlier.as_moto is None:
            words = (
                "Job name must be unique within an AWS account and region, and a job with this "
                "name already exists"
            )
            raise AwsError("ResourceInUse", f"{words} ({arn})")
        jobs.jobs_of(kind)[name] = job
    return job


def find(ctx: Context, kind: Kind, name: str) -> Job:
    """Return a job of a kind by its name.

    Raises:
        AwsError: There is no such job.
    """
    job = ctx.store(Jobs).jobs_of(kind).get(name)
    if job is None:
        arn = f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:{kind}-job/{name}"
        words = (
            "Requested resource not found."
            if kind == "training"
            else f"Could not find requested job with name: {name}"
        )
        raise AwsError("ValidationException", f"{words} Could not find {kind} job '{arn}'.")
    return job


def stop(ctx: Context, job: Job) -> None:
    """Stop a running job, for a Stop call.

    Raises:
        AwsError: The job has ended already.
    """
    with job.lock:
        if job.status in ENDED:
            raise AwsError(
                "ValidationException",
                f"The request was rejected because the {job.kind} job is in status {job.status}.",
            )
        if job.status != "Stopping":
            job.status = "Stopping"
            job.moves("Stopping", f"Stopping the {job.kind} job", ctx.clock.now())
    job.stop.set()


def page(
    jobs: list[Job], params: dict[str, Any], *, by_status_last: bool = False
) -> tuple[list[Job], dict[str, str]]:
    """Return one page of the jobs that a List call asks for, sorted, and its NextToken.

    With `by_status_last` the filter by status is applied to the page, not before: a page may then
    be short.
    """
    bounds = (
        ("CreationTimeAfter", lambda job, limit: job.created > limit),
        ("CreationTimeBefore", lambda job, limit: job.created < limit),
        ("LastModifiedTimeAfter", lambda job, limit: job.modified > limit),
        ("LastModifiedTimeBefore", lambda job, limit: job.modified < limit),
        ("NameContains", lambda job, part: part in job.name),
    )
    for key, holds in bounds:
        if params.get(key) is not None:
            jobs = [job for job in jobs if holds(job, params[key])]
    jobs.sort(
        key=_SORT[params.get("SortBy", "CreationTime")],
        reverse=params.get("SortOrder") == "Descending",
    )
    if by_status_last:
        shown, token = page_of(jobs, params)
        return _with_status(shown, params), token
    return page_of(_with_status(jobs, params), params)


def _with_status(jobs: list[Job], params: dict[str, Any]) -> list[Job]:
    """Return the jobs that have the request's StatusEquals."""
    return [job for job in jobs if params.get("StatusEquals") in (None, job.status)]


def page_of(
    items: list[Any], params: dict[str, Any], most: int = 100
) -> tuple[list[Any], dict[str, str]]:
    """Return one page of a list, and its NextToken: the position of the next item.

    `most` is the number of items on a page where the request does not say.
    """
    part, more = paging.page(
        items,
        params,
        most,
        AwsError("ValidationException", 'Invalid pagination token because "{0}".'),
    )
    return list(part), more


def require_one_instance(kind: str, resources: dict[str, Any]) -> None:
    """Raise an error for a job on several instances.

    `kind` names the kind of job, and `resources` has its InstanceCount. A container that runs alone
    would find no other host.

    Raises:
        AwsError: The job asks for several instances.
    """
    groups = resources.get("InstanceGroups") or ()
    number = max(
        resources.get("InstanceCount") or 1, sum(group["InstanceCount"] for group in groups)
    )
    if number > 1:
        raise AwsError(
            "ValidationException",
            f"The local stack's {kind} jobs do not support InstanceCount {number}: one "
            "container runs. Use 1.",
        )


def check_regex(pattern: str) -> None:
    """Raise an error if the regular expression of a metric definition is not valid."""
    try:
        re.compile(pattern)
    except re.error as error:
        raise AwsError(
            "ValidationException",
            f"The Regex '{pattern}' of a metric definition is not valid: {error}",
        ) from error
