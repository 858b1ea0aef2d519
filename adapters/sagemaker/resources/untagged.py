"""Search for what bears a project's name at AWS and not its tags: `destroy` may miss it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeAlias

import msgspec

from ....errors import NotFound
from ....target import StrayResource, Target, Untagged
from .. import names
from ..online import store as online
from ..session import AwsSession, aws_of

_Tagged: TypeAlias = tuple[str, list[dict[str, Any]]]  # a resource's id, and its tags


class _List(msgspec.Struct, frozen=True, kw_only=True):
    """An operation of SageMaker that lists one kind of resource."""

    kind: str
    operation: str
    items: str
    noun: str  # EndpointName, EndpointArn
    filter: str = "NameContains"
    prefix: Callable[[str, str], str] = names.dashed  # of its names: (project, "") -> text


_LISTS = (
    _List(kind="endpoint", operation="list_endpoints", items="Endpoints", noun="Endpoint"),
    _List(
        kind="endpoint config",
        operation="list_endpoint_configs",
        items="EndpointConfigs",
        noun="EndpointConfig",
    ),
    _List(kind="endpoint model", operation="list_models", items="Models", noun="Model"),
    _List(
        kind="pipeline",
        operation="list_pipelines",
        items="PipelineSummaries",
        noun="Pipeline",
        filter="PipelineNamePrefix",
    ),
    _List(
        kind="model",
        operation="list_model_package_groups",
        items="ModelPackageGroupSummaryList",
        noun="ModelPackageGroup",
    ),
    _List(
        kind=online.KIND,
        operation="list_feature_groups",
        items="FeatureGroupSummaries",
        noun="FeatureGroup",
        prefix=names.underscored,
    ),
)
_TAGS = (names.PROJECT_TAG, names.KIND_TAG, names.NAME_TAG)
_NOT_SEARCHED = (
    "Firehose's delivery streams, jobs and their logs; tables and files have a database and a "
    "place in the bucket of their own"
)


def untagged(target: Target) -> Untagged:
    """Return the AWS resources whose names begin with the project's and that lack its tags.

    What another project's tags are on is not counted.
    """
    aws = aws_of(target)
    return Untagged(
        resources=(
            *(stray for listed in _LISTS for stray in _of_sagemaker(aws, listed)),
            *_streams(aws),
            *_tables(aws),
        ),
        not_searched=_NOT_SEARCHED,
    )


def _of_sagemaker(aws: AwsSession, listed: _List) -> Iterator[StrayResource]:
    """Yield SageMaker's own resources of one kind, of the project's name without its tags.

    `listed` says how resources of the kind are listed.
    """
    client, start = aws.client("sagemaker"), listed.prefix(aws.project, "")
    with aws.reading(listed.operation, start):
        pages = client.get_paginator(listed.operation).paginate(
            **{listed.filter: start.rstrip("-")}  # a filter does not end in a hyphen
        )
        items = [item for page in pages for item in page[listed.items]]
    arns = {item[f"{listed.noun}Name"]: item[f"{listed.noun}Arn"] for item in items}

    def tagged(name: str) -> _Tagged:
        return arns[name], client.list_tags(ResourceArn=arns[name])["Tags"]

    ours = [name for name in arns if name.startswith(start)]
    return _strays(aws, listed.kind, ours, "ListTags", tagged)


def _streams(aws: AwsSession) -> Iterator[StrayResource]:
    """Yield Kinesis streams of the project's name without its tags."""
    client, start = aws.client("kinesis"), names.underscored(aws.project, "")
    with aws.reading("ListStreams", start):
        pages = client.get_paginator("list_streams").paginate()
        streams = [name for page in pages for name in page["StreamNames"] if name.startswith(start)]

    def tagged(name: str) -> _Tagged:
        return name, client.list_tags_for_stream(StreamName=name)["Tags"]

    return _strays(aws, "stream", streams, "ListTagsForStream", tagged)


def _tables(aws: AwsSession) -> Iterator[StrayResource]:
    """Yield DynamoDB tables of the project's name without its tags."""
    client, start = aws.client("dynamodb"), names.underscored(aws.project, "")
    with aws.reading("ListTables", start):
        pages = client.get_paginator("list_tables").paginate()
        tables = [name for page in pages for name in page["TableNames"] if name.startswith(start)]

    def tagged(name: str) -> _Tagged:
        arn = client.describe_table(TableName=name)["Table"]["TableArn"]
        return arn, client.list_tags_of_resource(ResourceArn=arn)["Tags"]

    return _strays(aws, "counter table", tables, "ListTagsOfResource", tagged)


def _strays(
    aws: AwsSession,
    kind: str,
    resources: Iterable[str],
    operation: str,
    tagged: Callable[[str], _Tagged],
) -> Iterator[StrayResource]:
    """Yield those of some resources whose tags lack the project, or what the resource is.

    Args:
        aws: The session.
        kind: What they are.
        resources: Their names.
        operation: The one that reads the tags, for errors.
        tagged: Returns the id and the tags of a resource by its name.
    """
    for name in resources:
        try:
            with aws.reading(operation, name):
                native_id, tags = tagged(name)
        except NotFound:  # it was removed since it was listed
            continue
        by_key = {tag["Key"]: tag["Value"] for tag in tags}
        missing = tuple(tag for tag in _TAGS if tag not in by_key)
        if missing and by_key.get(names.PROJECT_TAG, aws.project) == aws.project:
            yield StrayResource(kind=kind, name=name, native_id=native_id, missing=missing)
