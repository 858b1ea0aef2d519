"""Upload load jobs with their file (/upload/bigquery/v2).

A file comes in one request (multipart) or in many (resumable).
"""

from __future__ import annotations

import email.parser
import email.policy
import json
import re
import threading
import uuid
from typing import Any

from ....core.call import Call
from ....core.http_messages import HttpAnswer, HttpRequest
from ..errors import BigQueryError
from ..state.jobs import Job, resource
from .jobs import PATIENCE, begin
from .request_shapes import checked
from .routes import Answer, body, serves, with_project_id

_RANGE = re.compile(r"bytes (?:(\d+)-(\d+)|\*)/(\d+|\*)")
_PATH = "/upload/bigquery/v2/projects/{project}/jobs"


class Uploads:
    """Files on their way, by the id of their session."""

    def __init__(self) -> None:
        self.started: dict[str, dict[str, Any]] = {}
        self.parts: dict[str, bytearray] = {}
        self.ended: dict[
            str, dict[str, Any]
        ] = {}  # what the last part was answered with: it may come again
        self.lock = threading.Lock()


@serves("jobs.insert", "POST", _PATH)
def start_upload(call: Call, request: HttpRequest) -> Answer:
    """Start to upload a file to load: BigQuery's API call jobs.insert with an upload."""
    kind = request.query.get("uploadType")
    if kind == "multipart":
        content, file = _split_multipart(request)
        return resource(
            _wait(
                call,
                begin(
                    call,
                    request.params["project"],
                    with_project_id(checked(content), request),
                    file,
                ),
            )
        )
    if kind != "resumable":
        raise BigQueryError("invalid", f"Invalid value for uploadType: {kind}", "uploadType")
    uploads, name = call.store(Uploads), uuid.uuid4().hex
    with uploads.lock:
        uploads.started[name] = body(request)
        uploads.parts[name] = bytearray()
    host = request.headers.get("host", "")
    scheme = (
        "http"
        if f"http://{host}" == call.url or host.startswith(("127.0.0.1", "localhost"))
        else "https"
    )
    location = f"{scheme}://{host}{request.path}?uploadType=resumable&upload_id={name}"
    return HttpAnswer(headers=(("Location", location), ("X-GUploader-UploadID", name)))


@serves("jobs.insert", "PUT", _PATH)
def continue_upload(call: Call, request: HttpRequest) -> Answer:
    """Store a further part of an upload to load; after the last part, start the load job."""
    uploads, name = call.store(Uploads), request.query.get("upload_id", "")
    with uploads.lock:
        if name in uploads.ended:
            return uploads.ended[name]
        if name not in uploads.started:
            raise BigQueryError("notFound", f"Not found: upload {name}")
        whole = _add_part(uploads.parts[name], request)
        if not whole:
            size = len(uploads.parts[name])
            return HttpAnswer(
                status=308, headers=(("Range", f"bytes=0-{size - 1}"),) if size else ()
            )
        answer = resource(
            _wait(
                call,
                begin(
                    call,
                    request.params["project"],
                    uploads.started[name],
                    bytes(uploads.parts[name]),
                ),
            )
        )
        uploads.ended[name] = answer
        del uploads.started[name], uploads.parts[name]
        return answer


def _wait(call: Call, job: Job) -> Job:
    """Wait a moment for a load job to end, and return the job."""
    job.running.ended.wait(PATIENCE[call.clock.mode])
    return job


def _add_part(part: bytearray, request: HttpRequest) -> bool:
    """Write a request's bytes into an upload; return whether the upload is complete.

    Content-Range says at which position; from there on they replace what is stored.
    """
    match = _RANGE.fullmatch(
        request.headers.get("content-range", f"bytes 0-{len(request.body) - 1}/{len(request.body)}")
    )
    if match is None and request.body:
        raise BigQueryError(
            "invalid", f"Invalid Content-Range: {request.headers.get('content-range')}"
        )
    if match is not None and match.group(1) is not None:
        start = int(match.group(1))
        if start > len(part):
            raise BigQueryError(
                "invalid", f"Invalid Content-Range: {len(part)} bytes are here, not {start}"
            )
        part[start:] = request.body
    total = match.group(3) if match is not None else "0"
    return total != "*" and len(part) >= int(total)


def _split_multipart(request: HttpRequest) -> tuple[dict[str, Any], bytes]:
    """Return the Job resource and the file's bytes in a multipart/related body."""
    header = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = email.parser.BytesParser(policy=email.policy.HTTP).parsebytes(
        header, headersonly=True
    )
    boundary = message.get_boundary()
    if not boundary:
        raise BigQueryError(
            "parseError",
            "A multipart upload needs the header Content-Type: multipart/related; boundary=...",
        )
    pieces = request.body.split(b"--" + boundary.encode())
    parts = [piece.partition(b"\r\n\r\n")[2].removesuffix(b"\r\n") for piece in pieces[1:3]]
    if len(parts) != 2:
        raise BigQueryError("parseError", "A multipart upload has two parts: the job and the file")
    try:
        return json.loads(parts[0]), parts[1]
    except ValueError as error:
        raise BigQueryError("parseError", f"Invalid JSON payload received. {error}") from error
