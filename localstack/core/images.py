"""Container images are commands here: find the command for which an image stands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from pathlib import Path

_REGISTRY = re.compile(r"^[^/]+[.:][^/]*/")  # a host name in front: it holds a dot or a port


def command_of(images: Mapping[str, str], image: str) -> list[str] | None:
    """Return the local command that stands for a container image, as words, or None.

    An image is looked up by its whole URI, else without digest or tag, without registry, or by its
    last name alone.
    """
    for name in names_of(image):
        if name in images:
            return shlex.split(images[name])
    return None


def anchored(command: str, folder: Path) -> str:
    """Return a command with the words that name a file below `folder` made absolute paths.

    A job and a model server run in folders of their own.
    """
    words = shlex.split(command)
    absolute = [
        str(folder.absolute() / word) if _is_file_below(folder, word) else word for word in words
    ]
    return command if absolute == words else shlex.join(absolute)


def _is_file_below(folder: Path, word: str) -> bool:
    """Return whether a word of a command names a file below a folder."""
    return not word.startswith(("-", "/")) and (folder / word).is_file()


def names_of(image: str) -> tuple[str, ...]:
    """Return the names by which a container image can be looked up, the most exact first."""
    plain = image.partition("@")[0]
    head, _, tail = plain.rpartition("/")
    untagged = f"{head}/{tail.partition(':')[0]}" if head else tail.partition(":")[0]
    local, local_untagged = _REGISTRY.sub("", plain), _REGISTRY.sub("", untagged)
    return tuple(
        dict.fromkeys((image, plain, untagged, local, local_untagged, tail, tail.partition(":")[0]))
    )
