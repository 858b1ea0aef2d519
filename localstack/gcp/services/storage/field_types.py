"""The types of the fields of buckets and objects. Pure.

A field that is not listed may have any type.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from .errors import invalid


class Whole:
    """A whole number, which JSON may also write as a text."""


class Time:
    """An RFC 3339 time."""


Shape = Any  # a type, a list of one shape, or a mapping of names to shapes; "*": of all other names

_ACCESS = [{"entity": str, "role": str}]
_RULE = {"restrictionMode": str, "effectiveTime": Time}
_UNIFORM = {"enabled": bool, "lockedTime": Time}
BUCKET: Mapping[str, Shape] = {
    "name": str,
    "location": str,
    "storageClass": str,
    "rpo": str,
    "labels": {"*": str},
    "defaultEventBasedHold": bool,
    "acl": _ACCESS,
    "defaultObjectAcl": _ACCESS,
    "versioning": {"enabled": bool},
    "billing": {"requesterPays": bool},
    "cors": [{"origin": [str], "method": [str], "responseHeader": [str], "maxAgeSeconds": Whole}],
    "website": {"mainPageSuffix": str, "notFoundPage": str},
    "logging": {"logBucket": str, "logObjectPrefix": str},
    "lifecycle": {
        "rule": [{"action": {"type": str, "storageClass": str}, "condition": {"*": object}}]
    },
    "retentionPolicy": {"retentionPeriod": Whole, "effectiveTime": Time, "isLocked": bool},
    "softDeletePolicy": {"retentionDurationSeconds": Whole, "effectiveTime": Time},
    "autoclass": {
        "enabled": bool,
        "toggleTime": Time,
        "terminalStorageClass": str,
        "terminalStorageClassUpdateTime": Time,
    },
    "iamConfiguration": {
        "uniformBucketLevelAccess": _UNIFORM,
        "bucketPolicyOnly": _UNIFORM,
        "publicAccessPrevention": str,
    },
    "customPlacementConfig": {"dataLocations": [str]},
    "hierarchicalNamespace": {"enabled": bool},
    "encryption": {
        "defaultKmsKeyName": str,
        "googleManagedEncryptionEnforcementConfig": _RULE,
        "customerManagedEncryptionEnforcementConfig": _RULE,
        "customerSuppliedEncryptionEnforcementConfig": _RULE,
    },
    "ipFilter": {"mode": str},
}
OBJECT: Mapping[str, Shape] = {
    "name": str,
    "contentType": str,
    "contentEncoding": str,
    "contentLanguage": str,
    "contentDisposition": str,
    "cacheControl": str,
    "storageClass": str,
    "md5Hash": str,
    "crc32c": str,
    "kmsKeyName": str,
    "metadata": {"*": str},
    "customTime": Time,
    "eventBasedHold": bool,
    "temporaryHold": bool,
    "retention": {"mode": str, "retainUntilTime": Time},
    "acl": _ACCESS,
}
COMPOSITION: Mapping[str, Shape] = {
    "destination": OBJECT,
    "sourceObjects": [
        {"name": str, "generation": Whole, "objectPreconditions": {"ifGenerationMatch": Whole}}
    ],
}
POLICY: Mapping[str, Shape] = {
    "version": Whole,
    "etag": str,
    "bindings": [
        {
            "role": str,
            "members": [str],
            "condition": {"title": str, "description": str, "expression": str},
        }
    ],
}
HMAC_KEY: Mapping[str, Shape] = {"state": str, "etag": str}
NOTIFICATION: Mapping[str, Shape] = {
    "topic": str,
    "payload_format": str,
    "event_types": [str],
    "custom_attributes": {"*": str},
    "object_name_prefix": str,
}
ENTRY: Mapping[str, Shape] = {"entity": str, "role": str}
FOLDER: Mapping[str, Shape] = {"name": str}

_LABEL = re.compile(r"[a-z\d_-]{0,63}")
_LABELS = 64


def checked(body: dict[str, Any], shape: Mapping[str, Shape]) -> dict[str, Any]:
    """Return a request's body unchanged; raise GcpError if a value has another type than `shape`.

    Null is allowed everywhere.
    """
    _check(body, shape, "")
    if shape is BUCKET:
        _check_labels(body.get("labels") or {})
    return body


def _check(value: Any, shape: Shape, path: str) -> None:
    """Raise an error, which names `path`, if a JSON value does not have its field's type."""
    if value is None or shape is object:
        return
    if isinstance(shape, Mapping):
        if not isinstance(value, dict):
            raise _wrong(path, value)
        for name, below in value.items():
            _check(
                below, shape.get(name, shape.get("*", object)), f"{path}.{name}" if path else name
            )
    elif isinstance(shape, list):
        if not isinstance(value, list):
            raise _wrong(path, value)
        for number, item in enumerate(value):
            if item is None:
                raise _wrong(f"{path}[{number}]", item)
            _check(item, shape[0], f"{path}[{number}]")
    elif not _fits(value, shape):
        raise _wrong(path, value)


def _fits(value: Any, shape: Shape) -> bool:
    """Return whether a JSON value has the type that `shape` describes."""
    if shape is Whole:
        return not isinstance(value, bool) and (
            isinstance(value, int)
            or (isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value) is not None)
        )
    if shape is Time:
        return isinstance(value, str) and _is_time(value)
    return isinstance(value, shape)


def _is_time(text: str) -> bool:
    """Return whether a text is an RFC 3339 time."""
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _check_labels(labels: Mapping[str, str | None]) -> None:
    """Raise an error unless labels are few and valid: small letters, digits, - and _.

    A key begins with a letter.
    """
    for key, value in labels.items():
        if not key[:1].isalpha() or not _LABEL.fullmatch(key) or not _LABEL.fullmatch(value or ""):
            raise invalid(f"Invalid argument: label {key!r}: {value!r}")
    if len(labels) > _LABELS:
        raise invalid(f"Invalid argument: {len(labels)} labels, and {_LABELS} are the most")


def _wrong(path: str, value: Any) -> Exception:
    """Return the error for a value at `path` that has another type than its field."""
    return invalid(f"Invalid value for field {path}: {value!r:.100}", path)
