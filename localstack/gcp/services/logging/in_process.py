"""Log lines of what the stack itself runs: jobs, pipelines' steps, model servers."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from typing import Any

from google.api.monitored_resource_pb2 import MonitoredResource
from google.logging.type import log_severity_pb2

from ...core.call import Call
from ...core.projects import with_project_id
from .records import Entries, LogEntry


def write(
    call: Call,
    log_name: str,
    resource_type: str,
    labels: Mapping[str, str],
    lines: Iterable[str],
    *,
    severity: str = "INFO",
) -> None:
    """Write lines to one log, "projects/P/logs/ID", in their order.

    `resource_type` and `labels` describe the monitored resource that logged them. `call` may
    outlive its request.
    """
    name = with_project_id(call, log_name)
    resource = MonitoredResource(type=resource_type, labels=labels)
    level = log_severity_pb2.LogSeverity.Value(severity)
    nonce = secrets.token_hex(6)
    entries: list[Any] = []
    for place, line in enumerate(lines):
        entry = LogEntry(
            log_name=name,
            resource=resource,
            severity=level,
            text_payload=line,
            insert_id=f"{nonce}{place:06}",
        )
        entry.timestamp.CopyFrom(call.now_pb())
        entry.receive_timestamp.CopyFrom(entry.timestamp)
        entries.append(entry)
    call.store(Entries).add(entries)
