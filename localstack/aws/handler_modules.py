"""The modules that hold handlers. Importing them fills `registry.OPERATIONS`."""

from __future__ import annotations

from importlib import import_module

MODULES: tuple[str, ...] = (  # below this package, in the order of the alphabet
    "athena.catalogs",
    "athena.executions",
    "athena.metadata",
    "athena.prepared",
    "athena.workgroups",
    "autoscaling.activities",
    "autoscaling.deciding",
    "autoscaling.policies",
    "autoscaling.scheduled",
    "autoscaling.targets",
    "cloudformation.handlers",
    "cloudwatch.alarms",
    "cloudwatch.queries",
    "dynamodb",
    "endpoints.asynchronous",
    "endpoints.configs",
    "endpoints.describe",
    "endpoints.lifecycle",
    "endpoints.runtime",
    "endpoints.updating",
    "experiments",
    "features.groups",
    "features.records",
    "firehose.streams",
    "glue",
    "identity",
    "jobs.processing",
    "jobs.training",
    "kinesis",
    "model_packages",
    "models",
    "pipelines.executions",
    "pipelines.handlers",
    "search",
    "simulation",
    "tagging",
    "tags",
    "transform.handlers",
    "tuning.handlers",
)


def load(more: tuple[str, ...] = ()) -> None:
    """Import every module with handlers; `more`: dotted names of other people's."""
    for name in MODULES:
        import_module(f".{name}", __package__)
    for name in more:
        import_module(name)
