"""The operations on executions of pipelines."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Any

from ......core.images import command_of
from .....core.registry import AwsError, Context, handles
from ...jobs.listing import page_of
from ..definition.document import Definition, Parameter
from ..definition.expressions import text
from ..execution import engine
from ..records import Execution, Pipelines, StepRun, Version
from .pipelines import aliases_of, find, pick, within

_ID = string.ascii_lowercase + string.digits
_AS_MOTO = 30.0  # seconds that a start may take where nothing is executed


def _find(ctx: Context, arn: str) -> Execution:
    """Return a pipeline execution by its ARN.

    Raises:
        AwsError: There is no such execution.
    """
    for pipeline in list(ctx.store(Pipelines).named.values()):
        if arn in pipeline.executions:
            return pipeline.executions[arn]
    raise AwsError("ResourceNotFound", f"Pipeline execution with ARN {arn} does not exist.")


@handles("sagemaker", "StartPipelineExecution")
def start_pipeline_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call StartPipelineExecution: start a pipeline execution."""
    pipeline = find(ctx, params["PipelineName"])
    token = params.get("ClientRequestToken")
    if params.get("SelectiveExecutionConfig"):
        raise AwsError(
            "ValidationException",
            "The local stack does not run selected steps only: leave SelectiveExecutionConfig out.",
        )
    with ctx.store(Pipelines).lock:
        for earlier in pipeline.executions.values():
            if token is not None and token in earlier.tokens:
                return {"PipelineExecutionArn": earlier.arn}
        version = pick(pipeline, params)
        execution = Execution(
            pipeline, version, "".join(secrets.choice(_ID) for _ in range(12)), ctx.clock.now()
        )
        execution.parameters = _parameters(version, params.get("PipelineParameters") or [])
        execution.display_name = (
            params.get("PipelineExecutionDisplayName")
            or f"execution-{int(execution.created.timestamp() * 1000)}"
        )
        execution.description = params.get("PipelineExecutionDescription")
        execution.parallelism = params.get("ParallelismConfiguration") or pipeline.parallelism
        if token is not None:
            execution.tokens.add(token)
        pipeline.executions[execution.arn] = execution
        pipeline.last_run = execution.created
        version.last_execution = execution.arn
    ctx.spawn(engine.run, ctx.without_request(), execution)
    if ctx.moto_answers and not _executes(ctx, version.definition):
        execution.done.wait(_AS_MOTO)
    return {"PipelineExecutionArn": execution.arn}


def _executes(ctx: Context, definition: Definition | None) -> bool:
    """Return whether any step of a pipeline starts a local command.

    With --moto-answers a pipeline without such a step has ended before the start is answered, as
    with moto.
    """
    for step in definition.steps.values() if definition else ():
        specification = (
            step.arguments.get("AlgorithmSpecification")
            or step.arguments.get("AppSpecification")
            or {}
        )
        image = specification.get("TrainingImage") or specification.get("ImageUri")
        if step.type in ("Training", "Processing") and (
            not isinstance(image, str) or command_of(ctx.images, image) is not None
        ):
            return True
    return False


def _parameters(version: Version, arguments: list[dict[str, str]]) -> dict[str, object]:
    """Return the value of every pipeline parameter of an execution, in its type.

    `arguments` are the values that the request gives.
    """
    values: dict[str, object] = {item["Name"]: item["Value"] for item in arguments}
    if version.definition is None:
        return values
    declared = version.definition.parameters
    unknown = sorted(set(values) - set(declared))
    if unknown:
        raise AwsError(
            "ValidationException",
            f"The pipeline's definition has no parameter named {', '.join(unknown)}.",
        )
    typed = {
        name: _parameter_value(parameter, str(values[name]))
        if name in values
        else parameter.default
        for name, parameter in declared.items()
    }
    missing = [name for name, value in typed.items() if value is None]
    if missing:
        raise AwsError(
            "ValidationException",
            f"Parameters without a default need a value: {', '.join(missing)}.",
        )
    return typed


def _parameter_value(parameter: Parameter, value: str) -> object:
    """Convert a pipeline parameter's text to its type, after checking that it is allowed.

    Raises:
        AwsError: The value is of another type, or is not allowed.
    """
    try:
        typed = _READ[parameter.type](value)
    except ValueError as error:
        raise AwsError(
            "ValidationException",
            f"Parameter '{parameter.name}': '{value}' is not of type {parameter.type}.",
        ) from error
    if parameter.allowed and typed not in parameter.allowed:
        raise AwsError(
            "ValidationException",
            f"Parameter '{parameter.name}': '{value}' is not among its EnumValues.",
        )
    return typed


def _boolean(value: str) -> bool:
    """Parse true or false; raise ValueError for other texts."""
    if value.lower() not in ("true", "false"):
        raise ValueError(value)
    return value.lower() == "true"


_READ: dict[str, Callable[[str], object]] = {
    "String": str,
    "Integer": int,
    "Float": float,
    "Boolean": _boolean,
}


@handles("sagemaker", "StopPipelineExecution")
def stop_pipeline_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call StopPipelineExecution: stop a pipeline execution."""
    execution = _find(ctx, params["PipelineExecutionArn"])
    with execution.lock:
        if _is_repeated(execution, params):
            return {"PipelineExecutionArn": execution.arn}
        if execution.status not in ("Executing", "Stopping"):
            words = (
                f"Pipeline execution with ARN {execution.arn} is in status {execution.status}: "
                "only an Executing one can be stopped."
            )
            raise AwsError("ConflictException", words)
        execution.status = "Stopping"
        execution.modified = ctx.clock.now()
    execution.stopping.set()
    execution.events.put("stop")
    return {"PipelineExecutionArn": execution.arn}


@handles("sagemaker", "RetryPipelineExecution")
def retry_pipeline_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer RetryPipelineExecution: run the failed steps of an execution again."""
    execution = _find(ctx, params["PipelineExecutionArn"])
    with execution.lock:
        if _is_repeated(execution, params):
            return {"PipelineExecutionArn": execution.arn}
        if execution.status not in ("Failed", "Stopped", "CompletedWithFailures"):
            words = (
                f"Pipeline execution with ARN {execution.arn} is in status {execution.status}: "
                "only a failed or stopped one can be retried."
            )
            raise AwsError("ConflictException", words)
        execution.done.wait(60)  # its engine's last breath
        execution.steps = {
            name: run for name, run in execution.steps.items() if run.status == "Succeeded"
        }
        execution.parallelism = params.get("ParallelismConfiguration") or execution.parallelism
        execution.status, execution.failure = "Executing", None
        execution.stopping.clear()
        execution.done.clear()
    ctx.spawn(engine.run, ctx.without_request(), execution)
    return {"PipelineExecutionArn": execution.arn}


def _is_repeated(execution: Execution, params: dict[str, Any]) -> bool:
    """Record a request's idempotency token; return whether a request with it was made before."""
    token = params.get("ClientRequestToken")
    if token is None:
        return False
    is_repeated = token in execution.tokens
    execution.tokens.add(token)
    return is_repeated


@handles("sagemaker", "UpdatePipelineExecution")
def update_pipeline_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call UpdatePipelineExecution: change a pipeline execution."""
    execution = _find(ctx, params["PipelineExecutionArn"])
    execution.description = params.get("PipelineExecutionDescription", execution.description)
    execution.display_name = params.get("PipelineExecutionDisplayName", execution.display_name)
    execution.parallelism = params.get("ParallelismConfiguration", execution.parallelism)
    execution.modified = ctx.clock.now()
    return {"PipelineExecutionArn": execution.arn}


@handles("sagemaker", "DescribePipelineExecution")
def describe_pipeline_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribePipelineExecution: describe a pipeline execution."""
    execution = _find(ctx, params["PipelineExecutionArn"])
    answer = {
        "PipelineArn": execution.pipeline.arn,
        "PipelineExecutionArn": execution.arn,
        "PipelineExecutionStatus": execution.status,
        "CreationTime": execution.created,
        "LastModifiedTime": execution.modified,
        "PipelineVersionId": execution.version.number,
        "RoleArn": execution.pipeline.role,
    }
    optional = {
        "PipelineExecutionDisplayName": execution.display_name,
        "PipelineExecutionDescription": execution.description,
        "FailureReason": execution.failure,
        "ParallelismConfiguration": execution.parallelism,
    }
    return {**answer, **{key: value for key, value in optional.items() if value is not None}}


@handles("sagemaker", "ListPipelineExecutionSteps")
def list_pipeline_execution_steps(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer ListPipelineExecutionSteps: the steps that have started, the latest first.

    With the SortOrder Ascending the earliest is first.
    """
    execution = _find(ctx, params["PipelineExecutionArn"])
    runs = sorted(
        execution.steps.values(),
        key=lambda run: run.started,
        reverse=params.get("SortOrder") != "Ascending",
    )
    shown, token = page_of(runs, params)
    return {"PipelineExecutionSteps": [_step(execution, run) for run in shown], **token}


def _step(execution: Execution, run: StepRun) -> dict[str, Any]:
    """Return a step in the form of ListPipelineExecutionSteps' response."""
    definition = execution.version.definition
    step = definition.steps[run.name] if definition else None
    answer: dict[str, Any] = {
        "StepName": run.name,
        "StartTime": run.started,
        "StepStatus": run.status,
        "Metadata": run.metadata,
        "AttemptCount": run.attempt,
    }
    optional = {
        "StepDisplayName": step.display_name if step else None,
        "StepDescription": step.description if step else None,
        "EndTime": run.ended,
        "FailureReason": run.failure,
        "CacheHitResult": {"SourcePipelineExecutionArn": run.cached_from}
        if run.cached_from
        else None,
    }
    return {**answer, **{key: value for key, value in optional.items() if value is not None}}


@handles("sagemaker", "ListPipelineExecutions")
def list_pipeline_executions(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListPipelineExecutions: list the pipeline executions."""
    pipeline = find(ctx, params["PipelineName"])
    executions = [
        execution
        for execution in list(pipeline.executions.values())
        if within(execution.created, params)
    ]
    if params.get("PipelineVersionAlias"):
        version = pick(pipeline, params)
        executions = [execution for execution in executions if execution.version is version]
    by_arn = params.get("SortBy") == "PipelineExecutionArn"
    executions.sort(
        key=lambda e: (e.arn if by_arn else "", e.created),
        reverse=params.get("SortOrder", "Descending") == "Descending",
    )
    shown, token = page_of(executions, params)
    return {"PipelineExecutionSummaries": [_summary(execution) for execution in shown], **token}


def _summary(execution: Execution) -> dict[str, Any]:
    """Return a pipeline execution in the form of ListPipelineExecutions' response."""
    answer = {
        "PipelineExecutionArn": execution.arn,
        "StartTime": execution.created,
        "PipelineExecutionStatus": execution.status,
        "PipelineVersionAliases": aliases_of(execution.pipeline, execution.version),
    }
    optional = {
        "PipelineExecutionDescription": execution.description,
        "PipelineExecutionDisplayName": execution.display_name,
        "PipelineExecutionFailureReason": execution.failure,
    }
    return {**answer, **{key: value for key, value in optional.items() if value is not None}}


@handles("sagemaker", "DescribePipelineDefinitionForExecution")
def describe_pipeline_definition_for_execution(
    ctx: Context, params: dict[str, Any]
) -> dict[str, Any]:
    """Return the definition that an execution runs.

    It answers SageMaker's API call DescribePipelineDefinitionForExecution.
    """
    execution = _find(ctx, params["PipelineExecutionArn"])
    return {"PipelineDefinition": execution.version.text, "CreationTime": execution.created}


@handles("sagemaker", "ListPipelineParametersForExecution")
def list_pipeline_parameters_for_execution(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """List the parameters of an execution.

    It answers SageMaker's API call ListPipelineParametersForExecution.
    """
    execution = _find(ctx, params["PipelineExecutionArn"])
    every = [{"Name": name, "Value": text(value)} for name, value in execution.parameters.items()]
    shown, token = page_of(every, params)
    return {"PipelineParameters": shown, **token}
