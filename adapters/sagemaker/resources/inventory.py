"""Inventory over this project's tags.

The tagging API may lag by minutes and does not know every kind, so own lists complete it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any, final

from ....errors import Invalid
from ....storage import Resource
from ....target import Target
from ...common.storage.counters import KIND
from .. import names
from ..endpoints import adoption
from ..events import log as events
from ..online import store as online
from ..session import AwsSession, aws_of
from ..storage import counters
from ..warehouse import catalogue, warehouse
from . import deletion

# kind -> what deletes it: returns at once, absent is success. In the order in which a project is
# taken down: users before what they use.
DELETERS: dict[str, Callable[[AwsSession, str], None]] = {
    "endpoint": deletion.endpoint,
    KIND: counters.remove,
    "pipeline": deletion.pipeline,
    online.KIND: online.remove,
    events.KIND: events.remove,
    "view": warehouse.remove,
    "table": warehouse.remove,
    "model": deletion.model,
}
# parts of another resource, which goes as a whole
_PART_OF = {"endpoint_config": "endpoint", "endpoint_model": "endpoint"}
# cost nothing by the hour, only by use
_FREE = frozenset({KIND, "pipeline", online.KIND, "view", "table", "model"})


@final
class AwsInventory:
    """The Inventory port over tags."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)

    def list(self, project: str) -> Iterator[Resource]:
        """Yield a project's AWS resources; those of a project other than the target's by tags."""
        arns, adopted = _tagged_resources(self._aws, project)
        if project == self._aws.project:
            for kind, list_ in (
                (events.KIND, events.streams),
                (online.KIND, online.feature_groups),
                (KIND, counters.tables),
            ):
                for name, arn in list_(self._aws):
                    arns.setdefault((kind, name), arn)
            arns |= _tables(self._aws)
        order = list(DELETERS)
        for kind, name in sorted(arns, key=lambda pair: (order.index(pair[0]), pair[1])):
            arn = arns[kind, name]
            yield Resource(
                kind=kind,
                name=name,
                native_id=arn,
                hourly_cost=_cost(self._aws, kind, name),
                console_url=_url(self._aws, kind, name),
                adopted=arn in adopted,
            )

    def delete(self, resource: Resource) -> None:
        """Delete a resource by the function for its kind, without waiting; it may be absent.

        Raises:
            Busy: Something changes or uses it.
            Invalid: There is no such kind.
        """
        deleter = DELETERS.get(resource.kind)
        if deleter is None:
            raise Invalid(
                f"{resource.kind} {resource.name}: SageMaker's target has no such kind of resource"
            )
        with self._aws.mutating(f"Delete {resource.kind}", resource.name):
            if resource.kind == "endpoint" and adoption.release(
                self._aws, resource.native_id.rpartition("/")[2]
            ):
                return  # it was adopted, whether or not profiles.yaml still names it
            deleter(self._aws, resource.name)


def _tagged_resources(aws: AwsSession, project: str) -> tuple[dict[tuple[str, str], str], set[str]]:
    """Return the ARNs of a project's tagged resources by (kind, name), and which are adopted."""
    arns: dict[tuple[str, str], str] = {}
    adopted: set[str] = set()
    filters = [{"Key": names.PROJECT_TAG, "Values": [project]}]
    with aws.reading("GetResources", project):
        for page in (
            aws.client("resourcegroupstaggingapi")
            .get_paginator("get_resources")
            .paginate(TagFilters=filters)
        ):
            for item in page["ResourceTagMappingList"]:
                tags = {tag["Key"]: tag["Value"] for tag in item["Tags"]}
                kind = tags.get(names.KIND_TAG, "")
                whole = _PART_OF.get(kind, kind)
                if (
                    whole in DELETERS
                    and names.NAME_TAG in tags
                    and (kind == whole or (whole, tags[names.NAME_TAG]) not in arns)
                ):
                    arns[whole, tags[names.NAME_TAG]] = item["ResourceARN"]
                    if kind == "endpoint" and adoption.versions(tags):
                        adopted.add(item["ResourceARN"])
    return arns, adopted


def _tables(aws: AwsSession) -> dict[tuple[str, str], str]:
    """Return the locations of the project's Glue tables and views, by (kind, name).

    S3 folders of rows without a table count as tables: a deletion that was interrupted left them,
    or they hold Firehose's last objects.
    """
    places: dict[tuple[str, str], str] = {}
    for name, stored in catalogue.read_all(aws).items():
        places["table" if stored.document.view_sql is None else "view", name] = (
            f"{aws.database}.{name}"
        )
    folder = aws.key("warehouse") + "/"
    with aws.reading("ListObjectsV2", folder):
        for page in (
            aws.s3()
            .get_paginator("list_objects_v2")
            .paginate(Bucket=aws.bucket, Prefix=folder, Delimiter="/")
        ):
            for item in page.get("CommonPrefixes", ()):
                name = item["Prefix"].removeprefix(folder).rstrip("/")
                places.setdefault(("table", name), f"s3://{aws.bucket}/{item['Prefix']}")
    return places


def _cost(aws: AwsSession, kind: str, name: str) -> Decimal | None:
    """Return a resource's USD an hour, or None if it is unknown."""
    if kind in _FREE:
        return Decimal(0)
    return deletion.endpoint_cost(aws, name) if kind == "endpoint" else None


_PAGES: dict[str, Callable[[AwsSession, str], str]] = {
    "endpoint": lambda aws, name: (
        f"sagemaker/home?region={aws.region}#/endpoints/{aws.endpoint_name(name)}"
    ),
    events.KIND: lambda aws, name: (
        f"kinesis/home?region={aws.region}#/streams/details/"
        f"{names.underscored(aws.project, name)}/monitoring"
    ),
    "table": lambda aws, name: (
        f"athena/home?region={aws.region}#/query-editor/databases/{aws.database}/tables/{name}"
    ),
}


def _url(aws: AwsSession, kind: str, name: str) -> Any:
    """Return the URL of a resource's page in the AWS console, or None."""
    page = _PAGES.get(kind)
    return (
        None
        if page is None or aws.offline
        else f"https://{aws.region}.console.aws.amazon.com/{page(aws, name)}"
    )
