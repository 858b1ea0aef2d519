"""The Glue catalogue as a query sees it."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from ....core.registry import Context
from ..errors import NotRun, QueryFailed
from ..schemas import Column, Table

CATALOG = "awsdatacatalog"
_LAKES = {"iceberg": "Iceberg", "delta": "Delta Lake", "hudi": "Hudi"}
_VIEW = "/* Presto View: "


class Catalog:
    """The Glue catalogue, read for one statement: a table is looked up once."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self.glue = ctx.client("glue")
        self._seen: dict[tuple[str, str], Table | None] = {}

    def table(self, database: str, name: str) -> Table | None:
        """Return a table or view of Glue, or None where there is none."""
        key = (database.lower(), name.lower())
        if key not in self._seen:
            try:
                self._seen[key] = _table(
                    self.glue.get_table(DatabaseName=key[0], Name=key[1])["Table"]
                )
            except ClientError as error:
                if error.response["Error"]["Code"] != "EntityNotFoundException":
                    raise
                self._seen[key] = None
        return self._seen[key]

    def check_name(self, name: str, position: tuple[int, int] | None = None) -> None:
        """Check that a catalog's name in a query is the one of this Glue catalog.

        `position` is the name's place in the query, for the error.

        Raises:
            QueryFailed: There is no such catalog (CATALOG_NOT_FOUND).
            NotRun: The catalog is registered, but its data is not in this Glue catalog.
        """
        if name.lower() == CATALOG:
            return
        try:
            registered = self._ctx.client("athena").get_data_catalog(Name=name)["DataCatalog"]
        except ClientError as error:
            raise QueryFailed(
                "CATALOG_NOT_FOUND", f"Catalog '{name}' does not exist", position=position
            ) from error
        if (
            registered["Type"] != "GLUE"
            or registered["Parameters"]["catalog-id"] != self._ctx.account
        ):
            what = (
                f"catalogs of type {registered['Type']}"
                if registered["Type"] != "GLUE"
                else "catalogs of other accounts"
            )
            raise NotRun(f"{what}, such as {name}", position=position)

    def forget(self) -> None:
        """Drop cached tables after a statement has changed Glue."""
        self._seen.clear()

    def has_database(self, name: str) -> bool:
        """Return whether Glue has a database of this name."""
        if name.lower() == "default":
            return True
        try:
            self.glue.get_database(Name=name.lower())
        except ClientError:
            return False
        return True

    def needed(self, database: str, name: str, position: tuple[int, int] | None = None) -> Table:
        """Return a table or view of Glue that a query names, or raise the query's failure.

        `position` is the name's place in the query.

        Raises:
            QueryFailed: It does not exist (SCHEMA_NOT_FOUND, TABLE_NOT_FOUND).
            NotRun: Its format has its own log, such as Iceberg's, which is not read here.
        """
        table = self.table(database, name)
        if table is None:
            if not self.has_database(database):
                raise QueryFailed(
                    "SCHEMA_NOT_FOUND",
                    f"Schema '{database.lower()}' does not exist",
                    position=position,
                )
            raise QueryFailed(
                "TABLE_NOT_FOUND",
                f"Table '{CATALOG}.{database.lower()}.{name.lower()}' does not exist",
                position=position,
            )
        check_kind(
            table.parameters,
            table.input.get("StorageDescriptor", {}).get("InputFormat", ""),
            position,
        )
        return table

    def partitions(self, table: Table) -> list[dict[str, Any]]:
        """Return the partitions of a table, as Glue's GetPartitions has them."""
        pages = self.glue.get_paginator("get_partitions").paginate(
            DatabaseName=table.database, TableName=table.name
        )
        return [partition for page in pages for partition in page["Partitions"]]

    def create(self, database: str, table: dict[str, Any], *, exists_ok: bool = False) -> bool:
        """Create a table in Glue; return False when it existed.

        Raises:
            QueryFailed: It exists, and `exists_ok` is False (TABLE_ALREADY_EXISTS).
        """
        self._default(database)
        try:
            self.glue.create_table(DatabaseName=database.lower(), TableInput=table)
        except ClientError as error:
            if error.response["Error"]["Code"] != "AlreadyExistsException":
                raise QueryFailed(
                    "SCHEMA_NOT_FOUND", f"Schema '{database.lower()}' does not exist"
                ) from error
            if exists_ok:
                return False
            raise QueryFailed(
                "TABLE_ALREADY_EXISTS",
                f"Table '{CATALOG}.{database.lower()}.{table['Name']}' already exists",
            ) from error
        self.forget()
        return True

    def replace(self, database: str, table: dict[str, Any]) -> None:
        """Update a table in Glue."""
        self.glue.update_table(DatabaseName=database.lower(), TableInput=table)
        self.forget()

    def drop(self, table: Table) -> None:
        """Delete a table from Glue."""
        self.glue.delete_table(DatabaseName=table.database, Name=table.name)
        self.forget()

    def add_partitions(self, table: Table, new: list[dict[str, Any]], *, exists_ok: bool) -> None:
        """Create the partitions `new`, each a PartitionInput, of a table in Glue.

        Raises:
            QueryFailed: One exists, and `exists_ok` is False (ALREADY_EXISTS).
        """
        for start in range(0, len(new), 100):
            some = new[start : start + 100]
            done = self.glue.batch_create_partition(
                DatabaseName=table.database, TableName=table.name, PartitionInputList=some
            )
            if done.get("Errors") and not exists_ok:
                values = done["Errors"][0]["PartitionValues"]
                raise QueryFailed(
                    "ALREADY_EXISTS", f"Partition already exists: {values}", category=3
                )

    def _default(self, database: str) -> None:
        """Create the database `default` in Glue, which every account has, but not moto."""
        if database.lower() == "default":
            try:
                self.glue.get_database(Name="default")
            except ClientError:
                self.glue.create_database(DatabaseInput={"Name": "default"})


def check_kind(
    parameters: Mapping[str, str], reading: str = "", position: tuple[int, int] | None = None
) -> None:
    """Raise an error for a table of a format with its own log (Iceberg, Delta), not read here.

    Args:
        parameters: The table's parameters.
        reading: The table's InputFormat.
        position: The place in the query, for the error.

    Raises:
        NotRun: The table has such a format.
    """
    kinds = (parameters.get("table_type", ""), parameters.get("spark.sql.sources.provider", ""))
    words = " ".join((*kinds, reading)).lower()
    for word, name in _LAKES.items():
        if word in words:
            raise NotRun(f"{name} tables", position=position)


def _table(entry: dict[str, Any]) -> Table:
    """Parse a table of Glue's GetTable into a Table."""
    descriptor = entry.get("StorageDescriptor", {})
    serde = descriptor.get("SerdeInfo", {})
    return Table(
        database=entry["DatabaseName"],
        name=entry["Name"],
        columns=tuple(
            Column(c["Name"].lower(), c.get("Type", "string"))
            for c in descriptor.get("Columns", [])
        ),
        partitions=tuple(
            Column(c["Name"].lower(), c.get("Type", "string"))
            for c in entry.get("PartitionKeys", [])
        ),
        location=descriptor.get("Location", ""),
        serde=serde.get("SerializationLibrary", ""),
        serde_parameters=serde.get("Parameters", {}),
        parameters=entry.get("Parameters", {}),
        input=_as_input(entry),
        view=_view_sql(entry.get("ViewOriginalText", ""))
        if entry.get("TableType") == "VIRTUAL_VIEW"
        else None,
    )


_INPUT = (
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


def _as_input(entry: dict[str, Any]) -> dict[str, Any]:
    """Return a table of Glue's GetTable as the TableInput of UpdateTable."""
    return {key: entry[key] for key in _INPUT if key in entry}


def _view_sql(text: str) -> str:
    """Decode the SQL of a view from the text that Athena keeps in Glue."""
    if text.startswith(_VIEW):
        decoded: str = json.loads(base64.b64decode(text.removeprefix(_VIEW).removesuffix(" */")))[
            "originalSql"
        ]
        return decoded
    return text


def view_input(
    name: str, database: str, sql: str, columns: list[tuple[str, str, str]], now: datetime
) -> dict[str, Any]:
    """Return a view as the TableInput that Athena writes into Glue.

    Args:
        name: The view's name.
        database: The database in which its query is read.
        sql: Its query.
        columns: For each column its name, Athena's type, Hive's type.
        now: The time of the change.
    """
    body = {
        "originalSql": sql,
        "catalog": CATALOG,
        "schema": database,
        "columns": [{"name": column, "type": kind} for column, kind, _ in columns],
    }
    encoded = base64.b64encode(json.dumps(body).encode()).decode()
    return {
        "Name": name.lower(),
        "TableType": "VIRTUAL_VIEW",
        "Parameters": {
            "presto_view": "true",
            "comment": "Presto View",
            "transient_lastDdlTime": str(int(now.timestamp())),
        },
        "PartitionKeys": [],
        "ViewOriginalText": f"{_VIEW}{encoded} */",
        "ViewExpandedText": "/* Presto View */",
        "StorageDescriptor": {
            "Columns": [{"Name": column.lower(), "Type": kind} for column, _, kind in columns],
            "Location": "",
            "SerdeInfo": {},
        },
    }
