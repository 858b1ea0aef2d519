"""Executions of SageMaker's pipelines, found in its own lists."""

from __future__ import annotations

from typing import Any

from ...common.pipelines.executions import Execution
from ..session import AwsSession


def execution_arn(aws: AwsSession, execution: Execution) -> str | None:
    """Return the ARN of the pipeline execution that a run has, or None."""
    if execution.arn is not None:
        return execution.arn
    with aws.reading("ListPipelineExecutions", execution.pipeline):
        try:
            pages = (
                aws.client("sagemaker")
                .get_paginator("list_pipeline_executions")
                .paginate(PipelineName=execution.pipeline)
            )
            for page in pages:
                for summary in page["PipelineExecutionSummaries"]:
                    if summary.get("PipelineExecutionDisplayName") == execution.run.run_id:
                        return str(summary["PipelineExecutionArn"])
        except aws.client("sagemaker").exceptions.ResourceNotFound:
            return None  # the pipeline itself was never made
    return None


def steps(aws: AwsSession, arn: str) -> list[dict[str, Any]]:
    """Return the steps that SageMaker has started in an execution, oldest first.

    Of a repeated step the last attempt is returned.
    """
    with aws.reading("ListPipelineExecutionSteps", arn):
        pages = (
            aws.client("sagemaker")
            .get_paginator("list_pipeline_execution_steps")
            .paginate(PipelineExecutionArn=arn, SortOrder="Ascending")
        )
        last_tries = {
            step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]
        }
    return list(last_tries.values())
