"""What `isthmus events` does: list, show, diff, quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ...reports.results import Rows, Shown
from ..refusals import open_rows as quarantined
from ..refusals.open_rows import Group
from .changes import Change, at_revision
from .changes import diff as compare
from .entries import EventEntry, describe
from .readers import versions_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project
    from ...project.specs.description import Description


class Quarantine(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """What is open of an event: every reason, and the newest rows (columns:

    `quarantined.quarantine`).
    """

    groups: tuple[Group, ...]
    rows: pa.Table


def list(project: Project | Description) -> Rows[EventEntry]:
    """Every event of project.yaml, in its order."""
    return Rows(describe(project.spec, name) for name in project.spec.events)


def show(project: Project | Description, event: str) -> EventEntry:
    """One event in full. NotFound for an unknown event."""
    return describe(project.spec, event)


def diff(project: Project, revision: str) -> Rows[Change]:
    """What changed in the events since a git revision, breaking changes first.

    NotFound, Invalid: the revision.
    """
    description = project.description
    before = at_revision(project.folder, revision)
    return Rows(
        compare(before, description.spec, versions=versions_of(project), places=description.places)
    )


def quarantine(project: Project, event: str, *, limit: int = 20) -> Quarantine:
    """What was refused and is still open, `limit` rows of it.

    NotFound for an unknown event, or before `apply`.
    """
    return Quarantine(
        groups=quarantined.summary(project, event),
        rows=quarantined.quarantine(project, event, limit=limit),
    )
