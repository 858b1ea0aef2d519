"""Export a data set's rows as Parquet files by day, with a manifest that is written last."""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import chain, groupby, islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import msgspec
import numpy as np

from ...core.runtime.project import Project
from ...errors import AlreadyExists, Invalid, NotFound
from ...events.port import Column
from ...events.tables.column_types import arrow_type
from ...events.tables.relations import event_columns
from ...project.reading.names import did_you_mean
from ...project.specs.examples import examples_event
from ...storage import located
from ...times import utc_milliseconds
from .exported import (
    MANIFEST,
    ROWS,
    DatasetExport,
    ExportedPart,
    ExportManifest,
    described,
    file_digest,
    local_folder,
    read_manifest,
)

if TYPE_CHECKING:
    import pyarrow as pa

BLOCK = 50_000  # rows of a row group
_PART = 20  # row groups of a file
_README = """# {dataset}
{rows:,} exposures of gateways, each with its outcome ({outcomes:,} have one), by the day on which
they were shown. Written by `isthmus dataset export {dataset}`.

- `features` is the row that was scored, as JSON.
- `outcome` is what the objective {objective} counts.
- `known_timestamp` is the end of the time in which an outcome counts.
- `manifest.json` has the columns, each file's digest, and a hash of the rows.

Read the folder `rows` with any reader of Parquet, or all in batches with
`isthmus.dataset.open(folder)`.
"""


def export(
    project: Project,
    name: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    to: str | Path | None = None,
) -> DatasetExport:
    """Export the rows of a data set whose outcome is known, as Parquet files by day.

    It is whole or not there: the manifest comes last. The same export again changes nothing.

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
    to = None if to is None else local_folder(to)
    dataset = project.spec.datasets.get(name)
    if dataset is None:
        raise NotFound(
            f"there is no data set {name}",
            remedy=did_you_mean(name, project.spec.datasets, has="data sets are"),
        )
    if to is not None and to.exists() and not (to / MANIFEST).is_file():
        raise AlreadyExists(f"{to} is there, and it is no export", remedy="name a new folder")
    end = utc_milliseconds(until or project.now())
    begin = None if since is None else utc_milliseconds(since)
    columns = event_columns(examples_event(project.spec, dataset))
    place = tempfile.gettempdir() if to is None else _parent(to)
    folder = Path(tempfile.mkdtemp(prefix=f".{name}-export-", dir=place))
    try:
        files = _Files(project, folder / "export", name, columns)
        names = ", ".join(c.name for c in columns if c.name != "known_timestamp")
        first = "" if begin is None else " AND event_timestamp >= $since AND dt >= $first"
        params: dict[str, object] = {"until": end}
        if begin is not None:
            params |= {"since": begin, "first": f"{begin:%Y-%m-%d}"}
        project.target.warehouse.query(
            f"SELECT {names}, created_timestamp AS known_timestamp, dt FROM {dataset.objective} "
            f"WHERE features IS NOT NULL AND created_timestamp < $until{first} "
            "ORDER BY dt, event_timestamp, event_id",
            params,
            into=files.take,
        )
        if not files.rows:
            raise Invalid(
                f"{name} has no rows whose outcome is known",
                remedy="gateways log them where an endpoint has log_features: true; they are known "
                f"when {dataset.objective}'s within is over",
            )
        manifest = ExportManifest(
            dataset=name,
            objective=dataset.objective,
            since=None if begin is None else begin.isoformat(),
            until=end.isoformat(),
            rows=files.rows,
            outcomes=files.outcomes,
            columns={column.name: column.type for column in columns},
            hash=files.hash,
            parts=files.parts,
        )
        return described(_publish(project, folder / "export", manifest, to), manifest)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _publish(project: Project, rows: Path, manifest: ExportManifest, to: Path | None) -> str:
    """Put a folder of written files where it belongs, with its manifest; return that place."""
    text = _README.format(**msgspec.structs.asdict(manifest))
    (rows / "README.md").write_text(text, encoding="utf-8")
    document = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    (rows / MANIFEST).write_bytes(document + b"\n")
    if to is None:
        blobs = project.target.blobs
        uri = located(blobs.root, f"datasets/{manifest.dataset}/{manifest.hash[:16]}")
        blobs.upload(rows, uri)
        return uri
    if to.exists():
        if read_manifest(to) != manifest:
            raise AlreadyExists(
                f"{to} has an export of other rows", remedy="name a new folder, or remove this one"
            )
        return str(to)
    rows.rename(to)
    return str(to)


def _parent(to: Path) -> str:
    """Return the folder above an export's, made where it is missing."""
    parent = to.absolute().parent
    parent.mkdir(parents=True, exist_ok=True)
    return str(parent)


@final
class _Files:
    """Writes rows, which come in order of their days, into files of equal row groups."""

    def __init__(
        self, project: Project, folder: Path, name: str, columns: tuple[Column, ...]
    ) -> None:
        import pyarrow as pa

        self._project, self._folder, self._name = project, folder, name
        self._schema = pa.schema([pa.field(c.name, arrow_type(c.type)) for c in columns])
        self.parts: tuple[ExportedPart, ...] = ()
        self.rows = self.outcomes = 0
        self.hash = ""

    def take(self, tables: Iterator[pa.Table]) -> None:
        """Write all rows, from the beginning."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        self.parts, self.rows, self.outcomes = (), 0, 0
        digest = _begun(self._schema.names)
        for day, pieces in groupby(_pieces(tables), key=itemgetter(0)):
            blocks = _blocks(piece for _, piece in pieces)
            for part, first in enumerate(blocks):  # each turn takes the blocks of one file
                path = self._folder / ROWS / f"dt={day}" / f"part-{part:04}.parquet"
                self._write(path, chain([first], islice(blocks, _PART - 1)), digest)
        self.hash = digest.hexdigest()

    def _write(self, path: Path, blocks: Iterable[pa.Table], digest: Any) -> None:
        """Write blocks of rows into a file, a row group each, and note it."""
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq

        path.parent.mkdir(parents=True, exist_ok=True)
        start = self.rows
        with pq.ParquetWriter(path, self._schema, compression="zstd") as writer:
            for block in blocks:
                rows = block.select(self._schema.names).cast(self._schema).combine_chunks()
                writer.write_table(rows, row_group_size=BLOCK)
                _update(digest, rows)
                self.rows += rows.num_rows
                self.outcomes += rows.filter(pc.not_equal(rows["outcome"], pa.scalar(0))).num_rows
                self._project.progress(f"export {self._name}: rows", self.rows, None)
        part = ExportedPart(
            path=path.relative_to(self._folder).as_posix(),
            rows=self.rows - start,
            size=path.stat().st_size,
            digest=file_digest(path),
        )
        self.parts = (*self.parts, part)


def _blocks(pieces: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield rows in blocks of BLOCK rows, the last one shorter."""
    import pyarrow as pa

    stored: list[pa.Table] = []
    count = 0
    for piece in pieces:
        stored.append(piece)
        count += piece.num_rows
        if count >= BLOCK:
            table = pa.concat_tables(stored)
            whole = count - count % BLOCK
            for begin in range(0, whole, BLOCK):
                yield table.slice(begin, BLOCK)
            stored, count = [table.slice(whole)], count - whole
    if count:
        yield pa.concat_tables(stored)


def _pieces(tables: Iterator[pa.Table]) -> Iterator[tuple[str, pa.Table]]:
    """Yield runs of rows of one day, with the day."""
    import pyarrow.compute as pc

    for table in tables:
        for day in pc.unique(table["dt"]):  # in their order, which is ascending
            yield str(day), table.filter(pc.equal(table["dt"], day))


def rows_hash(table: pa.Table) -> str:
    """Return the hash of an export of these rows, which are of one day and BLOCK at most."""
    digest = _begun(table.column_names)
    _update(digest, table.combine_chunks())
    return str(digest.hexdigest())


def _begun(columns: Sequence[str]) -> Any:
    """Return a hash that has the names of columns in their order, and no rows yet."""
    return hashlib.sha256("\x1f".join(columns).encode())


def _update(digest: Any, rows: pa.Table) -> None:
    """Add a block of rows to a hash: by column which values are null, then the values themselves.

    How a provider cut its answer into chunks does not count, nor what stands below a null. It is
    not `canonical_hash`, which sorts a whole table in memory and makes a text of each value: of a
    million rows that takes longer than the export.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    for column in rows.columns:
        array: Any = column.chunk(0)
        digest.update(pc.cast(pc.is_valid(array), pa.uint8()).to_numpy().tobytes())
        for data in _values(array):
            digest.update(data)


def _values(array: Any) -> Iterator[Any]:
    """Yield an Arrow array's values as bytes, and of texts their lengths first."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if pa.types.is_string(array.type):
        filled: Any = pc.fill_null(array, "")
        offsets = np.frombuffer(filled.buffers()[1], np.int32)
        offsets = offsets[filled.offset : filled.offset + len(filled) + 1]
        yield np.diff(offsets).tobytes()
        if (text := filled.buffers()[2]) is not None:
            yield text.slice(int(offsets[0]), int(offsets[-1] - offsets[0]))
        return
    if pa.types.is_boolean(array.type):
        array = pc.cast(array, pa.uint8())
    elif pa.types.is_timestamp(array.type):
        array = pc.cast(array, pa.int64())
    yield pc.fill_null(array, pa.scalar(0, array.type)).to_numpy().tobytes()
