"""`isthmus trust`: use what another machine, user or version wrote in a project.

That is its `.isthmus`, or a stack's home.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ...core import user_state
from ...core.runtime import stacks
from ...errors import Busy, Invalid, IsthmusError, NotFound
from ...reports.results import Shown

_STACKS = "stack"  # in `.isthmus`: where an older version kept the offline stacks


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """Something that lies at the top of the folder."""

    name: str
    files: int
    bytes: int
    derived: bool  # made again by the next command that needs it
    links: tuple[str, ...] = ()  # symbolic links in it, each `path -> where it leads`


class Untrusted(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The names and sizes of a folder's entries, of whose content nothing was read."""

    folder: str
    known: bool  # to this user's state folder already
    entries: tuple[Entry, ...]

    def __str__(self) -> str:
        lines = [f"{self.folder}   {'known already' if self.known else 'not known to this user'}"]
        width = max((len(_plain(entry.name)) for entry in self.entries), default=0)
        for entry in self.entries:
            kind = "made again when needed" if entry.derived else "stored"
            files = f"{entry.files:,} file{'s' if entry.files != 1 else ''}"
            lines.append(
                f"  {_plain(entry.name):{width}}  {files:>12}  {entry.bytes:>13,} bytes  {kind}"
            )
            lines += [f"    link: {_plain(link)}" for link in entry.links]
        return "\n".join(lines)


class Trusted(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """The folders that are known now."""

    folders: tuple[str, ...]
    # clouds whose offline stack's home was moved into the user's state folder
    stacks: tuple[str, ...] = ()

    def __str__(self) -> str:
        moved = (
            f"; what the offline {' and '.join(self.stacks)} held is now in {user_state.root()}"
            if self.stacks
            else ""
        )
        return f"trusted: {', '.join(map(_plain, self.folders))}{moved}"


def untrusted(project: Path) -> tuple[Untrusted, ...]:
    """Return the folders in which a project stores state: contents, and whether it is trusted.

    That is, whether this user trusts the folder. `project` is the folder of project.yaml, which may
    have mistakes.
    """
    return tuple(
        _inspect(folder)
        for folder in _folders(project)
        if folder.is_dir() and not folder.is_symlink()
    )


def trust(project: Path) -> Trusted:
    """Register a project's state folders as trusted, as if this user had made them.

    Raises:
        NotFound: there is none.
        Refused: one is a symbolic link, or git tracks files in it.
        Busy: an older version's stack still runs in it.
    """
    folders = [folder for folder in _folders(project) if os.path.lexists(folder)]
    if not folders:
        raise NotFound(
            f"{project} has no {user_state.FOLDER}: there is nothing to trust",
            remedy="the next command makes it",
        )
    for folder in folders:
        user_state.trust(folder)
        user_state.claim(folder, project, trusted=True)
    return Trusted(
        folders=tuple(map(str, folders)), stacks=tuple(_moved_stacks(project / user_state.FOLDER))
    )


def trust_home(home: Path) -> Trusted:
    """Mark an offline stack's state folder as trusted by this user (`isthmus stack up --home`).

    Nothing in it is unpickled.

    Raises:
        Invalid: it is no stack's home, or one is using it.
    """
    stacks.require_package()
    from isthmus_stack.core.home.home import NotUsable, adopt

    try:
        adopt(home)
    except (NotUsable, OSError) as error:
        raise Invalid(
            str(error), remedy="isthmus trust --home FOLDER, of a stack that was stopped"
        ) from error
    return Trusted(folders=(str(home),))


def _folders(project: Path) -> tuple[Path, ...]:
    """Return the folders on this machine in which the project stores state."""
    from ...project.load import load
    from ...project.profiles.profiles import folders, profiles

    own = project / user_state.FOLDER
    try:
        homes = [
            home
            for profile in profiles(load(project / "project.yaml")).values()
            for home in folders(profile)
        ]
    except IsthmusError:  # of a project that is not right yet; `validate` says what is wrong
        homes = []
    return tuple(dict.fromkeys([own, *homes]))


def _inspect(folder: Path) -> Untrusted:
    """Return what a state folder contains, and whether it is trusted."""
    entries = tuple(_entry(path) for path in sorted(folder.iterdir()) if path.name != user_state.ID)
    return Untrusted(folder=str(folder), known=user_state.is_known(folder), entries=entries)


def _entry(path: Path) -> Entry:
    """Return the number of files, bytes and symbolic links below a path."""
    files = size = 0
    links: list[str] = []
    for place in _below(path):
        if place.is_symlink():
            links.append(f"{place.relative_to(path.parent)} -> {place.readlink()}")
        elif not place.is_dir():
            files, size = files + 1, size + place.lstat().st_size
    return Entry(
        name=path.name,
        files=files,
        bytes=size,
        derived=user_state.is_derived(path.name),
        links=tuple(links),
    )


def _below(path: Path) -> Iterator[Path]:
    """Yield a path and everything below it, without following symbolic links."""
    yield path
    if path.is_dir() and not path.is_symlink():
        for folder, names, files in os.walk(path):
            yield from (Path(folder) / name for name in (*names, *files))


def _moved_stacks(own: Path) -> Iterator[str]:
    """Move the offline stacks' state that an older version left to its new place.

    Yields the clouds of the moved stacks. The older version's records and logs are deleted.
    """
    old, number = own / _STACKS, user_state.known_id(own)
    if old.is_symlink():
        old.unlink()
    if not number or not old.is_dir():
        return
    stacks.require_package()
    from isthmus_stack.core.home.home import NotUsable, adopt

    place = user_state.kept_for(number) / _STACKS
    place.mkdir(mode=0o700, exist_ok=True)
    for home in sorted(
        path for path in old.iterdir() if (path / "home.json").is_file() and not path.is_symlink()
    ):
        if not (place / home.name).exists():
            try:
                adopt(home)
            except NotUsable as error:
                raise Busy(
                    str(error),
                    remedy=f"end that process, or remove {home}; then again: isthmus trust",
                ) from error
            _move(home, place / home.name)
            yield home.name
    shutil.rmtree(old)


def _move(folder: Path, to: Path) -> None:
    """Move a folder atomically, also to another file system."""
    try:
        folder.rename(to)
    except OSError:
        copy = to.with_name(f"{to.name}.moving")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(folder, copy, symlinks=True)
        copy.rename(to)


def _plain(text: str) -> str:
    """Return a file name with non-ASCII and control characters escaped, for the terminal."""
    return ascii(text)[1:-1]
