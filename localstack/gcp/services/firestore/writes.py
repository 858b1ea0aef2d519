"""One write to one document: precondition, update by mask, transforms. Pure.

It returns a new document, and leaves the old one as it is.
"""

from __future__ import annotations

import math
from datetime import datetime
from typing import Any

from google.cloud.firestore_v1 import types

from ...core.errors import GcpError, invalid
from . import paths, values

Document = types.Document.pb()
WriteResult = types.WriteResult.pb()
_MOST_BYTES = 1 << 20  # of a document
_REQUEST_TIME = types.DocumentTransform.FieldTransform.ServerValue.REQUEST_TIME


def name_of(write: Any) -> str:
    """Return the name of the document that a write of a commit updates or deletes."""
    name: str = {
        "update": write.update.name,
        "delete": write.delete,
        "transform": write.transform.document,
    }.get(write.WhichOneof("operation") or "", "")
    return name


def apply_write(document: Any | None, write: Any, now: datetime) -> tuple[Any | None, Any]:
    """Return a document as it is after a write (None: it does not exist), and the write's result.

    Raises:
        GcpError: The write is refused, and nothing has changed.
    """
    _check_condition(document, write)
    if write.WhichOneof("operation") == "delete":
        return None, WriteResult()
    after = Document(name=name_of(write))
    if document is not None:
        after.CopyFrom(document)
    if write.WhichOneof("operation") == "update":
        _update(after, write)
    transforms = [*write.update_transforms, *write.transform.field_transforms]
    result = WriteResult(
        transform_results=[_transform(after, transform, now) for transform in transforms]
    )
    _check(after)
    _stamp(document, after, now)
    result.update_time.CopyFrom(after.update_time)
    return after, result


def _check_condition(document: Any | None, write: Any) -> None:
    """Raise an error unless a write's precondition holds for the present document."""
    condition = write.current_document
    kind = condition.WhichOneof("condition_type")
    if kind is None:
        return
    if document is None and (kind == "update_time" or condition.exists):
        raise GcpError("NOT_FOUND", f"No document to update: {name_of(write)}")
    if document is not None and kind == "exists" and not condition.exists:
        raise GcpError("ALREADY_EXISTS", f"Document already exists: {name_of(write)}")
    if (
        document is not None
        and kind == "update_time"
        and condition.update_time != document.update_time
    ):
        stored, base = document.update_time.ToMicroseconds(), condition.update_time.ToMicroseconds()
        raise GcpError(
            "FAILED_PRECONDITION",
            f"the stored version ({stored}) does not match the required base version ({base})",
        )


def _update(document: Any, write: Any) -> None:
    """Apply the fields of an update to a document, by the write's mask, in place."""
    if not write.HasField("update_mask"):
        document.fields.clear()
        document.MergeFrom(Document(fields=write.update.fields))
        return
    for path in map(paths.field_path, write.update_mask.field_paths):
        values.put_value(document.fields, path, values.value_at(write.update.fields, path))


def _transform(document: Any, transform: Any, now: datetime) -> Any:
    """Apply a field transform, such as increment, to a document in place; return its result."""
    path = paths.field_path(transform.field_path)
    current = values.value_at(document.fields, path)
    kind = transform.WhichOneof("transform_type")
    if kind in ("append_missing_elements", "remove_all_from_array"):
        values.put_value(document.fields, path, _array(current, kind, transform))
        return values.Value(null_value=0)
    value = (
        _moment(transform, now)
        if kind == "set_to_server_value"
        else _numeric_transform(current, kind, transform)
    )
    values.put_value(document.fields, path, value)
    return value


def _moment(transform: Any, now: datetime) -> Any:
    """Return the request's time as the value that a server timestamp transform sets."""
    if transform.set_to_server_value != _REQUEST_TIME:
        raise invalid("A server value must be REQUEST_TIME.")
    value = values.Value()
    value.timestamp_value.FromMilliseconds(int(now.timestamp() * 1000))
    return value


def _numeric_transform(current: Any | None, kind: str | None, transform: Any) -> Any:
    """Return a field's value after an increment, minimum or maximum (`kind`) of `current`."""
    if kind not in ("increment", "maximum", "minimum"):
        raise invalid(f"The transform of {transform.field_path} says nothing to do.")
    operand = getattr(transform, kind)
    amount, old = values.number(operand), values.number(current)
    if amount is None:
        raise invalid(f"{kind} of {transform.field_path} takes an integer or a double.")
    if old is None:
        return operand
    if kind == "increment":
        return values.number_value(old + amount)
    if math.isnan(old) or math.isnan(amount):
        return values.number_value(math.nan)
    larger = amount > old if kind == "maximum" else amount < old
    return operand if larger else current


def _array(current: Any | None, kind: str, transform: Any) -> Any:
    """Return the array `current` after a transform appended or removed elements (`kind`)."""
    items = [] if current is None else list(current.array_value.values)
    named = getattr(transform, kind).values
    if kind == "remove_all_from_array":
        items = [
            item for item in items if not any(values.are_equal(item, other) for other in named)
        ]
    else:
        for item in named:
            if not any(values.are_equal(item, other) for other in items):
                items.append(item)
    array = values.Value(array_value=types.ArrayValue.pb()(values=items))
    array.array_value.SetInParent()
    return array


def _check(document: Any) -> None:
    """Raise INVALID_ARGUMENT for a document that is too large or not valid."""
    values.check(document.fields)
    _, path = paths.split(document.name)
    size = values.size(path, document.fields)
    if size > _MOST_BYTES:
        raise invalid(
            f"Document '{document.name}' cannot be written because its size ({size:,} bytes) "
            "exceeds the maximum allowed size of"
            f" {_MOST_BYTES:,} bytes."
        )


def _stamp(document: Any | None, after: Any, now: datetime) -> None:
    """Set the create and update times of `after`, the document that a write made of `document`.

    A document that the write leaves unchanged keeps its time; else the time grows by a microsecond
    at least.
    """
    if document is None:
        after.create_time.FromDatetime(now)
        after.update_time.CopyFrom(after.create_time)
    elif document != after:
        after.update_time.FromDatetime(now)
        after.update_time.FromMicroseconds(
            max(after.update_time.ToMicroseconds(), document.update_time.ToMicroseconds() + 1)
        )
