"""Placeholders in a command, replaced by their values. Pure.

`{{$.inputs.parameters['n']}}`, `{{$}}`, Concat, IfPresent. Source: kubeflow/pipelines,
kfp/dsl/placeholders.py and kfp/local/placeholder_utils.py (which names there are; how a value is
written).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from .values import text

MOUNT = "/gcs/"  # where gs:// is in a container
_PLACEHOLDER = re.compile(r"\{\{\$(?:\.([^{}]*))?\}\}")
_PART = re.compile(r"\.?([A-Za-z_][A-Za-z0-9_]*)|\['([^']*)'\]|\[(\d+)\]")
_STRUCTURES = ('{"Concat":', '{"IfPresent":')


class BadPlaceholder(Exception):
    """A placeholder that names something that does not exist."""


class RunPlaceholders(msgspec.Struct, frozen=True, kw_only=True):
    """A run as its tasks know it: the values of `{{$.pipeline_job_name}}` and so on, by name."""

    names: Mapping[str, str]


def local_path(uri: str) -> str:
    """Return the path in a container, below /gcs/, of a gs:// URI."""
    return MOUNT + uri.removeprefix("gs://") if uri.startswith("gs://") else uri


def resolve_command(
    words: Iterable[str], executor_input: Mapping[str, Any], run: RunPlaceholders
) -> list[str]:
    """Return the words of a container's command with their placeholders resolved.

    An IfPresent whose input is absent becomes its Else, or no word at all.

    Raises:
        BadPlaceholder: A word names something that does not exist.
    """
    resolved: list[str] = []
    for word in words:
        value = (
            _structure(json.loads(word), executor_input) if word.startswith(_STRUCTURES) else word
        )
        parts = value if isinstance(value, list) else [value]
        resolved += [resolve(part, executor_input, run) for part in parts if part is not None]
    return resolved


def resolve(word: str, executor_input: Mapping[str, Any], run: RunPlaceholders) -> str:
    """Return a text with every placeholder, such as {{$.inputs...}}, replaced by its value.

    Raises:
        BadPlaceholder: It names something that does not exist.
    """
    return _PLACEHOLDER.sub(lambda match: text(_value(match[1], executor_input, run)), word)


def resolve_inside(value: Any, executor_input: Mapping[str, Any], run: RunPlaceholders) -> Any:
    """Return a JSON value with the placeholders in every string in it resolved.

    A string that is one placeholder alone becomes the value itself.
    """
    if isinstance(value, str):
        alone = _PLACEHOLDER.fullmatch(value)
        return (
            _value(alone[1], executor_input, run) if alone else resolve(value, executor_input, run)
        )
    if isinstance(value, list):
        return [resolve_inside(inner, executor_input, run) for inner in value]
    if isinstance(value, dict):
        return {
            resolve(key, executor_input, run): resolve_inside(inner, executor_input, run)
            for key, inner in value.items()
        }
    return value


def _structure(value: Any, executor_input: Mapping[str, Any]) -> Any:
    """Resolve a Concat or IfPresent of a container's command: to a word, several words, or None.

    `executor_input` has the task's inputs, on which an IfPresent depends.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list):
        inner = [_structure(part, executor_input) for part in value]
        return [
            word
            for part in inner
            if part is not None
            for word in (part if isinstance(part, list) else [part])
        ]
    if "Concat" in value:
        return "".join(
            part
            for part in (_structure(part, executor_input) for part in value["Concat"])
            if part is not None
        )
    branch = value["IfPresent"]
    chosen = (
        branch.get("Then")
        if _present(branch["InputName"], executor_input["inputs"])
        else branch.get("Else")
    )
    return None if chosen is None else _structure(chosen, executor_input)


def _present(name: str, inputs: Mapping[str, Any]) -> bool:
    """Return whether a task's input has a value or an artifact."""
    return inputs.get("parameterValues", {}).get(name) is not None or bool(
        inputs.get("artifacts", {}).get(name)
    )


def _value(path: str | None, executor_input: Mapping[str, Any], run: RunPlaceholders) -> Any:
    """Return the value that a placeholder's path names; a path may end in json_escape.

    Paths lead into the `executor_input`, or name a fact about the run, such as its id.
    """
    if path is None:
        return executor_input
    if path in run.names:
        return run.names[path]
    parts = [part for match in _PART.finditer(path) for part in match.groups() if part is not None]
    times = 0
    if "json_escape" in parts:
        index = parts.index("json_escape")
        times, parts = int(parts[index + 1]), parts[:index]
    value = _looked_up(path, parts, executor_input)
    for _ in range(times):
        value = json.dumps(text(value))[1:-1]
    return value


def _looked_up(path: str, parts: list[str], executor_input: Mapping[str, Any]) -> Any:
    """Return the value at a placeholder's path (`parts` are its segments) in an ExecutorInput."""
    match parts:
        case []:
            return executor_input
        case ["outputs", "output_file"] | ["outputMetadataUri"]:
            return executor_input["outputs"]["outputFile"]
        case ["inputs", "parameters", name]:
            return (
                executor_input["inputs"].get("parameterValues", {}).get(name)
            )  # null where an optional one has no value
        case ["outputs", "parameters", name, "output_file"] if (
            name in executor_input["outputs"]["parameters"]
        ):
            return executor_input["outputs"]["parameters"][name]["outputFile"]
        case [("inputs" | "outputs") as side, "artifacts", name, *rest]:
            artifacts = executor_input[side].get("artifacts", {}).get(name, {}).get("artifacts")
            return _of_artifact(artifacts, rest, path)
    raise BadPlaceholder(f"the placeholder {{{{$.{path}}}}} names nothing that this task has.")


def _of_artifact(artifacts: list[dict[str, Any]] | None, rest: list[str], path: str) -> Any:
    """Return the property `rest` of an input artifact for a placeholder, or None without artifact.

    `path` is the whole placeholder, for errors.
    """
    if not rest:
        return {"artifacts": artifacts} if artifacts is not None else None
    if not artifacts:
        return None
    artifact = artifacts[0]
    match rest:
        case ["path"]:
            return local_path(artifact["uri"])
        case [("uri" | "name" | "metadata") as field]:
            return artifact.get(field)
        case ["metadata" | "properties", key]:
            return artifact.get("metadata", {}).get(key)
    raise BadPlaceholder(f"the placeholder {{{{$.{path}}}}} names nothing that an artifact has.")
