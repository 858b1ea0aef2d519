"""Hive's statements: databases, external tables, partitions."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
from botocore.exceptions import ClientError

from ..hive import partitions, types, writes
from ..hive.catalog import Table
from ..hive.errors import NotRun, QueryFailed
from . import shows
from .language.errors import Malformed
from .language.statements import HiveWords, Words
from .session import Session, Shown
from .session import table as table_of

_FORMATS = {"parquet": writes.PARQUET, "orc": writes.ORC, "textfile": writes.TEXT}


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
            made["Parameters"] = _pairs(words)
        else:
            raise words.mismatched("LOCATION, COMMENT or WITH DBPROPERTIES")
    try:
        session.catalog.glue.create_database(DatabaseInput=made)
    except ClientError as error:
        if error.response["Error"]["Code"] != "AlreadyExistsException":
            raise
        if not exists_ok:
            raise QueryFailed("FAILED", f"Execution Error: Database {made['Name']} already exists") from error


def _drop_database(session: Session, words: Words) -> None:
    missing_ok = words.accept("IF", "EXISTS")
    name = words.identifier()
    cascade = words.accept("CASCADE")
    words.accept("RESTRICT")
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


def _partitioned(made: _External, words: Words) -> None:
    words.expect("(")
    made.keys = _columns(words)


def _files(made: _External, words: Words) -> None:
    made.reading = words.string()
    words.expect("OUTPUTFORMAT")
    made.writing = words.string()


def _stored(made: _External, words: Words) -> None:
    form = words.identifier()
    if form not in _FORMATS:
        raise NotRun(f"STORED AS {form.upper()}")
    made.reading, made.writing, serde = _FORMATS[form]
    made.serde = serde if form != "textfile" else made.serde


_CLAUSES: tuple[tuple[tuple[str, ...], Callable[[_External, Words], object]], ...] = (
    (("COMMENT",), lambda made, words: made.properties.update(comment=words.string())),
    (("PARTITIONED", "BY"), _partitioned),
    (("ROW", "FORMAT", "SERDE"), lambda made, words: setattr(made, "serde", words.string())),
    (("WITH", "SERDEPROPERTIES"), lambda made, words: made.serde_parameters.update(_pairs(words))),
    (("ROW", "FORMAT", "DELIMITED"), lambda made, words: made.serde_parameters.update(_delimited(words))),
    (("STORED", "AS", "INPUTFORMAT"), _files),
    (("STORED", "AS"), _stored),
    (("LOCATION",), lambda made, words: setattr(made, "location", words.string())),
    (("TBLPROPERTIES",), lambda made, words: made.properties.update(_pairs(words))),
)


def _create_external(session: Session, words: Words) -> None:
    exists_ok = words.accept("IF", "NOT", "EXISTS")
    database, name = words.name()
    words.expect("(")
    columns = _columns(words)
    made = _External()
    while words.peek() is not None:
        clause = next((read for start, read in _CLAUSES if words.accept(*start)), None)
        if clause is None:
            raise words.mismatched("LOCATION, ROW FORMAT, STORED AS, PARTITIONED BY or TBLPROPERTIES")
        clause(made, words)
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
        "StorageDescriptor": writes.descriptor(columns, made.location.rstrip("/"), storage),
    }
    session.catalog.create(database or session.database, table, exists_ok=exists_ok)


def _columns(words: Words) -> list[dict[str, str]]:
    """Read `name type [COMMENT 'text'], ... )`."""
    made = []
    while True:
        column = {"Name": words.identifier()}
        start, depth = words.index, 0
        while (token := words.peek()) is not None:
            if depth == 0 and (token.text in (",", ")") or token.text.upper() == "COMMENT"):
                break
            depth += token.text.count("(") + token.text.count("<") - token.text.count(")") - token.text.count(">")
            words.index += 1
        column["Type"] = re.sub(r"\s+", "", words.blanked(start, words.index).strip()).lower()
        column["Type"] = {"integer": "int", "real": "float"}.get(column["Type"], column["Type"])
        if words.accept("COMMENT"):
            column["Comment"] = words.string()
        made.append(column)
        if words.accept(")"):
            return made
        words.expect(",")


def _pairs(words: Words) -> dict[str, str]:
    words.expect("(")
    made = {}
    while True:
        key = words.string()
        words.expect("=")
        made[key] = words.next("<value>").text
        if words.accept(")"):
            return made
        words.expect(",")


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
                break
        else:
            return made


def _drop(session: Session, words: Words, kind: str) -> None:
    missing_ok = words.accept("IF", "EXISTS")
    database, name = words.name()
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


def _partition(session: Session, words: Words, table: Table) -> tuple[str, ...]:
    """( key = value, ... ), in the order of the table's keys."""
    del session
    words.expect("(")
    given = {}
    while True:
        key = words.identifier()
        words.expect("=")
        given[key] = words.next("<value>").text
        if words.accept(")"):
            break
        words.expect(",")
    if set(given) != {column.name for column in table.partitions}:
        raise QueryFailed(
            "FAILED", f"SemanticException [Error 10098]: the partition columns of {table.name} are {[c.name for c in table.partitions]}"
        )
    return tuple(given[column.name] for column in table.partitions)


def partition_input(table: Table, values: tuple[str | None, ...], location: str) -> dict[str, Any]:
    descriptor = {**table.input["StorageDescriptor"], "Location": location}
    return {"Values": [partitions.NULL if value is None else value for value in values], "StorageDescriptor": descriptor}


def _alter(session: Session, words: Words) -> None:
    table = table_of(session, words, views=False)
    if words.accept("ADD", "COLUMNS"):
        words.expect("(")
        _replace(session, table, lambda d: d["Columns"].extend(_columns(words)))
    elif words.accept("REPLACE", "COLUMNS"):
        words.expect("(")
        _replace(session, table, lambda d: d.update(Columns=_columns(words)))
    elif words.accept("SET", "LOCATION"):
        _replace(session, table, lambda d: d.update(Location=words.string()))
    elif words.accept("SET", "TBLPROPERTIES"):
        session.catalog.replace(table.database, {**table.input, "Parameters": {**table.parameters, **_pairs(words)}})
    elif words.accept("ADD"):
        exists_ok = words.accept("IF", "NOT", "EXISTS")
        new = []
        while words.accept("PARTITION"):
            values = _partition(session, words, table)
            location = words.string() if words.accept("LOCATION") else f"{table.location.rstrip('/')}/{_folder(table, values)}"
            new.append(partition_input(table, values, location))
            words.accept(",")
        if not new:
            raise words.mismatched("PARTITION")
        session.catalog.add_partitions(table, new, exists_ok=exists_ok)
    elif words.accept("DROP"):
        missing_ok = words.accept("IF", "EXISTS")
        while words.accept("PARTITION"):
            _drop_partition(session, table, _partition(session, words, table), missing_ok=missing_ok)
            words.accept(",")
    else:
        raise words.mismatched("ADD PARTITION, DROP PARTITION, ADD COLUMNS, REPLACE COLUMNS, SET LOCATION or SET TBLPROPERTIES")
    words.done()


def _replace(session: Session, table: Table, change: Callable[[dict[str, Any]], object]) -> None:
    descriptor = {**table.input["StorageDescriptor"], "Columns": list(table.input["StorageDescriptor"]["Columns"])}
    change(descriptor)
    session.catalog.replace(table.database, {**table.input, "StorageDescriptor": descriptor})


def _drop_partition(session: Session, table: Table, values: tuple[str, ...], *, missing_ok: bool) -> None:
    try:
        session.catalog.glue.delete_partition(DatabaseName=table.database, TableName=table.name, PartitionValues=list(values))
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        if not missing_ok:
            raise QueryFailed("FAILED", f"SemanticException [Error 10006]: Partition not found {values}") from error


def _repair(session: Session, words: Words) -> Shown:
    table = table_of(session, words, views=False)
    known = {tuple(partition["Values"]) for partition in session.catalog.partitions(table)}
    new = [(values, place) for values, place in partitions.from_keys(session.s3, table) if values not in known]
    session.catalog.add_partitions(table, [partition_input(table, values, place) for values, place in new], exists_ok=True)
    names = [f"{table.name}:{_folder(table, values)}" for values, _ in new]
    missing = [("Partitions not in metastore:\t" + "\t".join(names),)] if names else []
    return Shown(("result",), (*missing, *((f"Repair: Added partition to metastore {name}",) for name in names)))


def _folder(table: Table, values: tuple[str | None, ...]) -> str:
    return "/".join(f"{column.name}={value}" for column, value in zip(table.partitions, values, strict=True))


_VERBS: tuple[tuple[tuple[str, ...], Callable[[Session, Words], Shown | None]], ...] = (
    (("CREATE", "DATABASE"), _create_database),
    (("CREATE", "SCHEMA"), _create_database),
    (("CREATE", "EXTERNAL", "TABLE"), _create_external),
    (("DROP", "DATABASE"), _drop_database),
    (("DROP", "SCHEMA"), _drop_database),
    (("DROP", "TABLE"), lambda session, words: _drop(session, words, "table")),
    (("DROP", "VIEW"), lambda session, words: _drop(session, words, "view")),
    (("ALTER", "TABLE"), _alter),
    (("MSCK", "REPAIR", "TABLE"), _repair),
    (("SHOW", "TABLES"), shows.show_tables),
    (("SHOW", "VIEWS"), shows.show_views),
    (("SHOW", "DATABASES"), shows.show_databases),
    (("SHOW", "SCHEMAS"), shows.show_databases),
    (("SHOW", "PARTITIONS"), shows.show_partitions),
    (("SHOW", "COLUMNS"), shows.show_columns),
    (("SHOW", "CREATE", "TABLE"), shows.show_create),
    (("SHOW", "CREATE", "VIEW"), shows.show_create_view),
    (("DESCRIBE",), shows.describe),
    (("DESC",), shows.describe),
)
