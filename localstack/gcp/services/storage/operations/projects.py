"""Cloud Storage's part of a project: its service agent, and HMAC keys.

The keys are stored and shown, and open nothing.
"""

from __future__ import annotations

import base64
import secrets
import string
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.projects import number_of
from ....core.registry import route
from ..errors import NOT_MET, invalid
from ..field_types import HMAC_KEY, checked
from ..representations import timestamp
from ..requests import base_of, flag, store_of

_KEYS = "/storage/v1/projects/{project}/hmacKeys"
_KEY = f"{_KEYS}/{{accessId}}"
_STATES = ("ACTIVE", "INACTIVE")


@route(
    "storage.projects.serviceAccount.get", "GET", "/storage/v1/projects/{project}/serviceAccount"
)
def service_account(call: Call, request: HttpRequest) -> dict[str, Any]:  # noqa: ARG001  the shape of all handlers
    """Return a project's service agent (storage.projects.serviceAccount.get)."""
    number = number_of(request.params["project"])
    email = f"service-{number}@gs-project-accounts.iam.gserviceaccount.com"
    return {"kind": "storage#serviceAccount", "email_address": email}


@route("storage.projects.hmacKeys.create", "POST", _KEYS, executes=False)
def create(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Create an HMAC key (storage.projects.hmacKeys.create)."""
    email = request.query.get("serviceAccountEmail", "")
    if not email:
        raise GcpError(
            "INVALID_ARGUMENT",
            "Required parameter: serviceAccountEmail",
            reason="required",
            location="serviceAccountEmail",
        )
    access_id = "GOOG1E" + "".join(
        secrets.choice(string.ascii_uppercase + string.digits) for _ in range(55)
    )
    now = timestamp(call.clock.now())
    project = request.params["project"]
    metadata = {
        "kind": "storage#hmacKeyMetadata",
        "id": f"{project}/{access_id}",
        "selfLink": f"{base_of(request)}/storage/v1/projects/{project}/hmacKeys/{access_id}",
        "accessId": access_id,
        "projectId": project,
        "serviceAccountEmail": email,
        "state": "ACTIVE",
        "timeCreated": now,
        "updated": now,
        "etag": _etag(),
    }
    store_of(call).hmac_keys[access_id] = metadata
    return {
        "kind": "storage#hmacKey",
        "metadata": metadata,
        "secret": base64.b64encode(secrets.token_bytes(30)).decode(),
    }


@route("storage.projects.hmacKeys.list", "GET", _KEYS, executes=False)
def list_keys(call: Call, request: HttpRequest) -> dict[str, Any]:
    """List a project's HMAC keys (storage.projects.hmacKeys.list)."""
    email, deleted = (
        request.query.get("serviceAccountEmail"),
        flag(request.query, "showDeletedKeys"),
    )
    items = [
        key
        for key in list(store_of(call).hmac_keys.values())
        if key["projectId"] == request.params["project"]
        and email in (None, key["serviceAccountEmail"])
        and (deleted or key["state"] != "DELETED")
    ]
    return {"kind": "storage#hmacKeysMetadata", "items": items}


@route("storage.projects.hmacKeys.get", "GET", _KEY, executes=False)
def get(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Return an HMAC key without its secret (storage.projects.hmacKeys.get)."""
    return _key(call, request)


@route("storage.projects.hmacKeys.update", "PUT", _KEY, executes=False)
def update(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.projects.hmacKeys.update."""
    body = checked(request.json(), HMAC_KEY)
    with store_of(call).lock:
        key = _key(call, request)
        if body.get("etag") not in (None, key["etag"]):
            raise GcpError("FAILED_PRECONDITION", NOT_MET, reason="conditionNotMet", http=412)
        if body.get("state") not in _STATES:
            raise invalid(
                f"Invalid argument: state {body.get('state')!r} is none of {', '.join(_STATES)}"
            )
        key |= {"state": body["state"], "updated": timestamp(call.clock.now()), "etag": _etag()}
        store_of(call).hmac_keys[key["accessId"]] = key
        return key


@route("storage.projects.hmacKeys.delete", "DELETE", _KEY, executes=False)
def delete(call: Call, request: HttpRequest) -> HttpAnswer:
    """Delete an inactive HMAC key (storage.projects.hmacKeys.delete)."""
    with store_of(call).lock:
        key = _key(call, request)
        if key["state"] == "ACTIVE":
            raise invalid("Cannot delete keys in 'ACTIVE' state.")
        key["state"] = "DELETED"
    return HttpAnswer(status=204)


def _key(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Return the stored HMAC key that a request names; raise NOT_FOUND."""
    key = store_of(call).hmac_keys.get(request.params["accessId"])
    if key is None or key["projectId"] != request.params["project"]:
        raise GcpError(
            "NOT_FOUND",
            f"Access ID not found in project {request.params['project']}",
            reason="notFound",
        )
    return key


def _etag() -> str:
    """Return a random etag."""
    return base64.b64encode(secrets.token_bytes(6)).decode()
