"""The actions that S3's operations need: they are not named as the operations are.

Source: Service Authorization Reference, Amazon S3.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import unquote

# operation -> action, where they differ
_ACTIONS = {
    "ListBuckets": "ListAllMyBuckets",
    "HeadBucket": "ListBucket",
    "ListObjects": "ListBucket",
    "ListObjectsV2": "ListBucket",
    "ListObjectVersions": "ListBucketVersions",
    "HeadObject": "GetObject",
    "GetObjectAttributes": "GetObject",
    "SelectObjectContent": "GetObject",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "DeleteObjects": "DeleteObject",
    "GetPublicAccessBlock": "GetBucketPublicAccessBlock",
    "PutPublicAccessBlock": "PutBucketPublicAccessBlock",
    "DeletePublicAccessBlock": "PutBucketPublicAccessBlock",
    "GetBucketEncryption": "GetEncryptionConfiguration",
    "PutBucketEncryption": "PutEncryptionConfiguration",
    "DeleteBucketEncryption": "PutEncryptionConfiguration",
    "GetBucketLifecycleConfiguration": "GetLifecycleConfiguration",
    "PutBucketLifecycleConfiguration": "PutLifecycleConfiguration",
    "DeleteBucketLifecycle": "PutLifecycleConfiguration",
    "DeleteBucketTagging": "PutBucketTagging",
    "DeleteBucketCors": "PutBucketCORS",
    "GetBucketCors": "GetBucketCORS",
    "PutBucketCors": "PutBucketCORS",
}


def grants(
    operation: str, params: Mapping[str, Any], *, folders: bool = False
) -> Iterator[tuple[str, str]]:
    """Yield the IAM action and the ARN of every permission that a call of S3 needs.

    Args:
        operation: The operation of S3.
        params: Its parameters.
        folders: Whether to ask for the right to an object's folder in place of the object, for a
            caller whose objects get generated names.
    """
    bucket, key = params.get("Bucket"), params.get("Key")
    if folders and key is not None:
        key = f"{key.rpartition('/')[0]}/*".lstrip("/")
    action = f"s3:{_ACTIONS.get(operation, operation)}"
    if bucket is None:
        yield action, "*"
        return
    arn = f"arn:aws:s3:::{bucket}"
    if operation == "DeleteObjects":
        yield from (
            (action, f"{arn}/{item['Key']}") for item in params.get("Delete", {}).get("Objects", [])
        )
    else:
        yield action, f"{arn}/{key}" if key is not None else arn
    if operation in ("CopyObject", "UploadPartCopy") and (source := params.get("CopySource")):
        path = (
            f"{source['Bucket']}/{source['Key']}"
            if isinstance(source, Mapping)
            else unquote(str(source)).lstrip("/").split("?")[0]
        )
        yield "s3:GetObject", f"arn:aws:s3:::{path}"
    if operation in ("PutObject", "CreateMultipartUpload", "CopyObject") and params.get("Tagging"):
        yield "s3:PutObjectTagging", f"{arn}/{key}"
