"""PipelineEngine on SageMaker Pipelines: a pipeline for each of ours, an execution for each run.

Each submit makes a version of the pipeline.
"""

from __future__ import annotations

from typing import final

import msgspec

from ....errors import AlreadyExists, Conflict, NotFound
from ....pipelines.port import PipelineRun, RunState
from ....pipelines.runs.document import StepFailure, find, folder_of
from ....target import Target
from ...common.pipelines.executions import Execution, read, write
from ..machines import image, job_environment, job_machine
from ..names import dashed
from ..session import AwsSession, aws_of
from . import executions, run_states
from .definition import RUN_FOLDER, RUN_URI, DefinitionSettings, definition


@final
class SageMakerPipelines:
    """The PipelineEngine port over SageMaker Pipelines."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._aws: AwsSession = aws_of(target)
        self._blobs = target.blobs

    def submit(self, run: PipelineRun) -> None:
        """Start a pipeline run as a SageMaker execution, recording each stage before the next.

        A repeat after a crash goes on from the last record, and starts nothing twice.
        """
        execution = read(self._blobs, run.run_id)
        if (
            execution is not None
            and execution.arn is None
            and (arn := executions.execution_arn(self._aws, execution))
        ):
            execution = msgspec.structs.replace(execution, arn=arn)
            write(self._blobs, execution)
        if execution is not None and execution.arn:
            return
        name = dashed(self._aws.project, run.pipeline)
        if execution is None or execution.version is None:
            version = self._version(name, run)
            execution = write(self._blobs, Execution(run=run, pipeline=name, version=version))
        arn = self._start(execution)
        write(self._blobs, msgspec.structs.replace(execution, arn=arn))

    def observe(self, run_id: str) -> RunState | None:
        """Return a pipeline run's state from its execution, or None if it was not started.

        None also if it was deleted with its pipeline. A failed step's reason is the error that the
        step itself stored.
        """
        execution = read(self._blobs, run_id)
        arn = executions.execution_arn(self._aws, execution) if execution else None
        if execution is None or arn is None:
            return None
        status = self._status(run_id, arn)
        if status is None:
            return None
        folder = folder_of(execution.run.run_uri)

        def why(step: str) -> str | None:
            failure = find(self._blobs, f"{folder}/{step}/failed.json", StepFailure)
            return failure.reason if failure else None

        return run_states.run_state(
            execution.run,
            status,
            executions.steps(self._aws, arn),
            why=why,
            log=lambda step: f"{folder}/{step}/log.txt",
            url=self._page,
        )

    def cancel(self, run_id: str) -> None:
        """Stop a run's pipeline execution without waiting; the run may be finished or absent."""
        execution = read(self._blobs, run_id)
        arn = executions.execution_arn(self._aws, execution) if execution else None
        if arn is None:
            return
        if self._status(run_id, arn) != "Executing":
            return
        try:
            with self._aws.mutating("StopPipelineExecution", run_id):
                self._aws.client("sagemaker").stop_pipeline_execution(
                    PipelineExecutionArn=arn, ClientRequestToken=f"stop-{run_id}"
                )
        except (Conflict, NotFound):  # it ended meanwhile
            return

    def _status(self, run_id: str, arn: str) -> str | None:
        """Return a pipeline execution's status, or None if it was deleted with its pipeline."""
        try:
            with self._aws.reading("DescribePipelineExecution", run_id):
                execution = self._aws.client("sagemaker").describe_pipeline_execution(
                    PipelineExecutionArn=arn
                )
        except NotFound:
            return None
        return str(execution["PipelineExecutionStatus"])

    def _version(self, name: str, run: PipelineRun) -> int:
        """Create or update the SageMaker pipeline `name` for a run; return its version to execute.

        A new pipeline is updated at once, because only UpdatePipeline returns a version.
        """
        client = self._aws.client("sagemaker")
        text = definition(run, self._settings(run.pipeline))
        parameters = {"PipelineName": name, "PipelineDefinition": text, "RoleArn": self._aws.role}
        try:
            with self._aws.mutating("UpdatePipeline", name):
                return int(client.update_pipeline(**parameters)["PipelineVersionId"])
        except NotFound:
            pass
        try:
            with self._aws.mutating("CreatePipeline", name):
                client.create_pipeline(
                    **parameters,
                    ClientRequestToken=run.run_id,
                    Tags=self._aws.tags("pipeline", run.pipeline),
                )
        except AlreadyExists:  # somebody else's submit was a little faster
            pass
        with self._aws.mutating("UpdatePipeline", name):
            return int(client.update_pipeline(**parameters)["PipelineVersionId"])

    def _start(self, execution: Execution) -> str:
        """Start the pipeline execution of a run, and return its ARN.

        The call carries a token, so that a repeat returns the same execution.
        """
        run = execution.run
        with self._aws.mutating("StartPipelineExecution", execution.pipeline):
            started = self._aws.client("sagemaker").start_pipeline_execution(
                PipelineName=execution.pipeline,
                PipelineVersionId=execution.version,
                PipelineExecutionDisplayName=run.run_id,
                ClientRequestToken=run.run_id,
                PipelineParameters=[
                    {"Name": RUN_URI, "Value": run.run_uri},
                    {"Name": RUN_FOLDER, "Value": folder_of(run.run_uri)},
                ],
            )
        return str(started["PipelineExecutionArn"])

    def _settings(self, pipeline: str) -> DefinitionSettings:
        """Return the settings of a pipeline's jobs: role, image, machine and environment."""
        aws = self._aws
        return DefinitionSettings(
            role=aws.role,
            image=image(aws.profile),
            root=aws.root,
            machine=job_machine(aws.profile),
            environment=job_environment(aws.profile, aws.region),
            tags=tuple((tag["Key"], tag["Value"]) for tag in aws.tags("job", pipeline)),
        )

    def _page(self, arn: str) -> str | None:
        """Return the URL of a job's page in the AWS console, or None offline."""
        if self._aws.offline:
            return None
        kind, _, name = arn.rpartition(":")[2].partition("/")
        region = self._aws.region
        pages = {"processing-job": "processing-jobs", "training-job": "jobs"}
        return (
            f"https://{region}.console.aws.amazon.com/sagemaker/home?region={region}"
            f"#/{pages.get(kind, kind)}/{name}"
        )
