"""The execution of one task: its row in task_details, its input, its container, its result."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import msgspec
from google.cloud.aiplatform_v1.types import CustomJob, JobState
from google.protobuf import json_format
from google.rpc.code_pb2 import CANCELLED, FAILED_PRECONDITION, UNIMPLEMENTED

from ....core.call import Call
from ....core.resources.store import Resources
from ..jobs import gcs_mount, runner
from . import cache, results, tracking
from .records import Artifact, Inputs, Outcome, Pipelines, Run, TaskRun, new_task_id
from .specification import placeholders
from .specification.placeholders import RunPlaceholders as Names
from .specification.spec import Component, ContainerSpec, Executor, Importer, Retry, Task

CustomJobPb = CustomJob.pb()
_CANCELLED = Outcome(state="CANCELLED", code=CANCELLED, message="The task was cancelled.")
_MACHINE = "e2-standard-4"  # what Vertex AI takes for a container that asks for nothing


def new_task(
    call: Call, run: Run, *, parent: TaskRun | None, name: str, path: tuple[str, ...]
) -> TaskRun:
    """Add a task to a pipeline run's task_details, below `parent`, and return its record.

    `path` names the sub-pipelines and iterations around it.
    """
    now = call.clock.now()
    row = TaskRun(
        id=new_task_id(),
        parent=parent.id if parent else 0,
        name=name,
        unique_name=".".join((*path, name)),
        created=now,
        execution=f"{run.store}/executions/{call.new_id()}",
        statuses=[(now, "PENDING")],
    )
    with run.lock:
        run.tasks.append(row)
    return row


def begin(call: Call, run: Run, row: TaskRun, arguments: Inputs) -> None:
    """Set a pipeline task's state to running, with its inputs."""
    with run.lock:
        row.inputs = arguments
        row.state = "RUNNING"
        row.started = call.clock.now()
        row.statuses.append((row.started, row.state))
    tracking.record_start(call, run, row)


def finish(call: Call, run: Run, row: TaskRun, outcome: Outcome) -> None:
    """Store a pipeline task's outcome and final state in its record."""
    with run.lock:
        row.outcome = outcome
        row.state = outcome.state
        row.ended = call.clock.now()
        if outcome.state != "NOT_TRIGGERED":
            row.started = row.started or row.ended
        row.statuses.append((row.ended, row.state))
    tracking.record_end(call, run, row)


def names(run: Run, row: TaskRun) -> Names:
    """Return the values of the placeholders about a run and a task, such as the task's name."""
    message = run.message
    created = message.create_time.ToJsonString()
    project, location = run.name.split("/")[1], run.name.split("/")[3]
    return Names(
        names={
            "pipeline_job_name": run.id,
            "pipeline_job_resource_name": run.name,
            "pipeline_job_uuid": run.uuid,
            "pipeline_task_name": row.name,
            "pipeline_task_uuid": str(row.id),
            "pipeline_root": run.root,
            "pipeline_job_create_time_utc": created,
            "pipeline_job_schedule_time_utc": created,
            "pipeline_google_cloud_project_id": project,
            "pipeline_google_cloud_location": location,
            "pipeline_service_account": message.service_account,
        }
    )


def final_status(run: Run, task: str, outcome: Outcome) -> dict[str, Any]:
    """Return a task's PipelineTaskFinalStatus, which an exit handler receives, as JSON."""
    status = {
        "state": outcome.state,
        "pipelineJobUuid": run.uuid,
        "pipelineJobName": run.id,
        "pipelineJobResourceName": run.name,
        "pipelineTaskName": task,
    }
    return (
        {**status, "error": {"code": outcome.code, "message": outcome.message}}
        if outcome.code
        else {**status, "error": {}}
    )


class Execution(msgspec.Struct, frozen=True, kw_only=True):
    """The execution of a task that is no DAG."""

    call: Call
    run: Run
    task: Task
    component: Component
    row: TaskRun
    arguments: Inputs

    @property
    def names(self) -> Names:
        """The values of the placeholders about the run and the task."""
        return names(self.run, self.row)

    def outcome(self) -> Outcome:
        """Run a task that is no DAG, by cache, import or container, and return its outcome."""
        executor = self.run.pipeline.executor_of(self.component)
        if executor.importer is not None:
            self.row.kind = "system.ImporterExecution"
            begin(self.call, self.run, self.row, self.arguments)
            return self._import_artifact(executor.importer)
        begin(self.call, self.run, self.row, self.arguments)
        if executor.container is None and executor.custom_job is None:
            return Outcome(
                state="FAILED", code=UNIMPLEMENTED, message="the local stack does not run resolvers"
            )
        fingerprint = cache.fingerprint(self.run, executor, self.component, self.arguments)
        if (
            self.task.caching_options.enable_cache
            and (cached := cache.hit(self.call, fingerprint)) is not None
        ):
            return msgspec.structs.replace(cached, state="SKIPPED")
        outcome = self._with_retries(self.task.retry_policy, executor)
        if outcome.state == "SUCCEEDED":
            cache.keep(self.call, fingerprint, outcome)
        return outcome

    def _with_retries(self, retry: Retry, executor: Executor) -> Outcome:
        """Run the task's container, again after failures as `retry` says; return the outcome.

        The pauses are on the stack's clock.
        """
        pause, longest = _seconds(retry.backoff_duration), _seconds(retry.backoff_max_duration)
        for _ in range(retry.max_retry_count):
            outcome = self._run_container(executor)
            if outcome.state != "FAILED":
                return outcome
            if not self._let_pass(min(pause, longest)):
                return _CANCELLED
            pause *= retry.backoff_factor
        return self._run_container(executor)

    def _let_pass(self, seconds: float) -> bool:
        """Wait on the stack's clock; return False if the run was stopped meanwhile."""
        if seconds and self.call.clock.mode != "instant":
            due = threading.Event()
            timer = self.call.clock.call_after(timedelta(seconds=seconds), due.set)
            while not due.wait(0.05):
                if self.run.stop.is_set() or self.call.stopping.is_set():
                    timer.cancel()
                    return False
        return not self.run.stop.is_set()

    def _run_container(self, executor: Executor) -> Outcome:
        """Run the task's container as a custom job; return the outcome with its outputs."""
        call, root = self.call, self.run.task_root(self.row)
        expected = results.output_artifacts(call, self.run, self.component, root)
        executor_input = results.executor_input(self.component, self.arguments, expected, root)
        if executor.container is not None:
            job = self._container_job(executor.container, executor_input)
        else:
            spec = placeholders.resolve_inside(
                (executor.custom_job or {})["customJob"], executor_input, self.names
            )
            job = json_format.ParseDict(spec, CustomJobPb())
        job.name = f"{self.run.location}/customJobs/{call.new_id()}"
        job.display_name = job.display_name or f"{self.run.id}-{self.row.name}"[:128]
        job.labels["vertex-ai-pipelines-run-billing-id"] = self.run.uuid
        job.state = int(JobState.JOB_STATE_PENDING)
        job.create_time.CopyFrom(call.now_pb())
        with self.run.lock:
            self.row.jobs.append(job.name)
        folders = sorted(
            {
                _folder_of(uri)
                for uri in (*(a.uri for a in expected.values()), f"{root}/executor_output.json")
            }
        )
        running = runner.run_in_background(
            call,
            job,
            words=tuple(gcs_mount.words_of(executor_input["inputs"])),
            folders=tuple(folders),
        )
        while not running.done.wait(0.05):
            if self.run.stop.is_set():
                running.stop.set()
            if call.stopping.is_set():
                return _CANCELLED
        ended = call.store(Resources).get("CustomJob", job.name)
        if ended.state == JobState.JOB_STATE_CANCELLED:
            return _CANCELLED
        if ended.state != JobState.JOB_STATE_SUCCEEDED:
            return Outcome(
                state="FAILED",
                code=ended.error.code or FAILED_PRECONDITION,
                message=ended.error.message,
            )
        return results.read(call, self.component, expected, root)

    def _container_job(self, spec: ContainerSpec, executor_input: Mapping[str, Any]) -> Any:
        """Return the CustomJob that runs the task's container."""
        job = CustomJobPb()
        pool = job.job_spec.worker_pool_specs.add(replica_count=1)
        pool.machine_spec.machine_type = _MACHINE
        pool.container_spec.image_uri = spec.image
        pool.container_spec.command.extend(
            placeholders.resolve_command(spec.command, executor_input, self.names)
        )
        pool.container_spec.args.extend(
            placeholders.resolve_command(spec.args, executor_input, self.names)
        )
        for variable in spec.env:
            pool.container_spec.env.add(
                name=variable.name,
                value=placeholders.resolve(variable.value, executor_input, self.names),
            )
        labels = msgspec.json.encode(dict(self.run.message.labels)).decode()
        pool.container_spec.env.add(name="VERTEX_AI_PIPELINES_RUN_LABELS", value=labels)
        return job

    def _import_artifact(self, importer: Importer) -> Outcome:
        """Return an outcome whose artifact is the existing object that a dsl.importer task names.

        An earlier import of the same artifact is reused, unless the importer says otherwise.
        """
        scope = {"inputs": {"parameterValues": self.arguments.parameters}, "outputs": {}}
        source = importer.artifact_uri
        constant = (
            self.arguments.parameters.get("uri", "")
            if source.runtime_parameter
            else source.constant
        )
        uri = placeholders.resolve(str(constant), scope, self.names)
        metadata = {**importer.properties, **importer.custom_properties, **importer.metadata}
        metadata = placeholders.resolve_inside(metadata, scope, self.names)
        key = next(iter(self.component.output_definitions.artifacts), "artifact")
        name = f"{self.run.store}/artifacts/{self.call.new_id()}"
        artifact = Artifact(
            name=name, key=key, type=importer.type_schema, uri=uri, metadata=metadata
        )
        store = self.call.store(Pipelines)
        same = msgspec.json.encode((self.run.store, uri, importer.type_schema, metadata)).decode()
        with store.lock:
            if importer.reimport:
                store.imported[same] = artifact
            artifact = store.imported.setdefault(same, artifact)
        return Outcome(state="SUCCEEDED", artifacts={key: [artifact]})


def _seconds(duration: str) -> float:
    """Parse a duration of protobuf's JSON, such as "3.5s", into seconds."""
    return float(duration.removesuffix("s") or 0)


def _folder_of(uri: str) -> str:
    """Return the path below /gcs of the folder that holds a gs:// URI's object."""
    return uri.removeprefix("gs://").rpartition("/")[0]
