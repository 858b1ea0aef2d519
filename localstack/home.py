"""The folder in which a stack keeps what it holds: records under names, each written whole or not at all, for one stack at a time."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from .folders import LOCK, Owned, Taken, remove_tree

FORMAT = 1
_ABOUT = "home.json"
_FRESH = ".new"  # ends the name of what is being written
_EMPTY = (LOCK, f"{_ABOUT}{_FRESH}")  # what a start that was killed may have left


class NotUsable(RuntimeError):
    """The folder cannot be this stack's home. The message says why, and what to do."""


class _About(msgspec.Struct, frozen=True, kw_only=True):
    format: int
    cloud: str
    versions: Mapping[str, str]  # of what reads the records
    moto_answers: bool  # what nobody executed may be among them


class Home:
    """`versions`: distributions whose classes are in the records. `moto_answers`: as the stack has it, for all of the home's life.

    NotUsable: another stack's, of another format, not a home, or the system refuses it.
    """

    def __init__(self, folder: Path, cloud: str, versions: Mapping[str, str], *, moto_answers: bool) -> None:
        self.folder = folder.absolute()
        wanted = _About(format=FORMAT, cloud=cloud, versions=versions, moto_answers=moto_answers)
        try:
            self._take(wanted)
        except OSError as error:
            raise NotUsable(f"{self.folder} cannot be a stack's home ({error.strerror or error}); name another folder") from error

    def _take(self, wanted: _About) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        about = self.folder / _ABOUT
        if not about.exists() and any(path.name not in _EMPTY for path in self.folder.iterdir()):
            raise NotUsable(f"{self.folder} holds something else than a stack's home; name an empty folder")
        if self.folder.stat().st_uid != os.getuid():
            raise NotUsable(
                f"{self.folder} belongs to another user: what is kept in it could run commands as you; name a folder of your own"
            )
        try:
            self._owned = Owned(self.folder)
        except Taken as error:
            raise NotUsable(f"another stack runs in {self.folder}; stop it, or name another folder") from error
        try:
            if about.exists():
                _check(self.folder, about.read_bytes(), wanted)
            else:
                self.write(_ABOUT, msgspec.json.encode(wanted))
            for path in self.folder.rglob(f"*{_FRESH}"):  # of a write that did not end
                path.unlink()
        except BaseException:
            self._owned.leave()
            raise

    def write(self, name: str, record: bytes) -> None:
        """It is on the disk when this returns. OSError when that is impossible; then the record is as it was."""
        path = self.folder / name
        new = () if path.parent.exists() else path.relative_to(self.folder).parents
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_name(f"{path.name}{_FRESH}")
        with open(fresh, "wb", opener=_private) as file:
            file.write(record)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
        for folder in {path.parent, *(self.folder / name for name in new)}:  # or the name may be lost with the machine's power
            _sync(folder)

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            (self.folder / name).unlink()

    def names(self, under: str) -> Iterator[str]:
        """The records below a folder."""
        for path in sorted((self.folder / under).rglob("*")):
            if path.is_file():
                yield str(path.relative_to(self.folder))

    def clear(self, under: str) -> None:
        """Remove every record below a folder. OSError when one stays."""
        remove_tree(self.folder / under)

    def close(self) -> None:
        """Another stack may have it now."""
        self._owned.leave()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check(folder: Path, text: bytes, wanted: _About) -> None:
    try:
        about = msgspec.json.decode(text, type=_About)
    except msgspec.DecodeError as error:
        raise NotUsable(f"{folder / _ABOUT} cannot be read ({error}); name another folder") from error
    if about.cloud != wanted.cloud:
        raise NotUsable(f"{folder} is the home of a stack for {about.cloud}, not for {wanted.cloud}; name another folder")
    if about.format != wanted.format:
        newer = "a newer stack" if about.format > wanted.format else "an older stack"
        raise NotUsable(f"{folder} was written by {newer} (format {about.format}, this one has {wanted.format}); name another folder")
    for name, version in wanted.versions.items():
        if about.versions.get(name) != version:
            raise NotUsable(
                f"{folder} was written with {name} {about.versions.get(name, 'unknown')}, here is {version}: "
                f"pip install {name}=={about.versions.get(name, '')}, or name another folder"
            )
    if about.moto_answers != wanted.moto_answers:
        written, remedy = ("with", "start with it") if about.moto_answers else ("without", "start without it")
        raise NotUsable(f"{folder} was written {written} --moto-answers; {remedy}, or name another folder")
