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
    outcomes: int  # rows with one
    columns: dict[str, ColumnType]
    hash: str  # SHA-256 of the rows in their order, equal on every target
    parts: tuple[ExportedPart, ...]


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


def verify(folder: Path, manifest: ExportManifest) -> None:
    """Check that each file of an export is the one that was written.

    Raises:
        Invalid: A file is missing or is another one.
    """
    for part in manifest.parts:
        file = folder / part.path
        if not file.is_file():
            raise Invalid(f"{file} is not there", remedy=_AGAIN)
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if digest != part.digest:
            raise Invalid(f"{file} is not the file that was exported", remedy=_AGAIN)


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
