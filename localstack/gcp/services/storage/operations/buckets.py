"""The methods storage.buckets.*."""

from __future__ import annotations

from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route
from .. import acls
from ..field_types import BUCKET, checked
from ..partial_answers import selected
from ..preconditions import number
from ..records import Bucket, Store, check_bucket_name
from ..representations import bucket_fields, merge_patched, with_server_fields
from ..requests import bucket_answer, conditions_of, flag, store_of

_MOST = 1000  # of a page
_BUCKET = "/storage/v1/b/{bucket}"


@route("storage.buckets.insert", "POST", "/storage/v1/b")
def insert(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Create a bucket (storage.buckets.insert)."""
    query, body, store, now = (
        request.query,
        checked(request.json(), BUCKET),
        store_of(call),
        call.clock.now(),
    )
    project, name = query.get("project", ""), str(body.get("name", ""))
    for parameter, value in (("project", project), ("name", name)):
        if not value:
            raise GcpError(
                "INVALID_ARGUMENT",
                f"Required parameter: {parameter}",
                reason="required",
                location=parameter,
            )
    check_bucket_name(name)
    fields = with_server_fields(bucket_fields(body), {}, now)
    if flag(query, "enableObjectRetention"):
        fields["objectRetention"] = {"mode": "Enabled"}
    with store.lock:
        if name in store.buckets:
            text = (
                "Your previous request to create the named bucket succeeded and you already own it."
            )
            raise GcpError("ALREADY_EXISTS", text, reason="conflict")
        bucket = Bucket(
            name=name,
            project=project,
            generation=store.next_generation(now),
            created=now,
            updated=now,
            fields=fields,
        )
        _take_acls(bucket, request, body)
        store.buckets[name] = bucket
    return bucket_answer(bucket, request)


@route("storage.buckets.list", "GET", "/storage/v1/b")
def list_buckets(call: Call, request: HttpRequest) -> dict[str, Any]:
    """List a project's buckets (storage.buckets.list)."""
    query, store = request.query, store_of(call)
    project, prefix, after = (
        query.get("project", ""),
        query.get("prefix", ""),
        query.get("pageToken", ""),
    )
    if not project:
        raise GcpError(
            "INVALID_ARGUMENT", "Required parameter: project", reason="required", location="project"
        )
    most = min(number(query, "maxResults") or _MOST, _MOST)
    with store.lock:
        every = store.deleted if flag(query, "softDeleted") else store.buckets.values()
        buckets = sorted(every, key=lambda bucket: bucket.name)
        chosen = [
            bucket
            for bucket in buckets
            if bucket.project == project and bucket.name.startswith(prefix) and bucket.name > after
        ]
        answer: dict[str, Any] = {
            "kind": "storage#buckets",
            "items": [bucket_answer(bucket, request) for bucket in chosen[:most]],
        }
    if len(chosen) > most:
        answer["nextPageToken"] = chosen[most - 1].name
    return selected(answer, query.get("fields"))


@route("storage.buckets.get", "GET", _BUCKET)
def get(call: Call, request: HttpRequest) -> HttpAnswer | dict[str, Any]:
    """Return a bucket (storage.buckets.get)."""
    store, name = store_of(call), request.params["bucket"]
    bucket = (
        _deleted_bucket(store, name, number(request.query, "generation"))
        if flag(request.query, "softDeleted")
        else store.bucket(name)
    )
    if not conditions_of(request).is_modified(bucket):
        return HttpAnswer(status=304)
    return selected(bucket_answer(bucket, request), request.query.get("fields"))


def _change(call: Call, request: HttpRequest, *, whole: bool) -> dict[str, Any]:
    """Update a bucket by a PATCH, or with `whole` by a PUT; return its resource.

    A PUT replaces all fields that can be written.
    """
    body, store, now = checked(request.json(), BUCKET), store_of(call), call.clock.now()
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        conditions_of(request).require(bucket)
        fixed = {
            key: bucket.fields[key]
            for key in ("location", "objectRetention", "customPlacementConfig")
            if key in bucket.fields
        }
        fields = (
            fixed | bucket_fields(body)
            if whole
            else merge_patched(
                bucket.fields, {k: v for k, v in body.items() if k in _patchable(body)}
            )
        )
        fields = with_server_fields(fields, bucket.fields, now)
        _take_acls(bucket, request, body)
        bucket.fields = fields
        bucket.metageneration += 1
        bucket.updated = now
    return bucket_answer(bucket, request)


def _patchable(body: dict[str, Any]) -> set[str]:
    """Return the names of the fields that a PATCH body sets or, by null, removes."""
    return {key for key in body if body[key] is None or key in bucket_fields({key: body[key]})}


@route("storage.buckets.patch", "PATCH", _BUCKET)
def patch(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.buckets.patch."""
    return _change(call, request, whole=False)


@route("storage.buckets.update", "PUT", _BUCKET)
def update(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Replace a bucket's fields (storage.buckets.update)."""
    return _change(call, request, whole=True)


@route("storage.buckets.delete", "DELETE", _BUCKET)
def delete(call: Call, request: HttpRequest) -> HttpAnswer:
    """Delete an empty bucket (storage.buckets.delete)."""
    store = store_of(call)
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        conditions_of(request).require(bucket)
        if bucket.versions:
            raise GcpError(
                "ALREADY_EXISTS", "The bucket you tried to delete is not empty.", reason="conflict"
            )
        del store.buckets[bucket.name]
        if bucket.soft_delete:
            bucket.soft_deleted = call.clock.now()
            store.deleted.append(bucket)
    return HttpAnswer(status=204)


@route("storage.buckets.restore", "POST", f"{_BUCKET}/restore")
def restore(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.buckets.restore."""
    store, name = store_of(call), request.params["bucket"]
    with store.lock:
        bucket = _deleted_bucket(store, name, number(request.query, "generation"))
        if name in store.buckets:
            raise GcpError(
                "ALREADY_EXISTS", f"A bucket of the name {name} is there.", reason="conflict"
            )
        store.deleted.remove(bucket)
        bucket.soft_deleted = None
        store.buckets[name] = bucket
    return bucket_answer(bucket, request)


@route("storage.buckets.lockRetentionPolicy", "POST", f"{_BUCKET}/lockRetentionPolicy")
def lock_retention_policy(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Lock a bucket's retention policy.

    It answers Cloud Storage's API call buckets.lockRetentionPolicy.
    """
    store = store_of(call)
    if "ifMetagenerationMatch" not in request.query:
        raise GcpError(
            "INVALID_ARGUMENT", "Required parameter: ifMetagenerationMatch", reason="required"
        )
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        conditions_of(request).require(bucket)
        if bucket.retention is None:
            raise GcpError(
                "INVALID_ARGUMENT", "The bucket has no retention policy to lock.", reason="invalid"
            )
        bucket.fields["retentionPolicy"] = {**bucket.fields["retentionPolicy"], "isLocked": True}
        bucket.metageneration += 1
    return bucket_answer(bucket, request)


@route("storage.buckets.getStorageLayout", "GET", f"{_BUCKET}/storageLayout")
def storage_layout(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer Cloud Storage's API call storageLayout: return a bucket's storage layout."""
    bucket = store_of(call).bucket(request.params["bucket"])
    shown = bucket_answer(bucket, request)
    names = ("location", "locationType", "customPlacementConfig", "hierarchicalNamespace")
    return {
        "kind": "storage#storageLayout",
        "bucket": bucket.name,
        **{name: shown[name] for name in names if name in shown},
    }


def _deleted_bucket(store: Store, name: str, generation: int | None) -> Bucket:
    """Return a softly deleted bucket by name and generation; raise NOT_FOUND otherwise."""
    for bucket in store.deleted:
        if bucket.name == name and bucket.generation == generation:
            return bucket
    raise GcpError("NOT_FOUND", "The specified bucket does not exist.", reason="notFound")


def _take_acls(bucket: Bucket, request: HttpRequest, body: dict[str, Any]) -> None:
    """Set a bucket's ACLs from the request; a new bucket without any gets its project's default."""
    new = not bucket.acl
    named = {
        "acl": request.query.get("predefinedAcl"),
        "default_acl": request.query.get("predefinedDefaultObjectAcl"),
    }
    for attribute, key in (("acl", "acl"), ("default_acl", "defaultObjectAcl")):
        if named[attribute]:
            setattr(
                bucket,
                attribute,
                acls.refuse_public(
                    bucket, acls.predefined_acl(str(named[attribute]), bucket.project, owner=False)
                ),
            )
        elif body.get(key):
            if not new:
                acls.require_acls(bucket)
            setattr(bucket, attribute, acls.refuse_public(bucket, acls.checked(body[key])))
        elif new:
            setattr(bucket, attribute, acls.project_private(bucket.project))
