"""When a batch was stored: one moment for all of its rows, noted before its first byte, so that a repeat after a crash writes the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from ..errors import Conflict
from ..formats import StoredDocument, decode
from ..project.specs import Event
from ..runtime import Project


class BatchStamp(StoredDocument, frozen=True, kw_only=True):
    """What is on its way into an event's table: `ingest/<event>` of the StateStore, gone when all of it is there."""

    batch: str  # made from its content
    stored_timestamp: datetime


@contextmanager
def stored_timestamp(project: Project, event: Event, batch: str) -> Iterator[datetime]:
    """The wall clock's time, or what a run of the same batch that was cut short had noted. UTC, whole milliseconds."""
    noted, token = _note(project, event, batch)
    yield noted.stored_timestamp
    try:
        project.target.state.delete(_key(event), expect=token)
    except Conflict:
        return  # another checkout ingests this event, too: the note is about its batch now


def _note(project: Project, event: Event, batch: str) -> tuple[BatchStamp, str]:
    while True:
        held = project.target.state.get(_key(event))
        if held is not None:
            noted = decode(held.value, BatchStamp, what=f"state {_key(event)}")
            if noted.batch == batch:
                return noted, held.token
        noted = BatchStamp(batch=batch, stored_timestamp=project.wall())
        try:
            return noted, project.target.state.put(_key(event), msgspec.json.encode(noted), expect=held.token if held else None)
        except Conflict:
            continue


def _key(event: Event) -> str:
    return f"ingest/{event.name}"
