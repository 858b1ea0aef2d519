"""Small documents in an object store with compare-and-swap, linearizable per key: conditional
writes and a nonce.

A lost reply turns success into a failed precondition, as whoever repeats a conditional write meets
its own effect. So the SDK does not repeat these, every write carries a nonce of its own, and after
any doubt the key is looked at: our nonce means that we have written. The nonce also makes a token
that hashes the body one that never comes twice.

A deletion is a tombstone (an object without bytes) put under the token, then removed. Else nobody
could tell, after a lost reply, whose deletion it was that took the key away; and of S3's
DeleteObject two deleters would believe that they were first.
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


class Stored(msgspec.Struct, frozen=True, kw_only=True):
    """An object's bytes; none: a tombstone."""

    body: bytes
    token: str
    written_at: datetime


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """An object without its bytes."""

    token: str
    nonce: str
    tombstone: bool


class Objects(Protocol):
    """The objects below a folder of a project's root, by key.

    Errors are ours; `write` and `remove` are never repeated by the SDK.
    """

    def read(self, key: str) -> Stored | None:
        """Bytes, token and time of one version. None: absent."""
        ...

    def look(self, key: str) -> Seen | None:
        """The same without the bytes."""
        ...

    def write(self, key: str, body: bytes, *, nonce: str, expect: str | None) -> str:
        """The new token.

        None: it must be absent. Conflict or NotFound where it is not as expected.
        """
        ...

    def remove(self, key: str, token: str) -> None:
        """Conflict where it is not as the token says."""
        ...

    def keys(self, prefix: str) -> Iterator[str]:
        """Without tombstones, in any order."""
        ...

    def uri(self, key: str) -> str: ...


class Log(Protocol):
    """A session's way of an effect and of a read: in the call log, errors translated."""

    def mutating(self, operation: str, resource: str) -> AbstractContextManager[None]: ...

    def reading(self, operation: str, resource: str) -> AbstractContextManager[None]: ...


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's words for the call log."""

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
        """The value, its token and when the store wrote it; None: absent, or deleted a moment ago.

        Invalid: a damaged object.
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
        """One conditional write.

        Conflict; OutcomeUnknown: nobody can tell any more; Invalid: the key, or over 64 KiB.
        """
        check_document(key, value)
        nonce = uuid.uuid4().hex
        body = msgspec.json.encode(StateBody(nonce, base64.b64encode(value).decode()))
        with self._log.mutating(self._words.write, f"{self._folder}/{key}"):
            return self._write(key, body, nonce, expect)

    def delete(self, key: str, *, expect: str) -> None:
        """A tombstone takes its place under `expect`, then goes, too. Conflict; OutcomeUnknown."""
        check_key(key)
        with self._log.mutating(self._words.remove, f"{self._folder}/{key}"):
            token = self._write(key, b"", uuid.uuid4().hex, expect)
            with suppress(
                IsthmusError
            ):  # the tombstone says it already; a fresh document must stay
                self._objects.remove(key, token)

    def keys(self, prefix: str) -> tuple[str, ...]:
        """In order, all that begin with `prefix`; what is being deleted is not among them."""
        with self._log.reading(self._words.list, f"{self._folder}/{prefix}"):
            return tuple(sorted(self._objects.keys(prefix)))

    def _write(self, key: str, body: bytes, nonce: str, expect: str | None) -> str:
        """One conditional write and what follows from its answer.

        Conflict, or OutcomeUnknown when nobody can tell any more.
        """
        token, unsure = expect, False
        for attempt in range(_ATTEMPTS):
            try:
                return self._objects.write(key, body, nonce=nonce, expect=token)
            except (Conflict, NotFound, OutcomeUnknown, Throttled, Unavailable) as error:
                unsure = unsure or isinstance(error, OutcomeUnknown)
                seen = self._look(key)
                if seen is not None and seen.nonce == nonce:
                    return seen.token
                if not _still(seen, expect):
                    raise _lost_reply(key, seen, expect, unsure=unsure) from error
                deleted = seen is not None and seen.tombstone
                if attempt == _ATTEMPTS - 1 and not (
                    deleted and isinstance(error, (Conflict, NotFound))
                ):
                    raise
                token = (
                    seen.token if seen is not None and deleted else expect
                )  # absent to everybody, not yet to the store
            time.sleep(_PAUSE * 2**attempt)  # as the SDK would between its own retries
        raise Unavailable(
            f"writing {key}: it kept changing between present and deleted", remedy="run this again"
        )

    def _look(self, key: str) -> Seen | None:
        return self._objects.look(key)


def _still(seen: Seen | None, expect: str | None) -> bool:
    """Whether the key is as the writer expects it: then the write may be sent again."""
    if seen is None or seen.tombstone:
        return expect is None
    return seen.token == expect


def _lost_reply(key: str, seen: Seen | None, expect: str | None, *, unsure: bool) -> IsthmusError:
    if unsure:
        return OutcomeUnknown(
            f"state {key}: the reply was lost and the key has changed since",
            remedy="read it, then decide",
        )
    return state_conflict(key, None if seen is None or seen.tombstone else seen.token, expect)
