"""An executor's input and outputs: its own files, and executor_output.json."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
from google.rpc.code_pb2 import FAILED_PRECONDITION

from ....core.call import Call
from ...storage import in_process
from .records import Artifact, Inputs, Outcome, Run
from .specification.placeholders import local_path
from .specification.spec import Component, Kind
from .specification.values import WrongType, output_value, typed

_OUTPUT = "executor_output.json"


class BadResult(Exception):
    """A container's outputs do not fit what its component declares."""


def output_artifacts(call: Call, run: Run, component: Component, root: str) -> dict[str, Artifact]:
    """Return the artifacts that a task is to write, with their URIs, by output name."""
    return {
        key: Artifact(
            name=f"{run.store}/artifacts/{call.new_id()}",
            key=key,
            type=output.artifact_type,
            uri=f"{root}/{key}",
            metadata=output.metadata,
        )
        for key, output in component.output_definitions.artifacts.items()
    }


def executor_input(
    component: Component, arguments: Inputs, artifacts: Mapping[str, Artifact], root: str
) -> dict[str, Any]:
    """Return the ExecutorInput with which kfp's executor runs a task, as a JSON value.

    `root` is the gs:// folder for the task's outputs.
    """
    inputs: dict[str, Any] = {}
    if arguments.parameters:
        inputs["parameterValues"] = arguments.parameters
    if arguments.artifacts:
        inputs["artifacts"] = {
            key: {"artifacts": [a.runtime() for a in values]}
            for key, values in arguments.artifacts.items()
        }
    return {
        "inputs": inputs,
        "outputs": {
            "parameters": {
                key: {"outputFile": local_path(f"{root}/{key}")}
                for key in component.output_definitions.parameters
            },
            "artifacts": {
                key: {"artifacts": [artifact.runtime()]} for key, artifact in artifacts.items()
            },
            "outputFile": local_path(f"{root}/{_OUTPUT}"),
        },
    }


def read(call: Call, component: Component, artifacts: Mapping[str, Artifact], root: str) -> Outcome:
    """Read the outputs of a container that exited with 0, and return the task's outcome.

    It is FAILED if a declared parameter is missing or of another type.
    """
    uris = set(in_process.uris_below(call, f"{root}/"))
    try:
        output = (
            json.loads(in_process.read(call, f"{root}/{_OUTPUT}"))
            if f"{root}/{_OUTPUT}" in uris
            else {}
        )
        parameters = {
            key: typed(output["parameterValues"][key], kind.parameter_type)
            if key in output.get("parameterValues", {})
            else _from_file(call, f"{root}/{key}", kind.parameter_type, uris)
            for key, kind in component.output_definitions.parameters.items()
        }
    except (BadResult, WrongType, ValueError) as error:
        return Outcome(state="FAILED", code=FAILED_PRECONDITION, message=str(error))
    changed = output.get("artifacts", {})
    return Outcome(
        state="SUCCEEDED",
        parameters=parameters,
        artifacts={
            key: [_artifact(call, artifact, changed.get(key))]
            for key, artifact in artifacts.items()
        },
    )


def _from_file(call: Call, uri: str, kind: Kind, uris: set[str]) -> Any:
    """Read an output parameter from the file that the container wrote at `uri`, as a `kind`.

    `uris` are the files that exist. Raises BadResult if it is missing or of another type.
    """
    key = uri.rpartition("/")[2]
    if uri not in uris:
        raise BadResult(
            f"The output parameter {key} was not written: there is no {local_path(uri)}."
        )
    try:
        return output_value(in_process.read(call, uri).decode(), kind)
    except (WrongType, UnicodeDecodeError) as error:
        raise BadResult(f"output parameter {key}: {error}") from error


def _artifact(call: Call, artifact: Artifact, changed: Any) -> Artifact:
    """Return an output artifact with the changes that the executor reports.

    The executor may give another uri, metadata, or a file elsewhere, which becomes the artifact's
    content.
    """
    if not changed or not changed.get("artifacts"):
        return artifact
    first = changed["artifacts"][0]
    uri = first.get("uri") or artifact.uri
    custom = first.get("custom_path") or first.get("customPath")
    if custom and Path(custom).is_dir():
        in_process.upload(call, Path(custom), uri)
    elif custom and Path(custom).is_file():
        in_process.write(call, uri, Path(custom).read_bytes())
    return msgspec.structs.replace(
        artifact, uri=uri, metadata={**artifact.metadata, **first.get("metadata", {})}
    )
