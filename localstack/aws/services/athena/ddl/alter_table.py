"""ALTER TABLE and MSCK REPAIR TABLE."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from ..errors import NotRun, QueryFailed
from ..schemas import Table
from ..sql.words import TokenCursor
from ..tables import partitions
from . import clauses
from .session import StatementOutput, StatementSession
from .session import named_table as table_of


def _partition(tokens: TokenCursor, table: Table) -> tuple[str, ...]:
    """Parse `( key = value, ... )`; return the values in the order of the partition columns."""
    values = clauses.values(tokens)
    if set(values) != {column.name for column in table.partitions}:
        raise QueryFailed(
            "FAILED",
            f"SemanticException [Error 10098]: the partition columns of {table.name} are "
            f"{[c.name for c in table.partitions]}",
        )
    return tuple(values[column.name] for column in table.partitions)


def partition_input(table: Table, values: tuple[str | None, ...], location: str) -> dict[str, Any]:
    """Return a partition of a table, with its values and S3 location, as Glue's PartitionInput."""
    descriptor = {**table.input["StorageDescriptor"], "Location": location}
    return {
        "Values": [partitions.NULL if value is None else value for value in values],
        "StorageDescriptor": descriptor,
    }


def alter(session: StatementSession, tokens: TokenCursor) -> None:
    """Parse the rest of an ALTER TABLE statement, and change the table in Glue."""
    table = table_of(session, tokens, views=False)
    change = next((change for start, change in _CHANGES if tokens.accept(*start)), None)
    if change is None:
        raise tokens.mismatched(
            "ADD PARTITION, DROP PARTITION, ADD COLUMNS, CHANGE COLUMN, REPLACE COLUMNS, SET "
            "LOCATION or SET TBLPROPERTIES"
        )
    change(session, tokens, table)


def _add_columns(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE ADD COLUMNS: add columns, parsed from `tokens`, to a table in Glue."""
    columns = [*table.input["StorageDescriptor"]["Columns"], *clauses.columns(tokens)]
    _replace(session, tokens, table, Columns=columns)


def _replace_columns(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE REPLACE COLUMNS: set the columns of a table in Glue."""
    _replace(session, tokens, table, Columns=clauses.columns(tokens))


def _set_location(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE SET LOCATION: change a table's S3 location in Glue."""
    _replace(session, tokens, table, Location=tokens.string())


def _set_properties(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE SET TBLPROPERTIES: add parameters to a table in Glue."""
    properties = {**table.parameters, **clauses.pairs(tokens)}
    tokens.done()
    session.catalog.replace(table.database, {**table.input, "Parameters": properties})


def _add_partitions(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE ADD PARTITION: create partitions of a table in Glue."""
    exists_ok = tokens.accept("IF", "NOT", "EXISTS")
    new = []
    while tokens.accept("PARTITION"):
        values = _partition(tokens, table)
        location = (
            tokens.string()
            if tokens.accept("LOCATION")
            else f"{table.location.rstrip('/')}/{_folder(table, values)}"
        )
        new.append(partition_input(table, values, location))
        tokens.accept(",")
    if not new:
        raise tokens.mismatched("PARTITION")
    tokens.done()
    session.catalog.add_partitions(table, new, exists_ok=exists_ok)


def _drop_partitions(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE DROP PARTITION: delete partitions of a table from Glue."""
    missing_ok = tokens.accept("IF", "EXISTS")
    old = []
    while tokens.accept("PARTITION"):
        old.append(_partition(tokens, table))
        tokens.accept(",")
    if not old:
        raise tokens.mismatched("PARTITION")
    tokens.done()
    for values in old:
        _drop_partition(session, table, values, missing_ok=missing_ok)


def _not_run(what: str) -> Callable[[StatementSession, TokenCursor, Table], None]:
    """Return a handler that raises an error: Athena supports the change, this stack does not.

    `what` names the change.
    """

    def refuse(_session: StatementSession, _words: TokenCursor, _table: Table) -> None:
        raise NotRun(what)

    return refuse


def _change_column(session: StatementSession, tokens: TokenCursor, table: Table) -> None:
    """Execute ALTER TABLE CHANGE: rename or retype a table's column in Glue, or move it.

    The words are old new type [COMMENT 'text'] [FIRST | AFTER column].
    """
    names = [column.name for column in table.columns]
    place = _column_index(table, names, tokens.identifier())
    changed = clauses.column(tokens)
    columns = list(table.input["StorageDescriptor"]["Columns"])
    del columns[place], names[place]
    if tokens.accept("FIRST"):
        place = 0
    elif tokens.accept("AFTER"):
        place = 1 + _column_index(table, names, tokens.identifier())
    columns.insert(place, changed)
    _replace(session, tokens, table, Columns=columns)


def _column_index(table: Table, names: list[str], name: str) -> int:
    """Return the position of a column in the list `names` of a table's columns.

    Raises:
        QueryFailed: The table has no such column.
    """
    if name not in names:
        raise QueryFailed(
            "FAILED",
            f"SemanticException [Error 10002]: Column {name} not found in table {table.name}",
        )
    return names.index(name)


def _replace(
    session: StatementSession, tokens: TokenCursor, table: Table, **changes: object
) -> None:
    """Update a Glue table: set the members in `changes` of its StorageDescriptor.

    A statement that has more tokens after those that `tokens` has passed is refused before.
    """
    tokens.done()
    descriptor = {**table.input["StorageDescriptor"], **changes}
    session.catalog.replace(table.database, {**table.input, "StorageDescriptor": descriptor})


def _drop_partition(
    session: StatementSession, table: Table, values: tuple[str, ...], *, missing_ok: bool
) -> None:
    """Delete the partition with these values of a table from Glue.

    Raises:
        QueryFailed: There is no such partition, and `missing_ok` is False.
    """
    try:
        session.catalog.glue.delete_partition(
            DatabaseName=table.database, TableName=table.name, PartitionValues=list(values)
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "EntityNotFoundException":
            raise
        if not missing_ok:
            raise QueryFailed(
                "FAILED", f"SemanticException [Error 10006]: Partition not found {values}"
            ) from error


def repair(session: StatementSession, tokens: TokenCursor) -> StatementOutput:
    """Execute MSCK REPAIR TABLE: add the partitions whose folders are in S3."""
    table = table_of(session, tokens, views=False)
    known_values = {tuple(partition["Values"]) for partition in session.catalog.partitions(table)}
    new = [
        (values, place)
        for values, place in partitions.from_keys(session.s3, table)
        if values not in known_values
    ]
    session.catalog.add_partitions(
        table, [partition_input(table, values, place) for values, place in new], exists_ok=True
    )
    names = [f"{table.name}:{_folder(table, values)}" for values, _ in new]
    missing = [("Partitions not in metastore:\t" + "\t".join(names),)] if names else []
    return StatementOutput(
        ("result",),
        (*missing, *((f"Repair: Added partition to metastore {name}",) for name in names)),
    )


def _folder(table: Table, values: tuple[str | None, ...]) -> str:
    """Return the S3 folder of a table's partition: name=value for each partition column."""
    return "/".join(
        f"{column.name}={value}" for column, value in zip(table.partitions, values, strict=True)
    )


_CHANGES: tuple[
    tuple[tuple[str, ...], Callable[[StatementSession, TokenCursor, Table], None]], ...
] = (
    (("ADD", "COLUMNS"), _add_columns),
    (("REPLACE", "COLUMNS"), _replace_columns),
    (("CHANGE", "COLUMN"), _change_column),
    (("CHANGE",), _change_column),
    (("SET", "LOCATION"), _set_location),
    (("SET", "TBLPROPERTIES"), _set_properties),
    (("ADD",), _add_partitions),
    (("DROP",), _drop_partitions),
    (("RENAME",), _not_run("ALTER TABLE RENAME TO, which is for Iceberg tables")),
    (("PARTITION",), _not_run("ALTER TABLE RENAME PARTITION")),
)
