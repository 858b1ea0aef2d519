"""The tagging API over moto's services and SageMaker's.

SageMaker's tags are those of services/sagemaker/tags. Tags of creating calls that moto drops are
added here.
"""

from __future__ import annotations

from typing import Any

from ...core import paging
from ...core.moto_internals import kinesis_backends
from ...core.protocol.moto_server import SERIAL
from ...core.registry import AwsError, Context, handles
from ..sagemaker.tags import operations as tags
from ..sagemaker.tags.records import Tags

_SERVICE = "resourcegroupstaggingapi"
_PAGING = ("PaginationToken", "ResourcesPerPage", "TagsPerPage")


@handles(_SERVICE, "GetResources")
def get_resources(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer GetResources: list tagged resources, moto's and then SageMaker's.

    Where the stack stores a resource's tags itself, moto's may be older, and the stack's are shown.
    Kinesis is not in moto's answer.
    """
    _check(params)
    start = _start(params)
    kinds: list[str] = params.get("ResourceTypeFilters") or []
    filters: list[dict[str, Any]] = params.get("TagFilters") or []
    ours = ctx.store(Tags)
    with ours.lock:
        own_tags = {arn: dict(pairs) for arn, pairs in ours.of.items()}
    own_tags |= {
        stream.arn: dict(stream.tags)
        for stream in list(kinesis_backends[ctx.account][ctx.region].streams.values())
    }
    tags_by_arn = {
        item["ResourceARN"]: item["Tags"]
        for item in _mappings_of_moto(ctx, params)
        if item["ResourceARN"] not in own_tags
    }
    tags_by_arn |= {
        arn: tags.as_list(resource_tags)
        for arn, resource_tags in own_tags.items()
        if resource_tags
        and _is_of_kind(arn, kinds, params.get("ResourceARNList"))
        and _has_tags(resource_tags, filters)
    }
    page = _fitting(
        list(tags_by_arn.items())[start:],
        params.get("ResourcesPerPage", 50),
        params.get("TagsPerPage"),
    )
    return {
        "ResourceTagMappingList": [
            {"ResourceARN": arn, "Tags": resource_tags} for arn, resource_tags in page
        ],
        "PaginationToken": str(start + len(page)) if start + len(page) < len(tags_by_arn) else "",
    }


def _check(params: dict[str, Any]) -> None:
    """Raise an error for parameters that GetResources refuses."""
    arns = params.get("ResourceARNList")
    if arns and params.get("ResourceTypeFilters"):
        raise AwsError(
            "InvalidParameterException",
            "ResourceARNList and ResourceTypeFilters cannot be specified in the same request.",
        )
    if arns and any(params.get(key) for key in _PAGING):
        raise AwsError(
            "InvalidParameterException",
            f"ResourceARNList cannot be specified with {', '.join(_PAGING)}.",
        )
    for key, low, high in (("TagsPerPage", 100, 500), ("ResourcesPerPage", 1, 100)):
        if key in params and not low <= params[key] <= high:
            raise AwsError("InvalidParameterException", f"{key} must be between {low} and {high}")


def _start(params: dict[str, Any]) -> int:
    """Return the position at which a page begins, from its PaginationToken."""
    return paging.start(
        params,
        AwsError("PaginationTokenExpiredException", "Token does not exist"),
        "PaginationToken",
    )


def _fitting(
    items: list[tuple[str, Any]], most: int, most_tags: int | None
) -> list[tuple[str, Any]]:
    """Return the first resources that fit a page, each with its tags; one at least.

    A page has `most` resources, and `most_tags` tags in all (None: no limit).
    """
    total = 0
    for index, (_, resource_tags) in enumerate(items[:most]):
        total += len(resource_tags)
        if most_tags is not None and total > most_tags and index:
            return items[:index]
    return items[:most]


def _mappings_of_moto(ctx: Context, params: dict[str, Any]) -> list[dict[str, Any]]:
    """Return moto's ResourceTagMappingList, from all pages.

    Nothing changes between two pages, as moto goes on with the same iterator.
    """
    filters = {key: value for key, value in params.items() if key not in _PAGING}
    mappings: list[dict[str, Any]] = []
    token = ""
    with SERIAL:
        while True:
            page = ctx.moto(
                _SERVICE,
                "GetResources",
                {**filters, **({"PaginationToken": token} if token else {})},
            )
            mappings += page.get("ResourceTagMappingList", [])
            token = page.get("PaginationToken") or ""
            if not token:
                return mappings


def _is_of_kind(arn: str, kinds: list[str], arns: list[str] | None) -> bool:
    """Return whether an ARN is of one of the resource types `kinds`, and among `arns`.

    Where one of the two is empty, it restricts nothing.
    """
    _, _, service, _, _, rest = arn.split(":", 5)
    resource = rest.partition("/")[0]
    return (not kinds or service in kinds or f"{service}:{resource}" in kinds) and (
        not arns or arn in arns
    )


def _has_tags(resource_tags: dict[str, str], filters: list[dict[str, Any]]) -> bool:
    """Return whether a resource's tags pass all TagFilters."""
    return all(
        f["Key"] in resource_tags
        and (not f.get("Values") or resource_tags[f["Key"]] in f["Values"])
        for f in filters
    )


def _is_ours(arn: str) -> bool:
    """Return whether an ARN is of SageMaker, whose tags the stack itself stores, not moto."""
    return arn.split(":")[2] == "sagemaker"


@handles(_SERVICE, "TagResources")
def tag_resources(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer TagResources of the Resource Groups Tagging API: add tags to several resources."""
    for arn in params["ResourceARNList"]:
        if _is_ours(arn):
            tags.tags_of(ctx, arn)
            tags.put(ctx, arn, tags.as_list(params["Tags"]))
    return _by_moto(ctx, "TagResources", params)


@handles(_SERVICE, "UntagResources")
def untag_resources(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Remove tags of several resources.

    It answers UntagResources of the Resource Groups Tagging API.
    """
    for arn in params["ResourceARNList"]:
        if _is_ours(arn):
            of_resource = tags.tags_of(ctx, arn)
            for key in params["TagKeys"]:
                of_resource.pop(key, None)
    return _by_moto(ctx, "UntagResources", params)


def _by_moto(ctx: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    """Let moto tag or untag (`operation`) those resources of a request that are not SageMaker's."""
    others = [arn for arn in params["ResourceARNList"] if not _is_ours(arn)]
    return (
        ctx.moto(_SERVICE, operation, {**params, "ResourceARNList": others})
        if others
        else {"FailedResourcesMap": {}}
    )


@handles(_SERVICE, "GetTagKeys")
def get_tag_keys(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer GetTagKeys of the Resource Groups Tagging API: list all tag keys in use."""
    every = {tag["Key"] for item in _all_tagged(ctx) for tag in item["Tags"]}
    return _page("TagKeys", sorted(every), params)


@handles(_SERVICE, "GetTagValues")
def get_tag_values(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer GetTagValues of the Resource Groups Tagging API: list all values of a tag key."""
    every = {
        tag["Value"]
        for item in _all_tagged(ctx)
        for tag in item["Tags"]
        if tag["Key"] == params["Key"]
    }
    return _page("TagValues", sorted(every), params)


def _all_tagged(ctx: Context) -> list[dict[str, Any]]:
    """Return all tagged resources, with their tags."""
    every: list[dict[str, Any]] = []
    token = ""
    while True:
        page = get_resources(ctx, {"ResourcesPerPage": 100, "PaginationToken": token}) or {}
        every += page["ResourceTagMappingList"]
        token = page["PaginationToken"]
        if not token:
            return every


def _page(key: str, values: list[str], params: dict[str, Any]) -> dict[str, Any]:
    """Return one page of tag keys or values, with the token of the next.

    `key` is the list's name in the response.
    """
    start = _start(params)
    more = str(start + 100) if start + 100 < len(values) else ""
    return {key: values[start : start + 100], "PaginationToken": more}


@handles("kinesis", "CreateStream")
def create_stream(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Kinesis's CreateStream by moto, and keep the tags, which moto forgets."""
    answer = ctx.forward()
    if params.get("Tags"):
        ctx.moto(
            "kinesis",
            "AddTagsToStream",
            {"StreamName": params["StreamName"], "Tags": params["Tags"]},
        )
    return answer
