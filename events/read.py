"""Sources of events: SQL over local files, JSON lines, CSV, Parquet, a DataFrame, an Arrow table. All come as chunks of bounded size.

A source is copied to a folder of its own first and read from there: what is kept as raw data is then exactly what was read.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from itertools import chain, islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, cast

import msgspec
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

from ..errors import Invalid, NotFound
from ..project.names import did_you_mean
from ..project.specs import Event
from .column_types import OF_ATTRIBUTE, arrow_type
from .sql import query_to_parquet
from .validate import Chunk, attributes_of
from .values import as_json

if TYPE_CHECKING:
    import pandas as pd

ROWS = 100_000  # a chunk: some tens of MB


class Source(msgspec.Struct, frozen=True, kw_only=True):
    """`name` is what the quarantine shows; `raw` the file that is kept; `chunks()` reads it from its beginning."""

    name: str
    raw: Path
    rows: int | None  # when it is known beforehand
    chunks: Callable[[], Iterator[Chunk]]


def open_source(folder: Path, event: Event, data: Path | str | pa.Table | pd.DataFrame | None, stage: Path) -> Source:
    """Copy a source into `stage` and look at its columns. None: `sources/<event>.sql` of the project's folder.

    Invalid, naming the file, for what cannot be read at all and for columns that the event does not have; NotFound for no file.
    """
    stage.mkdir(parents=True, exist_ok=True)
    if data is None:
        return _sql(folder, event, stage)
    if isinstance(data, pa.Table):
        return _table(event, data, "table", stage)
    if not isinstance(data, str | Path):
        return _frame(event, data, stage)
    path = Path(data)
    if not path.is_file():
        raise NotFound(f"{path} is not a file", remedy="a file of JSON lines, CSV or Parquet")
    suffixes = [suffix.lower() for suffix in path.suffixes]
    kind = suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else (suffixes or [""])[-1]
    if kind not in _READERS:
        raise Invalid(f"{path}: {kind or 'no suffix'} is no format of events", remedy=f"one of {', '.join(_READERS)}")
    copy = stage / path.name
    shutil.copyfile(path, copy)
    return _READERS[kind](event, copy, str(data))


def source_sql(folder: Path, event: str) -> Path:
    return folder / "sources" / f"{event}.sql"


def _sql(folder: Path, event: Event, stage: Path) -> Source:
    path = source_sql(folder, event.name)
    name = f"sources/{event.name}.sql"
    if not path.is_file():
        raise NotFound(f"{name} does not exist", remedy=f"write it, or give a file: isthmus ingest FILE --event {event.name}")
    copy = stage / "rows.parquet"
    query_to_parquet(path.read_text(), name=name, folder=folder, to=copy)
    return _parquet(event, copy, name)


def _table(event: Event, table: pa.Table, name: str, stage: Path) -> Source:
    copy = stage / "rows.parquet"
    pq.write_table(table, copy)
    return _parquet(event, copy, name)


def _frame(event: Event, frame: pd.DataFrame, stage: Path) -> Source:
    times = [a.name for a in attributes_of(event) if a.type == "timestamp" and a.name in frame.columns]
    for name in times:
        if frame[name].dtype.kind == "M" and getattr(frame[name].dtype, "tz", None) is None:
            raise Invalid(
                f"dataframe: the times in column {name} have no time zone",
                remedy=f'say which it is: frame["{name}"] = frame["{name}"].dt.tz_localize("UTC")',
            )
    if any(map(_naive, (value for name in times for value in frame[name]))):  # as Python's own datetimes: Arrow would take them for UTC
        return _mixed_frame(event, frame, stage)
    try:
        return _table(event, pa.Table.from_pandas(frame, preserve_index=False), "dataframe", stage)
    except (pa.ArrowInvalid, pa.ArrowTypeError):  # a column of several types: Arrow cannot hold it, so its rows are judged one by one
        return _mixed_frame(event, frame, stage)


def _naive(value: object) -> bool:
    return isinstance(value, datetime) and value.tzinfo is None


def _as_json_has_it(value: object) -> object:
    """A time without a zone as text, which is refused as such."""
    return value.isoformat() if isinstance(value, datetime) and value.tzinfo is None else value


def _mixed_frame(event: Event, frame: pd.DataFrame, stage: Path) -> Source:
    _check_columns(event, [str(name) for name in frame.columns], "dataframe")
    plain = frame.astype(object).where(frame.notna(), None)
    copy = stage / "rows.jsonl"
    with copy.open("w") as file:
        file.writelines(as_json({str(k): v for k, v in row.items()}) + "\n" for row in plain.to_dict("records"))

    def chunks() -> Iterator[Chunk]:
        for start in range(0, len(plain), ROWS):
            part = plain.iloc[start : start + ROWS]
            yield Chunk(columns={str(name): list(map(_as_json_has_it, part[name])) for name in part.columns}, rows=len(part))

    return Source(name="dataframe", raw=copy, rows=len(plain), chunks=chunks)


def _check_columns(event: Event, names: list[str], source: str) -> None:
    """A table's columns are the same in every row: a wrong one is one error, not one a row."""
    known = [a.name for a in attributes_of(event)]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise Invalid(f"{source} has the column {twice[0]} twice")
    for name in names:
        if name not in known:
            raise Invalid(
                f"{source} has a column {name}, which {event.name} does not have",
                remedy=did_you_mean(name, known) or f"{event.name} has {', '.join(known)}",
            )
    for attribute in attributes_of(event):
        if attribute.required and attribute.name not in names:
            raise Invalid(f"{source} has no column {attribute.name}, which {event.name} requires", remedy=f"it has {', '.join(names)}")


# --- Parquet


def _parquet(event: Event, path: Path, name: str) -> Source:
    def unreadable(error: Exception) -> Invalid:
        return Invalid(f"{name} cannot be read as Parquet: {error}", remedy="nothing was changed; write the file again, or leave it out")

    try:
        with pq.ParquetFile(path) as file:
            rows = file.metadata.num_rows
            schema = file.schema_arrow
            names = list(schema.names)
    except (pa.ArrowException, OSError) as error:
        raise unreadable(error) from error
    _check_columns(event, names, name)
    _check_zones(schema, name)

    def chunks() -> Iterator[Chunk]:
        try:
            with pq.ParquetFile(path) as file:
                for batch in file.iter_batches(batch_size=ROWS):
                    yield Chunk(columns=dict(zip(batch.schema.names, batch.columns, strict=True)), rows=batch.num_rows)
        except (pa.ArrowException, OSError) as error:
            raise unreadable(error) from error

    return Source(name=name, raw=path, rows=rows, chunks=chunks)


def _check_zones(schema: pa.Schema, name: str) -> None:
    for field in schema:
        zone = field.type.tz if pa.types.is_timestamp(field.type) else None
        try:
            pa.scalar(0, field.type).as_py() if zone else None
        except (KeyError, ValueError, pa.ArrowException) as error:  # KeyError: pytz's and zoneinfo's own are of it
            raise Invalid(
                f"{name}: column {field.name} is in the time zone {zone!r}, which nobody here knows", remedy="write its times in UTC"
            ) from error


# --- text


def _binary(path: Path) -> IO[bytes]:
    return cast("IO[bytes]", gzip.open(path, "rb")) if path.suffix.lower() == ".gz" else path.open("rb")


def _csv(event: Event, path: Path, name: str) -> Source:
    """The first row names the columns. An empty field is no value. A record's line is where it begins."""

    def records() -> Iterator[tuple[int, list[str]]]:
        line = 1
        try:
            with _binary(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as file:
                reader = csv.reader(file, strict=True)
                for record in reader:
                    if record:
                        yield line, record
                    line = reader.line_num + 1
        except UnicodeDecodeError as error:
            raise Invalid(f"{name} is not UTF-8: {error.reason} at byte {error.start}", remedy="convert it: iconv -t utf-8") from error
        except (csv.Error, OSError, EOFError) as error:
            raise Invalid(f"{name}, line {line}: {error}", remedy="nothing was changed; mend the file") from error

    header = next(records(), None)
    if header is None:
        raise Invalid(f"{name} is empty", remedy="its first row names the columns")
    names = [column.strip() for column in header[1]]
    _check_columns(event, names, name)

    def chunks() -> Iterator[Chunk]:
        remaining = islice(records(), 1, None)
        while part := list(islice(remaining, ROWS)):
            whole = [(line, record) for line, record in part if len(record) == len(names)]
            broken = tuple(
                (line, f"has {len(record)} fields, not {len(names)}", ",".join(record))
                for line, record in part
                if len(record) != len(names)
            )
            columns = zip(*(record for _, record in whole), strict=True) if whole else ([] for _ in names)
            arrays = {column: pa.array(found, pa.string()) for column, found in zip(names, columns, strict=True)}
            yield Chunk(columns=arrays, rows=len(whole), lines=[line for line, _ in whole], text=True, broken=broken)

    return Source(name=name, raw=path, rows=None, chunks=chunks)


def _json_lines(event: Event, path: Path, name: str) -> Source:
    """One object a line. A line that is none, and a name that the event does not have, are that line's fault alone."""
    # a time as it was written: the rules say what it means
    kinds = {a.name: pa.string() if a.type == "timestamp" else arrow_type(OF_ATTRIBUTE[a.type]) for a in attributes_of(event)}
    schema = pa.schema(list(kinds.items()))
    with _binary(path) as file:
        try:
            array = file.read(64).lstrip().startswith(b"[")
        except (OSError, EOFError):
            array = False  # `chunks` says what is wrong
    if array:
        raise Invalid(f"{name} is one JSON array; events come one object a line", remedy=f"jq -c '.[]' {name} > events.jsonl")

    def chunks() -> Iterator[Chunk]:
        first = 1
        try:
            with _binary(path) as file:
                while lines := list(islice(file, ROWS)):
                    yield _fast_json(lines, first, schema) or _slow_json(lines, first, schema)
                    first += len(lines)
        except (OSError, EOFError) as error:  # of gzip
            raise Invalid(f"{name} cannot be read: {error}", remedy="nothing was changed; write the file again") from error

    return Source(name=name, raw=path, rows=None, chunks=chunks)


def _fast_json(lines: list[bytes], first: int, schema: pa.Schema) -> Chunk | None:
    """A chunk in which every line is an object of the event's own names and types; else None."""
    if not all(line.startswith(b"{") and line.rstrip().endswith(b"}") for line in lines):
        return None
    content = b"".join(lines)
    try:
        content.decode()  # Arrow does not look
        options = pyarrow.json.ParseOptions(explicit_schema=schema, newlines_in_values=False, unexpected_field_behavior="error")
        block = pyarrow.json.ReadOptions(block_size=max(len(content), 1) + 1)
        table = pyarrow.json.read_json(io.BytesIO(content), read_options=block, parse_options=options)
    except (UnicodeDecodeError, pa.ArrowException):
        return None
    if table.num_rows != len(lines):  # two objects on one line
        return None
    return Chunk(columns={n: table[n] for n in schema.names}, rows=table.num_rows, lines=range(first, first + table.num_rows))


def _slow_json(lines: list[bytes], first: int, schema: pa.Schema) -> Chunk:
    known = set(schema.names)
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
            broken.append((number, f"is not JSON ({_reason(line, error)})", line.decode("utf-8", "replace").rstrip("\n")))
            continue
        if not isinstance(row, dict):
            broken.append((number, "is not a JSON object", line.decode("utf-8", "replace").rstrip("\n")))
            continue
        strange.extend((len(rows), name) for name in row if name not in known)
        rows.append(row)
        numbers.append(number)
    names = dict.fromkeys(chain(schema.names, (name for _, name in strange)))
    columns: dict[str, Any] = {name: [row.get(name) for row in rows] for name in names}
    return Chunk(columns=columns, rows=len(rows), lines=numbers, broken=tuple(broken), strange=tuple(strange))


def _reason(line: bytes, error: Exception) -> str:
    """Python's own parser says the column, in words that do not change with msgspec's version."""
    try:
        json.loads(line.strip())
    except UnicodeDecodeError:
        return "not UTF-8"
    except RecursionError:
        return "nested too deeply"
    except json.JSONDecodeError as found:
        return f"{found.msg.lower().removesuffix(' at')} at column {found.colno}"
    return str(error)


_READERS: dict[str, Callable[[Event, Path, str], Source]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_lines,
    ".csv": _csv,
    ".parquet": _parquet,
}
