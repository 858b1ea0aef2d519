"""Objects made of objects: copy, rewrite, move, compose. A copy's bytes are the same file."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpRequest
from ....core.registry import route
from .. import acls
from ..content import Content, parts, write_content
from ..errors import invalid, no_object
from ..field_types import COMPOSITION, OBJECT, checked
from ..preconditions import Preconditions, number
from ..records import Bucket, Store, Version, check_deletable, check_object_name
from ..representations import object_fields
from ..requests import check_key, conditions_of, key_of, object_answer, store_of
from ..uploads import default_key, kms_version, new_version

_UNIT = 1 << 20  # bytes: maxBytesRewrittenPerCall is a multiple of it
_SOURCES = 32  # at most, of one composition
_OF_ONE = frozenset(
    {"eventBasedHold", "temporaryHold", "retention"}
)  # which a copy does not have of its source
_SOURCE = "/storage/v1/b/{sourceBucket}/o/{sourceObject}"
_GOAL = "/b/{bucket}/o/{object}"


def _source(store: Store, request: HttpRequest) -> Version:
    """Return the object version that a copy or rewrite request copies.

    Raises:
        GcpError: 404, there is none; 412, a precondition does not hold.
    """
    params = request.params
    bucket = params.get("sourceBucket", params["bucket"])
    version = store.version(
        bucket,
        params["sourceObject"],
        number(request.query, "sourceGeneration"),
        conditions_of(request, source=True),
    )
    key = key_of(request.headers, source=True)
    if key is None and "/rewriteTo/" not in request.path:  # a rewrite alone may change the key
        key = key_of(request.headers)
    check_key(version, key)
    return version


def _copy(call: Call, request: HttpRequest, source: Version, goal: Bucket) -> Version:
    """Return a copy of a version for the bucket `goal`, which is not stored yet.

    It has the source's content; metadata in the request replace the source's.
    """
    body, query = checked(request.json(), OBJECT), request.query
    check_object_name(request.params["object"])
    inherited = {key: value for key, value in source.fields.items() if key not in _OF_ONE}
    fields = object_fields(body)
    if not fields:
        fields = inherited
    elif "contentType" in inherited:
        fields = {"contentType": inherited["contentType"]} | fields
    key = key_of(request.headers)
    acl = _acl(goal, query, body.get("acl"))
    content = source.content.copied()
    version = new_version(
        call,
        goal,
        request.params["object"],
        content,
        fields=fields,
        in_class=body.get("storageClass"),
    )
    version.components = source.components
    version.key_sha256, version.acl = key, acl
    version.kms_key = (
        None if key else kms_version(query.get("destinationKmsKeyName") or default_key(goal))
    )
    return version


def _acl(goal: Bucket, query: Mapping[str, str], entries: Any) -> acls.Entries:
    """Return the ACL entries for a copy in `goal`: the query's, `entries` or the default."""
    return (
        []
        if goal.uniform
        else acls.of_new_object(goal, query.get("destinationPredefinedAcl"), entries)
    )


def _put(store: Store, version: Version, conditions: Preconditions) -> None:
    """Store a copy as the live version if `conditions` hold; if not, delete its bytes."""
    try:
        store.put(version, conditions)
    except GcpError:
        version.content.remove()
        raise


@route("storage.objects.copy", "POST", f"{_SOURCE}/copyTo{_GOAL}")
def copy(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Copy an object (storage.objects.copy)."""
    store = store_of(call)
    with store.lock:
        source, goal = _source(store, request), store.bucket(request.params["bucket"])
        version = _copy(call, request, source, goal)
        _put(store, version, conditions_of(request))
        return object_answer(goal, version, request)


class _Token(msgspec.Struct, frozen=True, array_like=True):
    """How far a rewrite is, and of which generation."""

    generation: int
    written: int


_token = msgspec.json.Decoder(_Token).decode  # made here: see ../../control.py


@route("storage.objects.rewrite", "POST", f"{_SOURCE}/rewriteTo{_GOAL}")
def rewrite(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Copy an object in steps, as large ones are (storage.objects.rewrite)."""
    store, limit = store_of(call), number(request.query, "maxBytesRewrittenPerCall")
    if limit is not None and (limit <= 0 or limit % _UNIT):
        raise invalid(
            f"maxBytesRewrittenPerCall must be an integral multiple of {_UNIT}",
            "maxBytesRewrittenPerCall",
        )
    with store.lock:
        source, goal = _source(store, request), store.bucket(request.params["bucket"])
        size, copied = source.content.size, _progress(request.query.get("rewriteToken", ""), source)
        done = size if limit is None else min(size, copied + limit)
        answer: dict[str, Any] = {
            "kind": "storage#rewriteResponse",
            "totalBytesRewritten": str(done),
            "objectSize": str(size),
            "done": done == size,
        }
        if done < size:
            token = msgspec.json.encode(_Token(source.generation, done))
            return answer | {"rewriteToken": base64.urlsafe_b64encode(token).decode()}
        version = _copy(call, request, source, goal)
        _put(store, version, conditions_of(request))
        return answer | {"resource": object_answer(goal, version, request)}


def _progress(token: str, source: Version) -> int:
    """Return how many bytes a rewrite of `source` has copied so far, by its rewriteToken."""
    if not token:
        return 0
    try:
        progress = _token(base64.urlsafe_b64decode(token))
    except (binascii.Error, ValueError, msgspec.MsgspecError) as error:
        raise invalid("Invalid rewrite token.", "rewriteToken") from error
    if progress.generation != source.generation:
        raise invalid("The rewrite token is of another source.", "rewriteToken")
    return progress.written


@route("storage.objects.move", "POST", "/storage/v1/b/{bucket}/o/{sourceObject}/moveTo/o/{object}")
def move(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Answer storage.objects.move."""
    store = store_of(call)
    with store.lock:
        source, bucket = _source(store, request), store.bucket(request.params["bucket"])
        check_deletable(source, call.clock.now())
        version = _copy(call, request, source, bucket)
        version.storage_class, version.key_sha256, version.kms_key = (
            source.storage_class,
            source.key_sha256,
            source.kms_key,
        )
        _put(store, version, conditions_of(request))
        store.delete(bucket.name, source.name, None, Preconditions(), call.clock.now())
        return object_answer(bucket, version, request)


@route("storage.objects.compose", "POST", "/storage/v1/b/{bucket}/o/{object}/compose")
def compose(call: Call, request: HttpRequest) -> dict[str, Any]:
    """Make an object of several (storage.objects.compose)."""
    store, body = store_of(call), checked(request.json(), COMPOSITION)
    components, about = body.get("sourceObjects") or [], body.get("destination") or {}
    if not 1 <= len(components) <= _SOURCES:
        raise invalid(
            f"The number of source components provided ({len(components)}) is not between 1 and "
            f"{_SOURCES}."
        )
    check_object_name(request.params["object"])
    with store.lock:
        bucket = store.bucket(request.params["bucket"])
        sources = [_component(store, bucket.name, component) for component in components]
        key = key_of(request.headers)
        for source in sources:
            check_key(source, key)
        acl = _acl(bucket, request.query, about.get("acl"))
        content = _concatenation(store, call, sources)
        version = new_version(
            call,
            bucket,
            request.params["object"],
            content,
            fields=object_fields(about),
            in_class=about.get("storageClass"),
        )
        version.components = sum(source.components or 1 for source in sources)
        version.key_sha256 = key
        version.kms_key = (
            None if key else kms_version(request.query.get("kmsKeyName") or default_key(bucket))
        )
        version.acl = acl
        _put(store, version, conditions_of(request))
        return object_answer(bucket, version, request)


def _component(store: Store, bucket: str, component: Mapping[str, Any]) -> Version:
    """Return the object version that one source in a compose request names."""
    expected = (component.get("objectPreconditions") or {}).get("ifGenerationMatch")
    generation = component.get("generation")
    name = str(component.get("name") or "")
    version = store.version(
        bucket,
        name,
        None if generation is None else int(generation),
        Preconditions(generation=None if expected is None else int(expected)),
    )
    if version is None:
        raise no_object(bucket, name)
    return version


def _concatenation(store: Store, call: Call, sources: list[Version]) -> Content:
    """Return the concatenated bytes of several versions as one content."""

    def every() -> Iterator[bytes]:
        for source in sources:
            yield from parts(source.content)

    return write_content(store.folder(call), every(), composed=True)
