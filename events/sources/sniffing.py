"""Tell how a text file of events is written, and give the SQL that reads it.

It is the encoding, the delimiter, decimal commas and the formats of times, and the first rows that
do not fit. Whole files are looked at: a bad row may be the last one.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from itertools import islice
from pathlib import Path

import msgspec

from ...errors import Invalid
from . import records
from .column_forms import FEW, ROWS, SHOWN, ColumnForm, has_clock
from .files import kind_of

DELIMITERS = (",", ";", "\t", "|")
_HALF_KANA = re.compile("[\uff61-\uff9f]")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")


class BadRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row that does not fit, by its line in the file. `column` is "" where the line is broken."""

    line: int
    column: str = ""
    value: str
    reason: str

    def __str__(self) -> str:
        place = f"line {self.line}" + (f", {self.column}" if self.column else "")
        value = self.value if len(self.value) <= 80 else f"{self.value[:77]}..."
        return f"{place}: {value!r} {self.reason}"


class TextFormat(msgspec.Struct, frozen=True, kw_only=True):
    """How a text file is written.

    `types`: DuckDB's types of columns in which some values are of another type, or that have
    commas or formats of their own. `time_formats`: those of columns whose times are not ISO's, as
    strptime has them; `either_order`: those of them where the day may be the month. `bad`: the
    first bad rows, of `bad_rows`.
    """

    kind: str  # .csv, .tsv, .jsonl, .ndjson, .json
    encoding: str
    delimiter: str
    decimal_comma: bool = False
    columns: tuple[str, ...] = ()
    rows: int = 0
    types: dict[str, str] = msgspec.field(default_factory=dict)
    time_formats: dict[str, str] = msgspec.field(default_factory=dict)
    either_order: tuple[str, ...] = ()
    bad: tuple[BadRow, ...] = ()
    bad_rows: int = 0

    @property
    def plain(self) -> bool:
        """Whether DuckDB reads the file correctly by `FROM 'path'`, without options."""
        default = "\t" if self.kind == ".tsv" else ","
        return (
            self.encoding == "utf-8"
            and not self.decimal_comma
            and not self.types
            and (self.kind not in {".csv", ".tsv"} or self.delimiter == default)
        )

    @property
    def reader(self) -> str:
        """The DuckDB function that reads such a file."""
        return "read_csv" if self.kind in {".csv", ".tsv"} else "read_json"

    @property
    def options(self) -> dict[str, str]:
        """The options of DuckDB's reader for this file, by name, as SQL."""
        if self.reader == "read_json":
            return {}
        options = {"delim": _literal(self.delimiter), "header": "true"}
        if self.encoding != "utf-8":
            options["encoding"] = _literal(self.encoding)
        if self.decimal_comma:
            options["decimal_separator"] = "','"
        if common := self.common_time_format:
            name = "timestampformat" if has_clock(common) else "dateformat"
            options[name] = _literal(common)
        if self.types:
            options["types"] = _struct(self.types)
        return options

    def relation(self, path: str) -> str:
        """Return the SQL that reads the file at `path`: `read_csv('path', ...)`, or 'path' alone.

        `ingest` accepts every encoding of Python's in `encoding`, and quarantines rows that do not
        fit `types`. Times in another format than most stay text: `time_formats` has theirs.
        """
        if self.plain or not self.options:
            return _literal(path)
        words = [_literal(path), *(f"{name} = {value}" for name, value in self.options.items())]
        return f"{self.reader}({', '.join(words)})"

    @property
    def common_time_format(self) -> str:
        """The strptime format of most time columns; empty if all are ISO 8601."""
        counts = Counter(self.time_formats.values())
        return counts.most_common(1)[0][0] if counts else ""


def sniff(path: Path) -> TextFormat:
    """Detect how a text file is written: encoding, delimiter, columns, types and bad rows.

    Raises:
        Invalid: The file is empty, or cannot be unpacked.
    """
    try:
        encoding = encoding_of(path)
        if kind_of(path) in {".csv", ".tsv"}:
            delimiter = delimiter_of(path, encoding)
            return _sniffed_csv(path, encoding, delimiter)
        return _sniffed_json(path, encoding)
    except records.UNREADABLE as error:
        raise Invalid(
            f"{path.name} cannot be read: {error}", remedy="write the file again"
        ) from error


def encoding_of(path: Path) -> str:
    """Return a text file's detected encoding: UTF-8 unless its bytes fit another one better."""
    encoding = records.unicode_encoding(path)
    if encoding != "utf-8-sig":
        return encoding
    with records.binary(path) as stream:
        lines, strange, first = 0, [], b""
        for line in islice(stream, 200_000):
            lines += 1
            first = first or line
            if not line.isascii() and not _decodes(line, "utf-8"):
                strange.append(line)
                if len(strange) > 1_000:
                    break
    few = len(strange) <= FEW * lines and not (strange and lines < 20)
    if few and not (strange and strange[0] == first):  # a header is read, or nothing is
        return "utf-8"
    sample = b"".join(strange)
    runs = re.findall(rb"[\x80-\xff]+", sample)
    if 2 * sum(len(run) > 1 for run in runs) < len(runs):  # single letters with accents
        return "cp1252" if _decodes(sample, "cp1252") else "latin-1"
    scores = {name: _japanese(sample, name) for name in ("shift_jis", "cp932", "euc_jp")}
    best = max(scores, key=lambda name: scores[name])
    if scores[best] <= 0:
        return "cp1252" if _decodes(sample, "cp1252") else "latin-1"
    return best


def _decodes(content: bytes, encoding: str) -> bool:
    """Return whether bytes are valid in an encoding."""
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _japanese(content: bytes, encoding: str) -> float:
    """Return a score of how much bytes look like Japanese text in an encoding."""
    decoded = content.decode(encoding, "replace")
    wrong = decoded.count("\ufffd") + len(_HALF_KANA.findall(decoded))
    return len(_JAPANESE.findall(decoded)) - 2 * wrong


def delimiter_of(path: Path, encoding: str) -> str:
    """Return the delimiter by which most of a CSV file's first lines have equal fields."""
    with records.text(path, encoding if encoding != "utf-8" else "utf-8-sig") as stream:
        head = "".join(islice(stream, 200))
    default = "\t" if kind_of(path) == ".tsv" else ","
    best, most = default, (0, 0)
    for delimiter in (default, *(other for other in DELIMITERS if other != default)):
        parsed = list(
            records.csv_records(io.StringIO(head), encoding=encoding, delimiter=delimiter)
        )
        if not parsed or (width := len(parsed[0].fields)) < 2:
            continue
        score = (sum(not record.fault for record in parsed), width)
        if score > most:
            best, most = delimiter, score
    return best


def _sniffed_csv(path: Path, encoding: str, delimiter: str) -> TextFormat:
    """Return the detected format of a CSV file: columns, types, times and bad rows."""
    codec = encoding if encoding != "utf-8" else "utf-8-sig"
    bad: list[BadRow] = []
    bad_rows = rows = 0
    with records.text(path, codec) as stream:
        parsed = records.csv_records(stream, encoding=encoding, delimiter=delimiter)
        header = next(parsed, None)
        if header is None:
            raise Invalid(f"{path.name} is empty", remedy="its first row names the columns")
        columns = tuple(name.strip() for name in header.fields)
        tallies = [ColumnForm(name) for name in columns]
        while part := list(islice(parsed, ROWS)):
            rows += len(part)
            faulty = [record for record in part if record.fault]
            bad_rows += len(faulty)
            bad += [
                BadRow(line=record.line, value=record.text, reason=record.fault)
                for record in faulty[: SHOWN - len(bad)]
            ]
            whole = [record for record in part if not record.fault]
            lines = [record.line for record in whole]
            fields = zip(*(record.fields for record in whole), strict=True)
            for tally, values in zip(tallies, fields, strict=False):
                tally.add(list(values), lines)
    form = TextFormat(
        kind=kind_of(path),
        encoding=encoding,
        delimiter=delimiter,
        columns=columns,
        rows=rows,
        bad_rows=bad_rows,
    )
    return _described(form, tallies, bad)


def _sniffed_json(path: Path, encoding: str) -> TextFormat:
    """Return the detected format of a JSON lines file: columns, types and bad rows."""
    codec = encoding if encoding != "utf-8" else "utf-8-sig"
    tallies: dict[str, ColumnForm] = {}
    bad: list[BadRow] = []
    bad_rows = rows = 0
    with records.text(path, codec) as stream:
        for record in records.json_records(stream, encoding=encoding):
            rows += 1
            if record.fault:
                bad_rows += 1
                if len(bad) < SHOWN:
                    bad.append(BadRow(line=record.line, value=record.text, reason=record.fault))
                continue
            for name, value in record.fields[0].items():
                tally = tallies.setdefault(name, ColumnForm(name))
                if isinstance(value, str):
                    tally.add_later(value, record.line)
    for tally in tallies.values():
        tally.flush()
    form = TextFormat(
        kind=kind_of(path),
        encoding=encoding,
        delimiter="",
        columns=tuple(tallies),
        rows=rows,
        bad_rows=bad_rows,
    )
    form = _described(form, [tally for tally in tallies.values() if tally.count], bad)
    times = {n: t for n, t in form.types.items() if t in {"TIMESTAMP", "TIMESTAMPTZ", "DATE"}}
    return msgspec.structs.replace(form, types=times, decimal_comma=False)


def advice(path: Path, name: str) -> str:
    """Return a hint, with SQL, on how to read a text file whose format is unusual.

    `name` is the file's path as SQL should have it.
    """
    try:
        form = sniff(path)
    except Invalid as error:
        return error.remedy or ""
    if form.plain:
        return "nothing was changed; mend the file"
    return f"in a source's query: FROM {form.relation(name)}"


def _described(form: TextFormat, tallies: list[ColumnForm], bad: list[BadRow]) -> TextFormat:
    """Return a detected format, completed by the types and times of its columns and its bad rows.

    `tallies` has what the values of each column look like.
    """
    types: dict[str, str] = {}
    formats: dict[str, str] = {}
    either: list[str] = []
    bad_rows = form.bad_rows
    for tally in tallies:
        time_format, exchanged = tally.time_format()
        kind = tally.kind()
        if time_format:
            formats[tally.name] = time_format
            either += [tally.name] if exchanged else []
        elif kind == "COMMA":
            types[tally.name] = "DOUBLE"
        if count := tally.misfits():
            bad_rows += count
            bad += [
                BadRow(line=line, column=tally.name, value=value, reason=tally.words())
                for line, value in tally.strange_values()
            ]
            if kind and not time_format:
                types.setdefault(tally.name, tally.sql_type())
    comma = any(tally.kind() == "COMMA" and not tally.time_format()[0] for tally in tallies)
    if comma:  # DuckDB reads a point as text then
        types |= {tally.name: "VARCHAR" for tally in tallies if tally.kind() == "DOUBLE"}
    common = Counter(formats.values()).most_common(1)
    for name, time_format in formats.items():
        if time_format != common[0][0]:
            types[name] = "VARCHAR"
        else:
            types[name] = "TIMESTAMP" if has_clock(time_format) else "DATE"
    bad.sort(key=lambda row: row.line)
    return msgspec.structs.replace(
        form,
        decimal_comma=comma,
        types=types,
        time_formats=formats,
        either_order=tuple(either),
        bad=tuple(bad[:SHOWN]),
        bad_rows=bad_rows,
    )


def _struct(members: dict[str, str]) -> str:
    """Return names and their SQL values as the SQL of a DuckDB struct."""
    return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in members.items()) + "}"


def _literal(text: str) -> str:
    """Return text as a string literal of SQL."""
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(9), chr(92) + 't')}'" if "\t" in text else f"'{escaped}'"
