"""The requests that the scenarios of moto_scenarios.py are made of."""

from typing import Any

Call = tuple[str, str, dict[str, Any]]
ROLE = "arn:aws:iam::123456789012:role/moto"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/nobodys:1"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"
TAGS = [{"Key": "team", "Value": "ranking"}]
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
MONITOR: dict[str, Any] = {
    "JobResources": {"ClusterConfig": CLUSTER},
    "RoleArn": ROLE,
    "Tags": TAGS,
}
REPORT = {
    "MonitoringOutputs": [
        {"S3Output": {"S3Uri": "s3://b/out", "LocalPath": "/opt/ml/processing/out"}}
    ]
}
WATCHED = {"EndpointInput": {"EndpointName": "served", "LocalPath": "/opt/ml/processing/in"}}
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {
        "S3DataSource": {
            "S3DataType": "S3Prefix",
            "S3Uri": "s3://b/train/",
            "S3DataDistributionType": "FullyReplicated",
        }
    },
}


def sm(method: str, **arguments: Any) -> Call:
    return ("sagemaker", method, arguments)


def tagged(value: str) -> dict[str, Any]:
    return named("Tags.team", "Equals", value)


def named(name: str, operator: str, value: str) -> dict[str, Any]:
    return {"Filters": [{"Name": name, "Operator": operator, "Value": value}]}


def training(name: str, **more: Any) -> dict[str, Any]:
    return {
        "TrainingJobName": name,
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "MetricDefinitions": [{"Name": "auc", "Regex": "auc=(.*)"}],
        },
        "RoleArn": ROLE,
        "InputDataConfig": [CHANNEL],
        "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
        "ResourceConfig": CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 3600},
        "HyperParameters": {"lr": "0.5"},
        **more,
    }


def processing(name: str, **more: Any) -> dict[str, Any]:
    return {
        "ProcessingJobName": name,
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/x.py"],
        },
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        **more,
    }


def transform(name: str) -> dict[str, Any]:
    return {
        "TransformJobName": name,
        "ModelName": "m",
        "TransformInput": {
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}
        },
        "TransformOutput": {"S3OutputPath": "s3://b/out"},
        "TransformResources": {"InstanceType": "ml.m5.large", "InstanceCount": 1},
        "Tags": TAGS,
    }


def variant(model: str = "m", **more: Any) -> dict[str, Any]:
    return {
        "VariantName": "a",
        "ModelName": model,
        "InstanceType": "ml.m5.large",
        "InitialInstanceCount": 1,
        "InitialVariantWeight": 1.0,
        **more,
    }


def model(name: str = "m", **more: Any) -> Call:
    container = {"Image": IMAGE, "ModelDataUrl": "s3://b/model.tar.gz", "Environment": {"A": "1"}}
    return sm(
        "create_model", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, **more
    )


def endpoint(name: str = "e") -> tuple[Call, ...]:
    return (
        model(),
        sm(
            "create_endpoint_config", EndpointConfigName=f"{name}-c", ProductionVariants=[variant()]
        ),
        sm("create_endpoint", EndpointName=name, EndpointConfigName=f"{name}-c"),
    )


def monitor(kind: str, application: dict[str, Any], **more: Any) -> tuple[Call, ...]:
    """A monitoring job definition of a kind, from its creation to its end."""
    create = {**MONITOR, "JobDefinitionName": "d", **application, **more}
    one = f"{kind}_job_definition"
    return (
        sm(f"create_{one}", **create),
        sm(f"describe_{one}", JobDefinitionName="d"),
        sm(f"create_{one}", **create),
        sm(f"list_{one}s"),
        sm(f"list_{one}s", NameContains="nothing"),
        sm("list_tags", ResourceArn="@0.JobDefinitionArn"),
        sm(f"delete_{one}", JobDefinitionName="d"),
        sm(f"describe_{one}", JobDefinitionName="d"),
        sm(f"delete_{one}", JobDefinitionName="d"),
    )


GROUP = {
    "RecordIdentifierFeatureName": "id",
    "EventTimeFeatureName": "at",
    "FeatureDefinitions": [
        {"FeatureName": "id", "FeatureType": "Integral"},
        {"FeatureName": "at", "FeatureType": "Fractional"},
    ],
    "RoleArn": ROLE,
    "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/f"}},
}
STEP = (
    '{"Version": "2020-12-01", "Parameters": [{"Name": "p", "Type": "String", "DefaultValue": '
    '"x"}], "Steps": []}'
)
PIPELINE = {
    "PipelineName": "p",
    "PipelineDefinition": STEP,
    "RoleArn": ROLE,
    "ClientRequestToken": "t" * 32,
}
AUTOML = {
    "AutoMLJobInputDataConfig": [
        {
            "ChannelType": "training",
            "ContentType": "text/csv",
            "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b"}},
        }
    ],
    "OutputDataConfig": {"S3OutputPath": "s3://b/out"},
    "AutoMLProblemTypeConfig": {
        "TabularJobConfig": {
            "TargetAttributeName": "click",
            "ProblemType": "BinaryClassification",
            "CompletionCriteria": {"MaxCandidates": 1},
        }
    },
    "RoleArn": ROLE,
    "Tags": TAGS,
}
TUNING = {
    "HyperParameterTuningJobConfig": {
        "Strategy": "Bayesian",
        "ResourceLimits": {"MaxNumberOfTrainingJobs": 2, "MaxParallelTrainingJobs": 1},
    },
    "TrainingJobDefinition": {
        k: v for k, v in training("x").items() if k not in ("TrainingJobName", "HyperParameters")
    },
    "Tags": TAGS,
}
COMPILATION = {
    "RoleArn": ROLE,
    "InputConfig": {"S3Uri": "s3://b/in", "DataInputConfig": "{}", "Framework": "PYTORCH"},
    "OutputConfig": {"S3OutputLocation": "s3://b/out", "TargetDevice": "ml_m5"},
    "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    "Tags": TAGS,
}
NODES = [
    {
        "InstanceCount": 1,
        "InstanceGroupName": "g",
        "InstanceType": "ml.m5.large",
        "LifeCycleConfig": {"SourceS3Uri": "s3://sagemaker-b/life", "OnCreate": "on.sh"},
        "ExecutionRole": ROLE,
        "ThreadsPerCore": 1,
    }
]
DOMAIN = {
    "DomainName": "d",
    "AuthMode": "IAM",
    "DefaultUserSettings": {"ExecutionRole": ROLE},
    "SubnetIds": ["subnet-1"],
    "VpcId": "vpc-1",
    "Tags": TAGS,
}
CARD = {"ModelCardName": "c", "Content": "{}", "ModelCardStatus": "Draft", "Tags": TAGS}
PACKAGE = {
    "Containers": [{"Image": IMAGE, "ModelDataUrl": "s3://b/m.tar.gz"}],
    "SupportedContentTypes": ["text/csv"],
    "SupportedResponseMIMETypes": ["text/csv"],
}
NO_BUCKET = {"OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://nobodys"}}}
