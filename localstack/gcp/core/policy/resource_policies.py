"""IAM policies of resources: stored, read and tested.

The stack's caller owns everything, so a test of permissions grants what it asks for.
"""

from __future__ import annotations

import base64
import secrets
import threading
from typing import Any

from google.iam.v1 import iam_policy_pb2, policy_pb2

from ..call import Call
from ..errors import GcpError

_FIRST_ETAG = base64.b64decode(
    "ACAB"
)  # as Google shows it for a resource whose policy was never set


class Policies:
    """The policies of one stack's resources, by the resources' full names."""

    def __init__(self) -> None:
        self._policies: dict[str, Any] = {}
        self._lock = threading.Lock()

    def get(self, resource: str) -> Any:
        """Return a copy of a resource's IAM policy, or an empty one if none was set."""
        with self._lock:
            policy = policy_pb2.Policy(version=1, etag=_FIRST_ETAG)
            if resource in self._policies:
                policy.CopyFrom(self._policies[resource])
            return policy

    def set(self, resource: str, policy: Any) -> Any:
        """Store a resource's IAM policy, and return it with its new etag.

        Raises:
            GcpError: ABORTED, the etag is not the current one.
        """
        current = self.get(resource)
        with self._lock:
            if policy.etag and policy.etag != current.etag:
                raise GcpError(
                    "ABORTED",
                    "There were concurrent policy changes. Please retry the whole "
                    "read-modify-write with exponential backoff.",
                )
            stored = policy_pb2.Policy()
            stored.CopyFrom(policy)
            stored.version = policy.version or 1
            stored.etag = secrets.token_bytes(8)
            self._policies[resource] = stored
        return self.get(resource)


def get_policy(call: Call, resource: str) -> Any:
    """Return a copy of a resource's IAM policy, or an empty one if none was set."""
    return call.store(Policies).get(resource)


def set_policy(call: Call, resource: str, policy: Any) -> Any:
    """Check an IAM policy's roles and members, store it, and return it with its new etag."""
    for binding in policy.bindings:
        if not binding.role.startswith(("roles/", "projects/", "organizations/")):
            raise GcpError(
                "INVALID_ARGUMENT",
                f"The role name must be in the form roles/ROLE, and not {binding.role!r}.",
            )
        for member in binding.members:
            if ":" not in member and member not in ("allUsers", "allAuthenticatedUsers"):
                raise GcpError(
                    "INVALID_ARGUMENT", f"The member {member!r} is not of the form TYPE:ID."
                )
    return call.store(Policies).set(resource, policy)


def test_permissions(permissions: Any) -> Any:
    """Answer TestIamPermissions: grant every permission whose spelling is valid."""
    for permission in permissions:
        if "*" in permission or permission.count(".") < 2:
            raise GcpError(
                "INVALID_ARGUMENT", f"Permission {permission!r} is not valid for this resource."
            )
    return iam_policy_pb2.TestIamPermissionsResponse(permissions=permissions)
