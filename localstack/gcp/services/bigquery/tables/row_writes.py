"""Write rows into a table, all of them or none.

Loads, copies and queries share its dispositions.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from ..data.types import SchemaField, quoted
from ..errors import BigQueryError, invalid, not_run
from ..state import warehouse
from ..state.catalog import Table, TableRef
from ..state.instance import BigQueryState
from . import partition_decorators, tables

if TYPE_CHECKING:
    import duckdb


@contextlib.contextmanager
def column_errors() -> Iterator[None]:
    """Translate DuckDB's constraint errors in the `with` block into BigQuery's."""
    import duckdb

    try:
        yield
    except duckdb.ConstraintException as error:
        first = str(error).splitlines()[0]
        if "NOT NULL" in first:
            raise invalid(f"Required field {first.rpartition('.')[2]} cannot be null") from error
        raise invalid(
            f"A value does not fit its column's type parameters: {first.rpartition(': ')[2]}"
        ) from error


Fill = Callable[
    ["duckdb.DuckDBPyConnection", str, Sequence[SchemaField]], None
]  # insert into the named table, which has these columns


class WriteTarget(msgspec.Struct, frozen=True, kw_only=True):
    """The table that takes a job's rows, and what may be changed there."""

    ref: TableRef
    create: str = "CREATE_IF_NEEDED"
    write: str = "WRITE_EMPTY"
    updates: frozenset[str] = frozenset()  # schemaUpdateOptions
    written: Mapping[
        str, Any
    ] = {}  # of a table that is made: timePartitioning, clustering, description ...
    expires: datetime | None = None
    partition: str | None = None  # the only one that is written, of a destination `t$20240101`


def target_of(configuration: Mapping[str, Any], default_write: str) -> WriteTarget:
    """Return the destination table that a job's configuration names, with its dispositions.

    `default_write` is the write disposition of a job that says none. Raises BigQueryError `invalid`
    or `required`.
    """
    ref, partition = partition_decorators.split(
        table_ref(configuration.get("destinationTable"), "destinationTable")
    )
    create = configuration.get("createDisposition") or "CREATE_IF_NEEDED"
    write = configuration.get("writeDisposition") or default_write
    if create not in ("CREATE_IF_NEEDED", "CREATE_NEVER"):
        raise invalid(f"Invalid value for createDisposition: {create}", "createDisposition")
    if write not in ("WRITE_EMPTY", "WRITE_APPEND", "WRITE_TRUNCATE", "WRITE_TRUNCATE_DATA"):
        raise invalid(f"Invalid value for writeDisposition: {write}", "writeDisposition")
    keys = ("timePartitioning", "rangePartitioning", "clustering")
    written = {key: configuration[key] for key in keys if configuration.get(key)}
    written |= {
        k: v
        for k, v in (configuration.get("destinationTableProperties") or {}).items()
        if k != "expirationTime"
    }
    updates = frozenset(configuration.get("schemaUpdateOptions") or ())
    return WriteTarget(
        ref=ref, create=create, write=write, updates=updates, written=written, partition=partition
    )


def table_ref(resource: Mapping[str, Any] | None, name: str) -> TableRef:
    """Return the table of a TableReference (JSON); `name` is its parameter's name, for errors."""
    parts = [(resource or {}).get(key) for key in ("projectId", "datasetId", "tableId")]
    if not all(parts):
        raise BigQueryError("required", f"Required parameter is missing: {name}", name)
    return TableRef(*map(str, parts))


def check(instance: BigQueryState, target: WriteTarget) -> None:
    """Raise an error if a destination's dataset, or a table that must exist, does not exist."""
    if instance.catalog.find(target.ref) is None:
        instance.catalog.dataset(target.ref.project, target.ref.dataset)
        if target.create == "CREATE_NEVER":
            raise BigQueryError("notFound", f"Not found: Table {target.ref}")


def write(
    instance: BigQueryState, target: WriteTarget, fields: Sequence[SchemaField], fill: Fill
) -> int:
    """Write a job's rows into its destination table by `fill`; return how many were added.

    Readers see the table as it was until all rows are there.
    """
    name = tables.relation(target.ref)
    with instance.warehouse.transaction(name) as cursor, column_errors():
        check(instance, target)
        current = instance.catalog.find(target.ref)
        if current is not None and current.kind != "TABLE":
            raise invalid(
                f"{target.ref} is not allowed for this operation because it is currently a "
                f"{current.kind}."
            )
        if target.partition is not None:
            return _write_partition(instance, cursor, target, tuple(fields), fill)
        count_before = (
            0
            if current is None or target.write.startswith("WRITE_TRUNCATE")
            else warehouse.count(cursor, name)
        )
        if count_before and target.write == "WRITE_EMPTY":
            raise BigQueryError("duplicate", f"Already Exists: Table {target.ref}")
        columns = _prepare_columns(cursor, target, current, tuple(fields))
        written = {field.name.lower() for field in fields}
        fill(cursor, name, [column for column in columns if column.name.lower() in written])
        count_after = warehouse.count(cursor, name)
        new = (
            tables.new_table(instance, target.ref, target.written, columns)
            if current is None
            else None
        )
    if new is not None:
        instance.catalog.add_table(
            msgspec.structs.replace(new, expires=target.expires or new.expires)
        )
    else:
        tables.note_write(instance, target.ref, columns)
    return count_after - count_before


def _write_partition(
    instance: BigQueryState,
    cursor: Any,
    target: WriteTarget,
    fields: tuple[SchemaField, ...],
    fill: Fill,
) -> int:
    """Write rows by `fill` into one partition of an existing table; return how many were added.

    Raises:
        BigQueryError: `invalid`, where a row belongs to another partition.
    """
    current = instance.catalog.find(target.ref)
    if current is None:
        raise not_run(
            f"a decorator of a table that is not there yet ({target.ref}${target.partition})"
        )
    name = tables.relation(target.ref)
    within = partition_decorators.condition(
        target.ref, str(target.partition), current.written, current.fields
    )
    if target.write == "WRITE_EMPTY" and warehouse.count(cursor, f"{name} WHERE {within}"):
        raise BigQueryError("duplicate", f"Already Exists: Table {target.ref}${target.partition}")
    if target.write.startswith("WRITE_TRUNCATE"):
        cursor.execute(f"DELETE FROM {name} WHERE {within}")
    count_before, others = (
        warehouse.count(cursor, name),
        warehouse.count(cursor, f"{name} WHERE ({within}) IS NOT TRUE"),
    )
    columns = _prepare_columns(
        cursor, msgspec.structs.replace(target, write="WRITE_APPEND"), current, fields
    )
    written = {field.name.lower() for field in fields}
    fill(cursor, name, [column for column in columns if column.name.lower() in written])
    if warehouse.count(cursor, f"{name} WHERE ({within}) IS NOT TRUE") != others:
        raise invalid(
            "Some rows belong to different partitions rather than destination partition "
            f"{target.ref}${target.partition}"
        )
    tables.note_write(instance, target.ref, columns)
    return warehouse.count(cursor, name) - count_before


def _prepare_columns(
    cursor: Any, target: WriteTarget, current: Table | None, fields: tuple[SchemaField, ...]
) -> tuple[SchemaField, ...]:
    """Create a destination table, or change it so that it takes new rows; return its columns.

    `current` is the existing table's entry; `fields` are the columns of the new rows.
    """
    name = tables.relation(target.ref)
    if current is None:
        warehouse.create(cursor, name, fields)
        return fields
    if target.write == "WRITE_TRUNCATE" or not current.fields:
        columns = _with_descriptions(current.fields, fields)
        warehouse.create(cursor, name, columns)
        return columns
    columns = merged(target.ref, current.fields, fields, target.updates)
    if target.write == "WRITE_TRUNCATE_DATA":
        cursor.execute(f"DELETE FROM {name}")
    tables.reshape(cursor, name, current.fields, columns)
    return columns


def _with_descriptions(
    old: Sequence[SchemaField], new: tuple[SchemaField, ...]
) -> tuple[SchemaField, ...]:
    """Return new columns with the descriptions of old ones of the same name and type.

    A new column that has a description keeps its own.
    """
    by_name = {field.name.lower(): field for field in old}
    remembered = []
    for field in new:
        previous = by_name.get(field.name.lower())
        same = previous is not None and previous.type == field.type and not field.about
        remembered.append(
            msgspec.structs.replace(field, about=previous.about) if same and previous else field
        )
    return tuple(remembered)


def merged(
    ref: TableRef,
    old: Sequence[SchemaField],
    new: Sequence[SchemaField],
    updates: frozenset[str],
    place: str = "",
) -> tuple[SchemaField, ...]:
    """Return a table's columns after rows with the columns `new` are appended to it.

    `updates` are the schemaUpdateOptions that allow a change of columns; `place` is the path of the
    record around them. Raises BigQueryError `invalid` if the columns do not fit.
    """
    words = f"Provided Schema does not match Table {ref}."
    by_name = {field.name.lower(): field for field in new}
    columns = []
    for field in old:
        added = by_name.pop(field.name.lower(), None)
        where = f"{place}{field.name}"
        if added is None:
            if field.mode == "REQUIRED":
                raise invalid(f"{words} Field {where} is missing in new schema")
            columns.append(field)
            continue
        if added.type != field.type:
            raise invalid(
                f"{words} Field {where} has changed type from {field.type} to {added.type}"
            )
        mode = field.mode
        if added.repeated != field.repeated:
            raise invalid(
                f"{words} Field {where} has changed mode from {field.mode} to {added.mode}"
            )
        if (
            field.mode == "REQUIRED"
            and added.mode == "NULLABLE"
            and "ALLOW_FIELD_RELAXATION" in updates
        ):
            mode = "NULLABLE"
        children = (
            merged(ref, field.fields, added.fields, updates, f"{where}.") if field.fields else ()
        )
        columns.append(msgspec.structs.replace(field, mode=mode, fields=children))
    for field in by_name.values():
        if "ALLOW_FIELD_ADDITION" not in updates:
            raise invalid(f"{words} Cannot add fields (field: {place}{field.name})")
        columns.append(field)
    return tuple(columns)


def fill_from(sql: str) -> Fill:
    """Return a function that inserts the rows of a DuckDB query into the table it is given."""

    def fill(cursor: duckdb.DuckDBPyConnection, name: str, columns: Sequence[SchemaField]) -> None:
        from ..data import arrow

        if columns:
            names = ", ".join(quoted(column.name) for column in columns)
            cursor.execute(
                f"INSERT INTO {name} ({names}) SELECT {arrow.selection(columns)} FROM ({sql})"
            )

    return fill


def fill_rows(rows: Any) -> Fill:
    """Return a function that inserts the rows of an Arrow table into the table it is given."""
    return lambda cursor, name, columns: warehouse.insert(cursor, name, rows, columns)


def with_layout(target: WriteTarget, layout: Mapping[str, Any]) -> WriteTarget:
    """Return a destination with partitioning and clustering for the case that it is a new table.

    What the destination sets itself goes first.
    """
    return msgspec.structs.replace(target, written={**layout, **target.written})
