"""IAM policies of tables: stored, not enforced."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from typing import Any

from ..errors import BigQueryError


class Policies:
    """The policies of tables, by the table's name."""

    def __init__(self) -> None:
        self._policies: dict[str, dict[str, Any]] = {}
        self._lock = threading.Lock()

    def get(self, name: str) -> dict[str, Any]:
        """Return a resource's IAM policy, or an empty one if none was set."""
        return self._policies.get(name) or _with_etag({})

    def put(self, name: str, policy: dict[str, Any]) -> dict[str, Any]:
        """Store a resource's IAM policy, and return it with its new etag.

        Raises BigQueryError `conditionNotMet` if the policy's etag is stale.
        """
        with self._lock:
            current = self.get(name)
            if policy.get("etag") not in (None, "", current["etag"]):
                raise BigQueryError(
                    "conditionNotMet",
                    "There were concurrent policy changes. Please retry the whole "
                    "read-modify-write.",
                )
            self._policies[name] = _with_etag(policy)
            return self._policies[name]


def _with_etag(policy: dict[str, Any]) -> dict[str, Any]:
    """Return an IAM policy with the etag that belongs to its content."""
    content = {key: value for key, value in policy.items() if key != "etag"}
    digest = hashlib.blake2b(json.dumps(content, sort_keys=True).encode(), digest_size=8).digest()
    return {"version": 1, **content, "etag": base64.b64encode(digest).decode()}
