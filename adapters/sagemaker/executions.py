"""What ties our run_id to SageMaker's execution: a small document in the blobs, and SageMaker's own list when that was cut short."""

from __future__ import annotations

from typing import Any

import msgspec

from ...errors import NotFound
from ...formats import StoredDocument, decode
from ...pipelines.port import PipelineRun
from ...storage import BlobStore
from .session import Aws


class Execution(StoredDocument, frozen=True, kw_only=True):
    """`executions/<run_id>.json`. `version` is written before the start, `arn` after it, so that a repeat asks for exactly the same."""

    run: PipelineRun
    pipeline: str  # SageMaker's name
    version: int | None = None
    arn: str | None = None


def read(blobs: BlobStore, run_id: str) -> Execution | None:
    uri = _uri(blobs, run_id)
    try:
        return decode(blobs.get(uri), Execution, what=uri)
    except NotFound:
        return None


def write(blobs: BlobStore, execution: Execution) -> Execution:
    blobs.put(_uri(blobs, execution.run.run_id), msgspec.json.encode(execution))
    return execution


def started(aws: Aws, execution: Execution) -> str | None:
    """The ARN of the execution that carries the run_id as its display name; None when there is none."""
    if execution.arn is not None:
        return execution.arn
    with aws.reading("ListPipelineExecutions", execution.pipeline):
        try:
            pages = aws.client("sagemaker").get_paginator("list_pipeline_executions").paginate(PipelineName=execution.pipeline)
            for page in pages:
                for found in page["PipelineExecutionSummaries"]:
                    if found.get("PipelineExecutionDisplayName") == execution.run.run_id:
                        return str(found["PipelineExecutionArn"])
        except aws.client("sagemaker").exceptions.ResourceNotFound:
            return None  # the pipeline itself was never made
    return None


def steps(aws: Aws, arn: str) -> list[dict[str, Any]]:
    """The steps that SageMaker has started, oldest first; of a step that it tried again, the last try."""
    with aws.reading("ListPipelineExecutionSteps", arn):
        pages = (
            aws.client("sagemaker").get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn, SortOrder="Ascending")
        )
        found = {step["StepName"]: step for page in pages for step in page["PipelineExecutionSteps"]}
    return list(found.values())


def _uri(blobs: BlobStore, run_id: str) -> str:
    return f"{blobs.root.rstrip('/')}/executions/{run_id}.json"
