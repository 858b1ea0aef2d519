"""Write a run's graph in Kubeflow's intermediate representation (schemaVersion 2.1.0). Pure.

Vertex AI Pipelines takes it, too. Each step is one container component, with the command that it
has everywhere. Values travel in run.json: the document knows commands, order, conditions, and the
typed outputs, each of which the step writes to its own file. Kubeflow's cache is off (ours looks at
contents), and so are its retries (the step tries its command again itself). A step inherits the
conditions of what it needs: what depends on a task that was not triggered is not defined by the
representation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from ..port import Condition, PipelineRun, StepSpec, ValueType
from .conditions import all_conditions

SCHEMA = "2.1.0"
RUN_URI = "run_uri"  # the one parameter: where run.json is
COMMAND = ("python", "-m", "isthmus.pipelines.step")
Types = Mapping[tuple[str, str], ValueType]  # (step, output) -> its type
_TYPES: Mapping[ValueType, str] = {
    "float": "NUMBER_DOUBLE",
    "int": "NUMBER_INTEGER",
    "bool": "BOOLEAN",
    "string": "STRING",
}


class Resources(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a step's container."""

    cpu: float
    memory_gb: float


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The settings that a document needs beyond the graph."""

    name: str  # of the pipeline: small letters, digits, hyphens
    image: str
    environment: Mapping[str, str] = {}
    machines: Mapping[
        str, Resources
    ] = {}  # by the steps' `machine`; a step whose machine is not here has no limits


def document(run: PipelineRun, settings: Settings, *, default_run: bool = False) -> dict[str, Any]:
    """Return a pipeline run in Kubeflow's intermediate representation (a JSON object).

    Its one parameter is the URI of the run's document; with `default_run` this run's is the
    default.
    """
    conditions = all_conditions(run.steps)
    types: Types = {
        (spec.name, output.name): output.type for spec in run.steps for output in spec.outputs
    }
    uri: dict[str, Any] = {"parameterType": "STRING"}
    if default_run:
        uri |= {"defaultValue": run.run_uri, "isOptional": True}
    return {
        "pipelineInfo": {"name": settings.name},
        "root": {
            "inputDefinitions": {"parameters": {RUN_URI: uri}},
            "dag": {
                "tasks": {
                    task_name(spec.name): _task(spec, conditions[spec.name], types)
                    for spec in run.steps
                }
            },
        },
        "components": {
            f"comp-{task_name(spec.name)}": _component(spec, conditions[spec.name], types)
            for spec in run.steps
        },
        "deploymentSpec": {
            "executors": {
                f"exec-{task_name(spec.name)}": {"container": _container(spec, settings)}
                for spec in run.steps
            }
        },
        "schemaVersion": SCHEMA,
        "sdkVersion": "isthmus",
    }


def task_name(step: str) -> str:
    """Return the name of a step's Kubeflow task, which has `-` for `_`: Kubernetes refuses `_`.

    It is reversible: no step's name has a hyphen.
    """
    return step.replace("_", "-")


def _task(spec: StepSpec, conditions: tuple[Condition, ...], types: Types) -> dict[str, Any]:
    """Return a pipeline step as a task of a Kubeflow pipeline (a JSON object).

    `types` are those of the outputs that its conditions read.
    """
    task: dict[str, Any] = {
        "taskInfo": {"name": task_name(spec.name)},
        "componentRef": {"name": f"comp-{task_name(spec.name)}"},
        "cachingOptions": {"enableCache": False},
        "inputs": {"parameters": {RUN_URI: {"componentInputParameter": RUN_URI}}},
    }
    needs = dict.fromkeys((*spec.needs, *(condition.step for condition in conditions)))
    if needs:
        task["dependentTasks"] = [task_name(name) for name in needs]
    for condition in conditions:
        source = {"producerTask": task_name(condition.step), "outputParameterKey": condition.output}
        task["inputs"]["parameters"][_input(condition)] = {"taskOutputParameter": source}
    if conditions:
        task["triggerPolicy"] = {
            "condition": " && ".join(_expression(c, types[c.step, c.output]) for c in conditions)
        }
    return task


def _input(condition: Condition) -> str:
    """Return the name of the task input through which a condition reads another step's output."""
    return f"{condition.step}--{condition.output}"


def _expression(condition: Condition, kind: ValueType) -> str:
    """Return a step's run condition as text in CEL, Kubeflow's expression language.

    `kind` is the type of the output that it reads. A number is a double there: an integer is
    converted first, as kfp's compiler does.
    """
    name, value = f"inputs.parameter_values['{_input(condition)}']", condition.value
    if isinstance(value, (bool, str)):
        return f"{name} {condition.op} {_literal(value)}"
    if kind == "int" and float(value).is_integer():
        return f"int({name}) {condition.op} {int(value)}"
    return f"{name} {condition.op} {json.dumps(float(value))}"


def _literal(value: bool | str) -> str:
    """Return a bool or text as a literal in Kubeflow's conditions (CEL)."""
    if isinstance(value, bool):
        return json.dumps(value)
    return (
        "'"
        + json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'")
        + "'"
    )


def _component(spec: StepSpec, conditions: tuple[Condition, ...], types: Types) -> dict[str, Any]:
    """Return a step's Kubeflow component, its typed inputs and outputs (a JSON object).

    `types` are those of the outputs that its conditions read.
    """
    inputs: dict[str, Any] = {RUN_URI: {"parameterType": "STRING"}}
    for condition in conditions:
        inputs[_input(condition)] = {
            "parameterType": _TYPES[types[condition.step, condition.output]],
            "isOptional": True,
        }
    component: dict[str, Any] = {
        "executorLabel": f"exec-{task_name(spec.name)}",
        "inputDefinitions": {"parameters": inputs},
    }
    if spec.outputs:
        component["outputDefinitions"] = {
            "parameters": {
                output.name: {"parameterType": _TYPES[output.type]} for output in spec.outputs
            }
        }
    return component


def _container(spec: StepSpec, settings: Settings) -> dict[str, Any]:
    """Return the container in which Kubeflow runs a step: image, command, limits."""
    arguments = ["--run", f"{{{{$.inputs.parameters['{RUN_URI}']}}}}", "--step", spec.name]
    for output in spec.outputs:
        arguments += [
            "--output",
            output.name,
            f"{{{{$.outputs.parameters['{output.name}'].output_file}}}}",
        ]
    container: dict[str, Any] = {
        "image": settings.image,
        "command": list(COMMAND),
        "args": arguments,
    }
    if settings.environment:
        container["env"] = [
            {"name": name, "value": value} for name, value in sorted(settings.environment.items())
        ]
    if limits := settings.machines.get(spec.machine):
        container["resources"] = {
            "cpuLimit": limits.cpu,
            "memoryLimit": limits.memory_gb,
            "resourceCpuLimit": f"{limits.cpu:g}",
            "resourceMemoryLimit": f"{limits.memory_gb:g}G",
        }
    return container
