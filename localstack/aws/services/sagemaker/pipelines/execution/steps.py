"""One attempt of one step, by its type."""

from __future__ import annotations

import secrets
import string
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError
from botocore.validate import ParamValidator

from .....core import in_process
from .....core.protocol import constraints
from .....core.registry import OPERATIONS, AwsError, Context
from ...jobs import s3
from ...jobs.operations import processing, training
from ...jobs.records import Job, Jobs
from ...model_packages import operations as model_packages
from ...models import operations as models
from ...transform import operations as transforming
from ...tuning import operations as tuning
from ..definition.conditions import holds
from ..definition.document import EXECUTED, Step
from ..definition.expressions import ExpressionError, Scope, resolve, text
from ..records import Execution, StepRun
from . import retries
from .retries import StepFailed, kind_of_reason

_LETTERS = string.ascii_letters + string.digits
_NAMES = {
    "Training": "TrainingJobName",
    "Processing": "ProcessingJobName",
    "Transform": "TransformJobName",
    "Tuning": "HyperParameterTuningJobName",
    "Model": "ModelName",
}


class StepStopped(Exception):
    """The step's job was stopped, by a stop of the execution or by somebody else."""


def name_of_job(step: Step, execution: Execution) -> str:
    """Return a name for a step's job: `pipelines-<execution>-<step>-<random>`.

    A name in the step's arguments takes the place of `pipelines`, as a custom prefix does. A tuning
    job's name has 32 characters: `<execution>-<step>-<random>`.
    """
    prefix = step.arguments.get(_NAMES.get(step.type, ""))
    head = prefix[:24].rstrip("-") if isinstance(prefix, str) else "pipelines"
    middle = "-".join(step.name.replace("_", "-").split())[:20].rstrip("-")
    random = "".join(secrets.choice(_LETTERS) for _ in range(10))
    if step.type == "Tuning":
        return f"{execution.id}-{middle[:7].rstrip('-')}-{random}"
    return f"{head}-{execution.id}-{middle}-{random}"[:63]


def scope(ctx: Context, execution: Execution, job: str) -> Scope:
    """Return the scope in which a pipeline step's expressions find their values.

    It has parameters, steps and the execution; `job` is the name of the step's job.
    """
    definition = execution.version.definition
    steps = definition.steps if definition else {}

    def of_execution(name: str) -> object:
        times = {"StartDateTime": execution.created, "CurrentDateTime": ctx.clock.now()}
        if name in times:
            return times[name].strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"
        return {
            "PipelineName": execution.pipeline.name,
            "PipelineArn": execution.pipeline.arn,
            "PipelineExecutionId": execution.id,
            "PipelineExecutionArn": execution.arn,
            "TrainingJobName": job,
            "ProcessingJobName": job,
        }[name]

    def properties(name: str) -> object:
        run = execution.steps.get(name)
        if run is None or run.status != "Succeeded":
            raise ExpressionError(f"the step '{name}' has no properties: it did not succeed")
        return run.properties

    def blob(uri: str) -> bytes:
        try:
            return s3.read(ctx.client("s3"), uri)
        except (s3.TransferError, ClientError) as error:
            raise ExpressionError(str(error)) from error

    def property_file(name: str, file: str) -> bytes:
        declared = steps[name].property_files[file]
        outputs = (execution.steps[name].properties.get("ProcessingOutputConfig") or {}).get(
            "Outputs"
        ) or []
        for output in outputs:
            if output["OutputName"] == declared.output and "S3Output" in output:
                return blob(f"{output['S3Output']['S3Uri'].rstrip('/')}/{declared.path}")
        raise ExpressionError(
            f"the property file '{file}' of the step '{name}': it has no output named "
            f"'{declared.output}'"
        )

    return Scope(
        parameters=execution.parameters,
        execution=of_execution,
        properties=properties,
        property_file=property_file,
        blob=blob,
    )


def attempt(ctx: Context, execution: Execution, step: Step, run: StepRun, job: str) -> None:
    """Run a pipeline step once, until its job has ended.

    `run` is the record of the step's run, and `job` the name for its job.

    Raises:
        StepFailed: The step's type, its arguments or its job has failed it.
        StepStopped: Its job was stopped.
    """
    if step.type not in EXECUTED:
        raise StepFailed(refusal(step))
    where = scope(ctx, execution, job)
    try:
        if step.type == "Condition":
            outcome = holds(step.arguments["Conditions"], where)
            run.metadata = {"Condition": {"Outcome": "True" if outcome else "False"}}
            run.properties = {"Outcome": run.metadata["Condition"]["Outcome"]}
            return
        arguments = resolved_arguments(step, where)
    except ExpressionError as error:
        raise StepFailed(f"ClientError: {error}") from error
    if step.type == "Fail":
        message = text(arguments["ErrorMessage"])
        run.metadata = {"Fail": {"ErrorMessage": message}}
        raise StepFailed(message)
    _DO[step.type](
        Work(ctx=ctx, execution=execution, step=step, run=run, arguments=arguments, name=job)
    )


def refusal(step: Step) -> str:
    """Return the error message that steps of this step's type are not executed here."""
    return (
        f"the local stack does not execute steps of type {step.type}, only "
        f"{', '.join(EXECUTED)}: step '{step.name}'"
    )


def resolved_arguments(step: Step, where: Scope) -> dict[str, Any]:
    """Return a step's arguments with all pipeline expressions replaced by values of the scope."""
    return {key: resolve(value, where) for key, value in step.arguments.items()}


def create(ctx: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """Call an operation of SageMaker's as the pipeline service does, for a step.

    Raises:
        StepFailed: It is refused; with the exception type that retry policies know.
    """
    model = in_process.operation_model("sagemaker", operation)
    report = ParamValidator().validate(params, model.input_shape)
    if report.has_errors():
        raise StepFailed(f"ClientError: {operation}: {report.generate_report()}")
    fault = ctx.service_fault("sagemaker", operation)
    if fault is not None and fault.kind == "throttle":
        raise StepFailed("ClientError: ThrottlingException: Rate exceeded", retries.THROTTLING)
    if fault is not None:
        kind = retries.LIMIT if fault.code == "ResourceLimitExceeded" else retries.SERVICE_FAULT
        raise StepFailed(
            f"ClientError: {fault.code or 'InternalFailure'}: a fault that was asked for", kind
        )
    try:
        constraints.check("sagemaker", model, params, as_moto=ctx.moto_answers)
        return OPERATIONS["sagemaker", operation].handler(ctx, params) or {}
    except AwsError as error:
        kind_of_error = retries.LIMIT if error.code == "ResourceLimitExceeded" else None
        raise StepFailed(f"ClientError: {error.message}", kind_of_error) from error


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt: its step, its resolved arguments, and its job's name."""

    ctx: Context
    execution: Execution
    step: Step
    run: StepRun
    arguments: dict[str, Any]
    name: str


def _training(work: Work) -> None:
    """Run a Training step: start its training job, and wait for it."""
    params = {
        "RoleArn": work.execution.pipeline.role,
        **_plain(work.arguments),
        "TrainingJobName": work.name,
    }
    work.run.metadata = {
        "TrainingJob": {"Arn": create(work.ctx, "CreateTrainingJob", params)["TrainingJobArn"]}
    }
    job = work.ctx.store(Jobs).training[work.name]
    _follow(work, job)
    work.run.properties = training.description(job)


def _processing(work: Work) -> None:
    """Run a Processing step: start its processing job, and wait for it."""
    params = {
        "RoleArn": work.execution.pipeline.role,
        **_plain(work.arguments),
        "ProcessingJobName": work.name,
    }
    work.run.metadata = {
        "ProcessingJob": {
            "Arn": create(work.ctx, "CreateProcessingJob", params)["ProcessingJobArn"]
        }
    }
    job = work.ctx.store(Jobs).processing[work.name]
    _follow(work, job)
    work.run.properties = processing.description(job)


def _transform(work: Work) -> None:
    """Run a Transform step: start its batch transform job, and wait for it."""
    params = {**_plain(work.arguments), "TransformJobName": work.name}
    work.run.metadata = {
        "TransformJob": {"Arn": create(work.ctx, "CreateTransformJob", params)["TransformJobArn"]}
    }
    job = work.ctx.store(Jobs).transform[work.name]
    _follow(work, job)
    work.run.properties = transforming.description(job)


def _tuning(work: Work) -> None:
    """Run a Tuning step: start its hyperparameter tuning job, and wait for it."""
    params = {**work.arguments, "HyperParameterTuningJobName": work.name}
    work.run.metadata = {
        "TuningJob": {
            "Arn": create(work.ctx, "CreateHyperParameterTuningJob", params)[
                "HyperParameterTuningJobArn"
            ]
        }
    }
    job = work.ctx.store(Jobs).tuning[work.name]
    _follow(work, job)
    work.run.properties = tuning.properties(work.ctx, job)


def _plain(arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a step's arguments without ExperimentConfig, which pipelines set by themselves."""
    return {key: value for key, value in arguments.items() if key != "ExperimentConfig"}


def _follow(work: Work, job: Job) -> None:
    """Record a step's job, so that a stop of the execution finds it, and wait for its end.

    Raises:
        StepStopped: The job was stopped.
        StepFailed: The job failed.
    """
    execution, step = work.execution, work.step.name
    execution.jobs[step] = job
    if execution.stopping.is_set():
        job.stop.set()
    job.done.wait()
    execution.jobs.pop(step, None)
    if job.status == "Stopped":
        raise StepStopped
    if job.status != "Completed":
        reason = job.failure or "the local stack was reset"
        raise StepFailed(f"ClientError: {reason}", kind_of_reason(reason))


def _model(work: Work) -> None:
    """Run a Model step: create a SageMaker model."""
    params = {
        "ExecutionRoleArn": work.execution.pipeline.role,
        **work.arguments,
        "ModelName": work.name,
    }
    work.run.metadata = {"Model": {"Arn": create(work.ctx, "CreateModel", params)["ModelArn"]}}
    work.run.properties = models.describe_model(work.ctx, {"ModelName": work.name}) or {}


def _register(work: Work) -> None:
    """Run a RegisterModel step: create a model package."""
    group, request = work.arguments.get("ModelPackageGroupName"), dict(work.arguments)
    if group:
        tags = {"Tags": request.pop("Tags")} if "Tags" in request else {}
        # the step makes the group that it names; its tags are the group's
        if not model_packages.has_group(work.ctx, group):
            create(work.ctx, "CreateModelPackageGroup", {"ModelPackageGroupName": group, **tags})
    arn = create(work.ctx, "CreateModelPackage", request)["ModelPackageArn"]
    work.run.metadata = {"RegisterModel": {"Arn": arn}}
    work.run.properties = (
        model_packages.describe_model_package(work.ctx, {"ModelPackageName": arn}) or {}
    )


_DO: dict[str, Callable[[Work], None]] = {
    "Training": _training,
    "Processing": _processing,
    "Transform": _transform,
    "Tuning": _tuning,
    "Model": _model,
    "RegisterModel": _register,
}
