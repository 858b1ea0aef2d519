"""When a batch was stored: one moment for all of its rows, noted before its first byte, so that a
repeat after a crash writes the same.
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
    """A batch on its way into an event's table:

    `ingest/<event>/<batch>` of the StateStore, gone when all of it is there.
    """

    batch: str  # made from its content
    stored_timestamp: datetime


@contextmanager
def stored_timestamp(project: Project, event: Event, batch: str) -> Iterator[datetime]:
    """The wall clock's time, or what a run of the same batch that was cut short had noted.

    UTC, whole milliseconds.
    """
    stamp, token = _stamp(project, _key(event, batch), batch)
    yield stamp.stored_timestamp
    with suppress(Conflict):  # another checkout stored the same batch, and has deleted the stamp
        project.target.state.delete(_key(event, batch), expect=token)


def forget(project: Project, event: Event, batch: str) -> None:
    """Of a batch that is there: the stamp, which a run that died right after its last row has left."""
    if (document := project.target.state.get(_key(event, batch))) is not None:
        with suppress(Conflict):
            project.target.state.delete(_key(event, batch), expect=document.token)


def _key(event: Event, batch: str) -> str:
    return f"ingest/{event.name}/{batch}"


def _stamp(project: Project, key: str, batch: str) -> tuple[BatchStamp, str]:
    while True:
        if (document := project.target.state.get(key)) is not None:
            return decode(document.value, BatchStamp, what=f"state {key}"), document.token
        stamp = BatchStamp(batch=batch, stored_timestamp=project.log_time())
        with suppress(Conflict):  # another checkout was first
            return stamp, project.target.state.put(key, msgspec.json.encode(stamp), expect=None)
