"""Send the project's own files along with a run whose steps do not run on this machine.

They are code, SQL, YAML and the declared tables' files, at `code/<digest>/...` in the blobs: the
same files are uploaded once, and a job gets exactly what was submitted, whatever changed since.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid
from ...storage import located
from .artifacts import damage, fetch, keep, manifest_of
from .document import RunDocument, StoredFolder, local_path

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...storage import BlobStore

LARGEST = 10 << 20  # bytes of one file
_DATA = "data"  # what `ingest` reads is in the warehouse by then
_LEFT_OUT = frozenset({"__pycache__", "node_modules", "build", "dist"})


def keep_code(project: Project) -> StoredFolder | None:
    """Upload the project's own files for jobs, unless the same are stored; return where they are.

    None if the steps run where the files are.

    Raises:
        Invalid: a file is too large to be code.
    """
    blobs = project.target.blobs
    if local_path(blobs.root) is not None:
        return None
    with TemporaryDirectory(prefix="isthmus-code-") as place:
        copy = Path(place)
        for name in files(
            project.folder, also=tuple(table.path for table in project.spec.tables.values())
        ):
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            copyfile(project.folder / name, copy / name)
        digest = manifest_of(copy).digest
        copied = StoredFolder(f"code/{digest}", digest)
        if damage(blobs, copied) is None:
            return copied
        return keep(blobs, copy, located(blobs.root, copied.uri))


def files(folder: Path, *, also: tuple[str, ...] = ()) -> tuple[str, ...]:
    """Return the relative paths of the project's files that are sent along with a job.

    No hidden files, no data/, no caches or virtual environments travel.
    """
    names = sorted(
        {
            *_walk(folder),
            *(
                name
                for name in also
                if (folder / name).is_file()
                and (folder / name).resolve().is_relative_to(folder.resolve())
            ),
        }
    )
    for name in names:
        if (size := (folder / name).stat().st_size) > LARGEST:
            raise Invalid(
                f"{name} has {size >> 20} MB: the project's files travel with every run, and "
                "this one is too large to be code",
                remedy=f"move it to {_DATA}/, which stays here; declare what jobs must read as "
                "events",
            )
    return tuple(names)


def _walk(folder: Path) -> Iterator[str]:
    """Yield the relative paths of the project's files, without hidden and generated ones."""
    for place, folders, names in os.walk(folder):
        current = Path(place)
        folders[:] = [
            name
            for name in folders
            if not name.startswith(".")
            and name not in _LEFT_OUT
            and not name.endswith(".egg-info")
            and not (current == folder and name == _DATA)
            and not (current / name / "pyvenv.cfg").exists()
        ]
        for name in names:
            path = current / name
            if not name.startswith(".") and path.suffix != ".pyc" and path.is_file():
                yield path.relative_to(folder).as_posix()


def place_code(blobs: BlobStore, document: RunDocument, scratch: Path) -> RunDocument:
    """Download the project's files into a job, and return the run's document pointing to them.

    Raises:
        Invalid: it is not what was submitted.
    """
    if document.code is None:
        return document
    folder = fetch(blobs, document.code, scratch / "project")
    file = folder / "project.yaml"
    return msgspec.structs.replace(
        document, folder=str(folder), project_file=str(file) if file.is_file() else None
    )
