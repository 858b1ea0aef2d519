"""Store how far a view's history is published: one document per view, moved by compare-and-swap."""

from __future__ import annotations

from datetime import datetime

import msgspec

from ...core.formats import StoredDocument, decode
from ...core.runtime.project import Project


class Watermark(StoredDocument, frozen=True, kw_only=True, omit_defaults=True):
    """The state of a view's history: readers see rows with created_timestamp <= `until`.

    Batches are numbered; `pending` is one that has begun.
    """

    until: datetime | None = None
    sequence: int = 0  # batches published
    rows: int = 0  # ... and their rows
    lag_ms: int | None = None  # created - event, while it is the same in every row
    steady: bool = True  # false once two rows differ in it
    pending: datetime | None = (
        None  # the `until` of batch number sequence + 1: a crash repeats exactly that batch
    )
    synced: datetime | None = None  # the online store serves what was known then
    checked: str | None = (
        None  # digest of the SQL that was last found to see no later data (as_known.py)
    )


class VersionedWatermark(msgspec.Struct, frozen=True, kw_only=True):
    """A view's watermark with the token that its next move expects; None if it was never moved."""

    mark: Watermark
    token: str | None


def _key(view: str) -> str:
    """Return the state store's key of a view's watermark."""
    return f"views/{view}"


def read(project: Project, view: str) -> VersionedWatermark:
    """Read a view's watermark from the state store; an empty one if it was never materialized."""
    document = project.target.state.get(_key(view))
    if document is None:
        return VersionedWatermark(mark=Watermark(), token=None)
    return VersionedWatermark(
        mark=decode(document.value, Watermark, what=f"state {_key(view)}"), token=document.token
    )


def move(
    project: Project, view: str, current: VersionedWatermark, **changes: object
) -> VersionedWatermark:
    """Store a view's watermark with some fields changed, and return it.

    Raises:
        Conflict: another process moved it first.
    """
    mark = msgspec.structs.replace(current.mark, **changes)
    token = project.target.state.put(_key(view), msgspec.json.encode(mark), expect=current.token)
    return VersionedWatermark(mark=mark, token=token)
