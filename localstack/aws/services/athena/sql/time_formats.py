"""MySQL's and Teradata's formats of times in DuckDB's words.

MySQL's are those of date_format and date_parse, Teradata's those of to_char and to_date. Joda's are
Hive's, too, and stand in formats/time_patterns.py.
"""

from __future__ import annotations

import re

from ..errors import QueryFailed

_MYSQL = {
    "%Y": "%Y", "%y": "%y", "%m": "%m", "%c": "%-m", "%d": "%d", "%e": "%-d", "%H": "%H",
    "%k": "%-H", "%h": "%I", "%I": "%I", "%l": "%-I", "%i": "%M", "%s": "%S", "%S": "%S",
    "%f": "%f", "%p": "%p", "%W": "%A", "%a": "%a", "%b": "%b", "%M": "%B", "%j": "%j",
    "%T": "%H:%M:%S", "%r": "%I:%M:%S %p", "%%": "%%", "%v": "%V", "%x": "%G",
}  # fmt: skip
_TERADATA = {
    "yyyy": "%Y",
    "yy": "%y",
    "mm": "%m",
    "dd": "%d",
    "hh24": "%H",
    "hh": "%I",
    "mi": "%M",
    "ss": "%S",
}


def mysql(pattern: str) -> str:
    """Translate a date format of MySQL (date_format: %Y-%m-%d) into DuckDB's."""

    def directive(match: re.Match[str]) -> str:
        word = match.group()
        if word not in _MYSQL:
            raise QueryFailed(
                "INVALID_FUNCTION_ARGUMENT",
                f"Date format '{pattern}': {word} is not supported by date_format and date_parse",
            )
        return _MYSQL[word]

    return re.sub(r"%.", directive, pattern)


def teradata(pattern: str) -> str:
    """Translate a date format of Teradata (to_date: yyyy-mm-dd) into DuckDB's."""
    return re.sub(
        "yyyy|yy|mm|dd|hh24|hh|mi|ss",
        lambda match: _TERADATA[match.group().lower()],
        pattern,
        flags=re.IGNORECASE,
    )
