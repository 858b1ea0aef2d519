"""Warehouse on AWS: Parquet in S3, tables and views in Glue, SQL by Athena."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, final

import msgspec

from ....feature_store.port import Params, RowSink, SqlProblem, TableSpec, TableState
from ....target import Target
from ...common.warehouse.binder import bind
from ...common.warehouse.conformance import check_columns, conform, in_time_order
from ...common.warehouse.results import columns as columns_of
from ...common.warehouse.tables import Document, check_batch_name, check_spec, evolved
from ..session import Aws, aws_of
from ..storage.blobs import delete_below
from . import athena, batches, catalogue, statements, unloaded

if TYPE_CHECKING:
    import pyarrow as pa

_COUNTED = 64  # files whose footers are read to tell a table's rows


@final
class AthenaWarehouse:
    """The Warehouse port over Athena."""

    def __init__(self, target: Target) -> None:
        self._aws = aws_of(target)

    def apply(self, table: TableSpec) -> None:
        """Create or change a table or view in the Glue catalogue.

        Raises:
            Invalid: A column is dropped, renamed or narrowed.
        """
        apply(self._aws, table)

    def observe(self, table: str) -> TableState | None:
        """Return a table's columns, bytes and number of rows, or None if there is no table.

        The number is None if too many files would have to be read.
        """
        stored = catalogue.read(self._aws, table)
        if stored is None:
            return None
        if stored.document.view_sql is not None:
            return TableState(columns=stored.document.columns, rows=None)
        objects = [
            item
            for item in athena.objects(self._aws, stored.prefix)
            if item.key.endswith(".parquet")
        ]
        size = sum(item.size for item in objects)
        return TableState(columns=stored.document.columns, rows=self._count(objects), size=size)

    def _count(self, objects: Sequence[athena.Object]) -> int | None:
        """Return the number of rows in S3 objects by their Parquet footers; None for too many."""
        if len(objects) > _COUNTED:
            return None
        return sum(footer.num_rows for footer in athena.footers(self._aws, objects))

    def append(self, table: str, data: pa.Table, *, batch: str) -> None:
        """Append rows to a table as a batch of Parquet files in S3, in folders by `dt`.

        Raises:
            NotFound: There is no such table.
            Invalid: The table cannot hold the rows.
        """
        check_batch_name(batch)
        stored = catalogue.existing(self._aws, table)
        rows = in_time_order(stored.document, conform(stored.document, data))
        with self._aws.mutating("PutObject", f"{table}/{batch}"):
            batches.append(self._aws, stored, rows, batch)

    def save(self, table: str, sql: str, params: Params, *, batch: str) -> None:
        """Append the rows of a query to a table as one batch, by Athena's UNLOAD.

        Raises:
            NotFound: There is no such table.
            Invalid: SQL, columns or types that do not fit.
        """
        check_batch_name(batch)
        tables = catalogue.read_all(self._aws)
        stored = tables.get(table) or catalogue.existing(self._aws, table)
        if stored.document.view_sql is not None:
            catalogue.existing(self._aws, table)
        query = bind(catalogue.documents(tables), sql, params)
        check_columns(stored.document, query.schema.names)
        conform(stored.document, query.schema.empty_table())  # the types, too
        columns = [
            column for column in stored.document.columns if column.name in query.schema.names
        ]
        select = statements.select_into(
            sql, query.params, query.schema.names, columns, stored.document.time_column
        )
        with self._aws.mutating("StartQueryExecution", f"{table}/{batch}"):
            batches.save(self._aws, stored, select, batch)

    def query(self, sql: str, params: Params, *, into: RowSink | None = None) -> pa.Table:
        """Return a query's rows in the ports' types, by an UNLOAD whose files are then removed.

        With `into` the files are copied to this machine's disk, and sorted there.

        Raises:
            Invalid: The query is wrong, with the position; Athena is not asked if the subset lacks
                it.
        """
        query = bind(catalogue.documents(catalogue.read_all(self._aws)), sql, params)
        select, ordered = statements.select(sql, query.params, columns_of(query.schema))
        self._aws.calls.reading("StartQueryExecution", "")
        with athena.scratch(self._aws) as prefix:
            athena.run(
                self._aws,
                statements.unload(
                    select, f"s3://{self._aws.bucket}/{prefix}rows/", partitioned=False
                ),
                prefix,
            )
            location = f"{prefix}rows/"
            if into is None:
                return _read(self._aws, location, query.schema, ordered=ordered)
            files = athena.objects(self._aws, location)
            unloaded.hand_over(self._aws, files, query.schema, into, ordered=ordered)
            return query.schema.empty_table()

    def check(self, sql: str) -> tuple[SqlProblem, ...]:
        """Return a problem for each part of a query that Athena's SQL cannot express.

        No call is made.
        """
        from ..sql import check

        return check(sql)


def _read(aws: Aws, prefix: str, schema: pa.Schema, *, ordered: bool) -> pa.Table:
    """Read the rows that an UNLOAD wrote below an S3 prefix; if `ordered`, in the query's order."""
    import pyarrow as pa

    stored_schema = schema.append(pa.field(statements.ROW, pa.int64())) if ordered else schema
    rows = athena.rows(aws, athena.objects(aws, prefix), stored_schema)
    return rows.sort_by(statements.ROW).drop_columns([statements.ROW]) if ordered else rows


def apply(aws: Aws, spec: TableSpec, *, stream_key: str | None = None) -> Document:
    """Create or change a table or view in Glue, and return its stored description.

    With `stream_key` the table takes single events, too, and this is their key column.
    """
    check_spec(spec)
    tables = catalogue.read_all(aws)
    old = tables[spec.name].document if spec.name in tables else None
    document = evolved(old, spec, stream_key=stream_key)
    if spec.view_sql is None:
        if document == old:
            return document
        with aws.mutating("CreateTable" if old is None else "UpdateTable", spec.name):
            return catalogue.write(
                aws,
                spec.name,
                lambda old_document: evolved(old_document, spec, stream_key=stream_key),
            )
    statements.refuse(spec.view_sql)
    columns = columns_of(bind(catalogue.documents(tables), spec.view_sql, {}).schema)
    document = msgspec.structs.replace(document, columns=columns)
    if document != old:
        text = statements.create_view(spec.name, spec.view_sql, columns)
        with aws.mutating("StartQueryExecution", spec.name), athena.scratch(aws) as prefix:
            catalogue.ensure_database(aws)
            athena.run(aws, text, prefix)
            catalogue.mark_view(aws, document)
    return document


def remove(aws: Aws, name: str) -> None:
    """Delete a table with its rows, or a view; it may be absent. The inventory calls this.

    The rows are deleted first, so that an interrupted deletion is still listed.
    """
    delete_below(aws, aws.key("warehouse", name) + "/")
    catalogue.remove(aws, name)
