"""Documents of tables, the changes that a table allows, and names for tables and batches. Pure.

A table gains columns, and changes in no other way.
"""

from __future__ import annotations

import re
import uuid

import msgspec

from ....core.formats import StoredDocument
from ....errors import Invalid, NotFound
from ....events.port import Column
from ....feature_store.port import TableSpec
from ....project.reading.names import NAME

PARTITION = "dt"
SPOOL = "spool-"  # begins the names of the batches that an event log makes by itself

_TABLE = re.compile(NAME)
_COLUMN = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BATCH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,199}")


class TableDocument(StoredDocument, frozen=True, kw_only=True):
    """The stored description of a table or view.

    A column's place in `columns` is its field id in the files, so it never changes.
    """

    name: str
    columns: tuple[Column, ...]
    time_column: str
    view_sql: str | None = None
    stream_key: str | None = None  # set when single events are appended to the table, too
    # differs when a table was deleted and made again: what was known of its files is void
    incarnation: str = ""


def existing_table(name: str, document: TableDocument | None) -> TableDocument:
    """Return the stored description of a table; raise an error if rows cannot be appended to it.

    Raises NotFound if there is no table, Invalid if it is a view.
    """
    if document is None:
        raise NotFound(
            f"there is no table {name} in the warehouse",
            remedy="`isthmus apply` makes what the project declares",
        )
    if document.view_sql is not None:
        raise Invalid(f"{name} is a view: rows are appended to tables only")
    return document


def check_batch_name(batch: str) -> None:
    """Raise Invalid if the name of a batch of rows breaks the rules that hold on every target."""
    if not _BATCH.fullmatch(batch) or batch.startswith(SPOOL):
        raise Invalid(
            f"{batch!r} is not a batch name",
            remedy=f"letters, digits, _ . and -, at most 200, not beginning with . - or {SPOOL}",
        )


def check_spec(spec: TableSpec) -> None:
    """Raise Invalid if a table's spec breaks the rules for names and columns of every target."""
    if not _TABLE.fullmatch(spec.name):
        raise Invalid(
            f"{spec.name!r} is not a table name",
            remedy="small letters, digits and single underscores, a letter first",
        )
    if spec.view_sql is not None:
        return
    lower_names: set[str] = set()
    for column in spec.columns:
        if not _COLUMN.fullmatch(column.name):
            raise Invalid(
                f"table {spec.name}: {column.name!r} is not a column name",
                remedy="letters, digits and underscores",
            )
        if column.name.lower() == PARTITION:
            raise Invalid(
                f"table {spec.name}: `dt` is the partition, made from {spec.time_column}; do "
                "not declare it"
            )
        if column.name.lower() in lower_names:
            raise Invalid(
                f"table {spec.name}: column {column.name} is declared twice (SQL does not "
                "tell capitals apart)"
            )
        lower_names.add(column.name.lower())
    if not any(c.name == spec.time_column and c.type == "timestamp" for c in spec.columns):
        raise Invalid(
            f"table {spec.name}: its time column {spec.time_column} is not among its "
            "timestamp columns"
        )


def evolved(
    old: TableDocument | None, spec: TableSpec, *, stream_key: str | None = None
) -> TableDocument:
    """Return a table's stored description after its spec is applied: created or extended.

    A new column may be required: that holds for rows to come, while earlier rows have null there.

    Raises:
        Invalid: A column would be dropped, renamed or changed; the message names it.
    """
    if old is None or spec.view_sql is not None or old.view_sql is not None:
        if old is not None and (old.view_sql is None) != (spec.view_sql is None):
            have, want = ("table", "view") if old.view_sql is None else ("view", "table")
            raise Invalid(
                f"{spec.name} is a {have} and cannot become a {want}",
                remedy=f"give the {want} another name",
            )
        columns = spec.columns if spec.view_sql is None else ()
        return TableDocument(
            name=spec.name,
            columns=columns,
            time_column=spec.time_column,
            view_sql=spec.view_sql,
            stream_key=stream_key,
            incarnation=uuid.uuid4().hex if old is None else old.incarnation,
        )
    if old.time_column != spec.time_column:
        raise Invalid(
            f"table {spec.name}: its time column is {old.time_column} and cannot become "
            f"{spec.time_column}"
        )
    declared = {column.name: column for column in spec.columns}
    old_names = {column.name.lower() for column in old.columns}
    kept_columns = tuple(
        _checked_column(spec.name, column, declared.get(column.name)) for column in old.columns
    )
    added = tuple(column for column in spec.columns if column.name.lower() not in old_names)
    return msgspec.structs.replace(
        old,
        columns=(*kept_columns, *added),
        stream_key=old.stream_key if stream_key is None else stream_key,
    )


def _checked_column(table: str, old: Column, new: Column | None) -> Column:
    """Return a column's new declaration; raise Invalid if stored rows of `old` might not fit it."""
    remedy = (
        f"a table only gains columns: keep {old.name} as it was, or make a new table ({table}_v2)"
    )
    if new is None:
        raise Invalid(
            f"table {table}: column {old.name} cannot be dropped or renamed", remedy=remedy
        )
    if new.type != old.type:
        raise Invalid(
            f"table {table}: column {old.name} is {old.type} and cannot become {new.type}",
            remedy=remedy,
        )
    if new.required and not old.required:
        raise Invalid(
            f"table {table}: column {old.name} may be null and cannot become required",
            remedy=remedy,
        )
    return new


def without_stream(document: TableDocument) -> TableDocument:
    """Return a table's stored description without the mark that it takes single events."""
    return msgspec.structs.replace(document, stream_key=None)
