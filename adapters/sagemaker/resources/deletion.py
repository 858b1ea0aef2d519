"""Deletion of SageMaker's own resources, and the cost of an endpoint.

Absent is success; Busy means that something changes or uses the resource.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from ....errors import Conflict, NotFound
from .. import names
from ..endpoints import adoption
from ..errors import translated
from ..session import AwsSession
from . import prices

_CONFIGS = {
    "operation": "list_endpoint_configs",
    "items_key": "EndpointConfigs",
    "name_key": "EndpointConfigName",
    "arn_key": "EndpointConfigArn",
}
_MODELS = {
    "operation": "list_models",
    "items_key": "Models",
    "name_key": "ModelName",
    "arn_key": "ModelArn",
}


def endpoint(aws: AwsSession, name: str) -> None:
    """Delete an endpoint, then every endpoint config and model that was made for it.

    An adopted endpoint only loses its tags, and keeps running.
    """
    sagemaker = aws.client("sagemaker")
    whole = aws.endpoint_name(name)
    if adoption.release(aws, whole):
        return
    _delete(sagemaker.delete_endpoint, EndpointName=whole)
    for config in _used_by(aws, name, **_CONFIGS):
        _delete(sagemaker.delete_endpoint_config, EndpointConfigName=config)
    for model_name in _used_by(aws, name, **_MODELS):
        _delete(sagemaker.delete_model, ModelName=model_name)


def pipeline(aws: AwsSession, name: str) -> None:
    """Delete a SageMaker pipeline."""
    _delete(aws.client("sagemaker").delete_pipeline, PipelineName=names.dashed(aws.project, name))


def model(aws: AwsSession, name: str) -> None:
    """Delete a model's package group and its versions; the models' folders in the bucket stay."""
    sagemaker = aws.client("sagemaker")
    group = names.dashed(aws.project, name)
    try:
        with translated(f"listing versions of {name}"):
            pages = sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=group
            )
            arns = [
                item["ModelPackageArn"]
                for page in pages
                for item in page["ModelPackageSummaryList"]
            ]
    except NotFound:
        return
    for arn in arns:
        _delete(sagemaker.delete_model_package, ModelPackageName=arn)
    try:
        _delete(sagemaker.delete_model_package_group, ModelPackageGroupName=group)
    except Conflict:  # a version that was registered meanwhile: the next deletion takes it
        return


def endpoint_cost(aws: AwsSession, name: str) -> Decimal | None:
    """Return the USD an hour of an endpoint's running instances, or None if a price is unknown."""
    sagemaker = aws.client("sagemaker")
    try:
        with translated(f"looking at endpoint {name}"):
            described: dict[str, Any] = sagemaker.describe_endpoint(
                EndpointName=aws.endpoint_name(name)
            )
            config = sagemaker.describe_endpoint_config(
                EndpointConfigName=described["EndpointConfigName"]
            )
    except NotFound:
        return Decimal(0)
    counts = {
        variant["VariantName"]: variant.get("CurrentInstanceCount")
        for variant in described.get("ProductionVariants", ())
    }
    machines = []
    for variant in config["ProductionVariants"]:
        if "InstanceType" not in variant:
            return None
        count = counts.get(variant["VariantName"])
        machines.append(
            prices.Machines(
                machine=variant["InstanceType"],
                count=variant.get("InitialInstanceCount", 1) if count is None else count,
            )
        )
    return prices.total(prices.current(aws.profile, aws.region), machines)


def _used_by(
    aws: AwsSession, name: str, *, operation: str, items_key: str, name_key: str, arn_key: str
) -> Iterator[str]:
    """Yield the names of the endpoint configs or models that were made for an endpoint.

    `operation` lists them; the keys say where in its answer items, names and ARNs are.
    """
    sagemaker = aws.client("sagemaker")
    start = aws.endpoint_name(name)
    with translated(f"listing what endpoint {name} uses"):
        items = [
            item
            for page in sagemaker.get_paginator(operation).paginate(NameContains=start)
            for item in page[items_key]
        ]
    for item in items:
        if not item[name_key].startswith(start):
            continue
        with translated(f"reading tags of {item[name_key]}"):
            tags = {
                tag["Key"]: tag["Value"]
                for tag in sagemaker.list_tags(ResourceArn=item[arn_key])["Tags"]
            }
        if tags.get(names.PROJECT_TAG) == aws.project and tags.get(names.NAME_TAG) == name:
            yield item[name_key]


def _delete(delete: Any, **which: str) -> None:
    """Delete a resource by a client's method, if it exists.

    `which` are the method's arguments, which name it.
    """
    try:
        with translated(f"deleting {', '.join(which.values())}", effect=True):
            delete(**which)
    except NotFound:
        return
