"""Objects posted by an HTML form with a signed policy (POST policy documents, V4)."""

from __future__ import annotations

from email.parser import BytesParser
from email.policy import HTTP
from typing import Any, cast

from ...core.call import Call
from ...core.errors import GcpError
from ...core.http_messages import HttpAnswer, HttpRequest
from .content import write_content
from .signing import verify_form
from .uploads import NewObject

_OWN = frozenset(
    {
        "x-goog-algorithm",
        "x-goog-credential",
        "x-goog-date",
        "x-goog-signature",
        "x-goog-meta",
        "x-goog-storage-class",
    }
)
_FREE = frozenset({"policy", "file", "x-goog-signature"})  # of which a policy says nothing


def post(call: Call, request: HttpRequest) -> HttpAnswer:
    """Store the file of an HTML form upload (POST object with a signed policy).

    Raises:
        GcpError: The policy is not signed by the stack, or does not allow these fields.
    """
    fields, data = _parsed(request)
    for name in fields:
        if name.startswith("x-goog-") and name not in _OWN and not name.startswith("x-goog-meta-"):
            raise GcpError(
                "INVALID_ARGUMENT", f"Unknown field in the form: {name}", reason="InvalidArgument"
            )
    policy = verify_form(call, fields)
    _allow(policy.get("conditions") or [], fields | {"bucket": request.params["bucket"]}, len(data))
    metadata = {
        name.removeprefix("x-goog-meta-"): value
        for name, value in fields.items()
        if name.startswith("x-goog-meta-")
    }
    body: dict[str, Any] = {
        "name": fields.get("key", ""),
        "storageClass": fields.get("x-goog-storage-class"),
    }
    if metadata:
        body["metadata"] = metadata
    new = NewObject(call, request, body, content_type=fields.get("content-type"))
    new.finish(call, write_content(new.store.folder(call), [data]), {})
    return HttpAnswer(status=int(fields.get("success_action_status", "204")))


def _parsed(request: HttpRequest) -> tuple[dict[str, str], bytes]:
    """Parse a multipart/form-data body; return its fields, by lower-case name, and the file."""
    head = f"Content-Type: {request.headers.get('content-type', '')}\r\n\r\n".encode()
    message = BytesParser(policy=HTTP).parsebytes(head + request.body)
    fields: dict[str, str] = {}
    data: bytes | None = None
    for part in message.iter_parts() if message.is_multipart() else ():
        name = str(part.get_param("name", "", header="content-disposition")).lower()
        content = cast("bytes", part.get_payload(decode=True))
        if name == "file":
            data = content
            break  # what comes after the file is passed over
        fields[name] = content.decode()
    if data is None:
        raise GcpError(
            "INVALID_ARGUMENT",
            "POST requires exactly one file upload per request.",
            reason="IncorrectNumberOfFilesInPostRequest",
        )
    return fields, data


def _allow(conditions: list[Any], fields: dict[str, str], size: int) -> None:
    """Raise an error unless a signed policy permits a form's fields and its file's size.

    Each condition must hold, and each field must be in a condition.
    """
    named = set()
    for condition in conditions:
        if isinstance(condition, dict):
            rules = [("eq", name, value) for name, value in condition.items()]
        elif str(condition[0]) == "content-length-range":
            if not int(condition[1]) <= size <= int(condition[2]):
                raise _refusal(condition)
            continue
        else:
            rules = [(str(condition[0]), str(condition[1]).removeprefix("$"), condition[2])]
        for kind, name, value in rules:
            named.add(name.lower())
            sent = fields.get(name.lower(), "")
            if not (sent == value if kind == "eq" else sent.startswith(value)):
                raise _refusal(condition)
    for name, value in fields.items():
        if name not in named | _FREE and not name.startswith("x-ignore-"):
            raise _refusal({name: value})


def _refusal(condition: Any) -> GcpError:
    """Return the error for a policy's condition that the form does not fulfil."""
    return GcpError(
        "INVALID_ARGUMENT",
        f"The policy document does not allow this: {condition}",
        reason="InvalidPolicyDocument",
    )
