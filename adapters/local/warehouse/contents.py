"""The contents of each batch as it was written: its rows, and the SHA-256 of each of its files.

Readers and `doctor --deep` compare. A batch is published first and noted then. One whose writer was
killed in between is noted when it is written again, or by the sweep of the next command that
changes something (upkeep.py). The other order would be wrong: of two writers of one batch, the one
whose rename came too late may have noted its own files. DuckDB does not verify the checksums of
Parquet's pages, so a process compares the whole files before it first queries them.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import msgspec

from ....core.formats import StoredDocument, decode
from ..sqlite import Database
from .batches import Batch, list_batch

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS warehouse_batches "
    "(name TEXT NOT NULL, batch TEXT NOT NULL, contents BLOB NOT NULL, PRIMARY KEY (name, "
    "batch)) WITHOUT ROWID;\n"
)
REMEDY = "restore it from a copy, or remove its batch's folder and run the step that wrote it again"


class Contents(StoredDocument, frozen=True, kw_only=True):
    """A batch's rows, and the digests of its files."""

    rows: int
    files: dict[str, str]  # dt=D/rows.parquet -> SHA-256


def note(database: Database, table: Path, batch: str, *, again: bool) -> None:
    """Record the row count and the checksums of a published batch, to detect damage later.

    `table` is the table's folder. With `again` the batch was published before, and what is recorded
    stays.
    """
    if again and batch in stored_contents(database.connection, table.name):
        return
    contents = _contents(table / batch)
    with database.transaction(f"noting {table.name}/{batch}") as db:
        db.execute(
            "INSERT OR REPLACE INTO warehouse_batches VALUES (?, ?, ?)",
            (table.name, batch, msgspec.json.encode(contents)),
        )


def stored_contents(db: sqlite3.Connection, table: str) -> dict[str, Contents]:
    """Return the recorded row count and file checksums of each batch of a table, by batch name."""
    rows = db.execute(
        "SELECT batch, contents FROM warehouse_batches WHERE name = ?", (table,)
    ).fetchall()
    return {
        batch: decode(contents, Contents, what=f"the contents of {table}/{batch}")
        for batch, contents in rows
    }


def forget(db: sqlite3.Connection, table: str) -> None:
    """Delete the recorded checksums of a table's batches."""
    db.execute("DELETE FROM warehouse_batches WHERE name = ?", (table,))


def damage(batch: Batch, folder: Path, contents: Contents) -> Iterator[str]:
    """Yield a message for each file of a batch that is missing, unreadable, altered or added.

    `contents` is what was recorded of the batch, `folder` where it lies.
    """
    unchecked = {str(Path(path).relative_to(folder)): path for path in batch.files}
    for name, digest in contents.files.items():
        path = unchecked.pop(name, None)
        if path is None:
            yield f"{folder / name} is gone"
            continue
        try:
            same = _digest(path) == digest
        except OSError as error:
            yield f"{path} cannot be read: {error.strerror}"
            continue
        if not same:
            yield f"{path} is not what was written"
    yield from (f"{path} was added to its batch" for path in unchecked.values())


def _contents(folder: Path) -> Contents:
    """Read the Parquet files of a batch, and return their row count and SHA-256 checksums."""
    import pyarrow.parquet as pq

    paths = list_batch(folder).files
    return Contents(
        rows=sum(pq.read_metadata(path).num_rows for path in paths),
        files={str(Path(path).relative_to(folder)): _digest(path) for path in paths},
    )


def _digest(path: str) -> str:
    """Return the SHA-256 of a file as hex text."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
