"""Warehouse on BigQuery: tables partitioned by the day of their time, and views."""

from __future__ import annotations

import hashlib
import io
import math
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast, final

import msgspec

from ....errors import Invalid
from ....feature_store.port import Params, RowSink, SqlProblem, TableSpec, TableState
from ....feature_store.sql.subset import parse
from ....target import Target
from ...common.warehouse.binder import bind
from ...common.warehouse.conformance import check_columns, conform, in_time_order
from ...common.warehouse.results import columns as columns_of
from ...common.warehouse.tables import (
    PARTITION,
    TableDocument,
    check_batch_name,
    check_spec,
    evolved,
)
from ..session import VertexSession, retry, session_of
from . import catalogue, statements
from .jobs import once

if TYPE_CHECKING:
    import pyarrow as pa

# rows that come with the answer, as JSON; what is far more is read as Arrow, by the Storage Read
# API
_PAGE = 5_000
_CALL = 60  # seconds
_UPLOADS = 3  # retries of an upload that has no answer: 1, 2 and 4 seconds apart
_KINDS = {bool: "BOOL", int: "INT64", float: "FLOAT64", str: "STRING", datetime: "TIMESTAMP"}


@final
class BigQueryWarehouse:
    """The Warehouse port over BigQuery."""

    def __init__(self, target: Target) -> None:
        self._session = session_of(target)

    def apply(self, table: TableSpec) -> None:
        """Create or change a table or view in the project's dataset.

        Raises:
            Invalid: A column is dropped, renamed or narrowed.
        """
        apply(self._session, table)

    def observe(self, table: str) -> TableState | None:
        """Return a table's columns, bytes and number of rows as BigQuery counts them, or None.

        The number is None for a view, and while rows are being streamed in.
        """
        stored = catalogue.read(self._session, table)
        document = None if stored is None else catalogue.document_of(self._session, stored)
        if stored is None or document is None:
            return None
        if document.view_sql is not None:
            return TableState(columns=document.columns, rows=None)
        streamed = stored.streaming_buffer is not None  # rows that BigQuery has not counted yet
        return TableState(
            columns=document.columns,
            rows=None if streamed else stored.num_rows,
            size=stored.num_bytes,
        )

    def append(self, table: str, data: pa.Table, *, batch: str) -> None:
        """Append rows to a table by a load job named after the batch, so a repeat adds nothing.

        Raises:
            NotFound: There is no such table.
            Invalid: The table cannot hold the rows.
        """
        check_batch_name(batch)
        document = catalogue.existing(self._session, table)
        rows = in_time_order(document, conform(document, data))
        with self._session.mutating("jobs.insert", f"{table}/{batch}"):
            if rows.num_rows:
                _load(self._session, document, rows, batch)

    def save(self, table: str, sql: str, params: Params, *, batch: str) -> None:
        """Append a query's rows by a job named after the batch, so that a repeat adds nothing.

        Raises:
            NotFound: There is no such table.
            Invalid: SQL, columns or types that do not fit.
        """
        check_batch_name(batch)
        document = catalogue.existing(self._session, table)
        statements.refuse(sql)
        query = bind(catalogue.listing(self._session), sql, params)
        check_columns(document, query.schema.names)
        conform(document, query.schema.empty_table())  # the types, too
        select = statements.select_into(
            sql, query.params, query.schema.names, document, self._session.dataset
        )
        with self._session.mutating("jobs.insert", f"{table}/{batch}"):
            _query_into(self._session, document, select, query.params, batch)

    def query(self, sql: str, params: Params, *, into: RowSink | None = None) -> pa.Table:
        """Return a query's rows in the ports' types.

        With `into` they are handed over page by page, or as the Storage Read API sends them.

        Raises:
            Invalid: The query is wrong, with the position; BigQuery is not asked if the subset
                lacks it.
        """
        import pyarrow as pa

        query = bind(catalogue.listing(self._session), sql, params)
        select = statements.select(sql, query.params, query.schema.names, self._session.dataset)
        # of an ordered query that had ended when it was asked for, the client would read several
        # streams at once, and mix the order
        single = into is not None or parse(sql).args.get("order") is not None
        with self._session.reading("jobs.query", ""):
            parts = _query_rows(
                self._session, select.text, query.params, streams=1 if single else None
            )
            tables = (_as_bound(part, select.names, query.schema) for part in parts)
            if into is None:
                return pa.concat_tables([query.schema.empty_table(), *tables])
            into(tables)
        return query.schema.empty_table()

    def check(self, sql: str) -> tuple[SqlProblem, ...]:
        """Return a problem for each part of a query that BigQuery's SQL cannot express.

        No call is made.
        """
        from ..sql import check

        return check(sql)


def apply(
    session: VertexSession, spec: TableSpec, *, stream_key: str | None = None
) -> TableDocument:
    """Create or change a table or view in BigQuery, and return its stored description.

    With `stream_key` the table takes single events, too, and this is their key column.
    """
    check_spec(spec)
    documents = catalogue.listing(session)
    old = documents.get(spec.name)
    document = evolved(old, spec, stream_key=stream_key)
    view_query = None
    if spec.view_sql is not None:
        statements.refuse(spec.view_sql)
        columns = columns_of(bind(documents, spec.view_sql, {}).schema)
        document = msgspec.structs.replace(document, columns=columns)
        view_query = statements.view(spec.name, spec.view_sql, columns, session.dataset)
    if document == old:
        return document

    def change(current: TableDocument | None) -> TableDocument:
        changed = evolved(current, spec, stream_key=stream_key)
        return (
            changed
            if view_query is None
            else msgspec.structs.replace(changed, columns=document.columns)
        )

    with session.mutating("tables.insert" if old is None else "tables.patch", spec.name):
        return catalogue.write(session, spec.name, change, view_query)


def remove(session: VertexSession, name: str) -> None:
    """Delete a table or view, which may be absent.

    The inventory calls this for the table's resource.
    """
    catalogue.remove(session, name)


def resources(session: VertexSession) -> dict[tuple[str, str], str]:
    """Return the full BigQuery names of this project's tables and views, by (kind, name)."""
    documents = catalogue.listing(session)
    return {
        (
            "table" if documents[name].view_sql is None else "view",
            name,
        ): f"{session.project}.{session.dataset}.{name}"
        for name in documents
    }


def _stem(session: VertexSession, document: TableDocument, batch: str) -> str:
    """Return the prefix of the ids of the BigQuery jobs that write a batch.

    It differs for a table that was deleted and made again.
    """
    content = f"{session.dataset}/{document.name}/{document.incarnation}/{batch}"
    return f"isthmus-{session.name}-{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _load(session: VertexSession, document: TableDocument, rows: pa.Table, batch: str) -> None:
    """Append Arrow rows to a BigQuery table by a load job, once for a batch name."""
    from google.cloud.bigquery import LoadJobConfig

    body = _parquet(document, rows)
    settings = LoadJobConfig(
        source_format="PARQUET", write_disposition="WRITE_APPEND", create_disposition="CREATE_NEVER"
    )

    def start(name: str) -> Any:
        return session.bigquery.load_table_from_file(
            io.BytesIO(body),
            f"{session.dataset}.{document.name}",
            size=len(body),
            num_retries=_UPLOADS,
            job_id=name,
            job_config=settings,
            timeout=_CALL,
        )

    once(session, _stem(session, document, batch), start, f"appending {document.name}/{batch}")


def _query_into(
    session: VertexSession,
    document: TableDocument,
    select: str,
    params: Mapping[str, object],
    batch: str,
) -> None:
    """Append a query's rows to a BigQuery table by a query job, once for a batch name."""
    from google.cloud.bigquery import QueryJobConfig

    settings = QueryJobConfig(
        destination=f"{session.project}.{session.dataset}.{document.name}",
        write_disposition="WRITE_APPEND",
        create_disposition="CREATE_NEVER",
        query_parameters=_parameters(params),
    )

    def start(name: str) -> Any:
        return session.bigquery.query(
            select, job_config=settings, job_id=name, retry=retry(), job_retry=None, timeout=_CALL
        )

    once(session, _stem(session, document, batch), start, f"saving {document.name}/{batch}")


def _query_rows(
    session: VertexSession, text: str, params: Mapping[str, object], *, streams: int | None
) -> Iterator[pa.Table]:
    """Run a query in BigQuery and yield its rows, some at a time.

    They are read by at most so many streams; None for as many as BigQuery likes.
    """
    import pyarrow as pa
    from google.cloud.bigquery import QueryJobConfig

    settings = QueryJobConfig(query_parameters=_parameters(params))
    rows = session.bigquery.query_and_wait(
        text, job_config=settings, retry=retry(), job_retry=None, api_timeout=_CALL, page_size=_PAGE
    )
    storage = session.bigquery_read if rows.total_rows > _PAGE else None
    for batch in rows.to_arrow_iterable(bqstorage_client=storage, max_stream_count=streams):
        yield pa.Table.from_batches([batch])


def _as_bound(rows: pa.Table, names: tuple[str, ...], schema: pa.Schema) -> pa.Table:
    """Reorder and cast the columns of BigQuery's result to the query's order (`names`) and types.

    BigQuery returns the columns of a `*` in another order where columns were added, and times in
    microseconds.
    """
    import pyarrow as pa

    places = {name.lower(): place for place, name in enumerate(rows.schema.names)}
    columns = []
    for name, field in zip(names, schema, strict=True):
        values = rows.column(places[name.lower()])
        try:
            columns.append(values.cast(field.type, safe=not pa.types.is_timestamp(field.type)))
        except pa.ArrowInvalid as error:
            raise Invalid(f"SQL: column {field.name} does not fit {field.type}: {error}") from error
    return pa.Table.from_arrays(columns, schema=schema)


def _parameters(params: Mapping[str, object]) -> list[Any]:
    """Return the values of a query's parameters as BigQuery's typed ones.

    Nulls are written into the text instead.
    """
    from google.cloud.bigquery import ScalarQueryParameter

    return [
        ScalarQueryParameter(name, _parameter_type(name, value), cast("Any", _with_zone(value)))
        for name, value in params.items()
        if value is not None
    ]


def _parameter_type(name: str, value: object) -> str:
    """Return BigQuery's type name for a parameter's value; raise Invalid if it does not fit."""
    kind = next(kind for kind in (bool, int, float, str, datetime) if isinstance(value, kind))
    if kind is int and isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise Invalid(f"SQL: ${name} is {value}: beyond int64")
    if isinstance(value, float) and not math.isfinite(value):
        raise Invalid(f"SQL: ${name} is {value}", remedy="a parameter is a finite number")
    return _KINDS[kind]


def _with_zone(value: object) -> object:
    """Return a value unchanged, except that a datetime without a zone becomes UTC."""
    return (
        value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
    )


def _parquet(document: TableDocument, rows: pa.Table) -> bytes:
    """Encode rows, with their date in the column dt, as the bytes of a Parquet file.

    Times are marked as UTC, else BigQuery would load DATETIMEs.
    """
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    dates = pc.strftime(rows.column(document.time_column), format="%Y-%m-%d")
    kinds = [
        pa.field(
            field.name,
            pa.timestamp("us", "UTC") if pa.types.is_timestamp(field.type) else field.type,
        )
        for field in rows.schema
    ]
    stored = rows.cast(pa.schema(kinds)).append_column(pa.field(PARTITION, pa.string()), dates)
    sink = pa.BufferOutputStream()
    pq.write_table(stored, sink, compression="snappy")
    return sink.getvalue().to_pybytes()
