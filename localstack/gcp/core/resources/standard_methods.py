"""The standard methods of Vertex AI's resources (AIP-131 to 135): create, list, update by mask.

They work on `Resources`; `long_running` also says how long a method takes.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection
from typing import Any

import msgspec

from ..call import Call
from ..errors import GcpError
from ..projects import canonical
from . import filters, operations
from .store import Resources, page
from .validation import check_etag, check_labels

_LOCATION = re.compile(r"projects/[^/]+/locations/[^/]+")


class ResourceKind(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of resource: its words, its collection, the ids it may have."""

    word: str  # FeatureGroup
    collection: str  # featureGroups
    ids: re.Pattern[str]
    rule: str  # what `ids` says, in words


def name_of(call: Call, kind: ResourceKind, parent: str, identifier: str) -> str:
    """Check a new resource's parent and id, and return its full name.

    Raises GcpError INVALID_ARGUMENT if the id does not fit the `kind` of resource, or if the parent
    is not a location or below one.
    """
    parent = canonical(call, parent)
    if not _LOCATION.match(parent):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The parent {parent!r} is not projects/{{project}}/locations/{{location}}, or "
            "below it.",
        )
    if not kind.ids.fullmatch(identifier):
        raise GcpError(
            "INVALID_ARGUMENT", f"The {kind.word} ID {identifier!r} is not valid: {kind.rule}."
        )
    return f"{parent}/{kind.collection}/{identifier}"


def create(call: Call, kind: ResourceKind, name: str, message: Any) -> Any:
    """Store a new resource of a kind under `name`, with its times and etag, and return it.

    Raises GcpError ALREADY_EXISTS if the name is taken.
    """
    _check_labels(message)
    message.name = name
    message.create_time.CopyFrom(call.now_pb())
    set_written(call, message)
    resources = call.store(Resources)
    with resources.lock:
        if resources.find(name) is not None:
            raise GcpError("ALREADY_EXISTS", f"The {kind.word} already exists: {name}")
        resources.add(name, message)
    return message


def get(call: Call, kind: ResourceKind, name: str) -> Any:
    """Return a copy of the resource of that name; raise GcpError NOT_FOUND if there is none."""
    return call.store(Resources).get(kind.word, canonical(call, name))


def list_page(
    call: Call, kind: ResourceKind, request: Any, *, size: int = 100, most: int = 1000
) -> tuple[list[Any], str]:
    """Return one page of the resources of a kind, and the token of the next page.

    `request` is a list request with a parent, and perhaps a filter and order_by. A page has `size`
    resources unless the request sets page_size, and never more than `most`.
    """
    items = call.store(Resources).below(canonical(call, request.parent), kind.collection)
    return filtered_page(items, request, size=size, most=most)


def filtered_page(
    items: list[Any], request: Any, *, size: int = 100, most: int = 1000
) -> tuple[list[Any], str]:
    """Filter and order `items` as a list request asks; return one page, and the next page's token.

    A page has `size` items unless the request sets page_size, and never more than `most`.
    """
    fields = request.DESCRIPTOR.fields_by_name
    try:
        if "filter" in fields and request.filter:
            items = [
                item for item in items if filters.matches(request.filter, filters.of_message(item))
            ]
        if "order_by" in fields and request.order_by:
            items = filters.ordered(items, request.order_by)
    except filters.FilterError as error:
        raise GcpError("INVALID_ARGUMENT", str(error)) from error
    return page(items, request, size=size, most=most)


def update(
    call: Call,
    kind: ResourceKind,
    message: Any,
    mask: Any,
    updatable: Collection[str],
    *,
    check: Callable[[Any, Any], object] | None = None,
    fenced: bool = True,
) -> Any:
    """Overwrite the fields that a mask names, and return the changed resource.

    Args:
        call: The call that asks for it.
        kind: The kind of the resource.
        message: The resource with its new values.
        mask: The fields to write. Empty: those that are set in `message`; `*`: all.
        updatable: The fields that may be written.
        check: Called with the old and the new resource; may refuse the change by raising.
        fenced: Whether a stale etag refuses the change.

    Raises:
        GcpError: ABORTED for a stale etag, INVALID_ARGUMENT for a field that cannot be updated.
    """
    name = canonical(call, message.name)
    paths = _paths(message, mask, updatable)
    for path in paths:
        if path.partition(".")[0] not in updatable:
            raise GcpError(
                "INVALID_ARGUMENT", f"The field {path!r} of a {kind.word} cannot be updated."
            )
    resources = call.store(Resources)
    with resources.lock:
        current = resources.get(kind.word, name)
        if fenced:
            check_etag(message.etag, current.etag, name)
        changed = type(current)()
        changed.CopyFrom(current)
        for path in paths:
            _overwrite(message, changed, path.split("."))
        _check_labels(changed)
        if check is not None:
            check(current, changed)
        set_written(call, changed)
        resources.put(name, changed)
    return changed


def change_if_present(call: Call, name: str, change: Callable[[Any], None]) -> None:
    """Call `change` to edit a stored resource in place if it still exists, and renew its etag."""
    resources = call.store(Resources)
    with resources.lock:
        message = resources.find(name)
        if message is not None:
            change(message)
            set_written(call, message)
            resources.put(name, message)


def set_written(call: Call, message: Any) -> None:
    """Set a resource's update time and etag, as after a write."""
    if "update_time" in message.DESCRIPTOR.fields_by_name:
        message.update_time.CopyFrom(call.now_pb())
    if "etag" in message.DESCRIPTOR.fields_by_name:
        message.etag = secrets.token_urlsafe(24)


def _check_labels(message: Any) -> None:
    """Raise INVALID_ARGUMENT for labels that Google does not accept, if the message has labels."""
    if "labels" in message.DESCRIPTOR.fields_by_name:
        check_labels(message.labels)


def long_running(
    call: Call, parent: str, work: Callable[[], Any], *, metadata: Any = None, seconds: float = 0.0
) -> Any:
    """Run `work` as a long-running operation of the resource `parent`; return the operation.

    The operation takes `seconds` on the stack's clock. On the instant clock it is returned
    complete.
    """
    if metadata is not None:
        metadata.generic_metadata.create_time.CopyFrom(call.now_pb())
        metadata.generic_metadata.update_time.CopyFrom(call.now_pb())
    if call.clock.mode == "instant":
        return operations.completed_operation(call, parent, work(), metadata=metadata)
    return operations.start(call, parent, lambda _: work(), metadata=metadata, delay=seconds)


def _paths(message: Any, mask: Any, updatable: Collection[str]) -> list[str]:
    """Return the paths of the fields of `message` that an update writes, as its `mask` says."""
    if list(mask.paths) == ["*"]:
        return sorted(updatable)
    if mask.paths:
        return list(mask.paths)
    return [field.name for field, _ in message.ListFields() if field.name in updatable]


def _overwrite(source: Any, target: Any, path: list[str]) -> None:
    """Copy the field at a path from the message `source` to `target`.

    A map, a list and a message are copied as a whole.
    """
    field = target.DESCRIPTOR.fields_by_name.get(path[0])
    if field is None:
        raise GcpError("INVALID_ARGUMENT", f"There is no field {'.'.join(path)!r} to update.")
    if len(path) > 1 and field.message_type is not None and not field.is_repeated:
        _overwrite(getattr(source, path[0]), getattr(target, path[0]), path[1:])
        return
    if len(path) > 1 and field.is_repeated:  # labels.key
        key = ".".join(path[1:])
        entries = getattr(source, path[0])
        if key in entries:
            getattr(target, path[0])[key] = entries[key]
        else:
            getattr(target, path[0]).pop(key, None)
        return
    target.ClearField(path[0])
    if field.is_repeated:
        getattr(target, path[0]).MergeFrom(getattr(source, path[0]))
    elif field.message_type is None:
        setattr(target, path[0], getattr(source, path[0]))
    elif source.HasField(path[0]):
        getattr(target, path[0]).CopyFrom(getattr(source, path[0]))
