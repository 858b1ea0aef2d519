"""The verbs of `isthmus events`: list, show, diff, quarantine."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from ...reports.results import Shown, StructRows
from ..refusals import open_rows as quarantined
from ..refusals.open_rows import Group
from .changes import Change, at_revision
from .changes import diff as compare
from .entries import EventEntry, describe
from .readers import versions_of

if TYPE_CHECKING:
    import pyarrow as pa

    from ...core.runtime.project import Project
    from ...project.specs.description import ParsedProject


class Quarantine(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The open refusals of an event: every reason with its count, and the newest rows.

    The rows' columns are those of `open_rows.quarantine`.
    """

    groups: tuple[Group, ...]
    rows: pa.Table


def list(project: Project | ParsedProject) -> StructRows[EventEntry]:
    """Return every event of project.yaml, in its order."""
    return StructRows(describe(project.spec, name) for name in project.spec.events)


def show(project: Project | ParsedProject, event: str) -> EventEntry:
    """Return the full description of one event.

    Raises:
        NotFound: there is no such event.
    """
    return describe(project.spec, event)


def diff(project: Project, revision: str) -> StructRows[Change]:
    """Return how the events changed since a git revision, breaking changes first.

    Raises:
        NotFound: there is no such revision, or no project.yaml in it.
        Invalid: the folder is in no git repository.
    """
    description = project.description
    old_spec = at_revision(project.folder, revision)
    return StructRows(
        compare(
            old_spec, description.spec, versions=versions_of(project), places=description.places
        )
    )


def quarantine(project: Project, event: str, *, limit: int = 20) -> Quarantine:
    """Return up to `limit` of an event's rows that still wait in quarantine, with the reasons.

    Raises:
        NotFound: there is no such event, or `apply` has not made its tables yet.
    """
    return Quarantine(
        groups=quarantined.summary(project, event),
        rows=quarantined.quarantine(project, event, limit=limit),
    )
