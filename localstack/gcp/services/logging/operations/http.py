"""Cloud Logging over HTTP with JSON, as its client speaks if gRPC is turned off."""

from __future__ import annotations

from typing import Any

from google.cloud.logging_v2 import types
from google.protobuf import json_format

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpRequest
from ....core.registry import route
from ....core.rpc.transcoding import answer_of
from . import entries


@route("LoggingServiceV2.WriteLogEntries", "POST", "/v2/entries:write")
def write(call: Call, request: HttpRequest) -> Any:
    """Answer entries:write."""
    return answer_of(
        entries.write_log_entries(call, _message(types.WriteLogEntriesRequest.pb()(), request)),
        request,
    )


@route("LoggingServiceV2.ListLogEntries", "POST", "/v2/entries:list")
def list_entries(call: Call, request: HttpRequest) -> Any:
    """Answer entries:list."""
    return answer_of(
        entries.list_log_entries(call, _message(types.ListLogEntriesRequest.pb()(), request)),
        request,
    )


@route("LoggingServiceV2.ListLogs", "GET", "/v2/{parent=*/*}/logs")
def list_logs(call: Call, request: HttpRequest) -> Any:
    """Answer ListLogs over REST."""
    query = request.query
    rpc_request = types.ListLogsRequest.pb()(
        parent=request.params["parent"],
        page_size=int(query.get("pageSize", 0)),
        page_token=query.get("pageToken", ""),
    )
    return answer_of(entries.list_logs(call, rpc_request), request)


@route("LoggingServiceV2.DeleteLog", "DELETE", "/v2/{log_name=*/*/logs/*}")
def delete_log(call: Call, request: HttpRequest) -> Any:
    """Answer DeleteLog over REST."""
    name = request.path.removeprefix("/v2/")  # quoted, as the log's id is
    return answer_of(entries.delete_log(call, types.DeleteLogRequest.pb()(log_name=name)), request)


def _message(message: Any, request: HttpRequest) -> Any:
    """Parse a request's JSON body into `message`, a message of the API, and return it."""
    try:
        json_format.ParseDict(request.json(), message)
    except json_format.ParseError as error:
        raise GcpError("INVALID_ARGUMENT", f"Invalid JSON payload received. {error}") from error
    return message
