"""The documents of the warehouse's tables and views, in SQLite, and how a table may change: it gains columns, nothing else."""

from __future__ import annotations

import re
import sqlite3
import uuid
from functools import lru_cache

import msgspec

from ...errors import Invalid, NotFound
from ...events.port import Column
from ...feature_store.port import TableSpec

SCHEMA = "CREATE TABLE IF NOT EXISTS warehouse_tables (name TEXT PRIMARY KEY, document BLOB NOT NULL) WITHOUT ROWID;\n"

_TABLE = re.compile(r"[a-z](_?[a-z0-9])*")
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PARTITION = "dt"


class Document(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a table or view. A column's place in `columns` is its field id in the files, so it never changes."""

    name: str
    columns: tuple[Column, ...]
    time_column: str
    view_sql: str | None = None
    stream_key: str | None = None  # set when single events are appended to the table, too
    incarnation: str = ""  # differs when a table was deleted and made again: what was known of its files is void


def read_all(db: sqlite3.Connection) -> dict[str, Document]:
    return {name: _decode(document) for name, document in db.execute("SELECT name, document FROM warehouse_tables")}


def read(db: sqlite3.Connection, name: str) -> Document | None:
    row = db.execute("SELECT document FROM warehouse_tables WHERE name = ?", (name,)).fetchone()
    return None if row is None else _decode(row[0])


def existing(db: sqlite3.Connection, name: str) -> Document:
    """NotFound when there is no such table; Invalid when it is a view."""
    found = read(db, name)
    if found is None:
        raise NotFound(f"there is no table {name} in the warehouse", remedy="`isthmus apply` makes what the project declares")
    if found.view_sql is not None:
        raise Invalid(f"{name} is a view: rows are appended to tables only")
    return found


def write(db: sqlite3.Connection, document: Document) -> None:
    db.execute("INSERT OR REPLACE INTO warehouse_tables VALUES (?, ?)", (document.name, msgspec.json.encode(document)))


def remove(db: sqlite3.Connection, name: str) -> None:
    db.execute("DELETE FROM warehouse_tables WHERE name = ?", (name,))


@lru_cache(maxsize=4096)
def _decode(document: bytes) -> Document:
    return msgspec.json.decode(document, type=Document)


def check_spec(spec: TableSpec) -> None:
    """Invalid: what no target could make."""
    if not _TABLE.fullmatch(spec.name):
        raise Invalid(f"{spec.name!r} is not a table name", remedy="small letters, digits and single underscores, a letter first")
    if spec.view_sql is not None:
        return
    seen: set[str] = set()
    for column in spec.columns:
        if not _COLUMN.fullmatch(column.name):
            raise Invalid(f"table {spec.name}: {column.name!r} is not a column name", remedy="letters, digits and underscores")
        if column.name.lower() == PARTITION:
            raise Invalid(f"table {spec.name}: `dt` is the partition, made from {spec.time_column}; do not declare it")
        if column.name.lower() in seen:
            raise Invalid(f"table {spec.name}: column {column.name} is declared twice (SQL does not tell capitals apart)")
        seen.add(column.name.lower())
    if not any(c.name == spec.time_column and c.type == "timestamp" for c in spec.columns):
        raise Invalid(f"table {spec.name}: its time column {spec.time_column} is not among its timestamp columns")


def evolved(old: Document | None, spec: TableSpec, *, stream_key: str | None = None) -> Document:
    """The document after `apply`. Invalid, naming the column: dropped, renamed, or changed.

    A new column may be required: of the rows to come, as those from before are null in it.
    """
    if old is None or spec.view_sql is not None or old.view_sql is not None:
        if old is not None and (old.view_sql is None) != (spec.view_sql is None):
            have, want = ("table", "view") if old.view_sql is None else ("view", "table")
            raise Invalid(f"{spec.name} is a {have} and cannot become a {want}", remedy=f"give the {want} another name")
        columns = spec.columns if spec.view_sql is None else ()
        return Document(
            name=spec.name,
            columns=columns,
            time_column=spec.time_column,
            view_sql=spec.view_sql,
            stream_key=stream_key,
            incarnation=uuid.uuid4().hex if old is None else old.incarnation,
        )
    if old.time_column != spec.time_column:
        raise Invalid(f"table {spec.name}: its time column is {old.time_column} and cannot become {spec.time_column}")
    wanted = {column.name: column for column in spec.columns}
    known = {column.name.lower() for column in old.columns}
    kept = tuple(_kept(spec.name, column, wanted.get(column.name)) for column in old.columns)
    added = tuple(column for column in spec.columns if column.name.lower() not in known)
    return msgspec.structs.replace(old, columns=(*kept, *added), stream_key=old.stream_key if stream_key is None else stream_key)


def _kept(table: str, old: Column, new: Column | None) -> Column:
    remedy = f"a table only gains columns: keep {old.name} as it was, or make a new table ({table}_v2)"
    if new is None:
        raise Invalid(f"table {table}: column {old.name} cannot be dropped or renamed", remedy=remedy)
    if new.type != old.type:
        raise Invalid(f"table {table}: column {old.name} is {old.type} and cannot become {new.type}", remedy=remedy)
    if new.required and not old.required:
        raise Invalid(f"table {table}: column {old.name} may be null and cannot become required", remedy=remedy)
    return new


def without_stream(document: Document) -> Document:
    return msgspec.structs.replace(document, stream_key=None)
