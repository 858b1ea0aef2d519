"""DuckDB in memory over the warehouse's files.

Relations are registered when a query names them, and again when their files have changed.
"""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar, final

import msgspec

from ....errors import Invalid, IsthmusError, LimitExceeded
from ....feature_store.port import RowSink
from ....target import Target
from ...common.warehouse import duckdb_functions, results
from ...common.warehouse.queries import bind, sql_error, sql_invalid, with_position
from ...common.warehouse.relations import path_literal, quoted, relations_in
from ...common.warehouse.tables import TableDocument
from .. import files
from ..errors import FULL
from ..home import home
from ..sqlite import Database
from . import batches, contents, relations, spool

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

_MEMORY = "512MiB"  # a query that needs more spills, however long a history is
# of the machine's memory (the container's, where one limits it): for what DuckDB cannot spill
_AT_MOST = "33%"
_THREADS = 8  # each needs some of the memory
_CHUNK = 100_000  # rows that are handed over at a time

T = TypeVar("T")


class _Registered(msgspec.Struct, frozen=True, kw_only=True):
    """A relation as it was last registered."""

    document: TableDocument
    batches: tuple[batches.Batch, ...] = ()
    floor: int = 0  # the spool's rows up to here are in the files
    last: int = 0  # ... and up to here in the engine
    size: int = 0  # bytes of those between the two, as far as this process has read them
    below: tuple[_Registered, ...] = ()  # of a view: what it stands on, by shape


@final
class Engine:
    """One database in memory, with a cursor for each thread.

    Other processes write the files, so every query lists its tables' batches first.
    """

    def __init__(self, target: Target, database: Database) -> None:
        self._folder = home(target).absolute() / "warehouse"
        # DuckDB makes it when memory runs short
        self._spill = self._folder / files.temporary_name()
        self._database = database
        self._calls = target.calls
        self._clock = target.clock
        self._lock = threading.Lock()  # one thread at a time registers
        self._registered: dict[str, _Registered] = {}
        # table, its incarnation, batch: found as they were written
        self._compared: set[tuple[str, str, str]] = set()
        self._owner = 0
        self._base: duckdb.DuckDBPyConnection | None = None
        self._local = threading.local()

    def query(
        self,
        documents: Mapping[str, TableDocument],
        sql: str,
        params: Mapping[str, object],
        *,
        compare: bool = True,
    ) -> pa.Table:
        """Run an SQL query over the project's tables, and return its rows in the ports' types.

        With `compare` the checksums of files are verified. Raises Invalid, with the position, for a
        wrong query, and with the file's name for damaged files.
        """

        def run() -> pa.Table:
            base = self._refresh(documents, relations_in(documents, sql), compare=compare)
            return results.canonical(bind(self._cursor(base), sql, params)[0].to_arrow_table())

        try:
            return self._run(run, documents, sql, params)
        except KeyboardInterrupt:
            self._local.pair = None  # its cursor may have half a result
            raise

    def stream(
        self,
        documents: Mapping[str, TableDocument],
        sql: str,
        params: Mapping[str, object],
        into: Callable[[duckdb.DuckDBPyRelation], None],
    ) -> None:
        """Bind an SQL query in DuckDB, and pass its lazy result to `into`.

        `into` is called again if the first try runs out of memory. The query has a cursor of its
        own, which a half-read result occupies.
        """

        def run() -> None:
            base = self._refresh(documents, relations_in(documents, sql), compare=True)
            with base.cursor() as cursor:
                into(bind(cursor, sql, params)[0])

        self._run(run, documents, sql, params)

    def hand_over(
        self,
        documents: Mapping[str, TableDocument],
        sql: str,
        params: Mapping[str, object],
        into: RowSink,
    ) -> pa.Table:
        """Run an SQL query and pass its rows on as they come; return a table of none of them."""
        import pyarrow as pa

        empty: list[pa.Table] = []

        def take(relation: duckdb.DuckDBPyRelation) -> None:
            reader = relation.to_arrow_reader(_CHUNK)
            empty[:] = [results.canonical(reader.schema.empty_table())]
            into(results.canonical(pa.Table.from_batches([batch])) for batch in reader)

        self.stream(documents, sql, params, take)
        return empty[0]

    def _run(
        self,
        run: Callable[[], T],
        documents: Mapping[str, TableDocument],
        sql: str,
        params: Mapping[str, object],
    ) -> T:
        """Call `run`, again with more memory if DuckDB lacks it, and translate DuckDB's errors.

        The other arguments describe the query, for errors.
        """
        import duckdb

        try:
            try:
                return run()
            except duckdb.OutOfMemoryException as error:
                if _is_full_disk(error):
                    raise
                with self._lock:
                    self._open().execute(f"SET memory_limit = '{_AT_MOST}'")
            return run()
        except duckdb.Error as error:
            raise self.explained(error, documents, sql, params) from error

    def _cursor(self, base: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
        """Return this thread's DuckDB cursor."""
        pair: tuple[duckdb.DuckDBPyConnection, duckdb.DuckDBPyConnection] | None = getattr(
            self._local, "pair", None
        )
        if pair is None or pair[0] is not base:
            pair = self._local.pair = (base, base.cursor())
        return pair[1]

    def _refresh(
        self, documents: Mapping[str, TableDocument], names: tuple[str, ...], *, compare: bool
    ) -> duckdb.DuckDBPyConnection:
        """Bring the tables and views of a query up to date in DuckDB, and return the connection.

        With `compare` the checksums of new files are verified.
        """
        with self._lock:
            base = self._open()
            for gone in [name for name in self._registered if name not in documents]:
                base.execute(f"DROP VIEW IF EXISTS {quoted(gone)}")
                del self._registered[gone]
            for name in names:
                self._register(base, documents[name], documents)
                if compare:
                    self._compare(name)
            return base

    def _open(self) -> duckdb.DuckDBPyConnection:
        """Return the process's in-memory DuckDB database, opened anew after a fork.

        A connection must not cross a fork.
        """
        base: duckdb.DuckDBPyConnection | None = self._base
        if base is None or self._owner != os.getpid():
            import duckdb

            base = duckdb.connect(
                ":memory:",
                config={
                    "memory_limit": _MEMORY,
                    "threads": min(os.cpu_count() or 1, _THREADS),
                    "preserve_insertion_order": "false",
                    "temp_directory": str(self._spill),
                    # a table name must never find a Python variable
                    "python_enable_replacements": "false",
                    "autoinstall_known_extensions": "false",
                    "parquet_metadata_cache": "true",
                    "TimeZone": "UTC",
                },
            )
            folder = str(self._folder.resolve())
            literal = "'" + folder.replace("'", "''") + "'"
            # a pattern is looked at before what it matches
            base.execute(f"SET allowed_directories = [{literal}, {path_literal(folder)}]")
            # views and queries are a project's own: they see the warehouse
            base.execute("SET enable_external_access = false")
            base.execute("CREATE SCHEMA spool")
            duckdb_functions.define(base)
            self._base, self._owner = base, os.getpid()
            self._registered = {}
        return base

    def _register(
        self,
        base: duckdb.DuckDBPyConnection,
        document: TableDocument,
        documents: Mapping[str, TableDocument],
    ) -> None:
        """Register a table or view in DuckDB if it has changed; for a view also what it reads.

        `documents` are the descriptions of all tables and views.
        """
        previous = self._registered.get(document.name)
        if document.view_sql is not None:
            below = tuple(
                _shape(self._registered[name])
                for name in relations_in(documents, document.view_sql)
                if name in self._registered
            )
            now = _Registered(document=document, below=below)
            if now != previous:
                base.execute(
                    f"CREATE OR REPLACE VIEW {quoted(document.name)} AS {document.view_sql}"
                )
        else:
            now, more = self._register_table(base, document, previous)
            while more:
                now, more = self._register_table(base, document, now)
        self._registered[document.name] = now

    def _register_table(
        self, base: duckdb.DuckDBPyConnection, document: TableDocument, previous: _Registered | None
    ) -> tuple[_Registered, bool]:
        """Register a table's Parquet files and not yet written events in DuckDB, if they changed.

        It returns what is registered, and whether to call it again, as events may have moved into
        files meanwhile.
        """
        same = previous is not None and previous.document == document
        previous_batches = (
            {batch.name: batch for batch in previous.batches}
            if previous is not None and same
            else {}
        )
        last = previous.last if previous is not None and same else 0
        # the spool before the files: see spool.py
        fresh, more, size = None, False, 0
        if document.stream_key is not None:
            fresh, more, size = spool.read(
                self._database.connection, document, after=last, about=spool.COMPACT
            )
        listed = batches.list_batches(self._folder / document.name, previous_batches)
        count = fresh.num_rows if fresh is not None else 0
        if fresh is not None and count:
            last = fresh.column(spool.SEQUENCE)[-1].as_py()
        floor = spool.last_published(listed)
        size += previous.size if previous is not None and same and previous.floor == floor else 0
        now = _Registered(document=document, batches=listed, floor=floor, last=last, size=size)
        if now != previous:
            _replace(base, now, fresh, again=not same)
        return now, (
            count > 0 and self._compact(base, document, much=more or size >= spool.COMPACT_BYTES)
        ) or more

    def _compact(
        self, base: duckdb.DuckDBPyConnection, document: TableDocument, *, much: bool
    ) -> bool:
        """Move a stream's spooled events into Parquet files if there are many; return whether.

        With `much` they are moved even if they are few. Events that cannot be written stay in the
        spool, and are read there.
        """
        counted = base.execute(f"SELECT count(*) FROM {relations.spool_table(document)}").fetchone()
        if counted is None or (counted[0] < spool.COMPACT and not much) or self._calls.dry_run:
            return False
        with suppress(OSError, IsthmusError):
            return spool.compact(
                self._database,
                self._folder / document.name,
                document,
                now=self._clock(),
                about=spool.COMPACT,
            )
        return False

    def _compare(self, name: str) -> None:
        """Verify the checksums of a table's files, each batch once in a process.

        Raises:
            Invalid: A file is not what was written.
        """
        registered = self._registered[name]
        new = [
            batch
            for batch in registered.batches
            if (name, registered.document.incarnation, batch.name) not in self._compared
        ]
        if not new:
            return
        noted = contents.stored_contents(self._database.connection, name)
        for batch in new:
            if batch.name in noted:  # else its writer is about to, or the next sweep
                for problem in contents.damage(
                    batch, self._folder / name / batch.name, noted[batch.name]
                ):
                    raise Invalid(problem, remedy=contents.REMEDY)
                self._compared.add((name, registered.document.incarnation, batch.name))

    def explained(
        self,
        error: duckdb.Error,
        documents: Mapping[str, TableDocument],
        sql: str,
        params: Mapping[str, object],
    ) -> IsthmusError:
        """Translate an error of DuckDB: wrong SQL with its position, files, memory or disk.

        After some errors DuckDB refuses everything; its database is then opened anew.
        """
        import duckdb

        if isinstance(error, duckdb.FatalException | duckdb.InternalException):
            # DuckDB refuses everything after such an error; a new one starts clean
            self._base = None
        if _is_full_disk(error):
            place = f"{self._folder}: what does not fit into memory waits there"
            return LimitExceeded(
                f"running a query: {FULL} ({place})", remedy="free some space and run this again"
            )
        if isinstance(error, duckdb.OutOfMemoryException):
            return LimitExceeded(
                f"running a query: memory is used up: {str(error).splitlines()[0]}",
                remedy="ask for fewer rows or columns at a time",
            )
        if isinstance(
            error, duckdb.ParserException | duckdb.BinderException | duckdb.CatalogException
        ):
            return sql_error(
                error if self._base is None else with_position(self._base, error, sql, params),
                documents,
            )
        paths = [
            path
            for name in relations_in(documents, sql)
            for batch in batches.list_batches(self._folder / name, {})
            for path in batch.files
        ]  # fmt: skip
        for path, why in relations.broken_files(paths):
            return Invalid(
                f"{path} is not a readable Parquet file: {why}",
                remedy="restore the file from a copy, or remove its batch's folder and run "
                "the step that wrote it again",
            )
        return sql_invalid(str(error))

    def close(self) -> None:
        """Close the DuckDB database, and remove the files that it has spilled to disk."""
        with self._lock:
            if self._base is not None and self._owner == os.getpid():
                self._base.close()
                if self._spill.exists():
                    files.remove_tree(self._spill)
            self._base = None
            self._local = threading.local()


def _replace(
    base: duckdb.DuckDBPyConnection, now: _Registered, fresh: pa.Table | None, *, again: bool
) -> None:
    """Replace a table's files and not yet written events in DuckDB, in one transaction.

    `base` is the connection, `now` the table with its present files, and `fresh` are new events or
    None. With `again` its table of events is created anew. Queries see the old state or the new
    one.
    """
    document = now.document
    base.execute("BEGIN")
    try:
        if fresh is not None:
            if again:
                base.execute(relations.spool_sql(document))
            if fresh.num_rows:
                base.register("isthmus_fresh", fresh)
                base.execute(
                    f"INSERT INTO {relations.spool_table(document)} BY NAME SELECT * FROM "
                    "isthmus_fresh"
                )
                base.unregister("isthmus_fresh")
            base.execute(
                f"DELETE FROM {relations.spool_table(document)} WHERE {spool.SEQUENCE} <= "
                f"{now.floor}"
            )
        paths = [path for batch in now.batches for path in batch.files]
        base.execute(
            f"CREATE OR REPLACE VIEW {quoted(document.name)} AS "
            f"{relations.table_sql(document, paths)}"
        )
        base.execute("COMMIT")
    except BaseException:
        base.execute("ROLLBACK")
        raise


def _is_full_disk(error: Exception) -> bool:
    """Return whether the error comes from a full disk."""
    # late: it brings PyArrow, which a process that only ranks does without
    from ....events.sources.sql import system_error

    refusal = system_error(error)
    return refusal is not None and refusal.errno == errno.ENOSPC


def _shape(registered: _Registered) -> _Registered:
    """Return what DuckDB was told of a table or view, without its files.

    While this is unchanged, views that read it need not be created again.
    """
    return msgspec.structs.replace(registered, batches=(), floor=0, last=0)
