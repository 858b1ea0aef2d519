"""LoggingServiceV2: write, list and delete log entries."""

from __future__ import annotations

import re
import secrets
from typing import Any

from google.cloud.logging_v2 import types
from google.protobuf import empty_pb2

from ....core.call import Call
from ....core.errors import GcpError
from ....core.projects import with_project_id
from ....core.registry import handles
from ....core.resources.filters import FilterError
from ....core.resources.store import page
from ..query_language import matching
from ..records import Entries

_SERVICE = "google.logging.v2.LoggingServiceV2"
_NAME = re.compile(r"(projects|organizations|billingAccounts|folders)/[^/]+/logs/[\w./%-]{1,511}")
_PARENT = re.compile(r"(projects|organizations|billingAccounts|folders)/[^/]+")
_MOST_BYTES = 10 * 2**20  # of one request
_MOST_ENTRY = 256 * 1024


@handles(f"{_SERVICE}.WriteLogEntries")
def write_log_entries(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call WriteLogEntries: store log entries."""
    if not request.entries:
        raise GcpError("INVALID_ARGUMENT", "Log entries are required.")
    if request.ByteSize() > _MOST_BYTES:
        raise GcpError(
            "INVALID_ARGUMENT", f"Request payload size exceeds the limit: {_MOST_BYTES} bytes."
        )
    for entry in request.entries:
        _complete(call, entry, request)
    if not request.dry_run:
        call.store(Entries).add(request.entries)
    return types.WriteLogEntriesResponse.pb()()


@handles(f"{_SERVICE}.ListLogEntries")
def list_log_entries(call: Call, request: Any) -> Any:
    """Return a page of log entries that fit a filter.

    It answers Cloud Logging's API call ListLogEntries.
    """
    if not request.resource_names:
        raise GcpError("INVALID_ARGUMENT", "At least one resource name is required.")
    descending = {"": False, "timestamp asc": False, "timestamp desc": True}.get(
        request.order_by.strip()
    )
    if descending is None:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"order_by is timestamp asc or timestamp desc, and not {request.order_by!r}.",
        )
    parents = [_parent(call, name) for name in request.resource_names]
    try:
        entries = matching(call.store(Entries).below(parents), request.filter)
    except FilterError as error:
        raise GcpError("INVALID_ARGUMENT", f"Unparseable filter: {error}") from error
    listed, token = page(entries[::-1] if descending else entries, request, size=50)
    return types.ListLogEntriesResponse.pb()(entries=listed, next_page_token=token)


@handles(f"{_SERVICE}.ListLogs")
def list_logs(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call ListLogs: list the names of logs."""
    names = sorted(
        {entry.log_name for entry in call.store(Entries).below([_parent(call, request.parent)])}
    )
    listed, token = page(names, request, size=50)
    return types.ListLogsResponse.pb()(log_names=listed, next_page_token=token)


@handles(f"{_SERVICE}.DeleteLog")
def delete_log(call: Call, request: Any) -> Any:
    """Answer Cloud Logging's API call DeleteLog: delete all entries of a log."""
    name = _log_name(call, request.log_name)
    if not call.store(Entries).delete(name):
        raise GcpError("NOT_FOUND", f"Log {name} does not exist.")
    return empty_pb2.Empty()


def _complete(call: Call, entry: Any, request: Any) -> None:
    """Fill in a log entry's missing fields from the defaults in its write request."""
    entry.log_name = _log_name(call, entry.log_name or request.log_name)
    if not entry.HasField("resource"):
        if not request.HasField("resource"):
            raise GcpError(
                "INVALID_ARGUMENT",
                "A monitored resource is required, in the entry or for all of them.",
            )
        entry.resource.CopyFrom(request.resource)
    if "project_id" not in entry.resource.labels and not entry.resource.type.startswith(
        "aiplatform."
    ):
        entry.resource.labels["project_id"] = entry.log_name.split("/")[1]
    for key, value in request.labels.items():
        if key not in entry.labels:
            entry.labels[key] = value
    entry.receive_timestamp.CopyFrom(call.now_pb())
    if not entry.HasField("timestamp"):
        entry.timestamp.CopyFrom(entry.receive_timestamp)
    entry.insert_id = entry.insert_id or secrets.token_hex(8)
    if entry.ByteSize() > _MOST_ENTRY:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"Log entry with size {entry.ByteSize()} exceeds maximum size of {_MOST_ENTRY}.",
        )


def _log_name(call: Call, name: str) -> str:
    """Return a log's full name, in which a project's number is replaced by its id."""
    if not _NAME.fullmatch(name):
        raise GcpError(
            "INVALID_ARGUMENT",
            f"Log name {name!r} is not projects/PROJECT/logs/ID, with the ID quoted as in a URL.",
        )
    return with_project_id(call, name)


def _parent(call: Call, name: str) -> str:
    """Return the parent of a resource, such as projects/P, from the start of its name.

    The name may go on: projects/P/locations/L/buckets/B/views/V.
    """
    match = _PARENT.match(name)
    if match is None:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"The resource name {name!r} is not projects/PROJECT or one of its siblings.",
        )
    return with_project_id(call, match[0])
