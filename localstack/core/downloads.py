"""Take files and archives that come from outside into a folder.

Nothing leaves the folder or fills the disk.
"""

from __future__ import annotations

import gzip
import os
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO, Self

_NAME = 255  # bytes of a file's name: Linux's limit, and SageMaker's
_PATH = 4000  # bytes of a whole path: Linux takes 4,096, and the job's own files come below
_FILES = 100_000  # in an archive
# Bytes that any archive may unpack to, and how much more for each byte of it: models hardly
# shrink, zeros 1,000 times.
_ALWAYS = 1 << 30
_FOR_EACH = 20
_HEADER = 1 << 20  # bytes of a member's extended header, which tarfile holds in memory
_HEADERS = frozenset(
    {
        tarfile.XHDTYPE,
        tarfile.XGLTYPE,
        tarfile.SOLARIS_XHDTYPE,
        tarfile.GNUTYPE_LONGNAME,
        tarfile.GNUTYPE_LONGLINK,
    }
)  # members that describe another


class Refused(ValueError):
    """The name or the archive cannot be taken. The message says what and why."""


def place(folder: Path, name: str) -> Path:
    """Return the path below `folder` for a downloaded S3 key or an archive's member.

    Raises:
        Refused: It would leave the folder, or no file can have that name.
    """
    if name.startswith("/"):
        raise Refused(f"{name!r} begins with a slash")
    parts = [part for part in name.split("/") if part]
    if not parts or name.endswith("/"):
        raise Refused(f"{name!r} names no file")
    for part in parts:
        if part in (".", ".."):
            raise Refused(f"{name!r} has the part {part!r}, which no file can be called")
        if "\0" in part:
            raise Refused(f"{name!r} has a null byte")
    try:
        longest, path = max(map(len, map(os.fsencode, parts))), folder.joinpath(*parts)
    except UnicodeEncodeError:
        raise Refused(f"{name!r} is no text that a file can be called") from None
    if longest > _NAME:
        raise Refused(f"{name[:80]!r}... has a part of more than {_NAME} bytes")
    if len(os.fsencode(path)) > _PATH:
        raise Refused(f"{name[:80]!r}... makes a path of more than {_PATH} bytes")
    return path


def arrive(folder: Path, name: str) -> Path:
    """Return the path below `folder` for a file called `name`; make the folders above it.

    Raises:
        Refused: It would leave the folder, or a link is on the way.
        OSError: A folder cannot be made.
    """
    path = place(folder, name)
    for above in (path, *path.parents):
        if above == folder:
            break
        if above.is_symlink():
            raise Refused(f"{name!r} goes through the link {str(above.relative_to(folder))!r}")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def unpack(data: BinaryIO, size: int, folder: Path) -> None:
    """Unpack an untrusted tar.gz of `size` bytes into a folder.

    The archive may hold files and folders only, no links or devices, as SageMaker demands.

    Raises:
        Refused: It is no such archive, a name leaves the folder, or it has more files or bytes than
            an archive of its size may have. Some of it may have been unpacked then.
    """
    limit = min(_ALWAYS + _FOR_EACH * size, shutil.disk_usage(folder).free)
    content: Any = _Bounded(
        gzip.GzipFile(fileobj=data), limit
    )  # of a stream tarfile asks no more than `read`
    try:
        with tarfile.open(fileobj=content, mode="r|", tarinfo=_Member) as archive:
            for count, member in enumerate(archive, 1):
                _extract(archive, member, folder, count)
    except Refused:
        raise
    except (tarfile.TarError, OSError, EOFError, ValueError, RecursionError, zlib.error) as error:
        raise Refused(f"it is no tar.gz that can be unpacked: {error}") from error


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, count: int) -> None:
    """Write one member, a file or a folder, of a tar archive below the folder.

    `count` is the number of members up to this one.

    Raises:
        Refused: It is a link or a device, or there are too many members.
    """
    if count > _FILES:
        raise Refused(f"it has more than {_FILES:,} files")
    name = member.name.removeprefix("./")
    if member.isdir():
        if PurePosixPath(member.name).parts:  # ./ is the folder itself
            arrive(folder, name.rstrip("/")).mkdir(exist_ok=True)
        return
    if not member.isfile() or member.issparse():
        raise Refused(
            f"{name!r} is a link, a device or a sparse file; an archive may hold plain files alone"
        )
    target = arrive(folder, name)
    source = archive.extractfile(member)
    if source is None:
        raise Refused(f"{name!r} has no content")
    with target.open("wb") as file:
        shutil.copyfileobj(source, file, 1 << 20)
    if member.mode & 0o100:
        target.chmod(0o755)


class _Member(tarfile.TarInfo):
    """A member of an archive whose extended header may not be large."""

    @classmethod
    def frombuf(cls, buf: bytes | bytearray, encoding: str | None, errors: str) -> Self:
        """Parse a member's header of a tar archive; refuse an extended one that is too large.

        tarfile calls this.
        """
        member = super().frombuf(buf, encoding, errors)  # type: ignore[arg-type]  # typeshed has str, tarfile itself gives None
        if member.type in _HEADERS and member.size > _HEADER:
            raise Refused(f"a header of {member.size:,} bytes is before its {member.name!r}")
        return member


class _Bounded:
    """A stream of which only so many bytes can be read."""

    def __init__(self, stream: gzip.GzipFile, limit: int) -> None:
        self._stream = stream
        self._limit = self._left = limit

    def read(self, size: int) -> bytes:
        """Read decompressed bytes, `size` at most.

        Raises:
            Refused: More have come than are allowed.
        """
        content = self._stream.read(size)
        self._left -= len(content)
        if self._left < 0:
            raise Refused(f"it unpacks to more than {self._limit:,} bytes")
        return content
