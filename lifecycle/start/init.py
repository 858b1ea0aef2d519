"""`im.init`: a new project's folder."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ...errors import Invalid
from ...project.scaffold import create
from ...reports.results import Shown
from .proposal import propose


class Scaffolded(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A new project's folder, and its files below it.

    `guesses`: what was read into the columns of `source`.
    """

    folder: str
    files: tuple[str, ...]
    guesses: tuple[str, ...] = ()


def init(
    folder: str | Path, *, example: str | None = None, source: str | Path | None = None
) -> Scaffolded:
    """Make a project in a new or empty folder.

    It is the shop, another example, or one for the events in the file `source`.

    AlreadyExists: the folder holds something. NotFound: there is no such example, or file. Invalid:
    no name, both were asked for, or the
    file has no events (proposal.propose).
    """
    if not str(folder).strip():
        raise Invalid(
            "a project has a name",
            remedy="isthmus init NAME; `.` is the folder that you are in, where it is empty",
        )
    path = Path(folder)
    if source is None:
        return Scaffolded(folder=str(folder), files=tuple(map(str, create(path, example=example))))
    if example is not None:
        raise Invalid(
            "a project is begun from an example or from a file, not from both",
            remedy="leave one out",
        )
    proposal = propose(Path(source), path)
    return Scaffolded(
        folder=str(folder),
        files=tuple(map(str, create(path, files=proposal.files))),
        guesses=proposal.guesses,
    )
