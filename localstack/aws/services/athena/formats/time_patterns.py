"""Joda's patterns for times in DuckDB's words.

format_datetime, parse_datetime and partition projection take them.
"""

from __future__ import annotations

import re

from ..errors import NotRun

_JODA = {
    "yyyy": "%Y", "YYYY": "%Y", "y": "%Y", "yy": "%y", "MM": "%m", "M": "%-m", "MMM": "%b",
    "MMMM": "%B", "dd": "%d", "d": "%-d", "HH": "%H", "H": "%-H", "hh": "%I", "h": "%-I",
    "mm": "%M", "m": "%-M", "ss": "%S", "s": "%-S", "SSS": "%g", "SSSSSS": "%f", "a": "%p",
    "E": "%a", "EEE": "%a", "EEEE": "%A", "D": "%-j", "Z": "%z", "z": "%Z",
}  # fmt: skip


def joda(pattern: str) -> str:
    """Translate a date pattern of Joda-Time (yyyy-MM-dd) into DuckDB's (%Y-%m-%d)."""
    parts: list[str] = []
    for match in re.finditer(r"'((?:[^']|'')*)'|([A-Za-z])\2*|[^A-Za-z']+", pattern):
        word = match.group()
        if word.startswith("'"):
            parts.append((match.group(1) or "'").replace("''", "'").replace("%", "%%"))
        elif word[0].isalpha():
            if word not in _JODA:
                raise NotRun(f"the date format {word!r} in {pattern!r}")
            parts.append(_JODA[word])
        else:
            parts.append(word.replace("%", "%%"))
    return "".join(parts)
