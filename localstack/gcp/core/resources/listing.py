"""Lists of resources as a request describes them: filter, order, page, and fields shown."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

from google.protobuf.field_mask_pb2 import FieldMask

from ..errors import GcpError
from .filters import FieldLookup, FilterError, matches, of_message, ordered
from .store import page

Field = Callable[[Any], object]
ORDERS = ("display_name", "create_time", "update_time")


def page_of(
    messages: Sequence[Any],
    request: Any,
    *,
    fields: Collection[str] = ("display_name", "labels"),
    more: Mapping[str, Field] | None = None,
    orders: Collection[str] = ORDERS,
) -> tuple[list[Any], str]:
    """Return the resources on the page that a list request asks for, and the next page's token.

    Args:
        messages: All resources of the collection.
        request: A list request: page_size, page_token, filter, and if it has them order_by and
            read_mask.
        fields: The fields that a filter may name.
        more: Further names for filters that are no fields, such as the id, with their readers.
        orders: The fields that order_by may name.

    Raises:
        GcpError: INVALID_ARGUMENT for a filter, an order or a token that is not valid.
    """
    try:
        rows = [
            message
            for message in messages
            if matches(request.filter, _lookup(message, fields, more or {}))
        ]
        order_by = getattr(request, "order_by", "")
        _check_order(order_by, orders)
        rows = ordered(rows, order_by)
    except FilterError as error:
        raise GcpError("INVALID_ARGUMENT", str(error)) from error
    rows, token = page(rows, request)
    return [_read(message, request) for message in rows], token


def last_segment(message: Any) -> str:
    """Return a resource's id: the last segment of its name."""
    name: str = message.name
    return name.rpartition("/")[2].partition("@")[0]


def _lookup(message: Any, fields: Collection[str], more: Mapping[str, Field]) -> FieldLookup:
    """Return a function that reads a resource's fields, limited to those that filters may name."""
    read = of_message(message)

    def lookup(path: str) -> object:
        if path in more:
            return more[path](message)
        if snake(path.partition(".")[0]) not in fields:
            raise FilterError(f"invalid filter: {path!r} is not supported here")
        return read(path)

    return lookup


def snake(name: str) -> str:
    """Return a camelCase name in snake_case."""
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name)


def _check_order(order_by: str, orders: Collection[str]) -> None:
    """Raise FilterError if `order_by` names a field that is not in `orders`."""
    wrong = [
        part.split()[0]
        for part in order_by.split(",")
        if part.strip() and snake(part.split()[0]) not in orders
    ]
    if wrong:
        raise FilterError(f"order_by: {', '.join(wrong)} is not supported; {', '.join(orders)} is")


def _read(message: Any, request: Any) -> Any:
    """Return a copy of a resource with only the fields that the request's read mask names."""
    if "read_mask" not in request.DESCRIPTOR.fields_by_name or not request.read_mask.paths:
        return message
    part = type(message)()
    for path in request.read_mask.paths:
        with suppress(
            KeyError, ValueError
        ):  # Google's own SDK asks for fields that the messages do not have, and for parts of lists
            FieldMask(paths=[path]).MergeMessage(message, part)
    return part
