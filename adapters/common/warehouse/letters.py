"""Letters whose other case is one letter: what lower() and upper() change on every target.

Engines differ in the rest: upper('ß') is SS in BigQuery, ẞ in DuckDB and ß in Athena. Every engine
has translate(), which replaces letter by letter.
"""

from __future__ import annotations

from itertools import chain

_RANGES = (
    range(0x41, 0x180),  # Latin: ASCII, Latin-1 Supplement, Latin Extended-A
    range(0x386, 0x3CF),  # Greek
    range(0x400, 0x460),  # Cyrillic
)
_LETTERS = tuple(map(chr, chain(*_RANGES)))
TO_LOWER = {c: c.lower() for c in _LETTERS if c.lower() != c and c.lower() in _LETTERS}
TO_UPPER = {c: c.upper() for c in _LETTERS if c.upper() != c and c.upper() in _LETTERS}


def both_sides(mapping: dict[str, str]) -> tuple[str, str]:
    """Convert a mapping of letters to the two texts, from and to, that SQL's translate() takes."""
    return "".join(mapping), "".join(mapping.values())
