"""PipelineService's pipeline jobs: create, get, list, cancel, delete."""

from __future__ import annotations

import re
import traceback
from typing import Any

from google.cloud.aiplatform_v1.types import PipelineFailurePolicy, PipelineState
from google.cloud.aiplatform_v1.types.pipeline_service import (
    BatchCancelPipelineJobsResponse,
    BatchDeletePipelineJobsResponse,
    ListPipelineJobsResponse,
)
from google.protobuf import empty_pb2, json_format
from google.rpc.code_pb2 import CANCELLED, INTERNAL

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import canonical
from ....core.registry import handles
from ....core.resources import operations
from ....core.resources.listing import last_segment, page_of
from ....core.resources.validation import check_display_name, check_labels
from . import details, engine, tracking
from .records import Artifact, Inputs, Outcome, Pipelines, Run
from .specification import validation
from .specification.spec import SCHEMA, Pipeline
from .specification.validation import BadSpec

_SERVICE = "google.cloud.aiplatform.v1.PipelineService"
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_ENDED = (
    PipelineState.PIPELINE_STATE_SUCCEEDED,
    PipelineState.PIPELINE_STATE_FAILED,
    PipelineState.PIPELINE_STATE_CANCELLED,
)
_FILTERS = (
    "pipeline_name",
    "display_name",
    "pipeline_job_user_id",
    "state",
    "create_time",
    "update_time",
    "end_time",
    "labels",
    "template_uri",
    "service_account",
    "name",
)


@handles(f"{_SERVICE}.CreatePipelineJob")
def create_pipeline_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreatePipelineJob: start a pipeline job."""
    parent = canonical(call, request.parent)
    message = details.PipelineJobPb()
    message.CopyFrom(request.pipeline_job)
    check_display_name(message.display_name, kind="PipelineJob", required=False)
    check_labels(message.labels)
    try:
        pipeline, arguments = _read(call, message, parent)
    except BadSpec as error:
        raise GcpError("INVALID_ARGUMENT", str(error)) from error
    job_id = (
        request.pipeline_job_id
        or f"{pipeline.pipeline_info.name[:100]}-{call.clock.now():%Y%m%d%H%M%S}"
    )
    if not _ID.fullmatch(job_id):
        raise GcpError(
            "INVALID_ARGUMENT", f"pipeline_job_id: {job_id!r} does not match ^{_ID.pattern}$."
        )
    message.name = f"{parent}/pipelineJobs/{job_id}"
    message.service_account = (
        message.service_account or f"{parent.split('/')[1]}-compute@developer.gserviceaccount.com"
    )
    message.state = int(PipelineState.PIPELINE_STATE_PENDING)
    message.create_time.CopyFrom(call.now_pb())
    message.update_time.CopyFrom(message.create_time)
    fast = (
        message.runtime_config.failure_policy
        == PipelineFailurePolicy.PIPELINE_FAILURE_POLICY_FAIL_FAST
    )
    run = Run(message, pipeline, arguments, fail_fast=fast)
    message.labels["vertex-ai-pipelines-run-billing-id"] = run.uuid
    store = call.store(Pipelines)
    with store.lock:
        if message.name in store.runs:
            raise GcpError("ALREADY_EXISTS", f"The PipelineJob already exists: {message.name}")
        store.runs[message.name] = run
    answer = details.PipelineJobPb()
    answer.CopyFrom(message)
    call.spawn(_work, call.without_request(), run)
    return answer


def _read(call: Call, message: Any, parent: str) -> tuple[Pipeline, Inputs]:
    """Parse the pipeline spec in a PipelineJob message; return it with the pipeline's inputs."""
    config = message.runtime_config
    if message.template_uri and not message.pipeline_spec.fields:
        raise BadSpec(
            "template_uri: the local stack has no template registry: give the pipeline_spec."
        )
    if not config.gcs_output_directory.startswith("gs://"):
        raise BadSpec(
            f"runtime_config.gcs_output_directory: {config.gcs_output_directory!r} is no "
            "path in Cloud Storage (gs://...)."
        )
    if config.parameters:
        raise BadSpec(
            f"runtime_config.parameters: pipelines of schema {SCHEMA} take parameter_values."
        )
    pipeline = validation.read(json_format.MessageToDict(message.pipeline_spec))
    arguments = {
        name: json_format.MessageToDict(value) for name, value in config.parameter_values.items()
    }
    return pipeline, Inputs(
        parameters=validation.parameters(pipeline, validation.with_whole_numbers(arguments)),
        artifacts=_artifacts(call, pipeline, config, parent),
    )


def _artifacts(
    call: Call, pipeline: Pipeline, config: Any, parent: str
) -> dict[str, list[Artifact]]:
    """Return a pipeline's input artifacts from the metadata store, as its `config` names them."""
    declared = pipeline.root.input_definitions.artifacts
    artifacts: dict[str, list[Artifact]] = {}
    for name, chosen in config.input_artifacts.items():
        if name not in declared:
            raise BadSpec(
                f"runtime_config.input_artifacts: the pipeline has no input artifact {name}."
            )
        artifact = tracking.artifact(call, f"{parent}/metadataStores/default", chosen.artifact_id)
        if artifact is None:
            raise BadSpec(
                f"runtime_config.input_artifacts: {name}: there is no artifact "
                f"{chosen.artifact_id!r} in the metadata store."
            )
        artifacts[name] = [artifact]
    if missing := [
        name
        for name, artifact in declared.items()
        if name not in artifacts and not artifact.is_optional
    ]:
        raise BadSpec(
            f"runtime_config.input_artifacts: the input artifact {missing[0]} is missing."
        )
    return artifacts


def _work(call: Call, run: Run) -> None:
    """Run a pipeline in the background until it ends, and store its final state."""
    with run.lock:
        if not run.stop.is_set():
            run.message.state = int(PipelineState.PIPELINE_STATE_RUNNING)
            details.stamp(run, "start_time", call.clock.now())
    try:
        try:
            outcome = engine.run(call, run)
        except Exception as error:  # noqa: BLE001  the stack's own mistake must show, not leave a pipeline that never ends
            traceback.print_exc()
            outcome = Outcome(
                state="FAILED", code=INTERNAL, message=f"the local stack failed: {error!r}"
            )
        if call.stopping.is_set():
            return
        with run.lock:
            run.message.state = int(PipelineState[f"PIPELINE_STATE_{outcome.state}"])
            if outcome.code:
                run.message.error.code = outcome.code
                run.message.error.message = _failure_message(run, outcome.message)
            details.stamp(run, "end_time", call.clock.now())
    finally:
        run.done.set()


def _failure_message(run: Run, message: str) -> str:
    """Return a failed pipeline run's error message, with its project and id."""
    project = run.name.split("/")[1]
    if run.stop.is_set():
        return message
    return (
        f"{message}; Job (project_number = {project}, job_id = {run.id}) is failed due to the "
        "above error."
    )


def _run_of(call: Call, name: str) -> Run:
    """Return the pipeline run of that name; raise NOT_FOUND if there is none."""
    name = canonical(call, name)
    run = call.store(Pipelines).runs.get(name)
    if run is None:
        raise GcpError("NOT_FOUND", f"The PipelineJob does not exist: {name}")
    return run


def _job_answer(call: Call, run: Run) -> Any:
    """Return a pipeline run's PipelineJob as GetPipelineJob answers it."""
    return details.job_message(run, tracking.contexts(call, run))


@handles(f"{_SERVICE}.GetPipelineJob")
def get_pipeline_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetPipelineJob: return a pipeline job."""
    return _job_answer(call, _run_of(call, request.name))


@handles(f"{_SERVICE}.ListPipelineJobs")
def list_pipeline_jobs(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListPipelineJobs: list the pipeline jobs."""
    prefix = f"{canonical(call, request.parent)}/pipelineJobs/"
    store = call.store(Pipelines)
    with store.lock:
        runs = [run for name, run in store.runs.items() if name.startswith(prefix)]
    messages = [
        details.job_message(run, tracking.contexts(call, run), tasks=False)
        for run in reversed(runs)
    ]  # the newest first
    more = {"pipeline_name": _pipeline_name, "pipeline_job_user_id": last_segment}
    mask = list(request.read_mask.paths)
    request.ClearField("read_mask")
    page, token = page_of(
        messages,
        request,
        fields=_FILTERS,
        more=more,
        orders=("create_time", "update_time", "end_time", "start_time"),
    )
    answer = [details.masked_job(message, mask) for message in page] if mask else page
    return ListPipelineJobsResponse.pb()(pipeline_jobs=answer, next_page_token=token)


def _pipeline_name(message: Any) -> object:
    """Return the name of the pipeline in a PipelineJob, for filters of lists."""
    return message.pipeline_spec["pipelineInfo"]["name"]


@handles(f"{_SERVICE}.CancelPipelineJob")
def cancel_pipeline_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CancelPipelineJob: cancel a pipeline job."""
    run = _run_of(call, request.name)
    with run.lock:
        if run.message.state in _ENDED:
            state = PipelineState(run.message.state).name
            raise GcpError(
                "FAILED_PRECONDITION",
                f"The PipelineJob {run.name} is in state {state}: it cannot be cancelled.",
            )
        _cancel(call, run)
    return empty_pb2.Empty()


def _cancel(call: Call, run: Run) -> None:
    """Ask a pipeline run to stop, and set its state to cancelling."""
    run.message.state = int(PipelineState.PIPELINE_STATE_CANCELLING)
    run.message.update_time.CopyFrom(call.now_pb())
    run.message.error.code, run.message.error.message = CANCELLED, "The pipeline job was cancelled."
    run.stop.set()


@handles(f"{_SERVICE}.DeletePipelineJob")
def delete_pipeline_job(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeletePipelineJob: delete a pipeline job."""
    run = _run_of(call, request.name)
    _check_ended([run])
    call.store(Pipelines).runs.pop(run.name, None)
    return operations.completed_operation(call, run.name.rpartition("/pipelineJobs/")[0])


def _check_ended(runs: list[Run]) -> None:
    """Raise FAILED_PRECONDITION if one of the pipeline runs has not ended."""
    for run in runs:
        if run.message.state not in _ENDED:
            state = PipelineState(run.message.state).name
            raise GcpError(
                "FAILED_PRECONDITION",
                f"The PipelineJob {run.name} is in state {state}: only one that has ended "
                "can be deleted.",
            )


@handles(f"{_SERVICE}.BatchCancelPipelineJobs")
def batch_cancel_pipeline_jobs(call: Call, request: Any) -> Any:
    """Cancel several jobs; ended ones stay as they are."""
    parent = canonical(call, request.parent)
    runs = [_run_of(call, name) for name in _batch(request)]
    for run in runs:
        with run.lock:
            if run.message.state not in _ENDED:
                _cancel(call, run)
    response = BatchCancelPipelineJobsResponse.pb()

    def work(_: Any) -> Any:
        for run in runs:
            while not run.done.wait(0.05) and not call.stopping.is_set():
                pass
        return response(pipeline_jobs=[_job_answer(call, run) for run in runs])

    return operations.start(call, parent, work)


@handles(f"{_SERVICE}.BatchDeletePipelineJobs")
def batch_delete_pipeline_jobs(call: Call, request: Any) -> Any:
    """Delete several jobs: all of them, or none."""
    parent = canonical(call, request.parent)
    runs = [_run_of(call, name) for name in _batch(request)]
    _check_ended(runs)
    deleted = BatchDeletePipelineJobsResponse.pb()(
        pipeline_jobs=[_job_answer(call, run) for run in runs]
    )
    for run in runs:
        call.store(Pipelines).runs.pop(run.name, None)
    return operations.completed_operation(call, parent, deleted)


def _batch(request: Any) -> list[str]:
    """Return the resource names in a batch request, which has 1 to 32 of them."""
    if not 1 <= len(request.names) <= 32:
        raise GcpError(
            "INVALID_ARGUMENT", f"names: a batch has 1 to 32 names, not {len(request.names)}."
        )
    return list(request.names)
