"""Path templates of google.api.http, as patterns."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote

_VARIABLE = re.compile(r"\{([\w.]+)(?:=([^}]*))?\}")


def pattern_of(template: str) -> tuple[re.Pattern[str], tuple[str, ...]]:
    """Compile a path template of google.api.http; return the pattern and its variables' names."""
    words, names, end = [], [], 0
    for variable in _VARIABLE.finditer(template):
        words.append(re.escape(template[end : variable.start()]))
        names.append(variable[1])
        words.append(f"({_segments(variable[2] or '*')})")
        end = variable.end()
    words.append(re.escape(template[end:]))
    return re.compile("".join(words)), tuple(names)


def _segments(pattern: str) -> str:
    """Return a regular expression for the segments of a template's variable.

    In `pattern` * stands for one segment, ** for any number.
    """
    return "/".join(
        {"*": "[^/:]+", "**": ".+"}.get(part) or re.escape(part) for part in pattern.split("/")
    )


def shape_of(template: str) -> tuple[str, int | None]:
    """Return the verb after the colon of a path template, and its number of segments.

    The number is None for a template with `**`. The two rule out most templates before a pattern is
    tried.
    """
    plain = _VARIABLE.sub(lambda variable: variable[2] or "*", template)
    return verb_of(plain), None if "**" in plain else plain.count("/")


def verb_of(path: str) -> str:
    """Return the verb after the colon of a path, such as predict of .../endpoints/7:predict."""
    return path.rpartition("/")[2].rpartition(":")[2] if ":" in path.rpartition("/")[2] else ""


def values_of(match: re.Match[str], names: Iterable[str]) -> dict[str, str]:
    """Return the values that a match gives the named variables of a template, URL-decoded."""
    return {name: unquote(value) for name, value in zip(names, match.groups(), strict=True)}
