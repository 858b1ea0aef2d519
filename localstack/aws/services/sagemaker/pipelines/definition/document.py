"""A pipeline definition, version 2020-12-01: parsed, and refused where SageMaker would refuse it.

Source: the definition's JSON schema (aws-sagemaker-mlops,
"sagemaker-model-building-pipeline-definition-JSON-schema") and what the v3 SDK writes.
"""

import json
import re
from datetime import timedelta
from typing import Any, Literal, TypeVar

import msgspec

from . import paths
from .conditions import check
from .expressions import ExpressionError
from .graph import cycle
from .references import Reference, references

EXECUTED = (
    "Training",
    "Processing",
    "Transform",
    "Tuning",
    "Condition",
    "Fail",
    "Model",
    "RegisterModel",
)
KNOWN = (
    *EXECUTED,
    *("AutoML", "Callback", "Lambda", "QualityCheck", "ClarifyCheck", "EMR", "EMRServerless"),
    *("EndpointConfig", "Endpoint", "InferenceComponent", "Lineage", "Job", "Cleanup", "ForEach"),
)
EXECUTION_VARIABLES = (
    *("PipelineName", "PipelineArn", "PipelineExecutionId", "PipelineExecutionArn"),
    *("StartDateTime", "CurrentDateTime", "TrainingJobName", "ProcessingJobName"),
)
TRIGGERS = ("Completed", "Failed", "Stopped", "Any")
PARAMETER_TYPES: dict[str, type | tuple[type, ...]] = {
    "String": str,
    "Integer": int,
    "Float": (int, float),
    "Boolean": bool,
}
# the SDK's own steps carry `-`; display names are elsewhere
_NAME = re.compile(r"[A-Za-z0-9](-*[A-Za-z0-9_ ]){0,63}")
_DURATION = re.compile(
    r"P?(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)W)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)S)?)?",
    re.IGNORECASE,
)


class DefinitionError(ValueError):
    """A definition is wrong. The message is for a ValidationException."""


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """A step that must end before another one, and how."""

    step: str
    trigger: str


class Retry(msgspec.Struct, frozen=True, kw_only=True):
    """A retry policy of a step."""

    exceptions: tuple[str, ...]
    interval: float
    backoff: float
    attempts: int
    expire_after: timedelta | None


class PropertyFile(msgspec.Struct, frozen=True, kw_only=True):
    """A property file: which output it is in, and its path there."""

    output: str
    path: str


class Parameter(msgspec.Struct, frozen=True, kw_only=True):
    """A parameter of a pipeline."""

    name: str
    type: Literal["String", "Integer", "Float", "Boolean"]
    default: str | float | bool | None
    allowed: tuple[object, ...]


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a pipeline."""

    name: str
    type: str
    arguments: dict[str, Any]
    display_name: str | None
    description: str | None
    depends: tuple[Dependency, ...]  # DependsOn, and the steps whose values it reads
    property_files: dict[str, PropertyFile]
    cache: bool
    cache_for: timedelta | None
    retries: tuple[Retry, ...]
    # the Condition that decides over it, and the outcome that lets it run
    branch: tuple[str, bool] | None


T = TypeVar("T", Step, Parameter)


class Definition(msgspec.Struct, frozen=True, kw_only=True):
    """A pipeline's definition."""

    parameters: dict[str, Parameter]
    steps: dict[str, Step]  # nested ones too, in the order of the definition


def parse(text: str) -> Definition:
    """Parse and check the JSON text of a SageMaker pipeline definition.

    Raises:
        DefinitionError: UpdatePipeline would answer it with a ValidationException.
    """
    try:
        document = json.loads(text)
    except ValueError as error:
        raise DefinitionError(f"it is not JSON: {error}") from error
    if not isinstance(document, dict):
        raise DefinitionError("it must be a JSON object")
    if document.get("Version") != "2020-12-01":
        raise DefinitionError(f"Version must be '2020-12-01', it is {document.get('Version')!r}")
    parameters = {
        p.name: p
        for p in _unique(
            [_parameter(raw) for raw in _list(document, "Parameters", "the definition")],
            "parameter",
        )
    }
    steps: list[Step] = []
    _collect(_list(document, "Steps", "the definition"), None, steps)
    if not steps:
        raise DefinitionError("it has no Steps")
    definition = Definition(
        parameters=parameters, steps={step.name: step for step in _unique(steps, "step")}
    )
    for step in definition.steps.values():
        _check_references(step, definition)
    circle = cycle({name: predecessors_of(step) for name, step in definition.steps.items()})
    if circle:
        raise DefinitionError("the steps depend on each other in a circle: " + " -> ".join(circle))
    return definition


def predecessors_of(step: Step) -> set[str]:
    """Return the names of the steps that must have ended before this one may start."""
    return {dependency.step for dependency in step.depends} | (
        {step.branch[0]} if step.branch else set()
    )


def _parameter(raw: object) -> Parameter:
    """Parse one entry of a pipeline definition's Parameters."""
    if not isinstance(raw, dict) or not isinstance(raw.get("Name"), str):
        raise DefinitionError(f"a parameter needs a Name: {raw!r}")
    name, kind, default = raw["Name"], raw.get("Type", "String"), raw.get("DefaultValue")
    if kind not in PARAMETER_TYPES:
        raise DefinitionError(
            f"parameter '{name}': Type must be one of {', '.join(PARAMETER_TYPES)}, it is {kind!r}"
        )
    if default is not None and not _fits(default, kind):
        raise DefinitionError(f"parameter '{name}': DefaultValue {default!r} is not of type {kind}")
    allowed = tuple(_list(raw, "EnumValues", f"parameter '{name}'"))
    if allowed and default is not None and default not in allowed:
        raise DefinitionError(
            f"parameter '{name}': DefaultValue {default!r} is not among EnumValues"
        )
    return Parameter(name=name, type=kind, default=default, allowed=allowed)


def _fits(value: object, kind: str) -> bool:
    """Return whether a value has the type of a pipeline parameter, such as Integer, `kind`."""
    return isinstance(value, PARAMETER_TYPES[kind]) and (
        kind == "Boolean" or not isinstance(value, bool)
    )


def _collect(raw_steps: list[Any], branch: tuple[str, bool] | None, into: list[Step]) -> None:
    """Parse steps into the list `into`, with the steps of their conditional branches.

    `branch` is the Condition step, and its outcome, of whose branch these are; None: of none.
    """
    for raw in raw_steps:
        step = _step(raw, branch)
        into.append(step)
        if step.type == "Condition":
            where = f"step '{step.name}'"
            _collect(_list(step.arguments, "IfSteps", where), (step.name, True), into)
            _collect(_list(step.arguments, "ElseSteps", where), (step.name, False), into)


def _step(raw: Any, branch: tuple[str, bool] | None) -> Step:
    """Parse one step of a pipeline definition.

    `branch` is the Condition step, and its outcome, of whose branch this is one; None: of none.
    """
    name, kind, arguments = _checked_head(raw)
    where = f"step '{name}'"
    cache = raw.get("CacheConfig") or {}
    return Step(
        name=name,
        type=kind,
        arguments=arguments,
        display_name=raw.get("DisplayName"),
        description=raw.get("Description"),
        depends=_dependencies(raw, _own_arguments(kind, arguments), where),
        property_files=dict(
            _property_file(entry, where) for entry in _list(raw, "PropertyFiles", where)
        ),
        cache=bool(cache.get("Enabled")),
        cache_for=duration(cache["ExpireAfter"], where) if cache.get("ExpireAfter") else None,
        retries=tuple(_retry(entry, where) for entry in _list(raw, "RetryPolicies", where)),
        branch=branch,
    )


def _checked_head(raw: Any) -> tuple[str, str, dict[str, Any]]:
    """Return a pipeline step's Name, Type and Arguments, after checking them."""
    if not isinstance(raw, dict) or not isinstance(raw.get("Name"), str):
        raise DefinitionError(f"a step needs a Name: {str(raw)[:200]}")
    name, kind, arguments = raw["Name"], raw.get("Type"), raw.get("Arguments", {})
    where = f"step '{name}'"
    if not _NAME.fullmatch(name):
        raise DefinitionError(f"{where}: a step's Name has at most 64 letters, digits, '-' and '_'")
    if kind not in KNOWN:
        raise DefinitionError(f"{where}: unknown step Type {kind!r}")
    if not isinstance(arguments, dict):
        raise DefinitionError(f"{where}: Arguments must be an object")
    if kind == "Condition":
        _check_conditions(_list(arguments, "Conditions", where), where)
    if kind == "Fail" and not arguments.get("ErrorMessage"):
        raise DefinitionError(f"{where}: a Fail step needs an ErrorMessage")
    return name, kind, arguments


def _own_arguments(kind: str, arguments: dict[str, Any]) -> dict[str, Any]:
    """Return a pipeline step's arguments without the steps in a condition's branches.

    These are parsed as steps by themselves.
    """
    return {
        key: value
        for key, value in arguments.items()
        if kind != "Condition" or key not in ("IfSteps", "ElseSteps")
    }


def _dependencies(
    raw: dict[str, Any], arguments: dict[str, Any], where: str
) -> tuple[Dependency, ...]:
    """Return a pipeline step's dependencies: DependsOn, and the steps whose values it reads.

    `raw` is the step in the definition; `where` names it in errors.
    """
    explicit = tuple(_dependency(entry, where) for entry in _list(raw, "DependsOn", where))
    named = {dependency.step for dependency in explicit}
    read = sorted(
        {reference.name for reference in _references(arguments, where) if reference.kind == "Steps"}
        - named
    )
    return (*explicit, *(Dependency(step=other, trigger="Completed") for other in read))


def _check_conditions(conditions: list[Any], where: str) -> None:
    """Raise an error for a condition of a Condition step that CreatePipeline refuses.

    `where` names the step in the error.
    """
    if not conditions:
        raise DefinitionError(f"{where}: a Condition step needs Conditions")
    try:
        for condition in conditions:
            check(condition)
    except ExpressionError as error:
        raise DefinitionError(f"{where}: {error}") from error


def _dependency(entry: object, where: str) -> Dependency:
    """Parse one entry of a pipeline step's DependsOn; `where` names the step in errors."""
    if isinstance(entry, str):
        return Dependency(step=entry, trigger="Completed")
    if (
        isinstance(entry, dict)
        and isinstance(entry.get("Step"), str)
        and entry.get("Trigger", "Completed") in TRIGGERS
    ):
        return Dependency(step=entry["Step"], trigger=entry.get("Trigger", "Completed"))
    raise DefinitionError(
        f"{where}: DependsOn takes step names or {{Step, Trigger: {'|'.join(TRIGGERS)}}}, "
        f"not {entry!r}"
    )


def _property_file(entry: Any, where: str) -> tuple[str, PropertyFile]:
    """Parse one entry of a step's PropertyFiles into its name, output and path.

    `where` names the step in errors.
    """
    try:
        return entry["PropertyFileName"], PropertyFile(
            output=entry["OutputName"], path=entry["FilePath"]
        )
    except (KeyError, TypeError) as error:
        raise DefinitionError(
            f"{where}: a property file needs PropertyFileName, OutputName and FilePath"
        ) from error


def _retry(entry: Any, where: str) -> Retry:
    """Parse one entry of a step's RetryPolicies; `where` names the step in errors."""
    if not isinstance(entry, dict) or not entry.get("ExceptionType"):
        raise DefinitionError(f"{where}: a retry policy needs an ExceptionType")
    if "MaxAttempts" in entry and "ExpireAfterMin" in entry:
        raise DefinitionError(
            f"{where}: a retry policy takes MaxAttempts or ExpireAfterMin, not both"
        )
    attempts, minutes = (
        entry.get("MaxAttempts", 20 if "ExpireAfterMin" in entry else 5),
        entry.get("ExpireAfterMin"),
    )
    if not 1 <= attempts <= 20 or (minutes is not None and not 0 <= minutes <= 14400):
        raise DefinitionError(f"{where}: MaxAttempts is 1 to 20, ExpireAfterMin 0 to 14400")
    return Retry(
        exceptions=tuple(entry["ExceptionType"]),
        interval=entry.get("IntervalSeconds", 1),
        backoff=entry.get("BackoffRate", 2.0),
        attempts=attempts,
        expire_after=None if minutes is None else timedelta(minutes=minutes),
    )


def _check_references(step: Step, definition: Definition) -> None:
    """Check that all parameters and steps to which a step's arguments refer exist."""
    where = f"step '{step.name}'"
    for dependency in step.depends:
        if dependency.step not in definition.steps:
            raise DefinitionError(
                f"{where} refers to the step '{dependency.step}', which is not in the definition"
            )
    for reference in _references(_own_arguments(step.type, step.arguments), where):
        if reference.kind == "Parameters" and reference.name not in definition.parameters:
            raise DefinitionError(
                f"{where} refers to the parameter '{reference.name}', which is not declared "
                "in Parameters"
            )
        if reference.kind == "Execution" and reference.name not in EXECUTION_VARIABLES:
            raise DefinitionError(
                f"{where}: Execution.{reference.name} is not one of "
                f"{', '.join(EXECUTION_VARIABLES)}"
            )
        if reference.kind == "Steps" and reference.path[:1] == ("PropertyFiles",):
            property_files = definition.steps[reference.name].property_files
            if len(reference.path) != 2 or reference.path[1] not in property_files:
                raise DefinitionError(
                    f"{where}: the step '{reference.name}' declares no property file "
                    f"{'.'.join(map(str, reference.path[1:]))}"
                )


def _references(value: object, where: str) -> list[Reference]:
    """Return the references (Get: Steps.X...) within a step's argument.

    `where` names the step in errors.
    """
    try:
        return list(references(value))
    except paths.PathError as error:
        raise DefinitionError(f"{where}: {error}") from error


def duration(text: str, where: str) -> timedelta:
    """Parse an ISO 8601 duration such as P30D or PT12H; a year has 365 days, a month 30.

    Notebooks of AWS write it as 30d or T30m, too. `where` names the step in the error.

    Raises:
        DefinitionError: The text is no duration.
    """
    match = _DURATION.fullmatch(text) if isinstance(text, str) else None
    if match is None or not any(match.groups()):
        raise DefinitionError(
            f"{where}: ExpireAfter must be an ISO 8601 duration such as P30D, it is {text!r}"
        )
    years, months, weeks, days, hours, minutes, seconds = (
        int(part or 0) for part in match.groups()
    )
    return timedelta(
        days=365 * years + 30 * months + 7 * weeks + days,
        hours=hours,
        minutes=minutes,
        seconds=seconds,
    )


def _list(raw: dict[str, Any], key: str, where: str) -> list[Any]:
    """Return a member of a pipeline definition's object, which must be a list.

    `where` names the object in the error; a missing member is an empty list.
    """
    value = raw.get(key) or []
    if not isinstance(value, list):
        raise DefinitionError(f"{where}: {key} must be a list")
    return value


def _unique(items: list[T], what: str) -> list[T]:
    """Return parameters or steps after a check that their names differ.

    `what` names their kind in the error.
    """
    names: set[str] = set()
    for item in items:
        if item.name in names:
            raise DefinitionError(f"there are two {what}s named '{item.name}'")
        names.add(item.name)
    return items
