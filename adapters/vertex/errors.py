"""Google's errors as Isthmus's, by one table of statuses.

gRPC, GAPIC's REST, BigQuery and Storage raise different classes for the same status. The statuses
are those of google.rpc.Code; the texts were not seen on an account yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

from ...errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Denied,
    Invalid,
    IsthmusError,
    LimitExceeded,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
    Unsupported,
)

LOGIN = (
    "log in (`gcloud auth application-default login`), or check the roles of the service account"
)
_AGAIN = "try again in a moment"
_LOOK = "it may have happened: look, then run it again"

# the status of an HTTP answer that names none
_OF_HTTP = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    409: "ALREADY_EXISTS",
    410: "NOT_FOUND",
    412: "ABORTED",
    413: "OUT_OF_RANGE",
    416: "OUT_OF_RANGE",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    502: "UNKNOWN",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

# status, words in its reasons and message (a pattern; "" is any), ours, remedy
_TABLE: tuple[tuple[str, str, type[IsthmusError], str | None], ...] = (
    ("PERMISSION_DENIED", r"rateLimitExceeded", Throttled, _AGAIN),  # BigQuery: 403 and this reason
    ("PERMISSION_DENIED", r"quotaExceeded", LimitExceeded, "ask Google for a higher quota"),
    (
        "PERMISSION_DENIED|UNAUTHENTICATED",
        "",
        Denied,
        LOGIN,
    ),  # an API that is not enabled comes before the table
    (
        "RESOURCE_EXHAUSTED",
        r"quotaExceeded|quotas? (is|are) exceeded",
        LimitExceeded,
        "ask Google for a higher quota",
    ),
    ("RESOURCE_EXHAUSTED", "", Throttled, _AGAIN),
    ("NOT_FOUND", "", NotFound, None),
    ("ALREADY_EXISTS", "", AlreadyExists, None),
    ("ABORTED", "", Conflict, "read it again"),
    ("FAILED_PRECONDITION", "", Busy, "try again when the change has ended"),
    ("INVALID_ARGUMENT|OUT_OF_RANGE", "", Invalid, None),
    ("UNAVAILABLE|INTERNAL|UNKNOWN|DEADLINE_EXCEEDED|CANCELLED|DATA_LOSS", "", Unavailable, _AGAIN),
)
# after these the service itself cannot say whether it acted
_UNSURE = frozenset({"INTERNAL", "UNKNOWN", "DEADLINE_EXCEEDED", "CANCELLED", "DATA_LOSS"})
_STORAGE = "google.cloud.storage.exceptions"
_DISABLED = re.compile(
    r"\b(SERVICE_DISABLED|accessNotConfigured)\b|has not been used in project \S+ before or "
    r"it is disabled"
)
_ACTIVATION = re.compile(
    r"(?P<service>[a-z0-9-]+\.googleapis\.com)/overview\?project=(?P<project>[\w:.-]+)"
)  # in its message
_NOT_SENT = re.compile(
    r"failed to connect|connection refused|name resolution|dns resolution", re.IGNORECASE
)


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """The content of one of Google's errors, whichever class carries it."""

    status: str  # NOT_FOUND
    message: str
    reasons: tuple[str, ...]  # BigQuery's and Storage's: rateLimitExceeded
    sent: bool  # False: the request never left
    enable: str = ""  # of an API that is not enabled: the command that does it


@contextmanager
def translated(what: str, *, effect: bool = False) -> Iterator[None]:
    """Translate Google's errors in the block into Isthmus's own error classes.

    `what` says in the message what is being done.

    With `effect`, an error after which the call may have happened becomes OutcomeUnknown. Errors
    that are not Google's pass unchanged: they are bugs of Isthmus.
    """
    try:
        yield
    except Exception as error:
        ours = from_google(error, what, effect=effect)
        if ours is None:
            raise
        raise ours from error


def from_google(error: BaseException, what: str, *, effect: bool = False) -> IsthmusError | None:
    """Return the Isthmus error for an exception of Google's clients, or None for another one.

    `what` was being done; with `effect` it may have happened.
    """
    from google.api_core.exceptions import RetryError

    if isinstance(error, RetryError) and error.cause is not None:
        return from_google(error.cause, what, effect=effect)
    if (answer := answer_of(error)) is not None:
        return _by_table(answer, what, effect=effect)
    return _unanswered_error(error, what, effect=effect)


def _unanswered_error(error: BaseException, what: str, *, effect: bool) -> IsthmusError | None:
    """Return the Isthmus error for a Google exception without an answer, such as a lost connection.

    It is None for other exceptions. `what` was being done; with `effect` it may have happened.
    """
    from google.auth.exceptions import (
        DefaultCredentialsError,
        GoogleAuthError,
        RefreshError,
        TransportError,
    )
    from requests.exceptions import ConnectionError as NoConnection
    from requests.exceptions import ConnectTimeout, ProxyError, RequestException, SSLError

    if isinstance(error, (TransportError, ConnectTimeout, ProxyError, SSLError)) or (
        isinstance(error, NoConnection) and _never_connected(error)
    ):
        # nothing was sent
        return Unavailable(f"{what}: {error}", remedy="check the network, or the offline stack")
    if isinstance(error, GoogleAuthError):
        alone = isinstance(error, (DefaultCredentialsError, RefreshError))
        return Denied(
            f"{what}: {error}", remedy=f"{LOGIN}; with no account: --offline" if alone else LOGIN
        )
    # closed or timed out after sending, or while reading the reply; of Storage also a checksum that
    # does not fit
    if isinstance(error, RequestException) or type(error).__module__ == _STORAGE:
        return _lost_reply(error, what, effect=effect)
    return None


def from_status(code: int, message: str, what: str) -> IsthmusError:
    """Return the Isthmus error for the google.rpc.Status of a failed operation `what`."""
    import grpc

    name = next((status.name for status in grpc.StatusCode if status.value[0] == code), "UNKNOWN")
    return _by_table(
        Answer(status=name, message=message, reasons=(), sent=True), what, effect=False
    )


def transient(error: BaseException) -> bool:
    """Return whether the same call may succeed in a moment, so that clients retry it."""
    return isinstance(from_google(error, ""), (Throttled, Unavailable))


def answer_of(error: BaseException) -> Answer | None:
    """Return a service's answer (status, message, reasons) from an exception, or None."""
    import grpc
    from google.api_core.exceptions import GoogleAPICallError

    if isinstance(error, GoogleAPICallError):
        named = (
            error.reason,
            *(entry.get("reason") for entry in error.errors if isinstance(entry, dict)),
        )
        reasons = tuple(dict.fromkeys(str(reason) for reason in named if reason))
        message = str(error.message or "")
        sent = error.grpc_status_code is None or not _NOT_SENT.search(message)
        enable = _enable(" ".join((*reasons, message)), error.metadata or {})
        return Answer(
            status=_status(error), message=message, reasons=reasons, sent=sent, enable=enable
        )
    if isinstance(error, grpc.RpcError) and isinstance(error, grpc.Call):
        message = str(error.details() or "")
        sent = not _NOT_SENT.search(message)
        return Answer(
            status=error.code().name,
            message=message,
            reasons=(),
            sent=sent,
            enable=_enable(message, {}),
        )
    if (
        type(error).__module__ == _STORAGE
        and (code := getattr(getattr(error, "response", None), "status_code", 200)) >= 300
    ):
        message = str(error)  # of bytes on their way
        return Answer(
            status=_of_http(code),
            message=message,
            reasons=(),
            sent=True,
            enable=_enable(message, {}),
        )
    return None


def _enable(words: str, metadata: Mapping[str, str]) -> str:
    """Return the gcloud command that enables a disabled API that an answer names, or "".

    google.rpc.ErrorInfo names it as `service`; BigQuery and Storage give an address in the message
    `words`.
    """
    if not _DISABLED.search(words):
        return ""
    address = _ACTIVATION.search(words)
    service = metadata.get("service") or (
        address["service"] if address else "SERVICE.googleapis.com"
    )
    project = metadata.get("consumer", "").removeprefix("projects/") or (
        address["project"] if address else ""
    )
    return f"gcloud services enable {service}" + (f" --project {project}" if project else "")


def is_disabled(error: IsthmusError) -> bool:
    """Return whether an error says that a Google API is not enabled in the project."""
    answer = None if error.__cause__ is None else answer_of(error.__cause__)
    return answer is not None and bool(answer.enable)


def _status(error: Any) -> str:
    """Return the name of the gRPC status of a google.api_core exception."""
    if error.grpc_status_code is not None:
        return str(error.grpc_status_code.name)
    code = int(error.code or 0)
    try:
        return _of_http(code) if code == 412 else str(error.response.json()["error"]["status"])
    except (AttributeError, KeyError, TypeError, ValueError):  # Storage's errors name none
        return _of_http(code)


def _of_http(code: int) -> str:
    """Return the name of the gRPC status that corresponds to an HTTP status code."""
    return _OF_HTTP.get(code, "UNAVAILABLE" if code >= 500 else "INVALID_ARGUMENT")


def _by_table(answer: Answer, what: str, *, effect: bool) -> IsthmusError:
    """Return the Isthmus error for a service's answer, by the table of statuses.

    `what` was being done; with `effect` it may have happened.
    """
    text = (
        f"{what}: {answer.message or answer.status} ({' '.join((answer.status, *answer.reasons))})"
    )
    if answer.enable:
        return Denied(
            text,
            remedy=f"the API is not enabled in this project: {answer.enable}       then wait some "
            "minutes",
        )
    if answer.status == "UNIMPLEMENTED":
        return Unsupported(text, capability=what)
    if (
        effect
        and answer.sent
        and (answer.status in _UNSURE or (answer.status == "UNAVAILABLE" and _cut(answer)))
    ):
        return OutcomeUnknown(text, remedy=_LOOK)
    words = " ".join((*answer.reasons, answer.message))
    for statuses, pattern, kind, remedy in _TABLE:
        if re.fullmatch(statuses, answer.status) and (not pattern or re.search(pattern, words)):
            return kind(text, remedy=remedy)
    return Invalid(text)


def _cut(answer: Answer) -> bool:
    """Return whether an answer's message says that the connection was lost during the call."""
    return bool(
        re.search(
            r"socket closed|connection reset|recvmsg|broken pipe|goaway|stream "
            r"(removed|closed)|rst_stream",
            answer.message,
            re.IGNORECASE,
        )
    )


def _never_connected(error: BaseException) -> bool:
    """Return whether a request failed before it could connect to a server."""
    from urllib3.exceptions import MaxRetryError, NewConnectionError

    cause = error.args[0] if error.args else None
    return isinstance(cause, NewConnectionError) or (
        isinstance(cause, MaxRetryError) and isinstance(cause.reason, NewConnectionError)
    )


def _lost_reply(error: BaseException, what: str, *, effect: bool) -> IsthmusError:
    """Return the error for a lost reply to `what`: OutcomeUnknown if `effect`, else Unavailable."""
    if effect:
        return OutcomeUnknown(
            f"{what}: the reply was lost ({error}): it may have happened",
            remedy="look, then run it again",
        )
    return Unavailable(f"{what}: the reply was lost ({error})", remedy=_AGAIN)
