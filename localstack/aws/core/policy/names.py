"""Which parameter names which resource, for each service: data of evaluation.py."""

from __future__ import annotations

# botocore's service -> the prefix of its actions and ARNs
PREFIXES = {
    "sagemaker-runtime": "sagemaker",
    "sagemaker-featurestore-runtime": "sagemaker",
    "sagemaker-metrics": "sagemaker",
    "bedrock-runtime": "bedrock",
    "timestream-query": "timestream",
    "timestream-write": "timestream",
    "stepfunctions": "states",
    "elbv2": "elasticloadbalancing",
    "resourcegroupstaggingapi": "tag",
}
# Anybody may call them.
NO_PERMISSION = {("sts", "GetCallerIdentity"), ("sts", "GetSessionToken")}
# The services that are handed roles, and what such a role is passed to.
ROLES = {
    "sagemaker": "sagemaker",
    "firehose": "firehose",
    "stepfunctions": "states",
    "glue": "glue",
    "events": "events",
    "lambda": "lambda",
}
# parameter -> what follows arn:aws:<service>:<region>:<account>:
RESOURCES: dict[str, dict[str, str]] = {
    "sagemaker": {
        "EndpointName": "endpoint/{}",
        "EndpointConfigName": "endpoint-config/{}",
        "ModelName": "model/{}",
        "TrainingJobName": "training-job/{}",
        "ProcessingJobName": "processing-job/{}",
        "TransformJobName": "transform-job/{}",
        "HyperParameterTuningJobName": "hyper-parameter-tuning-job/{}",
        "PipelineName": "pipeline/{}",
        "FeatureGroupName": "feature-group/{}",
        "ModelPackageGroupName": "model-package-group/{}",
        "ModelPackageName": "model-package/{}",
        "ExperimentName": "experiment/{}",
        "TrialName": "experiment-trial/{}",
        "TrialComponentName": "experiment-trial-component/{}",
        "InferenceComponentName": "inference-component/{}",
        "MonitoringScheduleName": "monitoring-schedule/{}",
    },
    "athena": {
        "WorkGroup": "workgroup/{}",
        "DataCatalog": "datacatalog/{}",
        "CatalogName": "datacatalog/{}",
    },
    "kinesis": {"StreamName": "stream/{}"},
    "firehose": {"DeliveryStreamName": "deliverystream/{}"},
    "cloudwatch": {
        "AlarmName": "alarm:{}",
        "AlarmNames": "alarm:{}",
        "DashboardName": "dashboard/{}",
    },
    "logs": {"logGroupName": "log-group:{}:*", "logGroupNamePrefix": "log-group:{}*"},
    "dynamodb": {"TableName": "table/{}"},
    "iam": {"RoleName": "role/{}", "UserName": "user/{}", "PolicyArn": "{}"},
    "states": {"name": "stateMachine:{}"},
}
GLUE_INPUTS = ("TableInput", "DatabaseInput")
