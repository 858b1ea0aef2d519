"""Which objects of a bucket a source names: one key, all below a prefix, or a glob. Pure.

A prefix ends in `/`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ....errors import Invalid, NotFound


def literal_prefix(pattern: str) -> str:
    """Return the part of a glob before its first wildcard, by which a listing can be restricted."""
    return re.split(r"[*?\[]", pattern, maxsplit=1)[0]


def goals(uri: str, pattern: str, names: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield each listed object name that matches the source, with its target file; make folders.

    A file gets the part of its object's name below the last folder without a wildcard.

    Args:
        uri: The source, for messages.
        pattern: A key, a prefix that ends in `/`, or a glob.
        names: The names that the bucket lists.
        folder: The folder for the files.

    Raises:
        NotFound: No name matches.
        Invalid: A file would lie outside of the folder.
    """
    start = literal_prefix(pattern)
    below = start[: start.rfind("/") + 1]
    matches = re.compile(_pattern(pattern))
    matching = [name for name in names if not name.endswith("/") and matches.fullmatch(name)]
    if not matching:
        raise NotFound(
            f"nothing is at {uri}",
            remedy="a prefix ends in /; * stands for any part of a name, ** for folders of any "
            "depth",
        )
    for name in matching:
        goal = folder / name.removeprefix(below)
        if not goal.resolve().is_relative_to(folder.resolve()):
            raise Invalid(
                f"{uri}: {name} has a name that leaves its folder",
                remedy="give a prefix without it",
            )
        goal.parent.mkdir(parents=True, exist_ok=True)
        yield name, goal


def _pattern(pattern: str) -> str:
    """Translate a key, a prefix or a glob to the text of a regular expression for keys."""
    if pattern.endswith("/"):
        return re.escape(pattern) + ".*"
    tokens = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]]+\])", pattern)
    return "".join(
        tokens.get(part) or (_one_of(part) if part.startswith("[") else re.escape(part))
        for part in parts
    )


def _one_of(letters: str) -> str:
    """Translate a glob's set of letters, such as `[01]` or `[!a-c]`, to a regular expression."""
    inside = letters[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
