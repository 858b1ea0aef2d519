"""Store what people say of a run: tags and a note, in `runs/<run>/notes.json`.

They may change; the record beside it never does.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from typing import TYPE_CHECKING

from ...core.formats import StoredDocument
from ...errors import Invalid
from ...reports.results import Shown
from ...storage import BlobStore
from ..runs.document import find, runs_folder, write
from . import runs

if TYPE_CHECKING:
    from ...core.runtime.project import Project

_TAG = r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,62}"
_LONGEST = 2000  # characters of a note


class Notes(Shown, StoredDocument, frozen=True, kw_only=True):
    tags: tuple[str, ...] = ()  # in alphabetical order
    note: str = ""


def notes_uri(blobs: BlobStore, run: str) -> str:
    """Return the URI of the document with a training run's tags and note."""
    return f"{runs_folder(blobs.root)}/{run}/notes.json"


def read(blobs: BlobStore, run: str) -> Notes:
    """Return a training run's tags and note, or empty ones.

    Raises:
        Refused: they are of a newer format.
    """
    return find(blobs, notes_uri(blobs, run), Notes) or Notes()


def check(*, tags: Collection[str] = (), note: str | None = None) -> None:
    """Raise Invalid for a malformed tag of a run, or a note that is too long."""
    if wrong := next((tag for tag in tags if not re.fullmatch(_TAG, tag)), None):
        raise Invalid(
            f"{wrong!r} is not a tag",
            remedy="letters, digits and . _ : / - without spaces, at most 63: cold-start",
        )
    if note is not None and len(note) > _LONGEST:
        raise Invalid(
            f"the note has {len(note):,} characters, more than {_LONGEST:,}",
            remedy="write it into a file, and note where that is",
        )


def tag(
    project: Project, run: str, tags: Collection[str], *, remove: Collection[str] = ()
) -> Notes:
    """Add and remove tags of a training run, and return its tags and note.

    Raises:
        NotFound: there is no such run.
        Invalid: it is no tag.
    """
    check(tags=tags)
    return _change(project, run, add=tags, remove=remove)


def note(project: Project, run: str, text: str) -> Notes:
    """Write a training run's note over the previous one; an empty text removes it.

    Raises:
        NotFound: there is no such run.
        Invalid: it is too long.
    """
    check(note=text)
    return _change(project, run, note=text)


def _change(
    project: Project,
    run: str,
    *,
    add: Collection[str] = (),
    remove: Collection[str] = (),
    note: str | None = None,
) -> Notes:
    """Change a training run's tags and note, store and return them."""
    blobs = project.target.blobs
    runs.get_run(project, run)
    with project.lock("runs"):
        previous = read(blobs, run)
        tags = tuple(sorted({*previous.tags, *add} - set(remove)))
        changed = Notes(tags=tags, note=previous.note if note is None else note.strip())
        if changed != previous:
            write(blobs, notes_uri(blobs, run), changed)
    return changed
