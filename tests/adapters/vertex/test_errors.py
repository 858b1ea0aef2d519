"""The table of errors: what Google says, by gRPC, by GAPIC's REST, by BigQuery and Storage, and
what its callers get.
"""

import grpc
import pytest
import requests
from google.api_core import exceptions as google
from google.api_core.retry import Retry
from google.auth.exceptions import DefaultCredentialsError
from google.cloud.storage.exceptions import DataCorruption, InvalidResponse
from urllib3.exceptions import MaxRetryError, NewConnectionError

from isthmus import errors
from isthmus.adapters.vertex.errors import from_google, transient, translated


def by_grpc(code, message="words"):
    return google.from_grpc_status(getattr(grpc.StatusCode, code), message)


def by_http(code, *, status=None, reason=None, message="words"):
    """As requests hands an answer to the clients; with `status` as GAPIC's REST gets it, without
    one as BigQuery and Storage do.
    """
    answer = requests.Response()
    answer.status_code = code
    body = {"code": code, "message": message} | ({"status": status} if status else {})
    body |= {"errors": [{"reason": reason, "message": message}]} if reason else {}
    answer._content = requests.compat.json.dumps({"error": body}).encode()
    answer.request = requests.Request("GET", "http://127.0.0.1/x").prepare()
    return google.from_http_response(answer)


def in_the_middle(code):
    """As Storage's client says it while bytes are on their way."""
    return InvalidResponse(by_http(code).response, "Request failed with status code", code)


class RawCall(grpc.RpcError, grpc.Call):
    """What a stub raises that no GAPIC client wraps."""

    def code(self):
        return grpc.StatusCode.NOT_FOUND

    def details(self):
        return "no such key"

    add_callback = cancel = initial_metadata = is_active = time_remaining = trailing_metadata = None


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (by_grpc("NOT_FOUND"), errors.NotFound),
        (by_http(404, status="NOT_FOUND"), errors.NotFound),
        (by_http(404, reason="notFound"), errors.NotFound),
        (RawCall(), errors.NotFound),
        (by_grpc("ALREADY_EXISTS"), errors.AlreadyExists),
        (by_http(409, status="ALREADY_EXISTS"), errors.AlreadyExists),
        (by_http(409, reason="duplicate"), errors.AlreadyExists),
        (by_grpc("ABORTED"), errors.Conflict),
        (by_http(409, status="ABORTED"), errors.Conflict),
        (by_http(412, reason="conditionNotMet"), errors.Conflict),
        (by_http(412, status="FAILED_PRECONDITION"), errors.Conflict),
        (in_the_middle(412), errors.Conflict),
        (in_the_middle(404), errors.NotFound),
        (by_grpc("FAILED_PRECONDITION"), errors.Busy),
        (by_http(400, status="FAILED_PRECONDITION"), errors.Busy),
        (by_grpc("INVALID_ARGUMENT"), errors.Invalid),
        (by_http(400, status="INVALID_ARGUMENT"), errors.Invalid),
        (by_http(400, reason="invalidQuery"), errors.Invalid),
        (by_http(416), errors.Invalid),
        (by_grpc("PERMISSION_DENIED"), errors.Denied),
        (by_http(403, reason="accessDenied"), errors.Denied),
        (by_http(401), errors.Denied),
        (DefaultCredentialsError("none"), errors.Denied),
        (by_http(403, reason="rateLimitExceeded"), errors.Throttled),
        (by_http(403, reason="quotaExceeded"), errors.LimitExceeded),
        (by_grpc("RESOURCE_EXHAUSTED"), errors.Throttled),
        (
            by_grpc(
                "RESOURCE_EXHAUSTED", "The following quotas are exceeded: CustomModelServingCPUs"
            ),
            errors.LimitExceeded,
        ),
        (by_http(429), errors.Throttled),
        (by_grpc("UNAVAILABLE"), errors.Unavailable),
        (by_http(503), errors.Unavailable),
        (by_http(599), errors.Unavailable),
        (by_grpc("UNIMPLEMENTED"), errors.Unsupported),
        (by_http(501, status="UNIMPLEMENTED"), errors.Unsupported),
    ],
)
def test_a_status_becomes_one_of_ours_whichever_class_carries_it(error, kind):
    for effect in (False, True):
        ours = from_google(error, "doing this", effect=effect)
        assert type(ours) is kind
        assert "doing this" in ours.message


@pytest.mark.parametrize(
    "error",
    [
        by_grpc("INTERNAL"),
        by_grpc("DEADLINE_EXCEEDED"),
        by_grpc("UNAVAILABLE", "recvmsg:Connection reset by peer"),
        by_http(500),
        by_http(502),
        by_http(504, status="DEADLINE_EXCEEDED"),
        requests.exceptions.ConnectionError("closed"),
        requests.exceptions.ReadTimeout(),
        requests.exceptions.ChunkedEncodingError(),
        DataCorruption(None, "checksum"),
        google.RetryError("enough", by_grpc("INTERNAL")),
    ],
)
def test_a_lost_reply_of_an_effect_is_unknown_and_of_a_read_unavailable(error):
    assert type(from_google(error, "x", effect=True)) is errors.OutcomeUnknown
    assert type(from_google(error, "x")) is errors.Unavailable


@pytest.mark.parametrize(
    "error",
    [
        by_grpc(
            "UNAVAILABLE", "failed to connect to all addresses; last error: Connection refused"
        ),
        requests.exceptions.ConnectionError(
            MaxRetryError(None, "/", NewConnectionError(None, "refused"))
        ),
        requests.exceptions.ConnectTimeout(),
    ],
)
def test_what_was_never_sent_has_no_effect(error):
    assert type(from_google(error, "x", effect=True)) is errors.Unavailable


def disabled_by_grpc():
    from google.rpc.error_details_pb2 import ErrorInfo

    info = ErrorInfo(
        reason="SERVICE_DISABLED",
        metadata={"service": "aiplatform.googleapis.com", "consumer": "projects/example-ranker"},
    )
    return google.from_grpc_status(
        grpc.StatusCode.PERMISSION_DENIED, "Vertex AI API has not been used", error_info=info
    )


def disabled_by_http():
    message = (
        "BigQuery API has not been used in project 4711 before or it is disabled. Enable it by "
        "visiting "
        "https://console.developers.google.com/apis/api/bigquery.googleapis.com/overview?project=4711 "
        "then retry."
    )
    return by_http(403, reason="accessNotConfigured", message=message)


@pytest.mark.parametrize(
    ("error", "command"),
    [
        (
            disabled_by_grpc(),
            "gcloud services enable aiplatform.googleapis.com --project example-ranker",
        ),
        (disabled_by_http(), "gcloud services enable bigquery.googleapis.com --project 4711"),
    ],
)
def test_an_api_that_is_not_enabled_is_named_with_the_command_that_enables_it(error, command):
    ours = from_google(error, "looking")
    assert type(ours) is errors.Denied
    assert command in ours.remedy
    assert "log in" not in ours.remedy


def test_our_own_mistakes_pass_untouched():
    with pytest.raises(ZeroDivisionError), translated("this"):
        raise ZeroDivisionError
    assert from_google(ValueError("ours"), "x") is None


def test_only_what_is_transient_is_asked_again():
    answers = [
        by_grpc("UNAVAILABLE"),
        by_http(403, reason="rateLimitExceeded"),
        requests.exceptions.ConnectionError("closed"),
    ]
    assert all(map(transient, answers))
    assert not any(
        map(transient, (by_grpc("ABORTED"), by_http(412), by_grpc("NOT_FOUND"), ValueError()))
    )

    def call():
        if answers:
            raise answers.pop()
        return "done"

    assert Retry(predicate=transient, initial=0, maximum=0)(call)() == "done"
