"""Describe a pipeline, and check it before anything is submitted.

A step is a command or a function. An edge is made by naming something of another step: an output
folder (`Artifact`), a small typed output (`Value`), a condition over one, or a plain `needs`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, Literal

import msgspec

from ...errors import Invalid
from ..port import Condition, Output, ValueType

_NAME = re.compile(r"[a-z](_?[a-z0-9])*")  # PORTS.md, rule 3
_URI = re.compile(r"[a-z][a-z0-9+.-]*://.+")
_TYPES: dict[ValueType, tuple[type, ...]] = {
    "float": (float, int),
    "int": (int,),
    "bool": (bool,),
    "string": (str,),
}

PLACEHOLDER = re.compile(
    r"\{(?:(parameters|inputs|outputs)\.([A-Za-z_][A-Za-z0-9_]*)|(values|python))\}"
)


class Artifact(msgspec.Struct, frozen=True, tag="artifact"):
    """An output folder of another step."""

    step: str
    name: str


class Value(msgspec.Struct, frozen=True, tag="value"):
    """A small typed output of another step."""

    step: str
    output: str


class Parameter(msgspec.Struct, frozen=True, tag="parameter"):
    """A parameter of the pipeline, given at submit."""

    name: str


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A command (argv with placeholders) or a function of a pipeline.

    A function is named `package.module:function` and is called with a StepContext in the step's own
    process. Placeholders in `command` are `{parameters.x}`, `{inputs.x}` and `{outputs.x}`
    (folders), `{values}` (a file to write the typed outputs to, as one JSON object) and `{python}`
    (this interpreter). The command runs in the project's folder.
    """

    name: str
    command: tuple[str, ...] | None = None
    function: str | None = None
    kind: Literal["task", "training"] = "task"
    inputs: Mapping[str, Artifact | str] = {}  # a string is the URI of a folder or a file
    parameters: Mapping[str, Any] = {}  # JSON literals, Value or Parameter
    outputs: tuple[Output, ...] = ()
    artifacts: tuple[str, ...] = ()
    needs: tuple[str, ...] = ()
    when: Condition | None = None
    machine: str = ""
    timeout: timedelta = timedelta(hours=1)  # of one attempt
    attempts: int = 1
    fingerprint: Mapping[
        str, str
    ] = {}  # named parts of the cache key that are neither parameters nor inputs, e.g. watermarks
    cache: bool = True


class Pipeline(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    steps: tuple[Step, ...]
    parameters: Mapping[str, ValueType] = {}


def fits(value: object, kind: ValueType) -> bool:
    """Return whether a value is of the declared type of a step's output or parameter.

    An int is a float; a bool is only a bool.
    """
    return isinstance(value, _TYPES[kind]) and (isinstance(value, bool) == (kind == "bool"))


def dependencies(step: Step) -> tuple[str, ...]:
    """Return the names of the steps that must end before a step begins, in a fixed order."""
    names = [*step.needs]
    names += [source.step for source in step.inputs.values() if isinstance(source, Artifact)]
    names += [source.step for source in step.parameters.values() if isinstance(source, Value)]
    if step.when:
        names.append(step.when.step)
    return tuple(dict.fromkeys(names))


def topological_order(pipeline: Pipeline) -> tuple[Step, ...]:
    """Return a pipeline's steps so that each comes after those it needs, else as written.

    Raises:
        Invalid: there is a circle. The error names it.
    """
    steps = {step.name: step for step in pipeline.steps}
    done: dict[str, Step] = {}
    while len(done) < len(steps):
        ready = next(
            (
                step
                for step in pipeline.steps
                if step.name not in done and all(name in done for name in dependencies(step))
            ),
            None,
        )
        if ready is None:
            raise Invalid(
                f"pipeline {pipeline.name}: steps wait for each other: "
                f"{' -> '.join(_circle(steps, done))}"
            )
        done[ready.name] = ready
    return tuple(done.values())


def check(pipeline: Pipeline) -> tuple[Step, ...]:
    """Validate a pipeline's graph and return its steps in topological order.

    Raises:
        Invalid: something is wrong with it. The error lists everything.
    """
    problems = list(_problems(pipeline))
    if problems:
        raise Invalid(
            f"pipeline {pipeline.name}: {problems[0]}"
            if len(problems) == 1
            else _problem_text(pipeline.name, problems)
        )
    return topological_order(pipeline)


def check_parameters(pipeline: Pipeline, values: Mapping[str, object]) -> None:
    """Raise Invalid unless `values` are the declared parameters, each of its type."""
    problems = [
        f"parameter {name} is missing ({kind})"
        for name, kind in pipeline.parameters.items()
        if name not in values
    ]
    problems += [
        f"{name} is no parameter of it (it has {_names_text(pipeline.parameters)})"
        for name in values
        if name not in pipeline.parameters
    ]
    problems += [
        f"parameter {name} is {values[name]!r}, not {_article(kind)}"
        for name, kind in pipeline.parameters.items()
        if name in values and not fits(values[name], kind)
    ]
    if problems:
        raise Invalid(
            _problem_text(pipeline.name, problems)
            if len(problems) > 1
            else f"pipeline {pipeline.name}: {problems[0]}"
        )


def _problem_text(name: str, problems: list[str]) -> str:
    """Return a pipeline's problems as one text, a line for each."""
    return "\n  ".join([f"pipeline {name}: {len(problems)} problems", *problems])


def _problems(pipeline: Pipeline) -> Iterator[str]:
    """Yield all problems of a pipeline's definition, as texts."""
    yield from _name_problems("pipeline", pipeline.name)
    if not pipeline.steps:
        yield "it has no steps"
    steps: dict[str, Step] = {}
    for step in pipeline.steps:
        if step.name in steps:
            yield f"two steps are named {step.name}"
        steps[step.name] = step
    for step in pipeline.steps:
        for problem in _step_problems(step, steps, pipeline.parameters):
            yield f"step {step.name}: {problem}"


def _step_problems(
    step: Step, steps: Mapping[str, Step], parameters: Mapping[str, ValueType]
) -> Iterator[str]:
    """Yield all problems of one step's definition, as texts."""
    yield from _name_problems("its name", step.name)
    for name in (*(output.name for output in step.outputs), *step.artifacts):
        yield from _name_problems("output", name)
    yield from _own_problems(step)
    for name in (name for name in dependencies(step) if name not in steps):
        yield f"it needs {name}, which is no step (there is {_names_text(steps)})"
    yield from _input_problems(step, steps)
    yield from _parameter_problems(step, steps, parameters)
    yield from _placeholder_problems(step)
    yield from _condition_problems(step, steps)


def _own_problems(step: Step) -> Iterator[str]:
    """Yield the problems of a step that can be seen without the other steps, as texts."""
    twice = {output.name for output in step.outputs} & set(step.artifacts)
    wrong = {
        "it needs either a command or a function": (step.command is None)
        == (step.function is None),
        "its command is empty": step.command is not None and not step.command,
        f"function {step.function!r} is not of the form package.module:function": not _is_function(
            step.function
        ),
        f"attempts is {step.attempts}; it is at least 1": step.attempts < 1,
        f"timeout is {step.timeout}; it is more than 0": step.timeout <= timedelta(0),
        f"{_names_text(twice)} is both an output and an artifact": bool(twice),
    }
    return (problem for problem, is_so in wrong.items() if is_so)


def _is_function(name: str | None) -> bool:
    """Return whether a text has the form `module:function`; None does, too."""
    return name is None or re.fullmatch(r"[\w.]+:\w+", name) is not None


def _input_problems(step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    """Yield a text for each input of a step that is neither a URI nor another step's artifact."""
    for name, source in step.inputs.items():
        if isinstance(source, str):
            if not _URI.fullmatch(source):
                yield f"input {name}: {source!r} is no URI (file:///..., s3://..., gs://...)"
        elif source.step in steps and source.name not in steps[source.step].artifacts:
            yield (
                f"input {name}: step {source.step} has no artifact {source.name} "
                f"(it has {_names_text(steps[source.step].artifacts)})"
            )


def _parameter_problems(
    step: Step, steps: Mapping[str, Step], parameters: Mapping[str, ValueType]
) -> Iterator[str]:
    """Yield a text for each parameter of a step that refers to nothing that exists."""
    for name, parameter in step.parameters.items():
        if isinstance(parameter, Parameter) and parameter.name not in parameters:
            yield (
                f"parameter {name}: {parameter.name} is no parameter of the pipeline "
                f"(it has {_names_text(parameters)})"
            )
        if isinstance(parameter, Value) and parameter.step in steps:
            outputs = [output.name for output in steps[parameter.step].outputs]
            if parameter.output not in outputs:
                yield (
                    f"parameter {name}: step {parameter.step} has no output {parameter.output} "
                    f"(it has {_names_text(outputs)})"
                )


def _placeholder_problems(step: Step) -> Iterator[str]:
    """Yield a text for each placeholder in a step's command that stands for nothing."""
    declared = {"parameters": step.parameters, "inputs": step.inputs, "outputs": step.artifacts}
    for argument in step.command or ():
        for placeholder in PLACEHOLDER.finditer(argument):
            where, name, _ = placeholder.groups()
            if where and name not in declared[where]:
                names = _names_text(declared[where])
                yield f"its command uses {placeholder[0]}, but its {where} are {names}"


def _condition_problems(step: Step, steps: Mapping[str, Step]) -> Iterator[str]:
    """Yield the problems of a step's run condition, as texts."""
    when = step.when
    if when is None or when.step not in steps:
        return
    source = steps[when.step]
    if source.kind != "task":
        yield (
            f"its condition reads {when.step}, a {source.kind} step; "
            "only a task has outputs on SageMaker"
        )
    kinds: dict[str, ValueType] = {output.name: output.type for output in source.outputs}
    if when.output not in kinds:
        yield (
            f"its condition: step {when.step} has no output {when.output} "
            f"(it has {_names_text(kinds)})"
        )
        return
    kind = kinds[when.output]
    if not fits(when.value, kind):
        yield (
            f"its condition compares {when.step}.{when.output}, {_article(kind)}, "
            f"with {when.value!r}"
        )
    if when.op != "==" and kind in ("bool", "string"):
        yield (
            f"its condition orders {when.step}.{when.output}, {_article(kind)}, by {when.op}; "
            "only == is possible"
        )


def _name_problems(what: str, name: str) -> Iterator[str]:
    """Yield a text if the name of a pipeline, step or output is malformed."""
    if not _NAME.fullmatch(name) or len(name) > 28:
        yield (
            f"{what} {name!r} is no name: lower-case letters, digits and single underscores, "
            "a letter first, at most 28"
        )


def _circle(steps: Mapping[str, Step], done: Mapping[str, Step]) -> list[str]:
    """Return the names of steps that need each other in a circle, for an error message.

    `done` are the steps that are in no circle.

    `steps` are all steps; `done` are those that are in no circle.
    """
    path = [next(name for name in steps if name not in done)]
    while path[-1] not in path[:-1]:
        path.append(next(name for name in dependencies(steps[path[-1]]) if name not in done))
    return path[path.index(path[-1]) :]


def _article(kind: str) -> str:
    """Return a type's name with "a" or "an" before it, for a message."""
    return f"an {kind}" if kind == "int" else f"a {kind}"


def _names_text(names: Any) -> str:
    """Return names as text, sorted and with commas between; `none` without any."""
    return ", ".join(sorted(names)) or "none"
