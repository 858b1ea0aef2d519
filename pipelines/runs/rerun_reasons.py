"""Tell why a step ran again instead of being found in the cache."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...reports.results import StructRows
from .cache import KeyChange, KeyRecord
from .document import RunDocument, find, open_run
from .step_results import step_folder

if TYPE_CHECKING:
    from ...core.runtime.project import Project

__all__ = ["KeyChange", "why_rerun"]


def why_rerun(project: Project, run: str, step: str | None = None) -> StructRows[KeyChange]:
    """Return why steps of a run were not cached: the parts of the cache key that changed.

    They are compared with the last finished run of the step. Steps come in the graph's order; with
    `step` only that one. A step that was cached, or never finished before, has no changes.

    Raises:
        NotFound: there is no such run or step.
    """
    document = open_run(project.target.blobs, run)
    names = (
        [document.step(step).name]
        if step is not None
        else [declared.name for declared in document.steps]
    )
    return StructRows(change for name in names for change in _changes(project, document, name))


def _changes(project: Project, document: RunDocument, step: str) -> tuple[KeyChange, ...]:
    """Return the changed parts of a step's cache key, for which it ran again."""
    record = _record(project, document, step)
    return record.changes if record else ()


def _record(project: Project, document: RunDocument, step: str) -> KeyRecord | None:
    """Return a step's key.json, the record of why it had to run, or None.

    It is written before the step runs, so that a failed step is explained, too.
    """
    blobs = project.target.blobs
    return find(
        blobs, f"{step_folder(blobs, document.run, document.step(step).name)}/key.json", KeyRecord
    )
