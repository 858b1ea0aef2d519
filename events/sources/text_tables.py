"""Load text files into Parquet by DuckDB, and remember the line that each row came from.

DuckDB reads what it would read by itself, but for broken rows: those are told with their lines, and
the others are read. Files in other encodings than UTF-8, and files with broken lines, are read from
a copy.
"""

from __future__ import annotations

import codecs
import re
from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import msgspec

from ...errors import Invalid
from ..validation.chunks import Broken
from ..validation.values import shown
from . import records
from .sniffing import TextFormat, advice, delimiter_of

if TYPE_CHECKING:
    import duckdb

HEAD = 25_000  # records that tell a file's columns and types; DuckDB looks at 20,480
_MOST = 100_000  # broken lines that are held
_DELIMITERS = ("delim", "sep", "delimiter")
# options under which a record of ours is a record of DuckDB's
_CSV_OPTIONS = {
    *_DELIMITERS,
    *("header", "encoding", "columns", "names", "column_names"),
    *("types", "dtypes", "column_types", "all_varchar", "auto_detect", "sample_size"),
    *("dateformat", "date_format", "timestampformat", "timestamp_format", "decimal_separator"),
    *("thousands", "nullstr", "null", "normalize_names", "parallel", "buffer_size"),
}
_JSON_OPTIONS = {
    *("format", "columns", "dateformat", "date_format", "timestampformat", "timestamp_format"),
    *("sample_size", "maximum_depth", "records", "auto_detect", "maximum_object_size"),
    *("map_inference_threshold", "field_appearance_threshold", "convert_strings_to_integers"),
}
CSV_READERS = ("read_csv", "read_csv_auto")
JSON_READERS = ("read_json", "read_json_auto", "read_ndjson", "read_ndjson_auto")


class TextReader(msgspec.Struct, frozen=True, kw_only=True):
    """A reference to text files in SQL: the reader, its files, its options as SQL."""

    reader: str
    files: tuple[Path, ...]
    names: tuple[str, ...]  # of the files, as the user is told them
    options: dict[str, str]

    @classmethod
    def sniffed(cls, path: Path, form: TextFormat) -> TextReader:
        """Return how to read a text file, from its detected format."""
        return cls(reader=form.reader, files=(path,), names=(path.name,), options=form.options)

    @property
    def is_csv(self) -> bool:
        """Return whether the files are read as CSV, and not as JSON."""
        return self.reader in CSV_READERS

    @property
    def encoding(self) -> str:
        """The encoding that the query's options name; empty if they name none."""
        return self.options.get("encoding", "").strip("'").lower()

    def sql(self, files: Sequence[Path], options: dict[str, str]) -> str:
        """Return the DuckDB expression that reads these files with these options."""
        listed = ", ".join(f"'{quoted(str(file))}'" for file in files)
        words = [f"[{listed}]", *(f"{name} = {value}" for name, value in options.items())]
        return f"{self.reader}({', '.join(words)})"


class Lines(msgspec.Struct, frozen=True):
    """The lines of a table's rows.

    `lines[n]` is that of row `rows[n]`, and one more for each next row until `rows[n + 1]`;
    `files[n]` is the number of its file.
    """

    rows: array[int]
    lines: array[int]
    files: array[int]

    def position(self, row: int) -> tuple[int, int]:
        """Return the file number and the line number from which a row of the table was read."""
        files, lines = self.positions([row])
        return int(files[0]), int(lines[0])

    def positions(self, rows: Any) -> tuple[Any, Any]:
        """Return the file numbers and line numbers from which rows of the table were read.

        They are two arrays.
        """
        import numpy as np

        rows = np.asarray(rows)
        starts = np.frombuffer(self.rows, np.int64)
        place = np.searchsorted(starts, rows, side="right") - 1
        lines = np.frombuffer(self.lines, np.int64)[place] + rows - starts[place]
        return np.frombuffer(self.files, np.int64)[place], lines

    def without(self, removed: Sequence[int]) -> Lines:
        """Return the line numbers that remain after these rows are removed."""
        points = [*zip(self.rows, self.files, self.lines, strict=True)]
        points += [(row + 1, *self.position(row + 1)) for row in removed]
        points.sort(key=lambda point: point[0])
        gone, passed, points_left = sorted(removed), 0, dict[int, tuple[int, int]]()
        for row, file, line in points:
            while passed < len(gone) and gone[passed] < row:
                passed += 1
            points_left[row - passed] = (
                file,
                line,
            )  # of several at one place the last is a row that is left
        return Lines(
            array("q", points_left),
            array("q", (line for _, line in points_left.values())),
            array("q", (file for file, _ in points_left.values())),
        )


class TextTable(msgspec.Struct, frozen=True, kw_only=True):
    """Text files as a Parquet file. `lines` is None where nobody can say them."""

    parquet: Path
    reading: TextReader
    lines: Lines | None
    broken: tuple[tuple[int, Broken], ...]  # with the number of the file


def load(
    connection: duckdb.DuckDBPyConnection,
    reading: TextReader,
    folder: Path,
    *,
    head: bool = False,
) -> TextTable:
    """Load text files into a Parquet file in `folder`.

    Args:
        connection: A DuckDB that may read the files, and write to the folder.
        reading: The files, and how they are read.
        folder: The folder for the copies.
        head: Whether only the columns are asked for; the table then has the first rows.

    Raises:
        Invalid: A file cannot be unpacked, or is broken all through.
        duckdb.Error: DuckDB cannot read the files by these options.
    """
    _require_encoding(reading)
    folder.mkdir(parents=True)
    parquet = folder / f"{reading.files[0].name.partition('.')[0] or 'rows'}.parquet"
    options = {name: value for name, value in reading.options.items() if name != "encoding"}
    followed = _CSV_OPTIONS if reading.is_csv else _JSON_OPTIONS
    if not reading.options.keys() <= followed or not _one_record_a_line(reading):
        files = [_decoded(reading, number, folder) for number in range(len(reading.files))]
        _write(connection, reading.sql(files, options), parquet, head=head)
        return TextTable(parquet=parquet, reading=reading, lines=None, broken=())
    if reading.is_csv and not any(name in options for name in _DELIMITERS):
        options["delim"] = f"'{delimiter_of(reading.files[0], _codec(reading, 0))}'"
    broken: list[tuple[int, Broken]] = []
    checked = [
        _checked(reading, number, options, folder, broken, limit=HEAD if head else None)
        for number in range(len(reading.files))
    ]
    files = [file.path for file in checked]
    if not reading.is_csv:
        options["format"] = "'newline_delimited'"
        _write_json(connection, reading, files, options, parquet, head=head)
        rejected: list[tuple[str, int, str, str, str]] = []
    else:
        rejected = _write_csv(connection, reading, files, options, parquet, head=head)
    if head:
        return TextTable(parquet=parquet, reading=reading, lines=None, broken=())
    lines = _lines(connection, checked, parquet, rejected, broken)
    return TextTable(parquet=parquet, reading=reading, lines=lines, broken=tuple(broken))


def quoted(text: str) -> str:
    """Double the quotes in text, for a string literal of SQL."""
    return text.replace("'", "''")


def unquoted(literal: str) -> str:
    """Return the text that a SQL string literal stands for."""
    text = literal.removeprefix("E").strip("'").replace("''", "'")
    return text.replace("\\t", "\t")


def type_words(kind: str) -> str:
    """Return a DuckDB type or time format in words for an error: `an int`."""
    if "%" in kind:
        return f"a time such as {kind}"
    name = kind.upper().removesuffix(" WITH TIME ZONE").removesuffix("TZ")
    if name.removeprefix("U") in {"INT", "INTEGER", "BIGINT", "SMALLINT", "TINYINT", "HUGEINT"}:
        return "an int"
    words = {"TIMESTAMP": "a timestamp", "DATE": "a date", "DOUBLE": "a float", "FLOAT": "a float"}
    return words.get(name, "a bool" if name == "BOOLEAN" else kind)


class _File(msgspec.Struct, frozen=True, kw_only=True):
    """A file whose records were looked at, and where each of them begins (see Lines)."""

    path: Path  # of it, or of the copy of what is whole in it
    records: int
    rows: array[int]
    lines: array[int]


def _require_encoding(reading: TextReader) -> None:
    """Raise Invalid if Python does not know the encoding."""
    try:
        codecs.lookup(reading.encoding or "utf-8")
    except LookupError as error:
        raise Invalid(
            f"{reading.names[0]}: {reading.encoding} is no encoding that Python has",
            remedy="such as shift_jis, cp1252, latin-1 or utf-16",
        ) from error


def _codec(reading: TextReader, number: int) -> str:
    """Return the encoding of a file: the one the query names, or the one its first bytes show.

    `number` is the file's among those that are read.
    """
    own = records.unicode_encoding(reading.files[number])
    named = reading.encoding
    return own if not named or named.startswith(("utf-8", "utf8", "utf-16", "utf16")) else named


@contextmanager
def _opened(reading: TextReader, number: int) -> Iterator[tuple[IO[str], str]]:
    """Open one of the text files; yield it with its encoding. Raise Invalid if it is unreadable.

    `number` is the file's among those that are read.
    """
    encoding = _codec(reading, number)
    name = reading.names[number]
    try:
        with records.text(reading.files[number], encoding) as stream:
            yield stream, encoding
    except records.UNREADABLE as error:
        raise Invalid(
            f"{name} cannot be read: {error}",
            remedy="nothing was changed; write the file again",
        ) from error


def _decoded(reading: TextReader, number: int, folder: Path) -> Path:
    """Return the path of one of the files in UTF-8: itself, or a converted copy in `folder`.

    `number` is the file's among those that are read.
    """
    file = reading.files[number]
    if _codec(reading, number) == "utf-8-sig":
        return file
    copy = _copy(reading, number, folder)
    with _opened(reading, number) as (stream, _), copy.open("w", newline="") as target:
        target.writelines(stream)
    return copy


def _copy(reading: TextReader, number: int, folder: Path) -> Path:
    """Return the path in `folder` for an unpacked copy of one of the files.

    `number` is the file's among those that are read.
    """
    name = reading.files[number].name
    return folder / f"{number}-{name.removesuffix('.gz').removesuffix('.zst')}"


def _one_record_a_line(reading: TextReader) -> bool:
    """Return whether a JSON file has one object a line, and is not a JSON array."""
    if reading.is_csv:
        return True
    with _opened(reading, 0) as (stream, encoding):
        first = list(islice(records.json_records(stream, encoding=encoding), 10))
    return not first or any(not record.fault for record in first)


def _records(
    reading: TextReader, lines: IO[str], encoding: str, options: dict[str, str]
) -> Iterator[records.Record]:
    """Yield the records of a text file, parsed as CSV or JSON lines."""
    if not reading.is_csv:
        return records.json_records(lines, encoding=encoding)
    return records.csv_records(lines, encoding=encoding, delimiter=_delimiter(options))


def _delimiter(options: dict[str, str]) -> str:
    """Return the field delimiter that a CSV reader's SQL options name."""
    return unquoted(next(options[name] for name in _DELIMITERS if name in options))


def _checked(
    reading: TextReader,
    number: int,
    options: dict[str, str],
    folder: Path,
    broken: list[tuple[int, Broken]],
    *,
    limit: int | None,
) -> _File:
    """Find the line on which each record of a file begins; add faulty records to `broken`.

    `number` is the file's among those that are read, `options` how DuckDB reads them, and `limit`
    how many records are looked at. The result has the numbers of rows and lines.
    """
    if limit is None and (plain := _plain(reading, number, options)) is not None:
        return plain
    rows, lines = array("q"), array("q")
    count = expected = begin = bad = 0
    dense = True  # neither empty lines nor faulty ones: DuckDB's records are ours
    with _opened(reading, number) as (stream, encoding):
        for record in islice(_records(reading, stream, encoding, options), limit):
            dense = dense and not record.fault and record.line == (begin or 1)
            begin = record.line + record.text.count("\n")
            if record.fault:
                bad += 1
                broken.append(
                    (number, Broken(line=record.line, reason=record.fault, text=record.text))
                )
                if bad > _MOST:
                    raise _broken_through(reading, number, broken)
                continue
            if record.line != expected:
                rows.append(count)
                lines.append(record.line)
            expected = record.line + 1
            count += 1
    if bad > count:
        raise _broken_through(reading, number, broken)
    path = reading.files[number]
    if not dense or encoding != "utf-8-sig":
        path = _copy(reading, number, folder)
        with (
            _opened(reading, number) as (stream, _),
            path.open("w", encoding="utf-8", newline="") as target,
        ):
            for record in islice(_records(reading, stream, encoding, options), limit):
                if not record.fault:
                    target.write(record.text.rstrip("\r\n") + "\n")
    return _File(path=path, records=count, rows=rows, lines=lines)


def _plain(reading: TextReader, number: int, options: dict[str, str]) -> _File | None:
    """Count the records of a CSV file that is so simple that no check is needed; None if not.

    `number` is the file's among those that are read.
    """
    if not reading.is_csv or _codec(reading, number) != "utf-8-sig":
        return None
    path = reading.files[number]
    try:
        count = records.plain_count(path, _delimiter(options))
    except records.UNREADABLE:  # the careful reading says what is wrong
        return None
    if count is None:
        return None
    return _File(path=path, records=count, rows=array("q", [0]), lines=array("q", [1]))


def _broken_through(
    reading: TextReader, number: int, broken: Sequence[tuple[int, Broken]]
) -> Invalid:
    """Return the error for a text file that has more broken lines than good ones.

    `number` is the file's among those that are read.
    """
    first = next(row for file, row in broken if file == number)
    bad = sum(file == number for file, _ in broken)
    return Invalid(
        f"{reading.names[number]}, line {first.line}: {shown(first.text)} {first.reason}, and so "
        f"are {bad - 1:,} others: more than there are good ones",
        remedy=advice(reading.files[number], reading.names[number]),
    )


def _write(
    connection: duckdb.DuckDBPyConnection, relation: str, parquet: Path, *, head: bool
) -> None:
    """Write the rows of a SQL relation to a Parquet file; with `head` only the first."""
    limit = f" LIMIT {HEAD}" if head else ""
    connection.execute(
        f"COPY (SELECT * FROM {relation}{limit}) TO '{quoted(str(parquet))}' "
        "(FORMAT parquet, COMPRESSION lz4)"
    )


def _write_json(
    connection: duckdb.DuckDBPyConnection,
    reading: TextReader,
    files: Sequence[Path],
    options: dict[str, str],
    parquet: Path,
    *,
    head: bool,
) -> None:
    """Write the rows of JSON lines files to the file `parquet`; with `head` only the first."""
    import duckdb

    try:
        _write(connection, reading.sql(files, options), parquet, head=head)
    except duckdb.InvalidInputException:  # a value after the sample is of another type
        if "sample_size" in options:
            raise
        every = options | {"sample_size": "-1"}
        _write(connection, reading.sql(files, every), parquet, head=head)


def _write_csv(
    connection: duckdb.DuckDBPyConnection,
    reading: TextReader,
    files: Sequence[Path],
    options: dict[str, str],
    parquet: Path,
    *,
    head: bool,
) -> list[tuple[str, int, str, str, str]]:
    """Write CSV files to Parquet; return the rows whose values do not fit the columns' types.

    Each is (path, number of the record in the file, column, DuckDB's reason, text). `head` writes
    the first rows only.
    """
    errors, scans = (f"isthmus_{name}_{parquet.parent.name}" for name in ("errors", "scans"))
    noted = {
        "store_rejects": "true",
        "rejects_limit": "0",
        "rejects_table": f"'{errors}'",
        "rejects_scan": f"'{scans}'",
    }
    _write(connection, reading.sql(files, options | noted), parquet, head=head)
    if head:
        return []
    rows = connection.execute(
        "SELECT file_path, line, coalesce(column_name, ''), error_message, csv_line "
        f"FROM {errors} JOIN {scans} USING (scan_id, file_id) ORDER BY file_id, line"
    ).fetchall()
    connection.execute(f"DROP TABLE {errors}; DROP TABLE {scans}")
    return rows


def _lines(
    connection: duckdb.DuckDBPyConnection,
    checked: Sequence[_File],
    parquet: Path,
    rejected: Sequence[tuple[str, int, str, str, str]],
    broken: list[tuple[int, Broken]],
) -> Lines | None:
    """Return which line of which file each Parquet row is from; None if that is not needed.

    Rows that DuckDB rejected are added to `broken`.
    """
    (count,) = connection.execute(f"SELECT count(*) FROM '{quoted(str(parquet))}'").fetchall()[0]
    places = {str(file.path): number for number, file in enumerate(checked)}
    every = sum(file.records for file in checked)
    removed = {(places[path], line - 1) for path, line, *_ in rejected}
    header = 1 if count + len(removed) == every - len(checked) else 0
    complete = count + len(removed) == every - header * len(checked)
    lines, gone = Lines(array("q"), array("q"), array("q")), []
    first = 0  # row of a file
    for number, file in enumerate(checked):
        own = Lines(file.rows, file.lines, array("q", [number] * len(file.rows)))
        if header:
            own = own.without([0])
        lines.rows.extend(first + row for row in own.rows)
        lines.lines.extend(own.lines)
        lines.files.extend(own.files)
        gone += [first + row - header for place, row in removed if place == number]
        first += file.records - header
    noted: set[tuple[int, int]] = set()
    for path, record, column, message, text in rejected:
        place = (places[path], record - 1)
        if place not in noted:
            noted.add(place)
            row = sum(file.records - header for file in checked[: place[0]]) + place[1] - header
            line = lines.position(row)[1] if complete else None
            broken.append((place[0], _rejected(line, column, message, text)))
    return lines.without(gone) if complete else None


_NOT_CONVERTED = re.compile(r"Could not convert string \"(.*)\" to '?([A-Z ]+)", re.DOTALL)


def _rejected(line: int | None, column: str, message: str, text: str) -> Broken:
    """Convert a row that DuckDB's CSV reader rejected to a broken line, with the reason as text."""
    if match := _NOT_CONVERTED.search(message):
        return Broken(
            line=line,
            reason=f"is not {type_words(match[2].strip())}",
            text=text,
            value=f"{column} = {shown(match[1])}",
        )
    return Broken(line=line, reason=message.partition("\n")[0], text=text)
