"""Tables and views: made, described, changed and dropped, for the API and for DDL alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import msgspec

from ..data.types import Field, quoted, schema_from_rest, schema_to_rest
from ..errors import BigQueryError, invalid, not_run
from ..sql.analysis import analyzer as analysis
from ..sql.language import unchecked_queries as unchecked
from ..state import warehouse
from ..state.catalog import Table, TableRef, check_table_id, match
from ..state.instance import Place, milliseconds, moment

_COMPUTED = {
    "kind", "id", "etag", "selfLink", "tableReference", "creationTime", "lastModifiedTime", "location", "type", "schema", "numRows",
    "numBytes", "numLongTermBytes", "numTotalLogicalBytes", "numActiveLogicalBytes", "numLongTermLogicalBytes", "numPhysicalBytes",
    "expirationTime", "streamingBuffer", "defaultCollation",
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
    return warehouse.relation(ref.project, ref.dataset, ref.table)


def create(
    here: Place, ref: TableRef, content: Mapping[str, Any], fields: Sequence[Field] | None = None
) -> Table:
    """From a Table resource. BigQueryError: duplicate, notFound, invalid."""
    here.catalog.dataset(ref.project, ref.dataset)
    if here.catalog.find(ref) is not None:
        raise BigQueryError("duplicate", f"Already Exists: Table {ref}")
    check_table_id(ref)
    schema = tuple(fields) if fields is not None else schema_from_rest(content.get("schema"))
    written = _writable(content)
    if "view" in written:
        schema = _view_schema(here, ref, written["view"], schema)
    table = new_table(here, ref, written, schema, content.get("expirationTime"))
    if table.kind == "TABLE":
        with here.warehouse.transaction(relation(ref)) as cursor:
            if here.catalog.find(ref) is not None:
                raise BigQueryError("duplicate", f"Already Exists: Table {ref}")
            warehouse.create(cursor, relation(ref), schema)
    return here.catalog.add_table(table)


def new_table(
    here: Place,
    ref: TableRef,
    written: Mapping[str, Any],
    fields: Sequence[Field],
    expires: Any = None,
) -> Table:
    """A new table, which is in no catalog yet. invalid where its layout does not fit its columns."""
    dataset = here.catalog.dataset(ref.project, ref.dataset)
    check_table_id(ref)
    _check_names(fields)
    _check_layout(written, fields)
    now = here.now()
    lifetime = dataset.written.get("defaultTableExpirationMs")
    until = (
        moment(expires)
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
    here: Place, ref: TableRef, view: Mapping[str, Any], described: Sequence[Field]
) -> tuple[Field, ...]:
    """The columns of its query, with the descriptions that the schema gives them."""
    if view.get("useLegacySql", True):
        raise not_run("legacy SQL (views: useLegacySql must be false)")
    columns = (analysis if analysis.available() else unchecked).describe(
        here, ref.project, str(view.get("query", ""))
    )
    about = {field.name.lower(): field.about for field in described}
    return tuple(
        msgspec.structs.replace(column, about=about.get(column.name.lower(), {}))
        for column in columns
    )


def _writable(content: Mapping[str, Any]) -> dict[str, Any]:
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


def _check_names(fields: Sequence[Field]) -> None:
    for field in fields:
        if field.name.upper().startswith(_RESERVED):
            words = (
                "Field names are not allowed to start with the (case-insensitive) prefixes "
                f"{', '.join(_RESERVED)}"
            )
            raise invalid(f'Invalid field name "{field.name}". {words}')


def _check_layout(written: Mapping[str, Any], fields: Sequence[Field]) -> None:
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


def resource(here: Place, table: Table) -> dict[str, Any]:
    ref = table.ref
    answer: dict[str, Any] = {
        "kind": "bigquery#table",
        "etag": table.etag,
        "id": str(ref),
        "selfLink": f"https://bigquery.googleapis.com/bigquery/v2/projects/{ref.project}/datasets/{ref.dataset}/tables/{ref.table}",
        "tableReference": ref.rest(),
        **table.written,
        "creationTime": milliseconds(table.created),
        "lastModifiedTime": milliseconds(table.modified),
        "location": table.location,
        "type": table.kind,
    }
    if table.fields:
        answer["schema"] = schema_to_rest(table.fields)
    if table.expires is not None:
        answer["expirationTime"] = milliseconds(table.expires)
    if table.stored:
        rows, size = measure(here, table)
        sizes = ("numBytes", "numTotalLogicalBytes", "numActiveLogicalBytes")
        answer |= {
            "numRows": str(rows),
            "numLongTermBytes": "0",
            "numLongTermLogicalBytes": "0",
            **dict.fromkeys(sizes, str(size)),
        }
    return answer


def measure(here: Place, table: Table) -> tuple[int, int]:
    """Rows and logical bytes."""
    rows, sizes = sizes_of(here, table)
    return rows, sum(sizes.values())


def sizes_of(here: Place, table: Table) -> tuple[int, Mapping[str, int]]:
    """Rows, and logical bytes by column; counted once for each content."""
    known = here.catalog.sizes.get(table.ref)
    if known is None or known[0] != (table.version, table.fields):
        with here.warehouse.session() as cursor:
            rows, sizes = warehouse.measure(cursor, relation(table.ref), table.fields)
        known = ((table.version, table.fields), rows, sizes)
        here.catalog.sizes[table.ref] = known
    return known[1], known[2]


def wrote(here: Place, ref: TableRef, fields: Sequence[Field] | None = None) -> Table:
    """Note that a table's rows have changed, and its columns, where they are given."""

    def change(table: Table) -> Table:
        columns = tuple(fields) if fields is not None else table.fields
        return msgspec.structs.replace(
            table, version=table.version + 1, modified=here.now(), fields=columns
        )

    return here.catalog.change_table(ref, change)


def change(
    here: Place,
    ref: TableRef,
    content: Mapping[str, Any],
    written: Mapping[str, Any],
    if_match: str | None,
) -> Table:
    """`written`: what its owner's part becomes. A schema may grow and relax, nothing else."""
    current = here.catalog.table(ref)
    match(current.etag, if_match)
    owned = _writable(written)
    fields = current.fields
    if owned.get("view") and owned["view"] != current.written.get("view"):
        fields = _view_schema(here, ref, owned["view"], schema_from_rest(content.get("schema")))
    elif content.get("schema") is not None:
        fields = schema_from_rest(content["schema"])
        if current.kind == "TABLE":
            check_change(ref, current.fields, fields)
    _check_layout(owned, fields)
    expires = current.expires
    if "expirationTime" in content:
        expires = moment(content["expirationTime"]) if content["expirationTime"] else None
    with here.warehouse.transaction(relation(ref)) as cursor:
        if current.kind == "TABLE" and fields != current.fields:
            reshape(cursor, relation(ref), current.fields, fields)
        return here.catalog.change_table(
            ref,
            lambda table: msgspec.structs.replace(
                table, written=owned, fields=fields, expires=expires, modified=here.now()
            ),
            if_match,
        )


def check_change(
    ref: TableRef, old: Sequence[Field], new: Sequence[Field], place: str = ""
) -> None:
    """What a column may become [docs: bigquery/docs/managing-table-schemas]."""
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


def alter(here: Place, new: Table) -> Table:
    """Note what a table has become. invalid, where its layout does not fit its columns."""
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
            modified=here.now(),
        )

    return here.catalog.change_table(new.ref, change)


def rename(here: Place, ref: TableRef, name: str) -> None:
    """Give a table another name in its dataset. duplicate, invalid; notImplemented for a temporary
    one.
    """
    if ref.dataset.startswith("_"):
        raise not_run(f"RENAME TO of a temporary table ({ref.table})")
    new = msgspec.structs.replace(ref, table=name)
    check_table_id(new)
    with here.warehouse.transaction(relation(ref)) as cursor:
        table = here.catalog.table(ref)
        if here.catalog.find(new) is not None:
            raise BigQueryError("duplicate", f"Already Exists: Table {new}")
        cursor.execute(f"ALTER TABLE {relation(ref)} RENAME TO {quoted(name)}")
        here.catalog.add_table(msgspec.structs.replace(table, ref=new, modified=here.now()))
        here.catalog.remove_table(ref)


def reshape(
    cursor: Any,
    name: str,
    old: Sequence[Field],
    new: Sequence[Field],
    origins: Mapping[str, str] | None = None,
) -> None:
    """Give a table new columns; what it lacks is NULL, or an empty array.

    `origins`: by the new name in small letters, the old name of
    a column that is renamed.
    """
    from ..data.types import duckdb_type

    if [(f.name, warehouse.column(f)) for f in old] == [(f.name, warehouse.column(f)) for f in new]:
        return
    named = {field.name.lower(): field for field in old}
    known = {**named, **{name: named[origin.lower()] for name, origin in (origins or {}).items()}}
    cursor.execute(f"CREATE TEMP TABLE _before AS SELECT * FROM {name}")
    try:
        warehouse.create(cursor, name, new)
        shared = [field for field in new if field.name.lower() in known]
        if shared:
            into = ", ".join(quoted(field.name) for field in shared)
            values = ", ".join(
                f"CAST({quoted(known[field.name.lower()].name)} AS {duckdb_type(field)})"
                for field in shared
            )
            cursor.execute(f"INSERT INTO {name} ({into}) SELECT {values} FROM _before")
    finally:
        cursor.execute("DROP TABLE IF EXISTS _before")


def drop(here: Place, ref: TableRef) -> None:
    table = here.catalog.table(ref)
    if table.stored:
        with here.warehouse.transaction(relation(ref)) as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {relation(ref)}")
    here.catalog.remove_table(ref)


def expire(here: Place) -> None:
    """Drop what is gone by its own time."""
    now = here.clock.now()
    for table in here.catalog.every_table():
        if table.expires is not None and table.expires <= now:
            try:
                drop(here, table.ref)
            except BigQueryError:  # another thread was faster
                continue
