"""Read the lines and records of a text file, plain or packed, and go on after a broken one."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import pyarrow as pa

UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)  # what gzip and zstd raise, too
_UNDECODED = re.compile("[\udc80-\udcff\ufffd]")  # bytes that Python's codec left undecoded
_BLOCK = 1 << 22  # bytes that are looked at a time
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class Record(msgspec.Struct, frozen=True):
    """A record of a text file: the line where it begins, its fields, its text.

    `fault` says why it is none; the text is then its first line alone.
    """

    line: int
    fields: list[Any]
    text: str
    fault: str = ""


@contextmanager
def binary(path: Path) -> Iterator[IO[bytes]]:
    """Open a file for reading bytes; gzip and zstd are unpacked, by the file's suffix."""
    with path.open("rb") as packed:
        match path.suffix.lower():
            case ".gz":
                with gzip.GzipFile(fileobj=packed) as stream:
                    yield cast("IO[bytes]", stream)
            case ".zst":
                unpacked = pa.input_stream(packed, compression="zstd")
                yield cast("IO[bytes]", io.BufferedReader(cast("io.RawIOBase", unpacked)))
            case _:
                yield packed


def unicode_encoding(path: Path) -> str:
    """Return the encoding that a file's first bytes show: a form of UTF-16, else UTF-8."""
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
    """Open a text file in an encoding; undecodable bytes are marked, which `is_decoded` finds."""
    errors = "replace" if encoding.startswith("utf-16") else "surrogateescape"
    with (
        binary(path) as stream,
        io.TextIOWrapper(stream, encoding, errors=errors, newline="") as lines,
    ):
        yield lines


def is_decoded(line: str, encoding: str) -> bool:
    """Return whether a line, which was read in an encoding, had no bytes that are invalid in it."""
    if line.isascii():
        return True
    mark = _UNDECODED.search(line)
    # U+FFFD may stand in the file itself where undecoded bytes are marked otherwise
    return mark is None or (mark[0] == "\ufffd" and not encoding.startswith("utf-16"))


def shown(line: str) -> str:
    """Return a line without its line break, as text that can be stored as UTF-8."""
    whole = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    return whole.rstrip("\r\n")


class _Lines:
    """The lines of a file, some of which may be read again."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self._again: list[str] = []
        self.read: list[str] = []  # since the record under way began

    def __iter__(self) -> Iterator[str]:
        while True:
            line = self._again.pop() if self._again else next(self._lines, None)
            if line is None:
                return
            self.read.append(line)
            yield line

    def begin(self) -> None:
        """Start a new record, and forget the lines of the last one."""
        self.read.clear()

    def go_back(self) -> None:
        """Rewind to the second line of the current record, to read it as another record."""
        self._again.extend(reversed(self.read[1:]))
        del self.read[1:]


def csv_records(lines: Iterable[str], *, encoding: str, delimiter: str) -> Iterator[Record]:
    """Yield the records of a CSV file. The first names the columns, the others have as many fields.

    A faulty record ends with its first line: a quote that is never closed takes no other row with
    it. An empty line is no record.
    """
    source = _Lines(iter(lines))
    reader = csv.reader(iter(source), strict=True, delimiter=delimiter)
    width, number = 0, 1
    while True:
        source.begin()
        fault, fields = "", []
        try:
            fields = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            fault = _csv_fault(error, source.read)
            reader = csv.reader(iter(source), strict=True, delimiter=delimiter)
        if fields and not fault:
            fault = _fault(fields, source.read, encoding, width)
        if fault:
            source.go_back()
            yield Record(number, fields, shown(source.read[0]), fault)
        elif fields:
            width = width or len(fields)
            yield Record(number, fields, "".join(source.read))
        number += len(source.read)


def plain_count(path: Path, delimiter: str) -> int | None:
    """Return the number of records of a simple CSV file; None if it is not simple.

    In a simple file each line is UTF-8 without quotes, has the same number of fields, and is not
    empty. Counting is much faster than parsing.
    """
    separator = delimiter.encode()
    count, widths = 0, set[int]()
    with binary(path) as stream:
        while block := stream.read(_BLOCK) + stream.readline():
            if b'"' in block or block.count(b"\r") != block.count(b"\r\n"):
                return None
            try:
                block.decode()
            except UnicodeDecodeError:
                return None
            lines = block.splitlines()
            widths.update([line.count(separator) for line in lines])
            if len(widths) > 1 or b"" in lines:
                return None
            count += len(lines)
    return count if count and widths != {0} else None


def _csv_fault(error: csv.Error, lines: list[str]) -> str:
    """Return why the CSV parser refused a line, as text."""
    text = str(error)
    if "unexpected end" in text or len(lines) > 1:  # it met the end, or another quote
        return "has a quote that is not closed"
    return "has text after a closing quote" if "expected after" in text else text


def _fault(fields: list[str], lines: list[str], encoding: str, width: int) -> str:
    """Return what is wrong with a CSV record, as text: its encoding or number of fields; or "".

    `width` is the number of fields that a record must have.
    """
    if not all(is_decoded(line, encoding) for line in lines):
        return not_of(encoding)
    if not width or len(fields) == width:
        return ""
    return f"has {len(fields)} field{'' if len(fields) == 1 else 's'}, not {width}"


def not_of(encoding: str) -> str:
    """Return the text of an error for a line that is not valid in an encoding."""
    name = encoding.removesuffix("-sig")
    return f"is no text in {name.upper() if name.startswith('utf') else name}"


def json_records(lines: Iterable[str], *, encoding: str) -> Iterator[Record]:
    """Yield a record for each line of a file of JSON lines; its only field is the line's object."""
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        fault, row = "", None
        if not is_decoded(line, encoding):
            fault = "is not JSON (not UTF-8)"
        else:
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
                fault = f"is not JSON ({json_fault(line, error)})"
            else:
                fault = "" if isinstance(row, dict) else "is not a JSON object"
        yield Record(number, [row], shown(line) if fault else line, fault)


def json_fault(line: str | bytes, error: Exception) -> str:
    """Return why a line is not valid JSON, as text that names the column.

    The text is the same with every version of msgspec.
    """
    try:
        json.loads(line.strip())
    except UnicodeDecodeError:
        return "not UTF-8"
    except RecursionError:
        return "nested too deeply"
    except json.JSONDecodeError as fault:
        return f"{fault.msg.lower().removesuffix(' at')} at column {fault.colno}"
    return str(error)
