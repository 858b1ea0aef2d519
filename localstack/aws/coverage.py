"""How the stack meets each operation of the services that it covers.

It executes the operation, only stores what the operation says, or does not have it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from functools import cache
from typing import Literal

import msgspec
from botocore.session import get_session

from . import handler_modules
from .core.protocol.moto_operations import MADE_UP, moto_has, operations_of, words_of
from .core.registry import OPERATIONS

Level = Literal["executes", "stores only", "not there"]


# What `isthmus-stack up aws` names; SageMaker's data planes count as sagemaker.
FAMILIES: dict[str, tuple[str, ...]] = {
    "sagemaker": (
        "sagemaker",
        "sagemaker-runtime",
        "sagemaker-featurestore-runtime",
        "sagemaker-metrics",
    ),
    "s3": ("s3",),
    "glue": ("glue",),
    "athena": ("athena",),
    "kinesis": ("kinesis",),
    "firehose": ("firehose",),
    "cloudwatch": ("cloudwatch",),
    "dynamodb": ("dynamodb",),
    "application-autoscaling": ("application-autoscaling",),
}
# What moto does in earnest: the effect that the operation promises can be seen through others. All
# its other operations store only.
MOTO_EXECUTES: dict[str, frozenset[str]] = {
    "s3": words_of(
        "AbortMultipartUpload CompleteMultipartUpload CopyObject CreateBucket "
        "CreateMultipartUpload DeleteBucket DeleteObject DeleteObjects GetObject "
        "GetObjectAttributes GetObjectTagging HeadBucket HeadObject ListBuckets "
        "ListMultipartUploads ListObjectVersions ListObjects ListObjectsV2 ListParts PutObject "
        "PutObjectTagging DeleteObjectTagging UploadPart UploadPartCopy"
    ),
    "glue": words_of(
        "BatchCreatePartition BatchDeletePartition BatchDeleteTable BatchGetPartition "
        "BatchUpdatePartition CreateDatabase CreatePartition CreateTable DeleteDatabase "
        "DeletePartition DeleteTable DeleteTableVersion GetDatabase GetDatabases GetPartition "
        "GetPartitions GetTable GetTableVersion GetTableVersions GetTables UpdateDatabase "
        "UpdatePartition UpdateTable"
    ),
    "kinesis": words_of(
        "CreateStream DeleteStream DescribeStream DescribeStreamSummary GetRecords "
        "GetShardIterator ListShards ListStreams "
        "MergeShards PutRecord PutRecords SplitShard UpdateShardCount"
    ),
    "firehose": words_of(
        "CreateDeliveryStream DeleteDeliveryStream DescribeDeliveryStream "
        "ListDeliveryStreams PutRecord PutRecordBatch"
    ),
    "cloudwatch": words_of("GetMetricData GetMetricStatistics ListMetrics PutMetricData"),
    "dynamodb": words_of("ListTables ListTagsOfResource TagResource UntagResource"),
}
# family -> what executes otherwise than the provider's own, which is not published
NOTES = {
    "sagemaker": (
        "The Bayesian search of CreateHyperParameterTuningJob is ours (a Gaussian process, "
        "expected improvement), not AWS's. At most four "
        "processes are a variant's instances, however many there are; a job on several "
        "instances is refused."
    ),
    "application-autoscaling": (
        "Of variants' DesiredInstanceCount alone; of the other namespaces targets are stored, "
        "policies and scheduled actions refused. How much a tracked metric changes a count is "
        "ours (count x metric / target, rounded up): AWS's way is not published."
    ),
}


class OperationCoverage(msgspec.Struct, frozen=True, kw_only=True):
    """An operation, and how the stack meets it."""

    service: str  # botocore's name
    operation: str
    level: Level
    by: Literal["isthmus", "moto", ""]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """The numbers of operations by how the stack meets them."""

    executes: int
    stores: int
    missing: int


def coverage(family: str | None = None) -> tuple[OperationCoverage, ...]:
    """Return the support level of every operation of the covered AWS services.

    They are sorted by service and then by name.

    Args:
        family: A family of services of FAMILIES, such as `sagemaker`; None: all of them.
    """
    handler_modules.load()
    services = [s for name, members in FAMILIES.items() if family in (None, name) for s in members]
    return tuple(
        _coverage_of(service, operation)
        for service in services
        for operation in sorted(operations_of(service))
    )


def count(covered: Iterable[OperationCoverage]) -> Count:
    """Return how many operations the stack executes, how many it only stores, how many it lacks."""
    levels = Counter(item.level for item in covered)
    return Count(
        executes=levels["executes"], stores=levels["stores only"], missing=levels["not there"]
    )


def page() -> str:
    """Return docs/coverage.md, the table of supported operations, as Markdown text."""
    covered = coverage()
    total = count(covered)
    lines = [
        "# What the AWS local stack covers",
        "",
        (
            "Generated by `make docs` from the handlers' table, moto's methods and botocore's "
            "models. Do not edit."
        ),
        "",
        (
            f"{total.executes} operations execute, {total.stores} only store, {total.missing} "
            "are not there: those answer at once, with an"
        ),
        (
            "error that names the operation. *Executes* means that what the operation promises "
            "happens and can be seen through others;"
        ),
        (
            "*stores only*, that the description can be read back and nothing else happens. (m): "
            "by moto."
        ),
    ]
    for family, services in FAMILIES.items():
        mine = [item for item in covered if item.service in services]
        counted = count(mine)
        lines += [
            "",
            f"## {family}",
            "",
            (
                f"{counted.executes} execute, {counted.stores} only store, {counted.missing} are "
                "not there."
            ),
            "",
        ]
        for service in services:
            for level in ("executes", "stores only"):
                members = [item for item in mine if item.service == service and item.level == level]
                names = [
                    f"{item.operation}{' (m)' if item.by == 'moto' else ''}" for item in members
                ]
                if names:
                    lines.append(f"- {service}, {level}: {', '.join(names)}.")
        lines += ["", NOTES[family]] if family in NOTES else []
    return "\n".join(lines) + "\n"


def _coverage_of(service: str, operation: str) -> OperationCoverage:
    """Return an operation with its level of support, and whether the stack or moto executes it."""
    ours = OPERATIONS.get((service, operation))
    if ours is not None:
        return OperationCoverage(
            service=service,
            operation=operation,
            level="executes" if ours.executes else "stores only",
            by="isthmus",
        )
    if operation not in moto_has(service) or operation in MADE_UP.get(service, ()):
        return OperationCoverage(service=service, operation=operation, level="not there", by="")
    executes = operation in MOTO_EXECUTES.get(service, frozenset())
    return OperationCoverage(
        service=service,
        operation=operation,
        level="executes" if executes else "stores only",
        by="moto",
    )


@cache
def services() -> frozenset[str]:
    """Return the names of AWS's services, as botocore has them."""
    return frozenset(get_session().get_available_services())


def operations(service: str | None) -> frozenset[str]:
    """Return the operations of a service; None: of all services that the stack covers."""
    members = (
        [member for members in FAMILIES.values() for member in members]
        if service is None
        else [service]
    )
    ours = {name for owner, name in OPERATIONS if service in (None, owner)}
    return frozenset(ours.union(*(operations_of(member) for member in members)))
