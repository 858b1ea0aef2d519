"""PipelineEngine on Vertex AI Pipelines: a PipelineJob for each run, under our id.

The job pins what runs.
"""

from __future__ import annotations

from typing import Any, final

from ....errors import AlreadyExists, Busy, NotFound
from ....pipelines.graphs import kubeflow as ir
from ....pipelines.port import PipelineRun, RunState
from ....pipelines.runs.document import StepFailure, find, folder_of
from ....target import Target
from ...common.pipelines.executions import Execution, read, write
from ..machines import container_limits, image, job_environment, job_machine
from ..names import dashed
from ..session import VertexSession, session_of
from . import run_states

_GOING_ON = (
    "PIPELINE_STATE_QUEUED",
    "PIPELINE_STATE_PENDING",
    "PIPELINE_STATE_RUNNING",
    "PIPELINE_STATE_PAUSED",
)


@final
class VertexPipelines:
    """The PipelineEngine port over Vertex AI Pipelines."""

    def __init__(self, target: Target) -> None:
        self._session: VertexSession = session_of(target)
        self._blobs = target.blobs

    def submit(self, run: PipelineRun) -> None:
        """Start a run as a PipelineJob under the run's own id, so that a repeat starts nothing."""
        if read(self._blobs, run.run_id) is None:
            write(self._blobs, Execution(run=run, pipeline=dashed(run.pipeline, run.run_id)))
        name = dashed(run.pipeline, run.run_id)
        session = self._session
        try:
            with session.mutating("CreatePipelineJob", name):
                session.pipelines.create_pipeline_job(
                    parent=session.parent, pipeline_job=self._job(run), pipeline_job_id=name
                )
        except AlreadyExists:
            return

    def observe(self, run_id: str) -> RunState | None:
        """Return a pipeline run's state from its PipelineJob and the job's tasks, or None.

        A failed step's reason is the error that the step itself stored.
        """
        execution = read(self._blobs, run_id)
        job = self._get(execution) if execution is not None else None
        if execution is None or job is None:
            return None
        folder = folder_of(execution.run.run_uri)

        def why(step: str) -> str | None:
            failure = find(self._blobs, f"{folder}/{step}/failed.json", StepFailure)
            return failure.reason if failure else None

        return run_states.run_state(
            execution.run,
            job.state.name,
            job.job_detail.task_details,
            why=why,
            log=lambda step: f"{folder}/{step}/log.txt",
            url=self._page,
        )

    def cancel(self, run_id: str) -> None:
        """Cancel a run's PipelineJob without waiting; the run may be finished or absent."""
        execution = read(self._blobs, run_id)
        job = self._get(execution) if execution is not None else None
        if execution is None or job is None or job.state.name not in _GOING_ON:
            return
        try:
            with self._session.mutating("CancelPipelineJob", execution.pipeline):
                self._session.pipelines.cancel_pipeline_job(name=self._name(execution))
        except (Busy, NotFound):  # it ended meanwhile
            return

    def _get(self, execution: Execution) -> Any | None:
        """Return a run's PipelineJob, or None if it was never made, or was deleted."""
        try:
            with self._session.reading("GetPipelineJob", execution.pipeline):
                return self._session.pipelines.get_pipeline_job(name=self._name(execution))
        except NotFound:
            return None

    def _name(self, execution: Execution) -> str:
        """Return the full resource name of a run's PipelineJob."""
        return f"{self._session.parent}/pipelineJobs/{execution.pipeline}"

    def _job(self, run: PipelineRun) -> Any:
        """Return the PipelineJob message with which to create the job of a run."""
        from google.cloud.aiplatform_v1.types import PipelineFailurePolicy, PipelineJob

        session = self._session
        return PipelineJob(
            display_name=dashed(session.name, run.pipeline),
            pipeline_spec=ir.document(run, self._settings(run)),
            runtime_config=PipelineJob.RuntimeConfig(
                gcs_output_directory=f"{session.root}/provider",
                parameter_values={ir.RUN_URI: run.run_uri},
                failure_policy=PipelineFailurePolicy.PIPELINE_FAILURE_POLICY_FAIL_FAST,
            ),
            labels=session.labels("run", run.pipeline),
            service_account=session.service_account or "",
        )

    def _settings(self, run: PipelineRun) -> ir.Settings:
        """Return the settings for a run's pipeline spec: name, image, environment and machines."""
        session = self._session
        default = job_machine(session.profile)
        return ir.Settings(
            name=dashed(session.name, run.pipeline),
            image=image(session.profile),
            environment=job_environment(session.profile, session.project),
            machines={
                machine: container_limits(machine or default)
                for machine in {spec.machine for spec in run.steps}
            },
        )

    def _page(self, job: str) -> str | None:
        """Return the URL of a custom job's page in the console, or None offline."""
        session = self._session
        if session.offline:
            return None
        place = f"locations/{session.location}/training/{job.rpartition('/')[2]}"
        return f"https://console.cloud.google.com/vertex-ai/{place}?project={session.project}"
