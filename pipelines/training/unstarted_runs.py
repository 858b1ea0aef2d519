"""Remove runs that an earlier `train` of this folder wrote and was stopped before it started them.

The folder notes a run before its first document is written, and forgets it once the engine has it.
So nobody else's run can be taken for one: neither a compiled run nor one of another checkout, which
may be about to start.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from ...core.durable import sync_folder
from ...core.user_state import FOLDER, make
from ...errors import AlreadyExists, Denied, IsthmusWarning
from ..runs.document import RunDocument, find, folder_of, run_uri
from ..runs.submission import run_id

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_SETTLED = timedelta(
    minutes=10
)  # a provider's list may not have yet what was started just before the kill


@contextmanager
def starting(project: Project, run: str) -> Iterator[None]:
    """Record in a file that the block writes a training run; the file goes when the block ends.

    If the block fails or the process is killed, the file stays, and the next `train` removes the
    run. The caller holds the project's lock.

    Raises:
        AlreadyExists: the name is that of another run, such as a compiled one.
    """
    if _document(project, run) is not None:
        raise AlreadyExists(
            f"run {run} exists and is another one", remedy="train again: its run has the next name"
        )
    note = _folder(project) / f"{run}.{run_id(project, run)}"
    make(note.parent)
    note.touch()
    sync_folder(note.parent)  # or a power cut might leave the run and not the note
    yield
    note.unlink()


def remove_unstarted(project: Project) -> None:
    """Remove training runs that were written and never started.

    The caller holds the project's lock. If the provider may not remove objects the run stays, and a
    warning says so.
    """
    if project.target.calls.dry_run:
        return
    for note in sorted(_folder(project).glob("*.*")):
        run = note.stem
        if note.suffix != f".{run_id(project, run)}":
            continue  # another target's
        if _is_started(project, run):
            note.unlink()
        elif _is_settled(project, run):
            _remove(project, run, note)


def _document(project: Project, run: str) -> RunDocument | None:
    """Return a run's document (run.json), or None if it was not written."""
    return find(project.target.blobs, run_uri(project.target.blobs.root, run), RunDocument)


def _folder(project: Project) -> Path:
    """Return the local folder of notes about runs that are being submitted."""
    return project.folder / FOLDER / "starting"


def _is_started(project: Project, run: str) -> bool:
    """Return whether the target's engine knows a run, so that it was submitted."""
    return project.target.pipelines.observe(run_id(project, run)) is not None


def _is_settled(project: Project, run: str) -> bool:
    """Return whether a run that was not started will never start, so that it can be removed."""
    document = _document(project, run)
    return (
        document is None
        or not project.target.adapter.remote
        or project.wall() - document.submitted >= _SETTLED
    )


def _remove(project: Project, run: str, note: Path) -> None:
    """Remove the stored files of a run that was never submitted."""
    blobs = project.target.blobs
    try:
        for blob in list(blobs.list(f"{folder_of(run_uri(blobs.root, run))}/")):
            blobs.delete(blob.uri)
    except Denied as error:
        warnings.warn(
            f"run {run} was written and never started, and cannot be removed: {error}",
            IsthmusWarning,
            stacklevel=2,
        )
        return
    note.unlink()
