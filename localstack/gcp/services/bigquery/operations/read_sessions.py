"""The service google.cloud.bigquery.storage.v1.BigQueryRead: tables as streams of Arrow."""

from __future__ import annotations

import re
import threading
import uuid
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import msgspec

from ....core.call import Call
from ....core.errors import GcpError
from ....core.registry import handles
from ..data import arrow
from ..data.types import SchemaField, arrow_schema, quoted
from ..errors import BigQueryError
from ..sql.execution import row_restrictions
from ..state import warehouse
from ..state.catalog import Table, TableRef
from ..state.instance import BigQueryState
from ..state.jobs import Jobs
from ..tables import tables
from .instances import instance_of
from .routes import gcp_error

_SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
_TABLE = re.compile(r"projects/([^/]+)/datasets/([^/]+)/tables/([^/]+)")
_JOB_STREAM = re.compile(r"projects/([^/]+)/locations/([^/]+)/jobs/([^/]+)/streams/_default")
_LIFETIME = timedelta(hours=6)
_MOST_SESSIONS = 50  # that are kept: each holds its rows
_BATCH = 20_000  # rows of one answer
_ROWS_A_STREAM = 50_000
_ARROW, _AVRO = 2, 1


class Session(msgspec.Struct, frozen=True, kw_only=True):
    """A snapshot: the rows that every stream reads.

    It is a copy of the table, so that later writes do not show.
    """

    name: str
    ref: TableRef
    fields: tuple[SchemaField, ...]
    relation: str
    streams: tuple[tuple[int, int], ...]  # first row and number of rows
    expires: datetime


class Sessions:
    """The read sessions that are open."""

    def __init__(self) -> None:
        self.by_name: dict[str, Session] = {}
        self.lock = threading.Lock()


@handles(f"{_SERVICE}.CreateReadSession")
def create_read_session(call: Call, request: Any) -> Any:
    """Answer BigQuery's API call CreateReadSession: begin to read a table in streams."""
    instance, read_session = instance_of(call), request.read_session
    match = _TABLE.fullmatch(read_session.table)
    if match is None:
        raise GcpError(
            "INVALID_ARGUMENT", f"request failed: Invalid table name: {read_session.table!r}"
        )
    if read_session.data_format == _AVRO:
        raise GcpError(
            "UNIMPLEMENTED",
            "not supported by the offline BigQuery yet: Storage Read in Avro; ask for ARROW",
        )
    if read_session.data_format != _ARROW:
        raise GcpError(
            "INVALID_ARGUMENT", "request failed: the data format of a read session is ARROW or AVRO"
        )
    try:
        table = instance.catalog.table(
            TableRef(instance.catalog.id_of(match[1]), match[2], match[3])
        )
        session = _open_session(call, instance, table, request)
    except BigQueryError as error:
        raise gcp_error(error) from error
    return _session_message(request, session)


def _open_session(call: Call, instance: BigQueryState, table: Table, request: Any) -> Session:
    """Open a read session: copy a table's rows as they are now, for its streams to read."""
    options = request.read_session.read_options
    if not table.stored:
        raise BigQueryError(
            "invalid",
            f"request failed: table {table.ref} is a {table.kind}, which cannot be read as a "
            "stream",
        )
    fields = _selected(table.fields, list(options.selected_fields))
    where = (
        row_restrictions.condition(instance, table, options.row_restriction)
        if options.row_restriction
        else ""
    )
    location = table.location.lower()
    name = f"projects/{table.ref.project}/locations/{location}/sessions/{uuid.uuid4().hex}"
    relation = warehouse.relation("", "_read", name.rpartition("/")[2])
    with instance.warehouse.session() as cursor:
        names = ", ".join(quoted(field.name) for field in fields)
        rows = f"SELECT {names or '*'} FROM {tables.relation(table.ref)}"
        cursor.execute(f"CREATE TABLE {relation} AS {rows}{f' WHERE {where}' if where else ''}")
        count = warehouse.count(cursor, relation)
    streams = _streams(count, request.max_stream_count, request.preferred_min_stream_count)
    session = Session(
        name=name,
        ref=table.ref,
        fields=fields,
        relation=relation,
        streams=streams,
        expires=instance.now() + _LIFETIME,
    )
    sessions = call.store(Sessions)
    with sessions.lock:
        _forget_sessions(instance, sessions)
        sessions.by_name[name] = session
    return session


def _forget_sessions(instance: BigQueryState, sessions: Sessions) -> None:
    """Drop expired read sessions, and the oldest if there are too many."""
    open_sessions = list(sessions.by_name.values())
    gone = {session.name: session for session in open_sessions if session.expires <= instance.now()}
    gone |= {session.name: session for session in open_sessions[:-_MOST_SESSIONS]}
    for session in gone.values():
        del sessions.by_name[session.name]
        with instance.warehouse.session() as cursor:
            cursor.execute(f"DROP TABLE IF EXISTS {session.relation}")


def _streams(count: int, most: int, preferred: int) -> tuple[tuple[int, int], ...]:
    """Divide `count` rows into read streams; return each stream's first row and number of rows.

    `most` and `preferred` are the client's wishes for the number of streams.
    """
    if not count:
        return ()
    parts = max(1, preferred, -(-count // _ROWS_A_STREAM))
    parts = min(parts, most or parts, count)
    size = -(-count // parts)
    return tuple((start, min(size, count - start)) for start in range(0, count, size))


def _selected(fields: tuple[SchemaField, ...], names: list[str]) -> tuple[SchemaField, ...]:
    """Return the fields that `names` select, in the table's order; `a.b` is a record's member."""
    if not names:
        return fields
    selected = {name.lower() for name in names}
    existing = {field.name.lower() for field in fields}
    if any("." in name for name in selected):
        raise BigQueryError(
            "notImplemented",
            "not supported by the offline BigQuery yet: selected fields within a record",
        )
    if missing := sorted(selected - existing):
        raise BigQueryError(
            "invalid",
            "request failed: The following selected fields do not exist in the table "
            f"schema: {missing[0]}",
        )
    return tuple(field for field in fields if field.name.lower() in selected)


def _session_message(request: Any, session: Session) -> Any:
    """Return a read session as the ReadSession message of the API."""
    answer = type(request.read_session)()
    answer.CopyFrom(request.read_session)
    answer.name = session.name
    answer.expire_time.FromDatetime(session.expires)
    answer.arrow_schema.serialized_schema = arrow_schema(session.fields).serialize().to_pybytes()
    answer.estimated_row_count = sum(size for _, size in session.streams)
    for number in range(len(session.streams)):
        answer.streams.add(name=f"{session.name}/streams/{number}")
    return answer


@handles(f"{_SERVICE}.ReadRows")
def read_rows(call: Call, request: Any) -> Iterator[Any]:
    """Answer BigQuery's API call ReadRows: send the rows of a read stream."""
    from google.cloud.bigquery_storage_v1.types import ReadRowsResponse

    instance = instance_of(call)
    relation, fields, start, size = _stream(call, request.read_stream)
    if not 0 <= request.offset <= size:
        raise GcpError(
            "OUT_OF_RANGE",
            f"request failed: offset {request.offset} is beyond the stream's {size} rows",
        )
    response = ReadRowsResponse.pb()
    schema, codec = arrow_schema(fields), _codec(request)
    place_in_stream = request.offset
    while place_in_stream < size:
        count = min(_BATCH, size - place_in_stream)
        with instance.warehouse.session() as cursor:
            rows = warehouse.read(
                cursor, relation, fields, start=start + place_in_stream, limit=count
            )
        part = arrow.read_api_table(rows, fields)
        for batch in part.combine_chunks().to_batches():
            answer = response(row_count=batch.num_rows)
            if place_in_stream == request.offset:
                answer.arrow_schema.serialized_schema = schema.serialize().to_pybytes()
            answer.arrow_record_batch.serialized_record_batch = _serialized_batch(batch, codec)
            answer.arrow_record_batch.row_count = batch.num_rows
            place_in_stream += batch.num_rows
            answer.stats.progress.at_response_end = place_in_stream / size
            yield answer


def _codec(request: Any) -> Any:
    """Return the compression of the Arrow batches that the client's read options ask for."""
    options = getattr(request, "arrow_serialization_options", None)
    return {1: "lz4", 2: "zstd"}.get(getattr(options, "buffer_compression", 0))


def _serialized_batch(batch: Any, codec: Any) -> bytes:
    """Return an Arrow record batch serialized without its schema."""
    import pyarrow as pa

    stream = pa.BufferOutputStream()
    with pa.ipc.new_stream(
        stream, batch.schema, options=pa.ipc.IpcWriteOptions(compression=codec)
    ) as writer:
        writer.write_batch(batch)
    messages = pa.ipc.MessageReader.open_stream(stream.getvalue())
    messages.read_next_message()
    content: bytes = messages.read_next_message().serialize().to_pybytes()
    return content


def _stream(call: Call, name: str) -> tuple[str, tuple[SchemaField, ...], int, int]:
    """Return what a stream reads: DuckDB relation, columns, first row, number of rows.

    Raises GcpError NOT_FOUND if there is no stream `name`.
    """
    if match := _JOB_STREAM.fullmatch(name):
        job = call.store(Jobs).get(match[1], match[3])
        if job.outcome is None or job.outcome.table is None:
            raise GcpError("FAILED_PRECONDITION", f"request failed: job {match[3]} has no rows")
        return tables.relation(job.outcome.table), job.outcome.fields, 0, job.outcome.rows
    session_name, _, number = name.rpartition("/streams/")
    session = call.store(Sessions).by_name.get(session_name)
    if session is None or not number.isdigit() or int(number) >= len(session.streams):
        raise GcpError("NOT_FOUND", f"request failed: stream not found: {name}")
    return session.relation, session.fields, *session.streams[int(number)]


@handles(f"{_SERVICE}.SplitReadStream")
def split_read_stream(call: Call, request: Any) -> Any:
    """Answer that the stream cannot be split, as the API allows at any time."""
    from google.cloud.bigquery_storage_v1.types import SplitReadStreamResponse

    _stream(call, request.name)
    return SplitReadStreamResponse.pb()()
