"""Path templates of google.api.http, as patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

_VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]*))?\}")


def pattern_of(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Return a path template of google.api.http as a regular expression, and its variables."""
    words, names, end = [], [], 0
    for variable in _VARIABLE.finditer(template):
        words.append(re.escape(template[end : variable.start()]))
        names.append(variable[1])
        words.append(f"({_segments(variable[2] or '*')})")
        end = variable.end()
    words.append(re.escape(template[end:]))
    return re.compile("".join(words)), tuple(names)


def _segments(pattern: str) -> str:
    """Return the regular expression text for a variable's segments.

    `*` is one segment, `**` any number.
    """
    return "/".join(
        {"*": "[^/:]+", "**": ".+"}.get(part) or re.escape(part) for part in pattern.split("/")
    )


def shape_of(template: str) -> tuple[str, int | None]:
    """Return a path template's verb after the colon, and its number of segments.

    The two tell most templates apart before any pattern is tried. A template with `**` has no fixed
    number of segments: None.
    """
    plain = _VARIABLE.sub(lambda variable: variable[2] or "*", template)
    return verb_of(plain), None if "**" in plain else plain.count("/")


def verb_of(path: str) -> str:
    """Return the verb of a path: predict of .../endpoints/7:predict."""
    return path.rpartition("/")[2].rpartition(":")[2] if ":" in path.rpartition("/")[2] else ""


def values_of(match: re.Match[str], names: Iterable[str]) -> dict[str, str]:
    """Return the unquoted values of a template's variables in a path, by name."""
    return {name: unquote(value) for name, value in zip(names, match.groups(), strict=True)}
