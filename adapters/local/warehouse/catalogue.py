"""Documents of the warehouse's tables and views, in SQLite."""

from __future__ import annotations

import sqlite3
from functools import lru_cache

import msgspec

from ....core.formats import decode
from ...common.warehouse.tables import TableDocument, existing_table

SCHEMA = (
    "CREATE TABLE IF NOT EXISTS warehouse_tables (name TEXT PRIMARY KEY, document BLOB NOT NULL) "
    "WITHOUT ROWID;\n"
)


def read_all(db: sqlite3.Connection) -> dict[str, TableDocument]:
    """Return the stored descriptions of all tables and views, by name."""
    return {
        name: _decode(name, document)
        for name, document in db.execute("SELECT name, document FROM warehouse_tables")
    }


def read(db: sqlite3.Connection, name: str) -> TableDocument | None:
    """Return the stored description of a table or view, or None."""
    row = db.execute("SELECT document FROM warehouse_tables WHERE name = ?", (name,)).fetchone()
    return None if row is None else _decode(name, row[0])


def existing(db: sqlite3.Connection, name: str) -> TableDocument:
    """Return the stored description of a table; raise NotFound without it, Invalid for a view."""
    return existing_table(name, read(db, name))


def write(db: sqlite3.Connection, document: TableDocument) -> None:
    """Insert or replace the stored description of a table or view."""
    db.execute(
        "INSERT OR REPLACE INTO warehouse_tables VALUES (?, ?)",
        (document.name, msgspec.json.encode(document)),
    )


def remove(db: sqlite3.Connection, name: str) -> None:
    """Remove the stored description of a table or view."""
    db.execute("DELETE FROM warehouse_tables WHERE name = ?", (name,))


@lru_cache(maxsize=4096)
def _decode(name: str, document: bytes) -> TableDocument:
    """Decode the stored description of a table from JSON."""
    return decode(document, TableDocument, what=f"the document of table {name}")
