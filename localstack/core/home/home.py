"""The folder in which a stack keeps what it holds, one stack at a time.

It has records under names, each written whole or not at all.
"""

from __future__ import annotations

import contextlib
import hmac
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from . import pickles, seals
from .folders import LOCK, OwnedFolder, Taken, remove_tree

FORMAT = 2
_UNSEALED = 1  # the format in which records carried no seal
_ABOUT = "home.json"
BODY = ".body"  # ends the name of what is kept as it is: the bytes of an object
LISTENING = "listening.json"  # where the stack listens that runs in this home: run.Ready
_FRESH = ".new"  # ends the name of what is being written
_EMPTY = (LOCK, f"{_ABOUT}{_FRESH}")  # what a start that was killed may have left


class NotUsable(RuntimeError):
    """The folder cannot be this stack's home. The message says why, and what to do."""


class _About(msgspec.Struct, frozen=True, kw_only=True):
    """The description of a home, in its own file."""

    format: int
    cloud: str
    versions: Mapping[str, str]  # of what reads the records
    moto_answers: bool  # what nobody executed may be among them
    seal: str = ""  # of the rest, in hex: a stack of this user made the home

    def sealed(self) -> _About:
        """Return the same description of a data directory, signed with this user's key."""
        rest = msgspec.structs.replace(self, seal="")
        return msgspec.structs.replace(rest, seal=seals.seal(msgspec.json.encode(rest)).hex())

    def is_ours(self) -> bool:
        """Return whether the description is signed with this user's key."""
        return hmac.compare_digest(self.seal.encode(), self.sealed().seal.encode())


class Home:
    """The home of a running stack.

    `versions` are the distributions whose classes are in the records. `moto_answers` is as the
    stack has it, for all of the home's life.

    Raises:
        NotUsable: It is another stack's, of another format, not a home, not this user's, or the
            system refuses it.
    """

    def __init__(
        self, folder: Path, cloud: str, versions: Mapping[str, str], *, moto_answers: bool
    ) -> None:
        self.folder = folder.absolute()
        expected = _About(format=FORMAT, cloud=cloud, versions=versions, moto_answers=moto_answers)
        try:
            self._take(expected)
        except OSError as error:
            raise NotUsable(
                f"{self.folder} cannot be a stack's home ({error.strerror or error}); name "
                "another folder"
            ) from error
        except seals.NoKey as error:
            raise NotUsable(str(error)) from error

    def _take(self, expected: _About) -> None:
        """Lock the data directory; describe a new one as `expected`, check another against it."""
        new = [folder for folder in (self.folder, *self.folder.parents) if not folder.exists()]
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for folder in new:
            _sync(folder.parent)
        about = self.folder / _ABOUT
        if not about.exists() and any(path.name not in _EMPTY for path in self.folder.iterdir()):
            raise NotUsable(
                f"{self.folder} holds something else than a stack's home; name an empty folder"
            )
        if self.folder.stat().st_uid != os.getuid():
            raise NotUsable(
                f"{self.folder} belongs to another user: what is kept in it could run "
                "commands as you; name a folder of your own"
            )
        try:
            self._owned = OwnedFolder(self.folder)
        except Taken as error:
            raise NotUsable(
                f"another stack runs in {self.folder}; stop it, or name another folder"
            ) from error
        try:
            if about.exists():
                _check(self.folder, about.read_bytes(), expected)
            else:
                self.write(_ABOUT, msgspec.json.encode(expected.sealed()))
            for path in self.folder.rglob(f"*{_FRESH}"):  # of a write that did not end
                path.unlink()
        except BaseException:
            self._owned.leave()
            raise

    def write(self, name: str, record: bytes) -> None:
        """Write a file of the data directory durably (synced to disk).

        Raises:
            OSError: The file cannot be written; then its content is as it was.
        """
        _write(self.folder, name, record)

    def read(self, name: str) -> bytes:
        """Read a file of the data directory."""
        return (self.folder / name).read_bytes()

    def remove(self, name: str) -> None:
        """Delete a file of the data directory durably; an absent one is no error."""
        path = self.folder / name
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync(path.parent)

    def names(self, under: str) -> Iterator[str]:
        """Yield the names of the files below a folder of the data directory."""
        for path in sorted((self.folder / under).rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.folder))

    def drop(self, name: str) -> None:
        """Delete a file of the data directory without syncing; a power cut may restore it.

        An absent one is no error.
        """
        with contextlib.suppress(FileNotFoundError):
            (self.folder / name).unlink()

    def clear(self, under: str) -> None:
        """Delete every file below a folder of the data directory durably.

        Raises:
            OSError: A file stays.
        """
        folder = self.folder / under
        remove_tree(folder)
        if folder.parent.exists():
            _sync(folder.parent)

    def close(self) -> None:
        """Release the lock on the data directory for another stack."""
        self._owned.leave()


def adopt(folder: Path) -> None:
    """Sign a data directory of another user or an older stack, so that this user's can load it.

    Nothing is unpickled. It may be done again.

    Raises:
        NotUsable: The folder is no data directory, a newer stack wrote it, a stack runs in it, or a
            link lies in it.
    """
    folder = folder.absolute()
    try:
        about = msgspec.json.decode((folder / _ABOUT).read_bytes(), type=_About)
    except (OSError, msgspec.DecodeError) as error:
        raise NotUsable(
            f"{folder} is not a stack's home: its {_ABOUT} cannot be read ({error})"
        ) from error
    if about.format not in (_UNSEALED, FORMAT):
        raise NotUsable(
            f"{folder} was written by another stack (format {about.format}, this one has {FORMAT})"
        )
    try:
        owned = OwnedFolder(folder)
    except Taken as error:
        raise NotUsable(f"a stack runs in {folder}; stop it first") from error
    try:
        _seal(folder, foreign=0 if about.format == _UNSEALED else seals.SIZE)
        _write(
            folder,
            _ABOUT,
            msgspec.json.encode(msgspec.structs.replace(about, format=FORMAT).sealed()),
        )
    except seals.NoKey as error:
        raise NotUsable(str(error)) from error
    finally:
        owned.leave()


def _seal(folder: Path, *, foreign: int) -> None:
    """Sign each file of a data directory that lacks this user's signature.

    `foreign` is the length of another user's signature, which such a file begins with.
    """
    paths = sorted(folder.rglob("*"))
    if link := next((path for path in paths if path.is_symlink()), None):
        raise NotUsable(f"{link} is a symbolic link; remove it first")
    for path in paths:
        if path.is_file() and path.parent != folder and path.suffix not in (BODY, _FRESH):
            record = path.read_bytes()
            if pickles.unsealed(record) is None:
                _write(folder, str(path.relative_to(folder)), pickles.sealed(record[foreign:]))


def _write(home: Path, name: str, record: bytes) -> None:
    """Write a file of a data directory atomically: to a temporary file that is renamed."""
    path = home / name
    new = () if path.parent.exists() else path.relative_to(home).parents
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f"{path.name}{_FRESH}")
    with open(fresh, "wb", opener=_private) as file:
        file.write(record)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    for folder in {
        path.parent,
        *(home / name for name in new),
    }:  # or the name may be lost with the machine's power
        _sync(folder)


def _private(path: str, flags: int) -> int:
    """Open a file with permissions for this user only, and return its descriptor."""
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    """Sync a folder's entries to disk, so that new names survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(folder: Path, text: bytes, expected: _About) -> None:
    """Raise NotUsable if a data directory does not match this stack's cloud and versions.

    `text` is the directory's description of itself, and `expected` the one of this stack.
    """
    try:
        about = msgspec.json.decode(text, type=_About)
    except msgspec.DecodeError as error:
        raise NotUsable(
            f"{folder / _ABOUT} cannot be read ({error}); name another folder"
        ) from error
    if about.cloud != expected.cloud:
        raise NotUsable(
            f"{folder} is the home of a stack for {about.cloud}, not for {expected.cloud}; "
            "name another folder"
        )
    if about.format != expected.format:
        newer = "a newer stack" if about.format > expected.format else "an older stack"
        remedy = (
            f"{_YOURS}, or name another folder"
            if about.format == _UNSEALED
            else "name another folder"
        )
        raise NotUsable(
            f"{folder} was written by {newer} (format {about.format}, this one has "
            f"{expected.format}); {remedy.format(folder)}"
        )
    for name, version in expected.versions.items():
        if about.versions.get(name) != version:
            raise NotUsable(
                f"{folder} was written with {name} {about.versions.get(name, 'unknown')}, here is "
                f"{version}: pip install {name}=={about.versions.get(name, '')}, or name another "
                "folder"
            )
    if about.moto_answers != expected.moto_answers:
        written, remedy = (
            ("with", "start with it") if about.moto_answers else ("without", "start without it")
        )
        raise NotUsable(
            f"{folder} was written {written} --moto-answers; {remedy}, or name another folder"
        )
    if not about.is_ours():
        raise NotUsable(
            f"{folder} was not made by a stack of this user, as {seals.file()} tells: what "
            "is kept in it could run commands as you; "
            f"{_YOURS.format(folder)}, else name another folder"
        )


_YOURS = "if it is yours, run isthmus-stack trust --home {}"
