"""Small documents in an object store with compare-and-swap, linearizable for each key.

A lost reply turns success into a failed precondition, since a repeated conditional write meets its
own effect. So the SDK does not repeat these writes; every write carries a nonce of its own, and
after any doubt the key is read: finding our nonce means that we have written. The nonce also makes
sure that a token which hashes the body never comes twice.

A deletion first replaces the object by a tombstone (an object without bytes) under the token, then
removes the tombstone. Otherwise nobody could tell after a lost reply whose deletion took the key
away; and of two deleters that call S3's DeleteObject, both would believe that they were first.
"""

from __future__ import annotations

import base64
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from typing import Protocol

import msgspec

from ....core.formats import StoredDocument, decode
from ....errors import (
    Conflict,
    Invalid,
    IsthmusError,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)
from ....storage import Versioned, check_document, check_key, state_conflict

_ATTEMPTS = 7
# seconds, doubled each time: more than a second in all, as Cloud Storage takes one change of an
# object a second
_PAUSE = 0.05


class StoredObject(msgspec.Struct, frozen=True, kw_only=True):
    """An object with its bytes; an object without bytes is a tombstone."""

    body: bytes
    token: str
    written_at: datetime


class ObjectHead(msgspec.Struct, frozen=True, kw_only=True):
    """An object without its bytes."""

    token: str
    nonce: str
    tombstone: bool


class Objects(Protocol):
    """The objects below one folder of a project's root, by key.

    Errors are Isthmus's; the SDK never repeats `write` and `remove`.
    """

    def read(self, key: str) -> StoredObject | None:
        """Return an object's bytes, token and time of writing, or None if there is none."""
        ...

    def look(self, key: str) -> ObjectHead | None:
        """Return an object's token and write marker (nonce) without reading its bytes, or None."""
        ...

    def write(self, key: str, body: bytes, *, nonce: str, expect: str | None) -> str:
        """Write an object by compare-and-swap on its token, and return its new token.

        Args:
            key: The object's key.
            body: Its bytes.
            nonce: Stored with the object, to recognize this write.
            expect: The token that the object must have; None: there must be no object.

        Raises:
            Conflict: The object is not as expected. So does NotFound.
        """
        ...

    def remove(self, key: str, token: str) -> None:
        """Delete an object if it still has the token; raise Conflict if it has another one."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Return the keys of the objects with a prefix, in any order, without tombstones.

        A tombstone is an object that stands for a deleted document.
        """
        ...

    def uri(self, key: str) -> str:
        """Return the URI of an object, for messages and logs."""
        ...


class Log(Protocol):
    """A session's way to run a call: it is noted in the call log, and its errors are translated."""

    def mutating(self, operation: str, resource: str) -> AbstractContextManager[None]:
        """Log the call in the block, an operation that changes the resource."""
        ...

    def reading(self, operation: str, resource: str) -> AbstractContextManager[None]:
        """Log the call in the block, an operation that only reads the resource."""
        ...


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's names of the operations, for the call log."""

    read: str
    write: str
    remove: str
    list: str


class StateBody(StoredDocument, frozen=True):
    nonce: str
    value: str  # base64


class Documents:
    """The documents below one folder."""

    def __init__(self, objects: Objects, log: Log, words: Words, folder: str) -> None:
        self._objects = objects
        self._log = log
        self._words = words
        self._folder = folder

    def get(self, key: str) -> Versioned | None:
        """Return a document's value, token and time of writing, or None.

        Raises:
            Invalid: The object is damaged.
        """
        check_key(key)
        with self._log.reading(self._words.read, f"{self._folder}/{key}"):
            stored = self._objects.read(key)
        if stored is None or not stored.body:  # a tombstone whose deleter was cut
            return None
        remedy, uri = "somebody else wrote it: restore it", self._objects.uri(key)
        document = decode(stored.body, StateBody, what=uri, remedy=remedy)
        try:
            value = base64.b64decode(document.value)
        except ValueError as error:
            raise Invalid(f"{uri} is damaged: {error}", remedy=remedy) from error
        return Versioned(value=value, token=stored.token, written_at=stored.written_at)

    def put(self, key: str, value: bytes, *, expect: str | None) -> str:
        """Write a document if its token is still `expect`, and return its new token.

        With None there must be no document. Raises Conflict if it has another token, OutcomeUnknown
        if nobody can tell whether this write took effect, and Invalid for a bad key or more than 64
        KiB.
        """
        check_document(key, value)
        nonce = uuid.uuid4().hex
        body = msgspec.json.encode(StateBody(nonce, base64.b64encode(value).decode()))
        with self._log.mutating(self._words.write, f"{self._folder}/{key}"):
            return self._write(key, body, nonce, expect)

    def delete(self, key: str, *, expect: str) -> None:
        """Delete a document if its token is still `expect`.

        A tombstone replaces it first, and is then removed. Raises Conflict if it has another token,
        OutcomeUnknown if nobody can tell whether the deletion took effect.
        """
        check_key(key)
        with self._log.mutating(self._words.remove, f"{self._folder}/{key}"):
            token = self._write(key, b"", uuid.uuid4().hex, expect)
            with suppress(
                IsthmusError
            ):  # the tombstone says it already; a fresh document must stay
                self._objects.remove(key, token)

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the documents' keys that begin with `prefix`, in order, without deleted ones."""
        with self._log.reading(self._words.list, f"{self._folder}/{prefix}"):
            return tuple(sorted(self._objects.keys(prefix)))

    def _write(self, key: str, body: bytes, nonce: str, expect: str | None) -> str:
        """Write an object by compare-and-swap, and return its new token.

        After a lost reply the object is read: the marker (nonce) of this write in it shows that the
        write took effect. Otherwise it is repeated while the token is still `expect`. Raises
        Conflict or OutcomeUnknown.
        """
        token, unsure = expect, False
        for attempt in range(_ATTEMPTS):
            try:
                return self._objects.write(key, body, nonce=nonce, expect=token)
            except (Conflict, NotFound, OutcomeUnknown, Throttled, Unavailable) as error:
                unsure = unsure or isinstance(error, OutcomeUnknown)
                current = self._look(key)
                if current is not None and current.nonce == nonce:
                    return current.token
                if not _still(current, expect):
                    raise _lost_reply(key, current, expect, unsure=unsure) from error
                deleted = current is not None and current.tombstone
                if attempt == _ATTEMPTS - 1 and not (
                    deleted and isinstance(error, (Conflict, NotFound))
                ):
                    raise
                # absent to everybody, not yet to the store
                token = current.token if current is not None and deleted else expect
            time.sleep(_PAUSE * 2**attempt)  # as the SDK would between its own retries
        raise Unavailable(
            f"writing {key}: it kept changing between present and deleted", remedy="run this again"
        )

    def _look(self, key: str) -> ObjectHead | None:
        """Return a document's token and write marker (nonce), or None if it is absent."""
        return self._objects.look(key)


def _still(current: ObjectHead | None, expect: str | None) -> bool:
    """Return whether a document still has the token `expect`, so that its write can be repeated.

    `current` is what is stored now, None if there is nothing.
    """
    if current is None or current.tombstone:
        return expect is None
    return current.token == expect


def _lost_reply(
    key: str, current: ObjectHead | None, expect: str | None, *, unsure: bool
) -> IsthmusError:
    """Return the error for a failed write: Conflict, or OutcomeUnknown if `unsure`.

    `current` is what is stored now; `expect` is the token that the writer expected.
    """
    if unsure:
        return OutcomeUnknown(
            f"state {key}: the reply was lost and the key has changed since",
            remedy="read it, then decide",
        )
    return state_conflict(
        key, None if current is None or current.tombstone else current.token, expect
    )
