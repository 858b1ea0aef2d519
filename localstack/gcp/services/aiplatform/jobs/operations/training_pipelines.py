"""PipelineService's training pipelines: a custom job, and the upload of the model it wrote.

`CustomTrainingJob.run` and its kin create one.
"""

from __future__ import annotations

import re
from typing import Any

from google.cloud.aiplatform_v1.types import (
    CustomJobSpec,
    JobState,
    PipelineState,
    TrainingPipeline,
    UploadModelRequest,
)
from google.cloud.aiplatform_v1.types.pipeline_service import ListTrainingPipelinesResponse
from google.protobuf import empty_pb2, json_format
from google.rpc.code_pb2 import CANCELLED, INTERNAL

from .....core.call import Call
from .....core.errors import GcpError
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.listing import page_of
from .....core.resources.standard_methods import change_if_present
from .....core.resources.store import Resources
from .....core.resources.validation import check_display_name, check_labels
from ...models.operations import upload
from ..records import Running, Trainings
from . import custom_jobs

_SERVICE = "google.cloud.aiplatform.v1.PipelineService"
_CUSTOM = re.compile(
    r"gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1\.0\.0\.yaml"
)
_FILTERS = (
    "display_name",
    "state",
    "training_task_definition",
    "create_time",
    "update_time",
    "labels",
)
_ENDED = (
    PipelineState.PIPELINE_STATE_SUCCEEDED,
    PipelineState.PIPELINE_STATE_FAILED,
    PipelineState.PIPELINE_STATE_CANCELLED,
)
_LOOK = 0.05  # seconds between two looks whether the stack stops, or the pipeline is to
TrainingPipelinePb = TrainingPipeline.pb()


@handles(f"{_SERVICE}.CreateTrainingPipeline")
def create_training_pipeline(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateTrainingPipeline: start a training pipeline."""
    parent = canonical(call, request.parent)
    pipeline = TrainingPipelinePb()
    pipeline.CopyFrom(request.training_pipeline)
    check_display_name(pipeline.display_name, kind="TrainingPipeline")
    check_labels(pipeline.labels)
    _check_supported(pipeline)
    spec = _spec(pipeline.training_task_inputs)
    if pipeline.HasField("model_to_upload"):
        _complete(pipeline.model_to_upload, spec)
        upload.check(call, _upload(parent, pipeline))
    pipeline.name = f"{parent}/trainingPipelines/{call.new_id()}"
    pipeline.state = int(PipelineState.PIPELINE_STATE_PENDING)
    pipeline.create_time.CopyFrom(call.now_pb())
    pipeline.update_time.CopyFrom(pipeline.create_time)
    training = call.store(Trainings).running[pipeline.name] = Running()
    call.store(Resources).add(pipeline.name, pipeline)
    call.spawn(_Training(call.without_request(), pipeline, spec, training).run)
    return pipeline


def _check_supported(pipeline: Any) -> None:
    """Raise INVALID_ARGUMENT or UNIMPLEMENTED for a training pipeline that the stack cannot run."""
    if not _CUSTOM.fullmatch(pipeline.training_task_definition):
        text = (
            f"training_task_definition {pipeline.training_task_definition!r}: the offline GCP "
            "trains custom_task_1.0.0 alone"
        )
        raise GcpError("UNIMPLEMENTED", text, reason="notImplemented")
    if pipeline.HasField("input_data_config"):
        raise GcpError(
            "UNIMPLEMENTED",
            "input_data_config: the offline GCP has no managed datasets yet",
            reason="notImplemented",
        )


def _spec(inputs: Any) -> Any:
    """Return the CustomJobSpec that a training pipeline's training_task_inputs describe.

    Raises:
        GcpError: INVALID_ARGUMENT, which names the field.
    """
    spec = CustomJobSpec.pb()()
    try:
        json_format.ParseDict(json_format.MessageToDict(inputs), spec)
    except (
        json_format.ParseError,
        AttributeError,
        TypeError,
    ) as error:  # a text or a list has no members
        raise GcpError("INVALID_ARGUMENT", f"training_task_inputs: {error}") from error
    custom_jobs.check_spec(spec, "training_task_inputs")
    return spec


def _complete(model: Any, spec: Any) -> None:
    """Set the artifact_uri of the model to upload from the job's output folder, unless it is set.

    `spec` is the CustomJobSpec; raises INVALID_ARGUMENT if it names no output folder.
    """
    base = spec.base_output_directory.output_uri_prefix
    if not model.artifact_uri:
        if not base:
            raise GcpError(
                "INVALID_ARGUMENT",
                "training_task_inputs.base_output_directory is required for a model_to_upload.",
            )
        model.artifact_uri = f"{base.rstrip('/')}/model"


def _upload(parent: str, pipeline: Any) -> Any:
    """Return the UploadModelRequest for the model that a training pipeline produces."""
    return UploadModelRequest.pb()(
        parent=parent,
        model=pipeline.model_to_upload,
        model_id=pipeline.model_id,
        parent_model=pipeline.parent_model,
    )


class _Training:
    """The run of one training pipeline."""

    def __init__(self, call: Call, pipeline: Any, spec: Any, training: Running) -> None:
        self.call = call
        self.name: str = pipeline.name
        self.parent = self.name.rpartition("/trainingPipelines/")[0]
        self.pipeline = pipeline
        self.spec = spec
        self.training = training

    def run(self) -> None:
        """Run a training pipeline to its end, and store how it ended."""
        try:
            self._end(*self._run())
        except GcpError as error:
            self._end(PipelineState.PIPELINE_STATE_FAILED, error.code, error.message)
        except Exception as error:
            # the stack's own mistake must show as the service's, not as a pipeline that never ends
            self._end(
                PipelineState.PIPELINE_STATE_FAILED, INTERNAL, f"the local stack failed: {error!r}"
            )
            raise
        finally:
            self.training.done.set()

    def _run(self) -> tuple[PipelineState, int, str]:
        """Run the custom job, upload its model; return the final state, error code and message."""
        if self.training.stop.is_set():
            return _CANCELLED_END
        job = self._job()
        working = custom_jobs.start(self.call, self.parent, job)
        self._change(lambda pipeline: _set_running(self.call, pipeline, job.name))
        while not working.done.wait(_LOOK):
            if self.training.stop.is_set():
                working.stop.set()
            if self.call.stopping.is_set():
                break
        job = self.call.store(Resources).get("CustomJob", job.name)
        if job.state == JobState.JOB_STATE_SUCCEEDED:
            self._upload_model()
            return PipelineState.PIPELINE_STATE_SUCCEEDED, 0, ""
        if self.training.stop.is_set():
            return _CANCELLED_END
        return (
            PipelineState.PIPELINE_STATE_FAILED,
            job.error.code or INTERNAL,
            job.error.message or f"{job.name} did not succeed.",
        )

    def _job(self) -> Any:
        """Return a new CustomJob message for the training pipeline's work."""
        job = custom_jobs.CustomJobPb(
            display_name=f"{self.pipeline.display_name}-custom-job"[:128], job_spec=self.spec
        )
        job.labels.update(self.pipeline.labels)
        return job

    def _upload_model(self) -> None:
        """Register the model that the custom job wrote.

        Raises:
            GcpError: The job wrote no model, or the model's id has been taken meanwhile.
        """
        if not self.pipeline.HasField("model_to_upload"):
            return
        model = upload.upload(
            self.call, _upload(self.parent, self.pipeline), training_pipeline=self.name
        )
        self._change(lambda pipeline: pipeline.model_to_upload.CopyFrom(model))

    def _change(self, change: Any) -> None:
        """Change the stored training pipeline's message in place."""
        change_if_present(self.call, self.name, change)

    def _end(self, state: PipelineState, code: int = 0, message: str = "") -> None:
        """Store the training pipeline's final state, end time and error."""

        def ended(pipeline: Any) -> None:
            pipeline.state = int(state)
            pipeline.end_time.CopyFrom(self.call.now_pb())
            if code:
                pipeline.error.code, pipeline.error.message = code, message

        if not self.call.stopping.is_set():
            self._change(ended)


_CANCELLED_END = (
    PipelineState.PIPELINE_STATE_CANCELLED,
    CANCELLED,
    "The training pipeline was cancelled.",
)


def _set_running(call: Call, pipeline: Any, job: str) -> None:
    """Set a training pipeline's state to running, with its custom job's name."""
    if pipeline.state == PipelineState.PIPELINE_STATE_PENDING:
        pipeline.state = int(PipelineState.PIPELINE_STATE_RUNNING)
    pipeline.start_time.CopyFrom(call.now_pb())
    pipeline.training_task_metadata.struct_value["backingCustomJob"] = job


@handles(f"{_SERVICE}.GetTrainingPipeline")
def get_training_pipeline(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetTrainingPipeline: return a training pipeline."""
    return call.store(Resources).get("TrainingPipeline", canonical(call, request.name))


@handles(f"{_SERVICE}.ListTrainingPipelines")
def list_training_pipelines(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListTrainingPipelines: list the training pipelines."""
    pipelines = call.store(Resources).below(canonical(call, request.parent), "trainingPipelines")[
        ::-1
    ]  # the newest first
    page, token = page_of(pipelines, request, fields=_FILTERS)
    return ListTrainingPipelinesResponse.pb()(training_pipelines=page, next_page_token=token)


@handles(f"{_SERVICE}.CancelTrainingPipeline")
def cancel_training_pipeline(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CancelTrainingPipeline: cancel a training pipeline."""
    name = canonical(call, request.name)

    def cancel(pipeline: Any) -> None:
        if pipeline.state in _ENDED:
            state = PipelineState(pipeline.state).name
            raise GcpError(
                "FAILED_PRECONDITION",
                f"The TrainingPipeline {name} is in state {state}: it cannot be cancelled.",
            )
        pipeline.state = int(PipelineState.PIPELINE_STATE_CANCELLING)
        pipeline.update_time.CopyFrom(call.now_pb())

    call.store(Resources).change("TrainingPipeline", name, cancel)
    call.store(Trainings).running[name].stop.set()
    return empty_pb2.Empty()


@handles(f"{_SERVICE}.DeleteTrainingPipeline")
def delete_training_pipeline(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteTrainingPipeline: delete a training pipeline."""
    name = canonical(call, request.name)
    pipeline = call.store(Resources).get("TrainingPipeline", name)
    if pipeline.state not in _ENDED:
        state = PipelineState(pipeline.state).name
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The TrainingPipeline {name} is in state {state}: only one that has ended can "
            "be deleted.",
        )
    call.store(Resources).remove(name)
    call.store(Trainings).running.pop(name, None)
    return operations.completed_operation(call, name.rpartition("/trainingPipelines/")[0])
