"""The rights that an operation needs beside its own action, with AWS's page for each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .. import objects

# service -> the action that tags at creation need as well, on what is created. sagemaker: Service
# Authorization Reference, Amazon SageMaker. kinesis: API Reference, CreateStream. firehose:
# Developer Guide, "Understand tag basics". glue: Developer Guide, "AWS tags in AWS Glue".
# cloudwatch: API Reference, PutMetricAlarm. dynamodb: Developer Guide, "Tagging resources in
# DynamoDB". athena: User Guide, "Tag-based IAM access control policies". logs: API Reference,
# CreateLogGroup. states: Developer Guide, "Tagging".
TAGGING = {
    "sagemaker": "sagemaker:AddTags",
    "kinesis": "kinesis:AddTagsToStream",
    "firehose": "firehose:TagDeliveryStream",
    "glue": "glue:TagResource",
    "cloudwatch": "cloudwatch:TagResource",
    "athena": "athena:TagResource",
    "logs": "logs:TagResource",
    "events": "events:TagResource",
    "stepfunctions": "states:TagResource",
    "dynamodb": "dynamodb:TagResource",
}
# tags are all that they do
_ADDS_TAGS = (
    "AddTags",
    "AddTagsToStream",
    "TagResource",
    "TagDeliveryStream",
)

# Athena asks Glue with its caller's rights: User Guide, "Configure access to databases and tables
# in the AWS Glue Data Catalog". operation of Athena -> of Glue, on the same database and table
ATHENA_TO_GLUE = {
    "GetTableMetadata": "GetTable",
    "ListTableMetadata": "GetTables",
    "GetDatabase": "GetDatabase",
    "ListDatabases": "GetDatabases",
}
# What Athena does where the stack makes one call: operation of Glue -> further actions, on the same
# path.
ATHENAS_GLUE = {
    "GetTable": ("glue:GetDatabase", "glue:GetPartitions"),
    "GetPartitions": ("glue:GetPartition", "glue:BatchGetPartition"),
}
# On the bucket and the folder of the results: AWS managed policy AmazonAthenaFullAccess,
# BaseQueryResultsPermissions.
_RESULTS_BUCKET = ("s3:GetBucketLocation", "s3:ListBucket", "s3:ListBucketMultipartUploads")
_RESULTS_FOLDER = (
    "s3:AbortMultipartUpload",
    "s3:GetObject",
    "s3:ListMultipartUploadParts",
    "s3:PutObject",
)


# Application Auto Scaling looks at the endpoint, changes it and keeps its alarms with its caller's
# rights: SageMaker Developer Guide, "Automatically scale models", prerequisites. operation ->
# actions on everything
SCALING = {
    "RegisterScalableTarget": (
        "iam:CreateServiceLinkedRole",
        "sagemaker:DescribeEndpoint",
        "sagemaker:DescribeEndpointConfig",
        "sagemaker:UpdateEndpointWeightsAndCapacities",
    ),
    "PutScalingPolicy": ("cloudwatch:DescribeAlarms", "cloudwatch:PutMetricAlarm"),
    "DeleteScalingPolicy": ("cloudwatch:DeleteAlarms",),
    "DeregisterScalableTarget": ("cloudwatch:DeleteAlarms",),
}


def tagging(service: str, operation: str, params: Mapping[str, Any]) -> str | None:
    """Return the IAM action for tagging that a call with tags needs besides its own, or None."""
    tags = params.get("Tags") or params.get("tags")
    return TAGGING.get(service) if tags and operation not in _ADDS_TAGS else None


def result_grants(params: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield the S3 actions and ARNs that StartQueryExecution needs for its result location."""
    try:
        bucket, folder = objects.split((params.get("ResultConfiguration") or {})["OutputLocation"])
    except (KeyError, ValueError):
        return  # the workgroup's place: what Athena does there is seen when it does it
    arn = f"arn:aws:s3:::{bucket}"
    yield from ((action, arn) for action in _RESULTS_BUCKET)
    yield from (
        (action, f"{arn}/{folder.rstrip('/')}/*" if folder.strip("/") else f"{arn}/*")
        for action in _RESULTS_FOLDER
    )
