"""Tables and views: make, describe, change and drop them, for the API and for DDL alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from ..data.types import SchemaField, quoted, schema_from_rest, schema_to_rest
from ..errors import BigQueryError, invalid, not_run
from ..sql.analysis import analyzer
from ..sql.language import unchecked_queries
from ..state import warehouse
from ..state.catalog import Table, TableRef, check_etag, check_table_id
from ..state.instance import BigQueryState, rest_time, time_of_rest

_COMPUTED = {
    "kind", "id", "etag", "selfLink", "tableReference", "creationTime", "lastModifiedTime",
    "location", "type", "schema", "numRows", "numBytes", "numLongTermBytes", "numTotalLogicalBytes",
    "numActiveLogicalBytes", "numLongTermLogicalBytes", "numPhysicalBytes", "expirationTime",
    "streamingBuffer", "defaultCollation",
}  # fmt: skip
_ABSENT = {
    "externalDataConfiguration": "external tables",
    "materializedView": "materialized views",
    "snapshotDefinition": "table snapshots",
    "cloneDefinition": "table clones",
    "biglakeConfiguration": "BigLake tables",
}
_PARTITION_TYPES = {"TIMESTAMP", "DATE", "DATETIME"}
_CLUSTERED = {
    "DATE",
    "BOOLEAN",
    "INTEGER",
    "NUMERIC",
    "BIGNUMERIC",
    "STRING",
    "TIMESTAMP",
    "DATETIME",
}
_MOST_CLUSTERED = 4
_RESERVED = (
    "_PARTITION",
    "_TABLE_",
    "_FILE_",
    "_ROW_TIMESTAMP",
    "__ROOT__",
    "_COLIDENTIFIER",
)  # begin no column's name


def relation(ref: TableRef) -> str:
    """Return the qualified, quoted name of a BigQuery table in DuckDB."""
    return warehouse.relation(ref.project, ref.dataset, ref.table)


def create(
    instance: BigQueryState,
    ref: TableRef,
    content: Mapping[str, Any],
    fields: Sequence[SchemaField] | None = None,
) -> Table:
    """Create a table or a view from a Table resource (JSON), and return its entry.

    Its columns are `fields`, or those of the resource. Raises BigQueryError `duplicate`, `notFound`
    or `invalid`.
    """
    instance.catalog.dataset(ref.project, ref.dataset)
    if instance.catalog.find(ref) is not None:
        raise BigQueryError("duplicate", f"Already Exists: Table {ref}")
    check_table_id(ref)
    schema = tuple(fields) if fields is not None else schema_from_rest(content.get("schema"))
    written = _writable(content)
    if "view" in written:
        schema = _view_schema(instance, ref, written["view"], schema)
    table = new_table(instance, ref, written, schema, content.get("expirationTime"))
    if table.kind == "TABLE":
        with instance.warehouse.transaction(relation(ref)) as cursor:
            if instance.catalog.find(ref) is not None:
                raise BigQueryError("duplicate", f"Already Exists: Table {ref}")
            warehouse.create(cursor, relation(ref), schema)
    return instance.catalog.add_table(table)


def new_table(
    instance: BigQueryState,
    ref: TableRef,
    written: Mapping[str, Any],
    fields: Sequence[SchemaField],
    expires: Any = None,
) -> Table:
    """Return the entry of a new table, which is not yet in the catalog.

    `written` are the REST members that its owner set. Raises BigQueryError `invalid` if its layout
    does not fit its columns.
    """
    dataset = instance.catalog.dataset(ref.project, ref.dataset)
    check_table_id(ref)
    _check_names(fields)
    _check_layout(written, fields)
    now = instance.now()
    lifetime = dataset.written.get("defaultTableExpirationMs")
    until = (
        time_of_rest(expires)
        if expires
        else now + timedelta(milliseconds=int(lifetime))
        if lifetime
        else None
    )
    return Table(
        ref=ref,
        fields=tuple(fields),
        written=written,
        location=dataset.location,
        created=now,
        modified=now,
        expires=until,
    )


def _view_schema(
    instance: BigQueryState,
    ref: TableRef,
    view: Mapping[str, Any],
    described: Sequence[SchemaField],
) -> tuple[SchemaField, ...]:
    """Return the columns of a view's query, described as the columns `described` are."""
    if view.get("useLegacySql", True):
        raise not_run("legacy SQL (views: useLegacySql must be false)")
    columns = (analyzer if analyzer.available() else unchecked_queries).describe(
        instance, ref.project, str(view.get("query", ""))
    )
    about = {field.name.lower(): field.about for field in described}
    return tuple(
        msgspec.structs.replace(column, about=about.get(column.name.lower(), {}))
        for column in columns
    )


def _writable(content: Mapping[str, Any]) -> dict[str, Any]:
    """Return those members of a Table resource (JSON) that clients may write."""
    for key, subject in _ABSENT.items():
        if content.get(key):
            raise not_run(subject)
    written = {
        key: value for key, value in content.items() if key not in _COMPUTED and value is not None
    }
    partitioning = written.get("timePartitioning")
    if partitioning and not partitioning.get("type"):
        raise invalid("timePartitioning.type is required", "timePartitioning.type")
    if partitioning and partitioning.get("expirationMs") is not None:
        written["timePartitioning"] = {
            **partitioning,
            "expirationMs": str(partitioning["expirationMs"]),
        }
    return written


def _check_names(fields: Sequence[SchemaField]) -> None:
    """Raise an error if a column's name begins with a prefix that BigQuery reserves."""
    for field in fields:
        if field.name.upper().startswith(_RESERVED):
            words = (
                "Field names are not allowed to start with the (case-insensitive) prefixes "
                f"{', '.join(_RESERVED)}"
            )
            raise invalid(f'Invalid field name "{field.name}". {words}')


def _check_layout(written: Mapping[str, Any], fields: Sequence[SchemaField]) -> None:
    """Raise `invalid` if the partitioning or clustering in `written` does not fit the columns."""
    by_name = {field.name.lower(): field for field in fields}
    partitioning = written.get("timePartitioning")
    if partitioning:
        if partitioning["type"] not in ("HOUR", "DAY", "MONTH", "YEAR"):
            raise invalid(
                f"Invalid value for timePartitioning.type: {partitioning['type']}",
                "timePartitioning.type",
            )
        name = partitioning.get("field")
        if name:
            field = by_name.get(name.lower())
            if field is None:
                raise invalid(
                    f"The field specified for partitioning cannot be found in the schema: {name}."
                )
            if field.type not in _PARTITION_TYPES or field.repeated:
                raise invalid(
                    "The field specified for partitioning must be of type TIMESTAMP, DATE "
                    f"or DATETIME: {name} is {field.type}."
                )
    clustered = (written.get("clustering") or {}).get("fields") or ()
    if len(clustered) > _MOST_CLUSTERED:
        raise invalid(
            f"Too many clustering fields: {len(clustered)}. At most {_MOST_CLUSTERED} are allowed."
        )
    for name in clustered:
        field = by_name.get(name.lower())
        if field is None:
            raise invalid(
                f"The field specified for clustering cannot be found in the schema: {name}."
            )
        if field.type not in _CLUSTERED or field.repeated:
            raise invalid(f"Clustering is not supported for the field {name} of type {field.type}.")


def resource(instance: BigQueryState, table: Table) -> dict[str, Any]:
    """Return a table as the REST API's Table resource, in JSON."""
    ref = table.ref
    answer: dict[str, Any] = {
        "kind": "bigquery#table",
        "etag": table.etag,
        "id": str(ref),
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{ref.project}/datasets/{ref.dataset}/tables/{ref.table}",
        "tableReference": ref.rest(),
        **table.written,
        "creationTime": rest_time(table.created),
        "lastModifiedTime": rest_time(table.modified),
        "location": table.location,
        "type": table.kind,
    }
    if table.fields:
        answer["schema"] = schema_to_rest(table.fields)
    if table.expires is not None:
        answer["expirationTime"] = rest_time(table.expires)
    if table.stored:
        rows, size = measure(instance, table)
        sizes = ("numBytes", "numTotalLogicalBytes", "numActiveLogicalBytes")
        answer |= {
            "numRows": str(rows),
            "numLongTermBytes": "0",
            "numLongTermLogicalBytes": "0",
            **dict.fromkeys(sizes, str(size)),
        }
    return answer


def measure(instance: BigQueryState, table: Table) -> tuple[int, int]:
    """Return a table's number of rows, and the bytes that BigQuery counts for all of them."""
    rows, sizes = sizes_of(instance, table)
    return rows, sum(sizes.values())


def sizes_of(instance: BigQueryState, table: Table) -> tuple[int, Mapping[str, int]]:
    """Return a table's number of rows, and the bytes that BigQuery counts by column.

    They are cached until the table's rows or columns change.
    """
    cached = instance.catalog.sizes.get(table.ref)
    if cached is None or cached[0] != (table.version, table.fields):
        with instance.warehouse.session() as cursor:
            rows, sizes = warehouse.measure(cursor, relation(table.ref), table.fields)
        cached = ((table.version, table.fields), rows, sizes)
        instance.catalog.sizes[table.ref] = cached
    return cached[1], cached[2]


def note_write(
    instance: BigQueryState, ref: TableRef, fields: Sequence[SchemaField] | None = None
) -> Table:
    """Record that a table's rows, and with `fields` its columns, have changed; return the entry."""

    def change(table: Table) -> Table:
        columns = tuple(fields) if fields is not None else table.fields
        return msgspec.structs.replace(
            table, version=table.version + 1, modified=instance.now(), fields=columns
        )

    return instance.catalog.change_table(ref, change)


def change(
    instance: BigQueryState,
    ref: TableRef,
    content: Mapping[str, Any],
    written: Mapping[str, Any],
    if_match: str | None,
) -> Table:
    """Change a table's metadata, columns and expiration, and return its new entry.

    Args:
        instance: The stack's BigQuery.
        ref: The table.
        content: The request's Table resource. A schema may grow and relax, nothing else.
        written: The members that the owner may write, after the change.
        if_match: The request's If-Match.

    Raises:
        BigQueryError: `notFound`, `conditionNotMet` or `invalid`.
    """
    current = instance.catalog.table(ref)
    check_etag(current.etag, if_match)
    owned = _writable(written)
    fields = current.fields
    if owned.get("view") and owned["view"] != current.written.get("view"):
        fields = _view_schema(instance, ref, owned["view"], schema_from_rest(content.get("schema")))
    elif content.get("schema") is not None:
        fields = schema_from_rest(content["schema"])
        if current.kind == "TABLE":
            check_change(ref, current.fields, fields)
    _check_layout(owned, fields)
    expires = current.expires
    if "expirationTime" in content:
        expires = time_of_rest(content["expirationTime"]) if content["expirationTime"] else None
    with instance.warehouse.transaction(relation(ref)) as cursor:
        if current.kind == "TABLE" and fields != current.fields:
            reshape(cursor, relation(ref), current.fields, fields)
        return instance.catalog.change_table(
            ref,
            lambda table: msgspec.structs.replace(
                table, written=owned, fields=fields, expires=expires, modified=instance.now()
            ),
            if_match,
        )


def check_change(
    ref: TableRef, old: Sequence[SchemaField], new: Sequence[SchemaField], place: str = ""
) -> None:
    """Raise `invalid` if a change of a table's columns from `old` to `new` is not allowed.

    `place` is the path of the record around them. Source: [docs: bigquery/docs/managing-table-
    schemas].
    """
    words = f"Provided Schema does not match Table {ref}."
    by_name = {field.name.lower(): field for field in new}
    for field in old:
        after = by_name.pop(field.name.lower(), None)
        where = f"{place}{field.name}"
        if after is None:
            raise invalid(f"{words} Field {where} is missing in new schema")
        if after.type != field.type:
            raise invalid(
                f"{words} Field {where} has changed type from {field.type} to {after.type}"
            )
        if after.mode != field.mode and (field.mode, after.mode) != ("REQUIRED", "NULLABLE"):
            raise invalid(
                f"{words} Field {where} has changed mode from {field.mode} to {after.mode}"
            )
        check_change(ref, field.fields, after.fields, f"{where}.")
    for field in by_name.values():
        if field.mode == "REQUIRED":
            raise invalid(
                f"{words} Cannot add required fields to an existing schema. (field: "
                f"{place}{field.name})"
            )


def alter(instance: BigQueryState, new: Table) -> Table:
    """Store a table's new definition (columns, options, expiration) in the catalog; return it.

    Raises:
        BigQueryError: `invalid`, where its layout does not fit its columns.
    """
    _check_names(new.fields)
    _check_layout(new.written, new.fields)

    def change(table: Table) -> Table:
        version = table.version + (new.fields != table.fields)
        return msgspec.structs.replace(
            table,
            fields=new.fields,
            written=new.written,
            expires=new.expires,
            version=version,
            modified=instance.now(),
        )

    return instance.catalog.change_table(new.ref, change)


def rename(instance: BigQueryState, ref: TableRef, name: str) -> None:
    """Rename a table within its dataset.

    Raises:
        BigQueryError: `duplicate` or `invalid`; `notImplemented` for a temporary one.
    """
    if ref.dataset.startswith("_"):
        raise not_run(f"RENAME TO of a temporary table ({ref.table})")
    new = msgspec.structs.replace(ref, table=name)
    check_table_id(new)
    with instance.warehouse.transaction(relation(ref)) as cursor:
        table = instance.catalog.table(ref)
        if instance.catalog.find(new) is not None:
            raise BigQueryError("duplicate", f"Already Exists: Table {new}")
        cursor.execute(f"ALTER TABLE {relation(ref)} RENAME TO {quoted(name)}")
        instance.catalog.add_table(msgspec.structs.replace(table, ref=new, modified=instance.now()))
        instance.catalog.remove_table(ref)


def reshape(
    cursor: Any,
    name: str,
    old: Sequence[SchemaField],
    new: Sequence[SchemaField],
    origins: Mapping[str, str] | None = None,
) -> None:
    """Change a DuckDB table's columns; new ones are filled with NULL or empty arrays.

    Args:
        cursor: A connection, in a transaction.
        name: The relation.
        old: The columns that it has.
        new: The columns that it gets.
        origins: The old name of a column that is renamed, by the new one in small letters.
    """
    from ..data.types import duckdb_type

    if [(f.name, warehouse.column(f)) for f in old] == [(f.name, warehouse.column(f)) for f in new]:
        return
    named = {field.name.lower(): field for field in old}
    old_by_new_name = {
        **named,
        **{name: named[origin.lower()] for name, origin in (origins or {}).items()},
    }
    cursor.execute(f"CREATE TEMP TABLE _before AS SELECT * FROM {name}")
    try:
        warehouse.create(cursor, name, new)
        shared = [field for field in new if field.name.lower() in old_by_new_name]
        if shared:
            into = ", ".join(quoted(field.name) for field in shared)
            values = ", ".join(
                f"CAST({quoted(old_by_new_name[field.name.lower()].name)} AS {duckdb_type(field)})"
                for field in shared
            )
            cursor.execute(f"INSERT INTO {name} ({into}) SELECT {values} FROM _before")
    finally:
        cursor.execute("DROP TABLE IF EXISTS _before")


def drop(instance: BigQueryState, ref: TableRef) -> None:
    """Delete a table with its rows, or a view."""
    table = instance.catalog.table(ref)
    if table.stored:
        with instance.warehouse.transaction(relation(ref)) as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {relation(ref)}")
    instance.catalog.remove_table(ref)


def expire(instance: BigQueryState) -> None:
    """Drop the tables whose expiration time has passed."""
    now = instance.clock.now()
    for table in instance.catalog.every_table():
        if table.expires is not None and table.expires <= now:
            try:
                drop(instance, table.ref)
            except BigQueryError:  # another thread was faster
                continue
