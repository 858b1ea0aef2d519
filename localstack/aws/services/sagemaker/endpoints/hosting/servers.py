"""SageMaker's contract with the container of a model, and the server that keeps it.

Source: SageMaker developer guide, "Custom inference code with hosting services".
"""

from __future__ import annotations

import uuid
from pathlib import Path

from ......serving.model_server import Contract, ModelServer, Program
from .....core.registry import Context
from ...jobs.contract import ROOT, remarks
from ..logs import VariantLog
from .models import Content


def contract(region: str) -> Contract:
    """Return SageMaker's contract with model containers: mount, routes, arguments, variables."""
    return Contract(
        mount=ROOT,
        model=f"{ROOT}/model",
        health="/ping",
        predict="/invocations",
        arguments=("serve",),
        variables={
            "SAGEMAKER_BIND_TO_PORT": "{port}",
            "SAGEMAKER_SAFE_PORT_RANGE": "{port}-{port}",
            "SM_MODEL_DIR": "{model}",
            "AWS_REGION": region,
        },
    )


def model_server(
    ctx: Context,
    endpoint: str,
    variant: str,
    source: Content,
    command: list[str],
    *,
    remark: str | None,
) -> ModelServer:
    """Return the model server of an endpoint's instance, not started yet.

    Args:
        ctx: The handler's context.
        endpoint: The endpoint's name.
        variant: The variant's name.
        source: The container's content.
        command: The command that stands for the image.
        remark: The first line of its log.

    Its output goes to CloudWatch Logs, into one stream however often it starts.
    """
    return server_of(
        ctx,
        source,
        command,
        group=f"/aws/sagemaker/Endpoints/{endpoint}",
        stream=f"{variant}/i-{uuid.uuid4().hex[:17]}",
        folder=ctx.home / "endpoints" / f"{endpoint}-{variant}-{uuid.uuid4().hex[:8]}",
        remark=remark,
    )


def server_of(
    ctx: Context,
    source: Content,
    command: list[str],
    *,
    group: str,
    stream: str,
    folder: Path,
    remark: str | None = None,
) -> ModelServer:
    """Return the server of a model, of an endpoint or a transform job, not started yet.

    Args:
        ctx: The handler's context.
        source: The container's content.
        command: The command that stands for the image.
        group: The log group of its lines.
        stream: The log stream of its lines.
        folder: The folder for its files.
        remark: The first line of its log.
    """
    return ModelServer(
        ctx.state,
        contract(ctx.region),
        Program(
            image=source.image,
            command=command,
            variables=source.environment,
            stack=ctx.env(source.role),
        ),
        folder=folder,
        log=lambda: VariantLog(ctx.client("logs"), group, stream),
        remarks=lambda container: [*([remark] if remark else ()), *remarks(container)],
        name=stream,
    )


def unmapped_message(image: str) -> str:
    """Return the error message that an image has no local command to serve it."""
    return (
        f"the local stack does not pull images, and no command is mapped to '{image}': start "
        "it with --image NAME=COMMAND, or name it "
        "under `images` in profiles.yaml"
    )
