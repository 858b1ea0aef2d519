"""The bytes of objects: files, with the checksums that were taken while they were written.

Nothing is held in memory.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import google_crc32c
import msgspec

from .errors import invalid

_PART = 1 << 20  # bytes read at once


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """The whole content of an object."""

    path: Path
    size: int
    md5: str | None  # base64, as the API has it; None: composed of others
    crc32c: str

    def copied(self) -> Content:
        """Return a content with the same bytes in another file: a hard link to this one's."""
        path = self.path.with_name(uuid.uuid4().hex)
        os.link(self.path, path)
        return msgspec.structs.replace(self, path=path)

    def remove(self) -> None:
        """Delete the file with the object's bytes."""
        self.path.unlink(missing_ok=True)


class Writer:
    """A sink for an object's bytes as they arrive."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / uuid.uuid4().hex
        self.size = 0
        self._file = self.path.open("wb")
        self._md5 = hashlib.md5(usedforsecurity=False)
        self._crc32c: Any = google_crc32c.Checksum()

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes to the file, and update the checksums."""
        self._file.write(data)
        self._md5.update(data)
        for start in range(
            0, len(data), _PART
        ):  # it takes bytes only, and a copy of all of them is too much
            self._crc32c.update(bytes(data[start : start + _PART]))
        self.size += len(data)

    def finish(self, *, composed: bool = False) -> Content:
        """Close the file, and return it as an object's content with size and checksums.

        `composed` marks an object made of several, which has no MD5.
        """
        self._file.close()
        md5 = None if composed else base64.b64encode(self._md5.digest()).decode()
        crc32c = base64.b64encode(self._crc32c.digest()).decode()
        return Content(path=self.path, size=self.size, md5=md5, crc32c=crc32c)

    def discard(self) -> None:
        """Delete the partial file."""
        self._file.close()
        self.path.unlink(missing_ok=True)


def write_content(
    folder: Path, parts: Iterable[bytes | memoryview], *, composed: bool = False
) -> Content:
    """Write parts of bytes into a new file, and return it as an object's content.

    `composed` marks an object made of several, which has no MD5.
    """
    writer = Writer(folder)
    try:
        for part in parts:
            writer.write(part)
    except BaseException:  # an interrupt must not leave the file, either
        writer.discard()
        raise
    return writer.finish(composed=composed)


def parts(content: Content, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
    """Return an iterator over an object's bytes from `start` to before `stop`.

    The file is opened at once, so that it may be deleted while it is read.
    """
    file = content.path.open("rb")
    return _parts(file, start, content.size if stop is None else stop)


def _parts(file: Any, start: int, stop: int) -> Iterator[bytes]:
    """Yield a file's bytes from `start` to before `stop`, and close it."""
    with file:
        file.seek(start)
        while start < stop and (data := file.read(min(_PART, stop - start))):
            start += len(data)
            yield data


def decompressed(content: Content) -> Iterator[bytes]:
    """Yield the bytes of gzip content, decompressed, for clients that do not accept gzip."""
    inflate = zlib.decompressobj(wbits=31)
    for part in parts(content):
        yield inflate.decompress(part)
    yield inflate.flush()


def check_checksums(content: Content, checksums: Mapping[str, Any]) -> None:
    """Raise an error if an expected md5Hash or crc32c differs from the content's."""
    for name, words, actual in (
        ("md5Hash", "MD5 hash", content.md5),
        ("crc32c", "CRC32C", content.crc32c),
    ):
        expected = checksums.get(name)
        if expected and expected != actual:
            raise invalid(
                f'Provided {words} "{expected}" doesn\'t match calculated {words} "{actual}".'
            )


def checksums_in_header(header: str) -> dict[str, str]:
    """Parse an X-Goog-Hash header, crc32c=...,md5=..., into checksums by their JSON names.

    A value that is not canonical base64 is ignored, as Google does.
    """
    checksums = {}
    for entry in header.split(","):
        name, _, value = entry.strip().partition("=")
        key = {"crc32c": "crc32c", "md5": "md5Hash"}.get(name)
        if key and _canonical(value):
            checksums[key] = value
    return checksums


def _canonical(text: str) -> bool:
    """Return whether a text is base64 exactly as an encoder writes it."""
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except (binascii.Error, ValueError):
        return False
