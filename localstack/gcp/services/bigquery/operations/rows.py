"""The operations bigquery.tabledata: single rows."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ....core.call import Call
from ....core.http_messages import HttpRequest
from ..data import decode, encode
from ..data.types import SchemaField
from ..errors import invalid, not_run
from ..formats import json_files
from ..jobs import results
from ..request_values import whole_number
from ..sql.execution import default_values
from ..state import warehouse
from ..state.catalog import Table, TableRef
from ..state.instance import BigQueryState
from ..tables import row_writes, tables
from .instances import instance_of
from .routes import Answer, body, serves
from .tables import ref_of

_TABLE = "/projects/{project}/datasets/{dataset}/tables/{table}"
_PAGE = 50_000  # rows at most
_REMEMBERED = timedelta(
    minutes=1
)  # "for at least one minute" [docs: bigquery/docs/streaming-data-into-bigquery]
_MOST = 50_000  # rows of one request [docs: bigquery/quotas#streaming_inserts]


class Inserted:
    """The insertIds of the last minute."""

    def __init__(self) -> None:
        self._seen: dict[tuple[TableRef, str], datetime] = {}
        self.lock = threading.Lock()

    def new(self, ref: TableRef, name: str | None, now: datetime) -> bool:
        """Return whether no row with the insertId `name` was inserted in the minute before `now`.

        The caller holds the lock.
        """
        if name is None:
            return True
        inserted_at = self._seen.get((ref, name))
        return inserted_at is None or now - inserted_at > _REMEMBERED

    def note(self, ref: TableRef, names: Sequence[str | None], now: datetime) -> None:
        """Record the insertIds `names` of rows inserted `now`; forget those older than a minute."""
        self._seen = {
            key: moment for key, moment in self._seen.items() if now - moment <= _REMEMBERED
        }
        self._seen.update({(ref, name): now for name in names if name is not None})


@serves("tabledata.list", "GET", f"{_TABLE}/data")
def list_rows(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tabledata.list: return a page of a table's rows."""
    instance = instance_of(call)
    table = instance.catalog.table(ref_of(request))
    if not table.stored:
        raise invalid(f"Cannot list a table of type {table.kind}.")
    fields = _selected(table.fields, request.query.get("selectedFields"))
    start = whole_number(
        request.query.get("pageToken") or request.query.get("startIndex") or "0", "startIndex"
    )
    limit = min(whole_number(request.query.get("maxResults", str(_PAGE)), "maxResults"), _PAGE)
    with instance.warehouse.session() as cursor:
        total = warehouse.count(cursor, tables.relation(table.ref))
        part = warehouse.read(cursor, tables.relation(table.ref), fields, start=start, limit=limit)
    form = results.timestamps_of(
        {
            k.removeprefix("formatOptions."): v
            for k, v in request.query.items()
            if k.startswith("formatOptions.")
        }
    )
    written = encode.rows(part, fields, form)
    end = start + part.num_rows
    return {
        "kind": "bigquery#tableDataList",
        "etag": table.etag,
        "totalRows": str(total),
        **({"rows": written} if written else {}),
        **({"pageToken": str(end)} if end < total and written else {}),
    }


def _selected(fields: tuple[SchemaField, ...], text: str | None) -> tuple[SchemaField, ...]:
    """Return the columns that a request's selectedFields names, or all columns."""
    if not text:
        return fields
    names = [name.strip().lower() for name in text.split(",")]
    by_name = {field.name.lower(): field for field in fields}
    missing = [name for name in names if name not in by_name]
    if missing:
        raise invalid(f"No such field: {missing[0]}", "selectedFields")
    return tuple(by_name[name] for name in names)


@serves("tabledata.insertAll", "POST", f"{_TABLE}/insertAll")
def insert_all(call: Call, request: HttpRequest) -> Answer:
    """Answer BigQuery's API call tabledata.insertAll: append rows to a table one by one."""
    instance, content, ref = instance_of(call), body(request), ref_of(request)
    table = instance.catalog.table(ref)
    if table.kind != "TABLE":
        raise invalid(f"Cannot add rows to a table of type {table.kind}.")
    if content.get("templateSuffix"):
        raise not_run("templateSuffix")
    rows = content.get("rows") or []
    if not rows:
        raise invalid("No rows present in the request.")
    if len(rows) > _MOST:
        raise invalid(
            f"Too many rows present in the request, limit: {_MOST} row count: {len(rows)}."
        )
    if not table.fields:
        raise invalid(f"The destination table has no schema: {ref}")
    values, wrong = _check_rows(table, rows, content, default_values.values(instance, table))
    refused = wrong and not content.get("skipInvalidRows")
    if not refused:
        _append_new(
            call, instance, table, [(rows[index].get("insertId"), value) for index, value in values]
        )
    else:
        wrong += [{"index": index, "errors": [_error("stopped", "", "")]} for index, _ in values]
    errors = sorted(wrong, key=lambda entry: entry["index"])
    return {
        "kind": "bigquery#tableDataInsertAllResponse",
        **({"insertErrors": errors} if errors else {}),
    }


def _check_rows(
    table: Table,
    rows: Sequence[Mapping[str, Any]],
    content: Mapping[str, Any],
    absent: Mapping[str, Any],
) -> tuple[list[tuple[int, Any]], list[dict[str, Any]]]:
    """Decode the rows of an insertAll; return good rows by index, and the errors of bad ones.

    `content` is the request's body; `absent` has the default values of columns.
    """
    values, wrong = [], []
    unknown = bool(content.get("ignoreUnknownValues"))
    for index, row in enumerate(rows):
        try:
            values.append(
                (
                    index,
                    decode.record(
                        row.get("json") or {}, table.fields, ignore_unknown=unknown, defaults=absent
                    ),
                )
            )
        except decode.WrongValue as error:
            wrong.append({"index": index, "errors": [_error("invalid", error.place, error.words)]})
    return values, wrong


def _error(reason: str, location: str, message: str) -> dict[str, str]:
    """Return an error of one row as a member of insertAll's response."""
    return {"reason": reason, "location": location, "debugInfo": "", "message": message}


def _append_new(
    call: Call,
    instance: BigQueryState,
    table: Table,
    rows: Sequence[tuple[str | None, Mapping[str, Any]]],
) -> None:
    """Append inserted rows to a table, skipping those whose insertId came in the last minute.

    Each row comes with its insertId or None.
    """
    inserted, now = call.store(Inserted), instance.now()
    with inserted.lock:
        fresh, names = [], set[str]()
        for name, row in rows:
            if inserted.new(table.ref, name, now) and (name is None or name not in names):
                fresh.append(row)
                names |= {name} if name is not None else set()
        append(instance, table, fresh)
        inserted.note(table.ref, [name for name, _ in rows], now)


def append(instance: BigQueryState, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Append decoded rows to a table, all of them or none."""
    if rows:
        target = row_writes.WriteTarget(ref=table.ref, create="CREATE_NEVER", write="WRITE_APPEND")
        row_writes.write(
            instance,
            target,
            table.fields,
            row_writes.fill_rows(json_files.table_of(rows, table.fields)),
        )
