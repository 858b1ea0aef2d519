"""Values of expressions at run time: Get, Std:Join, Std:JsonGet."""

import json
from collections.abc import Callable, Mapping

import msgspec

from . import paths
from .references import Reference, reference


class Scope(msgspec.Struct, frozen=True, kw_only=True):
    """The sources of values for names.

    The functions raise ExpressionError for what does not exist.
    """

    parameters: Mapping[str, object]
    execution: Callable[[str], object]  # Execution.<name>
    properties: Callable[[str], object]  # the Describe answer of a step
    property_file: Callable[[str, str], bytes]  # (step, property file's name) -> its bytes
    blob: Callable[[str], bytes]  # S3 URI -> its bytes


class ExpressionError(ValueError):
    """An expression that has no value now."""


def resolve(value: object, scope: Scope) -> object:
    """Return a step's argument with the pipeline expressions in it replaced by their values.

    `scope` gives the values of parameters, steps and the execution.
    """
    if isinstance(value, list):
        return [resolve(item, scope) for item in value]
    if not isinstance(value, dict):
        return value
    if set(value) == {"Get"}:
        return _get(reference(value["Get"]), scope)
    if set(value) == {"Std:Join"}:
        return _join(value["Std:Join"], scope)
    if set(value) == {"Std:JsonGet"}:
        return _json_get(value["Std:JsonGet"], scope)
    return {key: resolve(item, scope) for key, item in value.items()}


def _get(source: Reference, scope: Scope) -> object:
    """Return the value of a Get expression: a parameter, a step's property or the execution's.

    `scope` gives the values.
    """
    if source.kind == "Parameters":
        if source.name not in scope.parameters:
            raise ExpressionError(f"the parameter '{source.name}' has no value")
        return scope.parameters[source.name]
    if source.kind == "Execution":
        return scope.execution(source.name)
    try:
        return paths.read(scope.properties(source.name), source.path, source.text)
    except paths.PathError as error:
        raise ExpressionError(str(error)) from error


def _join(arguments: object, scope: Scope) -> str:
    """Return the text that a Std:Join expression makes of its values.

    `arguments` are the expression's; `scope` gives the values of expressions in them.
    """
    if not isinstance(arguments, dict) or not isinstance(arguments.get("Values"), list):
        raise ExpressionError(f"Std:Join needs Values: {arguments!r}")
    return str(arguments.get("On", "")).join(
        text(resolve(item, scope)) for item in arguments["Values"]
    )


def text(value: object) -> str:
    """Return a value as text, as SageMaker writes it into a string."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _json_get(arguments: object, scope: Scope) -> object:
    """Return the value of a Std:JsonGet expression, read from a step's property file.

    `arguments` are the expression's; `scope` reads the file.
    """
    if not isinstance(arguments, dict) or not isinstance(arguments.get("Path"), str):
        raise ExpressionError(f"Std:JsonGet needs a Path: {arguments!r}")
    if "S3Uri" in arguments:
        where = text(resolve(arguments["S3Uri"], scope))
        content = scope.blob(where)
    else:
        file = reference((arguments.get("PropertyFile") or {}).get("Get"))
        where = file.text
        content = scope.property_file(file.name, str(file.path[-1]))
    try:
        return paths.read(json.loads(content), paths.parse(arguments["Path"]), arguments["Path"])
    except ValueError as error:  # not JSON, not UTF-8, or a path that leads nowhere
        raise ExpressionError(f"{where}: {error}") from error
