"""Format strings for times: MySQL's (date_format, date_parse), Joda's (format_datetime, parse_datetime) and Teradata's, as DuckDB's."""

from __future__ import annotations

import re

from ...hive.errors import NotRun, QueryFailed

_MYSQL = {
    "%Y": "%Y", "%y": "%y", "%m": "%m", "%c": "%-m", "%d": "%d", "%e": "%-d", "%H": "%H", "%k": "%-H", "%h": "%I", "%I": "%I",
    "%l": "%-I",
    "%i": "%M", "%s": "%S", "%S": "%S", "%f": "%f", "%p": "%p", "%W": "%A", "%a": "%a", "%b": "%b", "%M": "%B", "%j": "%j",
    "%T": "%H:%M:%S", "%r": "%I:%M:%S %p", "%%": "%%", "%v": "%V", "%x": "%G",
}  # fmt: skip
_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "MMM": "%b", "MMMM": "%B", "dd": "%d", "d": "%-d",
    "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I", "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g", "SSSSSS": "%f",
    "a": "%p", "E": "%a",
    "EEE": "%a", "EEEE": "%A", "D": "%-j", "Z": "%z", "z": "%Z",
}  # fmt: skip
_TERADATA = {"yyyy": "%Y", "yy": "%y", "mm": "%m", "dd": "%d", "hh24": "%H", "hh": "%I", "mi": "%M", "ss": "%S"}


def mysql(pattern: str) -> str:
    def one(found: re.Match[str]) -> str:
        word = found.group()
        if word not in _MYSQL:
            raise QueryFailed(
                "INVALID_FUNCTION_ARGUMENT", f"Date format '{pattern}': {word} is not supported by date_format and date_parse"
            )
        return _MYSQL[word]

    return re.sub(r"%.", one, pattern)


def joda(pattern: str) -> str:
    parts: list[str] = []
    for found in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", pattern):
        word = found.group()
        if word.startswith("'"):
            parts.append((found.group(1) or "'").replace("''", "'").replace("%", "%%"))
        elif word[0].isalpha():
            if word not in _JODA:
                raise NotRun(f"the date format {word!r} in {pattern!r}")
            parts.append(_JODA[word])
        else:
            parts.append(word.replace("%", "%%"))
    return "".join(parts)


def teradata(pattern: str) -> str:
    return re.sub("yyyy|yy|mm|dd|hh24|hh|mi|ss", lambda found: _TERADATA[found.group().lower()], pattern, flags=re.IGNORECASE)
