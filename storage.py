"""The ports that every room uses: BlobStore, StateStore, Inventory; and `wait`, which sleeps.

Nothing else sleeps.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Literal, Protocol, TypeVar

import msgspec

from .errors import Conflict, Invalid, Unavailable

Phase = Literal["creating", "ready", "updating", "deleting", "failed"]


class BlobInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A stored object."""

    uri: str
    size: int  # bytes
    modified: datetime


class Versioned(msgspec.Struct, frozen=True, kw_only=True):
    """A state document with the token of its version."""

    value: bytes
    token: str
    written_at: datetime  # by the server's clock: shows skew, decides nothing


class Resource(msgspec.Struct, frozen=True, kw_only=True):
    """Something of a project that stands on a target."""

    kind: str
    name: str
    native_id: str
    hourly_cost: Decimal | None = None  # USD; None prints `unknown`
    console_url: str | None = None
    adopted: bool = False  # it stood before the project did: deleting it gives it back, running


class LogPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of a log, with the cursor of the next one."""

    lines: tuple[str, ...]
    cursor: str | None


class BlobStore(Protocol):
    """Bytes under URIs below `root`.

    A write is whole or absent; get and list see every finished write.
    """

    root: str  # file:///..., s3://bucket/prefix, gs://bucket/prefix

    def get(self, uri: str) -> bytes:
        """Return the content of the blob (object) at a URI.

        Raises:
            NotFound: There is no such blob.
        """
        ...

    def put(self, uri: str, data: bytes) -> None:
        """Write the blob (object) at a URI, replacing any earlier content."""
        ...

    def list(self, prefix: str) -> Iterator[BlobInfo]:
        """Yield the blobs whose URIs begin with a prefix, in the order of their URIs."""
        ...

    def upload(self, folder: Path, prefix: str) -> None:
        """Upload a local folder's files below a URI prefix, `manifest.json` last.

        It is not atomic: readers look for `manifest.json` first.
        """
        ...

    def download(self, prefix: str, folder: Path) -> None:
        """Download all blobs below a URI prefix into a local folder.

        Raises:
            NotFound: Nothing is below the prefix.
        """
        ...

    def delete(self, uri: str) -> None:
        """Delete the blob at a URI; do nothing if there is none."""
        ...


def below(root: str, uri: str) -> str:
    """Return a URI relative to the store's root, as documents hold it; the store can so be moved.

    A URI of another store is returned whole.
    """
    return uri.removeprefix(root.rstrip("/") + "/")


def located(root: str, name: str) -> str:
    """Return the full URI of a blob, which a stored document names relative to the store's root.

    A full URI is returned as it is: it is another store's, or older than relative names.
    """
    return name if "://" in name else f"{root.rstrip('/')}/{name}"


class StateStore(Protocol):
    """Small documents with compare-and-swap; linearizable per key.

    At most 64 KiB a value and one write a second per key.
    """

    def get(self, key: str) -> Versioned | None:
        """Return a document with its version token and the time of its last write, or None.

        Raises:
            Invalid: The key is none, or the document is damaged.
        """
        ...

    def put(self, key: str, value: bytes, *, expect: str | None) -> str:
        """Write a document by compare-and-swap: only if its token is still `expect`.

        `expect` None: only if there is no such document.

        Returns:
            The new token.

        Raises:
            Conflict: Its token is another one.
        """
        ...

    def delete(self, key: str, *, expect: str) -> None:
        """Delete a document by compare-and-swap: only if its token is still `expect`.

        Raises:
            Conflict: Its token is another one.
        """
        ...

    def keys(self, prefix: str) -> tuple[str, ...]:
        """Return the documents' keys that begin with a prefix, sorted.

        A prefix may end in the middle of a part.
        """
        ...


LARGEST_VALUE = 64 * 1024  # bytes of a StateStore's value


def check_key(key: str) -> None:
    """Raise Invalid if a text cannot be the key of a document in a StateStore."""
    if (
        not key
        or "\0" in key
        or len(key.encode()) > 900
        or key.startswith("/")
        or ".." in key.split("/")
    ):
        raise Invalid(
            f"{key!r} is not a state key",
            remedy="1 to 900 bytes, parts joined by /, none of them ..",
        )


def check_document(key: str, value: bytes) -> None:
    """Raise Invalid if a document's key is wrong, or its value is larger than 64 KiB."""
    check_key(key)
    if len(value) > LARGEST_VALUE:
        raise Invalid(
            f"state {key}: {len(value):,} bytes are more than the {LARGEST_VALUE:,} that a "
            "document may have",
            remedy="keep the data in the BlobStore and its uri here",
        )


def state_conflict(key: str, token: str | None, expect: str | None) -> Conflict:
    """Return the error of a compare-and-swap: `token` is stored, and `expect` was expected.

    Either is None where it stands for an absent document.
    """
    stored = "is absent" if token is None else f"is at {token}"
    return Conflict(
        f"state {key} {stored}, not {'absent' if expect is None else f'at {expect}'}: "
        "somebody else wrote",
        remedy="read it again",
    )


class Inventory(Protocol):
    """The resources with this project's tags: the truth for plan, status and destroy."""

    def list(self, project: str) -> Iterator[Resource]:
        """Yield the cloud resources that carry a project's tags.

        New ones may be missing for minutes, so `plan` looks up every declared name, too.
        """
        ...

    def delete(self, resource: Resource) -> None:
        """Start to delete a cloud resource without waiting for it; do nothing if it is gone.

        Raises:
            Busy: Something uses it.
        """
        ...


class LogSource(Protocol):
    """Optional: the lines that a resource wrote."""

    def tail(self, resource: str, *, after: str | None = None, limit: int = 100) -> LogPage:
        """Return the last `limit` lines that a job or an endpoint printed.

        With `after`, the cursor of an earlier page, they are the first lines after that page.

        Raises:
            NotFound: There is no such resource.
            Invalid: The cursor is none of this log's.
        """
        ...


Seen = TypeVar("Seen")


def wait(
    observe: Callable[[], Seen],
    until: Callable[[Seen], bool],
    *,
    deadline: timedelta,
    what: str = "the change",
    every: timedelta = timedelta(milliseconds=20),
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Seen:
    """Poll `observe` until `until` holds for its result, and return that result.

    The pause between two polls is a tenth of the time waited so far, from `every` to 2 s: quick
    changes are seen quickly, and slow ones are not polled often. `what` is what errors say was
    waited for.

    Raises:
        Unavailable: `deadline` has passed. The work may still end, and it is safe to observe again.
    """
    begun = clock()
    while not until(observation := observe()):
        waited = clock() - begun
        if waited >= deadline.total_seconds():
            raise Unavailable(
                f"{what} did not settle within {deadline}",
                remedy="it may still: look again with `isthmus status`",
            )
        sleep(min(max(waited / 10, every.total_seconds()), 2.0))
    return observation
