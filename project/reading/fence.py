"""The files that a project's files may lead to.

Those are in its own folder and below the paths that project.yaml declares. A project may be
somebody else's. Links are followed to their end before they are judged, and nothing but regular
files is opened: a named pipe would be waited for, a device would never end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import msgspec

LARGEST_TEXT = 4 << 20  # bytes of a file of YAML, SQL or Python that is read whole


class ProjectPaths(msgspec.Struct, frozen=True, kw_only=True):
    """A project's folder and its declared paths, absolute and without links."""

    folder: Path
    declared: tuple[Path, ...] = ()

    def allows(self, path: Path) -> bool:
        """Return whether a path, links resolved, is in the project's folder or a declared path."""
        end = Path(path).resolve()
        return any(end.is_relative_to(allowed) for allowed in (self.folder, *self.declared))

    def problem(self, path: Path, shown: str) -> tuple[str, str] | None:
        """Return (problem, remedy) if the project may not read a file, else None.

        `shown` is the path as the user wrote it. None where the file may be read, or does not
        exist.
        """
        if not self.allows(path):
            end = Path(path).resolve()
            to = "" if str(end) == shown else f", to {end}"
            return f"{shown} leads out of the project's folder{to}", self.remedy(end)
        if path.exists() and not (path.is_file() or path.is_dir()):
            return (
                f"{shown} is not a regular file",
                "put a file there: pipes and devices are not read",
            )
        return None

    def remedy(self, end: Path) -> str:
        """Return advice with the line of project.yaml that would allow the path `end`, too."""
        return (
            f"if the project may read it, declare it in project.yaml: {line((*self.declared, end))}"
        )


def fence(folder: Path, paths: Iterable[str] = ()) -> ProjectPaths:
    """Build the limits of what a project may read: its folder and these paths.

    `paths` are those of project.yaml, relative to the folder.
    """
    root = folder.resolve()
    return ProjectPaths(folder=root, declared=tuple((root / path).resolve() for path in paths))


def line(paths: Iterable[Path]) -> str:
    """Return the line of project.yaml (`paths: [...]`) that allows it to read these paths."""
    return f"paths: [{', '.join(json.dumps(str(path), ensure_ascii=False) for path in paths)}]"
