"""Request-response logging: a sample of requests and answers in a table of BigQuery.

Table `request_response_logging` in dataset `logging_<display name>_<endpoint id>`, unless the
endpoint names others. Its columns have not been compared with a real account. Rows arrive when
somebody reads.
"""

from __future__ import annotations

import random
import re
import secrets
import sys
from typing import Any

import msgspec

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import with_project_id
from ...bigquery.pending_rows import PendingRows
from .forwarding import Exchange
from .records import Waiting

TABLE = "request_response_logging"
_draw = random.random
_COLUMNS = (  # name, type, mode
    ("endpoint", "STRING", "NULLABLE"),
    ("deployed_model_id", "STRING", "NULLABLE"),
    ("logging_time", "TIMESTAMP", "NULLABLE"),
    ("request_id", "NUMERIC", "NULLABLE"),
    ("request_payload", "STRING", "REPEATED"),
    ("response_payload", "STRING", "REPEATED"),
)


class _Body(msgspec.Struct):
    instances: list[msgspec.Raw] = []
    predictions: list[msgspec.Raw] = []


_body = msgspec.json.Decoder(_Body)


def note(call: Call, exchange: Exchange, body: bytes) -> None:
    """Queue a prediction request and its answer for the endpoint's log in BigQuery, if sampled."""
    config = exchange.routing.logging
    if config is None or _draw() >= config.sampling_rate or not 200 <= exchange.answer.status < 300:
        return
    endpoint = exchange.routing.endpoint
    row = {
        "endpoint": endpoint.rpartition("/")[2],
        "deployed_model_id": exchange.target.id,
        "logging_time": call.clock.now().isoformat(),
        "request_id": str(secrets.randbits(63)),
        "request_payload": _parts(body, "instances"),
        "response_payload": _parts(exchange.answer.body, "predictions"),
    }
    table = _table(with_project_id(call, endpoint).split("/")[1], exchange.routing)
    waiting = call.store(Waiting)
    with waiting.lock:
        waiting.rows.setdefault(table, []).append(row)
    context = call.without_request()
    call.store(PendingRows).note((Waiting, table), lambda: _write(context, waiting, table))


def _write(call: Call, waiting: Waiting, table: str) -> None:
    """Write the queued rows of request-response logging to their BigQuery table.

    Rows that cannot be written are lost, with a message on stderr: a prediction never fails for its
    log.
    """
    from ...bigquery.data.types import SchemaField
    from ...bigquery.operations import in_process

    with waiting.lock:
        rows = waiting.rows.pop(table, [])
    fields = [SchemaField(name=name, type=kind, mode=mode) for name, kind, mode in _COLUMNS]
    try:
        in_process.create_table(call, table, fields, partition_by="logging_time")
        in_process.append_rows(call, table, rows)
    except GcpError as error:
        sys.stderr.write(
            f"request-response logging to {table}: {len(rows)} rows lost: {error.message}\n"
        )


def _table(project: str, routing: Any) -> str:
    """Return the project.dataset.table for an endpoint's request-response logging."""
    own = re.sub(
        r"\W", "_", f"logging_{routing.display_name}_{routing.endpoint.rpartition('/')[2]}"
    )
    uri = routing.logging.bigquery_destination.output_uri.removeprefix("bq://")
    parts = [part for part in uri.split(".") if part]
    return ".".join([*parts, *(project, own, TABLE)[len(parts) :]])


def _parts(body: bytes, member: str) -> list[str]:
    """Return the JSON text of each element of a body's list `member`; else the whole body."""
    try:
        listed: list[msgspec.Raw] = getattr(_body.decode(body), member)
    except msgspec.MsgspecError:
        listed = []
    return [bytes(part).decode("utf-8", "replace") for part in listed] or [
        body.decode("utf-8", "replace")
    ]
