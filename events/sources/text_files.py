"""Read CSV, TSV and JSON lines, plain or packed by gzip or zstd, as chunks of bounded size."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Iterator
from itertools import chain, islice
from pathlib import Path
from typing import IO, Any, cast

import msgspec
import pyarrow as pa
import pyarrow.json

from ...errors import Invalid
from ...project.specs.description import Event
from ..tables.column_types import OF_ATTRIBUTE, arrow_type
from ..validation.chunks import Chunk, attributes_of
from .source import ROWS, Source, check_columns

UNREADABLE = (OSError, EOFError, zlib.error, pa.ArrowException)  # what gzip and zstd raise, too


def _binary(path: Path) -> IO[bytes]:
    """Open a file for reading, unpacked by its suffix (.gz, .zst)."""
    match path.suffix.lower():
        case ".gz":
            return cast("IO[bytes]", gzip.open(path, "rb"))
        case ".zst":
            return cast(
                "IO[bytes]",
                io.BufferedReader(cast("io.RawIOBase", pa.input_stream(path, compression="zstd"))),
            )
        case _:
            return path.open("rb")


def csv_source(event: Event, path: Path, name: str, *, delimiter: str = ",") -> Source:
    """Return a CSV file as a source; its first row names the columns.

    An empty field is no value. A record's line is where it begins.
    """

    def records() -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            with _binary(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True, delimiter=delimiter)
                for record in reader:
                    if record:
                        yield line, record
                    line = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise Invalid(
                f"{name} is not UTF-8: {error.reason} at byte {error.start}",
                remedy="convert it: iconv -t utf-8",
            ) from error
        except (csv.Error, *UNREADABLE) as error:
            raise Invalid(
                f"{name}, line {line}: {error}", remedy="nothing was changed; mend the file"
            ) from error

    header = next(records(), None)
    if header is None:
        raise Invalid(f"{name} is empty", remedy="its first row names the columns")
    names = [column.strip() for column in header[1]]
    check_columns(event, names, name)

    def chunks() -> Iterator[Chunk]:
        remaining = islice(records(), 1, None)
        while part := list(islice(remaining, ROWS)):
            whole = [(line, record) for line, record in part if len(record) == len(names)]
            broken = tuple(
                (line, f"has {len(record)} fields, not {len(names)}", delimiter.join(record))
                for line, record in part
                if len(record) != len(names)
            )
            columns = (
                zip(*(record for _, record in whole), strict=True) if whole else ([] for _ in names)
            )
            arrays = {
                column: pa.array(values, pa.string())
                for column, values in zip(names, columns, strict=True)
            }
            yield Chunk(
                columns=arrays,
                rows=len(whole),
                lines=[line for line, _ in whole],
                text=True,
                broken=broken,
            )

    return Source(name=name, raw=path, rows=None, chunks=chunks)


def json_source(event: Event, path: Path, name: str) -> Source:
    """Return a file of JSON lines as a source, one object a line.

    A line that is no object, and a name that the event does not have, are that line's fault alone.
    """
    # a time as it was written: the rules say what it means
    kinds = {
        a.name: pa.string() if a.type == "timestamp" else arrow_type(OF_ATTRIBUTE[a.type])
        for a in attributes_of(event)
    }
    schema = pa.schema(list(kinds.items()))
    with _binary(path) as file:
        try:
            array = file.read(64).lstrip().startswith(b"[")
        except UNREADABLE:
            array = False  # `chunks` says what is wrong
    if array:
        raise Invalid(
            f"{name} is one JSON array; events come one object a line",
            remedy=f"jq -c '.[]' {name} > events.jsonl",
        )

    def chunks() -> Iterator[Chunk]:
        first = 1
        try:
            with _binary(path) as file:
                while lines := list(islice(file, ROWS)):
                    yield _fast_json(lines, first, schema) or _slow_json(lines, first, schema)
                    first += len(lines)
        except UNREADABLE as error:
            raise Invalid(
                f"{name} cannot be read: {error}",
                remedy="nothing was changed; write the file again",
            ) from error

    return Source(name=name, raw=path, rows=None, chunks=chunks)


def _fast_json(lines: list[bytes], first: int, schema: pa.Schema) -> Chunk | None:
    """Return the lines as a chunk if each is an object of the event's own names and types.

    None if one is not.
    """
    if not all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        return None
    content = b"".join(lines)
    try:
        content.decode()  # Arrow does not look
        options = pyarrow.json.ParseOptions(
            explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="error"
        )
        block = pyarrow.json.ReadOptions(block_size=max(len(content), 1) + 1)
        table = pyarrow.json.read_json(
            io.BytesIO(content), read_options=block, parse_options=options
        )
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != len(lines):  # two objects on one line
        return None
    return Chunk(
        columns={n: table[n] for n in schema.names},
        rows=table.num_rows,
        lines=range(first, first + table.num_rows),
    )


def _slow_json(lines: list[bytes], first: int, schema: pa.Schema) -> Chunk:
    """Parse JSON lines one by one, and note the broken ones."""
    schema_names = set(schema.names)
    rows: list[dict[str, Any]] = []
    numbers: list[int] = []
    broken: list[tuple[int | None, str, str]] = []
    strange: list[tuple[int, str]] = []
    for number, line in enumerate(lines, first):
        if not line.strip():
            continue
        try:
            row = msgspec.json.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            broken.append(
                (
                    number,
                    f"is not JSON ({_reason(line, error)})",
                    line.decode("utf-8", "replace").rstrip("\n"),
                )
            )
            continue
        if not isinstance(row, dict):
            broken.append(
                (number, "is not a JSON object", line.decode("utf-8", "replace").rstrip("\n"))
            )
            continue
        strange.extend((len(rows), name) for name in row if name not in schema_names)
        rows.append(row)
        numbers.append(number)
    names = dict.fromkeys(chain(schema.names, (name for _, name in strange)))
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    return Chunk(
        columns=columns, rows=len(rows), lines=numbers, broken=tuple(broken), strange=tuple(strange)
    )


def _reason(line: bytes, error: Exception) -> str:
    """Return why a line is no JSON, by Python's own parser.

    It says the column, in words that do not change with msgspec's version.
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
