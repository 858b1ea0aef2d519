"""ModelService without uploads: get, list, update, delete, and move aliases."""

from __future__ import annotations

from typing import Any

from google.cloud.aiplatform_v1.types import (
    DeleteOperationMetadata,
    GenericOperationMetadata,
    ListModelsResponse,
    ListModelVersionsResponse,
)

from .....core.call import Call
from .....core.errors import GcpError, invalid
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.listing import last_segment, page_of
from .....core.resources.validation import check_display_name, check_labels, updated_fields
from ... import etags
from ..records import (
    DEFAULT,
    Models,
    Name,
    RegisteredModel,
    Version,
    note_change,
    parse,
    registered_model,
    version_by_name,
    version_message,
    version_of,
)
from .upload import check_alias

_SHARED = {"display_name", "description"}
_OF_VERSION = {"version_description"}


@handles("google.cloud.aiplatform.v1.ModelService.GetModel")
def get_model(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetModel: return a model version."""
    return version_by_name(call, request.name)


@handles("google.cloud.aiplatform.v1.ModelService.ListModels")
def list_models(call: Call, request: Any) -> Any:
    """List the default version of each model."""
    parent = canonical(call, request.parent)
    store = call.store(Models)
    with store.lock:
        models = [
            version_message(m, version_of(m, DEFAULT))
            for name, m in store.by_name.items()
            if name.startswith(f"{parent}/models/")
        ]
    rows, token = page_of(
        models,
        request,
        more={"model": last_segment, "base_model_name": _nothing, "baseModelName": _nothing},
    )
    return ListModelsResponse.pb()(models=rows, next_page_token=token)


@handles("google.cloud.aiplatform.v1.ModelService.ListModelVersions")
def list_model_versions(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListModelVersions: list the model versions."""
    parsed = parse(call, request.name)
    with call.store(Models).lock:
        model = registered_model(call, parsed)
        versions = [
            version_message(model, model.versions[number], versioned=True)
            for number in sorted(model.versions)
        ]
    rows, token = page_of(
        versions, request, fields=("labels",), orders=("create_time", "update_time")
    )
    return ListModelVersionsResponse.pb()(models=rows, next_page_token=token)


@handles("google.cloud.aiplatform.v1.ModelService.UpdateModel")
def update_model(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UpdateModel: change a model."""
    parsed = parse(call, request.model.name)
    paths = set(updated_fields(request, {"labels", *_SHARED, *_OF_VERSION}, kind="a model"))
    if paths & _SHARED and paths & _OF_VERSION:
        raise invalid(
            "One request cannot update both the model and the version: update them separately."
        )
    if "labels" in paths:
        check_labels(request.model.labels)
    if "display_name" in paths:
        check_display_name(request.model.display_name, kind="Model")
    of_version = parsed.version not in ("", "-")
    if (paths & _SHARED and of_version) or (paths & _OF_VERSION and not of_version):
        wrong = sorted(paths & (_SHARED if of_version else _OF_VERSION))
        kind = (
            "the model's, and the name is a version's"
            if of_version
            else "a version's, and the name is the model's"
        )
        raise GcpError(
            "FAILED_PRECONDITION", f"{', '.join(wrong)}: that is {kind}: {request.model.name}"
        )
    with call.store(Models).lock:
        model = registered_model(call, parsed)
        version = version_of(model, parsed.version if of_version else DEFAULT)
        etags.check(request.model.etag, model.revision, model.name)
        target = version.content if of_version else model.shared
        for path in paths:
            _replace(request.model, target, path)
        note_change(call, model, version if of_version else None)
        return version_message(model, version, versioned=of_version)


@handles("google.cloud.aiplatform.v1.ModelService.MergeVersionAliases")
def merge_version_aliases(call: Call, request: Any) -> Any:
    """Move aliases to a version; "-x" removes x from it.

    An alias of another version is taken from there.
    """
    parsed = parse(call, request.name)
    if not parsed.version:
        raise invalid(f"name must say a version: {request.name}@VERSION.")
    if not request.version_aliases:
        raise invalid("version_aliases is required.")
    added = {alias for alias in request.version_aliases if not alias.startswith("-")}
    removed = {
        alias.removeprefix("-") for alias in request.version_aliases if alias.startswith("-")
    }
    for alias in (*added, *removed):
        check_alias(alias)
    with call.store(Models).lock:
        model = registered_model(call, parsed)
        version = version_of(model, parsed.version)
        aliases = {
            alias: number
            for alias, number in model.aliases.items()
            if not (alias in removed - added and number == version.number)
        }
        aliases.update(dict.fromkeys(added - removed, version.number))
        if DEFAULT not in aliases:
            raise GcpError(
                "FAILED_PRECONDITION",
                f"The default alias cannot be removed from {model.name}: give it to another "
                "version.",
            )
        model.aliases = aliases
        note_change(call, model, version)
        return version_message(model, version, versioned=True)


@handles("google.cloud.aiplatform.v1.ModelService.DeleteModel")
def delete_model(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteModel: delete a model."""
    parsed = parse(call, request.name)
    if parsed.version:
        raise invalid(
            f"DeleteModel takes the name of a model, and {request.name!r} is a version's: "
            "DeleteModelVersion deletes it."
        )
    context = call.without_request()

    def work(_progress: operations.Progress) -> None:
        store = context.store(Models)
        with store.lock:
            model = store.by_name.get(parsed.model)
            if model is not None:
                _check_idle(model, None)
                del store.by_name[parsed.model]

    with call.store(Models).lock:
        _check_idle(registered_model(call, parsed), None)
    return operations.start(call, parsed.model, work, metadata=_deleting(call))


@handles("google.cloud.aiplatform.v1.ModelService.DeleteModelVersion")
def delete_model_version(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteModelVersion: delete a model version."""
    parsed = parse(call, request.name)
    if not parsed.version:
        raise invalid(f"name must say a version: {request.name}@VERSION.")
    context = call.without_request()

    def work(_progress: operations.Progress) -> None:
        with context.store(Models).lock:
            model, version = _deletable(context, parsed)
            del model.versions[version.number]
            model.aliases = {
                alias: number for alias, number in model.aliases.items() if number != version.number
            }
            note_change(context, model)

    with call.store(Models).lock:
        _deletable(call, parsed)
    return operations.start(call, parsed.model, work, metadata=_deleting(call))


def _deletable(call: Call, name: Name) -> tuple[RegisteredModel, Version]:
    """Return a model and the version that may be deleted; raise an error if it is in use."""
    model = registered_model(call, name)
    version = version_of(model, name.version)
    _check_idle(model, version.number)
    if len(model.versions) == 1:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"{model.name}@{version.number} is the only version of its model: delete the model.",
        )
    if model.aliases[DEFAULT] == version.number:
        raise GcpError(
            "FAILED_PRECONDITION",
            f"{model.name}@{version.number} is the default version: give `default` to "
            "another one first.",
        )
    return model, version


def _check_idle(model: RegisteredModel, version: int | None) -> None:
    """Raise FAILED_PRECONDITION if a version of a model is deployed; None means any version."""
    endpoints = sorted(
        {endpoint for (endpoint, _), number in model.deployed.items() if version in (None, number)}
    )
    if endpoints:
        name = model.name if version is None else f"{model.name}@{version}"
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The Model {name} is deployed or being deployed at: {', '.join(endpoints)}. "
            "Undeploy it first.",
        )


def _replace(source: Any, target: Any, path: str) -> None:
    """Copy one field of a model from `source` to `target`."""
    if path == "labels":
        target.ClearField("labels")
        target.labels.update(source.labels)
    else:
        setattr(target, path, getattr(source, path))


def _deleting(call: Call) -> Any:
    """Return the metadata of a long-running operation that deletes a model."""
    now = call.now_pb()
    return DeleteOperationMetadata.pb()(
        generic_metadata=GenericOperationMetadata.pb()(create_time=now, update_time=now)
    )


def _nothing(_message: Any) -> None:
    """Do nothing to a model's message, for a request that changes no field."""
    return
