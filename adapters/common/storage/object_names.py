"""Which objects of a bucket a source names: a key, what is below a prefix (it ends in /), or a
glob. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from ....errors import Invalid, NotFound


def literal_prefix(wanted: str) -> str:
    """The part before the first letter of a glob: what a listing can be asked for."""
    return re.split(r"[*?\[]", wanted, maxsplit=1)[0]


def goals(uri: str, wanted: str, names: Iterable[str], folder: Path) -> Iterator[tuple[str, Path]]:
    """The listed names that are wanted, each with the file that it becomes: its name below the last
    folder that is fixed.

    NotFound: none is; Invalid: one would leave the folder. The folders are made.
    """
    start = literal_prefix(wanted)
    below = start[: start.rfind("/") + 1]
    matches = re.compile(_pattern(wanted))
    matching = [name for name in names if not name.endswith("/") and matches.fullmatch(name)]
    if not matching:
        raise NotFound(
            f"nothing is at {uri}",
            remedy="a prefix ends in /; * stands for any part of a name, ** for folders of any depth",
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


def _pattern(wanted: str) -> str:
    """A key, a prefix, or a glob as a regular expression of keys."""
    if wanted.endswith("/"):
        return re.escape(wanted) + ".*"
    tokens = {"**/": "(.*/)?", "**": ".*", "*": "[^/]*", "?": "[^/]"}
    parts = re.split(r"(\*\*/|\*\*|\*|\?|\[!?[^\]]+\])", wanted)
    return "".join(
        tokens.get(part) or (_one_of(part) if part.startswith("[") else re.escape(part))
        for part in parts
    )


def _one_of(letters: str) -> str:
    """`[01]`, `[!a-c]`."""
    inside = letters[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[^{inside[1:]}]" if inside.startswith("!") else f"[{inside}]"
