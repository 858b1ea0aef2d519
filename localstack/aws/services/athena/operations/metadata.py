"""The Glue catalogue through Athena's own API."""

from __future__ import annotations

import re
from typing import Any

from botocore.exceptions import ClientError

from ....core import paging
from ....core.registry import AwsError, Context, handles
from ..errors import NotRun, QueryFailed, refusal
from ..tables.catalog import Catalog


def _metadata(error: ClientError) -> AwsError:
    """Return an error of Glue's as Athena's MetadataException, which quotes it."""
    answer = error.response["Error"]
    code = answer["Code"]
    text = (
        f"An error occurred ({code}): {answer.get('Message')} (Service: AmazonDataCatalog; "
        f"Status Code: 400; Error Code: {code})"
    )
    return AwsError("MetadataException", text, 400)


@handles("athena", "GetDatabase")
def get_database(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call GetDatabase: return a database."""
    _known_catalog(ctx, params)
    if params["DatabaseName"].lower() == "default":
        return {"Database": {"Name": "default"}}
    try:
        return {
            "Database": _database(
                ctx.client("glue").get_database(Name=params["DatabaseName"].lower())["Database"]
            )
        }
    except ClientError as error:
        raise _metadata(error) from error


@handles("athena", "ListDatabases")
def list_databases(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call ListDatabases: list the databases."""
    _known_catalog(ctx, params)
    databases = [
        _database(d)
        for page in ctx.client("glue").get_paginator("get_databases").paginate()
        for d in page["DatabaseList"]
    ]
    if not any(d["Name"] == "default" for d in databases):
        databases.append({"Name": "default"})
    return _page("DatabaseList", sorted(databases, key=lambda d: str(d["Name"])), params)


@handles("athena", "GetTableMetadata")
def get_table_metadata(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call GetTableMetadata: return a table's columns and settings."""
    _known_catalog(ctx, params)
    try:
        table = ctx.client("glue").get_table(
            DatabaseName=params["DatabaseName"].lower(), Name=params["TableName"].lower()
        )["Table"]
    except ClientError as error:
        raise _metadata(error) from error
    return {"TableMetadata": _table(table)}


@handles("athena", "ListTableMetadata")
def list_table_metadata(ctx: Context, params: dict[str, Any]) -> dict[str, Any]:
    """Answer Athena's API call ListTableMetadata: list a database's tables with their columns."""
    _known_catalog(ctx, params)
    try:
        pages = (
            ctx.client("glue")
            .get_paginator("get_tables")
            .paginate(DatabaseName=params["DatabaseName"].lower())
        )
        tables = [_table(table) for page in pages for table in page["TableList"]]
    except ClientError as error:
        raise _metadata(error) from error
    expected = re.compile(params.get("Expression") or ".*")
    return _page(
        "TableMetadataList",
        [table for table in tables if expected.fullmatch(table["Name"])],
        params,
    )


def _known_catalog(ctx: Context, params: dict[str, Any]) -> None:
    """Raise an error unless the request names AwsDataCatalog, the only catalog here."""
    try:
        Catalog(ctx).check_name(params["CatalogName"])
    except NotRun as error:
        raise AwsError("NotImplemented", str(error), 501) from error
    except QueryFailed as error:
        raise refusal(f"DataCatalog {params['CatalogName']} was not found") from error


def _database(database: dict[str, Any]) -> dict[str, Any]:
    """Return a Glue database as Athena's API shows it."""
    return {key: database[key] for key in ("Name", "Description", "Parameters") if key in database}


def _table(table: dict[str, Any]) -> dict[str, Any]:
    """Return a Glue table as Athena's API shows it."""
    descriptor = table.get("StorageDescriptor", {})
    parameters = dict(table.get("Parameters", {}))
    if descriptor.get("Location"):
        parameters["location"] = descriptor["Location"]
        parameters["inputformat"] = descriptor.get("InputFormat", "")
        parameters["outputformat"] = descriptor.get("OutputFormat", "")
        serde = descriptor.get("SerdeInfo", {})
        parameters["serde.serialization.lib"] = serde.get("SerializationLibrary", "")
        parameters.update(
            (f"serde.param.{key}", value) for key, value in serde.get("Parameters", {}).items()
        )
    metadata: dict[str, Any] = {
        "Name": table["Name"],
        "TableType": table.get("TableType", "EXTERNAL_TABLE"),
        "Columns": [_column(c) for c in descriptor.get("Columns", [])],
        "PartitionKeys": [_column(c) for c in table.get("PartitionKeys", [])],
        "Parameters": parameters,
    }
    if "CreateTime" in table:
        metadata["CreateTime"] = table["CreateTime"]
    return metadata


def _column(column: dict[str, Any]) -> dict[str, Any]:
    """Return a Glue column as Athena's API shows it."""
    return {key: column[key] for key in ("Name", "Type", "Comment") if key in column}


def _page(key: str, rows: list[dict[str, Any]], params: dict[str, Any]) -> dict[str, Any]:
    """Return one page of Athena's list of databases or tables, with the token of the next.

    `key` is the list's name in the response.
    """
    page, more = paging.page(rows, params, 50, refusal("The NextToken is not valid."))
    return {key: page, **more}
