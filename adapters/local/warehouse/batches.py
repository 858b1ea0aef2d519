"""Batches of a table: `warehouse/<table>/<batch>/dt=YYYY-MM-DD/rows.parquet`.

A batch is written aside and takes its place by one rename: readers see all of its dates or none,
and a batch is never touched again. So listing is cheap, a repeat changes nothing, and two writers
of one batch cannot mix.
"""

from __future__ import annotations

import errno
import os
import shutil
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ....core.durable import make_folder, sync_folder
from ...common.warehouse.conformance import by_date
from ...common.warehouse.tables import PARTITION, TableDocument
from .. import files

if TYPE_CHECKING:
    import pyarrow as pa


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    """A finished batch and its files."""

    name: str
    files: tuple[str, ...]


def _warn(text: str) -> None:
    """Issue a Python warning about a table's files, attributed to the calling code."""
    warnings.warn(text, stacklevel=2)


def list_batches(
    table: Path, listed: dict[str, Batch], *, stray: Callable[[str], None] = _warn
) -> tuple[Batch, ...]:
    """Return every published batch (a group of Parquet files) of a table, sorted by name.

    `table` is the table's folder; `listed` are known batches, which cannot have changed. `stray` is
    called with a text on each file that is no batch.
    """
    names: list[str] = []
    try:
        for entry in os.scandir(table):
            if entry.is_dir():
                names += [] if entry.name.startswith(".") else [entry.name]
            else:
                stray(f"{entry.path} is no batch: it is passed over")
    except FileNotFoundError:
        return ()
    return tuple(
        listed.get(name) or list_batch(table / name, stray=stray) for name in sorted(names)
    )


def list_batch(folder: Path, *, stray: Callable[[str], None] = _warn) -> Batch:
    """Return one batch with the paths of its Parquet files, in order.

    `stray` is called with a text on each file that does not belong to it.
    """
    paths: list[str] = []
    for partition in os.scandir(folder):
        dated = partition.is_dir() and partition.name.startswith(f"{PARTITION}=")
        for entry in os.scandir(partition.path) if dated else (partition,):
            if dated and entry.name.endswith(".parquet"):
                paths.append(entry.path)
            else:
                stray(f"{entry.path} is no part of a batch: it is passed over")
    return Batch(name=folder.name, files=tuple(sorted(paths)))


def write(table: Path, batch: str, document: TableDocument, rows: Iterator[pa.RecordBatch]) -> bool:
    """Write rows sorted by time as Parquet files, one a date, and publish them together as a batch.

    The rows have the table's declared columns. It returns False, and changes nothing, if the batch
    exists already.
    """
    import pyarrow.parquet as pq

    goal = table / batch
    if goal.exists():
        sync_folder(table)  # who published it may have died before
        return False
    staging = table.parent / ".staging"
    make_folder(staging)
    aside = staging / files.temporary_name()
    aside.mkdir()
    writer: pq.ParquetWriter | None = None
    try:
        current = None
        for chunk in rows:
            for date, part in by_date(chunk, document.time_column):
                if date != current:
                    _finish(writer)
                    current, folder = date, aside / f"{PARTITION}={date}"
                    # a date that comes back would be a mistake of the caller: rows are in time's
                    # order
                    folder.mkdir()
                    writer = pq.ParquetWriter(
                        folder / "rows.parquet",
                        part.schema,
                        compression="zstd",
                        version="2.6",
                        write_page_checksum=True,
                    )
                assert writer is not None  # noqa: S101  for the type checker
                writer.write_batch(part)
        _finish(writer)
        writer = None
        _settle(aside)
        make_folder(table)
        try:
            aside.rename(goal)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
            # another process published the same batch first
            shutil.rmtree(aside, ignore_errors=True)
        sync_folder(table)
    except BaseException:
        if writer is not None:
            _abandon(writer)
        shutil.rmtree(aside, ignore_errors=True)
        raise
    return True


def _finish(writer: object) -> None:
    """Close a ParquetWriter, if there is one."""
    if writer is not None:
        writer.close()  # type: ignore[attr-defined]  # a ParquetWriter; pyarrow.parquet is imported lazily


def _abandon(writer: object) -> None:
    """Close a ParquetWriter after an error, ignoring further errors."""
    with suppress(Exception):  # the first error is the one to report; the file is removed anyway
        _finish(writer)


def _settle(aside: Path) -> None:
    """Sync the files and folders of an unpublished batch to disk, before a rename publishes it.

    `aside` is its folder.
    """
    for folder in sorted(aside.iterdir()):
        descriptor = os.open(folder / "rows.parquet", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        sync_folder(folder)
    sync_folder(aside)
