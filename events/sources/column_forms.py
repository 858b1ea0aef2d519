"""Tell what the values of a text file's column look like: numbers, times and their formats."""

from __future__ import annotations

import re
from collections import Counter
from itertools import islice
from typing import Any

import pyarrow as pa
import pyarrow.compute

pc: Any = pyarrow.compute

FEW = 0.05  # the share of a column's values that may be of another kind than the rest
SHOWN = 5  # bad values
ROWS = 50_000  # of a chunk
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


_WORDS = {
    "BIGINT": "is not a whole number",
    "DOUBLE": "is not a number",
    "COMMA": "is not a number with a decimal comma",
    "BOOLEAN": "is neither true nor false",
    "ISO": "is not a time",
}


class ColumnForm:
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
        """Add a value and its line number to a block, which is looked at when it is full."""
        self._values.append(value)
        self._lines.append(line)
        if len(self._values) >= ROWS:
            self.flush()

    def flush(self) -> None:
        """Look at the block of values that `add_later` has gathered."""
        if self._values:
            self.add(self._values, self._lines)
        self._values, self._lines = [], []

    def add(self, values: list[str], lines: list[int]) -> None:
        """Count which types (such as int, ISO time) a block of the column's values look like."""
        array = pa.array(values, pa.string())
        filled = pc.not_equal(array, "")
        self.count += pc.sum(filled).as_py() or 0
        for kind, pattern in _KINDS.items():
            matches = pc.match_substring_regex(array, pattern)
            count = pc.sum(matches).as_py() or 0
            self.kinds[kind] += count
            if len(self.strange[kind]) < SHOWN and count:
                others = pc.indices_nonzero(pc.and_(filled, pc.invert(matches)))
                for row in others.slice(0, SHOWN).to_pylist():
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
        """Return whether most of the first values look like times."""
        filled = [value for value in islice(values, 200) if value]
        return 2 * sum(_time_format(value) is not None for value in filled) > len(filled)

    def _add_time(self, value: str, line: int) -> None:
        """Count the time format of a value; keep some values that have none, with their lines."""
        if not value:
            return
        form = _time_format(value)
        if form is None:
            if len(self.strange["TIME"]) < SHOWN:
                self.strange["TIME"].append((line, value))
            return
        self.formats[form] += 1
        if form.startswith("?"):
            numbers = value.replace("-", ".").replace("/", ".").split(".")
            self.most = [max(self.most[0], int(numbers[0])), max(self.most[1], int(numbers[1]))]

    def time_format(self) -> tuple[str, bool]:
        """Return the strptime format of the column's times, and whether day and month are unclear.

        The format is "" where most values are in none.
        """
        if not self.formats:
            return "", False
        form, count = self.formats.most_common(1)[0]
        if count < (1 - FEW) * self.count:
            return "", False
        if not form.startswith("?"):
            return form, False
        separator = form[1]
        day_first = self.most[0] > 12 or (self.most[1] <= 12 and separator != "/")
        either = max(self.most) <= 12 and separator != "."
        pair = ("%d", "%m") if day_first else ("%m", "%d")
        return separator.join(pair) + separator + form[2:], either

    def kind(self) -> str:
        """Return the type that nearly all values look like, such as an ISO time; "" for text."""
        for kind in _KINDS:
            if self.count and self.kinds[kind] >= (1 - FEW) * self.count:
                return kind if kind != "COMMA" or self.fraction else ""
        return ""

    def sql_type(self) -> str:
        """Return the DuckDB type that fits nearly all values of the column."""
        kind = self.kind()
        if kind == "ISO":
            return "TIMESTAMPTZ" if self.zoned else "TIMESTAMP"
        return "DOUBLE" if kind == "COMMA" else kind

    def misfits(self) -> int:
        """Return how many values do not have the type that nearly all values have."""
        if self.time_format()[0]:
            return self.count - sum(self.formats.values())
        kind = self.kind()
        return self.count - self.kinds[kind] if kind else 0

    def strange_values(self) -> list[tuple[int, str]]:
        """Return the first values that do not have the column's type, as (line, value)."""
        return self.strange["TIME" if self.time_format()[0] else self.kind()]

    def words(self) -> str:
        """Return why a value of another type is refused, as text: `is not a time such as ...`."""
        form, _ = self.time_format()
        return f"is not a time such as {form}" if form else _WORDS[self.kind()]


def has_clock(time_format: str) -> bool:
    """Return whether a strptime format includes a time of day."""
    return "%H" in time_format or "%I" in time_format


def _time_format(value: str) -> str | None:
    """Return the strptime format of a time that is not ISO 8601; "?" for an unclear order."""
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
    """Return the strptime format of the time of day in a match, or an empty text."""
    gap, hour, minute, seconds, fraction, half = match.groups()[first - 1 : first + 5]
    if hour is None or minute is None:
        return ""
    clock = (
        ("%I:%M" if half else "%H:%M") + (":%S" if seconds else "") + (".%f" if fraction else "")
    )
    return f"{gap}{clock}" + (f"{' ' if half.startswith(' ') else ''}%p" if half else "")
