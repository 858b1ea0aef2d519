"""A run's graph as SageMaker's pipeline definition (schema 2020-12-01). Pure.

The same graph and settings give the same text. Values travel in run.json; the definition knows only
commands, order and conditions. SageMaker forbids a condition step inside another's branch, so
conditions are flattened: a step inherits those of what it needs, and steps with the same conditions
share one condition step.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

import msgspec

from ....pipelines.graphs.conditions import all_conditions
from ....pipelines.port import Condition, PipelineRun, StepSpec

VERSION = "2020-12-01"
RUN_URI, RUN_FOLDER = (
    "RunUri",
    "RunFolder",
)  # the parameters: run.json, and the folder that it is in
_OUTPUT, _OUTPUT_PATH = "values", "/opt/ml/processing/output/values"
_COMMAND = ("python", "-m", "isthmus.pipelines.step")
_MARGIN = 300  # seconds for a step's own uploads, beyond what its attempts may take
_LONGEST = 5 * 86_400  # seconds: what a processing job may take
_TYPES = {
    "==": "Equals",
    ">": "GreaterThan",
    ">=": "GreaterThanOrEqualTo",
    "<": "LessThan",
    "<=": "LessThanOrEqualTo",
}
# The step's command is tried again by the step itself; these are the service's own failures, before
# or around it
_RETRIES = [
    {
        "ExceptionType": ["Step.SERVICE_FAULT", "Step.THROTTLING"],
        "IntervalSeconds": 10,
        "BackoffRate": 2.0,
        "MaxAttempts": 5,
    },
    {
        "ExceptionType": [
            "SageMaker.JOB_INTERNAL_ERROR",
            "SageMaker.CAPACITY_ERROR",
            "SageMaker.RESOURCE_LIMIT",
        ],
        "IntervalSeconds": 60,
        "BackoffRate": 2.0,
        "MaxAttempts": 5,
    },
]


class DefinitionSettings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings of a definition beyond its graph."""

    role: str
    image: str
    root: str  # s3://bucket/prefix: where SageMaker may put what it insists on
    machine: str  # for steps that name none
    environment: Mapping[str, str] = {}
    tags: tuple[tuple[str, str], ...] = ()
    disk_gb: int = 30


def definition(run: PipelineRun, settings: DefinitionSettings) -> str:
    """Return a run's pipeline definition as JSON text for CreatePipeline and UpdatePipeline."""
    conditions = all_conditions(run.steps)
    watched = {condition.step for when in conditions.values() for condition in when}
    steps: list[dict[str, Any]] = []
    branches: dict[tuple[Condition, ...], list[dict[str, Any]]] = {}
    for spec in run.steps:
        step = _step(spec, settings, watched=spec.name in watched)
        (branches.setdefault(conditions[spec.name], []) if conditions[spec.name] else steps).append(
            step
        )
    steps += [_branch(when, inside) for when, inside in branches.items()]
    return json.dumps(
        {
            "Version": VERSION,
            "Metadata": {},
            "Parameters": [
                {"Name": RUN_URI, "Type": "String"},
                {"Name": RUN_FOLDER, "Type": "String"},
            ],
            "Steps": steps,
        },
        separators=(",", ":"),
    )


def branch_name(conditions: tuple[Condition, ...]) -> str:
    """Return a name for the SageMaker ConditionStep that checks some conditions, from their hash.

    Its hyphen keeps it apart from the names of steps, which have none.
    """
    return f"when-{sha256(msgspec.json.encode(conditions)).hexdigest()[:12]}"


def _step(spec: StepSpec, settings: DefinitionSettings, *, watched: bool) -> dict[str, Any]:
    """Return a pipeline step as a Training or Processing step of the definition.

    `watched` says that conditions of other steps read its values.
    """
    training = spec.kind == "training"
    step: dict[str, Any] = {
        "Name": spec.name,
        "Type": "Training" if training else "Processing",
        "Arguments": _training(spec, settings)
        if training
        else _processing(spec, settings, watched=watched),
        "CacheConfig": {"Enabled": False},
        "RetryPolicies": _RETRIES,
    }
    if spec.needs:
        step["DependsOn"] = list(spec.needs)
    if watched and not training:
        step["PropertyFiles"] = [
            {"PropertyFileName": _OUTPUT, "OutputName": _OUTPUT, "FilePath": "outputs.json"}
        ]
    return step


def _arguments(spec: StepSpec) -> list[Any]:
    """Return the command-line arguments of a step's container."""
    return ["--run", {"Get": f"Parameters.{RUN_URI}"}, "--step", spec.name]


def _seconds(spec: StepSpec) -> int:
    """Return the time limit in seconds of a step's SageMaker job, over all of its attempts."""
    return min(int(spec.timeout.total_seconds() * spec.attempts) + _MARGIN, _LONGEST)


def _common(settings: DefinitionSettings) -> dict[str, Any]:
    """Return the settings that all jobs share: role, environment and tags."""
    common: dict[str, Any] = {"RoleArn": settings.role, "Environment": dict(settings.environment)}
    if settings.tags:
        common["Tags"] = [{"Key": key, "Value": value} for key, value in settings.tags]
    return common


def _processing(spec: StepSpec, settings: DefinitionSettings, *, watched: bool) -> dict[str, Any]:
    """Return the arguments of CreateProcessingJob for a step.

    `watched` says that conditions of other steps read its values.
    """
    arguments = _arguments(spec)
    request: dict[str, Any] = _common(settings) | {
        "ProcessingResources": {
            "ClusterConfig": {
                "InstanceCount": 1,
                "InstanceType": spec.machine or settings.machine,
                "VolumeSizeInGB": settings.disk_gb,
            }
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": _seconds(spec)},
    }
    if watched:
        arguments += ["--output-dir", _OUTPUT_PATH]
        place = {
            "Std:Join": {
                "On": "/",
                "Values": [{"Get": f"Parameters.{RUN_FOLDER}"}, spec.name, "provider"],
            }
        }
        output = {"S3Uri": place, "LocalPath": _OUTPUT_PATH, "S3UploadMode": "EndOfJob"}
        request["ProcessingOutputConfig"] = {
            "Outputs": [{"OutputName": _OUTPUT, "S3Output": output}]
        }
    request["AppSpecification"] = {
        "ImageUri": settings.image,
        "ContainerEntrypoint": list(_COMMAND),
        "ContainerArguments": arguments,
    }
    return request


def _training(spec: StepSpec, settings: DefinitionSettings) -> dict[str, Any]:
    """Return the arguments of a step's training job, as CreateTrainingJob takes them."""
    return _common(settings) | {
        "AlgorithmSpecification": {
            "TrainingImage": settings.image,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": list(_COMMAND),
            "ContainerArguments": _arguments(spec),
        },
        # SageMaker asks for a place; the model itself is the step's artifact
        "OutputDataConfig": {"S3OutputPath": f"{settings.root}/provider"},
        "ResourceConfig": {
            "InstanceCount": 1,
            "InstanceType": spec.machine or settings.machine,
            "VolumeSizeInGB": settings.disk_gb,
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": _seconds(spec)},
    }


def _branch(conditions: tuple[Condition, ...], inside: list[dict[str, Any]]) -> dict[str, Any]:
    """Return a ConditionStep around the steps `inside`, which run only if all conditions hold.

    It waits for the steps whose values it reads, also if they are in another branch.
    """
    return {
        "Name": branch_name(conditions),
        "Type": "Condition",
        "DependsOn": list(dict.fromkeys(condition.step for condition in conditions)),
        "Arguments": {
            "Conditions": [
                {
                    "Type": _TYPES[condition.op],
                    "LeftValue": {
                        "Std:JsonGet": {
                            "PropertyFile": {
                                "Get": f"Steps.{condition.step}.PropertyFiles.{_OUTPUT}"
                            },
                            "Path": condition.output,
                        }
                    },
                    "RightValue": condition.value,
                }
                for condition in conditions
            ],
            "IfSteps": inside,
            "ElseSteps": [],
        },
    }
