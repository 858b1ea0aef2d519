"""Buckets and objects as the JSON API writes them, and requests' JSON as it is stored. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from ...core.errors import GcpError
from ...core.projects import number_of
from .errors import invalid
from .records import SOFT_DELETE, Bucket, Version

# what the server says: it is not taken from a request
_OBJECT_OWN = frozenset(
    {
        "kind", "id", "selfLink", "mediaLink", "name", "bucket", "generation", "metageneration",
        "timeCreated", "updated", "timeDeleted", "timeFinalized", "timeStorageClassUpdated", "size",
        "md5Hash", "crc32c", "etag", "owner", "acl", "componentCount", "storageClass",
        "retentionExpirationTime", "customerEncryption", "kmsKeyName", "softDeleteTime",
        "hardDeleteTime",
    }
)  # fmt: skip
_BUCKET_OWN = frozenset(
    {
        "kind", "id", "selfLink", "name", "projectNumber", "generation", "metageneration",
        "timeCreated", "updated", "etag", "owner", "acl", "defaultObjectAcl", "locationType",
        "softDeleteTime", "hardDeleteTime", "objectRetention",
    }
)  # fmt: skip
_MULTI = frozenset({"US", "EU", "ASIA"})
_DUAL = frozenset({"NAM4", "EUR4", "EUR5", "EUR7", "EUR8", "ASIA1"})
CLASSES = frozenset(
    {
        "STANDARD",
        "NEARLINE",
        "COLDLINE",
        "ARCHIVE",
        "MULTI_REGIONAL",
        "REGIONAL",
        "DURABLE_REDUCED_AVAILABILITY",
    }
)
_DUAL_PARTS = 2


def object_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an object resource that a client may set, without nulls."""
    return without_nulls({key: value for key, value in body.items() if key not in _OBJECT_OWN})


def bucket_fields(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a bucket resource that a client may set, without nulls."""
    return without_nulls({key: value for key, value in body.items() if key not in _BUCKET_OWN})


def merge_patched(old: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return the object `old` after a JSON merge patch (RFC 7396): null removes a member."""
    result = dict(old)
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            below = result.get(key)
            result[key] = merge_patched(below if isinstance(below, Mapping) else {}, value)
        else:
            result[key] = value
    return result


def without_nulls(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object without its nulls, at any depth."""
    return merge_patched({}, fields)


def storage_class(name: Any) -> str:
    """Return the name of a storage class unchanged; raise an error for an unknown one."""
    if name not in CLASSES:
        raise invalid(f"Invalid argument: storage class {name!r}")
    return str(name)


def object_resource(
    version: Version, bucket: Bucket, base: str, *, full: bool = False, owner: str = ""
) -> dict[str, Any]:
    """Return an object as the JSON API's resource; with `full` it has its ACL and owner.

    `base` is the URL under which the caller reaches the stack.
    """
    path = f"/b/{quote(version.bucket, safe='')}/o/{quote(version.name, safe='')}"
    resource: dict[str, Any] = {
        "kind": "storage#object",
        "id": f"{version.bucket}/{version.name}/{version.generation}",
        "selfLink": f"{base}/storage/v1{path}",
        "mediaLink": f"{base}/download/storage/v1{path}?generation={version.generation}&alt=media",
        "name": version.name,
        "bucket": version.bucket,
        "generation": str(version.generation),
        "metageneration": str(version.metageneration),
        **version.fields,
        "storageClass": version.storage_class,
        "size": str(version.content.size),
        "etag": version.etag,
        "timeCreated": timestamp(version.created),
        "updated": timestamp(version.updated),
        "timeFinalized": timestamp(version.created),
        "timeStorageClassUpdated": timestamp(version.class_changed),
        "crc32c": version.content.crc32c,
    }
    if version.content.md5 is not None:
        resource["md5Hash"] = version.content.md5
    if version.components is not None:
        resource["componentCount"] = version.components
    resource |= _times(version, bucket) | _encryption(version)
    if full and not bucket.uniform:
        resource["owner"] = {"entity": f"user-{owner}"}
        resource["acl"] = [
            access_control(
                entry,
                f"{version.bucket}/{version.name}/{version.generation}",
                "storage#objectAccessControl",
            )
            for entry in version.acl
        ]
    return resource


def _times(version: Version, bucket: Bucket) -> dict[str, Any]:
    """Return the members of an object's resource that tell when it is deleted or kept until."""
    times: dict[str, Any] = {}
    if version.replaced is not None:
        times["timeDeleted"] = timestamp(version.replaced)
    if version.retained_until is not None:
        times["retentionExpirationTime"] = timestamp(version.retained_until)
    if version.soft_deleted is not None:
        times["softDeleteTime"] = timestamp(version.soft_deleted)
        times["hardDeleteTime"] = timestamp(version.soft_deleted + bucket.soft_delete)
    return times


def _encryption(version: Version) -> dict[str, Any]:
    """Return the encryption fields of an object's resource."""
    if version.key_sha256 is not None:
        return {
            "customerEncryption": {"encryptionAlgorithm": "AES256", "keySha256": version.key_sha256}
        }
    return {"kmsKeyName": version.kms_key} if version.kms_key else {}


def bucket_resource(bucket: Bucket, base: str, *, full: bool = False) -> dict[str, Any]:
    """Return a bucket as the JSON API's resource; with `full` it has its ACLs and owner.

    `base` is the URL under which the caller reaches the stack.
    """
    fields = bucket.fields
    resource: dict[str, Any] = {
        "kind": "storage#bucket",
        "selfLink": f"{base}/storage/v1/b/{bucket.name}",
        "id": bucket.name,
        "name": bucket.name,
        "projectNumber": number_of(bucket.project),
        "generation": str(bucket.generation),
        "metageneration": str(bucket.metageneration),
        "etag": bucket.etag,
        "timeCreated": timestamp(bucket.created),
        "updated": timestamp(bucket.updated),
        "locationType": location_type(fields),
        **fields,
    }
    if bucket.soft_deleted is not None:
        resource["softDeleteTime"] = timestamp(bucket.soft_deleted)
        resource["hardDeleteTime"] = timestamp(bucket.soft_deleted + bucket.soft_delete)
    if full and not bucket.uniform:
        resource["owner"] = {"entity": f"project-owners-{number_of(bucket.project)}"}
        resource["acl"] = [
            access_control(entry, bucket.name, "storage#bucketAccessControl")
            for entry in bucket.acl
        ]
        resource["defaultObjectAcl"] = [
            access_control(entry, bucket.name, "storage#objectAccessControl")
            for entry in bucket.default_acl
        ]
    return resource


def location_type(fields: Mapping[str, Any]) -> str:
    """Return the type of a bucket's location: region, dual-region or multi-region."""
    if (
        fields["location"] in _DUAL
        or len((fields.get("customPlacementConfig") or {}).get("dataLocations") or ())
        == _DUAL_PARTS
    ):
        return "dual-region"
    return "multi-region" if fields["location"] in _MULTI else "region"


def with_server_fields(
    fields: dict[str, Any], previous: Mapping[str, Any], now: datetime
) -> dict[str, Any]:
    """Return a bucket's fields with those that the server sets, such as times.

    `previous` are the fields before the update. Raises GcpError if a field changed that must not.
    """
    fields["location"] = str(fields.get("location") or previous.get("location") or "US").upper()
    fields["storageClass"] = storage_class(fields.get("storageClass") or "STANDARD")
    access = fields.setdefault("iamConfiguration", {})
    uniform = access.setdefault("uniformBucketLevelAccess", {"enabled": False})
    access["bucketPolicyOnly"] = dict(uniform)
    if access.setdefault("publicAccessPrevention", "inherited") not in (
        "inherited",
        "enforced",
        "unspecified",
    ):
        raise invalid(
            f"Invalid argument: public access prevention {access['publicAccessPrevention']!r}"
        )
    if uniform.get("enabled"):
        uniform.setdefault("lockedTime", timestamp(now + timedelta(days=90)))
    if location_type(fields) != "region":
        fields.setdefault("rpo", "DEFAULT")
    fields.setdefault("softDeletePolicy", {"retentionDurationSeconds": str(SOFT_DELETE)})
    _set_since(fields, previous, "softDeletePolicy", "retentionDurationSeconds", now)
    _retention(fields, previous, now)
    _autoclass(fields, previous, now)
    _enforcement(fields, now)
    if not fields.get("encryption", True):
        del fields["encryption"]
    return fields


def _set_since(
    fields: dict[str, Any], previous: Mapping[str, Any], name: str, key: str, now: datetime
) -> None:
    """Set the time member `key` of the bucket policy `name` if the policy has changed."""
    policy = fields.get(name)
    if policy and (
        str(policy.get(key)) != str((previous.get(name) or {}).get(key))
        or "effectiveTime" not in policy
    ):
        fields[name] = {**policy, key: str(policy.get(key)), "effectiveTime": timestamp(now)}


def _retention(fields: dict[str, Any], previous: Mapping[str, Any], now: datetime) -> None:
    """Set the retention policy's effectiveTime; raise an error if a locked policy is reduced.

    `previous` are the bucket's fields before the update.
    """
    old, policy = previous.get("retentionPolicy") or {}, fields.get("retentionPolicy")
    if old.get("isLocked") and int((policy or {}).get("retentionPeriod", 0)) < int(
        old["retentionPeriod"]
    ):
        text = "Cannot reduce the retention duration of a locked Retention Policy, or remove it."
        raise GcpError("PERMISSION_DENIED", text, reason="forbidden")
    if not policy:
        fields.pop("retentionPolicy", None)
    _set_since(fields, previous, "retentionPolicy", "retentionPeriod", now)


def _autoclass(fields: dict[str, Any], previous: Mapping[str, Any], now: datetime) -> None:
    """Set the times in a bucket's autoclass settings that differ from the `previous` ones."""
    chosen, old = fields.get("autoclass"), previous.get("autoclass") or {}
    if not chosen:
        return
    if bool(chosen.get("enabled")) != bool(old.get("enabled")) or "toggleTime" not in chosen:
        chosen["toggleTime"] = timestamp(now)
    if chosen.get("enabled"):
        chosen.setdefault("terminalStorageClass", "NEARLINE")
        if chosen["terminalStorageClass"] != old.get("terminalStorageClass"):
            chosen["terminalStorageClassUpdateTime"] = timestamp(now)


def _enforcement(fields: dict[str, Any], now: datetime) -> None:
    """Set the times in a bucket's encryption enforcement settings, in place."""
    for name, rule in (fields.get("encryption") or {}).items():
        if name.endswith("EnforcementConfig"):
            if rule.get("restrictionMode") == "FullyRestricted":
                rule.setdefault("effectiveTime", timestamp(now))
            else:
                rule.pop("effectiveTime", None)


def access_control(entry: Mapping[str, str], owner: str, kind: str) -> dict[str, Any]:
    """Return an ACL entry as the JSON API's resource.

    `owner` is the bucket, or bucket and object, of the entry; `kind` is the kind of resource.
    """
    return {
        "kind": kind,
        "id": f"{owner}/{entry['entity']}",
        "bucket": owner.partition("/")[0],
        "etag": "CAE=",
        **entry,
    }


def timestamp(moment: datetime) -> str:
    """Return a time as RFC 3339 text, as the JSON API writes it."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"
