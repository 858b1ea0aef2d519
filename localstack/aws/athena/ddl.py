"""Hive's statements: databases, external tables, partitions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from ..hive import types, writes
from ..hive.catalog import check_kind
from ..hive.errors import NotRun, QueryFailed
from . import altering, clauses, shows
from .language.errors import Malformed
from .language.statements import HiveWords, Words
from .session import Session, Shown

_FORMATS = {"parquet": writes.PARQUET, "orc": writes.ORC, "avro": writes.AVRO, "textfile": writes.TEXT}


def run(session: Session, text: str) -> Shown:
    """Malformed, QueryFailed."""
    words = Words(text, HiveWords)
    for start, verb in _VERBS:
        if words.accept(*start):
            return verb(session, words) or Shown()
    raise words.mismatched("a statement that Athena has")


def check(text: str) -> None:
    """Malformed for a start that no statement has, before anything runs."""
    words = Words(text, HiveWords)
    if not any(words.accept(*start) for start, _ in _VERBS):
        raise Malformed(f"mismatched input '{text.split(maxsplit=1)[0]}'. Queries of this type are not supported", at=(1, 1))


def _create_database(session: Session, words: Words) -> None:
    exists_ok = words.accept("IF", "NOT", "EXISTS")
    made: dict[str, Any] = {"Name": words.identifier()}
    while words.peek() is not None:
        if words.accept("COMMENT"):
            made["Description"] = words.string()
        elif words.accept("LOCATION"):
            made["LocationUri"] = words.string()
        elif words.accept("WITH", "DBPROPERTIES"):
            made["Parameters"] = clauses.pairs(words)
        else:
            raise words.mismatched("LOCATION, COMMENT or WITH DBPROPERTIES")
    try:
        session.catalog.glue.create_database(DatabaseInput=made)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException":
            raise
        if not exists_ok:
            raise QueryFailed("FAILED", f"Execution Error: Database {made['Name']} already exists") from error


def _alter_database(session: Session, words: Words) -> None:
    name = words.identifier()
    words.expect("SET", "DBPROPERTIES")
    pairs = clauses.pairs(words)
    words.done()
    try:
        database = session.catalog.glue.get_database(Name=name)["Database"]
    except session.catalog.glue.exceptions.EntityNotFoundException as error:
        raise QueryFailed("FAILED", f"SemanticException [Error 10072]: Database does not exist: {name}") from error
    update = {key: database[key] for key in ("Name", "Description", "LocationUri") if key in database}
    session.catalog.glue.update_database(Name=name, DatabaseInput={**update, "Parameters": {**database.get("Parameters", {}), **pairs}})


def _drop_database(session: Session, words: Words) -> None:
    missing_ok = words.accept("IF", "EXISTS")
    name = words.identifier()
    cascade = words.accept("CASCADE")
    words.accept("RESTRICT")
    words.done()
    glue = session.catalog.glue
    try:
        tables = [table["Name"] for page in glue.get_paginator("get_tables").paginate(DatabaseName=name) for table in page["TableList"]]
        if tables and not cascade:
            raise QueryFailed("FAILED", f"InvalidOperationException: Database {name} is not empty. One or more tables exist.")
        for table in tables:
            glue.delete_table(DatabaseName=name, Name=table)
        glue.delete_database(Name=name)
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        if not missing_ok:
            raise QueryFailed("FAILED", f"SemanticException [Error 10072]: Database does not exist: {name}") from error


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


def _partitioned(made: _External, words: Words) -> None:
    made.keys = clauses.columns(words)


def _files(made: _External, words: Words) -> None:
    made.reading = words.string()
    words.expect("OUTPUTFORMAT")
    made.writing = words.string()


def _serde(made: _External, words: Words) -> None:
    made.serde = words.string()
    if "jsonserde" in made.serde.lower():
        made.writing = "org.apache.hadoop.hive.ql.io.IgnoreKeyTextOutputFormat"  # unless STORED AS says another


def _clustered(made: _External, words: Words) -> None:
    made.buckets = clauses.several(words, Words.identifier)
    words.expect("INTO")
    made.bucket_count = words.number()
    words.expect("BUCKETS")


def _stored(made: _External, words: Words) -> None:
    form = words.identifier()
    if form not in _FORMATS:
        raise NotRun(f"STORED AS {form.upper()}")
    made.reading, made.writing, serde = _FORMATS[form]
    made.serde = serde if form != "textfile" else made.serde


_CLAUSES: tuple[tuple[tuple[str, ...], Callable[[_External, Words], object]], ...] = (
    (("COMMENT",), lambda made, words: made.properties.update(comment=" ".join(words.string().split()))),
    (("PARTITIONED", "BY"), _partitioned),
    (("CLUSTERED", "BY"), _clustered),
    (("ROW", "FORMAT", "SERDE"), _serde),
    (("WITH", "SERDEPROPERTIES"), lambda made, words: made.serde_parameters.update(clauses.pairs(words))),
    (("ROW", "FORMAT", "DELIMITED"), lambda made, words: made.serde_parameters.update(_delimited(words))),
    (("STORED", "AS", "INPUTFORMAT"), _files),
    (("STORED", "AS"), _stored),
    (("LOCATION",), lambda made, words: setattr(made, "location", words.string())),
    (("TBLPROPERTIES",), lambda made, words: made.properties.update(clauses.pairs(words))),
)


def _create_external(session: Session, words: Words) -> None:
    exists_ok = words.accept("IF", "NOT", "EXISTS")
    database, name = words.name()
    columns = clauses.columns(words) if words.follows("(") else []
    made = _External()
    while words.peek() is not None:
        clause = next((read for start, read in _CLAUSES if words.accept(*start)), None)
        if clause is None:
            raise words.mismatched("LOCATION, ROW FORMAT, STORED AS, PARTITIONED BY, CLUSTERED BY or TBLPROPERTIES")
        clause(made, words)
    check_kind(made.properties, made.reading)
    if not columns:
        raise QueryFailed("FAILED", f"SemanticException: table {name} needs columns")
    if not made.location.startswith("s3://"):
        raise QueryFailed("FAILED", "SemanticException: a table needs LOCATION 's3://bucket/folder/'")
    if {c["Name"] for c in columns} & {c["Name"] for c in made.keys}:
        raise QueryFailed("FAILED", "SemanticException [Error 10035]: Column repeated in partitioning columns")
    for column in (*columns, *made.keys):
        types.arrow(column["Type"])
    storage = writes.Storage(made.reading, made.writing, made.serde, made.serde_parameters)
    table: dict[str, Any] = {
        "Name": name,
        "TableType": "EXTERNAL_TABLE",
        "Parameters": made.properties,
        "PartitionKeys": made.keys,
        "StorageDescriptor": {
            **writes.descriptor(columns, made.location.rstrip("/"), storage),
            "BucketColumns": made.buckets,
            "NumberOfBuckets": made.bucket_count,
        },
    }
    session.catalog.create(database or session.database, table, exists_ok=exists_ok)


def _delimited(words: Words) -> dict[str, str]:
    made: dict[str, str] = {}
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
            if words.accept(*start):
                made[key] = words.string()
                if key == "field.delim":
                    made["serialization.format"] = made[key]
                break
        else:
            return made


def _drop(session: Session, words: Words, kind: str) -> None:
    missing_ok = words.accept("IF", "EXISTS")
    database, name = words.name()
    words.done()
    found = session.catalog.table(database or session.database, name)
    if found is None:
        if missing_ok:
            return
        raise QueryFailed("FAILED", f"SemanticException [Error 10001]: Table not found {name}")
    if (found.view is not None) != (kind == "view"):
        raise QueryFailed(
            "FAILED", f"SemanticException: Cannot drop a {'view' if found.view is not None else 'table'} with DROP {kind.upper()}"
        )
    session.catalog.drop(found)  # the objects stay, as for every external table


_VERBS: tuple[tuple[tuple[str, ...], Callable[[Session, Words], Shown | None]], ...] = (
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
