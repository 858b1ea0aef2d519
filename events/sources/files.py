"""Find the files that a path, a folder or a glob names."""

from __future__ import annotations

from pathlib import Path, PurePath

import msgspec

from ...errors import Invalid, NotFound
from ...project.reading.fence import ProjectPaths

KINDS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet")
PACKED = (".gz", ".zst")
OBJECTS = ("s3", "gs")  # schemes of files; others name tables
GLOB = "*?["


class Matches(msgspec.Struct, frozen=True, kw_only=True):
    """The files below a root, in the order of their names.

    `single`: one file was named, and not a folder or a glob.
    """

    root: Path
    files: tuple[PurePath, ...]
    single: bool


def scheme_of(source: str) -> str:
    """Return a source's URI scheme such as s3 or athena; empty for a local path."""
    scheme, separator, _ = source.partition("://")
    return scheme if separator else ""


def kind_of(path: PurePath) -> str:
    """Return a file's format by its suffix in small letters: .jsonl for rows.jsonl.gz."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if len(suffixes) > 1 and suffixes[-1] in PACKED else (suffixes or [""])[-1]


def matching(path: Path, *, shown: str, fence: ProjectPaths | None = None) -> Matches:
    """Return a file, all files below a folder, or those that a glob matches.

    In a glob ** stands for folders of any depth. Names that begin with a dot or an underscore are
    passed over in folders, as Hive does.

    Args:
        path: The path or glob.
        shown: The path as the user wrote it, for errors.
        fence: The limits of what a project may read, if the path comes from the project.

    Raises:
        NotFound: there is no such file.
        Invalid: a file is of no format of events, or is not within the fence.
    """
    if path.is_dir():
        root, below = path, path.rglob("*")
    elif any(letter in shown for letter in GLOB) and not path.exists():
        parts = path.parts
        own = len(parts) - len(
            PurePath(shown).parts
        )  # the folders before them are not the user's words
        fixed = next(
            place
            for place, part in enumerate(parts)
            if place >= own and any(letter in part for letter in GLOB)
        )
        root = Path(*parts[:fixed])
        pattern = "/".join(parts[fixed:])
        below = root.glob(
            f"{pattern}/*" if parts[-1] == "**" else pattern
        )  # Python before 3.13: ** is folders alone
    elif path.is_file():
        _check_fence(fence, path, shown)
        return Matches(
            root=path.parent, files=(_readable(PurePath(path.name), shown),), single=True
        )
    else:
        raise NotFound(
            f"{shown} is not there",
            remedy="a file, a folder, or a glob; from the project's folder in project.yaml",
        )
    _check_fence(fence, root, shown)
    files = sorted(path.relative_to(root) for path in below if path.is_file())
    visible = [
        file for file in files if not any(part.startswith((".", "_")) for part in file.parts)
    ]
    if not visible:
        raise NotFound(f"{shown} has no files", remedy=f"files of events end in {', '.join(KINDS)}")
    for file in visible:
        _check_fence(fence, root / file, f"{shown}: {file}")
    return Matches(
        root=root,
        files=tuple(_readable(file, f"{shown}: {file}") for file in visible),
        single=False,
    )


def _check_fence(fence: ProjectPaths | None, path: Path, shown: str) -> None:
    """Raise Invalid if a path is outside the folders that the project may read."""
    if fence is not None and (problem := fence.problem(path, shown)):
        raise Invalid(problem[0], remedy=problem[1])


def _readable(file: PurePath, shown: str) -> PurePath:
    """Return the file if its suffix is a supported format; raise Invalid if not."""
    if kind_of(file) not in KINDS:
        remedy = (
            f"one of {', '.join(KINDS)}, plain or packed ({', '.join(PACKED)}), not a packed "
            ".parquet"
        )
        raise Invalid(
            f"{shown}: {kind_of(file) or 'no suffix'} is no format of events", remedy=remedy
        )
    return file
