"""The modules that hold handlers. Importing them fills `registry.OPERATIONS`."""

from __future__ import annotations

from importlib import import_module

MODULES: tuple[str, ...] = (  # below this package, in the order of the alphabet
    "services.athena.operations.catalogs",
    "services.athena.operations.executions",
    "services.athena.operations.metadata",
    "services.athena.operations.prepared_statements",
    "services.athena.operations.workgroups",
    "services.autoscaling.operations.activities",
    "services.autoscaling.operations.alarm_actions",
    "services.autoscaling.operations.policies",
    "services.autoscaling.operations.scheduled_actions",
    "services.autoscaling.operations.targets",
    "services.cloudformation.operations",
    "services.cloudwatch.operations.alarms",
    "services.cloudwatch.operations.metrics",
    "services.dynamodb.operations",
    "services.firehose.operations",
    "services.glue.operations",
    "services.iam.operations",
    "services.kinesis.operations",
    "services.sagemaker.endpoints.operations.configs",
    "services.sagemaker.endpoints.operations.describe",
    "services.sagemaker.endpoints.operations.invoke",
    "services.sagemaker.endpoints.operations.invoke_async",
    "services.sagemaker.endpoints.operations.lifecycle",
    "services.sagemaker.endpoints.operations.updates",
    "services.sagemaker.experiments.operations",
    "services.sagemaker.features.operations.groups",
    "services.sagemaker.features.operations.records",
    "services.sagemaker.jobs.operations.processing",
    "services.sagemaker.jobs.operations.training",
    "services.sagemaker.model_packages.operations",
    "services.sagemaker.models.operations",
    "services.sagemaker.pipelines.operations.executions",
    "services.sagemaker.pipelines.operations.pipelines",
    "services.sagemaker.search.operations",
    "services.sagemaker.tags.operations",
    "services.sagemaker.transform.operations",
    "services.sagemaker.tuning.operations",
    "services.sts.operations",
    "services.tagging.operations",
)


def load(more: tuple[str, ...] = ()) -> None:
    """Import every module that registers handlers of operations, and the modules in `more`."""
    for name in MODULES:
        import_module(f".{name}", __package__)
    for name in more:
        import_module(name)
