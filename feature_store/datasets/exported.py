"""An exported data set: the folder's manifest, and its rows in batches of bounded memory.

The folder has `rows/dt=<day>/part-0000.parquet`, README.md, and `manifest.json`, written last.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, final

import msgspec

from ...core.formats import StoredDocument, decode
from ...errors import Invalid, NotFound
from ...events.port import ColumnType
from ...reports.columns import plural
from ...reports.results import Shown

if TYPE_CHECKING:
    import pyarrow as pa

MANIFEST = "manifest.json"
ROWS = "rows"  # its own folder, as readers of Parquet take every file of one
_AGAIN = "export it anew: isthmus dataset export NAME --to FOLDER"


class ExportedPart(msgspec.Struct, frozen=True, kw_only=True):
    """A Parquet file of an export."""

    path: str  # from the export's folder: rows/dt=2026-01-01/part-0000.parquet
    rows: int
    size: int  # bytes
    digest: str  # SHA-256 of the file


class ExportManifest(StoredDocument, frozen=True, kw_only=True):
    """The manifest of an export: two exports of the same rows have the same one."""

    dataset: str
    objective: str
    since: str | None  # of the first exposures; None: all
    until: str  # the outcomes of all rows were known before this moment
    rows: int
    outcomes: int  # rows whose outcome is not 0
    columns: dict[str, ColumnType]
    hash: str  # SHA-256 of the rows in their order, equal on every target
    parts: tuple[ExportedPart, ...]


class DatasetExport(Shown, msgspec.Struct, frozen=True, kw_only=True):
    """An exported data set: where it is, and what it has."""

    dataset: str
    uri: str  # its folder, or where it is in the target's store
    rows: int
    outcomes: int  # rows whose outcome is not 0
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


def read_manifest(folder: Path) -> ExportManifest:
    """Return the manifest of an export's folder.

    Raises:
        NotFound: The folder has no manifest: there is no export, or it was cut short.
        Invalid: The manifest cannot be read.
    """
    file = folder / MANIFEST
    try:
        data = file.read_bytes()
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotFound(
            f"{folder} is no exported data set: it has no {MANIFEST}",
            remedy=f"name the folder of an export, or {_AGAIN}",
        ) from error
    return decode(data, ExportManifest, what=str(file), remedy=_AGAIN)


def _verify(folder: Path, manifest: ExportManifest) -> None:
    """Check that each file of an export is the one that was written.

    Raises:
        Invalid: A file is missing or is another one.
    """
    for part in manifest.parts:
        file = folder / part.path
        if not file.is_file():
            raise Invalid(f"{file} is not there", remedy=_AGAIN)
        if file_digest(file) != part.digest:
            raise Invalid(f"{file} is not the file that was exported", remedy=_AGAIN)


def file_digest(file: Path) -> str:
    """Return the SHA-256 of a file."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


@final
class ExportedDataset:
    """The rows of an export, or of one shard of it; it can be iterated again and again."""

    def __init__(self, folder: Path, *, shard: tuple[int, int]) -> None:
        """Open an export.

        Args:
            folder: The export's folder.
            shard: (0, 4) is the first of four shards, which share the row groups of the files.
        """
        number, count = shard
        if not 0 <= number < count:
            raise Invalid(
                f"shard {number} of {count} does not exist", remedy="(0, 4) is the first of four"
            )
        self.manifest = read_manifest(folder)
        self._folder, self._number, self._shards = folder, number, count

    @property
    def schema(self) -> pa.Schema:
        """The Arrow schema of the batches."""
        import pyarrow as pa

        from ...events.tables.column_types import arrow_type

        columns = self.manifest.columns
        return pa.schema([pa.field(name, arrow_type(kind)) for name, kind in columns.items()])

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """Yield Arrow batches of this shard, in the order of time; one row group is in memory.

        Raises:
            Invalid: A file of the export is not there.
        """
        import pyarrow.parquet as pq

        count = 0
        for part in self.manifest.parts:
            path = self._folder / part.path
            if not path.is_file():
                raise Invalid(f"{path} is not there", remedy=_AGAIN)
            with pq.ParquetFile(path) as file:
                for group in range(file.num_row_groups):
                    if count % self._shards == self._number:
                        yield from file.read_row_group(group).cast(self.schema).to_batches()
                    count += 1


def show(path: str | Path) -> DatasetExport:
    """Return what an export's folder has, after checking that each file is what was written.

    Raises:
        NotFound: The folder is no export, or was cut short.
        Invalid: A file is missing or another one, or the path is a URI.
    """
    folder = local_folder(path)
    manifest = read_manifest(folder)
    _verify(folder, manifest)
    return described(str(folder), manifest)


def open(path: str | Path, shard: tuple[int, int] = (0, 1)) -> ExportedDataset:  # noqa: A001  as im.open
    """Return the rows of an export's folder as Arrow batches; it can be iterated again and again.

    One row group, of 50,000 rows, is in memory at a time.

    Args:
        path: The export's folder.
        shard: (0, 4) is the first of four shards: for a loader's workers.

    Raises:
        NotFound: The folder is no export, or was cut short.
        Invalid: There is no such shard, or the path is a URI.
    """
    return ExportedDataset(local_folder(path), shard=shard)


def local_folder(path: str | Path) -> Path:
    """Return a folder of this machine; raise Invalid for a URI."""
    if "://" in str(path):
        raise Invalid(
            f"{path} is a URI, which is not supported yet",
            remedy="name a folder; without --to an export goes to the target's store, whose own "
            "tools copy it",
        )
    return Path(path)


def described(uri: str, manifest: ExportManifest) -> DatasetExport:
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


def _size(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e3:,.0f} KB" if size < 1_000_000 else f"{size / 1e6:,.1f} MB"
