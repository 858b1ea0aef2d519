"""The operations that moto has, and those whose work it only claims."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

from ..moto_internals import (
    BaseResponse,
    camelcase_to_underscores,
    get_service_model,
    method_names_from_class,
    responses_module,
)


def words_of(text: str) -> frozenset[str]:
    """Return the whitespace-separated words of a text as a frozen set."""
    return frozenset(text.split())


# What moto says is done, or running, and nobody did: refused by name, but with --moto-answers. Also
# of services that are not in FAMILIES.
MADE_UP: dict[str, frozenset[str]] = {
    "sagemaker": words_of(
        "CreateAutoMLJobV2 CreateCluster CreateCompilationJob CreateDomain "
        "CreateNotebookInstance StartNotebookInstance"
    ),
    "glue": words_of("CreateSession StartCrawler StartJobRun StartTrigger StartWorkflowRun"),
    "batch": words_of("SubmitJob"),
    "bedrock": words_of("CreateModelCustomizationJob"),
    "bedrock-runtime": words_of("InvokeModel"),
    "codebuild": words_of("StartBuild"),
    "comprehend": words_of(
        "DetectKeyPhrases DetectPiiEntities DetectSentiment StartDocumentClassificationJob "
        "StartDominantLanguageDetectionJob StartEntitiesDetectionJob StartEventsDetectionJob "
        "StartFlywheelIteration StartKeyPhrasesDetectionJob StartPiiEntitiesDetectionJob "
        "StartSentimentDetectionJob StartTargetedSentimentDetectionJob StartTopicsDetectionJob"
    ),
    "datasync": words_of("StartTaskExecution"),
    "dms": words_of("StartReplicationTask"),
    "ec2": words_of("RunInstances StartInstances"),
    "ecs": words_of("RunTask StartTask"),
    "eks": words_of("CreateCluster CreateNodegroup"),
    "elasticache": words_of("CreateCacheCluster CreateReplicationGroup"),
    "emr": words_of("AddJobFlowSteps RunJobFlow"),
    "emr-containers": words_of("StartJobRun"),
    "emr-serverless": words_of("StartApplication StartJobRun"),
    "kafka": words_of("CreateCluster CreateClusterV2"),
    "lambda": words_of("Invoke InvokeAsync InvokeWithResponseStream"),
    "opensearch": words_of("CreateDomain"),
    "polly": words_of("SynthesizeSpeech"),
    "rds": words_of("CreateDBCluster CreateDBInstance StartDBCluster StartDBInstance"),
    "rds-data": words_of("ExecuteStatement"),
    "redshift": words_of("CreateCluster"),
    "redshift-data": words_of("ExecuteStatement"),
    "rekognition": words_of(
        "CompareFaces DetectCustomLabels DetectLabels DetectText StartFaceSearch StartTextDetection"
    ),
    "ssm": words_of("SendCommand"),
    "stepfunctions": words_of("StartExecution StartSyncExecution"),
    "timestream-query": words_of("Query"),
    "textract": words_of("DetectDocumentText StartDocumentAnalysis StartDocumentTextDetection"),
    "transcribe": words_of("StartMedicalTranscriptionJob StartTranscriptionJob"),
}


# Operations that moto answers under method names that do not follow from the operation's.
_MOTO_ELSEWHERE: dict[str, frozenset[str]] = {
    "s3": words_of(
        "BucketCORSPreflightCheck CompleteMultipartUpload CreateBucket CreateMultipartUpload "
        "DeleteObjects GetBucketLifecycleConfiguration GetBucketNotificationConfiguration "
        "GetBucketTagging ListBuckets ObjectCORSPreflightCheck PostObject "
        "PutBucketAccelerateConfiguration PutBucketAcl PutBucketCors PutBucketEncryption "
        "PutBucketInventoryConfiguration PutBucketLifecycleConfiguration PutBucketLogging "
        "PutBucketNotificationConfiguration PutBucketOwnershipControls PutBucketPolicy "
        "PutBucketReplication PutBucketTagging PutBucketVersioning PutBucketWebsite "
        "PutObjectLockConfiguration PutPublicAccessBlock RestoreObject SelectObjectContent "
    ),
}


@cache
def operations_of(service: str) -> tuple[str, ...]:
    """Return the names of a service's operations, as its model in botocore lists them."""
    model: Any = get_service_model(service)
    return tuple(model.operation_names)


@cache
def moto_has(service: str) -> frozenset[str]:
    """Return the operations of a service that moto has a method for."""
    module = responses_module(re.sub(r"[^a-z0-9]", "", service))
    if module is None:
        return frozenset()
    classes = [
        c
        for c in vars(module).values()
        if isinstance(c, type) and issubclass(c, BaseResponse) and c.__module__ == module.__name__
    ]
    methods = {name for responses in classes for name in method_names_from_class(responses)}
    named = {
        operation
        for operation in operations_of(service)
        if camelcase_to_underscores(operation) in methods
    }
    return frozenset(named | _MOTO_ELSEWHERE.get(service, frozenset()))
