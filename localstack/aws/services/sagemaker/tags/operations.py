"""Tags of SageMaker's resources, one table for all kinds.

services/tagging reads it beside moto's. moto's AddTags appends a second value for the same key, and
its tagging API does not see SageMaker. Code that creates a resource calls `put(ctx, arn,
params.get("Tags"))`, code that deletes one `drop(ctx, arn)`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ....core import paging
from ....core.registry import AwsError, Context, handles
from .records import Tags

_MOST = 50  # tags a resource


def put(ctx: Context, arn: str, tags: Iterable[dict[str, str]] | None) -> None:
    """Set tags of a SageMaker resource; existing keys take the new value."""
    store = ctx.store(Tags)
    with store.lock:
        merged = {**store.of.get(arn, {}), **{tag["Key"]: tag["Value"] for tag in tags or ()}}
        if len(merged) > _MOST and not ctx.moto_answers:
            raise AwsError(
                "ResourceLimitExceeded",
                f"The account-level service limit 'Tags per resource' is {_MOST}.",
            )
        store.of[arn] = merged
        store.gone.discard(arn)


def drop(ctx: Context, arn: str) -> None:
    """Delete the tags of a deleted SageMaker resource."""
    store = ctx.store(Tags)
    with store.lock:
        store.of.pop(arn, None)
        store.gone.add(arn)


def tags_of(ctx: Context, arn: str) -> dict[str, str]:
    """Return the tags of a SageMaker resource as a dictionary.

    A resource that moto alone knows has the tags with which it was created.

    Raises:
        AwsError: The resource was deleted.
    """
    store = ctx.store(Tags)
    if arn in store.gone:
        raise AwsError("ValidationException", f"Could not find the resource '{arn}'.")
    if arn not in store.of:
        put(ctx, arn, ctx.moto("sagemaker", "ListTags", {"ResourceArn": arn}).get("Tags"))
    return store.of[arn]


@handles("sagemaker", "AddTags")
def add_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call AddTags: add tags to a resource."""
    arn = params["ResourceArn"]
    tags_of(ctx, arn)
    put(ctx, arn, params["Tags"])
    return {"Tags": as_list(tags_of(ctx, arn))}


@handles("sagemaker", "ListTags")
def list_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call ListTags: list a resource's tags."""
    every = as_list(tags_of(ctx, params["ResourceArn"]))
    page, more = paging.page(
        every, params, _MOST, AwsError("ValidationException", "Invalid pagination token.")
    )
    return {"Tags": page, **more}


@handles("sagemaker", "DeleteTags")
def delete_tags(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer SageMaker's API call DeleteTags: remove tags of a resource."""
    tags = tags_of(ctx, params["ResourceArn"])
    for key in params["TagKeys"]:
        tags.pop(key, None)
    return {}


def as_list(tags: dict[str, str]) -> list[dict[str, str]]:
    """Return tags as the list of Key and Value that the APIs have."""
    return [{"Key": key, "Value": value} for key, value in tags.items()]
