"""The stored state of a consumer: a small document, and a blob with all that it has counted.

The document `streams/<consumer>` of the StateStore says who reads and where the newest blob is. The
blob `streams/<consumer>/<number>-<digest>.json` holds the kind's state, the places in the streams
and the recent ids, so that they can never differ from each other.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

import msgspec

from ...core.formats import StoredDocument, decode
from ...core.lease import Lease
from ...errors import Invalid, NotFound
from ...storage import BlobStore, StateStore, located
from .recent_ids import StoredIds
from .watermark import Progress

_BLOB = re.compile(r"/([0-9]+)-[0-9a-f]{32}\.json$")


class StreamCheckpoint(StoredDocument, frozen=True, kw_only=True):
    """The document `streams/<consumer>`: who reads, and the last checkpoint of what was read."""

    lease: Lease = Lease()
    number: int = 0  # of the checkpoint; it never goes back, also where the state is thrown away
    state: str = ""  # the blob, relative to the store's root; "": there is none, begin anew
    digest: str = ""  # SHA-256 of the blob
    definition: str = ""  # the digest of the consumer's definition that counted so
    checkpointed: datetime | None = None  # by the wall clock
    written_at: datetime | None = None  # the newest moment under which something was written
    stop: bool = False  # somebody asked the reader to stop
    run: str = ""  # the pipeline run that `stream start` submitted last
    events: int = 0  # since the state began
    behind: float | None = None  # seconds, at the checkpoint; None: not known
    figures: Mapping[str, int] = {}  # the kind's, for people


class StreamState(StoredDocument, frozen=True, kw_only=True):
    """The blob of a checkpoint: all that a worker needs to go on."""

    receipts: Mapping[str, bytes]  # by stream: the place after what the state has seen
    recent: Mapping[str, StoredIds]  # by stream
    progress: Progress
    events: int  # since the state began
    state: bytes  # the kind's


class StoredCheckpoint(msgspec.Struct, frozen=True, kw_only=True):
    """A document `streams/<consumer>` with the token of its version."""

    document: StreamCheckpoint
    token: str | None  # None: it is not there yet


def checkpoint_key(consumer: str) -> str:
    """Return the StateStore's key of a consumer's document."""
    return f"streams/{consumer}"


def read_checkpoint(state: StateStore, consumer: str) -> StoredCheckpoint:
    """Return a consumer's document with its token; an empty one where there is none."""
    key = checkpoint_key(consumer)
    stored = state.get(key)
    if stored is None:
        return StoredCheckpoint(document=StreamCheckpoint(), token=None)
    document = decode(stored.value, StreamCheckpoint, what=f"state {key}")
    return StoredCheckpoint(document=document, token=stored.token)


def write_state(
    blobs: BlobStore, consumer: str, number: int, state: StreamState
) -> tuple[str, str]:
    """Write a checkpoint's blob, and return its name and its digest, which go into the document."""
    data = msgspec.json.encode(state)
    digest = hashlib.sha256(data).hexdigest()
    name = f"{checkpoint_key(consumer)}/{number:08}-{digest[:32]}.json"
    blobs.put(located(blobs.root, name), data)
    return name, digest


def read_state(blobs: BlobStore, consumer: str, document: StreamCheckpoint) -> StreamState:
    """Return the state that a consumer's document names.

    Raises:
        Invalid: The blob is not there, or it is not what was written.
    """
    uri = located(blobs.root, document.state)
    remedy = f"isthmus stream rebuild {consumer}"
    try:
        data = blobs.get(uri)
    except NotFound as error:
        raise Invalid(
            f"checkpoint {document.number} of {consumer} is not there: {uri}", remedy=remedy
        ) from error
    if hashlib.sha256(data).hexdigest() != document.digest:
        raise Invalid(
            f"checkpoint {document.number} of {consumer} is not what was written: {uri}",
            remedy=remedy,
        )
    return decode(data, StreamState, what=uri, remedy=remedy)


def remove_older_states(blobs: BlobStore, consumer: str, number: int) -> None:
    """Delete the blobs of checkpoints before `number`; nobody needs one once that is written.

    A worker that was paused may call it late. It then deletes nothing of a later one.
    """
    for info in list(blobs.list(located(blobs.root, f"{checkpoint_key(consumer)}/"))):
        match = _BLOB.search(info.uri)
        if match and int(match[1]) < number:
            blobs.delete(info.uri)
