"""The IAM permissions that a call needs, by its name in the log. Pure.

A service's `permissions.py` has what its operations' names do not say, with the source. Reading an
operation that one has started needs nothing more.
"""

from __future__ import annotations

import re
from typing import Any

from ..rpc.apis import GoogleApi

_VERB = re.compile(r"(Create|Get|List|Update|Delete|Cancel|Upload|Query|Detach)(\w+)")
_SHARED = {"Operations.ListOperations": "operations.list"}  # of services that every API offers


def permissions_of(api: GoogleApi, operation: str, request: Any = None) -> frozenset[str]:
    """Return the IAM permissions that a call of an operation needs.

    `request` matters only for the calls for which `depends_on_request` is true.
    """
    names = _permission_names(api, operation)
    of_request = _entry(api.permissions_by_request, operation)
    if of_request is not None:
        names = [*names, *of_request(request)]
    return frozenset(f"{api.permission_family}.{name}" for name in names)


def depends_on_request(api: GoogleApi, operation: str) -> bool:
    """Return whether a call's permissions depend on its request."""
    return _entry(api.permissions_by_request, operation) is not None


def _entry(table: Any, operation: str) -> Any:
    """Return the entry of a permission table for an operation, else for its service, or None."""
    if operation in table:
        return table[operation]
    return table.get(f"{operation.rpartition('.')[0]}.*")


def _permission_names(api: GoogleApi, operation: str) -> list[str]:
    """Return the IAM permissions that an operation needs, without the service's prefix."""
    text = _entry(api.permissions, operation)
    if text is None:
        text = _SHARED.get(operation)
    if text is not None:
        return list(text.split())
    service, _, method = operation.partition(".")
    if service == api.service:  # an API without RPCs names its operations like its permissions
        return [method] if method else []
    match = _VERB.fullmatch(method)
    if match is None:
        return []
    verb, noun = match[1].lower(), match[2]
    resource = _plural(noun)
    return [f"{resource}.get", f"{resource}.update"] if verb == "update" else [f"{resource}.{verb}"]


def _plural(noun: str) -> str:
    """Return a noun in the plural, beginning with a small letter: FeatureView is featureViews."""
    name = noun[0].lower() + noun[1:]
    return name if name.endswith("s") else f"{name[:-1]}ies" if name.endswith("y") else f"{name}s"
