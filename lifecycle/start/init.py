"""`im.init`: a new project's folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from ...errors import Invalid
from ...project.profiles.profiles import DEFAULT
from ...project.scaffold import create
from ...reports.results import Shown
from .proposal import Missing, propose


class Scaffolded(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """A new project's folder, and its files below it.

    `guesses`: what was read into the columns of `source`. `missing`: the roles that no column
    could be guessed to have. `backfill`: the log reaches so far back that its first `ingest` takes
    --backfill.
    """

    folder: str
    files: tuple[str, ...]
    guesses: tuple[str, ...] = ()
    missing: tuple[Missing, ...] = ()
    backfill: bool = False


def init(
    folder: str | Path,
    *,
    example: str | None = None,
    source: str | Path | Sequence[str | Path] | None = None,
    roles: Mapping[str, str] | None = None,
    targets: Sequence[str] | None = None,
) -> Scaffolded:
    """Create a project in a new or empty folder, from an example or from files of events.

    Args:
        folder: The folder to create.
        example: Which example; None: the shop, or the project for `source`.
        source: The file of events for which a project is proposed; two: what was shown, and what
            came of it.
        roles: Columns of the files by what they say (`user`, `item`, `outcome`, ...), where the
            guess would be wrong.
        targets: Which targets profiles.yaml has. Default: an example's own, else the laptop.

    Raises:
        AlreadyExists: The folder holds something.
        NotFound: There is no such example, or file.
        Invalid: No name, both an example and a file were asked for, there is no such target or
            role, or a file has no events.
    """
    if not str(folder).strip():
        raise Invalid(
            "a project has a name",
            remedy="isthmus init NAME; `.` is the folder that you are in, where it is empty",
        )
    path = Path(folder)
    if source is None:
        if roles:
            raise Invalid("--as names columns of a file", remedy="name the file by --from")
        written = create(path, example=example, targets=targets)
        return Scaffolded(folder=str(folder), files=tuple(map(str, written)))
    if example is not None:
        raise Invalid(
            "a project is begun from an example or from a file, not from both",
            remedy="leave one out",
        )
    sources = [source] if isinstance(source, str | Path) else list(source)
    proposal = propose([Path(file) for file in sources], path, named=roles)
    written = create(path, files=proposal.files, targets=targets or (DEFAULT,))
    return Scaffolded(
        folder=str(folder),
        files=tuple(map(str, written)),
        guesses=proposal.guesses,
        missing=proposal.missing,
        backfill=proposal.backfill,
    )
