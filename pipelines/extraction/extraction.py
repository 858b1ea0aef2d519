"""Compute the vectors of a view's contents, and append them to its table, 256 at a time.

A content is known by the digest of what the extractor reads, so that equal contents are computed
once. Killed at any point, running again doubles and loses nothing: the state notes the events of a
batch under a name before the batch is written, and a repeat writes the same batch again.

An event's first row is known at the event's own time, as the rows of other views are: what was
extracted later than the view's history goes becomes a correction of that (materialize.py). An event
whose content was corrected gets a further row, created now.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

import msgspec

from ...core.formats import StoredDocument, decode
from ...core.runtime.project import Project
from ...errors import Busy, Conflict, Invalid, NotFound
from ...events.tables.column_types import arrow_type
from ...feature_store.tables.relations import extracted_columns, extracted_table
from ...feature_store.views.sources import no_view
from ...project.specs.content import Extract, extracted_name, vector_columns
from ...project.specs.description import FeatureView
from .contents import (
    Content,
    EventPlace,
    StoredContent,
    milliseconds,
    moment,
    read_contents,
    read_stored,
    read_vectors,
)
from .extractors import Vector, vectors
from .version import ExtractorVersion, find_version, fit_version, fitted_rows

BATCH = 256  # events


class ExtractionState(StoredDocument, frozen=True, kw_only=True, omit_defaults=True):
    """The document `extractions/<view>`: the batch that was begun, and may not be whole."""

    batch: str = ""
    events: tuple[tuple[str, int, int], ...] = ()  # id, event and created time in ms since 1970


class PlannedExtraction(msgspec.Struct, frozen=True, kw_only=True):
    """The work that `extract` would do on a view."""

    view: str
    fits: bool  # there is no version yet
    items: int  # entities that have content
    contents: int  # different ones
    to_compute: int

    def __str__(self) -> str:
        fit = f"fits {self.view}@1 on what is there, then   " if self.fits else ""
        return f"{self.view}   {fit}{self.to_compute:,} of {self.contents:,} contents to compute"


class Extraction(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of one extraction of a view."""

    view: str
    version: int
    items: int  # entities that have content
    computed: int  # contents, now
    from_before: int  # contents whose vectors were there, or known to be unreadable
    unreadable: int  # contents without a vector, of now and before
    rows: int  # appended to the table of vectors
    extractor: str  # in words

    def __str__(self) -> str:
        return (
            f"{self.view}@{self.version}   {self.items:,} items   {self.computed:,} computed   "
            f"{self.from_before:,} from before   {self.unreadable:,} unreadable   {self.extractor}"
        )


def find_view(project: Project, name: str) -> tuple[FeatureView, Extract]:
    """Return a view that has an extractor, with its section `extract`.

    Raises:
        NotFound: there is no such view.
        Invalid: it has no extractor.
    """
    views = project.spec.feature_views
    if name not in views:
        raise no_view(name, [view.name for view in views.values() if view.extract])
    view = views[name]
    if view.extract is None:
        raise Invalid(
            f"feature_views.{name} has no extract: its SQL computes it",
            remedy=f"isthmus materialize {name}",
        )
    return view, view.extract


def plan_extraction(project: Project, name: str) -> PlannedExtraction:
    """Return what `extract` would do to a view; nothing is changed.

    Raises:
        NotFound: there is no such view.
        Invalid: it has no extractor.
        Refused: project.yaml says something else than what its version was fitted by.
    """
    view, extract = find_view(project, name)
    version = find_version(project, view, extract)
    contents = list(read_contents(project, view, extract))
    stored = read_stored(project, view, version.digest if version else None)
    stored_digests = {row.digest for row in stored.values()}
    digests = {content.digest for content in contents}
    return PlannedExtraction(
        view=name,
        fits=version is None,
        items=len({content.key for content in contents}),
        contents=len(digests),
        to_compute=len(digests - stored_digests),
    )


def extract_view(project: Project, name: str) -> Extraction:
    """Compute what is new or changed of a view's contents; fit its extractor if there is none.

    Raises:
        NotFound: there is no such view, or no event with a content.
        Invalid: the view has no extractor, or that cannot be fitted.
        Refused: project.yaml says something else than what its version was fitted by.
        Busy: another checkout's command extracts the view.
    """
    view, extract = find_view(project, name)
    contents = list(read_contents(project, view, extract))
    version = find_version(project, view, extract)
    stored = read_stored(project, view, version.digest if version else None)
    if not contents:
        raise NotFound(
            f"no {extract.event} has been ingested, so {name} has nothing to extract",
            remedy=f"isthmus ingest {extract.event}",
        )
    project.target.warehouse.apply(extracted_table(project.spec, view, extract))
    if version is None:
        project.progress(f"fit {name}", 0, len(fitted_rows(contents)))
        version = fit_version(project, view, extract, contents)
    writer = _Writer(project, view, extract, version)
    writer.finish_begun(contents)
    stored = read_stored(project, view, version.digest)
    writer.write_new(contents, stored)
    after = stored | writer.written
    digests = {content.digest for content in contents}
    unreadable = {row.digest for row in after.values() if row.problem is not None} & digests
    return Extraction(
        view=name,
        version=version.version,
        items=len({content.key for content in contents}),
        computed=len(writer.computed),
        from_before=len(digests - writer.computed.keys()),
        unreadable=len(unreadable),
        rows=writer.rows,
        extractor=str(version),
    )


class _Writer:
    """The batches of one run: vectors of contents, each content computed once."""

    def __init__(
        self, project: Project, view: FeatureView, extract: Extract, version: ExtractorVersion
    ) -> None:
        self._project, self._view, self._extract, self._version = project, view, extract, version
        self._known: dict[str, Vector] = {}
        self._key = f"extractions/{view.name}"
        self._noted = project.target.state.get(self._key)
        self._token = self._noted.token if self._noted else None
        self.computed: dict[str, Vector] = {}
        self.written: dict[EventPlace, StoredContent] = {}
        self.rows = 0

    def finish_begun(self, contents: Sequence[Content]) -> None:
        """Write a batch again that was begun and not finished: a kill may have left a part."""
        if self._noted is None:
            return
        state = decode(self._noted.value, ExtractionState, what=f"state {self._key}")
        created = {(event_id, event_ms): ms for event_id, event_ms, ms in state.events}
        begun = [content for content in contents if content.place in created]
        if begun:
            self._append(state.batch, begun, created)
            self._note("", {})

    def write_new(
        self, contents: Sequence[Content], stored: dict[EventPlace, StoredContent]
    ) -> None:
        """Write the contents of which the table has no row, or one of an older content."""
        due = [
            content
            for content in contents
            if content.place not in stored or stored[content.place].digest != content.digest
        ]
        self._take_known(due, stored)
        now = milliseconds(self._project.now())
        for start in range(0, len(due), BATCH):
            self._project.progress(f"extract {self._view.name}", start, len(due))
            batch = due[start : start + BATCH]
            created = {content.place: _created_ms(content, stored, now) for content in batch}
            name = f"{self._view.name}-{uuid4().hex}"
            self._note(name, created)
            self._append(name, batch, created)
        if due:
            self._note("", {})
        self._project.progress(f"extract {self._view.name}", len(due), len(due))

    def _take_known(self, due: Sequence[Content], stored: dict[EventPlace, StoredContent]) -> None:
        """Remember the vectors and problems that are stored of contents that are due."""
        digests = {content.digest for content in due}
        self._known |= {
            row.digest: Vector(values=None, problem=row.problem)
            for row in stored.values()
            if row.problem is not None and row.digest in digests
        }
        sound = {row.digest for row in stored.values() if row.problem is None} & digests
        self._known |= {
            digest: Vector(values=values)
            for digest, values in read_vectors(
                self._project, self._view, self._extract, sorted(sound)
            ).items()
        }

    def _note(self, batch: str, created: dict[EventPlace, int]) -> None:
        """Note in the state which batch is about to be written; none when all are.

        Raises:
            Busy: another process has noted something since this run began, such as one of another
                checkout. It writes the batches that are due, and this run would double them.
        """
        state = ExtractionState(
            batch=batch, events=tuple((*place, ms) for place, ms in created.items())
        )
        try:
            self._token = self._project.target.state.put(
                self._key, msgspec.json.encode(state), expect=self._token
            )
        except Conflict as error:
            raise Busy(
                f"another command extracts {self._view.name}",
                remedy="wait for it to end, and run this again",
            ) from error

    def _append(self, name: str, batch: Sequence[Content], created: dict[EventPlace, int]) -> None:
        """Append a batch's rows to the table of vectors, computing what is not known yet."""
        import pyarrow as pa

        unknown = {c.digest: c.values for c in batch if c.digest not in self._known}
        fresh = dict(
            zip(
                unknown,
                vectors(
                    self._version.extractor,
                    list(unknown.values()),
                    dimensions=self._extract.dimensions,
                ),
                strict=True,
            )
        )
        self._known |= fresh
        self.computed |= fresh
        rows = [self._row(content, created[content.place]) for content in batch]
        columns = extracted_columns(self._project.spec, self._view, self._extract)
        table = pa.table(
            {
                column.name: pa.array([row[column.name] for row in rows], arrow_type(column.type))
                for column in columns
            }
        )
        self._project.target.warehouse.append(extracted_name(self._view.name), table, batch=name)
        self.rows += len(rows)
        for content in batch:
            self.written[content.place] = StoredContent(
                digest=content.digest,
                created_ms=created[content.place],
                problem=self._known[content.digest].problem,
                extractor=self._version.digest,
            )

    def _row(self, content: Content, created_ms: int) -> dict[str, Any]:
        """Return a content's row of the table of vectors."""
        vector = self._known[content.digest]
        names = vector_columns(self._view.name, self._extract.dimensions)
        return {
            "event_id": content.event_id,
            self._project.spec.entities[self._view.entity].key: content.key,
            "event_timestamp": moment(content.event_ms).replace(tzinfo=None),
            "created_timestamp": moment(created_ms).replace(tzinfo=None),
            "content_digest": content.digest,
            "extractor_digest": self._version.digest,
            "problem": vector.problem,
            **dict(zip(names, vector.values or (None,) * len(names), strict=True)),
        }


def _created_ms(content: Content, stored: dict[EventPlace, StoredContent], now: int) -> int:
    """Return when a content's row became known: at its event, or now if that was corrected."""
    row = stored.get(content.place)
    return content.event_ms if row is None else max(now, row.created_ms + 1)
