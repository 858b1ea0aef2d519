"""The inputs of a task, from its DAG's own inputs and its siblings' outputs. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import msgspec

from .records import Artifact, Inputs, Outcome
from .specification import expressions
from .specification.placeholders import RunPlaceholders as Names
from .specification.placeholders import resolve, resolve_inside
from .specification.spec import (
    ArtifactSource,
    Component,
    Dag,
    Iterator,
    ParameterInput,
    ParameterSource,
    Task,
)
from .specification.values import WrongType, coerced

_MISSING: Any = msgspec.UNSET


class MissingInput(Exception):
    """An input that the task needs and nothing provides."""


class BadInput(Exception):
    """An input that does not fit its declaration."""


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """A task's surroundings, from which it may take its inputs."""

    arguments: Inputs  # the DAG's own
    siblings: Mapping[str, Outcome]
    final: Mapping[str, dict[str, Any]]  # siblings' final status
    names: Names


def task_inputs(task: Task, component: Component, around: Surroundings) -> Inputs:
    """Return a pipeline task's inputs, parameters and artifacts, from what `around` provides.

    Raises:
        MissingInput: Nothing provides an input that the task needs.
        BadInput: An input does not fit its declaration.
    """
    parameters: dict[str, Any] = {}
    declared = component.input_definitions
    for name, source in task.inputs.parameters.items():
        value = _parameter(source, around)
        if value is not _MISSING and source.parameter_expression_selector:
            value = expressions.select(source.parameter_expression_selector, value)
        if value is not _MISSING:
            parameters[name] = value
    _resolve_constants(task, parameters, around.names)
    iterator = task.parameter_iterator or task.artifact_iterator
    item = iterator.item_input if iterator else None
    for name, declaration in declared.parameters.items():
        if name != item:
            _complete(name, declaration, parameters)
    artifacts = {
        name: value
        for name, source in task.inputs.artifacts.items()
        if (value := _artifact(source, around)) is not None
    }
    for name, artifact in declared.artifacts.items():
        if name not in artifacts and not artifact.is_optional and name != item:
            raise MissingInput(f"the input artifact {name} is not there")
    return Inputs(parameters=parameters, artifacts=artifacts)


def _complete(name: str, declaration: ParameterInput, parameters: dict[str, Any]) -> None:
    """Set a missing parameter to its declared default, and convert its value to its type."""
    if name not in parameters and declaration.default_value is not msgspec.UNSET:
        parameters[name] = declaration.default_value
    if name not in parameters:
        if not declaration.is_optional:
            raise MissingInput(f"the input parameter {name} has no value")
        return
    try:
        parameters[name] = coerced(parameters[name], declaration.parameter_type)
    except WrongType as error:
        raise BadInput(f"input parameter {name}: {error}") from error


def items_of(iterator: Iterator, inputs: Inputs, names: Names) -> list[Any]:
    """Return the items over which a loop task iterates, values or artifacts, from its inputs.

    Raises:
        BadInput: The loop's input is no list.
    """
    items = iterator.items
    if items.input_artifact is not None:
        return list(inputs.artifacts.get(items.input_artifact, ()))
    value = (
        inputs.parameters.get(items.input_parameter)
        if items.input_parameter is not None
        else items.raw
    )
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, list):
        raise BadInput(f"the items of a loop are {value!r}, which is no list")
    resolved: list[Any] = resolve_inside(
        value, {"inputs": {"parameterValues": inputs.parameters}, "outputs": {}}, names
    )
    return resolved


def with_item(task: Task, component: Component, inputs: Inputs, item: Any) -> Inputs:
    """Return the inputs of one iteration of a loop task: those of the task, and the item."""
    if task.artifact_iterator is not None:
        return msgspec.structs.replace(
            inputs, artifacts={**inputs.artifacts, task.artifact_iterator.item_input: [item]}
        )
    name = task.parameter_iterator.item_input if task.parameter_iterator else ""
    declaration = component.input_definitions.parameters.get(name)
    try:
        value = coerced(item, declaration.parameter_type) if declaration else item
    except WrongType as error:
        raise BadInput(f"the item {item!r} of a loop: {error}") from error
    return msgspec.structs.replace(inputs, parameters={**inputs.parameters, name: value})


def outputs_of(
    dag: Dag, siblings: Mapping[str, Outcome]
) -> tuple[dict[str, Any], dict[str, list[Artifact]]]:
    """Return a DAG's output parameters and artifacts, from the outcomes of its tasks.

    Of several selectors (OneOf) the first with a value counts; an output without a value is absent.
    """
    parameters: dict[str, Any] = {}
    artifacts: dict[str, list[Artifact]] = {}
    for name, parameter in dag.outputs.parameters.items():
        for selector in parameter.selectors:
            outcome = siblings.get(selector.producer_subtask)
            if outcome is not None and selector.output_parameter_key in outcome.parameters:
                parameters[name] = outcome.parameters[selector.output_parameter_key]
                break
    for name, artifact in dag.outputs.artifacts.items():
        for selector in artifact.artifact_selectors:
            outcome = siblings.get(selector.producer_subtask)
            if outcome is not None and selector.output_artifact_key in outcome.artifacts:
                artifacts[name] = outcome.artifacts[selector.output_artifact_key]
                break
    return parameters, artifacts


def collect_outputs(
    outcomes: list[Outcome],
) -> tuple[dict[str, list[Any]], dict[str, list[Artifact]]]:
    """Return a loop's outputs: for each output, the values of its iterations in their order."""
    parameters: dict[str, list[Any]] = {}
    artifacts: dict[str, list[Artifact]] = {}
    for outcome in outcomes:
        for name, value in outcome.parameters.items():
            parameters.setdefault(name, []).append(value)
        for name, values in outcome.artifacts.items():
            artifacts.setdefault(name, []).extend(values)
    return parameters, artifacts


def _parameter(source: ParameterSource, around: Surroundings) -> Any:
    """Return the value of a task's input parameter from its source, or _MISSING.

    `around` holds the DAG's inputs and the outputs of upstream tasks.
    """
    if source.component_input_parameter is not None:
        return around.arguments.parameters.get(source.component_input_parameter, _MISSING)
    if source.task_output_parameter is not None:
        outcome = around.siblings.get(source.task_output_parameter.producer_task)
        return (
            outcome.parameters.get(source.task_output_parameter.output_parameter_key, _MISSING)
            if outcome
            else _MISSING
        )
    if source.task_final_status is not None:
        return around.final[source.task_final_status.producer_task]
    return source.runtime_value.constant if source.runtime_value is not None else _MISSING


def _artifact(source: ArtifactSource, around: Surroundings) -> list[Artifact] | None:
    """Return a task's input artifacts from their source, or None if there are none.

    `around` holds the upstream outputs and the DAG's inputs.
    """
    if source.component_input_artifact is not None:
        return around.arguments.artifacts.get(source.component_input_artifact)
    if source.task_output_artifact is None:
        return None
    outcome = around.siblings.get(source.task_output_artifact.producer_task)
    return (
        outcome.artifacts.get(source.task_output_artifact.output_artifact_key) if outcome else None
    )


def _resolve_constants(task: Task, parameters: dict[str, Any], names: Names) -> None:
    """Replace the placeholders in a task's constant parameters by values, in place.

    They may refer to the task's other parameters: an f-string over an output is compiled so.
    """
    scope = {"inputs": {"parameterValues": parameters}, "outputs": {}}
    for name, source in task.inputs.parameters.items():
        if source.runtime_value is not None and name in parameters:
            value = parameters[name]
            parameters[name] = (
                resolve(value, scope, names)
                if isinstance(value, str)
                else resolve_inside(value, scope, names)
            )
