"""IAM policies of topics, subscriptions and snapshots."""

from __future__ import annotations

from typing import Any

from google.iam.v1 import iam_policy_pb2
from google.protobuf import json_format

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpRequest
from ....core.policy import resource_policies
from ....core.projects import with_project_id
from ....core.registry import handles, route
from ....core.rpc.transcoding import answer_of
from ..records import Hub

_SERVICE = "google.iam.v1.IAMPolicy"
_RESOURCES = tuple(
    f"/v1/{{resource=projects/*/{collection}/*}}"
    for collection in ("topics", "subscriptions", "snapshots")
)


@handles(f"{_SERVICE}.GetIamPolicy")
def get_iam_policy(call: Call, request: Any) -> Any:
    return resource_policies.get_policy(call, _resource(call, request.resource))


@handles(f"{_SERVICE}.SetIamPolicy")
def set_iam_policy(call: Call, request: Any) -> Any:
    return resource_policies.set_policy(call, _resource(call, request.resource), request.policy)


@handles(f"{_SERVICE}.TestIamPermissions")
def test_iam_permissions(call: Call, request: Any) -> Any:
    _resource(call, request.resource)
    return resource_policies.test_permissions(request.permissions)


@route("IAMPolicy.GetIamPolicy", "GET", *(f"{resource}:getIamPolicy" for resource in _RESOURCES))
def get_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer GetIamPolicy over REST."""
    return answer_of(
        get_iam_policy(
            call, iam_policy_pb2.GetIamPolicyRequest(resource=request.params["resource"])
        ),
        request,
    )


@route("IAMPolicy.SetIamPolicy", "POST", *(f"{resource}:setIamPolicy" for resource in _RESOURCES))
def set_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer SetIamPolicy over REST."""
    return answer_of(
        set_iam_policy(call, _message(iam_policy_pb2.SetIamPolicyRequest(), request)), request
    )


@route(
    "IAMPolicy.TestIamPermissions",
    "POST",
    *(f"{resource}:testIamPermissions" for resource in _RESOURCES),
)
def test_over_http(call: Call, request: HttpRequest) -> Any:
    """Answer TestIamPermissions over REST."""
    return answer_of(
        test_iam_permissions(call, _message(iam_policy_pb2.TestIamPermissionsRequest(), request)),
        request,
    )


def _message(message: Any, request: HttpRequest) -> Any:
    """Parse a request's JSON body into `message`, a message of the IAM API, and return it."""
    try:
        json_format.ParseDict(request.json(), message)
    except json_format.ParseError as error:
        raise GcpError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from error
    message.resource = request.params["resource"]
    return message


def _resource(call: Call, name: str) -> str:
    """Return the full name of the topic, subscription or snapshot that a request names.

    Raises:
        GcpError: NOT_FOUND.
    """
    hub = call.store(Hub)
    if "/subscriptions/" in name:
        hub.subscription(call, name)
    elif "/snapshots/" in name:
        hub.snapshot(call, name)
    elif "/topics/" in name:
        hub.topic(call, name)
    else:
        raise GcpError(
            "UNIMPLEMENTED", f"the IAM policy of {name} is not supported by the offline GCP yet"
        )
    return with_project_id(call, name)
