"""The seconds that SageMaker bills of a run's jobs.

A training job says them (BillableTimeInSeconds); of a processing job they are from its begin to its
end. Source: DescribeTrainingJob and DescribeProcessingJob, Amazon SageMaker's API reference.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ....errors import Denied, NotFound
from ....target import Target
from ...common.pipelines.executions import read
from ..session import Aws, aws_of
from .executions import execution_arn, steps


def billed_seconds(target: Target, run_id: str) -> Mapping[str, float]:
    """Return the seconds that SageMaker bills of a run's ended jobs, by the step's name.

    A job that still runs, or that may not be looked at, is left out.
    """
    aws: Aws = aws_of(target)
    execution = read(target.blobs, run_id)
    arn = execution_arn(aws, execution) if execution else None
    if arn is None:
        return {}
    seconds = {str(step["StepName"]): _seconds(aws, step) for step in steps(aws, arn)}
    return {name: billed for name, billed in seconds.items() if billed is not None}


def _seconds(aws: Aws, step: Mapping[str, Any]) -> float | None:
    """Return the billed seconds of the job of a step that SageMaker started, or None."""
    metadata = step.get("Metadata", {})
    client = aws.client("sagemaker")
    try:
        if "TrainingJob" in metadata:
            name = _job_name(metadata["TrainingJob"])
            with aws.reading("DescribeTrainingJob", name):
                billed = client.describe_training_job(TrainingJobName=name).get(
                    "BillableTimeInSeconds"
                )
            return None if billed is None else float(billed)
        if "ProcessingJob" not in metadata:
            return None
        name = _job_name(metadata["ProcessingJob"])
        with aws.reading("DescribeProcessingJob", name):
            job = client.describe_processing_job(ProcessingJobName=name)
    except (Denied, NotFound):
        return None
    begin, end = job.get("ProcessingStartTime"), job.get("ProcessingEndTime")
    return (end - begin).total_seconds() if begin and end else None


def _job_name(job: Mapping[str, Any]) -> str:
    """Return the name of a job, from its ARN."""
    return str(job.get("Arn", "")).rpartition("/")[2]
