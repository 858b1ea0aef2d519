"""What a client of plain moto does with SageMaker: boto3 calls by subject. Some are wrong on purpose: their errors are compared too.

A call is (service, method, arguments). `"@3.Name"` as a value is the member Name of the answer to the scenario's call number 3 (from 0).
"""

from typing import Any

Call = tuple[str, str, dict[str, Any]]
ROLE = "arn:aws:iam::123456789012:role/moto"
IMAGE = "683313688378.dkr.ecr.us-east-1.amazonaws.com/nobodys:1"
ARN = "arn:aws:sagemaker:us-east-1:123456789012:"
TAGS = [{"Key": "team", "Value": "ranking"}]
CLUSTER = {"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 10}
MONITOR: dict[str, Any] = {"JobResources": {"ClusterConfig": CLUSTER}, "RoleArn": ROLE, "Tags": TAGS}
REPORT = {"MonitoringOutputs": [{"S3Output": {"S3Uri": "s3://b/out", "LocalPath": "/opt/ml/processing/out"}}]}
WATCHED = {"EndpointInput": {"EndpointName": "served", "LocalPath": "/opt/ml/processing/in"}}
CHANNEL = {
    "ChannelName": "train",
    "DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/train/", "S3DataDistributionType": "FullyReplicated"}},
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
        "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": ["python3", "/opt/ml/processing/input/code/x.py"]},
        "RoleArn": ROLE,
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        **more,
    }


def transform(name: str) -> dict[str, Any]:
    return {
        "TransformJobName": name,
        "ModelName": "m",
        "TransformInput": {"DataSource": {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": "s3://b/in"}}},
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
    return sm("create_model", ModelName=name, ExecutionRoleArn=ROLE, PrimaryContainer=container, **more)


def endpoint(name: str = "e") -> tuple[Call, ...]:
    return (
        model(),
        sm("create_endpoint_config", EndpointConfigName=f"{name}-c", ProductionVariants=[variant()]),
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
    "FeatureDefinitions": [{"FeatureName": "id", "FeatureType": "Integral"}, {"FeatureName": "at", "FeatureType": "Fractional"}],
    "RoleArn": ROLE,
    "OfflineStoreConfig": {"S3StorageConfig": {"S3Uri": "s3://bucket/f"}},
}
STEP = '{"Version": "2020-12-01", "Parameters": [{"Name": "p", "Type": "String", "DefaultValue": "x"}], "Steps": []}'
PIPELINE = {"PipelineName": "p", "PipelineDefinition": STEP, "RoleArn": ROLE, "ClientRequestToken": "t" * 32}
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
    "TrainingJobDefinition": {k: v for k, v in training("x").items() if k not in ("TrainingJobName", "HyperParameters")},
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

SCENARIOS: dict[str, tuple[Call, ...]] = {
    "training jobs": (
        sm("create_training_job", **training("one", Tags=TAGS)),
        sm("create_training_job", **training("two")),
        sm("describe_training_job", TrainingJobName="one"),
        sm("describe_training_job", TrainingJobName="nobody"),
        sm("list_training_jobs"),
        sm("list_training_jobs", NameContains="on"),
        sm("list_training_jobs", StatusEquals="Completed"),
        sm("list_training_jobs", StatusEquals="Failed"),
        sm("list_training_jobs", MaxResults=1),
        sm("list_training_jobs", MaxResults=1, NextToken="@8.NextToken"),
        sm("list_tags", ResourceArn="@0.TrainingJobArn"),
        sm("search", Resource="TrainingJob"),
        sm("search", Resource="TrainingJob", SearchExpression=tagged("ranking")),
        sm("search", Resource="TrainingJob", SearchExpression=tagged("nobody")),
        sm("search", Resource="TrainingJob", SearchExpression=named("TrainingJobName", "Contains", "tw")),
    ),
    "processing jobs": (
        sm("create_processing_job", **processing("one", Tags=TAGS, Environment={"A": "1"})),
        sm("create_processing_job", **processing("two")),
        sm("describe_processing_job", ProcessingJobName="one"),
        sm("describe_processing_job", ProcessingJobName="nobody"),
        sm("list_processing_jobs"),
        sm("list_processing_jobs", NameContains="tw"),
        sm("list_processing_jobs", StatusEquals="Completed"),
        sm("list_processing_jobs", MaxResults=1),
        sm("list_tags", ResourceArn="@0.ProcessingJobArn"),
        sm("stop_processing_job", ProcessingJobName="one"),
        sm("describe_processing_job", ProcessingJobName="one"),
        sm("stop_processing_job", ProcessingJobName="nobody"),
    ),
    "transform jobs": (
        sm("create_transform_job", **transform("one")),
        sm("describe_transform_job", TransformJobName="one"),
        sm("describe_transform_job", TransformJobName="nobody"),
        sm("create_transform_job", **transform("one")),
        sm("list_transform_jobs"),
        sm("list_transform_jobs", NameContains="on"),
        sm("list_tags", ResourceArn="@0.TransformJobArn"),
    ),
    "models": (
        model(Tags=TAGS, VpcConfig={"SecurityGroupIds": ["sg-1"], "Subnets": ["subnet-1"]}),
        sm("describe_model", ModelName="m"),
        sm("describe_model", ModelName="nobody"),
        model(),
        model("other"),
        sm("list_models"),
        sm("list_models", NameContains="oth"),
        sm("list_tags", ResourceArn="@0.ModelArn"),
        sm("delete_model", ModelName="m"),
        sm("delete_model", ModelName="m"),
        sm("describe_model", ModelName="m"),
    ),
    "endpoint configs": (
        model(),
        sm("create_endpoint_config", EndpointConfigName="c", ProductionVariants=[variant()], Tags=TAGS),
        sm("describe_endpoint_config", EndpointConfigName="c"),
        sm("create_endpoint_config", EndpointConfigName="c", ProductionVariants=[variant()]),
        sm("create_endpoint_config", EndpointConfigName="d", ProductionVariants=[variant("nobody")]),
        sm("create_endpoint_config", EndpointConfigName="e", ProductionVariants=[variant(InstanceType="ml.nothing")]),
        sm("list_endpoint_configs"),
        sm("list_endpoint_configs", NameContains="c"),
        sm("list_tags", ResourceArn="@1.EndpointConfigArn"),
        sm("delete_endpoint_config", EndpointConfigName="c"),
        sm("describe_endpoint_config", EndpointConfigName="c"),
        sm("delete_endpoint_config", EndpointConfigName="c"),
        sm(
            "create_endpoint_config",
            EndpointConfigName="s",
            ProductionVariants=[{"VariantName": "a", "ModelName": "m", "ServerlessConfig": {"MemorySizeInMB": 1024, "MaxConcurrency": 1}}],
            DataCaptureConfig={
                "InitialSamplingPercentage": 10,
                "DestinationS3Uri": "s3://b/c",
                "CaptureOptions": [{"CaptureMode": "Input"}],
            },
        ),
        sm("describe_endpoint_config", EndpointConfigName="s"),
    ),
    "endpoints": (
        *endpoint(),
        sm("describe_endpoint", EndpointName="e"),
        sm("create_endpoint", EndpointName="e", EndpointConfigName="e-c"),
        sm("describe_endpoint", EndpointName="e"),
        sm("create_endpoint", EndpointName="f", EndpointConfigName="nobody"),
        sm("list_endpoints"),
        sm("list_endpoints", StatusEquals="InService"),
        sm("list_endpoints", StatusEquals="Failed"),
        sm("search", Resource="Endpoint"),
        sm(
            "update_endpoint_weights_and_capacities",
            EndpointName="e",
            DesiredWeightsAndCapacities=[{"VariantName": "a", "DesiredWeight": 0.5, "DesiredInstanceCount": 3}],
        ),
        sm("describe_endpoint", EndpointName="e"),
        sm(
            "update_endpoint_weights_and_capacities",
            EndpointName="e",
            DesiredWeightsAndCapacities=[{"VariantName": "nobody", "DesiredWeight": 0.5}],
        ),
        sm("describe_endpoint", EndpointName="nobody"),
        sm("list_tags", ResourceArn="@2.EndpointArn"),
        sm("delete_endpoint", EndpointName="e"),
        sm("describe_endpoint", EndpointName="e"),
        sm("delete_endpoint", EndpointName="e"),
    ),
    "invocations": (
        *endpoint(),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"1,2", "ContentType": "text/csv"}),
        ("sagemaker-runtime", "invoke_endpoint", {"EndpointName": "e", "Body": b"{}", "Accept": "application/json"}),
    ),
    "pipelines": (
        sm("create_pipeline", **PIPELINE, Tags=TAGS, PipelineDisplayName="shown", PipelineDescription="told"),
        sm("describe_pipeline", PipelineName="p"),
        sm("describe_pipeline", PipelineName="nobody"),
        sm("create_pipeline", **{**PIPELINE, "ClientRequestToken": "w" * 32}),
        sm("list_pipelines"),
        sm("list_pipelines", PipelineNamePrefix="q"),
        sm("update_pipeline", PipelineName="p", PipelineDescription="changed"),
        sm("describe_pipeline", PipelineName="p"),
        sm("update_pipeline", PipelineName="nobody", PipelineDescription="changed"),
        sm("list_tags", ResourceArn="@0.PipelineArn"),
        sm("search", Resource="Pipeline"),
        sm("search", Resource="Pipeline", SearchExpression=named("PipelineName", "Equals", "p")),
        sm("delete_pipeline", PipelineName="p", ClientRequestToken="t" * 32),
        sm("describe_pipeline", PipelineName="p"),
        sm("delete_pipeline", PipelineName="p", ClientRequestToken="t" * 32),
    ),
    "executions": (
        sm("create_pipeline", **PIPELINE),
        sm(
            "start_pipeline_execution",
            PipelineName="p",
            PipelineExecutionDisplayName="shown",
            PipelineExecutionDescription="told",
            ClientRequestToken="u" * 32,
            PipelineParameters=[{"Name": "p", "Value": "y"}],
        ),
        sm("describe_pipeline_execution", PipelineExecutionArn="@1.PipelineExecutionArn"),
        sm("list_pipeline_executions", PipelineName="p"),
        sm("list_pipeline_parameters_for_execution", PipelineExecutionArn="@1.PipelineExecutionArn"),
        sm("describe_pipeline_definition_for_execution", PipelineExecutionArn="@1.PipelineExecutionArn"),
        sm("start_pipeline_execution", PipelineName="nobody", ClientRequestToken="v" * 32),
        sm("describe_pipeline_execution", PipelineExecutionArn=f"{ARN}pipeline/p/execution/abcdefghijkl"),
        sm("list_pipeline_executions", PipelineName="nobody"),
        sm("describe_pipeline", PipelineName="p"),
        sm("search", Resource="PipelineExecution"),
    ),
    "model packages": (
        sm("create_model_package_group", ModelPackageGroupName="g", ModelPackageGroupDescription="told", Tags=TAGS),
        sm("describe_model_package_group", ModelPackageGroupName="g"),
        sm("create_model_package_group", ModelPackageGroupName="h"),
        sm("list_model_package_groups"),
        sm("list_model_package_groups", NameContains="h"),
        sm("list_model_package_groups", SortBy="Name", SortOrder="Descending"),
        sm(
            "create_model_package",
            ModelPackageGroupName="g",
            ModelPackageDescription="first",
            InferenceSpecification=PACKAGE,
            ModelApprovalStatus="PendingManualApproval",
            Tags=TAGS,
        ),
        sm("create_model_package", ModelPackageGroupName="g", InferenceSpecification=PACKAGE),
        sm("describe_model_package", ModelPackageName="@6.ModelPackageArn"),
        sm("update_model_package", ModelPackageArn="@6.ModelPackageArn", ModelApprovalStatus="Approved", ApprovalDescription="good"),
        sm("describe_model_package", ModelPackageName="@6.ModelPackageArn"),
        sm("list_model_packages", ModelPackageGroupName="g"),
        sm("list_model_packages", ModelPackageGroupName="g", ModelApprovalStatus="Approved"),
        sm("list_model_packages"),
        sm("create_model_package", ModelPackageName="alone", InferenceSpecification=PACKAGE),
        sm("describe_model_package", ModelPackageName="alone"),
        sm("list_model_packages", ModelPackageType="Both"),
        sm("describe_model_package", ModelPackageName="nobody"),
        sm("describe_model_package_group", ModelPackageGroupName="nobody"),
        sm("list_tags", ResourceArn="@0.ModelPackageGroupArn"),
        sm("list_tags", ResourceArn="@6.ModelPackageArn"),
        sm("search", Resource="ModelPackageGroup"),
        sm("search", Resource="ModelPackage"),
        sm("search", Resource="ModelPackageGroup", SearchExpression=tagged("ranking")),
        sm("search", Resource="ModelPackageGroup", SearchExpression=named("ModelPackageGroupName", "NotEquals", "g")),
    ),
    "feature groups": (
        ("s3", "create_bucket", {"Bucket": "bucket"}),
        sm("create_feature_group", FeatureGroupName="f", **GROUP, Tags=TAGS),
        sm("describe_feature_group", FeatureGroupName="f"),
        sm("create_feature_group", FeatureGroupName="f", **GROUP),
        sm("list_tags", ResourceArn="@1.FeatureGroupArn"),
        sm("search", Resource="FeatureGroup"),
        sm("search", Resource="FeatureGroup", SearchExpression=named("FeatureGroupName", "Equals", "nothing")),
        sm("create_feature_group", FeatureGroupName="g", **{**GROUP, **NO_BUCKET}),
        sm("describe_feature_group", FeatureGroupName="g"),
        sm("describe_feature_group", FeatureGroupName="nobody"),
        sm("create_feature_group", FeatureGroupName="online", **GROUP, OnlineStoreConfig={"EnableOnlineStore": True}),
    ),
    "tags": (
        model(Tags=TAGS),
        sm("add_tags", ResourceArn="@0.ModelArn", Tags=[{"Key": "more", "Value": "1"}]),
        sm("list_tags", ResourceArn="@0.ModelArn"),
        sm("delete_tags", ResourceArn="@0.ModelArn", TagKeys=["team"]),
        sm("list_tags", ResourceArn="@0.ModelArn"),
        sm("add_tags", ResourceArn="@0.ModelArn", Tags=[{"Key": "more", "Value": "2"}]),
        sm("list_tags", ResourceArn="@0.ModelArn"),
        sm("list_tags", ResourceArn=f"{ARN}model/nobody"),
    ),
    "notebook instances": (
        sm("create_notebook_instance", NotebookInstanceName="n", InstanceType="ml.t2.medium", RoleArn=ROLE, Tags=TAGS),
        sm("describe_notebook_instance", NotebookInstanceName="n"),
        sm("create_notebook_instance", NotebookInstanceName="n", InstanceType="ml.t2.medium", RoleArn=ROLE),
        sm("list_notebook_instances"),
        sm("list_notebook_instances", StatusEquals="InService"),
        sm("list_tags", ResourceArn="@0.NotebookInstanceArn"),
        sm("delete_notebook_instance", NotebookInstanceName="n"),
        sm("stop_notebook_instance", NotebookInstanceName="n"),
        sm("describe_notebook_instance", NotebookInstanceName="n"),
        sm("start_notebook_instance", NotebookInstanceName="n"),
        sm("describe_notebook_instance", NotebookInstanceName="n"),
        sm("stop_notebook_instance", NotebookInstanceName="n"),
        sm("delete_notebook_instance", NotebookInstanceName="n"),
        sm("describe_notebook_instance", NotebookInstanceName="n"),
        sm("create_notebook_instance_lifecycle_config", NotebookInstanceLifecycleConfigName="l", OnStart=[{"Content": "ZWNobw=="}]),
        sm("describe_notebook_instance_lifecycle_config", NotebookInstanceLifecycleConfigName="l"),
        sm("create_notebook_instance_lifecycle_config", NotebookInstanceLifecycleConfigName="l"),
        sm("delete_notebook_instance_lifecycle_config", NotebookInstanceLifecycleConfigName="l"),
        sm("describe_notebook_instance_lifecycle_config", NotebookInstanceLifecycleConfigName="l"),
    ),
    "experiments and trials": (
        sm("create_experiment", ExperimentName="x", Tags=TAGS),
        sm("describe_experiment", ExperimentName="x"),
        sm("list_experiments"),
        sm("create_trial", TrialName="t", ExperimentName="x"),
        sm("describe_trial", TrialName="t"),
        sm("list_trials", ExperimentName="x"),
        sm("create_trial_component", TrialComponentName="c", Parameters={"lr": {"NumberValue": 0.5}}),
        sm("describe_trial_component", TrialComponentName="c"),
        sm("associate_trial_component", TrialName="t", TrialComponentName="c"),
        sm("list_trial_components", TrialName="t"),
        sm("list_trials", TrialComponentName="c"),
        sm("update_trial_component", TrialComponentName="c", DisplayName="shown", Status={"PrimaryStatus": "Completed"}),
        sm("describe_trial_component", TrialComponentName="c"),
        sm("search", Resource="Experiment"),
        sm("search", Resource="ExperimentTrial"),
        sm("search", Resource="ExperimentTrialComponent"),
        sm("search", Resource="Experiment", SearchExpression=tagged("ranking")),
        sm("list_tags", ResourceArn="@0.ExperimentArn"),
        sm("disassociate_trial_component", TrialName="t", TrialComponentName="c"),
        sm("associate_trial_component", TrialName="t", TrialComponentName="nobody"),
        sm("delete_trial_component", TrialComponentName="c"),
        sm("delete_trial", TrialName="t"),
        sm("delete_experiment", ExperimentName="x"),
        sm("describe_experiment", ExperimentName="x"),
        sm("describe_trial", TrialName="t"),
        sm("describe_trial_component", TrialComponentName="c"),
    ),
    "tuning jobs": (
        sm("create_hyper_parameter_tuning_job", HyperParameterTuningJobName="h", **TUNING),
        sm("describe_hyper_parameter_tuning_job", HyperParameterTuningJobName="h"),
        sm("create_hyper_parameter_tuning_job", HyperParameterTuningJobName="h", **TUNING),
        sm("list_hyper_parameter_tuning_jobs"),
        sm("list_hyper_parameter_tuning_jobs", NameContains="nothing"),
        sm("list_tags", ResourceArn="@0.HyperParameterTuningJobArn"),
        sm("delete_hyper_parameter_tuning_job", HyperParameterTuningJobName="h"),
        sm("describe_hyper_parameter_tuning_job", HyperParameterTuningJobName="h"),
    ),
    "auto ml": (
        sm("create_auto_ml_job_v2", AutoMLJobName="a", **AUTOML),
        sm("describe_auto_ml_job_v2", AutoMLJobName="a"),
        sm("create_auto_ml_job_v2", AutoMLJobName="a", **AUTOML),
        sm("list_auto_ml_jobs"),
        sm("list_tags", ResourceArn="@0.AutoMLJobArn"),
        sm("stop_auto_ml_job", AutoMLJobName="a"),
        sm("describe_auto_ml_job_v2", AutoMLJobName="a"),
        sm("describe_auto_ml_job_v2", AutoMLJobName="nobody"),
    ),
    "compilation jobs": (
        sm("create_compilation_job", CompilationJobName="c", **COMPILATION),
        sm("describe_compilation_job", CompilationJobName="c"),
        sm("create_compilation_job", CompilationJobName="c", **COMPILATION),
        sm("list_compilation_jobs"),
        sm("list_tags", ResourceArn="@0.CompilationJobArn"),
        sm("delete_compilation_job", CompilationJobName="c"),
        sm("describe_compilation_job", CompilationJobName="c"),
    ),
    "clusters": (
        sm("create_cluster", ClusterName="k", InstanceGroups=NODES, Tags=TAGS),
        sm("describe_cluster", ClusterName="k"),
        sm("create_cluster", ClusterName="k", InstanceGroups=NODES),
        sm("list_clusters"),
        sm("list_cluster_nodes", ClusterName="k"),
        sm("describe_cluster_node", ClusterName="k", NodeId="@4.ClusterNodeSummaries.0.InstanceId"),
        sm("list_tags", ResourceArn="@0.ClusterArn"),
        sm("delete_cluster", ClusterName="k"),
        sm("describe_cluster", ClusterName="k"),
    ),
    "domains": (
        sm("create_domain", **DOMAIN),
        sm("list_domains"),
        sm("describe_domain", DomainId="@1.Domains.0.DomainId"),
        sm("list_tags", ResourceArn="@0.DomainArn"),
        sm("delete_domain", DomainId="@1.Domains.0.DomainId"),
        sm("describe_domain", DomainId="@1.Domains.0.DomainId"),
        sm("list_domains"),
    ),
    "model cards": (
        sm("create_model_card", **CARD),
        sm("describe_model_card", ModelCardName="c"),
        sm("create_model_card", **CARD),
        sm("update_model_card", ModelCardName="c", Content='{"a": 1}', ModelCardStatus="Approved"),
        sm("describe_model_card", ModelCardName="c"),
        sm("list_model_cards"),
        sm("list_model_card_versions", ModelCardName="c"),
        sm("list_tags", ResourceArn="@0.ModelCardArn"),
        sm("delete_model_card", ModelCardName="c"),
        sm("describe_model_card", ModelCardName="c"),
    ),
    "bias definitions": monitor(
        "model_bias",
        {"ModelBiasAppSpecification": {"ImageUri": IMAGE, "ConfigUri": "s3://b/config"}},
        ModelBiasJobInput={**WATCHED, "GroundTruthS3Input": {"S3Uri": "s3://b/truth"}},
        ModelBiasJobOutputConfig=REPORT,
    ),
    "data quality definitions": monitor(
        "data_quality",
        {"DataQualityAppSpecification": {"ImageUri": IMAGE}},
        DataQualityJobInput=WATCHED,
        DataQualityJobOutputConfig=REPORT,
    ),
    "explainability definitions": monitor(
        "model_explainability",
        {"ModelExplainabilityAppSpecification": {"ImageUri": IMAGE, "ConfigUri": "s3://b/config"}},
        ModelExplainabilityJobInput=WATCHED,
        ModelExplainabilityJobOutputConfig=REPORT,
    ),
    "model quality definitions": monitor(
        "model_quality",
        {"ModelQualityAppSpecification": {"ImageUri": IMAGE, "ProblemType": "BinaryClassification"}},
        ModelQualityJobInput={**WATCHED, "GroundTruthS3Input": {"S3Uri": "s3://b/truth"}},
        ModelQualityJobOutputConfig=REPORT,
    ),
}
