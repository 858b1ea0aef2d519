"""Note when a batch was stored: one moment for all of its rows.

It is noted before the batch's first byte, so that a repeat after a crash writes the same.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime

import msgspec

from ...core.formats import StoredDocument, decode
from ...core.runtime.project import Project
from ...errors import Conflict
from ...project.specs.description import Event


class BatchStamp(StoredDocument, frozen=True, kw_only=True):
    """The stamp of a batch on its way into an event's table.

    It is the document `ingest/<event>/<batch>` of the StateStore, gone when all of the batch is
    there.
    """

    batch: str  # made from its content
    stored_timestamp: datetime


@contextmanager
def stored_timestamp(project: Project, event: Event, batch: str) -> Iterator[datetime]:
    """Yield the time at which a batch counts as stored, which stays the same after a crash.

    It is the present time, or what an interrupted run of the same batch recorded. The record is
    deleted after the block.
    """
    stamp, token = _stamp(project, _key(event, batch), batch)
    yield stamp.stored_timestamp
    with suppress(Conflict):  # another checkout stored the same batch, and has deleted the stamp
        project.target.state.delete(_key(event, batch), expect=token)


def forget(project: Project, event: Event, batch: str) -> None:
    """Delete the recorded storing time of a batch that is stored completely.

    A run that was killed right after its last row has left the record.
    """
    if (document := project.target.state.get(_key(event, batch))) is not None:
        with suppress(Conflict):
            project.target.state.delete(_key(event, batch), expect=document.token)


def _key(event: Event, batch: str) -> str:
    """Return the state store's key for the time at which a batch was stored."""
    return f"ingest/{event.name}/{batch}"


def _stamp(project: Project, key: str, batch: str) -> tuple[BatchStamp, str]:
    """Return a batch's storing time and its document's token; record the present time if none is.

    `key` is the document's, `batch` the batch's name.
    """
    while True:
        if (document := project.target.state.get(key)) is not None:
            return decode(document.value, BatchStamp, what=f"state {key}"), document.token
        stamp = BatchStamp(batch=batch, stored_timestamp=project.log_time())
        with suppress(Conflict):  # another checkout was first
            return stamp, project.target.state.put(key, msgspec.json.encode(stamp), expect=None)
