"""Models for containers: a model's files, its image and its variables."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from ......core.downloads import Refused, unpack
from .....core.registry import Context
from ...jobs.s3 import TransferError, download, read


class NoModel(Exception):
    """A variant cannot be served; the message is for FailureReason."""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content of a container: image, role, variables and files."""

    image: str
    role: str = ""  # the model's, an ARN
    environment: Mapping[str, str] = {}
    archive: str | None = None  # s3://... of a model.tar.gz
    prefix: str | None = None  # s3://.../ with plain files


def content(ctx: Context, model: str) -> Content:
    """Return the container of a SageMaker model (image, role, variables, data).

    A model with several containers cannot be served.

    Raises:
        NoModel: The model does not exist, or has several containers.
    """
    try:
        description = ctx.client("sagemaker").describe_model(ModelName=model)
    except ClientError as error:
        raise NoModel(f"Could not find model {model}: {error}") from error
    primary = description.get("PrimaryContainer")
    containers = [primary] if primary else list(description.get("Containers") or ())
    if len(containers) != 1:
        raise NoModel(
            f"Model {model} has {len(containers)} containers: the local stack serves models "
            "of one container"
        )
    return _content(ctx, model, containers[0], description.get("ExecutionRoleArn") or "")


def fetch(ctx: Context, source: Content, folder: Path) -> None:
    """Download a model's artifacts into the folder that becomes /opt/ml/model.

    Raises:
        NoModel: S3 has nothing there.
    """
    client = ctx.client("s3")
    try:
        if source.archive:
            _unpack(read(client, source.archive), source.archive, folder)
        elif source.prefix:
            download(client, source.prefix, folder)
    except TransferError as error:
        raise NoModel(f"Failed to download model data: {error}") from error


def _unpack(data: bytes, uri: str, folder: Path) -> None:
    """Unpack a model.tar.gz into a folder.

    `data` is its content; `uri` names it in an error.
    """
    try:
        unpack(BytesIO(data), len(data), folder)
    except Refused as error:
        raise NoModel(
            'Failed to extract model data archive for container "container_1" from URL '
            f'"{uri}". Please ensure that the object located at '
            f"the URL is a valid tar.gz archive: {error}"
        ) from error


def _content(ctx: Context, model: str, container: Mapping[str, Any], role: str) -> Content:
    """Return the image, role, variables and data of one container of a model."""
    package: Mapping[str, Any] = {}
    if container.get("ModelPackageName"):
        package = _package(ctx, model, container["ModelPackageName"])
    source = (container.get("ModelDataSource") or package.get("ModelDataSource") or {}).get(
        "S3DataSource"
    ) or {}
    url = container.get("ModelDataUrl") or package.get("ModelDataUrl")
    plain = source.get("CompressionType") == "None"
    image = container.get("Image") or package.get("Image")
    if not image:
        raise NoModel(f"Model {model} names no image")
    return Content(
        image=image,
        role=role,
        environment={**(package.get("Environment") or {}), **(container.get("Environment") or {})},
        archive=(source["S3Uri"] if source and not plain else url) or None,
        prefix=source["S3Uri"] if source and plain else None,
    )


def _package(ctx: Context, model: str, name: str) -> Mapping[str, Any]:
    """Return the container definition of a model package."""
    try:
        description = ctx.client("sagemaker").describe_model_package(ModelPackageName=name)
    except ClientError as error:
        raise NoModel(f"Model {model}: could not find model package {name}: {error}") from error
    containers = (description.get("InferenceSpecification") or {}).get("Containers") or ()
    if len(containers) != 1:
        raise NoModel(
            f"Model package {name} has {len(containers)} containers: the local stack serves "
            "packages of one container"
        )
    first: Mapping[str, Any] = next(iter(containers))
    return first
