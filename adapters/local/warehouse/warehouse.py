"""Warehouse on the laptop: Parquet files in folders, documents in SQLite, SQL by DuckDB."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, final

from ....errors import Invalid, NotFound
from ....feature_store.port import Params, RowSink, SqlProblem, TableSpec, TableState
from ....storage import Resource
from ....target import Target
from ...common.warehouse import results
from ...common.warehouse.binder import bind
from ...common.warehouse.conformance import check_columns, conform, in_time_order
from ...common.warehouse.relations import quoted
from ...common.warehouse.tables import (
    TableDocument,
    check_batch_name,
    check_spec,
    evolved,
    without_stream,
)
from .. import files, inventory
from ..errors import translated
from ..home import home
from ..sqlite import Database
from . import batches, catalogue, contents, kept, spool
from .engine import Engine

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_CHUNK = 100_000  # rows of a saved query in memory at a time


@final
class LocalWarehouse:
    """The Warehouse port over Parquet files."""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._calls = target.calls
        self._folder = home(target).absolute() / "warehouse"
        if misread := next((part for part in self._folder.parts if "=" in part), None):
            raise Invalid(
                f"the folder {misread} above {self._folder} would be read as a partition",
                remedy="give it a name without =",
            )
        self._database = Database(
            target, catalogue.SCHEMA + contents.SCHEMA + inventory.SCHEMA + spool.SCHEMA
        )
        self._engine = Engine(target, self._database)
        self._swept = False

    def apply(self, table: TableSpec) -> None:
        """Create or extend a table by storing its description in local.db.

        Its folder comes with the first batch.

        Raises:
            Invalid: A column is dropped, renamed or narrowed.
        """
        self._apply(table, stream_key=None)

    def apply_stream(self, table: TableSpec, key: str) -> None:
        """Make a table that takes single events as well as batches; `key` is their key column."""
        self._apply(table, stream_key=key)

    def _apply(self, spec: TableSpec, *, stream_key: str | None) -> None:
        """Create or extend a table, and store its description; with a key it takes events."""
        check_spec(spec)
        documents = self._documents()
        old = documents.get(spec.name)
        document = evolved(old, spec, stream_key=stream_key)
        if document == old:
            return
        if spec.view_sql is not None:
            bind({**documents, spec.name: document}, spec.view_sql, {})
        with (
            self._calls.mutating("warehouse.apply", spec.name),
            self._database.transaction(f"applying {spec.name}") as db,
        ):
            document = evolved(catalogue.read(db, spec.name), spec, stream_key=stream_key)
            catalogue.write(db, document)
            kind = "table" if spec.view_sql is None else "view"
            inventory.record(
                self._target, kind, spec.name, native_id=f"warehouse/{spec.name}", connection=db
            )
            if document.stream_key is not None:
                inventory.record(self._target, "stream", spec.name, connection=db)

    def observe(self, table: str) -> TableState | None:
        """Return a table's columns and number of rows, or None if there is no such table.

        The rows are counted by the files' footers; a view's are None.
        """
        self._calls.reading("warehouse.observe", table)
        documents = self._documents()
        document = documents.get(table)
        if document is None:
            return None
        if document.view_sql is not None:
            empty = self._engine.query(
                documents, f"SELECT * FROM {quoted(table)} LIMIT 0", {}, compare=False
            )
            return TableState(columns=results.columns(empty.schema), rows=None)
        if (
            document.stream_key is None and not (self._folder / table).exists()
        ):  # it comes with the first batch
            return TableState(columns=document.columns, rows=0)
        counted = self._engine.query(
            documents, f"SELECT count(*) AS n FROM {quoted(table)}", {}, compare=False
        )  # from the files' footers
        return TableState(columns=document.columns, rows=counted.column("n")[0].as_py())

    def append(self, table: str, data: pa.Table, *, batch: str) -> None:
        """Append rows to a table in the order of time, as Parquet files that appear together.

        Raises:
            NotFound: There is no such table.
            Invalid: The table cannot hold the rows.
        """
        check_batch_name(batch)
        document = self._existing(table)
        rows = in_time_order(document, conform(document, data))
        self._write("warehouse.append", document, batch, iter(rows.to_batches()))

    def save(self, table: str, sql: str, params: Params, *, batch: str) -> None:
        """Append the rows of a query to a table as one batch, with limited memory.

        DuckDB sorts on disk what exceeds its memory limit.
        """
        check_batch_name(batch)
        document = self._existing(table)

        def into(relation: duckdb.DuckDBPyRelation) -> None:
            check_columns(document, relation.columns)
            self._write("warehouse.save", document, batch, _chunks(relation, document))

        self._engine.stream(self._documents(), sql, params, into)

    def _write(
        self, operation: str, document: TableDocument, batch: str, rows: Iterator[pa.RecordBatch]
    ) -> None:
        """Write rows as a batch of Parquet files of a table, and record their checksums."""
        if not self._swept:
            files.sweep(self._folder / ".staging")
            files.sweep(self._folder)
            self._swept = True
        with (
            self._calls.mutating(operation, f"{document.name}/{batch}"),
            translated(f"writing {document.name}/{batch}"),
        ):
            table = self._folder / document.name
            written = batches.write(table, batch, document, rows)
            contents.note(self._database, table, batch, again=not written)

    def query(self, sql: str, params: Params, *, into: RowSink | None = None) -> pa.Table:
        """Return a query's rows, in the ports' types (int64, float64, string, bool, timestamp[ms]).

        With `into` they are handed over as DuckDB makes them; it sorts on disk what exceeds its
        memory limit.

        Raises:
            Invalid: The query is wrong, with the position; or a file is not what was written, with
                its name.
        """
        self._calls.reading("warehouse.query", "")
        if into is None:
            return self._engine.query(self._documents(), sql, params)
        return self._engine.hand_over(self._documents(), sql, params, into)

    def check(self, sql: str) -> tuple[SqlProblem, ...]:
        """Return what of a query is not in the SQL that all targets share, without running it."""
        from ..sql import check

        return check(sql)

    def remove(self, name: str) -> None:
        """Delete a table or view, which may be absent. The inventory calls this.

        Its folder disappears by one rename, then its description is removed.
        """
        files.remove_tree(self._folder / name)
        with self._database.transaction(f"deleting {name}") as db:
            catalogue.remove(db, name)
            spool.remove(db, name)
            kept.forget(db, name)
            contents.forget(db, name)
            for kind in ("stream", "table", "view"):
                inventory.forget(self._target, kind, name, connection=db)

    def remove_stream(self, name: str) -> None:
        """Stop a table from taking single events; events not yet in files become a batch first.

        The inventory calls this for the stream's resource.
        """
        with self._database.transaction(f"closing {name}") as db:
            document = catalogue.read(db, name)
            if document is None or document.stream_key is None:
                return
        spool.compact(self._database, self._folder / name, document, now=self._target.clock())
        with self._database.transaction(f"closing {name}") as db:
            catalogue.write(db, without_stream(document))
            kept.forget(db, name)
            inventory.forget(self._target, "stream", name, connection=db)

    def close(self) -> None:
        """Close DuckDB and the database."""
        self._engine.close()
        self._database.close()

    def _documents(self) -> dict[str, TableDocument]:
        """Return the stored descriptions of all tables and views, by name."""
        with translated("reading the catalogue"):
            return catalogue.read_all(self._database.connection)

    def _existing(self, table: str) -> TableDocument:
        """Return the stored description of a table; raise NotFound if there is none."""
        with translated("reading the catalogue"):
            return catalogue.existing(self._database.connection, table)


def _chunks(relation: duckdb.DuckDBPyRelation, document: TableDocument) -> Iterator[pa.RecordBatch]:
    """Yield a query's rows in the order of their time, in Arrow batches of limited size.

    The order by time lets the writer keep one file open at a time, however many dates there are.
    """
    import pyarrow as pa

    for chunk in relation.order(quoted(document.time_column)).to_arrow_reader(_CHUNK):
        yield from conform(document, results.canonical(pa.Table.from_batches([chunk]))).to_batches()


def delete(target: Target, resource: Resource) -> None:
    """Delete a table or view.

    The inventory calls this for the table's resource.
    """
    local_warehouse(target).remove(resource.name)


def local_warehouse(target: Target) -> LocalWarehouse:
    """Return the target's warehouse as the local class, whose methods go beyond the port's."""
    warehouse = target.warehouse
    if not isinstance(warehouse, LocalWarehouse):
        raise NotFound("the target's warehouse is not the local one")
    return warehouse
