"""The query language of Cloud Logging.

AIP-160 over an entry's fields, with severities by their levels, comments and log_id.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import unquote

from google.logging.type import log_severity_pb2
from google.protobuf import json_format

from ...core.resources import filters

_COMMENT = re.compile(r'("(?:[^"\\]|\\.)*")|--[^\n]*')
_LOG_ID = re.compile(r"\blog_id\(\s*(\"[^\"]*\"|'[^']*'|[^)\s]+)\s*\)")
_LEVELS = {name: float(number) for name, number in log_severity_pb2.LogSeverity.items()}


def matching(entries: Sequence[Any], text: str) -> list[Any]:
    """Return the log entries that fit a filter of the Logging query language.

    Raises:
        FilterError: The text is no filter.
    """
    text = normalized(text)
    if not text.strip():
        return list(entries)
    return [entry for entry in entries if filters.matches(text, Lookup(entry), anywhere=contains)]


class Severity(str):
    """A severity as it is compared: by its level, not its letters."""

    __slots__ = ()

    def __lt__(self, other: str) -> bool:
        return _LEVELS[self] < _level(other)

    def __gt__(self, other: str) -> bool:
        return _LEVELS[self] > _level(other)


class Lookup:
    """The values of a filter's field names in an entry."""

    def __init__(self, entry: Any) -> None:
        self.entry = entry
        self._fields = filters.of_message(entry)

    def __call__(self, path: str) -> object:
        first, _, rest = path.partition(".")
        name = re.sub(r"(?<=[a-z0-9])([A-Z])", r"_\1", first).lower()
        if name == "severity":
            return Severity(log_severity_pb2.LogSeverity.Name(self.entry.severity))
        if name == "log_id":
            return unquote(self.entry.log_name.partition("/logs/")[2])
        if name == "json_payload":
            return _member(json_format.MessageToDict(self.entry.json_payload), rest)
        if name == "resource" and rest.startswith("labels."):
            return self.entry.resource.labels.get(rest.removeprefix("labels."))
        return self._fields(path)


def contains(lookup: Any, text: str) -> bool:
    """Return whether any field of a log entry contains the text, in any letter case."""
    return (
        text.lower()
        in json_format.MessageToJson(lookup.entry, indent=None, ensure_ascii=False).lower()
    )


def normalized(text: str) -> str:
    """Rewrite a Logging filter for the general filter parser, and return it.

    Comments are left out, and `log_id("x")` becomes a comparison.
    """
    return _LOG_ID.sub(r"log_id=\1", _COMMENT.sub(lambda match: match[1] or " ", text))


def _member(value: Any, path: str) -> Any:
    """Return the value at a dotted path in nested dictionaries, or None.

    A key may contain dots itself.
    """
    if not path:
        return value
    if not isinstance(value, dict):
        return None
    parts = path.split(".")
    for count in range(len(parts), 0, -1):
        key = ".".join(parts[:count])
        if key in value:
            return _member(value[key], ".".join(parts[count:]))
    return None


def _level(text: str) -> float:
    """Return the numeric level of a log severity, given by name or number."""
    level = _LEVELS.get(text.upper())
    if level is not None:
        return level
    try:
        return float(text)
    except ValueError:
        raise filters.FilterError(f"invalid filter: {text!r} is no severity") from None
