"""MySQL's formats of times (date_format, date_parse) and Teradata's (to_char, to_date), as DuckDB's. Joda's are Hive's, too."""

from __future__ import annotations

import re

from ...hive.errors import QueryFailed

_MYSQL = {
    "%Y": "%Y", "%y": "%y", "%m": "%m", "%c": "%-m", "%d": "%d", "%e": "%-d", "%H": "%H", "%k": "%-H", "%h": "%I", "%I": "%I",
    "%l": "%-I",
    "%i": "%M", "%s": "%S", "%S": "%S", "%f": "%f", "%p": "%p", "%W": "%A", "%a": "%a", "%b": "%b", "%M": "%B", "%j": "%j",
    "%T": "%H:%M:%S", "%r": "%I:%M:%S %p", "%%": "%%", "%v": "%V", "%x": "%G",
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


def teradata(pattern: str) -> str:
    return re.sub("yyyy|yy|mm|dd|hh24|hh|mi|ss", lambda found: _TERADATA[found.group().lower()], pattern, flags=re.IGNORECASE)
