"""Step caching: the same arguments as in an earlier execution of the pipeline, the same result.

Source: SageMaker developer guide, "Caching pipeline steps", the table of default cache key
attributes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any

from ..definition.document import Step
from ..records import Pipeline, StepRun

_KEYS = {
    "Processing": ("AppSpecification", "Environment", "ProcessingInputs"),
    "Training": (
        *(
            "AlgorithmSpecification",
            "CheckpointConfig",
            "DebugHookConfig",
            "DebugRuleConfigurations",
        ),
        *("Environment", "HyperParameters", "InputDataConfig"),
    ),
    "Tuning": ("HyperParameterTuningJobConfig", "TrainingJobDefinition"),
    "Transform": ("DataProcessing", "Environment", "ModelName", "TransformInput"),
}
# Of a Tuning step's TrainingJobDefinition.
_OF_THE_DEFINITION = (
    "AlgorithmSpecification",
    "HyperParameterRanges",
    "InputDataConfig",
    "StaticHyperParameters",
    "TuningObjective",
)


def signature(step: Step, arguments: dict[str, Any]) -> str | None:
    """Return a key that two runs of a step share if one may reuse the other's result.

    `arguments` are the step's, with values for its expressions. None: the step is not cached.
    """
    keys = _KEYS.get(step.type)
    if keys is None:
        return None
    chosen = {key: arguments[key] for key in keys if key in arguments}
    if step.type == "Tuning":
        definition = chosen.get("TrainingJobDefinition") or {}
        chosen["TrainingJobDefinition"] = {
            key: definition[key] for key in _OF_THE_DEFINITION if key in definition
        }
    text = json.dumps([step.name, step.type, chosen], sort_keys=True, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def hit(
    pipeline: Pipeline, step: Step, wanted_signature: str, now: datetime
) -> tuple[str, StepRun] | None:
    """Return the latest cached run of a step with this key that is not too old, or None.

    `wanted_signature` is the key. The run comes with its execution's ARN.
    """
    for execution in reversed(list(pipeline.executions.values())):
        run = execution.steps.get(step.name)
        if (
            run is None
            or run.status != "Succeeded"
            or run.signature != wanted_signature
            or run.cached_from
            or run.ended is None
        ):
            continue
        if step.cache_for is None or now - run.ended <= step.cache_for:
            return execution.arn, run
    return None
