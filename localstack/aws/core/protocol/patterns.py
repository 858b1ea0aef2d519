"""The patterns of botocore's models, which are Java's, as Python's regular expressions.

Source: java.util.regex.Pattern. A value has to match as a whole, anchors or not, as the services'
own validation does it.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

_POSIX = {
    "ASCII": r"\x00-\x7F",
    "Alnum": "A-Za-z0-9",
    "Alpha": "A-Za-z",
    "Digit": "0-9",
    "Print": r"\x20-\x7E",
}
_PROPERTY = re.compile(r"\\p\{(\w+)\}")
_ABOVE = r"\uD800\uDC00-\uDBFF\uDFFF"  # Java's two halves of every character above U+FFFF
# Java repeats an anchor, Python does not; the length is a constraint of its own
_QUANTIFIED_END = re.compile(r"\$\{\d+(,\d*)?\}")


@cache
def compile_pattern(pattern: str) -> re.Pattern[str]:
    """Compile a regular expression of a botocore model as Python's, to use with `fullmatch`.

    Raises:
        re.error: Python has no such expression.
    """
    text = pattern.replace(_ABOVE, r"\U00010000-\U0010FFFF").replace(r"\z", r"\Z")
    return re.compile(_properties(_QUANTIFIED_END.sub("$", text)))


def _properties(pattern: str) -> str:
    r"""Expand each \p{...} of a pattern."""
    parts, end = [], 0
    for match in _PROPERTY.finditer(pattern):
        plain = pattern[end : match.start()]
        parts.append(plain)
        end = match.end()
        ranges = _POSIX.get(match[1]) or _ranges()[match[1]]
        parts.append(ranges if _within_class(pattern[: match.start()]) else f"[{ranges}]")
    return "".join([*parts, pattern[end:]])


def _within_class(text: str) -> bool:
    """Return whether a regular expression, cut off here, ends within a [character class]."""
    plain = re.sub(r"\\.", "", text)
    return plain.rfind("[") > plain.rfind("]")


@cache
def _ranges() -> dict[str, str]:
    """Return the characters of each Unicode category, written as the inside of a [class].

    The keys are the categories' first letters: L, M, N, P, S, Z and C.
    """
    ranges: dict[str, list[str]] = {}
    start, current = 0, unicodedata.category("\0")[0]
    for point in range(1, sys.maxunicode + 2):
        category = unicodedata.category(chr(point))[0] if point <= sys.maxunicode else ""
        if category != current:
            ranges.setdefault(current, []).append(rf"\U{start:08X}-\U{point - 1:08X}")
            start, current = point, category
    return {category: "".join(parts) for category, parts in ranges.items()}
