"""The URIs that a BlobStore accepts, and the order in which it uploads a folder. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import msgspec

from ....errors import Invalid, NotFound

LAST = "manifest.json"  # of an uploaded folder: readers look for it first


class BlobNames(msgspec.Struct, frozen=True, kw_only=True):
    """How the names of one store's blobs differ from another's."""

    root: str  # a uri
    temporary: str  # begins the names of files that are not finished
    reserved: frozenset[str]  # first parts below the root that other ports keep
    target: str = "the target"  # as messages say it


def parts_of(uri: str, names: BlobNames) -> list[str]:
    """Return a blob's path below the store's root as a list of its parts.

    `names` are the store's rules for names. Raises Invalid if the URI is outside of the root, a
    part cannot be stored, or the first part belongs to another port.
    """
    if not uri.startswith(names.root + "/"):
        raise _outside(uri, names)
    parts = uri[len(names.root) + 1 :].split("/")
    check_parts(parts, uri, names)
    if parts[0] in names.reserved:
        raise Invalid(
            f"{uri}: `{parts[0]}` belongs to another part of {names.target}",
            remedy="choose another first part",
        )
    return parts


def listed_below(prefix: str, names: BlobNames) -> tuple[str, str]:
    """Split the URI prefix of a blob listing into a folder and a prefix of names, below the root.

    Every blob whose URI begins with `prefix` is in the folder. Raises Invalid if the prefix is
    outside of the root.
    """
    if not prefix.startswith(names.root + "/") and not names.root.startswith(prefix):
        raise _outside(prefix, names)
    below = prefix[len(names.root) + 1 :]
    folder, _, _ = below.rpartition("/")
    check_parts(folder.split("/") if folder else [], prefix, names)
    return folder, below


def check_parts(parts: Sequence[str], uri: str, names: BlobNames) -> None:
    """Raise Invalid if a part of a blob's path is empty, `.`, `..` or a temporary name."""
    for part in parts:
        if part in {"", ".", ".."} or "\0" in part or part.startswith(names.temporary):
            raise Invalid(
                f"{uri}: {part!r} cannot be a part of a uri",
                remedy="parts joined by single slashes, none of them . or ..",
            )


def upload_uris(folder: Path, prefix: str, names: BlobNames) -> list[tuple[Path, str]]:
    """List the finished files below a folder, each with its blob URI, manifest.json last.

    Raises:
        NotFound: The folder does not exist.
    """
    if not folder.is_dir():
        raise NotFound(f"there is no folder {folder} to upload")
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith(names.temporary)
    )
    files.sort(key=lambda path: path == folder / LAST)
    return [(path, f"{prefix.rstrip('/')}/{path.relative_to(folder).as_posix()}") for path in files]


def _outside(uri: str, names: BlobNames) -> Invalid:
    """Return the error that a blob's URI is not below the store's root."""
    return Invalid(
        f"{uri} is not below {names.root}", remedy="a BlobStore serves the uris below its root"
    )
