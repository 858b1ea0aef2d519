"""Submit a pipeline: check it, drop what the cache has, write run.json, start the engine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ...errors import AlreadyExists, Invalid, NotFound
from ...storage import BlobStore
from ..graphs.conditions import holds
from ..graphs.graph import Pipeline, Step, check, check_parameters, dependencies
from ..port import PipelineRun, StepSpec
from .artifacts import digest_text
from .cache import KeyRecord, key_parts, look_up
from .document import RunDocument, Settled, StepResult, decode_run, encode_run, open_run, run_uri
from .project_code import keep_code
from .step_results import adopt, input_digests, resolve

if TYPE_CHECKING:
    from ...core.runtime.project import Project


def submit(
    project: Project,
    pipeline: Pipeline,
    *,
    parameters: Mapping[str, Any] | None = None,
    run: str,
    retry_of: str | None = None,
) -> PipelineRun:
    """Start a pipeline run under a short name such as r7, and return at once.

    Steps whose result is known are not submitted. To resume after a crash, submit again under a new
    name: what finished is found in the cache. The same submit again changes nothing.

    Args:
        project: The project.
        pipeline: The pipeline.
        parameters: The values of its parameters.
        run: The short name.
        retry_of: An earlier run, whose parameters hold unless others are given.

    Raises:
        Invalid: the graph or the parameters are wrong. Nothing was started.
        AlreadyExists: the name belongs to another run. Nothing was started.
    """
    started = prepare(project, pipeline, parameters=parameters, run=run, retry_of=retry_of)
    if started.steps:
        project.target.pipelines.submit(started)
    return started


def prepare(
    project: Project,
    pipeline: Pipeline,
    *,
    parameters: Mapping[str, Any] | None = None,
    run: str,
    retry_of: str | None = None,
    settle: bool = True,
) -> PipelineRun:
    """Check a pipeline and write its run's document, as `submit` does before it starts anything.

    It also uploads the project's files. With `settle=False` the graph has every step, even one
    whose result is known, which the step then finds when it runs.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,62}", run):
        raise Invalid(
            f"{run!r} is no name for a run: lower-case letters, digits, - and _, a letter first",
            remedy="for example r7",
        )
    steps = check(pipeline)
    blobs = project.target.blobs
    if parameters is None and retry_of is not None:
        parameters = open_run(blobs, retry_of).parameters
    values = dict(parameters or {})
    check_parameters(pipeline, values)
    document = _document(project, pipeline, steps, values, run=run, retry_of=retry_of)
    uri = run_uri(blobs.root, run)
    if (earlier := _earlier_submit(blobs, uri, document)) is None:
        if settle:
            document = msgspec.structs.replace(
                document, settled=_settle(blobs, document, project.wall())
            )
        blobs.put(uri, encode_run(document))
    else:
        document = earlier
    return pipeline_run(blobs, document)


def run_id(project: Project, run: str) -> str:
    """Return the globally unique id by which an engine knows a run."""
    return digest_text(f"{project.target.blobs.root}\n{project.spec.name}\n{run}")[:32]


def pipeline_run(blobs: BlobStore, document: RunDocument) -> PipelineRun:
    """Return a run, from its stored document, in the form in which an engine gets it."""
    return PipelineRun(
        run_id=document.run_id,
        pipeline=document.pipeline,
        run_uri=run_uri(blobs.root, document.run),
        steps=specs(document),
    )


def specs(document: RunDocument) -> tuple[StepSpec, ...]:
    """Return the specifications of the steps of a run that still have to run.

    Steps whose result is known are left out, and conditions on their outputs.
    """
    settled = document.settled
    return tuple(
        StepSpec(
            name=step.name,
            kind=step.kind,
            needs=tuple(name for name in dependencies(step) if name not in settled),
            when=step.when if step.when and step.when.step not in settled else None,
            outputs=step.outputs,
            machine=step.machine,
            timeout=step.timeout,
            attempts=step.attempts,
        )
        for step in document.steps
        if step.name not in settled
    )


def _document(
    project: Project,
    pipeline: Pipeline,
    steps: tuple[Step, ...],
    parameters: dict[str, Any],
    *,
    run: str,
    retry_of: str | None,
) -> RunDocument:
    """Return the document (run.json) of a new run; the project's files are uploaded for it."""
    from importlib.metadata import version

    file = project.folder / "project.yaml"
    return RunDocument(
        run=run,
        run_id=run_id(project, run),
        pipeline=pipeline.name,
        project_file=str(file.resolve()) if file.is_file() else None,
        folder=str(project.folder.resolve()),
        profile=project.target.profile,
        version=version("isthmus"),
        retry_of=retry_of,
        submitted=project.wall(),
        parameters=parameters,
        steps=steps,
        settled={},
        code=keep_code(project),
    )


def _earlier_submit(blobs: BlobStore, uri: str, document: RunDocument) -> RunDocument | None:
    """Return the document of an earlier submit of the same run at `uri`, or None.

    That submit may have been interrupted before the engine got the run.
    """
    try:
        earlier = decode_run(blobs.get(uri), uri)
    except NotFound:
        return None
    except Invalid as error:
        raise AlreadyExists(f"it exists: {error}", remedy=error.remedy) from error
    same = msgspec.structs.replace(
        document, submitted=earlier.submitted, settled=earlier.settled, version=earlier.version
    )
    if encode_run(same) != encode_run(earlier):
        raise AlreadyExists(
            f"run {document.run} exists and is another one", remedy="submit under a new name"
        )
    return earlier


def _settle(blobs: BlobStore, document: RunDocument, now: datetime) -> dict[str, Settled]:
    """Find the steps that need not run: their result is in the cache, or a condition skips them.

    A cached result is stored under the new run at once. Only steps whose inputs are known are
    looked up. Returns the result, or `skipped`, by step.
    """
    settled: dict[str, Settled] = {}
    results: dict[str, StepResult] = {}
    for step in document.steps:
        if any(settled.get(name) == "skipped" for name in dependencies(step)):
            settled[step.name] = "skipped"
            continue
        if (
            step.when
            and step.when.step in results
            and not holds(step.when, results[step.when.step].outputs)
        ):
            settled[step.name] = "skipped"
            continue
        if any(name not in results for name in dependencies(step)):
            continue
        parts = key_parts(
            document, step, resolve(document, step, results), input_digests(blobs, step, results)
        )
        lookup = look_up(blobs, document, step, parts)
        if isinstance(lookup, KeyRecord):
            continue
        results[step.name] = adopt(blobs, document, step, lookup, now)
        settled[step.name] = "cached"
    return settled
