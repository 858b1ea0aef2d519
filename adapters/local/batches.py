"""A table's batches: `warehouse/<table>/<batch>/dt=YYYY-MM-DD/rows.parquet`.

A batch is written aside and takes its place by one rename: readers see all of its dates or none, and a batch that is there is never touched
again. So listing is cheap, a repeat changes nothing, and two writers of one batch cannot mix.
"""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ..common.conform import by_date
from ..common.tables import PARTITION, Document
from . import files

if TYPE_CHECKING:
    import pyarrow as pa


class Batch(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    files: tuple[str, ...]


def listed(table: Path, known: dict[str, Batch]) -> tuple[Batch, ...]:
    """Every finished batch, by name. One that is in `known` was listed before and cannot have changed."""
    try:
        names = sorted(entry.name for entry in os.scandir(table) if not entry.name.startswith("."))
    except FileNotFoundError:
        return ()
    return tuple(known.get(name) or _list_one(table / name) for name in names)


def _list_one(folder: Path) -> Batch:
    paths = sorted(file.path for partition in os.scandir(folder) for file in os.scandir(partition.path))
    return Batch(name=folder.name, files=tuple(paths))


def write(table: Path, batch: str, document: Document, rows: Iterator[pa.RecordBatch]) -> None:
    """Write rows that are in the order of their time (conform's schema) and publish them. A batch that is there already stays as it is."""
    import pyarrow.parquet as pq

    goal = table / batch
    if goal.exists():
        return
    staging = table.parent / ".staging"
    files.make_folder(staging)
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
                    folder.mkdir()  # a date that comes back would be a mistake of the caller: rows are in time's order
                    writer = pq.ParquetWriter(folder / "rows.parquet", part.schema, compression="zstd", version="2.6")
                assert writer is not None  # noqa: S101  for the type checker
                writer.write_batch(part)
        _finish(writer)
        writer = None
        _settle(aside)
        files.make_folder(table)
        try:
            aside.rename(goal)
        except OSError as error:
            if error.errno not in {errno.EEXIST, errno.ENOTEMPTY}:
                raise
            shutil.rmtree(aside, ignore_errors=True)  # another process published the same batch first
        files.sync_folder(table)
    except BaseException:
        if writer is not None:
            _abandon(writer)
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _finish(writer: object) -> None:
    if writer is not None:
        writer.close()  # type: ignore[attr-defined]  # a ParquetWriter; pyarrow.parquet is imported lazily


def _abandon(writer: object) -> None:
    with suppress(Exception):  # the first error is the one to report; the file is removed anyway
        _finish(writer)


def _settle(aside: Path) -> None:
    """Everything on the disk before the rename that makes it visible."""
    for folder in sorted(aside.iterdir()):
        descriptor = os.open(folder / "rows.parquet", os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        files.sync_folder(folder)
    files.sync_folder(aside)
