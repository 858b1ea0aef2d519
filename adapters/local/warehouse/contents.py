"""What every batch held when it was written: its rows, and the SHA-256 of each of its files.

Readers and `doctor --deep` compare.

A batch is published first and noted then: one whose writer was killed between is noted when it is
written again, or by the sweep of the next command that changes something (upkeep.py). Not the other
way round: of two writers of one batch the one whose rename came too late may have noted its own
files. DuckDB does not verify the checksums of Parquet's pages, so a process compares the whole
files before it first queries them.
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
    rows: int
    files: dict[str, str]  # dt=D/rows.parquet -> SHA-256


def note(database: Database, table: Path, batch: str, *, again: bool) -> None:
    """After a batch was published. `again`: it was there before; what is noted of it stays."""
    if again and batch in stored_contents(database.connection, table.name):
        return
    contents = _contents(table / batch)
    with database.transaction(f"noting {table.name}/{batch}") as db:
        db.execute(
            "INSERT OR REPLACE INTO warehouse_batches VALUES (?, ?, ?)",
            (table.name, batch, msgspec.json.encode(contents)),
        )


def stored_contents(db: sqlite3.Connection, table: str) -> dict[str, Contents]:
    """By batch."""
    rows = db.execute(
        "SELECT batch, contents FROM warehouse_batches WHERE name = ?", (table,)
    ).fetchall()
    return {
        batch: decode(contents, Contents, what=f"the contents of {table}/{batch}")
        for batch, contents in rows
    }


def forget(db: sqlite3.Connection, table: str) -> None:
    db.execute("DELETE FROM warehouse_batches WHERE name = ?", (table,))


def damage(batch: Batch, folder: Path, contents: Contents) -> Iterator[str]:
    """What is not as it was written, or cannot be read at all, by path."""
    here = {str(Path(path).relative_to(folder)): path for path in batch.files}
    for name, digest in contents.files.items():
        path = here.pop(name, None)
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
    yield from (f"{path} was added to its batch" for path in here.values())


def _contents(folder: Path) -> Contents:
    import pyarrow.parquet as pq

    paths = list_batch(folder).files
    return Contents(
        rows=sum(pq.read_metadata(path).num_rows for path in paths),
        files={str(Path(path).relative_to(folder)): _digest(path) for path in paths},
    )


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
