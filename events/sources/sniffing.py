"""Tell how a text file of events is written, and give the SQL that reads it.

It is the encoding, the delimiter, decimal commas and the formats of times, and the first rows that
do not fit. Whole files are looked at: a bad row may be the last one.
"""

from __future__ import annotations

import io
import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute

from ...errors import Invalid
from . import records
from .files import kind_of

pc: Any = pyarrow.compute

DELIMITERS = (",", ";", "\t", "|")
_FEW = 0.05  # the share of a column's values that may be of another kind than the rest
_SHOWN = 5  # bad rows
_ROWS = 50_000  # of a chunk
_HALF_KANA = re.compile("[\uff61-\uff9f]")
_JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
_CLOCK = r"(?:([ T])(\d{1,2}):(\d\d)(:\d\d)?([.]\d{1,6})?( ?[AaPp][Mm])?)?"
_DAY_FIRST = re.compile(rf"(\d{{1,2}})([./-])(\d{{1,2}})[./-](\d{{4}}|\d\d){_CLOCK}")
_YEAR_FIRST = re.compile(rf"(\d{{4}})([./])(\d{{1,2}})[./](\d{{1,2}}){_CLOCK}")
_KANJI = re.compile(
    r"\d{4}年\d{1,2}月\d{1,2}日(?:( ?)\d{1,2}(時|:)\d{1,2}(分|:)?(?:(\d{1,2})(秒)?)?)?"
)
_ISO = r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d(:\d\d([.,]\d{1,9})?)?( ?(Z|UTC|[+-]\d\d(:?\d\d)?))?)?$"
_FRACTION = r"^\s*[+-]?(\d+,\d{1,2}|\d+,\d{4,}|0,\d+|\d{4,},\d+)\s*$"
_KINDS = {  # of a column by what its values look like, the narrowest first
    "BIGINT": r"^\s*[+-]?\d{1,18}\s*$",
    "DOUBLE": r"^\s*[+-]?(\d+([.]\d*)?|[.]\d+)([eE][+-]?\d+)?\s*$",
    "COMMA": r"^\s*[+-]?\d+(,\d+)?\s*$",
    "BOOLEAN": r"^(?i:true|false)$",
    "ISO": _ISO,
}


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
    decimal_comma: bool
    columns: tuple[str, ...]
    rows: int
    types: dict[str, str]
    time_formats: dict[str, str]
    either_order: tuple[str, ...]
    bad: tuple[BadRow, ...]
    bad_rows: int

    @property
    def plain(self) -> bool:
        """Whether `FROM 'path'` alone reads the file as it is meant."""
        default = "\t" if self.kind == ".tsv" else ","
        return (
            self.encoding == "utf-8"
            and not self.decimal_comma
            and not self.types
            and (self.kind not in {".csv", ".tsv"} or self.delimiter == default)
        )

    @property
    def reader(self) -> str:
        """DuckDB's function that reads such a file."""
        return "read_csv" if self.kind in {".csv", ".tsv"} else "read_json"

    @property
    def options(self) -> dict[str, str]:
        """The reader's options, as SQL."""
        if self.reader == "read_json":
            return {}
        options = {"delim": _literal(self.delimiter), "header": "true"}
        if self.encoding != "utf-8":
            options["encoding"] = _literal(self.encoding)
        if self.decimal_comma:
            options["decimal_separator"] = "','"
        if common := self.common_time_format:
            name = "timestampformat" if "%H" in common or "%I" in common else "dateformat"
            options[name] = _literal(common)
        if self.types:
            options["types"] = _struct(self.types)
        return options

    def relation(self, path: str) -> str:
        """Return the SQL that reads the file: `read_csv('path', ...)`, or 'path' alone.

        `ingest` takes every encoding of Python's by `encoding`, and quarantines rows that are not
        of `types`. Times that are not of the commonest format stay text: `time_formats` has theirs.
        """
        if self.plain or not self.options:
            return _literal(path)
        words = [_literal(path), *(f"{name} = {value}" for name, value in self.options.items())]
        return f"{self.reader}({', '.join(words)})"

    @property
    def common_time_format(self) -> str:
        """The format of most columns of times, "" where all are ISO's."""
        counts = Counter(self.time_formats.values())
        return counts.most_common(1)[0][0] if counts else ""


def sniff(path: Path) -> TextFormat:
    """Read a text file and tell how it is written.

    Raises:
        Invalid: It is empty, or cannot be unpacked.
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
    """Return a file's encoding: UTF-8 unless its bytes are of another one that fits better."""
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
    few = len(strange) <= _FEW * lines and not (strange and lines < 20)
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
    try:
        content.decode(encoding)
    except UnicodeDecodeError:
        return False
    return True


def _japanese(content: bytes, encoding: str) -> float:
    decoded = content.decode(encoding, "replace")
    wrong = decoded.count("\ufffd") + len(_HALF_KANA.findall(decoded))
    return len(_JAPANESE.findall(decoded)) - 2 * wrong


def delimiter_of(path: Path, encoding: str) -> str:
    """Return the delimiter by which a CSV file's first lines have the most equal fields."""
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
    codec = encoding if encoding != "utf-8" else "utf-8-sig"
    columns: tuple[str, ...] = ()

    def chunks() -> Iterator[list[records.Record]]:
        with records.text(path, codec) as stream:
            parsed = records.csv_records(stream, encoding=encoding, delimiter=delimiter)
            while part := list(islice(parsed, _ROWS)):
                yield part

    bad: list[BadRow] = []
    bad_rows = rows = 0
    tallies: list[_Column] = []
    for part in chunks():
        if not columns:
            columns = tuple(name.strip() for name in part[0].fields)
            tallies = [_Column(name) for name in columns]
            part = part[1:]
        rows += len(part)
        for record in part:
            if record.fault:
                bad_rows += 1
                if len(bad) < _SHOWN:
                    bad.append(BadRow(line=record.line, value=record.text, reason=record.fault))
        whole = [record for record in part if not record.fault]
        lines = [record.line for record in whole]
        for tally, values in zip(
            tallies, zip(*(r.fields for r in whole), strict=True), strict=False
        ):
            tally.add(list(values), lines)
    if not columns:
        raise Invalid(f"{path.name} is empty", remedy="its first row names the columns")
    return _described(path, encoding, delimiter, columns, rows, tallies, bad, bad_rows)


def _sniffed_json(path: Path, encoding: str) -> TextFormat:
    codec = encoding if encoding != "utf-8" else "utf-8-sig"
    tallies: dict[str, _Column] = {}
    bad: list[BadRow] = []
    bad_rows = rows = 0
    with records.text(path, codec) as stream:
        for number, line in enumerate(stream, 1):
            if not line.strip():
                continue
            rows += 1
            try:
                row = msgspec.json.decode(line)
            except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
                row = None
            if not isinstance(row, dict):
                bad_rows += 1
                if len(bad) < _SHOWN:
                    reason = "is not a JSON object"
                    bad.append(BadRow(line=number, value=records.shown(line), reason=reason))
                continue
            for name, value in row.items():
                tally = tallies.setdefault(name, _Column(name))
                if isinstance(value, str):
                    tally.add_later(value, number)
    for tally in tallies.values():
        tally.flush()
    texts = [tally for tally in tallies.values() if tally.count]
    format_ = _described(path, encoding, "", tuple(tallies), rows, texts, bad, bad_rows)
    times = {n: t for n, t in format_.types.items() if t in {"TIMESTAMP", "TIMESTAMPTZ", "DATE"}}
    return msgspec.structs.replace(format_, types=times, decimal_comma=False)


def advice(path: Path, shown: str) -> str:
    """Return how a source's SQL reads a file, where the file's own form asks for it."""
    try:
        form = sniff(path)
    except Invalid as error:
        return error.remedy or ""
    if form.plain:
        return "nothing was changed; mend the file"
    return f"in a source's SQL: FROM {form.relation(shown)}"


class _Column:
    """A count of a column's values by what they look like."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.kinds: Counter[str] = Counter()
        self.zoned = 0
        self.fraction = False  # a comma that cannot stand between thousands
        self.formats: Counter[str] = Counter()
        self.most = [0, 0]  # of the first two numbers of a date
        self.strange: dict[str, list[tuple[int, str]]] = {kind: [] for kind in (*_KINDS, "TIME")}
        self._values: list[str] = []
        self._lines: list[int] = []

    def add_later(self, value: str, line: int) -> None:
        self._values.append(value)
        self._lines.append(line)
        if len(self._values) >= _ROWS:
            self.flush()

    def flush(self) -> None:
        if self._values:
            self.add(self._values, self._lines)
        self._values, self._lines = [], []

    def add(self, values: list[str], lines: list[int]) -> None:
        array = pa.array(values, pa.string())
        filled = pc.not_equal(array, "")
        self.count += pc.sum(filled).as_py() or 0
        for kind, pattern in _KINDS.items():
            matches = pc.match_substring_regex(array, pattern)
            count = pc.sum(matches).as_py() or 0
            self.kinds[kind] += count
            if len(self.strange[kind]) < _SHOWN and count:
                others = pc.indices_nonzero(pc.and_(filled, pc.invert(matches)))
                for row in others.slice(0, _SHOWN).to_pylist():
                    self.strange[kind].append((lines[row], values[row]))
        if self.kinds["COMMA"] and not self.fraction:
            self.fraction = pc.any(pc.match_substring_regex(array, _FRACTION)).as_py() is True
        if self.kinds["ISO"]:
            zoned = pc.match_substring_regex(array, r":\d\d([.,]\d+)? ?(Z|UTC|[+-]\d\d(:?\d\d)?)$")
            self.zoned += pc.sum(zoned).as_py() or 0
        if self.kinds["ISO"] * 2 < self.count and self._may_be_times(values):
            for value, line in zip(values, lines, strict=True):
                self._add_time(value, line)

    def _may_be_times(self, values: list[str]) -> bool:
        filled = [value for value in islice(values, 200) if value]
        return 2 * sum(_time_format(value) is not None for value in filled) > len(filled)

    def _add_time(self, value: str, line: int) -> None:
        if not value:
            return
        form = _time_format(value)
        if form is None:
            if len(self.strange["TIME"]) < _SHOWN:
                self.strange["TIME"].append((line, value))
            return
        self.formats[form] += 1
        if form.startswith("?"):
            numbers = value.replace("-", ".").replace("/", ".").split(".")
            self.most = [max(self.most[0], int(numbers[0])), max(self.most[1], int(numbers[1]))]

    def time_format(self) -> tuple[str, bool]:
        """Return the format of the column's times, and whether day and month may be exchanged."""
        if not self.formats:
            return "", False
        form, count = self.formats.most_common(1)[0]
        if count < (1 - _FEW) * self.count:
            return "", False
        if not form.startswith("?"):
            return form, False
        separator = form[1]
        day_first = self.most[0] > 12 or (self.most[1] <= 12 and separator != "/")
        either = max(self.most) <= 12 and separator != "."
        pair = ("%d", "%m") if day_first else ("%m", "%d")
        return separator.join(pair) + separator + form[2:], either

    def kind(self) -> str:
        """Return what nearly all values look like, "" for text."""
        for kind in _KINDS:
            if self.count and self.kinds[kind] >= (1 - _FEW) * self.count:
                return kind if kind != "COMMA" or self.fraction else ""
        return ""


def _time_format(value: str) -> str | None:
    """Return the strptime format of a time that is not ISO's; "?" stands for day and month."""
    if match := _DAY_FIRST.fullmatch(value):
        year = "%Y" if len(match[4]) == 4 else "%y"
        return f"?{match[2]}{year}{_clock(match, 5)}"
    if match := _YEAR_FIRST.fullmatch(value):
        return f"%Y{match[2]}%m{match[2]}%d{_clock(match, 5)}"
    if match := _KANJI.fullmatch(value):
        if match[2] is None:
            return "%Y年%m月%d日"
        seconds = f"{'%S' if match[4] else ''}{match[5] or ''}"
        return f"%Y年%m月%d日{match[1]}%H{match[2]}%M{match[3] or ''}{seconds}"
    return None


def _clock(match: re.Match[str], first: int) -> str:
    gap, hour, minute, seconds, fraction, half = match.groups()[first - 1 : first + 5]
    if hour is None or minute is None:
        return ""
    clock = (
        ("%I:%M" if half else "%H:%M") + (":%S" if seconds else "") + (".%f" if fraction else "")
    )
    return f"{gap}{clock}" + (f"{' ' if half.startswith(' ') else ''}%p" if half else "")


def _described(
    path: Path,
    encoding: str,
    delimiter: str,
    columns: tuple[str, ...],
    rows: int,
    tallies: list[_Column],
    bad: list[BadRow],
    bad_rows: int,
) -> TextFormat:
    types: dict[str, str] = {}
    formats: dict[str, str] = {}
    either: list[str] = []
    comma = False
    kinds = {tally.name: tally.kind() for tally in tallies}
    for tally in tallies:
        form, exchanged = tally.time_format()
        kind = kinds[tally.name]
        if form:
            formats[tally.name] = form
            either += [tally.name] if exchanged else []
            strange, words = "TIME", f"is not a time such as {form}"
        elif kind == "COMMA":
            comma, types[tally.name] = True, "DOUBLE"
            strange, words = kind, "is not a number with a decimal comma"
        elif kind:
            strange, words = kind, _WORDS[kind]
        else:
            continue
        fitting = sum(tally.formats.values()) if form else tally.kinds[kind]
        if fitting < tally.count:
            bad_rows += tally.count - fitting
            bad += [
                BadRow(line=line, column=tally.name, value=value, reason=words)
                for line, value in tally.strange[strange]
            ]
            if kind == "ISO":
                types[tally.name] = "TIMESTAMPTZ" if tally.zoned else "TIMESTAMP"
            elif kind and kind != "COMMA":
                types[tally.name] = kind
    if comma:  # DuckDB reads a point as text then
        types |= {name: "VARCHAR" for name, kind in kinds.items() if kind == "DOUBLE"}
    common = Counter(formats.values()).most_common(1)
    for name, form in formats.items():
        if form != common[0][0]:
            types[name] = "VARCHAR"
        else:
            types[name] = "TIMESTAMP" if "%H" in form or "%I" in form else "DATE"
    bad.sort(key=lambda row: row.line)
    return TextFormat(
        kind=kind_of(path),
        encoding=encoding,
        delimiter=delimiter,
        decimal_comma=comma,
        columns=columns,
        rows=rows,
        types=types,
        time_formats=formats,
        either_order=tuple(either),
        bad=tuple(bad[:_SHOWN]),
        bad_rows=bad_rows,
    )


_WORDS = {
    "BIGINT": "is not a whole number",
    "DOUBLE": "is not a number",
    "BOOLEAN": "is neither true nor false",
    "ISO": "is not a time",
}


def _struct(members: dict[str, str]) -> str:
    return "{" + ", ".join(f"{_literal(k)}: {_literal(v)}" for k, v in members.items()) + "}"


def _literal(text: str) -> str:
    escaped = text.replace("'", "''")
    return f"E'{escaped.replace(chr(9), chr(92) + 't')}'" if "\t" in text else f"'{escaped}'"
