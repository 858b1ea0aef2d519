"""AWS's errors as Isthmus's, by one table with the most specific first.

SageMaker says most things with ValidationException, so messages count too. The texts are those of
the documentation and of botocore's models; none was seen on an account yet.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ...errors import (
    AlreadyExists,
    Busy,
    Conflict,
    Denied,
    Invalid,
    IsthmusError,
    LimitExceeded,
    ModelError,
    NotFound,
    OutcomeUnknown,
    Throttled,
    Unavailable,
)

_NOT_AWS = "no AWS service answers so: look at the endpoint's URL and at proxies on the way"
_LOGIN = "log in (`aws sso login`), or check the profile's role and account"

# code (a pattern), words in the message (a pattern; "" is any), ours, remedy
_TABLE: tuple[tuple[str, str, type[IsthmusError], str | None], ...] = (
    (
        "ValidationException|ValidationError",
        r"(?i)could not find|does not exist|not found",
        NotFound,
        None,
    ),
    (
        "ValidationException|ValidationError",
        r"(?i)already exist|cannot create already existing",
        AlreadyExists,
        None,
    ),
    (
        "ValidationException|ValidationError",
        r"(?i)cannot update in-progress|in progress|is being|currently .*(updat|creat|delet)",
        Busy,
        None,
    ),
    ("ValidationException", r"(?i)rate exceeded", Throttled, "try again in a moment"),
    (
        "ValidationException",
        r"(?i)item size",
        LimitExceeded,
        "an item has at most 400 KB: a shorter `in` of a unit's caps keeps fewer counts",
    ),
    ("ResourceInUse(Exception)?", r"(?i)already exist|under account", AlreadyExists, None),
    (
        "ResourceInUse(Exception)?|ConcurrentModificationException|UpdateInProgress",
        "",
        Busy,
        "try again when the change has ended",
    ),
    ("ModelNotReadyException", "", Busy, "try again in a moment"),
    (
        "PreconditionFailed|412|ConditionalRequestConflict|ConditionalCheckFailedException",
        "",
        Conflict,
        "read it again",
    ),
    ("ConflictException", r"(?i)already exist", AlreadyExists, None),
    ("ConflictException|ResourceConflictException", "", Busy, "try again in a moment"),
    (
        (
            "NoSuchKey|NoSuchBucket|NoSuchUpload|404|NotFound|ResourceNotFound(Exception)?|EntityNotFoundException|NoSuchEntity(Exception)?|"
            "RepositoryNotFoundException|ImageNotFoundException"
        ),
        "",
        NotFound,
        None,
    ),
    (
        "AlreadyExistsException|BucketAlreadyExists|BucketAlreadyOwnedByYou|ResourceAlreadyExistsException",
        "",
        AlreadyExists,
        None,
    ),
    (
        "ExpiredToken(Exception)?|InvalidClientTokenId|UnrecognizedClientException|InvalidAccessKeyId|SignatureDoesNotMatch",
        "",
        Denied,
        _LOGIN,
    ),
    (
        "AccessDenied(Exception)?|AccessForbidden|AccountProblem|403|AllAccessDisabled|UnauthorizedOperation",
        "",
        Denied,
        _LOGIN,
    ),
    (
        "ResourceLimitExceeded|LimitExceeded(Exception)?|ServiceQuotaExceededException|EntityTooLarge",
        "",
        LimitExceeded,
        "ask AWS for a higher quota",
    ),
    (
        (
            r"Throttl(ing|ed)(Exception|Error)?|(Bandwidth|Request)LimitExceeded|RequestThrottled(Exception)?|SlowDown|429|"
            r"TooManyRequests(Exception)?|ProvisionedThroughputExceededException"
        ),
        "",
        Throttled,
        "try again in a moment",
    ),
    (
        (
            "InternalError|InternalFailure|InternalServer(Error|Exception)|InternalServiceException|ServiceUnavailable(Exception)?|"
            "InternalDependencyException|RequestTimeout|50[0234]"
        ),
        "",
        Unavailable,
        "try again in a moment",
    ),
)
# after these the service itself cannot say whether it acted
_UNSURE = re.compile(
    "InternalError|InternalFailure|InternalServer(Error|Exception)|InternalServiceException|500|502|504|RequestTimeout"
)


@contextmanager
def translated(what: str, *, effect: bool = False) -> Iterator[None]:
    """Translate AWS's errors in the block into Isthmus's own error classes.

    `what` says in the message what is being done.

    With `effect`, an error after which the call may have happened becomes OutcomeUnknown. Errors
    that are not AWS's pass unchanged: they are bugs of Isthmus.
    """
    from botocore import exceptions as aws
    from botocore.parsers import ResponseParserError

    try:
        yield
    except aws.ClientError as error:
        raise from_client(error, what, effect=effect) from error
    except (
        aws.NoCredentialsError,
        aws.PartialCredentialsError,
        aws.TokenRetrievalError,
        aws.SSOError,
    ) as error:
        raise Denied(f"{what}: {error}", remedy=f"{_LOGIN}; with no account: --offline") from error
    except (
        aws.EndpointConnectionError,
        aws.ConnectTimeoutError,
        aws.ProxyConnectionError,
    ) as error:
        raise Unavailable(
            f"{what}: {error}", remedy="check the network, or the offline stack"
        ) from error  # nothing was sent
    except (
        aws.HTTPClientError
    ) as error:  # closed or timed out after sending, or while reading the reply
        raise _lost_reply(error, what, effect=effect) from error
    except (
        ResponseParserError
    ) as error:  # of a service that speaks XML; the others' pages come as errors
        raise _no_answer(error, what, effect=effect) from error
    except (aws.ParamValidationError, aws.InvalidRegionError) as error:
        raise Invalid(f"{what}: {error}") from error


def _lost_reply(error: Exception, what: str, *, effect: bool) -> IsthmusError:
    """Return the error for a lost reply to `what`: OutcomeUnknown if `effect`, else Unavailable."""
    if effect:
        return OutcomeUnknown(
            f"{what}: the reply was lost ({error}): it may have happened",
            remedy="look, then run it again",
        )
    return Unavailable(f"{what}: the reply was lost ({error})", remedy="try again in a moment")


def _no_answer(error: Exception, what: str, *, effect: bool) -> IsthmusError:
    """Return the error for an answer to `what` that no AWS service sends, such as an HTML page.

    With `effect` the call may have happened.
    """
    words = str(error).partition("\n")[0].partition(". Further retries")[0]
    text = f"{what}: the answer is none of AWS's ({words})"
    if effect:
        return OutcomeUnknown(text, remedy="it may have happened: look, then run it again")
    return Unavailable(text, remedy=_NOT_AWS)


def from_client(error: Any, what: str, *, effect: bool = False) -> IsthmusError:
    """Return the Isthmus error for a botocore ClientError, by a table of codes.

    `what` was being done; with `effect` it may have happened.
    """
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") or 0)
    details = error.response.get("Error", {})
    code, message = str(details.get("Code", "")), str(details.get("Message", ""))
    page = _html_page(status, code, error.response)
    if page:
        message = f"status {status} with an HTML page"
    text = f"{what}: {message or code} ({error.operation_name}: {code})"
    if code == "ModelError":
        original = int(error.response.get("OriginalStatusCode") or 500)
        return ModelError(
            text, status=original, body=str(error.response.get("OriginalMessage", message))
        )
    if effect and (
        _UNSURE.fullmatch(code) or (status in {500, 502, 504} and not _entry(code, message))
    ):
        return OutcomeUnknown(text, remedy="it may have happened: look, then run it again")
    if page:
        return Unavailable(text, remedy=_NOT_AWS)
    if (rule := _entry(code, message)) is not None:
        kind, remedy = rule
        return kind(text, remedy=remedy)
    if status >= 500:
        return Unavailable(text, remedy="try again in a moment")
    return Invalid(text)


def _html_page(status: int, code: str, response: Any) -> bool:
    """Return whether an answer without an AWS error code is an HTML page.

    It comes from a proxy, or from a server without the operation.
    """
    kind = str(response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("content-type", ""))
    return status >= 500 and code == str(status) and kind.startswith("text/html")


def _entry(code: str, message: str) -> tuple[type[IsthmusError], str | None] | None:
    """Look up the error class and the remedy for an AWS error code and message; None if unknown."""
    for codes, words, kind, remedy in _TABLE:
        if re.fullmatch(codes, code) and (not words or re.search(words, message)):
            return kind, remedy
    return None
