"""`im.dataset`: what `isthmus dataset` does. export, show, open."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ...errors import Invalid
from ...feature_store.datasets.export import export_rows
from ...feature_store.datasets.exported import ExportedDataset, read_manifest, verify
from ...reports.columns import plural
from ...reports.results import Shown

if TYPE_CHECKING:
    from ...core.runtime.project import Project
    from ...feature_store.datasets.exported import ExportManifest

__all__ = ["export", "open", "show"]
__dir__ = __all__.copy  # what completion offers


class DatasetExport(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """An exported data set: where it is, and what it has."""

    dataset: str
    uri: str  # its folder, or where it is in the target's store
    rows: int
    outcomes: int  # rows with one
    days: int
    files: int
    size: int  # bytes of the files
    since: str | None
    until: str
    hash: str  # of the rows: equal on every target

    def __str__(self) -> str:
        return (
            f"{self.dataset}   {plural(self.rows, 'row')} ({self.outcomes:,} with an outcome)   "
            f"{plural(self.days, 'day')}   {plural(self.files, 'file')}   "
            f"{_size(self.size)}\n{self.uri}   known before {self.until[:16]}   "
            f"rows {self.hash[:16]}"
        )


def export(
    project: Project,
    name: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    to: str | Path | None = None,
) -> DatasetExport:
    """Export the rows of a data set whose outcome is known, as Parquet files by day.

    It is whole or not there. The same export again changes nothing.

    Args:
        project: The project.
        name: The data set's name.
        since: Rows shown at this moment or later; None: all.
        until: Rows whose outcome was known before this moment; None: now.
        to: A folder, which must be new or have the same export; None: a folder of the target's
            store, named by the rows' hash.

    Raises:
        NotFound: There is no such data set.
        AlreadyExists: The folder has something else.
        Invalid: There are no rows, or `to` is a URI.
    """
    if to is not None:
        to = _local(to)
    uri, manifest = export_rows(project, name, since=since, until=until, to=to)
    return _described(uri, manifest)


def show(path: str | Path) -> DatasetExport:
    """Return what an export's folder has, after checking that each file is what was written.

    Raises:
        NotFound: The folder is no export, or was cut short.
        Invalid: A file is missing or another one, or the path is a URI.
    """
    folder = _local(path)
    manifest = read_manifest(folder)
    verify(folder, manifest)
    return _described(str(folder), manifest)


def open(path: str | Path, shard: tuple[int, int] = (0, 1)) -> ExportedDataset:  # noqa: A001
    """Return the rows of an export's folder as Arrow batches; it can be iterated again and again.

    One row group, of 50,000 rows, is in memory at a time.

    Args:
        path: The export's folder.
        shard: (0, 4) is the first of four shards: for a loader's workers.

    Raises:
        NotFound: The folder is no export, or was cut short.
        Invalid: There is no such shard, or the path is a URI.
    """
    return ExportedDataset(_local(path), shard=shard)


def _size(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e3:,.0f} KB" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"


def _local(path: str | Path) -> Path:
    """Return a folder of this machine; raise Invalid for a URI."""
    if "://" in str(path):
        raise Invalid(
            f"{path} is a URI, which is not supported yet",
            remedy="name a folder; without --to an export goes to the target's store, whose own "
            "tools copy it",
        )
    return Path(path)


def _described(uri: str, manifest: ExportManifest) -> DatasetExport:
    """Return an export's place and manifest as a result for people."""
    return DatasetExport(
        dataset=manifest.dataset,
        uri=uri,
        rows=manifest.rows,
        outcomes=manifest.outcomes,
        days=len({part.path.rpartition("/")[0] for part in manifest.parts}),
        files=len(manifest.parts),
        size=sum(part.size for part in manifest.parts),
        since=manifest.since,
        until=manifest.until,
        hash=manifest.hash,
    )
