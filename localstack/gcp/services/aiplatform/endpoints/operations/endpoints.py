"""EndpointService without deployments: create, get, list, update and delete endpoints."""

from __future__ import annotations

import re
from typing import Any

from google.cloud.aiplatform_v1.types import (
    CreateEndpointOperationMetadata,
    DeleteOperationMetadata,
    GenericOperationMetadata,
    ListEndpointsResponse,
    UpdateEndpointOperationMetadata,
)

from .....core.call import Call
from .....core.errors import GcpError, invalid
from .....core.projects import canonical
from .....core.registry import handles
from .....core.resources import operations
from .....core.resources.listing import last_segment, page_of
from .....core.resources.validation import (
    check_display_name,
    check_labels,
    copy_masked,
    updated_fields,
)
from ... import etags
from ..records import (
    EndpointPb,
    Endpoints,
    HostedEndpoint,
    check_split,
    current_copy,
    location_of,
    require_endpoint,
    show_former_state,
    visible_copy,
)

_LOCATION = re.compile(r"projects/([^/]+)/locations/[^/]+")
_ID = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?|[1-9][0-9]{0,8}")
_OUTPUT_ONLY = (
    "name",
    "deployed_models",
    "etag",
    "create_time",
    "update_time",
    "dedicated_endpoint_dns",
    "model_deployment_monitoring_job",
)
_UPDATABLE = {
    "display_name",
    "description",
    "labels",
    "traffic_split",
    "predict_request_response_logging_config",
}
_NOT_HERE = (
    "network",
    "enable_private_service_connect",
    "private_service_connect_config",
    "encryption_spec",
)


@handles("google.cloud.aiplatform.v1.EndpointService.CreateEndpoint")
def create_endpoint(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call CreateEndpoint: create an endpoint."""
    parent = canonical(call, request.parent)
    match = _LOCATION.fullmatch(parent)
    if match is None:
        raise invalid(f"parent must be projects/P/locations/L, not {request.parent!r}.")
    _check(request.endpoint)
    if request.endpoint_id and not _ID.fullmatch(request.endpoint_id):
        raise invalid(
            f"Invalid endpoint_id {request.endpoint_id!r}: up to 63 characters of [a-z0-9-] "
            "that begin with a letter and do not end in a "
            "hyphen, or up to 9 digits without a leading zero."
        )
    if request.endpoint.traffic_split:
        raise invalid("Endpoint.traffic_split: a new endpoint has no DeployedModel.")
    name = f"{parent}/endpoints/{request.endpoint_id or call.new_id()}"
    message = EndpointPb()
    message.CopyFrom(request.endpoint)
    for field in _OUTPUT_ONLY:
        message.ClearField(field)
    message.name = name
    if message.dedicated_endpoint_enabled:
        message.dedicated_endpoint_dns = (
            f"{name.rpartition('/')[2]}.{location_of(name)}-{match[1]}.prediction.vertexai.goog"
        )
    _check_absent(call, name)
    context = call.without_request()

    def work(_progress: operations.Progress) -> Any:
        store = context.store(Endpoints)
        with store.lock:
            _check_absent(context, name)
            message.create_time.CopyFrom(context.now_pb())
            hosted = HostedEndpoint(message)
            hosted.note_change(context)
            store.by_name[name] = hosted
        return EndpointPb(name=name)

    metadata = CreateEndpointOperationMetadata.pb()(generic_metadata=generic(call))
    return operations.start(call, name, work, metadata=metadata)


@handles("google.cloud.aiplatform.v1.EndpointService.GetEndpoint")
def get_endpoint(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call GetEndpoint: return an endpoint."""
    return visible_copy(call, require_endpoint(call, request.name))


@handles("google.cloud.aiplatform.v1.EndpointService.ListEndpoints")
def list_endpoints(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call ListEndpoints: list the endpoints."""
    parent = canonical(call, request.parent)
    messages = [
        visible_copy(call, hosted)
        for name, hosted in list(call.store(Endpoints).by_name.items())
        if name.startswith(f"{parent}/endpoints/")
    ]
    more = {"endpoint": last_segment, "base_model_name": _nothing, "baseModelName": _nothing}
    rows, token = page_of(messages, request, more=more)
    return ListEndpointsResponse.pb()(endpoints=rows, next_page_token=token)


@handles("google.cloud.aiplatform.v1.EndpointService.UpdateEndpoint")
def update_endpoint(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call UpdateEndpoint: change an endpoint."""
    hosted = require_endpoint(call, request.endpoint.name)
    paths = updated_fields(request, _UPDATABLE, kind="an endpoint")
    if "labels" in paths:
        check_labels(request.endpoint.labels)
    if "display_name" in paths:
        check_display_name(request.endpoint.display_name, kind="Endpoint")
    if "predict_request_response_logging_config" in paths:
        _check_logging(request.endpoint)
    with hosted.lock:
        etags.check(request.endpoint.etag, hosted.revision, hosted.name)
        if "traffic_split" in paths:
            check_split(request.endpoint.traffic_split, hosted.targets, endpoint=hosted.name)
        show_former_state(call, hosted)
        previous_split = dict(hosted.message.traffic_split)
        copy_masked(request, request.endpoint, hosted.message)
        hosted.note_change(call)
        answer = current_copy(call, hosted)
        if (
            "traffic_split" in paths
            and call.fault("silent-rollback", hosted.name.rpartition("/")[2]) is not None
        ):
            hosted.message.ClearField("traffic_split")
            hosted.message.traffic_split.update(previous_split)
            hosted.note_change(call)
        return answer


@handles("google.cloud.aiplatform.v1.EndpointService.UpdateEndpointLongRunning")
def update_endpoint_long_running(call: Call, request: Any) -> Any:
    """Update client_connection_config, the only field that this RPC changes."""
    hosted = require_endpoint(call, request.endpoint.name)
    context = call.without_request()

    def work(_progress: operations.Progress) -> Any:
        with hosted.lock:
            etags.check(request.endpoint.etag, hosted.revision, hosted.name)
            hosted.message.client_connection_config.CopyFrom(
                request.endpoint.client_connection_config
            )
            hosted.note_change(context)
            return current_copy(context, hosted)

    etags.check(request.endpoint.etag, hosted.revision, hosted.name)
    metadata = UpdateEndpointOperationMetadata.pb()(generic_metadata=generic(call))
    return operations.start(call, hosted.name, work, metadata=metadata)


@handles("google.cloud.aiplatform.v1.EndpointService.DeleteEndpoint")
def delete_endpoint(call: Call, request: Any) -> Any:
    """Answer Vertex AI's API call DeleteEndpoint: delete an endpoint."""
    hosted = require_endpoint(call, request.name)
    context = call.without_request()

    def work(_progress: operations.Progress) -> None:
        store = context.store(Endpoints)
        with store.lock, hosted.lock:
            _check_empty(hosted)
            hosted.deleted = True
            if store.by_name.get(hosted.name) is hosted:
                del store.by_name[hosted.name]

    with hosted.lock:
        _check_empty(hosted)
    metadata = DeleteOperationMetadata.pb()(generic_metadata=generic(call))
    return operations.start(call, hosted.name, work, metadata=metadata)


def generic(call: Call) -> Any:
    """Return the metadata that long-running operations share, with the current time."""
    now = call.now_pb()
    return GenericOperationMetadata.pb()(create_time=now, update_time=now)


def _check(endpoint: Any) -> None:
    """Raise INVALID_ARGUMENT for an endpoint that cannot be created."""
    check_display_name(endpoint.display_name, kind="Endpoint")
    check_labels(endpoint.labels)
    _check_logging(endpoint)
    for field in _NOT_HERE:
        descriptor = endpoint.DESCRIPTOR.fields_by_name[field]
        if (
            endpoint.HasField(field)
            if descriptor.message_type is not None
            else getattr(endpoint, field)
        ):
            raise GcpError(
                "UNIMPLEMENTED",
                f"Endpoint.{field} is not supported by the offline GCP yet: its endpoints "
                "are public ones.",
            )


def _check_logging(endpoint: Any) -> None:
    """Raise INVALID_ARGUMENT for a request-response logging config that is not supported."""
    config = endpoint.predict_request_response_logging_config
    if config.enabled and not 0 < config.sampling_rate <= 1:
        raise invalid(
            "predict_request_response_logging_config.sampling_rate is in (0, 1], not "
            f"{config.sampling_rate:g}."
        )


def _check_absent(call: Call, name: str) -> None:
    """Raise ALREADY_EXISTS if an endpoint of that name exists."""
    if name in call.store(Endpoints).by_name:
        raise GcpError("ALREADY_EXISTS", f"The Endpoint {name} already exists.")


def _check_empty(hosted: HostedEndpoint) -> None:
    """Raise FAILED_PRECONDITION if models are deployed to the endpoint."""
    if hosted.message.deployed_models or hosted.pending:
        numbers = ", ".join(
            [*(deployed.id for deployed in hosted.message.deployed_models), *hosted.pending]
        )
        raise GcpError(
            "FAILED_PRECONDITION",
            f"The Endpoint {hosted.name} has deployed or being deployed models: {numbers}. "
            "Undeploy them first.",
        )


def _nothing(_message: Any) -> None:
    """Do nothing to an endpoint's message, for a request that changes no field."""
    return
