"""The operations on models: moto keeps them; what it forgets or lets pass is added here."""

from __future__ import annotations

from typing import Any

from ....core.registry import AwsError, Context, handles
from ..model_packages import operations as model_packages
from ..tags import operations as tags
from .records import Models

_FORGOTTEN = ("EnableNetworkIsolation", "InferenceExecutionConfig")


def _arn(ctx: Context, name: str) -> str:
    """Return a model's ARN."""
    return f"arn:aws:sagemaker:{ctx.region}:{ctx.account}:model/{name}"


@handles("sagemaker", "CreateModel", executes=False)
def create_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call CreateModel: create a model."""
    name = params["ModelName"]
    containers = [
        *([params["PrimaryContainer"]] if params.get("PrimaryContainer") else []),
        *(params.get("Containers") or []),
    ]
    if not ctx.moto_answers:
        _check_servable(containers)
    for container in containers:
        _check(ctx, container)
    if not ctx.moto_answers and _exists(ctx, name):  # moto replaces
        raise AwsError(
            "ValidationException", f'Cannot create already existing model "{_arn(ctx, name)}".'
        )
    answer = ctx.moto("sagemaker", "CreateModel", params)
    ctx.store(Models).more[name] = {key: params[key] for key in _FORGOTTEN if key in params}
    tags.put(ctx, answer["ModelArn"], params.get("Tags"))
    return answer


def _check_servable(containers: list[dict[str, Any]]) -> None:
    """Raise an error for a model with containers that cannot be served here.

    Raises:
        AwsError: A container cannot be served here.
    """
    if not containers:
        raise AwsError(
            "ValidationException", "Request must contain either PrimaryContainer or Containers."
        )
    if len(containers) > 1:
        raise AwsError(
            "ValidationException",
            f"The local stack serves models of one container, not of {len(containers)}.",
        )
    if any(container.get("Mode") == "MultiModel" for container in containers):
        raise AwsError(
            "ValidationException",
            "The local stack does not serve multi-model endpoints: leave Mode MultiModel out.",
        )


def _check(ctx: Context, container: dict[str, Any]) -> None:
    """Raise an error if a container definition of a model is not valid."""
    if "ModelDataUrl" in container and "ModelDataSource" in container:
        raise AwsError(
            "ValidationException", "A container takes ModelDataUrl or ModelDataSource, not both."
        )
    if not container.get("Image") and not container.get("ModelPackageName"):
        raise AwsError("ValidationException", "A container needs an Image or a ModelPackageName.")
    if container.get("ModelPackageName") and not ctx.moto_answers:
        model_packages.require_approved(ctx, container["ModelPackageName"])


def _exists(ctx: Context, name: str) -> bool:
    """Return whether a SageMaker model of this name exists."""
    try:
        ctx.moto("sagemaker", "DescribeModel", {"ModelName": name})
    except AwsError:
        return False
    return True


@handles("sagemaker", "DescribeModel", executes=False)
def describe_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DescribeModel: describe a model."""
    answer = ctx.moto("sagemaker", "DescribeModel", params)
    # moto's is empty when none was given: the sagemaker SDK refuses that
    if not answer.get("VpcConfig"):
        answer = {key: value for key, value in answer.items() if key != "VpcConfig"}
    return {**answer, **ctx.store(Models).more.get(params["ModelName"], {})}


@handles("sagemaker", "DeleteModel", executes=False)
def delete_model(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeleteModel: delete a model."""
    name = params["ModelName"]
    if not _exists(ctx, name):
        raise AwsError("ValidationException", f'Could not find model "{_arn(ctx, name)}".')
    ctx.moto("sagemaker", "DeleteModel", params)
    ctx.store(Models).more.pop(name, None)
    tags.drop(ctx, _arn(ctx, name))
    return {}
