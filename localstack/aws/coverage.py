"""What the stack does with every operation of the services that it covers: executes, stores only,
not there.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from functools import cache
from importlib import import_module
from typing import Any, Literal

import msgspec
from botocore.session import get_session

from . import handler_modules
from .core.registry import OPERATIONS

Level = Literal["executes", "stores only", "not there"]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


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
    "s3": _words(
        "AbortMultipartUpload CompleteMultipartUpload CopyObject CreateBucket "
        "CreateMultipartUpload DeleteBucket DeleteObject "
        "DeleteObjects GetObject GetObjectAttributes GetObjectTagging HeadBucket HeadObject "
        "ListBuckets ListMultipartUploads "
        "ListObjectVersions ListObjects ListObjectsV2 ListParts PutObject PutObjectTagging "
        "DeleteObjectTagging UploadPart "
        "UploadPartCopy"
    ),
    "glue": _words(
        "BatchCreatePartition BatchDeletePartition BatchDeleteTable BatchGetPartition "
        "BatchUpdatePartition CreateDatabase "
        "CreatePartition CreateTable DeleteDatabase DeletePartition DeleteTable "
        "DeleteTableVersion GetDatabase GetDatabases "
        "GetPartition GetPartitions GetTable GetTableVersion GetTableVersions GetTables "
        "UpdateDatabase UpdatePartition "
        "UpdateTable"
    ),
    "kinesis": _words(
        "CreateStream DeleteStream DescribeStream DescribeStreamSummary GetRecords "
        "GetShardIterator ListShards ListStreams "
        "MergeShards PutRecord PutRecords SplitShard UpdateShardCount"
    ),
    "firehose": _words(
        "CreateDeliveryStream DeleteDeliveryStream DescribeDeliveryStream "
        "ListDeliveryStreams PutRecord PutRecordBatch"
    ),
    "cloudwatch": _words("GetMetricData GetMetricStatistics ListMetrics PutMetricData"),
    "dynamodb": _words("ListTables ListTagsOfResource TagResource UntagResource"),
}
# What moto says is done, or running, and nobody did: refused by name, but with --moto-answers. Also
# of services that are not in FAMILIES.
MADE_UP: dict[str, frozenset[str]] = {
    "sagemaker": _words(
        "CreateAutoMLJobV2 CreateCluster CreateCompilationJob CreateDomain "
        "CreateNotebookInstance StartNotebookInstance"
    ),
    "glue": _words("CreateSession StartCrawler StartJobRun StartTrigger StartWorkflowRun"),
    "batch": _words("SubmitJob"),
    "bedrock": _words("CreateModelCustomizationJob"),
    "bedrock-runtime": _words("InvokeModel"),
    "codebuild": _words("StartBuild"),
    "comprehend": _words(
        "DetectKeyPhrases DetectPiiEntities DetectSentiment StartDocumentClassificationJob "
        "StartDominantLanguageDetectionJob "
        "StartEntitiesDetectionJob StartEventsDetectionJob StartFlywheelIteration "
        "StartKeyPhrasesDetectionJob StartPiiEntitiesDetectionJob "
        "StartSentimentDetectionJob StartTargetedSentimentDetectionJob StartTopicsDetectionJob"
    ),
    "datasync": _words("StartTaskExecution"),
    "dms": _words("StartReplicationTask"),
    "ec2": _words("RunInstances StartInstances"),
    "ecs": _words("RunTask StartTask"),
    "eks": _words("CreateCluster CreateNodegroup"),
    "elasticache": _words("CreateCacheCluster CreateReplicationGroup"),
    "emr": _words("AddJobFlowSteps RunJobFlow"),
    "emr-containers": _words("StartJobRun"),
    "emr-serverless": _words("StartApplication StartJobRun"),
    "kafka": _words("CreateCluster CreateClusterV2"),
    "lambda": _words("Invoke InvokeAsync InvokeWithResponseStream"),
    "opensearch": _words("CreateDomain"),
    "polly": _words("SynthesizeSpeech"),
    "rds": _words("CreateDBCluster CreateDBInstance StartDBCluster StartDBInstance"),
    "rds-data": _words("ExecuteStatement"),
    "redshift": _words("CreateCluster"),
    "redshift-data": _words("ExecuteStatement"),
    "rekognition": _words(
        "CompareFaces DetectCustomLabels DetectLabels DetectText StartFaceSearch StartTextDetection"
    ),
    "ssm": _words("SendCommand"),
    "stepfunctions": _words("StartExecution StartSyncExecution"),
    "timestream-query": _words("Query"),
    "textract": _words("DetectDocumentText StartDocumentAnalysis StartDocumentTextDetection"),
    "transcribe": _words("StartMedicalTranscriptionJob StartTranscriptionJob"),
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
        "Of variants' DesiredInstanceCount alone; of the other namespaces targets are "
        "stored, policies and scheduled actions refused. "
        "How much a tracked "
        "metric changes a count is ours (count x metric / target, rounded up): AWS's way is "
        "not published."
    ),
}
# Operations that moto answers under method names that do not follow from the operation's.
_MOTO_ELSEWHERE: dict[str, frozenset[str]] = {
    "s3": _words(
        "BucketCORSPreflightCheck CompleteMultipartUpload CreateBucket CreateMultipartUpload "
        "DeleteObjects "
        "GetBucketLifecycleConfiguration GetBucketNotificationConfiguration GetBucketTagging "
        "ListBuckets "
        "ObjectCORSPreflightCheck PostObject PutBucketAccelerateConfiguration PutBucketAcl "
        "PutBucketCors PutBucketEncryption "
        "PutBucketInventoryConfiguration PutBucketLifecycleConfiguration PutBucketLogging "
        "PutBucketNotificationConfiguration "
        "PutBucketOwnershipControls PutBucketPolicy PutBucketReplication PutBucketTagging "
        "PutBucketVersioning "
        "PutBucketWebsite PutObjectLockConfiguration PutPublicAccessBlock RestoreObject "
        "SelectObjectContent "
    ),
}


class Covered(msgspec.Struct, frozen=True, kw_only=True):
    service: str  # botocore's name
    operation: str
    level: Level
    by: Literal["isthmus", "moto", ""]


class Count(msgspec.Struct, frozen=True, kw_only=True):
    executes: int
    stores: int
    missing: int


def coverage(family: str | None = None) -> tuple[Covered, ...]:
    """Every operation of botocore's models, in their order of services, then of the alphabet."""
    handler_modules.load()
    services = [s for name, members in FAMILIES.items() if family in (None, name) for s in members]
    return tuple(
        _coverage_of(service, operation)
        for service in services
        for operation in sorted(_operations(service))
    )


def count(covered: Iterable[Covered]) -> Count:
    levels = Counter(item.level for item in covered)
    return Count(
        executes=levels["executes"], stores=levels["stores only"], missing=levels["not there"]
    )


def page() -> str:
    """docs/coverage.md."""
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


def _coverage_of(service: str, operation: str) -> Covered:
    ours = OPERATIONS.get((service, operation))
    if ours is not None:
        return Covered(
            service=service,
            operation=operation,
            level="executes" if ours.executes else "stores only",
            by="isthmus",
        )
    if operation not in moto_has(service) or operation in MADE_UP.get(service, ()):
        return Covered(service=service, operation=operation, level="not there", by="")
    executes = operation in MOTO_EXECUTES.get(service, frozenset())
    return Covered(
        service=service,
        operation=operation,
        level="executes" if executes else "stores only",
        by="moto",
    )


@cache
def services() -> frozenset[str]:
    """By botocore's names."""
    return frozenset(get_session().get_available_services())


def operations(service: str | None) -> frozenset[str]:
    """The operations of a service; None: of all that the stack covers."""
    wanted = (
        [member for members in FAMILIES.values() for member in members]
        if service is None
        else [service]
    )
    ours = {name for owner, name in OPERATIONS if service in (None, owner)}
    return frozenset(ours.union(*(_operations(member) for member in wanted)))


@cache
def _operations(service: str) -> tuple[str, ...]:
    from moto.core.utils import get_service_model

    model: Any = get_service_model(service)
    return tuple(model.operation_names)


@cache
def moto_has(service: str) -> frozenset[str]:
    """The operations that moto has a method for."""
    from moto.core.responses import BaseResponse
    from moto.core.utils import camelcase_to_underscores, method_names_from_class

    try:
        module = import_module(f"moto.{re.sub(r'[^a-z0-9]', '', service)}.responses")
    except ModuleNotFoundError:
        return frozenset()
    classes = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, BaseResponse) and c.__module__ == module.__name__
    ]
    methods = {name for responses in classes for name in method_names_from_class(responses)}
    named = {
        operation
        for operation in _operations(service)
        if camelcase_to_underscores(operation) in methods
    }
    return frozenset(named | _MOTO_ELSEWHERE.get(service, frozenset()))
