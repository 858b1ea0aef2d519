"""The common course of jobs: a container starts, runs, and ends with a reason."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from .....core.downloads import Refused
from .....core.images import command_of, names_of
from .....jobs import container as containers
from .....jobs.container import Container
from .....jobs.process import ProcessEnd, run
from ....core.home.declarations import ENDED_WITH_STACK, resumes
from ....core.registry import Context
from . import contract
from .logs import GROUPS, LogStream, Metrics
from .records import ENDED, Job, Jobs
from .s3 import TransferError

_DAY = 86400
_GRACE = 120.0  # seconds between SIGTERM and SIGKILL (StopTrainingJob's documentation)
_REASON = 1024  # characters of a FailureReason


class JobFailed(Exception):
    """The job ends Failed, with these words as its FailureReason."""


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The program that a job's image and request ask for."""

    image: str | None
    entrypoint: list[str]
    arguments: list[str]
    # the arguments that SageMaker gives an image of whose arguments the request says nothing
    default: list[str]


def start(ctx: Context, job: Job, body: Callable[[Context, Job, Container], None]) -> None:
    """Run a job in the background by calling `body`; it ends in a final status whatever happens."""
    ctx.spawn(_work, ctx.without_request(), job, body)


def _work(ctx: Context, job: Job, body: Callable[[Context, Job, Container], None]) -> None:
    """Run a job by calling `body`, and set the job Failed if that raises."""
    folder = ctx.home / "jobs" / f"{job.kind}-{uuid.uuid4().hex[:12]}"
    try:
        _meet_fault(ctx, job)
        body(ctx, job, containers.make(folder, contract.ROOT))
    except (JobFailed, TransferError) as error:
        _fail(ctx, job, str(error))
    except Refused as error:  # a channel or a path of the request
        _fail(ctx, job, f"ClientError: {error}")
    except (
        Exception
    ) as error:  # the stack's own mistake must show as the service's, not as a job that never ends
        if not ctx.stopping.is_set():
            _fail(ctx, job, f"InternalServerError: the local stack failed: {error!r}")
            raise
    finally:
        job.done.set()
        shutil.rmtree(folder, ignore_errors=True)


def _meet_fault(ctx: Context, job: Job) -> None:
    """Let a job fail by an injected fault, if there is one.

    The fault is of SageMaker itself: it has no capacity for the job, or has an internal error.

    Raises:
        JobFailed: There is such a fault.
    """
    fault = ctx.service_fault("sagemaker", f"{job.kind.capitalize()}Job", (job.name,))
    if fault is None:
        return
    if fault.kind == "throttle":
        raise JobFailed(
            "CapacityError: Unable to provision requested ML compute capacity. Please retry "
            "using a different instance type."
        )
    raise JobFailed("InternalServerError: We encountered an internal error. Please try again.")


def _fail(ctx: Context, job: Job, reason: str) -> None:
    """Set a job Failed, with the reason as its FailureReason."""
    job.failure = reason[:_REASON]
    job.ends("Failed", "Failed", f"{job.kind.capitalize()} job failed", ctx.clock.now())


def argv(ctx: Context, program: Program, container: Container) -> list[str]:
    """Return the command line that runs a job's program.

    It is the request's entrypoint, or else the local command that is mapped to the image.

    Raises:
        JobFailed: No command is mapped to the image.
    """
    if program.entrypoint:
        return containers.command(container, program.entrypoint, program.arguments)
    mapped = command_of(ctx.images, program.image) if program.image else None
    if mapped is None:
        raise JobFailed(unmapped_message(program.image))
    return containers.command(container, mapped, program.arguments or program.default)


def contain(
    ctx: Context,
    job: Job,
    container: Container,
    command: list[str],
    variables: dict[str, str],
    *,
    metrics: Metrics,
) -> ProcessEnd:
    """Run a job's command in its container's folders, and return how the process ended.

    `variables` are its environment variables. Its log lines go to CloudWatch, and what `metrics`
    finds in them into the job.
    """
    seconds = (job.params.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds") or _DAY
    log = LogStream(ctx.client("logs"), GROUPS[job.kind], job.name)
    for remark in contract.remarks(container):
        log.write(remark)

    def line(text: str) -> None:
        # SageMaker writes a tab so, and metrics are read from what it writes
        if job.kind == "training":
            text = text.replace("\t", "#011")
        log.write(text)
        for name, value in metrics.read(text).items():
            job.metrics[name] = (value, ctx.clock.now())

    began = job.started or ctx.clock.now()  # what Describe shows: a clock moved after that counts
    try:
        return run(
            command,
            env=containers.environment(container, ctx.env(job.params["RoleArn"]), variables),
            folder=container.work,
            line=line,
            tick=log.flush_if_due,
            stop=job.stop,
            reset=ctx.stopping,
            overdue=lambda: (ctx.clock.now() - began).total_seconds() > seconds,
            grace=_GRACE,
            on_stop=ctx.on_stop,
        )
    except OSError as error:
        raise JobFailed(
            f"AlgorithmError: the container's command cannot be started: {error}, exit code: 127"
        ) from error
    finally:
        log.flush()


def verdict(ended: ProcessEnd, failure: Path) -> None:
    """Raise an error if a container failed, with the text of the file `failure` that it left.

    Raises:
        JobFailed: The container failed.
    """
    if ended.why == "itself" and ended.code != 0:
        words = failure.read_text(errors="replace").strip() if failure.is_file() else ""
        raise JobFailed(f"AlgorithmError: {words[: _REASON - 60]}, exit code: {ended.code}")


def program_of(specification: dict[str, Any], image: str | None, default: list[str]) -> Program:
    """Return the image, entrypoint and arguments that a job's request specifies.

    `specification` is the part of the request that has them; `default` is the command of an image
    without any.
    """
    return Program(
        image=image,
        entrypoint=list(specification.get("ContainerEntrypoint") or ()),
        arguments=list(specification.get("ContainerArguments") or ()),
        default=default,
    )


def unmapped_message(image: str | None) -> str:
    """Return the error message that a job's image has no local command."""
    image_name = names_of(image)[-1] if image else "NAME"
    return (
        "ClientError: the local stack does not pull images and no command is mapped to "
        f"'{image}'. Start it with --image {image_name}=COMMAND (or `images:` in profiles.yaml), "
        "or give the request a ContainerEntrypoint."
    )


@resumes(Jobs)
def resume(ctx: Context, store: Jobs) -> None:
    """Set the jobs that ran when the stack ended to Failed or Stopped, after a restart."""
    for job in (
        *store.training.values(),
        *store.processing.values(),
        *store.transform.values(),
        *store.tuning.values(),
    ):
        _end_after_restart(ctx, job)


def _end_after_restart(ctx: Context, job: Job) -> None:
    """Set a final status for a job that ran when the stack ended."""
    job.done.set()
    if job.status in ENDED:
        return None
    if job.stop.is_set():
        return job.ends(
            "Stopped", "Stopped", f"{job.kind.capitalize()} job stopped", ctx.clock.now()
        )
    job.failure = ENDED_WITH_STACK
    return job.ends("Failed", "Failed", f"{job.kind.capitalize()} job failed", ctx.clock.now())
