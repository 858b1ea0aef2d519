"""Hive's statements: databases, external tables, partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from ..errors import NotRun, QueryFailed
from ..formats import types
from ..sql.errors import Malformed
from ..sql.words import HiveWords, TokenCursor
from ..tables import writes
from ..tables.catalog import check_kind
from . import alter_table as altering
from . import clauses, shows
from .session import StatementOutput, StatementSession

_FORMATS = {
    "parquet": writes.PARQUET,
    "orc": writes.ORC,
    "avro": writes.AVRO,
    "textfile": writes.TEXT,
}


def run(session: StatementSession, text: str) -> StatementOutput:
    """Execute a Hive DDL statement, and return its output as columns and rows.

    Raises:
        Malformed: The statement does not parse.
        QueryFailed: Glue refuses it, or Athena would.
    """
    words = TokenCursor(text, HiveWords)
    for start, verb in _VERBS:
        if words.accept(*start):
            return verb(session, words) or StatementOutput()
    raise words.mismatched("a statement that Athena has")


def check(text: str) -> None:
    """Raise an error for a text that begins like no DDL statement, before anything runs.

    Raises:
        Malformed: The text does not begin like a DDL statement.
    """
    words = TokenCursor(text, HiveWords)
    if not any(words.accept(*start) for start, _ in _VERBS):
        raise Malformed(
            f"mismatched input '{text.split(maxsplit=1)[0]}'. Queries of this type are not "
            "supported",
            position=(1, 1),
        )


def _create_database(session: StatementSession, tokens: TokenCursor) -> None:
    """Execute CREATE DATABASE: create a database in Glue."""
    exists_ok = tokens.accept("IF", "NOT", "EXISTS")
    database: dict[str, Any] = {"Name": tokens.identifier()}
    while tokens.peek() is not None:
        if tokens.accept("COMMENT"):
            database["Description"] = tokens.string()
        elif tokens.accept("LOCATION"):
            database["LocationUri"] = tokens.string()
        elif tokens.accept("WITH", "DBPROPERTIES"):
            database["Parameters"] = clauses.pairs(tokens)
        else:
            raise tokens.mismatched("LOCATION, COMMENT or WITH DBPROPERTIES")
    try:
        session.catalog.glue.create_database(DatabaseInput=database)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException":
            raise
        if not exists_ok:
            raise QueryFailed(
                "FAILED", f"Execution Error: Database {database['Name']} already exists"
            ) from error


def _alter_database(session: StatementSession, tokens: TokenCursor) -> None:
    """Execute ALTER DATABASE SET DBPROPERTIES: add parameters to a database in Glue."""
    name = tokens.identifier()
    tokens.expect("SET", "DBPROPERTIES")
    pairs = clauses.pairs(tokens)
    tokens.done()
    try:
        database = session.catalog.glue.get_database(Name=name)["Database"]
    except session.catalog.glue.exceptions.EntityNotFoundException as error:
        raise QueryFailed(
            "FAILED", f"SemanticException [Error 10072]: Database does not exist: {name}"
        ) from error
    update = {
        key: database[key] for key in ("Name", "Description", "LocationUri") if key in database
    }
    session.catalog.glue.update_database(
        Name=name,
        DatabaseInput={**update, "Parameters": {**database.get("Parameters", {}), **pairs}},
    )


def _drop_database(session: StatementSession, tokens: TokenCursor) -> None:
    """Execute DROP DATABASE: delete a database from Glue."""
    missing_ok = tokens.accept("IF", "EXISTS")
    name = tokens.identifier()
    cascade = tokens.accept("CASCADE")
    tokens.accept("RESTRICT")
    tokens.done()
    glue = session.catalog.glue
    try:
        tables = [
            table["Name"]
            for page in glue.get_paginator("get_tables").paginate(DatabaseName=name)
            for table in page["TableList"]
        ]
        if tables and not cascade:
            raise QueryFailed(
                "FAILED",
                f"InvalidOperationException: Database {name} is not empty. One or more "
                "tables exist.",
            )
        for table in tables:
            glue.delete_table(DatabaseName=name, Name=table)
        glue.delete_database(Name=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        if not missing_ok:
            raise QueryFailed(
                "FAILED", f"SemanticException [Error 10072]: Database does not exist: {name}"
            ) from error


class _External(msgspec.Struct):
    """The clauses of a CREATE EXTERNAL TABLE, while they are read."""

    keys: list[dict[str, str]] = []
    reading: str = writes.TEXT[0]
    writing: str = writes.TEXT[1]
    serde: str = writes.TEXT[2]
    serde_parameters: dict[str, str] = {}
    properties: dict[str, str] = msgspec.field(default_factory=lambda: {"EXTERNAL": "TRUE"})
    location: str = ""
    buckets: list[str] = []
    bucket_count: int = -1


def _partitioned_by(table: _External, tokens: TokenCursor) -> None:
    """Parse PARTITIONED BY of a CREATE EXTERNAL TABLE into `table`."""
    table.keys = clauses.columns(tokens)


def _files(table: _External, tokens: TokenCursor) -> None:
    """Parse STORED AS INPUTFORMAT ... OUTPUTFORMAT ... of a CREATE EXTERNAL TABLE into `table`."""
    table.reading = tokens.string()
    tokens.expect("OUTPUTFORMAT")
    table.writing = tokens.string()


def _serde(table: _External, tokens: TokenCursor) -> None:
    """Parse ROW FORMAT SERDE of a CREATE EXTERNAL TABLE into `table`."""
    table.serde = tokens.string()
    if "jsonserde" in table.serde.lower():
        # unless STORED AS says another
        table.writing = "org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat"


def _clustered_by(table: _External, tokens: TokenCursor) -> None:
    """Parse CLUSTERED BY of a CREATE EXTERNAL TABLE into `table`."""
    table.buckets = clauses.several(tokens, TokenCursor.identifier)
    tokens.expect("INTO")
    table.bucket_count = tokens.number()
    tokens.expect("BUCKETS")


def _stored_as(table: _External, tokens: TokenCursor) -> None:
    """Parse STORED AS of a CREATE EXTERNAL TABLE into `table`."""
    form = tokens.identifier()
    if form not in _FORMATS:
        raise NotRun(f"STORED AS {form.upper()}")
    table.reading, table.writing, serde = _FORMATS[form]
    table.serde = serde if form != "textfile" else table.serde


_CLAUSES: tuple[tuple[tuple[str, ...], Callable[[_External, TokenCursor], object]], ...] = (
    (
        ("COMMENT",),
        lambda table, words: table.properties.update(comment=" ".join(words.string().split())),
    ),
    (("PARTITIONED", "BY"), _partitioned_by),
    (("CLUSTERED", "BY"), _clustered_by),
    (("ROW", "FORMAT", "SERDE"), _serde),
    (
        ("WITH", "SERDEPROPERTIES"),
        lambda table, words: table.serde_parameters.update(clauses.pairs(words)),
    ),
    (
        ("ROW", "FORMAT", "DELIMITED"),
        lambda table, words: table.serde_parameters.update(_row_format(words)),
    ),
    (("STORED", "AS", "INPUTFORMAT"), _files),
    (("STORED", "AS"), _stored_as),
    (("LOCATION",), lambda table, words: setattr(table, "location", words.string())),
    (("TBLPROPERTIES",), lambda table, words: table.properties.update(clauses.pairs(words))),
)


def _create_external(session: StatementSession, tokens: TokenCursor) -> None:
    """Execute CREATE EXTERNAL TABLE: create a table on data in S3, in Glue."""
    exists_ok = tokens.accept("IF", "NOT", "EXISTS")
    database, name = tokens.name()
    columns = clauses.columns(tokens) if tokens.follows("(") else []
    external = _External()
    while tokens.peek() is not None:
        clause = next((read for start, read in _CLAUSES if tokens.accept(*start)), None)
        if clause is None:
            raise tokens.mismatched(
                "LOCATION, ROW FORMAT, STORED AS, PARTITIONED BY, CLUSTERED BY or TBLPROPERTIES"
            )
        clause(external, tokens)
    check_kind(external.properties, external.reading)
    if not columns:
        raise QueryFailed("FAILED", f"SemanticException: table {name} needs columns")
    if not external.location.startswith("s3://"):
        raise QueryFailed(
            "FAILED", "SemanticException: a table needs LOCATION 's3://bucket/folder/'"
        )
    if {c["Name"] for c in columns} & {c["Name"] for c in external.keys}:
        raise QueryFailed(
            "FAILED", "SemanticException [Error 10035]: Column repeated in partitioning columns"
        )
    for column in (*columns, *external.keys):
        types.arrow(column["Type"])
    storage = writes.Storage(
        external.reading, external.writing, external.serde, external.serde_parameters
    )
    table: dict[str, Any] = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": external.properties,
        "PartitionKeys": external.keys,
        "StorageDescriptor": {
            **writes.descriptor(columns, external.location.rstrip("/"), storage),
            "BucketColumns": external.buckets,
            "NumberOfBuckets": external.bucket_count,
        },
    }
    session.catalog.create(database or session.database, table, exists_ok=exists_ok)


def _row_format(tokens: TokenCursor) -> dict[str, str]:
    """Parse ROW FORMAT DELIMITED, and return the parameters of the serde."""
    parameters: dict[str, str] = {}
    endings = (
        (("FIELDS", "TERMINATED", "BY"), "field.delim"),
        (("LINES", "TERMINATED", "BY"), "line.delim"),
        (("COLLECTION", "ITEMS", "TERMINATED", "BY"), "collection.delim"),
        (("MAP", "KEYS", "TERMINATED", "BY"), "mapkey.delim"),
        (("NULL", "DEFINED", "AS"), "serialization.null.format"),
        (("ESCAPED", "BY"), "escape.delim"),
    )
    while True:
        for start, key in endings:
            if tokens.accept(*start):
                parameters[key] = tokens.string()
                if key == "field.delim":
                    parameters["serialization.format"] = parameters[key]
                break
        else:
            return parameters


def _drop(session: StatementSession, tokens: TokenCursor, kind: str) -> None:
    """Execute DROP TABLE or DROP VIEW, as `kind` says: delete a table or view from Glue."""
    missing_ok = tokens.accept("IF", "EXISTS")
    database, name = tokens.name()
    tokens.done()
    table = session.catalog.table(database or session.database, name)
    if table is None:
        if missing_ok:
            return
        raise QueryFailed("FAILED", f"SemanticException [Error 10001]: Table not found {name}")
    if (table.view is not None) != (kind == "view"):
        raise QueryFailed(
            "FAILED",
            "SemanticException: Cannot drop a "
            f"{'view' if table.view is not None else 'table'} with DROP {kind.upper()}",
        )
    session.catalog.drop(table)  # the objects stay, as for every external table


_VERBS: tuple[
    tuple[tuple[str, ...], Callable[[StatementSession, TokenCursor], StatementOutput | None]], ...
] = (
    (("CREATE", "DATABASE"), _create_database),
    (("CREATE", "SCHEMA"), _create_database),
    (("CREATE", "EXTERNAL", "TABLE"), _create_external),
    (("ALTER", "DATABASE"), _alter_database),
    (("ALTER", "SCHEMA"), _alter_database),
    (("DROP", "DATABASE"), _drop_database),
    (("DROP", "SCHEMA"), _drop_database),
    (("DROP", "TABLE"), lambda session, words: _drop(session, words, "table")),
    (("DROP", "VIEW"), lambda session, words: _drop(session, words, "view")),
    (("ALTER", "TABLE"), altering.alter),
    (("MSCK", "REPAIR", "TABLE"), altering.repair),
    (("SHOW", "TABLES"), shows.show_tables),
    (("SHOW", "VIEWS"), shows.show_views),
    (("SHOW", "DATABASES"), shows.show_databases),
    (("SHOW", "SCHEMAS"), shows.show_databases),
    (("SHOW", "PARTITIONS"), shows.show_partitions),
    (("SHOW", "COLUMNS"), shows.show_columns),
    (("SHOW", "TBLPROPERTIES"), shows.show_properties),
    (("SHOW", "CREATE", "TABLE"), shows.show_create),
    (("SHOW", "CREATE", "VIEW"), shows.show_create_view),
    (("DESCRIBE",), shows.describe),
    (("DESC",), shows.describe),
)
