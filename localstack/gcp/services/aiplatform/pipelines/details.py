"""Pipeline jobs as the API shows them: PipelineJob with its job_detail."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from google.cloud.aiplatform_v1.types import Artifact as ArtifactType
from google.cloud.aiplatform_v1.types import (
    Context,
    Execution,
    PipelineJob,
    PipelineJobDetail,
    PipelineTaskDetail,
)
from google.protobuf import json_format
from google.protobuf.field_mask_pb2 import FieldMask

from .records import Artifact, Run, TaskRun

State = PipelineTaskDetail.State
_EXECUTION = {
    "SUCCEEDED": Execution.State.COMPLETE,
    "SKIPPED": Execution.State.CACHED,
    "FAILED": Execution.State.FAILED,
    "CANCELLED": Execution.State.CANCELLED,
}
PipelineJobPb, DetailPb, TaskPb = PipelineJob.pb(), PipelineJobDetail.pb(), PipelineTaskDetail.pb()
ExecutionPb, ContextPb, ArtifactPb = Execution.pb(), Context.pb(), ArtifactType.pb()


def job_message(run: Run, contexts: Sequence[Any] = (), *, tasks: bool = True) -> Any:
    """Return a pipeline run's PipelineJob message as GetPipelineJob answers it.

    `contexts` are the ML Metadata contexts of the pipeline and the run, once they exist. Lists
    leave `tasks` out.
    """
    job = PipelineJobPb()
    with run.lock:
        job.CopyFrom(run.message)
        job.job_detail.CopyFrom(_detail(run, contexts))
    if not tasks:
        job.job_detail.ClearField("task_details")
    return job


def masked_job(job: Any, paths: Sequence[str]) -> Any:
    """Return a PipelineJob message with only the fields that a read mask names.

    Within the spec, which is a Struct, a path is in snake_case, too: pipeline_spec.pipeline_info.
    """
    inside = [path.split(".", 1)[1] for path in paths if path.startswith("pipeline_spec.")]
    result = PipelineJobPb()
    FieldMask(paths=[path for path in paths if not path.startswith("pipeline_spec.")]).MergeMessage(
        job, result
    )
    for path in inside:
        key = re.sub(r"_([a-z])", lambda match: match[1].upper(), path.partition(".")[0])
        if key in job.pipeline_spec.fields:
            result.pipeline_spec.fields[key].CopyFrom(job.pipeline_spec.fields[key])
    return result


def _detail(run: Run, contexts: Sequence[Any]) -> Any:
    """Return the job_detail message of a pipeline run."""
    detail = DetailPb()
    if contexts:
        detail.pipeline_context.CopyFrom(contexts[0])
        detail.pipeline_run_context.CopyFrom(contexts[1])
    detail.task_details.extend(_task(run, row) for row in run.tasks if row.state)
    return detail


def context(run: Run, name: str, schema: str) -> Any:
    """Return the ML Metadata context `name` with a schema, for a pipeline or a run of one."""
    message = ContextPb(
        name=f"{run.store}/contexts/{name}",
        display_name=name,
        schema_title=schema,
        schema_version="0.0.1",
    )
    message.create_time.CopyFrom(run.message.create_time)
    message.update_time.CopyFrom(run.message.create_time)
    return message


def _task(run: Run, row: TaskRun) -> Any:
    """Return the record `row` of a pipeline task as a PipelineTaskDetail message."""
    task = TaskPb(
        task_id=row.id,
        parent_task_id=row.parent,
        task_name=row.name,
        task_unique_name=row.unique_name,
        state=int(State[row.state]),
    )
    for field, moment in (
        ("create_time", row.created),
        ("start_time", row.started),
        ("end_time", row.ended),
    ):
        if moment is not None:
            getattr(task, field).FromDatetime(moment)
    for moment, state in row.statuses:
        task.pipeline_task_status.add(state=int(State[state])).update_time.FromDatetime(moment)
    if row.started is not None:
        task.execution.CopyFrom(execution(row))
    if row.jobs:
        task.executor_detail.container_detail.main_job = row.jobs[-1]
        task.executor_detail.container_detail.failed_main_jobs.extend(row.jobs[:-1])
    if row.outcome is not None and row.outcome.code:
        task.error.code, task.error.message = row.outcome.code, row.outcome.message
    for key, artifacts in row.inputs.artifacts.items():
        task.inputs[key].artifacts.extend(artifact_message(run, artifact) for artifact in artifacts)
    for key, artifacts in (row.outcome.artifacts if row.outcome else {}).items():
        task.outputs[key].artifacts.extend(
            artifact_message(run, artifact) for artifact in artifacts
        )
    return task


def execution(row: TaskRun) -> Any:
    """Return the ML Metadata Execution message of a pipeline task."""
    message = ExecutionPb(
        name=row.execution,
        display_name=row.name,
        state=int(_EXECUTION.get(row.state, Execution.State.RUNNING)),
        schema_title=row.kind,
        schema_version="0.0.1",
    )
    values = {f"input:{key}": value for key, value in row.inputs.parameters.items()}
    values |= {
        f"output:{key}": value
        for key, value in (row.outcome.parameters if row.outcome else {}).items()
    }
    json_format.ParseDict({key: _plain(value) for key, value in values.items()}, message.metadata)
    message.create_time.FromDatetime(row.created)
    message.update_time.FromDatetime(row.ended or row.created)
    return message


def _plain(value: Any) -> Any:
    """Return a metadata value: a number or a text as it is, anything else as JSON text."""
    return (
        value
        if isinstance(value, (int, float, str)) and not isinstance(value, bool)
        else json.dumps(value)
    )


def artifact_message(run: Run, artifact: Artifact) -> Any:
    """Return the ML Metadata Artifact message of a pipeline's artifact."""
    message = ArtifactPb(
        name=artifact.name,
        display_name=artifact.key,
        uri=artifact.uri,
        schema_title=artifact.type.schema_title,
        schema_version=artifact.type.schema_version,
        state=int(ArtifactType.State.LIVE),
    )
    json_format.ParseDict(dict(artifact.metadata), message.metadata)
    message.create_time.CopyFrom(run.message.create_time)
    return message


def stamp(run: Run, field: str, moment: datetime) -> None:
    """Set the time field `field` of a pipeline run's PipelineJob message to a moment."""
    getattr(run.message, field).FromDatetime(moment)
    run.message.update_time.FromDatetime(moment)
