"""Read the lines and records of a text file, plain or packed, and go on after a broken one."""

from __future__ import annotations

import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

import msgspec
import pyarrow as pa

UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)  # what gzip and zstd raise, too
_UNDECODED = re.compile("[\udc80-\udcff\ufffd]")  # bytes that Python's codec left undecoded
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Record(msgspec.Struct, frozen=True):
    """A record of a CSV file, with the line where it begins; `fault` where it is none."""

    line: int
    fields: list[str]
    fault: str = ""
    text: str = ""  # as it was read, of a faulty one


@contextmanager
def binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading, unpacked by its suffix."""
    match path.suffix.lower():
        case ".gz":
            stream = cast("IO[bytes]", gzip.open(path, "rb"))
        case ".zst":
            packed = pa.input_stream(path, compression="zstd")
            stream = cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", packed)))
        case _:
            stream = path.open("rb")
    with stream:
        yield stream


def unicode_encoding(path: Path) -> str:
    """Return UTF-16 where a file's first bytes say so, else UTF-8, with or without a mark."""
    with binary(path) as stream:
        head = stream.read(1024)
    if head.startswith(_UTF_16):
        return "utf-16"
    zeros = [head[start::2].count(0) * 4 > len(head) for start in (0, 1)]  # half of each pair
    if len(head) > 3 and any(zeros):
        return "utf-16-be" if zeros[0] else "utf-16-le"
    return "utf-8-sig"


@contextmanager
def text(path: Path, encoding: str) -> Iterator[IO[str]]:
    """Open a file as text. What is not of the encoding is marked, see `is_decoded`."""
    errors = "replace" if encoding.startswith("utf-16") else "surrogateescape"
    with (
        binary(path) as stream,
        io.TextIOWrapper(stream, encoding, errors=errors, newline="") as lines,
    ):
        yield lines


def is_decoded(line: str, encoding: str) -> bool:
    """Return whether all of a line could be decoded."""
    if line.isascii():
        return True
    mark = _UNDECODED.search(line)
    # U+FFFD may stand in the file itself where undecoded bytes are marked otherwise
    return mark is None or (mark[0] == "\ufffd" and not encoding.startswith("utf-16"))


def shown(line: str) -> str:
    """Return a line as text that can be stored, without its end."""
    whole = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return whole.rstrip("\r\n")


def csv_records(lines: IO[str], *, encoding: str, delimiter: str) -> Iterator[Record]:
    """Yield the records of a CSV file. The first names the columns, the others have as many fields.

    A faulty record ends with its first line: a quote that is never closed takes no other row with
    it. An empty line is no record.
    """
    pending: list[str] = []  # lines that are read again
    consumed: list[str] = []  # lines of the record under way
    names = encoding.removesuffix("-sig").upper()

    def source() -> Iterator[str]:
        while True:
            line = pending.pop() if pending else next(lines, None)
            if line is None:
                return
            consumed.append(line)
            yield line

    feed = source()
    reader = csv.reader(feed, strict=True, delimiter=delimiter)
    width, number = 0, 1
    while True:
        consumed.clear()
        fault, fields = "", []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = (
                "has a quote that is not closed" if "unexpected end" in str(error) else str(error)
            )
            if not consumed:
                return
            feed = source()  # a generator that reached the file's end is spent
            reader = csv.reader(feed, strict=True, delimiter=delimiter)
        if fields and not fault and not all(is_decoded(line, encoding) for line in consumed):
            fault = f"is not {names}"
        elif fields and not fault and width and len(fields) != width:
            fault = f"has {len(fields)} fields, not {width}"
        if not fault:
            if fields:
                width = width or len(fields)
                yield Record(number, fields)
            number += len(consumed)
            continue
        yield Record(number, fields, fault, shown(consumed[0]))
        pending.extend(reversed(consumed[1:]))
        number += 1
