"""The methods storage.objects.* that read, list, change and delete.

Objects' bytes are in media.py, their uploads in uploads.py.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route
from .. import acls, media
from ..errors import invalid, no_object
from ..field_types import OBJECT, checked
from ..listing import ListQuery, page
from ..partial_answers import selected
from ..preconditions import NONE, number, parse_conditions
from ..records import Bucket, Version
from ..representations import merge_patched, object_fields
from ..requests import conditions_of, flag, key_of, object_answer, store_of

_OBJECT = "/storage/v1/b/{bucket}/o/{object}"


@route("storage.objects.get", "GET", _OBJECT, f"/download{_OBJECT}")
def get(call: Call, request: HttpRequest) -> HttpAnswer | dict[str, Any]:
    """Return an object, or with alt=media its bytes (storage.objects.get)."""
    store, query = store_of(call), request.query
    bucket_name, name, generation = (
        request.params["bucket"],
        request.params["object"],
        number(query, "generation"),
    )
    with store.lock:
        bucket = store.bucket(bucket_name)
        version = (
            _soft(bucket, name, generation, call)
            if flag(query, "softDeleted")
            else bucket.version(name, generation)
        )
        if version is None and conditions_of(request) == NONE:
            raise no_object(bucket_name, name)
        if not conditions_of(request).is_modified(version):
            return HttpAnswer(status=304)
        if version is None:
            raise no_object(bucket_name, name)
        if query.get("alt") == "media" or request.path.startswith("/download/"):
            return media.answer(version, request)
        return selected(
            without_hashes(object_answer(bucket, version, request), version, request),
            query.get("fields"),
        )


@route("storage.objects.list", "GET", "/storage/v1/b/{bucket}/o")
def list_objects(call: Call, request: HttpRequest) -> dict[str, Any]:
    """List a bucket's objects (storage.objects.list)."""
    store, query = store_of(call), request.query
    list_query = ListQuery(
        prefix=query.get("prefix", ""),
        delimiter=query.get("delimiter", ""),
        start=query.get("startOffset", ""),
        end=query.get("endOffset", ""),
        trailing=flag(query, "includeTrailingDelimiter"),
        glob=query.get("matchGlob", ""),
        most=1000 if (most := number(query, "maxResults")) is None else most,
        token=query.get("pageToken", ""),
    )
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        soft = flag(query, "softDeleted")
        listed = (
            bucket.restorable(call.clock.now())
            if soft
            else bucket.listed(all_versions=flag(query, "versions"))
        )
        versions = {(version.name, version.generation): version for version in listed}
        listing = page(versions, list_query)
        items = [
            versions[entry.name, entry.generation] for entry in listing.entries if entry.generation
        ]
        answer: dict[str, Any] = {"kind": "storage#objects"}
        if items:
            answer["items"] = [
                without_hashes(object_answer(bucket, version, request), version, request)
                for version in items
            ]
    prefixes = set(listing.prefixes)
    if flag(query, "includeFoldersAsPrefixes"):
        prefixes |= {folder for folder in bucket.folders if folder.startswith(list_query.prefix)}
    if prefixes:
        answer["prefixes"] = sorted(prefixes)
    if listing.token:
        answer["nextPageToken"] = listing.token
    return selected(answer, query.get("fields"))


def _change(call: Call, request: HttpRequest, *, whole: bool) -> dict[str, Any]:
    """Update an object's metadata by a PATCH, or with `whole` by a PUT; return its resource."""
    body, store, query = checked(request.json(), OBJECT), store_of(call), request.query
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        version = store.version(
            bucket.name,
            request.params["object"],
            number(query, "generation"),
            conditions_of(request),
        )
        fields = object_fields(body) if whole else merge_patched(version.fields, _writable(body))
        _check_retention(bucket, version, fields, override=flag(query, "overrideUnlockedRetention"))
        if "acl" in body or query.get("predefinedAcl"):
            acls.require_acls(bucket)
            version.acl = (
                acls.of_new_object(bucket, query.get("predefinedAcl"), body.get("acl"))
                if body.get("acl") != []
                else []
            )
        version.fields = fields
        version.metageneration += 1
        version.updated = call.clock.now()
        return object_answer(bucket, version, request)


def _writable(body: dict[str, Any]) -> dict[str, Any]:
    """Return the fields of an object resource that a client may write."""
    return {
        key: value
        for key, value in body.items()
        if value is None or key in object_fields({key: value})
    }


@route("storage.objects.patch", "PATCH", _OBJECT)
def patch(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.objects.patch."""
    return _change(call, request, whole=False)


@route("storage.objects.update", "PUT", _OBJECT)
def update(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Replace an object's fields (storage.objects.update)."""
    return _change(call, request, whole=True)


@route("storage.objects.delete", "DELETE", _OBJECT)
def delete(call: Call, request: HttpRequest) -> HttpAnswer:
    """Delete an object (storage.objects.delete)."""
    generation = number(request.query, "generation")
    store_of(call).delete(
        request.params["bucket"],
        request.params["object"],
        generation,
        conditions_of(request),
        call.clock.now(),
    )
    return HttpAnswer(status=204)


@route("storage.objects.restore", "POST", f"{_OBJECT}/restore")
def restore(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.objects.restore."""
    store, generation, now = store_of(call), number(request.query, "generation"), call.clock.now()
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        version = _soft(bucket, request.params["object"], generation, call)
        bucket.soft.remove(version)
        version.soft_deleted = version.replaced = None
        version.metageneration, version.created, version.updated = 1, now, now
        try:
            store.put(version, parse_conditions(request.query))
        except GcpError:
            bucket.soft.append(version)
            raise
        return object_answer(bucket, version, request)


def without_hashes(
    resource: dict[str, Any], version: Version, request: HttpRequest
) -> dict[str, Any]:
    """Return an object's resource without its checksums, unless the caller sent its key.

    Only objects encrypted with a customer-supplied key are concerned.
    """
    if version.key_sha256 is not None and key_of(request.headers) != version.key_sha256:
        resource = {
            key: value for key, value in resource.items() if key not in ("md5Hash", "crc32c")
        }
    return resource


def _soft(bucket: Bucket, name: str, generation: int | None, call: Call) -> Version:
    """Return a softly deleted version of an object; raise NOT_FOUND if it cannot be restored."""
    for version in bucket.restorable(call.clock.now()):
        if version.name == name and version.generation == generation:
            return version
    raise no_object(bucket.name, name)


def _check_retention(
    bucket: Bucket, version: Version, fields: dict[str, Any], *, override: bool
) -> None:
    """Raise an error if an update's change of an object's retention is not permitted.

    `override` is the request's overrideUnlockedRetention.
    """
    new, old = fields.get("retention"), version.fields.get("retention") or {}
    if not new:
        fields.pop("retention", None)
    if new and bucket.fields.get("objectRetention") is None:
        raise invalid("Object retention is not enabled for this bucket.")
    if old and new != old:
        shorter = not new or _moment(new) < _moment(old)
        if shorter and (old.get("mode") == "Locked" or not override):
            text = (
                "Cannot reduce or remove an object's retention without "
                "overrideUnlockedRetention, nor a locked one."
            )
            raise GcpError("PERMISSION_DENIED", text, reason="forbidden")


def _moment(retention: dict[str, Any]) -> datetime:
    """Return the time (retainUntilTime) until which a retention keeps an object."""
    return datetime.fromisoformat(str(retention["retainUntilTime"]))
