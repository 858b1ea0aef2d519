"""Single rows: bigquery.tabledata."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from ....core.call import Call
from ....core.http_messages import HttpRequest
from ..data import decode, encode
from ..data.types import Field
from ..errors import invalid, not_run
from ..formats import json_files
from ..jobs import results
from ..sql.execution import default_values as defaults
from ..state import warehouse
from ..state.catalog import Table, TableRef
from ..state.instance import Answer, Place, body, serves, whole
from ..tables import row_writes as writing
from ..tables import tables
from .instances import place
from .tables import ref_of

_TABLE = "/projects/{project}/datasets/{dataset}/tables/{table}"
_PAGE = 50_000  # rows at most
_REMEMBERED = timedelta(
    minutes=1
)  # "for at least one minute" [docs: bigquery/docs/streaming-data-into-bigquery]
_MOST = 50_000  # rows of one request [docs: bigquery/quotas#streaming_inserts]


class Inserted:
    """insertIds of the last minute."""

    def __init__(self) -> None:
        self._seen: dict[tuple[TableRef, str], datetime] = {}
        self.lock = threading.Lock()

    def new(self, ref: TableRef, name: str | None, now: datetime) -> bool:
        """Whether a row is not there already. The caller has the lock."""
        if name is None:
            return True
        seen = self._seen.get((ref, name))
        return seen is None or now - seen > _REMEMBERED

    def note(self, ref: TableRef, names: Sequence[str | None], now: datetime) -> None:
        self._seen = {
            key: moment for key, moment in self._seen.items() if now - moment <= _REMEMBERED
        }
        self._seen.update({(ref, name): now for name in names if name is not None})


@serves("tabledata.list", "GET", f"{_TABLE}/data")
def list_rows(call: Call, request: HttpRequest) -> Answer:
    here = place(call)
    table = here.catalog.table(ref_of(request))
    if not table.stored:
        raise invalid(f"Cannot list a table of type {table.kind}.")
    fields = _selected(table.fields, request.query.get("selectedFields"))
    start = whole(
        request.query.get("pageToken") or request.query.get("startIndex") or "0", "startIndex"
    )
    limit = min(whole(request.query.get("maxResults", str(_PAGE)), "maxResults"), _PAGE)
    with here.warehouse.session() as cursor:
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


def _selected(fields: tuple[Field, ...], text: str | None) -> tuple[Field, ...]:
    if not text:
        return fields
    names = [name.strip().lower() for name in text.split(",")]
    known = {field.name.lower(): field for field in fields}
    missing = [name for name in names if name not in known]
    if missing:
        raise invalid(f"No such field: {missing[0]}", "selectedFields")
    return tuple(known[name] for name in names)


@serves("tabledata.insertAll", "POST", f"{_TABLE}/insertAll")
def insert_all(call: Call, request: HttpRequest) -> Answer:
    here, content, ref = place(call), body(request), ref_of(request)
    table = here.catalog.table(ref)
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
    values, wrong = _check_rows(table, rows, content, defaults.values(here, table))
    refused = wrong and not content.get("skipInvalidRows")
    if not refused:
        _append(
            call, here, table, [(rows[index].get("insertId"), value) for index, value in values]
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
    """Index and value of the rows that fit, and the errors of the others."""
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
        except decode.Wrong as error:
            wrong.append({"index": index, "errors": [_error("invalid", error.place, error.words)]})
    return values, wrong


def _error(reason: str, location: str, message: str) -> dict[str, str]:
    return {"reason": reason, "location": location, "debugInfo": "", "message": message}


def _append(
    call: Call, here: Place, table: Table, rows: Sequence[tuple[str | None, Mapping[str, Any]]]
) -> None:
    inserted, now = call.store(Inserted), here.now()
    with inserted.lock:
        fresh, names = [], set[str]()
        for name, row in rows:
            if inserted.new(table.ref, name, now) and (name is None or name not in names):
                fresh.append(row)
                names |= {name} if name is not None else set()
        append(here, table, fresh)
        inserted.note(table.ref, [name for name, _ in rows], now)


def append(here: Place, table: Table, rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as decode.py reads them, all of them or none."""
    if rows:
        target = writing.Target(ref=table.ref, create="CREATE_NEVER", write="WRITE_APPEND")
        writing.write(
            here, target, table.fields, writing.fill_rows(json_files.table_of(rows, table.fields))
        )
