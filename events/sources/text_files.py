"""Read CSV, TSV and JSON lines, plain or packed by gzip or zstd, as chunks of bounded size."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain, islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.json

from ...errors import Invalid
from ...project.specs.description import Event
from ..tables.column_types import OF_ATTRIBUTE, arrow_type
from ..validation.chunks import Broken, Chunk, attributes_of
from . import records
from .sniffing import DELIMITERS
from .source import ROWS, Source, TextFile, check_columns


def csv_source(event: Event, path: Path, name: str, *, delimiter: str = ",") -> Source:
    """Return a CSV file as a source of events; its first row names the columns.

    An empty field is no value. A record's line is where it begins. UTF-16 is read as such where
    the file begins so, and another delimiter where the header shows it.
    """
    try:
        encoding = records.unicode_encoding(path)
        names, delimiter = _header(event, path, encoding, delimiter)
    except records.UNREADABLE as error:
        raise _unreadable(name, error) from error
    if not names:
        raise Invalid(f"{name} is empty", remedy="its first row names the columns")
    check_columns(event, names, name)

    def chunks() -> Iterator[Chunk]:
        try:
            with records.text(path, encoding) as lines:
                rows = records.csv_records(lines, encoding=encoding, delimiter=delimiter)
                remaining = islice(rows, 1, None)
                while part := list(islice(remaining, ROWS)):
                    yield _csv_chunk(part, names)
        except records.UNREADABLE as error:
            raise _unreadable(name, error) from error

    texts = {name: TextFile(path=path, name=name.replace(": ", "/"))}
    return Source(name=name, raw=path, rows=None, chunks=chunks, texts=texts)


def _header(event: Event, path: Path, encoding: str, delimiter: str) -> tuple[list[str], str]:
    """Return a CSV file's column names, and the delimiter with which they fit the event best."""
    headers: dict[str, list[str]] = {}
    for candidate in (delimiter, *DELIMITERS):
        with records.text(path, encoding) as lines:
            first = next(records.csv_records(lines, encoding=encoding, delimiter=candidate), None)
        headers[candidate] = [] if first is None else [field.strip() for field in first.fields]
    required = {a.name for a in attributes_of(event) if a.required}
    best = next((d for d, names in headers.items() if required <= set(names)), delimiter)
    return headers[best], best


def _unreadable(name: str, error: Exception) -> Invalid:
    """Return the error for a file that cannot be read.

    `name` is the file's, and `error` the cause.
    """
    return Invalid(
        f"{name} cannot be read: {error}",
        remedy="nothing was changed; write the file again",
    )


def _csv_chunk(part: list[records.Record], names: list[str]) -> Chunk:
    """Return CSV records as a chunk of text columns, with the broken records set apart."""
    whole = [record for record in part if not record.fault]
    columns = zip(*(record.fields for record in whole), strict=True) if whole else [[]] * len(names)
    return Chunk(
        columns={
            column: pa.array(values, pa.string())
            for column, values in zip(names, columns, strict=True)
        },
        rows=len(whole),
        lines=[record.line for record in whole],
        text=True,
        broken=_broken(part),
    )


def _broken(part: list[records.Record]) -> tuple[Broken, ...]:
    """Return those of a file's records that are unreadable, with their lines and reasons."""
    return tuple(
        Broken(line=record.line, reason=record.fault, text=record.text)
        for record in part
        if record.fault
    )


def json_source(event: Event, path: Path, name: str) -> Source:
    """Return a JSON lines file as a source of events, one object a line.

    A line that is no object, and a name that the event does not have, are that line's fault alone.
    """
    # a time as it was written: the rules say what it means
    kinds = {
        a.name: pa.string() if a.type == "timestamp" else arrow_type(OF_ATTRIBUTE[a.type])
        for a in attributes_of(event)
    }
    schema = pa.schema(list(kinds.items()))
    try:
        encoding = records.unicode_encoding(path)
        with records.text(path, encoding) as text:
            array = text.read(64).lstrip().startswith("[")
    except records.UNREADABLE as error:
        raise _unreadable(name, error) from error
    if array:
        raise Invalid(
            f"{name} is one JSON array; events come one object a line",
            remedy=f"write sources/{event.name}.sql, which reads both: SELECT * FROM '{name}'",
        )

    def chunks() -> Iterator[Chunk]:
        first = 1
        try:
            with _utf8(path, encoding) as file:
                while lines := list(islice(file, ROWS)):
                    yield _fast_json(lines, first, schema) or _slow_json(lines, first, schema)
                    first += len(lines)
        except records.UNREADABLE as error:
            raise _unreadable(name, error) from error

    texts = {name: TextFile(path=path, name=name.replace(": ", "/"))}
    return Source(name=name, raw=path, rows=None, chunks=chunks, texts=texts)


@contextmanager
def _utf8(path: Path, encoding: str) -> Iterator[Iterable[bytes]]:
    """Open a text file of any encoding as lines of UTF-8, without a byte order mark."""
    if encoding.startswith("utf-16"):
        with records.text(path, encoding) as lines:
            yield (line.encode("utf-8", "surrogateescape") for line in lines)
        return
    with records.binary(path) as file:
        first = file.readline().removeprefix(codecs.BOM_UTF8)
        yield chain([first] if first else [], file)


def _fast_json(lines: list[bytes], first: int, schema: pa.Schema) -> Chunk | None:
    """Parse JSON lines by Arrow into a chunk; return None if a line does not fit the schema.

    `first` is the number of the first line.
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
    """Parse JSON lines one by one into a chunk, with the broken lines set apart.

    `first` is the number of the first line.
    """
    schema_names = set(schema.names)
    decoded = (line.decode("utf-8", "surrogateescape") for line in lines)
    part = list(records.json_records(decoded, encoding="utf-8"))
    rows = [record.fields[0] for record in part if not record.fault]
    strange = tuple(
        (number, name)
        for number, row in enumerate(rows)
        for name in row
        if name not in schema_names
    )
    names = dict.fromkeys(chain(schema.names, (name for _, name in strange)))
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    broken = tuple(
        msgspec.structs.replace(row, line=None if row.line is None else first - 1 + row.line)
        for row in _broken(part)
    )
    return Chunk(
        columns=columns,
        rows=len(rows),
        lines=[first - 1 + record.line for record in part if not record.fault],
        broken=broken,
        strange=strange,
    )
