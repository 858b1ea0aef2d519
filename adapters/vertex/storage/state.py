"""StateStore in Cloud Storage: an object's generation is its token, its metadata has the nonce.

There are no automatic retries: the client would repeat a conditional write and meet its own effect.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any, final

from ....errors import Conflict, NotFound
from ....target import Target
from ....times import utc_milliseconds
from ...common.storage.documents import Documents, ObjectHead, StoredObject, Words
from ..errors import translated
from ..session import CONTROL, VertexSession, retry, session_of
from .blobs import list_blobs

_FOLDER = "state"
_WORDS = Words(
    read="storage.objects.get",
    write="storage.objects.insert",
    remove="storage.objects.delete",
    list="storage.objects.list",
)


def state(target: Target) -> Documents:
    """Return a target's StateStore, which keeps small documents in Cloud Storage."""
    session = session_of(target)
    return Documents(_GcsObjects(session), session, _WORDS, _FOLDER)


@final
class _GcsObjects:
    """The objects below the folder of states, for `Documents`."""

    def __init__(self, session: VertexSession) -> None:
        self._session = session

    def read(self, key: str) -> StoredObject | None:
        """Return an object with its bytes and the generation that was read, or None."""
        while (blob := self._get(key)) is not None:
            with (
                suppress(Conflict, NotFound),
                translated(f"reading {key}"),
            ):  # another generation has taken its place in between
                body = blob.download_as_bytes(if_generation_match=blob.generation, retry=retry())
                return StoredObject(
                    body=body, token=str(blob.generation), written_at=utc_milliseconds(blob.updated)
                )
        return None

    def look(self, key: str) -> ObjectHead | None:
        """Return an object's token and write marker (nonce), or None if it is absent."""
        blob = self._get(key)
        if blob is None:
            return None
        return ObjectHead(
            token=str(blob.generation),
            nonce=(blob.metadata or {}).get("nonce", ""),
            tombstone=blob.size == 0,
        )

    def write(self, key: str, body: bytes, *, nonce: str, expect: str | None) -> str:
        """Write an object if its generation is still `expect`, and return the new generation.

        `nonce` is stored with it, to recognize this write.
        """
        blob = self._blob(key)
        blob.metadata = {"nonce": nonce}
        with translated(f"writing {key}", effect=True):
            blob.upload_from_string(
                body,
                content_type="application/json",
                if_generation_match=_generation(expect),
                retry=None,
                timeout=CONTROL,
            )
        return str(blob.generation)

    def remove(self, key: str, token: str) -> None:
        """Delete an object if its generation is still `token`."""
        with translated(f"deleting {key}"):
            self._blob(key).delete(
                if_generation_match=_generation(token), retry=None, timeout=CONTROL
            )

    def keys(self, prefix: str) -> Iterator[str]:
        """Yield the keys of documents that begin with a prefix."""
        start = self._session.key(_FOLDER, "")
        return (
            blob.name[len(start) :]
            for blob in list_blobs(self._session, start + prefix)
            if blob.size
        )

    def uri(self, key: str) -> str:
        """Return the gs:// URI of a document."""
        return f"{self._session.root}/{_FOLDER}/{key}"

    def _blob(self, key: str) -> Any:
        """Return the Cloud Storage client's Blob for a document's key."""
        return self._session.blobs().blob(self._session.key(_FOLDER, key))

    def _get(self, key: str) -> Any:
        """Return the Cloud Storage client's Blob of an object's newest generation, or None."""
        with translated(f"looking at {key}"):
            return self._session.blobs().get_blob(
                self._session.key(_FOLDER, key), retry=retry(), timeout=CONTROL
            )


def _generation(token: str | None) -> int:
    """Return the object generation that a token stands for; 0 if the object must be absent.

    Raises Conflict for a text that is no token of this store.
    """
    if token is None:
        return 0
    if not token.isdecimal() or int(token) == 0:
        raise Conflict(f"{token!r} is no generation: somebody else's token", remedy="read it again")
    return int(token)
