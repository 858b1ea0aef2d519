"""Events: the catalogue with owners and readers, and how much is stored of each."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

import msgspec

from ....core.runtime.project import Project
from ....events.catalogue.entries import EventEntry, describe
from ....lifecycle.resources.status import TableLine, event_tables
from ....reports import page as kit
from ...parts.reads import ReadFailure, Reads, missing
from ...parts.view import PageContent


class EventsData(msgspec.Struct, frozen=True, kw_only=True):
    events: tuple[EventEntry, ...]  # as `isthmus events list --json`
    tables: list[TableLine] | ReadFailure  # as in `isthmus status --json`
    unread: tuple[ReadFailure, ...]


def page(project: Project, _query: Mapping[str, str]) -> PageContent:
    """Draw the page of all events and the stored rows of their tables, without querying any."""
    reads = Reads()
    entries = tuple(describe(project.spec, name) for name in project.spec.events)
    tables = reads.attempt("what is stored", lambda: event_tables(project))
    stored_tables = [] if isinstance(tables, ReadFailure) else tables
    return PageContent(
        title="Events",
        below=f"What is logged, whose it is, and who reads it. Stored on {project.target.name}, "
        "copies included.",
        parts=(*reads.box(), *_catalogue(entries, stored_tables), *_streams(stored_tables, tables)),
        data=EventsData(events=entries, tables=tables, unread=tuple(reads.unread)),
    )


def _catalogue(entries: tuple[EventEntry, ...], tables: list[TableLine]) -> list[str]:
    """Return an HTML table of all events: description, stored rows, owner, what reads them."""
    if not entries:
        return [kit.words("project.yaml names no event.", "soft")]
    stored = {table.name: rows_text(table) for table in tables if table.kind == "event table"}
    head = ("event", "", "rows stored", "owner", "attributes", "read by")
    rows = [
        (
            kit.link(e.name, path(e.name)),
            e.description,
            stored.get(e.name, ""),
            e.owner,
            f"{len(e.attributes)}",
            readers_text(e),
        )
        for e in entries
    ]
    return [kit.table(head, rows, wordy=(1, 5))]


def _streams(tables: list[TableLine], read: list[TableLine] | ReadFailure) -> list[str]:
    """Return an HTML table of the streams that gateways log to, with their stored rows."""
    if isinstance(read, ReadFailure):
        return [missing(read)]
    rows = [
        (table.name, _STREAMS.get(table.name, ""), rows_text(table))
        for table in tables
        if table.kind == "event stream"
    ]
    return (
        [
            kit.section(
                "What gateways log", kit.table(("stream", "a row is", "rows stored"), rows, wordy=1)
            )
        ]
        if rows
        else []
    )


_STREAMS = {
    "exposures": "an item that was shown, with the probability of showing it there",
    "rankings": "an answer, with all that could have been shown and what rules did",
    "assignments": "a unit that was assigned to an arm of an experiment",
    "shadows": "a copy of a request, as the shadow variant answered it",
}


def path(event: str) -> str:
    """Return the URL path of an event's page."""
    return f"/events/{quote(event, safe='')}"


def rows_text(table: TableLine) -> str:
    """Return the number of a table's rows as text, or that it does not exist or is not counted."""
    if not table.made:
        return "not made yet"
    return "not counted" if table.rows is None else f"{table.rows:,}"


def readers_text(entry: EventEntry) -> str:
    """Return the names of what reads an event (models, views, ...), joined by commas."""
    return ", ".join(entry.readers) or "nobody"
