"""Several calls in one request (multipart/mixed).

Each is answered, logged and refused by itself.
"""

from __future__ import annotations

import re
from email.parser import BytesParser
from email.policy import HTTP
from http import HTTPStatus
from typing import cast
from urllib.parse import parse_qs, urlsplit

from ....core.call import Call
from ....core.errors import GcpError
from ....core.http_messages import HttpAnswer, HttpRequest
from ....core.registry import route

_BOUNDARY = "batch_isthmus"


@route("storage.batch", "POST", "/batch/storage/v1")
def batch(call: Call, request: HttpRequest) -> HttpAnswer:
    """Answer several calls in one request."""
    parser = BytesParser(policy=HTTP)
    message = parser.parsebytes(
        f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode() + request.body
    )
    if not message.is_multipart():
        raise GcpError(
            "INVALID_ARGUMENT",
            "Failed to parse batch request: it is not multipart/mixed.",
            reason="badRequest",
        )
    answers = []
    for number, part in enumerate(message.iter_parts()):
        inner = _inner(request, cast("bytes", part.get_payload(decode=True)))
        content_id = str(part.get("Content-ID", f"<{number}>")).strip("<>")
        answers.append(_response_part(content_id, call.answer(inner)))
    body = "".join(f"--{_BOUNDARY}\r\n{answer}\r\n" for answer in answers) + f"--{_BOUNDARY}--\r\n"
    return HttpAnswer(
        headers=(("Content-Type", f"multipart/mixed; boundary={_BOUNDARY}"),), body=body.encode()
    )


def _inner(outer: HttpRequest, text: bytes) -> HttpRequest:
    """Parse one part of a batch request into the HTTP request that it contains.

    A part is METHOD URL HTTP/1.1, headers, a blank line, a body.
    """
    head, _, body = text.replace(b"\r\n", b"\n").partition(b"\n\n")
    first, *lines = head.decode().split("\n")
    match = re.fullmatch(r"([A-Z]+) (\S+)( HTTP/1\.\d)?", first.strip())
    if match is None:
        raise GcpError(
            "INVALID_ARGUMENT",
            f"Failed to parse batch request: {first[:80]!r} is no request line.",
            reason="badRequest",
        )
    url = urlsplit(match[2])
    headers = {
        name.strip().lower(): value.strip()
        for name, _, value in (line.partition(":") for line in lines if ":" in line)
    }
    return HttpRequest(
        method=match[1],
        host=outer.host,
        path=url.path,
        query_lists=parse_qs(url.query, keep_blank_values=True),
        headers={**outer.headers, **headers},
        body=body.strip(),
    )


def _response_part(content_id: str, answer: HttpAnswer) -> str:
    """Return the response to one call as a part of the batch response's text."""
    body = answer.body if isinstance(answer.body, bytes) else b"".join(answer.body)
    lines = [
        "Content-Type: application/http",
        f"Content-ID: <response-{content_id}>",
        "",
        f"HTTP/1.1 {answer.status} {HTTPStatus(answer.status).phrase}",
        *(f"{name}: {value}" for name, value in answer.headers),
        f"Content-Length: {len(body)}",
        "",
        body.decode(),
    ]
    return "\r\n".join(lines)
