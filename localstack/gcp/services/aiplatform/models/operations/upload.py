"""UploadModel: a new model, or a new version of one, from an existing gs:// folder."""

from __future__ import annotations

import re
from typing import Any

from google.cloud.aiplatform_v1.types import (
    GenericOperationMetadata,
    UploadModelOperationMetadata,
    UploadModelResponse,
)
from google.cloud.aiplatform_v1.types import Model as ModelMessage

from .....core.call import Call
from .....core.errors import GcpError, invalid
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.validation import check_display_name, check_labels
from ....storage import in_process
from ..records import (
    DEFAULT,
    ModelPb,
    Models,
    RegisteredModel,
    Version,
    note_change,
    parse,
    registered_model,
    version_message,
)

_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")
_MODEL_ID = re.compile(r"[a-z_][a-z0-9_-]{0,62}")
_GENERATED_ID = re.compile(r"[1-9][0-9]*")
_ALIAS = re.compile(r"[a-z][a-zA-Z0-9-]{0,126}[a-z0-9]")
_OF_MODEL = ("display_name", "description")
# What the service says of a version, whatever the caller says of it.
_OUTPUT_ONLY = (
    *(
        "name",
        "version_id",
        "version_aliases",
        "version_create_time",
        "version_update_time",
        "create_time",
        "update_time",
        "etag",
    ),
    *(
        "deployed_models",
        "supported_export_formats",
        "training_pipeline",
        "pipeline_job",
        "metadata_artifact",
        "original_model_info",
    ),
)
_DEDICATED = ModelMessage.DeploymentResourcesType.DEDICATED_RESOURCES.value


@handles("google.cloud.aiplatform.v1.ModelService.UploadModel")
def upload_model(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UploadModel: register a model version."""
    name = check(call, request)
    now = call.now_pb()
    context = call.without_request()
    metadata = UploadModelOperationMetadata.pb()(
        generic_metadata=GenericOperationMetadata.pb()(create_time=now, update_time=now)
    )

    def work(_progress: operations.Progress) -> Any:
        _check_artifacts(context, request.model.artifact_uri)
        model, version = _register(context, name, request)
        return UploadModelResponse.pb()(model=model.name, model_version_id=str(version.number))

    return operations.start(call, name, work, metadata=metadata)


def check(call: Call, request: Any) -> str:
    """Check an UploadModel request, and return the name that the model will have.

    Raises:
        GcpError: The request is not valid.
    """
    parent = canonical(call, request.parent)
    if not _LOCATION.fullmatch(parent):
        raise invalid(f"parent must be projects/P/locations/L, not {request.parent!r}.")
    _check(request.model)
    return _name(call, request, parent)


def upload(call: Call, request: Any, *, training_pipeline: str) -> Any:
    """Register a model that a training pipeline has trained, and return its Model message.

    Unlike UploadModel it starts no operation. Raises GcpError if the model cannot be uploaded.
    """
    name = check(call, request)
    _check_artifacts(call, request.model.artifact_uri)
    with call.store(Models).lock:
        model, version = _register(call, name, request)
        version.content.training_pipeline = training_pipeline
        return version_message(model, version)


def check_alias(alias: str) -> None:
    """Raise INVALID_ARGUMENT for an alias that Google does not accept."""
    if not _ALIAS.fullmatch(alias):
        raise invalid(
            f"Invalid version alias {alias!r}: it must match [a-z][a-zA-Z0-9-]{{0,126}}[a-z0-9]."
        )


def _name(call: Call, request: Any, parent: str) -> str:
    """Return the full name of an uploaded model: of a new one, or its parent model's.

    Raises:
        GcpError: The parent model does not exist, or the id is taken or not valid.
    """
    if request.parent_model:
        parsed = parse(call, request.parent_model)
        registered_model(call, parsed)
        if request.model_id:
            raise invalid("Only one of parent_model and model_id can be set.")
        return parsed.model
    if request.model_id and not _MODEL_ID.fullmatch(request.model_id):
        raise invalid(
            f"Invalid model_id {request.model_id!r}: up to 63 characters of [a-z0-9_-], the "
            "first of which is not a number or a hyphen."
        )
    name = f"{parent}/models/{request.model_id or call.new_id()}"
    if name in call.store(Models).by_name:
        raise GcpError(
            "ALREADY_EXISTS",
            f"Model {name} already exists; to add a version to it, set parent_model.",
        )
    return name


def _check(model: Any) -> None:
    """Raise INVALID_ARGUMENT for a Model message that cannot be uploaded."""
    check_display_name(model.display_name, kind="Model")
    check_labels(model.labels)
    for alias in model.version_aliases:
        check_alias(alias)
    if model.HasField("container_spec") and not model.container_spec.image_uri:
        raise invalid("Model.container_spec.image_uri is required.")
    if model.artifact_uri and not re.fullmatch(r"gs://[^/]+(/.*)?", model.artifact_uri):
        raise invalid(
            f"Model.artifact_uri {model.artifact_uri!r} is not a Cloud Storage path: "
            "gs://BUCKET/FOLDER."
        )
    if not model.HasField("container_spec") and not model.artifact_uri:
        raise invalid("Model.container_spec or Model.artifact_uri is required.")
    for route in (model.container_spec.predict_route, model.container_spec.health_route):
        if route and not route.startswith("/"):
            raise invalid(
                f"A route of Model.container_spec begins with a slash: {route!r} does not."
            )
    names = [variable.name for variable in model.container_spec.env]
    if reserved := [name for name in names if name.startswith("AIP_")]:
        raise invalid(
            f"Model.container_spec.env: {', '.join(reserved)}: names that begin with AIP_ "
            "are Vertex AI's own."
        )


def _check_artifacts(call: Call, uri: str) -> None:
    """Raise an error unless a model's artifact folder in Cloud Storage exists."""
    if uri and not in_process.uris_below(call, f"{uri.rstrip('/')}/"):
        raise GcpError("FAILED_PRECONDITION", f'There are no files under "{uri}" to copy.')


def _register(call: Call, name: str, request: Any) -> tuple[RegisteredModel, Version]:
    """Store an uploaded model version; return its model, new or existing, and the version."""
    store = call.store(Models)
    with store.lock:
        model = store.by_name.get(name)
        if model is None and request.parent_model:
            raise GcpError("NOT_FOUND", f"The Model does not exist: {name}")
        if model is not None and not request.parent_model:
            raise GcpError(
                "ALREADY_EXISTS",
                f"Model {name} already exists; to add a version to it, set parent_model.",
            )
        if model is None:
            model = _new(call, name, request.model)
            store.by_name[name] = model
        model.latest += 1
        version = Version(model.latest, _content(call, request.model))
        model.versions[version.number] = version
        for alias in request.model.version_aliases:
            model.aliases[alias] = version.number
        model.aliases.setdefault(DEFAULT, version.number)
        note_change(call, model)
        return model, version


def _new(call: Call, name: str, uploaded: Any) -> RegisteredModel:
    """Return a new registered model without versions."""
    shared = ModelPb(create_time=call.now_pb())
    for field in _OF_MODEL:
        setattr(shared, field, getattr(uploaded, field))
    return RegisteredModel(name, shared)


def _content(call: Call, uploaded: Any) -> Any:
    """Return the Model message to store for an uploaded version, with the defaults filled in."""
    content = ModelPb()
    content.CopyFrom(uploaded)
    for field in (*_OUTPUT_ONLY, *_OF_MODEL):
        content.ClearField(field)
    content.version_create_time.CopyFrom(call.now_pb())
    content.version_update_time.CopyFrom(content.version_create_time)
    del content.supported_deployment_resources_types[:]
    content.supported_deployment_resources_types.append(_DEDICATED)
    return content
