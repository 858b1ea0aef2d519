"""Show the contents that an extractor could not read; their vectors are null."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec

from ...core.runtime.project import Project
from ...project.specs.content import extracted_name
from .extraction import find_view


class UnreadableContent(msgspec.Struct, frozen=True, kw_only=True):
    """A content without a vector: of which event and entity, and why."""

    event_id: str
    key: int | str
    event_timestamp: datetime
    problem: str


def unreadable_contents(project: Project, name: str) -> Iterator[UnreadableContent]:
    """Yield the newest row of each event whose content could not be read, newest event first.

    Raises:
        NotFound: there is no such view.
        Invalid: it has no extractor.
    """
    view, _ = find_view(project, name)
    key, table = project.spec.entities[view.entity].key, extracted_name(name)
    if project.target.warehouse.observe(table) is None:
        return
    rows = project.target.warehouse.query(
        f"SELECT event_id, {key}, event_timestamp, problem FROM (SELECT event_id, {key}, "
        "event_timestamp, problem, row_number() OVER (PARTITION BY event_id, event_timestamp ORDER "
        f"BY created_timestamp DESC) AS isthmus_age FROM {table}) AS isthmus_aged WHERE "
        "isthmus_age = 1 AND problem IS NOT NULL ORDER BY event_timestamp DESC, event_id",
        {},
    )
    for row in rows.to_pylist():
        yield UnreadableContent(
            event_id=row["event_id"],
            key=row[key],
            event_timestamp=row["event_timestamp"].replace(tzinfo=UTC),
            problem=row["problem"],
        )
