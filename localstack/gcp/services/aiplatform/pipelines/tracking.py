"""Pipelines in Vertex ML Metadata: contexts, executions, artifacts and events."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import Event, MetadataStore
from google.protobuf import json_format

from ....core.call import Call
from ....core.resources import standard_methods
from ....core.resources.store import Resources
from ..metadata.kinds import ARTIFACT, CONTEXT, EXECUTION, STORE
from ..metadata.records import Lineage
from . import details
from .records import Artifact, Run, TaskRun
from .specification.spec import ArtifactType
from .specification.validation import with_whole_numbers

EventPb = Event.pb()


def record_run(call: Call, run: Run) -> None:
    """Create the ML Metadata contexts of a pipeline and of its run."""
    with call.store(Resources).lock:
        _find_or_create(call, STORE, run.store, MetadataStore.pb()())
        pipeline = _find_or_create(
            call,
            CONTEXT,
            f"{run.store}/contexts/{run.pipeline.pipeline_info.name}",
            details.context(run, run.pipeline.pipeline_info.name, "system.Pipeline"),
        )
        context = details.context(run, run.id, "system.PipelineRun")
        context.parent_contexts.append(pipeline.name)
        _find_or_create(call, CONTEXT, f"{run.store}/contexts/{run.id}", context)


def record_start(call: Call, run: Run, row: TaskRun) -> None:
    """Record in ML Metadata that a pipeline task begins to run."""
    _find_or_create(call, EXECUTION, row.execution, details.execution(row))
    call.store(Lineage).add_members(f"{run.store}/contexts/{run.id}", [row.execution])


def record_end(call: Call, run: Run, row: TaskRun) -> None:
    """Record in ML Metadata that a pipeline task has ended, with its artifacts."""
    if row.started is None:
        return
    resources, lineage = call.store(Resources), call.store(Lineage)
    outputs = [
        artifact
        for artifacts in (row.outcome.artifacts if row.outcome else {}).values()
        for artifact in artifacts
    ]
    inputs = [artifact for artifacts in row.inputs.artifacts.values() for artifact in artifacts]
    with resources.lock:
        execution = _find_or_create(call, EXECUTION, row.execution, details.execution(row))
        execution.MergeFrom(details.execution(row))
        resources.put(row.execution, execution)
        for artifact in outputs:
            _find_or_create(call, ARTIFACT, artifact.name, details.artifact_message(run, artifact))
    names = [artifact.name for artifact in (*inputs, *outputs)]
    lineage.add_members(f"{run.store}/contexts/{run.id}", [row.execution, *names])
    events = [(artifact, Event.Type.INPUT) for artifact in inputs] + [
        (artifact, Event.Type.OUTPUT) for artifact in outputs
    ]
    lineage.add_events(
        row.execution, [_event(call, row, artifact, kind) for artifact, kind in events]
    )


def artifact(call: Call, store: str, identifier: str) -> Artifact | None:
    """Return an artifact from the metadata store by its id, or None."""
    message = call.store(Resources).find(f"{store}/artifacts/{identifier}")
    if message is None:
        return None
    kind = ArtifactType(schema_title=message.schema_title, schema_version=message.schema_version)
    metadata = with_whole_numbers(json_format.MessageToDict(message.metadata))
    return Artifact(
        name=message.name, key=message.display_name, type=kind, uri=message.uri, metadata=metadata
    )


def contexts(call: Call, run: Run) -> list[Any]:
    """Return the ML Metadata contexts of a pipeline and its run as stored now, or no contexts.

    There are none before the run starts. An experiment may have changed them.
    """
    names = (f"{run.store}/contexts/{name}" for name in (run.pipeline.pipeline_info.name, run.id))
    messages = [
        message for name in names if (message := call.store(Resources).find(name)) is not None
    ]
    return messages if len(messages) == 2 else []


def _find_or_create(
    call: Call, kind: standard_methods.ResourceKind, name: str, message: Any
) -> Any:
    """Return the ML Metadata node `name`; if it does not exist, store `message` under that name."""
    stored = call.store(Resources).find(name)
    return standard_methods.create(call, kind, name, message) if stored is None else stored


def _event(call: Call, row: TaskRun, artifact: Artifact, kind: Event.Type) -> Any:
    """Return the ML Metadata event that links a task's execution to an artifact."""
    event = EventPb(artifact=artifact.name, execution=row.execution, type_=int(kind))
    event.event_time.CopyFrom(call.now_pb())
    return event
