"""Write a run's graph as an Argo Workflow. Pure: a plain document, no library.

What one must know (Argo's documentation: "Enhanced depends logic", "Retries", "Variables",
"Expression"): `depends: a` also starts a task after a *skipped* a, so each dependency is written as
`a.Succeeded`; a skipped task skips nothing else by itself, so a step inherits the conditions of
what it needs; retries are of the engine's own errors only, as the step tries its command again
itself; a value is put into a `when` as text, which a quote in it would break, so conditions are
expressions.
"""

from __future__ import annotations

import json
from typing import Any

from ..port import Condition, PipelineRun, StepSpec, ValueType
from .conditions import all_conditions
from .kubeflow import COMMAND, Settings, Types, task_name

RUN_URI = "run-uri"
_FOLDER = "/tmp/isthmus"  # noqa: S108  in the step's own container
_MARGIN = 300  # seconds for a step's own uploads, beyond what its attempts may take
_ERRORS = 3  # how often Argo starts a pod again that it lost


def document(run: PipelineRun, settings: Settings) -> dict[str, Any]:
    """Return a pipeline run as an Argo Workflow manifest (a JSON object)."""
    conditions = all_conditions(run.steps)
    types: Types = {
        (spec.name, output.name): output.type for spec in run.steps for output in spec.outputs
    }
    return {
        "apiVersion": "argoproj.io/v1alpha1",
        "kind": "Workflow",
        "metadata": {"generateName": f"{settings.name}-"},
        "spec": {
            "entrypoint": "run",
            "arguments": {"parameters": [{"name": RUN_URI, "value": run.run_uri}]},
            "templates": [
                {
                    "name": "run",
                    "dag": {
                        "failFast": False,
                        "tasks": [_task(spec, conditions[spec.name], types) for spec in run.steps],
                    },
                },
                *(_template(spec, settings) for spec in run.steps),
            ],
        },
    }


def _task(spec: StepSpec, conditions: tuple[Condition, ...], types: Types) -> dict[str, Any]:
    """Return a pipeline step as a task of an Argo workflow's DAG (a JSON object).

    `types` are those of the outputs that its conditions read.
    """
    task: dict[str, Any] = {"name": task_name(spec.name), "template": _template_name(spec)}
    if needs := dict.fromkeys((*spec.needs, *(condition.step for condition in conditions))):
        task["depends"] = " && ".join(f"{task_name(name)}.Succeeded" for name in needs)
    if conditions:
        judged = " && ".join(
            _expression(condition, types[condition.step, condition.output])
            for condition in conditions
        )
        task["when"] = f"{{{{={judged}}}}}"
    return task


def _template_name(spec: StepSpec) -> str:
    """Return the name of the Argo template that runs a step."""
    return f"step-{task_name(spec.name)}"


def _expression(condition: Condition, kind: ValueType) -> str:
    """Return a step's run condition as text in Argo's expression language (expr).

    `kind` is the type of the output that it reads, which Argo has as text.
    """
    text = f"tasks['{task_name(condition.step)}'].outputs.parameters['{condition.output}']"
    if kind in ("int", "float"):
        return f"asFloat({text}) {condition.op} {json.dumps(float(condition.value))}"
    value = json.dumps(condition.value) if kind == "bool" else str(condition.value)
    word = (
        json.dumps(value, ensure_ascii=False).replace("{", "\\u007b").replace("}", "\\u007d")
    )  # a brace pair would end the expression
    return f"{text} {condition.op} {word}"


def _template(spec: StepSpec, settings: Settings) -> dict[str, Any]:
    """Return the Argo template that runs a step in its container (a JSON object)."""
    arguments = ["--run", f"{{{{workflow.parameters.{RUN_URI}}}}}", "--step", spec.name]
    for output in spec.outputs:
        arguments += ["--output", output.name, f"{_FOLDER}/{output.name}"]
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
            "limits": {"cpu": f"{limits.cpu:g}", "memory": f"{limits.memory_gb:g}G"}
        }
    template: dict[str, Any] = {
        "name": _template_name(spec),
        "activeDeadlineSeconds": int(spec.timeout.total_seconds() * spec.attempts) + _MARGIN,
        "retryStrategy": {"limit": _ERRORS, "retryPolicy": "OnError"},
        "container": container,
    }
    if spec.outputs:
        template["outputs"] = {
            "parameters": [
                {"name": output.name, "valueFrom": {"path": f"{_FOLDER}/{output.name}"}}
                for output in spec.outputs
            ]
        }
    return template
