"""Read the contents that events tell, and those of which vectors are stored already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from ...core.runtime.project import Project
from ...errors import Refused
from ...events.tables.relations import view_name
from ...project.specs.content import Extract, extracted_name, vector_columns
from ...project.specs.description import FeatureView

if TYPE_CHECKING:
    import pyarrow as pa

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECOND = timedelta(milliseconds=1)
EventPlace = tuple[str, int]  # event_id, and the event's time in milliseconds since 1970


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The content that one event tells of its entity, as an extractor reads it."""

    event_id: str
    key: int | str
    event_ms: int
    digest: str
    values: dict[str, Any]  # by attribute

    @property
    def place(self) -> EventPlace:
        """The event's id and time, which tell it from every other."""
        return self.event_id, self.event_ms


class StoredContent(msgspec.Struct, frozen=True, kw_only=True):
    """The newest row of an event in the table of vectors."""

    digest: str
    created_ms: int
    problem: str | None
    extractor: str  # the digest of the version that made the vector


def milliseconds(moment: datetime) -> int:
    """Return an aware time as milliseconds since 1970."""
    return (moment - _EPOCH) // _MILLISECOND


def moment(ms: int) -> datetime:
    """Return milliseconds since 1970 as an aware time."""
    return _EPOCH + ms * _MILLISECOND


def read_contents(project: Project, view: FeatureView, extract: Extract) -> Iterator[Content]:
    """Yield the contents of a view's events up to now, in the order of time."""
    key = project.spec.entities[view.entity].key
    read = ", ".join(name for name in extract.reads if name != key)
    table = project.target.warehouse.query(
        f"SELECT event_id, {key}, event_timestamp, {read} FROM {view_name(extract.event)} "
        f"WHERE {key} IS NOT NULL AND event_timestamp <= $until "
        "ORDER BY event_timestamp, event_id",
        {"until": project.now()},
    )
    for row in _rows(table):
        values = {name: row[name] for name in extract.reads}
        yield Content(
            event_id=row["event_id"],
            key=row[key],
            event_ms=_milliseconds(row["event_timestamp"]),
            digest=_digest(values),
            values=values,
        )


def read_stored(
    project: Project, view: FeatureView, extractor: str | None
) -> dict[EventPlace, StoredContent]:
    """Return the newest stored row of each event of a view, by the event.

    Raises:
        Refused: the rows are of another version than `extractor`, the digest of the view's.
    """
    name = extracted_name(view.name)
    state = project.target.warehouse.observe(name)
    if state is None:
        return {}
    table = project.target.warehouse.query(
        "SELECT event_id, event_timestamp, created_timestamp, content_digest, extractor_digest, "
        f"problem FROM {name} ORDER BY created_timestamp",
        {},
    )
    stored: dict[EventPlace, StoredContent] = {}
    for row in _rows(table):
        stored[row["event_id"], _milliseconds(row["event_timestamp"])] = StoredContent(
            digest=row["content_digest"],
            created_ms=_milliseconds(row["created_timestamp"]),
            problem=row["problem"],
            extractor=row["extractor_digest"],
        )
    if any(row.extractor != extractor for row in stored.values()):
        raise Refused(
            f"{name} has vectors of an extractor that is not {view.name}@1; dimensions of two fits "
            "mean different things, so they are not mixed",
            remedy=f"declare {view.name}_v2 beside it, and train on that",
        )
    return stored


def read_vectors(
    project: Project, view: FeatureView, extract: Extract, digests: Sequence[str]
) -> dict[str, tuple[float, ...]]:
    """Return the stored vectors of contents, by the contents' digests."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not digests:
        return {}
    names = vector_columns(view.name, extract.dimensions)
    table = project.target.warehouse.query(
        f"SELECT content_digest, {', '.join(names)} FROM {extracted_name(view.name)} "
        "WHERE problem IS NULL",
        {},
    )
    needed = table.filter(pc.is_in(table["content_digest"], pa.array(digests, pa.string())))
    return {row["content_digest"]: tuple(row[name] for name in names) for row in _rows(needed)}


def _rows(table: pa.Table) -> Iterator[dict[str, Any]]:
    """Yield a table's rows, some at a time as Python's objects."""
    for batch in table.to_batches(max_chunksize=10_000):
        yield from batch.to_pylist()


def _milliseconds(time: datetime) -> int:
    """Return a warehouse's time, which is UTC without a zone, as milliseconds since 1970."""
    return milliseconds(time.replace(tzinfo=UTC))


def _digest(values: dict[str, Any]) -> str:
    """Return the digest of a content: that of its attributes' JSON."""
    text = json.dumps(list(values.values()), ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:32]
