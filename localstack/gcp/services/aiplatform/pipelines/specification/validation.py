"""Read a PipelineSpec, and find what is wrong with it before anything runs. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from typing import Any

import msgspec

from . import expressions
from .spec import (
    SCHEMA,
    ArtifactSource,
    Component,
    Dag,
    ParameterInput,
    ParameterSource,
    Pipeline,
    Task,
)
from .values import WrongType, typed

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,127}")


class BadSpec(Exception):
    """The document is refused: INVALID_ARGUMENT, with this message."""


def read(document: dict[str, Any]) -> Pipeline:
    """Parse and check a compiled pipeline's document (its PipelineSpec), and return it.

    The document's numbers may all be floats, as protobuf's Struct has them.

    Raises:
        BadSpec: The document is not valid.
    """
    if not document:
        raise BadSpec("pipeline_spec: the pipeline has no spec.")
    if (version := document.get("schemaVersion")) != SCHEMA:
        raise BadSpec(
            f"pipeline_spec.schema_version: {version!r} is not supported by the local stack, "
            f"which runs {SCHEMA}."
        )
    try:
        pipeline = msgspec.convert(with_whole_numbers(document), Pipeline)
    except msgspec.ValidationError as error:
        raise BadSpec(f"pipeline_spec: {error}") from error
    for problem in _problems(pipeline):
        raise BadSpec(f"pipeline_spec: {problem}")
    return pipeline


def with_whole_numbers(value: Any) -> Any:
    """Return a JSON value in which whole floats are integers, as protobuf has only floats.

    Where a parameter's type is known to be a float, it is made one again.
    """
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: with_whole_numbers(inner) for key, inner in value.items()}
    return [with_whole_numbers(inner) for inner in value] if isinstance(value, list) else value


def parameters(pipeline: Pipeline, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return the values of the pipeline's own parameters: its arguments, else the defaults.

    Raises:
        BadSpec: A parameter is missing, unknown or of another type.
    """
    declared = pipeline.root.input_definitions.parameters
    if unknown := sorted(set(arguments) - set(declared)):
        raise BadSpec(
            f"runtime_config.parameter_values: the pipeline has no parameter {', '.join(unknown)}."
        )
    values: dict[str, Any] = {}
    for name, declaration in declared.items():
        if name in arguments:
            values[name] = _parameter_value(name, declaration, arguments[name])
        elif declaration.default_value is not msgspec.UNSET:
            values[name] = _parameter_value(name, declaration, declaration.default_value)
        elif not declaration.is_optional:
            raise BadSpec(
                "runtime_config.parameter_values: the value of the required parameter "
                f"{name} is missing."
            )
    return values


def _parameter_value(name: str, declaration: ParameterInput, value: Any) -> Any:
    """Return an argument of the pipeline converted to the type that its parameter declares."""
    try:
        value = typed(value, declaration.parameter_type)
    except WrongType as error:
        raise BadSpec(f"runtime_config.parameter_values: parameter {name}: {error}") from error
    if declaration.literals and value not in declaration.literals:
        raise BadSpec(
            f"runtime_config.parameter_values: parameter {name}: {value!r} is none of "
            f"{list(declaration.literals)}."
        )
    return value


def _problems(pipeline: Pipeline) -> Iterator[str]:
    """Yield messages about the mistakes in a pipeline's specification."""
    if not _NAME.fullmatch(pipeline.pipeline_info.name):
        yield f"pipeline_info.name {pipeline.pipeline_info.name!r} does not match {_NAME.pattern}."
    if pipeline.root.dag is None or not pipeline.root.dag.tasks:
        yield "the root component has no tasks."
    for name, component in {"root": pipeline.root, **pipeline.components}.items():
        if component.dag is not None:
            yield from _in_dag(pipeline, name, component, component.dag)
        elif component.executor_label not in pipeline.deployment_spec.executors:
            yield (
                f"component {name}: executor {component.executor_label!r} is not in "
                "deployment_spec."
            )
    try:
        tuple(
            TopologicalSorter(
                {
                    name: _components_below(component)
                    for name, component in pipeline.components.items()
                }
            ).static_order()
        )
    except CycleError as error:  # it would run until the machine is full
        yield f"a component runs within itself: {' -> '.join(error.args[1])}."


def _components_below(component: Component) -> list[str]:
    """Return the names of the components that a component's own tasks run."""
    return (
        [task.component for task in component.dag.tasks.values()]
        if component.dag is not None
        else []
    )


def _in_dag(pipeline: Pipeline, name: str, component: Component, dag: Dag) -> Iterator[str]:
    """Yield messages about the mistakes in the tasks and outputs of a DAG component."""
    for key, task in dag.tasks.items():
        where = f"component {name}, task {key}"
        if task.component not in pipeline.components:
            yield f"{where}: component {task.component!r} is not defined."
            continue
        for producer in upstream_tasks(task):
            if producer not in dag.tasks:
                yield f"{where}: it depends on {producer!r}, which is no task of {name}."
        yield from (
            f"{where}: {problem}"
            for problem in _in_task(pipeline.components[task.component], component, task)
        )
    for producer in {
        s.producer_subtask for output in dag.outputs.parameters.values() for s in output.selectors
    } | {
        s.producer_subtask
        for output in dag.outputs.artifacts.values()
        for s in output.artifact_selectors
    }:
        if producer not in dag.tasks:
            yield f"component {name}: an output comes from {producer!r}, which is no task of it."
    try:
        tuple(
            TopologicalSorter(
                {key: upstream_tasks(task) for key, task in dag.tasks.items()}
            ).static_order()
        )
    except CycleError as error:
        cycle = " -> ".join(error.args[1])
        yield f"component {name}: its tasks depend on each other in a cycle: {cycle}."


def _in_task(component: Component, parent: Component, task: Task) -> Iterator[str]:
    """Yield messages about the mistakes in a task of the DAG `parent`; it runs `component`."""
    yield from _in_inputs(parent, task)
    yield from _unset(component, task)
    if task.trigger_policy.condition:
        try:
            expressions.parse(task.trigger_policy.condition)
        except expressions.BadExpression as error:
            yield f"trigger_policy.condition: {error}"


def _in_inputs(parent: Component, task: Task) -> Iterator[str]:
    """Yield messages about the mistakes in the inputs of a task of the DAG `parent`."""
    parameters, artifacts = parent.input_definitions.parameters, parent.input_definitions.artifacts
    for name, source in task.inputs.parameters.items():
        if source.component_input_parameter and source.component_input_parameter not in parameters:
            yield (
                f"its parameter {name} is the input {source.component_input_parameter!r}, "
                "which its component does not have."
            )
        if source.runtime_value is not None and source.runtime_value.runtime_parameter:
            yield (
                f"its parameter {name} is a runtime_parameter: schema {SCHEMA} has "
                "component_input_parameter instead."
            )
    for name, artifact in task.inputs.artifacts.items():
        if artifact.component_input_artifact and artifact.component_input_artifact not in artifacts:
            yield (
                f"its artifact {name} is the input {artifact.component_input_artifact!r}, "
                "which its component does not have."
            )


def _unset(component: Component, task: Task) -> Iterator[str]:
    """Yield a message for each required input of a component that the task does not set."""
    iterator = task.parameter_iterator or task.artifact_iterator
    values = task.inputs.parameters.keys() | ({iterator.item_input} if iterator else set())
    for name, declared in component.input_definitions.parameters.items():
        if (
            declared.default_value is msgspec.UNSET
            and not declared.is_optional
            and name not in values
        ):
            yield f"its required parameter {name} has no value."


def upstream_tasks(task: Task) -> tuple[str, ...]:
    """Return the names of the tasks that must end before this one starts.

    These are the tasks that it names, and those whose outputs or final status it takes.
    """
    sources: list[ParameterSource | ArtifactSource] = [
        *task.inputs.parameters.values(),
        *task.inputs.artifacts.values(),
    ]
    producers = [producer for source in sources if (producer := _producer(source)) is not None]
    return tuple(dict.fromkeys((*task.dependent_tasks, *producers)))


def _producer(source: ParameterSource | ArtifactSource) -> str | None:
    """Return the name of the task whose output an input takes, or None."""
    if isinstance(source, ArtifactSource):
        return source.task_output_artifact.producer_task if source.task_output_artifact else None
    if source.task_output_parameter is not None:
        return source.task_output_parameter.producer_task
    return source.task_final_status.producer_task if source.task_final_status is not None else None
