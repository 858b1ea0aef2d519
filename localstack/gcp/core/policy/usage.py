"""The least rights for what was called: permissions, predefined roles, a custom role as YAML.

Calls of jobs and model servers count too, as they come with the stack's account like the caller's
own.
"""

from __future__ import annotations

import threading
from typing import Any

from ..rpc.apis import GoogleApi
from .permissions import depends_on_request, permissions_of
from .roles import smallest_roles

_NAME = "isthmus"


class UsedPermissions:
    """The permissions that the calls since the last reset needed."""

    def __init__(self) -> None:
        self._permissions: set[str] = set()
        self._plain: set[tuple[str, str]] = (
            set()
        )  # calls whose permissions do not depend on the request
        self._lock = threading.Lock()

    def note(self, api: GoogleApi, operation: str, request: Any) -> None:
        """Add the IAM permissions that a call needs to those that were used."""
        key = (api.service, operation)
        if key in self._plain:
            return
        permissions = permissions_of(api, operation, request)
        with self._lock:
            self._permissions |= permissions
            if not depends_on_request(api, operation):
                self._plain.add(key)

    def clear(self) -> None:
        """Forget the IAM permissions that were used so far."""
        with self._lock:
            self._permissions.clear()
            self._plain.clear()

    def policy(self) -> dict[str, Any]:
        """Return the used IAM permissions, roles that cover them, and a custom role as YAML."""
        with self._lock:
            permissions = sorted(self._permissions)
        roles, unknown = smallest_roles(permissions)
        custom = _yaml(permissions)
        lines = [
            f"{len(permissions)} permissions were used",
            *(
                "  "
                f"{permission}{'   (in none of the roles below)' if permission in unknown else ''}"
                for permission in permissions
            ),
            "the smallest set of predefined roles that covers them",
            *(f"  {role}" for role in roles),
            (
                f"a role of your own: gcloud iam roles create {_NAME} --project PROJECT --file "
                "role.yaml"
            ),
            custom,
        ]
        return {
            "permissions": permissions,
            "roles": list(roles),
            "custom_role": custom,
            "text": "\n".join(lines),
        }


def _yaml(permissions: list[str]) -> str:
    """Return the YAML of a custom role with these permissions, for `gcloud iam roles create`."""
    head = [
        f"title: {_NAME}",
        "description: What was called on the offline GCP",
        "stage: GA",
        "includedPermissions:",
    ]
    return "\n".join([*head, *(f"- {permission}" for permission in permissions)])
