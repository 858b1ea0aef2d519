"""A store of Vertex AI's resources: messages under their full names, and pages of them."""

from __future__ import annotations

import base64
import binascii
import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from ..errors import GcpError

T = TypeVar("T")


class Resources:
    """The resources of one stack.

    Messages go in and come out as copies: a stored one changes only by `put` and `change`.
    """

    def __init__(self) -> None:
        self._messages: dict[str, Any] = {}
        self.lock = threading.RLock()  # for who reads, decides and writes

    def add(self, name: str, message: Any) -> None:
        """Store a new resource; raise GcpError ALREADY_EXISTS if the name is taken."""
        with self.lock:
            if name in self._messages:
                raise GcpError("ALREADY_EXISTS", f"{name} already exists.")
            self._messages[name] = _copy(message)

    def get(self, kind: str, name: str) -> Any:
        """Return a copy of the resource of that name.

        `kind` is the word for it in the error, as Google writes it: Endpoint.

        Raises:
            GcpError: NOT_FOUND.
        """
        with self.lock:
            message = self._messages.get(name)
            if message is None:
                raise GcpError("NOT_FOUND", f"The {kind} does not exist: {name}")
            return _copy(message)

    def find(self, name: str) -> Any | None:
        """Return a copy of the resource of that name, or None."""
        with self.lock:
            message = self._messages.get(name)
            return None if message is None else _copy(message)

    def put(self, name: str, message: Any) -> None:
        """Store a resource, in place of any other of that name."""
        with self.lock:
            self._messages[name] = _copy(message)

    def change(self, kind: str, name: str, change: Callable[[Any], T]) -> T:
        """Call `change` to edit a stored resource under the lock, and return its result.

        `kind` is the resource's type for the error. Nothing is changed if `change` raises.
        """
        with self.lock:
            message = self.get(kind, name)
            result = change(message)
            self._messages[name] = message
            return result

    def remove(self, name: str) -> None:
        """Remove a resource; removing an absent one succeeds."""
        with self.lock:
            self._messages.pop(name, None)

    def below(self, parent: str, collection: str) -> list[Any]:
        """Return copies of the resources in a parent's collection, in the order of creation."""
        prefix = f"{parent}/{collection}/"
        with self.lock:
            return [
                _copy(m)
                for name, m in self._messages.items()
                if name.startswith(prefix) and "/" not in name[len(prefix) :]
            ]


def page(
    items: Sequence[T], request: Any, *, size: int = 100, most: int = 1000
) -> tuple[list[T], str]:
    """Return the page of `items` that a request asks for, and the next page's token or "".

    A page has `size` items unless the request sets page_size, and never more than `most`.
    """
    if request.page_size < 0:
        raise GcpError("INVALID_ARGUMENT", f"page_size must not be negative: {request.page_size}")
    first = _offset(request.page_token)
    last = first + min(request.page_size or size, most)
    return list(items[first:last]), base64.urlsafe_b64encode(
        str(last).encode()
    ).decode() if last < len(items) else ""


def _offset(token: str) -> int:
    """Return the position in a list that a page token encodes."""
    if not token:
        return 0
    try:
        text = base64.urlsafe_b64decode(token.encode()).decode("ascii")
    except (ValueError, binascii.Error):
        text = ""
    if not text.isdigit():
        raise GcpError("INVALID_ARGUMENT", "The page token is not valid.")
    return int(text)


def _copy(message: Any) -> Any:
    """Return a copy of a protobuf message."""
    copy = type(message)()
    copy.CopyFrom(message)
    return copy
