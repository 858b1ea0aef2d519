"""The names that git tracks, read from its index.

No git runs: a hostile repository's own settings could have it run a program.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_HEADER = struct.Struct(">4sLL")  # DIRC, version, number of entries
_FIXED = 62  # bytes of an entry before its name: stat data, the object's id (SHA-1), flags
_ID = {20: 0, 32: 12}  # bytes of an object's id -> how much longer an entry's fixed part is
_LONG = 0x4000  # the flag of two more bytes of flags


def tracked_below(folder: Path) -> tuple[str, ...]:
    """Return the paths that git tracks at `folder` or below it, from the repository's root.

    None where the folder is in no work tree. Upper and lower case count as equal, as on file
    systems that do not tell them apart.
    """
    tree = next((place for place in folder.parents if (place / ".git").exists()), None)
    if tree is None:
        return ()
    name = folder.relative_to(tree).as_posix().encode().lower()
    git = _git_folder(tree)
    names: set[str] = set()
    for file in (git / "index", *git.glob("sharedindex.*")):
        try:
            index = file.read_bytes()
        except OSError:
            continue
        # version 4 shortens names, so that only its entries tell
        if index[4:8] != b"\0\0\0\4" and not re.search(re.escape(name), index, re.IGNORECASE):
            continue
        with suppress(struct.error, IndexError):  # it is damaged, or being written
            for entry in _names(index, 32 if _uses_sha256(git) else 20):
                if entry.lower() == name or entry.lower().startswith(name + b"/"):
                    names.add(entry.decode(errors="replace"))
    return tuple(sorted(names))


def _git_folder(tree: Path) -> Path:
    """Return git's own folder of a work tree: `.git`, or the folder that a `.git` file names.

    In a linked work tree or a submodule `.git` is a file with `gitdir: PATH`.
    """
    place = tree / ".git"
    if place.is_dir():
        return place
    try:
        text = place.read_text(errors="replace")
    except OSError:
        return place
    return tree / text.removeprefix("gitdir:").strip()


def _uses_sha256(git: Path) -> bool:
    """Return whether a git repository uses SHA-256 object ids instead of SHA-1."""
    try:
        text = (git / "config").read_text(errors="replace")
    except OSError:  # a linked work tree's is elsewhere
        return False
    return bool(re.search(r"^\s*objectformat\s*=\s*sha256", text, re.IGNORECASE | re.MULTILINE))


def _names(index: bytes, id_size: int) -> Iterator[bytes]:
    """Yield the path of every file in git's index; end early if the index is damaged.

    Source: git's Documentation/gitformat-index.txt.
    """
    signature, version, number = _HEADER.unpack_from(index)
    if signature != b"DIRC" or version not in (2, 3, 4):
        return
    place, previous = _HEADER.size, b""
    fixed = _FIXED + _ID[id_size]
    for _ in range(number):
        if place + fixed > len(index):
            return
        begin = place + fixed
        (flags,) = struct.unpack_from(">H", index, begin - 2)
        if version >= 3 and flags & _LONG:
            begin += 2
        removed = 0
        if version == 4:
            removed, begin = _number(index, begin)
        end = index.find(b"\0", begin)
        if end < 0:
            return
        name = (
            previous[: len(previous) - removed] + index[begin:end]
            if version == 4
            else index[begin:end]
        )
        yield name
        previous = name
        place = end + 1 if version == 4 else place + (end - place) // 8 * 8 + 8


def _number(index: bytes, place: int) -> tuple[int, int]:
    """Decode git's variable-length integer (varint.c) at `place`; return it and where it ends."""
    byte = index[place]
    value = byte & 0x7F
    while byte & 0x80:
        place += 1
        byte = index[place]
        value = ((value + 1) << 7) | (byte & 0x7F)
    return value, place + 1
