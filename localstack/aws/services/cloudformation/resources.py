"""The resources of SageMaker in stacks, by SageMaker's own operations."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from botocore import xform_name
from botocore.exceptions import ClientError

from ...core.in_process import operation_model
from ...core.registry import Context
from .placeholders import CLASSES, Placeholder

Properties = dict[str, Any]
_ENDPOINT = "AWS::SageMaker::Endpoint"
_OF_UPDATES = (
    "RetainAllVariantProperties",
    "ExcludeRetainedVariantProperties",
    "RetainDeploymentConfig",
)
_SETTLED = ("InService", "Failed", "OutOfService", "UpdateRollbackFailed")


class Failure(Exception):
    """A resource could not be made, changed or removed."""

    def __init__(self, logical: str, reason: str) -> None:
        super().__init__(reason)
        self.logical = logical
        self.reason = reason


class Resource(msgspec.Struct):
    """A resource that exists."""

    resource_type: str
    logical: str
    name: str
    properties: Properties

    @property
    def kind(self) -> type[Placeholder]:
        """The class of the resource's type."""
        return CLASSES[self.resource_type]

    @property
    def is_endpoint(self) -> bool:
        """Whether the resource is a SageMaker endpoint."""
        return self.resource_type == _ENDPOINT


def typed(kind: type[Placeholder], logical: str, properties: Properties) -> Properties:
    """Return a template's properties in the types of SageMaker's API.

    `kind` is the resource's class, and `logical` its id in the template. Templates and their
    parameters have numbers and booleans as text, too.

    Raises:
        Failure: A property has no such type.
    """
    try:
        return {
            name: _typed(_member(kind, name), value, name) for name, value in properties.items()
        }
    except (ValueError, TypeError) as error:
        raise Failure(
            logical, f"Properties validation failed for resource {logical}: {error}"
        ) from error


def _member(kind: type[Placeholder], name: str) -> Any:
    """Return botocore's shape of a property of a resource type, given by its class."""
    operations = [
        f"Create{kind.resource}",
        *(["UpdateEndpoint"] if kind.resource == "Endpoint" else []),
    ]
    for operation in operations:
        if name in (members := _members(operation)):
            return members[name]
    raise ValueError(f"Encountered unsupported property {name}")


def _members(operation: str) -> Mapping[str, Any]:
    """Return botocore's shapes of the parameters of a SageMaker operation."""
    shape: Any = operation_model("sagemaker", operation).input_shape  # botocore has no types
    members: Mapping[str, Any] = shape.members
    return members


def _typed(shape: Any, value: Any, path: str) -> Any:
    """Convert a template's value to the type of its botocore shape.

    `path` names the value in an error.
    """
    if shape.type_name == "structure":
        if not isinstance(value, dict):
            raise ValueError(f"#/{path}: expected type: JSONObject, found: {type(value).__name__}")
        unknown = next((name for name in value if name not in shape.members), None)
        if unknown is not None:
            raise ValueError(f"#/{path}: extraneous key [{unknown}] is not permitted")
        return {
            name: _typed(shape.members[name], item, f"{path}/{name}")
            for name, item in value.items()
        }
    if shape.type_name == "list":
        return [_typed(shape.member, item, f"{path}/{index}") for index, item in enumerate(value)]
    if shape.type_name == "map":
        return {
            str(name): _typed(shape.value, item, f"{path}/{name}") for name, item in value.items()
        }
    return _scalar(shape.type_name, value, path)


def _scalar(kind: str, value: Any, path: str) -> Any:
    """Convert a template's text, number or boolean to the type of its botocore shape.

    `kind` is the shape's type; `path` names the value in an error.
    """
    if kind in ("integer", "long"):
        return int(value)
    if kind in ("float", "double"):
        return float(value)
    if kind == "boolean":
        text = str(value).lower()
        if text not in ("true", "false"):
            raise ValueError(f"#/{path}: expected type: Boolean, found: {value}")
        return text == "true"
    return str(value).lower() if isinstance(value, bool) else str(value)


def create(ctx: Context, resource: Resource) -> None:
    """Create a stack's resource in SageMaker, with its name and properties."""
    properties = {
        name: value for name, value in resource.properties.items() if name not in _OF_UPDATES
    }
    _call(ctx, resource, "Create", {**properties, **_name_parameter(resource)})


def update(ctx: Context, resource: Resource) -> None:
    """Update an endpoint of a stack to another configuration.

    Nothing is done if the endpoint has that configuration already, as after its own rollback.
    """
    description = _describe(ctx, resource)
    if description is not None and description.get("EndpointConfigName") == resource.properties.get(
        "EndpointConfigName"
    ):
        return
    taken = _members("UpdateEndpoint")
    _call(
        ctx,
        resource,
        "Update",
        {
            **{name: value for name, value in resource.properties.items() if name in taken},
            **_name_parameter(resource),
        },
    )


def retag(ctx: Context, arn: str, previous: Properties, new_properties: Properties) -> None:
    """Change the tags of the resource `arn` from those of its previous to its new properties."""
    old, new = (
        {tag["Key"]: tag["Value"] for tag in properties.get("Tags", ())}
        for properties in (previous, new_properties)
    )
    client = ctx.client("sagemaker")
    if gone := sorted(old.keys() - new.keys()):
        client.delete_tags(ResourceArn=arn, TagKeys=gone)
    if new:
        client.add_tags(ResourceArn=arn, Tags=new_properties["Tags"])


def ready(ctx: Context, resource: Resource) -> bool:
    """Return whether an endpoint is in service with its properties; False while it changes.

    Raises:
        Failure: The endpoint is gone, has failed, or serves another configuration.
    """
    if not resource.is_endpoint:
        return True
    endpoint = _describe(ctx, resource)
    if endpoint is None:
        raise Failure(
            resource.logical,
            f"Resource of type '{_ENDPOINT}' with identifier '{resource.name}' was not found.",
        )
    if endpoint["EndpointStatus"] not in _SETTLED:
        return False
    config = resource.properties.get("EndpointConfigName")
    if endpoint["EndpointStatus"] != "InService" or endpoint["EndpointConfigName"] != config:
        why = (
            endpoint.get("FailureReason")
            or f"it serves {endpoint['EndpointConfigName']}, not {config}"
        )
        raise Failure(resource.logical, f"Resource {resource.name} did not stabilize: {why}")
    return True


def remove(ctx: Context, resource: Resource) -> bool:
    """Delete a stack's resource if that is possible now; return whether it is gone."""
    description = _describe(ctx, resource)
    if description is None:
        return True
    if not resource.is_endpoint:
        _call(ctx, resource, "Delete", _name_parameter(resource))
        return True
    if description["EndpointStatus"] in _SETTLED:
        _call(ctx, resource, "Delete", _name_parameter(resource))
        return _describe(ctx, resource) is None
    return False


def _name_parameter(resource: Resource) -> Properties:
    """Return the parameter that names a resource in its own API."""
    return {resource.kind.name_property(): resource.name}


def _describe(ctx: Context, resource: Resource) -> dict[str, Any] | None:
    """Return the response of a resource's Describe operation; None: it does not exist."""
    try:
        return _request(ctx, f"Describe{resource.kind.resource}", _name_parameter(resource))
    except ClientError:
        return None


def _call(ctx: Context, resource: Resource, verb: str, params: Properties) -> None:
    """Call SageMaker's operation with this verb (Create, Delete ...) on a resource.

    Raises:
        Failure: SageMaker refuses it.
    """
    try:
        _request(ctx, f"{verb}{resource.kind.resource}", params)
    except ClientError as error:
        message = error.response["Error"].get("Message", "")
        status = error.response["ResponseMetadata"]["HTTPStatusCode"]
        raise Failure(
            resource.logical,
            f'Resource handler returned message: "{message} (Service: SageMaker, Status '
            f'Code: {status})"',
        ) from error


def _request(ctx: Context, operation: str, params: Properties) -> dict[str, Any]:
    """Call an operation of SageMaker in this stack, and return its result."""
    answer: dict[str, Any] = getattr(ctx.client("sagemaker"), xform_name(operation))(**params)
    return answer
