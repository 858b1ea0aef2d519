"""IAM policies of buckets: stored and shown.

The rights that a call needs are the business of `stack policy`.
"""

from __future__ import annotations

import base64
import re
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpRequest
from ....core.registry import route
from ..acls import PUBLIC
from ..errors import NOT_MET, invalid, public_access_refusal
from ..field_types import POLICY, checked
from ..records import Bucket
from ..requests import store_of

_BUCKET = "/storage/v1/b/{bucket}/iam"
_PERMISSION = re.compile(r"storage\.[a-zA-Z]+\.[a-zA-Z]+")


@route("storage.buckets.getIamPolicy", "GET", _BUCKET, executes=False)
def get_policy(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Return a bucket's IAM policy (storage.buckets.getIamPolicy)."""
    bucket = store_of(call).bucket(request.params["bucket"])
    policy = policy_of(bucket)
    if _conditional(policy) and int(request.query.get("optionsRequestedPolicyVersion", 1)) < 3:
        bindings = [binding for binding in policy["bindings"] if not binding.get("condition")]
        policy = policy | {"version": 1, "bindings": bindings}
    return policy


@route("storage.buckets.setIamPolicy", "PUT", _BUCKET, executes=False)
def set_policy(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Replace a bucket's IAM policy (storage.buckets.setIamPolicy)."""
    store, body = store_of(call), checked(request.json(), POLICY)
    bindings = body.get("bindings") or []
    for binding in bindings:
        if not str(binding.get("role", "")).startswith(
            ("roles/", "projects/", "organizations/")
        ) or not binding.get("members"):
            raise invalid(
                f"Invalid argument: role {binding.get('role')!r} with members "
                f"{binding.get('members')!r}"
            )
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        if body.get("etag") and body["etag"] != policy_of(bucket)["etag"]:
            raise GcpError("FAILED_PRECONDITION", NOT_MET, reason="conditionNotMet", http=412)
        access = (bucket.fields.get("iamConfiguration") or {}).get("publicAccessPrevention")
        if access == "enforced" and any(PUBLIC & set(binding["members"]) for binding in bindings):
            raise public_access_refusal()
        if _conditional(body):
            _check_conditional(bucket, body)
        bucket.metageneration += 1
        etag = base64.b64encode(b"\x08" + bytes([bucket.metageneration % 128])).decode()
        bucket.policy = {
            "version": int(body.get("version") or 1),
            "etag": etag,
            "bindings": bindings,
        }
        return policy_of(bucket)


@route("storage.buckets.testIamPermissions", "GET", f"{_BUCKET}/testPermissions", executes=False)
def test_permissions(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.buckets.testIamPermissions: grant all permissions in the request."""
    store_of(call).bucket(request.params["bucket"])
    permissions = request.query_lists.get("permissions", [])
    if not permissions:
        raise GcpError(
            "INVALID_ARGUMENT",
            "Required parameter: permissions",
            reason="required",
            location="permissions",
        )
    for permission in permissions:
        if not _PERMISSION.fullmatch(permission):
            raise invalid(f"Invalid argument: permission {permission!r}", "permissions")
    return {"kind": "storage#testIamPermissionsResponse", "permissions": permissions}


def policy_of(bucket: Bucket) -> dict[str, Any]:
    """Return a bucket's IAM policy, or the default policy of a new bucket."""
    policy = bucket.policy or {"version": 1, "etag": "CAE=", "bindings": _new(bucket.project)}
    return {"kind": "storage#policy", "resourceId": f"projects/_/buckets/{bucket.name}", **policy}


def _new(project: str) -> list[dict[str, Any]]:
    """Return the bindings of the IAM policy that a new bucket of a project has."""
    owners = [f"projectEditor:{project}", f"projectOwner:{project}"]
    return [
        {"role": "roles/storage.legacyBucketOwner", "members": owners},
        {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{project}"]},
        {"role": "roles/storage.legacyObjectOwner", "members": owners},
        {"role": "roles/storage.legacyObjectReader", "members": [f"projectViewer:{project}"]},
    ]


def _conditional(policy: dict[str, Any]) -> bool:
    """Return whether an IAM policy has bindings with conditions."""
    return any(binding.get("condition") for binding in policy.get("bindings") or ())


def _check_conditional(bucket: Bucket, policy: dict[str, Any]) -> None:
    """Raise an error if a bucket or a policy's version does not permit conditions in a policy.

    The bucket needs uniform access, and the policy version 3.
    """
    if not bucket.uniform:
        text = (
            "To set a policy with a condition, enable uniform bucket-level access on the bucket "
            "first."
        )
        raise GcpError("FAILED_PRECONDITION", text, reason="conditionNotMet", http=412)
    if int(policy.get("version") or 0) < 3:
        raise invalid("A policy with conditions must have a version of at least 3.")
