"""The project's tables and views in Glue.

A table's document is one of its parameters: what Glue cannot say (required, the time column). `dt`
is found by partition projection: nobody registers a partition, so Firehose's objects are seen too.
The projected range is that of the written dates, widened before a write, since Athena looks into
every date of it for a query that names none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from ....core.formats import decode
from ....errors import AlreadyExists, Busy, NotFound
from ...common.warehouse.tables import PARTITION, TableDocument, existing_table
from ..column_types import GLUE
from ..errors import translated
from ..session import AwsSession

_PROJECT = "isthmus_project"
_DOCUMENT = "isthmus_document"
_RANGE = f"projection.{PARTITION}.range"
_ATTEMPTS = 6
_SERDE = "org.apache.hadoop.hive.ql.io.parquet.serde.ParquetHiveSerDe"
_INPUT = (  # what UpdateTable takes back of what GetTable gives
    "Name",
    "Description",
    "Owner",
    "Retention",
    "StorageDescriptor",
    "PartitionKeys",
    "ViewOriginalText",
    "ViewExpandedText",
    "TableType",
    "Parameters",
)


class StoredTable(msgspec.Struct, frozen=True, kw_only=True):
    """A table or view in Glue."""

    document: TableDocument
    prefix: str = ""  # the object keys of its rows begin with it; "" for a view
    dates: tuple[str, str] = ("", "")  # the projected range, both included
    table: Mapping[str, Any] = {}  # as GetTable gave it


def read_all(aws: AwsSession) -> dict[str, StoredTable]:
    """Read every table and view of this project from Glue, by name."""
    tables: dict[str, StoredTable] = {}
    with aws.reading("GetTables", aws.database):
        try:
            with translated("listing tables"):
                for page in (
                    aws.client("glue")
                    .get_paginator("get_tables")
                    .paginate(DatabaseName=aws.database)
                ):
                    for table in page["TableList"]:
                        if stored := _stored_table(aws, table):
                            tables[table["Name"]] = stored
        except NotFound:
            return {}
    return tables


def read(aws: AwsSession, name: str) -> StoredTable | None:
    """Read a table or view from Glue, or return None."""
    table = _get(aws, name)
    return None if table is None else _stored_table(aws, table)


def existing(aws: AwsSession, name: str) -> StoredTable:
    """Return a table of Glue that must exist; raise NotFound without it, Invalid for a view."""
    stored = read(aws, name)
    existing_table(name, stored.document if stored else None)
    assert stored is not None  # noqa: S101  else it was NotFound
    return stored


def documents(stored: Mapping[str, StoredTable]) -> dict[str, TableDocument]:
    """Return the stored descriptions in Glue's tables, by name."""
    return {name: table.document for name, table in stored.items()}


def write(
    aws: AwsSession, name: str, change: Callable[[TableDocument | None], TableDocument]
) -> TableDocument:
    """Create a Glue table, or change it if it is still as it was read; repeat otherwise.

    `change` gets the old description or None, and returns the new one.
    """
    glue = aws.client("glue")
    for _ in range(_ATTEMPTS):
        old = read(aws, name)
        document = change(old.document if old else None)
        try:
            if old is None:
                ensure_database(aws)
                today = datetime.now(UTC).date().isoformat()
                with translated(f"making table {name}", effect=True):
                    glue.create_table(
                        DatabaseName=aws.database, TableInput=_input(aws, document, (today, today))
                    )
            elif old.document != document:
                _update(aws, old, _input(aws, document, old.dates))
        except AlreadyExists as error:
            if _get(aws, name) is not None and read(aws, name) is None:
                raise AlreadyExists(
                    f"table {aws.database}.{name} exists and is not this project's",
                    remedy="rename one, or set `database:` in profiles.yaml",
                ) from error
        except (Busy, NotFound):
            continue
        else:
            return document
    raise Busy(f"table {name} is being changed by somebody else", remedy="run this again")


def mark_view(aws: AwsSession, document: TableDocument) -> None:
    """Store a view's project and SQL in its Glue table's parameters."""
    table = _get(aws, document.name)
    if table is None:
        raise NotFound(
            f"view {document.name} was deleted while it was being made", remedy="run this again"
        )
    changed = {key: table[key] for key in _INPUT if key in table}
    changed["Parameters"] = {**table.get("Parameters", {}), **_table_parameters(aws, document)}
    _update(aws, StoredTable(document=document, table=table), changed)


def widen(aws: AwsSession, stored: StoredTable, first: str, last: str) -> StoredTable:
    """Extend the dates of a Glue table's partition projection by `first` to `last`.

    It returns the changed table.
    """
    for _ in range(_ATTEMPTS):
        if stored.dates[0] <= first and last <= stored.dates[1]:
            return stored
        stored = existing(aws, stored.document.name)  # it may have gained columns since
        dates = (min(first, stored.dates[0]), max(last, stored.dates[1]))
        if dates != stored.dates:
            try:
                _update(aws, stored, _input(aws, stored.document, dates))
            except Busy:
                continue
        return msgspec.structs.replace(stored, dates=dates)
    raise Busy(
        f"table {stored.document.name} is being changed by somebody else", remedy="run this again"
    )


def remove(aws: AwsSession, name: str) -> None:
    """Delete a Glue table, which may be absent."""
    try:
        with translated(f"deleting table {name}", effect=True):
            aws.client("glue").delete_table(DatabaseName=aws.database, Name=name)
    except NotFound:
        return


def _get(aws: AwsSession, name: str) -> dict[str, Any] | None:
    """Return Glue's description of a table, or None."""
    with aws.reading("GetTable", name):
        try:
            with translated(f"reading table {name}"):
                table: dict[str, Any] = aws.client("glue").get_table(
                    DatabaseName=aws.database, Name=name
                )["Table"]
        except NotFound:
            return None
    return table


def _stored_table(aws: AwsSession, table: dict[str, Any]) -> StoredTable | None:
    """Convert Glue's description of a table; return None if it is not of this project."""
    parameters = table.get("Parameters") or {}
    if parameters.get(_PROJECT) != aws.project or _DOCUMENT not in parameters:
        return None
    document = decode(
        parameters[_DOCUMENT].encode(), TableDocument, what=f"the document of table {table['Name']}"
    )
    if document.view_sql is not None:
        return StoredTable(document=document, table=table)
    first, _, last = parameters.get(_RANGE, ",").partition(",")
    location: str = table["StorageDescriptor"]["Location"]
    return StoredTable(
        document=document,
        prefix=location.removeprefix(f"s3://{aws.bucket}/"),
        dates=(first, last),
        table=table,
    )


def _update(aws: AwsSession, old: StoredTable, changed: dict[str, Any]) -> None:
    """Change a Glue table's description, if the table is still as `old` was read."""
    version = {"VersionId": old.table["VersionId"]} if old.table.get("VersionId") else {}
    with translated(f"changing table {old.document.name}", effect=True):
        aws.client("glue").update_table(
            DatabaseName=aws.database, TableInput=changed, SkipArchive=True, **version
        )


def ensure_database(aws: AwsSession) -> None:
    """Create the project's Glue database if it does not exist."""
    aws.s3()  # where its rows will be
    try:
        with translated(f"making database {aws.database}", effect=True):
            aws.client("glue").create_database(
                DatabaseInput={
                    "Name": aws.database,
                    "Description": f"isthmus: {aws.project}",
                    "Parameters": {_PROJECT: aws.project},
                }
            )
    except AlreadyExists:
        return


def location(aws: AwsSession, document: TableDocument) -> str:
    """Return the S3 URI of the folder that holds a table's rows.

    A table that was deleted and made again has a new folder: what is still on its way to the old
    one is never read.
    """
    return f"{aws.root}/warehouse/{document.name}/{document.incarnation[:8]}/"


def _table_parameters(aws: AwsSession, document: TableDocument) -> dict[str, str]:
    """Return the Glue table parameters that mark a table as this project's and describe it."""
    return {_PROJECT: aws.project, _DOCUMENT: msgspec.json.encode(document).decode()}


def _input(aws: AwsSession, document: TableDocument, dates: tuple[str, str]) -> dict[str, Any]:
    """Return a table's description as Glue's TableInput; `dates` bound its partitions."""
    where = location(aws, document)
    return {
        "Name": document.name,
        "TableType": "EXTERNAL_TABLE",
        "PartitionKeys": [{"Name": PARTITION, "Type": "string"}],
        "Parameters": {
            "EXTERNAL": "TRUE",
            "classification": "parquet",
            "projection.enabled": "true",
            f"projection.{PARTITION}.type": "date",
            f"projection.{PARTITION}.format": "yyyy-MM-dd",
            f"projection.{PARTITION}.interval": "1",
            f"projection.{PARTITION}.interval.unit": "DAYS",
            _RANGE: ",".join(dates),
            "storage.location.template": f"{where}{PARTITION}=${{{PARTITION}}}/",
            **_table_parameters(aws, document),
        },
        "StorageDescriptor": {
            "Columns": [
                {"Name": column.name, "Type": GLUE[column.type]} for column in document.columns
            ],
            "Location": where,
            "InputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetInputFormat",
            "OutputFormat": "org.apache.hadoop.hive.ql.io.parquet.MapredParquetOutputFormat",
            "SerdeInfo": {
                "SerializationLibrary": _SERDE,
            },
        },
    }
