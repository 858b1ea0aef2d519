"""The table of errors: what AWS says, and what its callers get."""

import pytest
from botocore import exceptions as aws
from botocore.parsers import ResponseParserError

from isthmus import errors
from isthmus.adapters.sagemaker.errors import from_client, translated


def said(code, message="", status=400, **more):
    response = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status},
        **more,
    }
    return aws.ClientError(response, "DoThis")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (said("ValidationException", 'Could not find endpoint "ranker".'), errors.NotFound),
        (
            said("ValidationException", "Cannot create already existing endpoint"),
            errors.AlreadyExists,
        ),
        (said("ValidationException", "Cannot update in-progress endpoint"), errors.Busy),
        (
            said("ValidationException", "1 validation error detected: Value '' at 'name'"),
            errors.Invalid,
        ),
        (said("ThrottlingException", "Rate exceeded"), errors.Throttled),
        (
            said(
                "ValidationException", "Item size to update has exceeded the maximum allowed size"
            ),
            errors.LimitExceeded,
        ),
        (said("SlowDown", "Please reduce your request rate.", 503), errors.Throttled),
        (said("ResourceInUse", "Resource Already Exists: arn"), errors.AlreadyExists),
        (said("ResourceInUseException", "Stream s is being updated"), errors.Busy),
        (said("ResourceNotFound", "no"), errors.NotFound),
        (said("ResourceLimitExceeded", "The account-level service limit"), errors.LimitExceeded),
        (said("PreconditionFailed", "", 412), errors.Conflict),
        (said("ConditionalRequestConflict", "", 409), errors.Conflict),
        (said("EntityNotFoundException", "Table not found"), errors.NotFound),
        (said("AccessDeniedException", "is not authorized to perform", 403), errors.Denied),
        (said("ExpiredToken", "The provided token has expired.", 403), errors.Denied),
        (said("ServiceUnavailable", "", 503), errors.Unavailable),
        (said("SomethingNew", "", 503), errors.Unavailable),
        (said("SomethingNew", "no such luck"), errors.Invalid),
    ],
)
def test_a_code_and_its_words_become_one_of_ours(error, kind):
    found = from_client(error, "doing this")
    assert type(found) is kind
    assert "doing this" in found.message
    assert "DoThis" in found.message


def test_an_internal_error_may_hide_an_effect_and_of_a_read_it_may_not():
    internal = said("InternalFailure", "oops", 500)
    assert type(from_client(internal, "x", effect=True)) is errors.OutcomeUnknown
    assert type(from_client(internal, "x")) is errors.Unavailable


def test_a_models_own_error_keeps_its_status_and_its_words():
    found = from_client(
        said(
            "ModelError",
            "Received server error (500)",
            424,
            OriginalStatusCode=503,
            OriginalMessage="busy",
        ),
        "invoking",
    )
    assert (type(found), found.status, found.body) == (errors.ModelError, 503, "busy")


@pytest.mark.parametrize(
    ("error", "of_an_effect", "of_a_read"),
    [
        (
            aws.ConnectionClosedError(endpoint_url="http://x"),
            errors.OutcomeUnknown,
            errors.Unavailable,
        ),
        (aws.ReadTimeoutError(endpoint_url="http://x"), errors.OutcomeUnknown, errors.Unavailable),
        (aws.ResponseStreamingError(error="x"), errors.OutcomeUnknown, errors.Unavailable),
        (
            aws.EndpointConnectionError(endpoint_url="http://x"),
            errors.Unavailable,
            errors.Unavailable,
        ),
        (aws.ConnectTimeoutError(endpoint_url="http://x"), errors.Unavailable, errors.Unavailable),
        (aws.NoCredentialsError(), errors.Denied, errors.Denied),
        (aws.ParamValidationError(report="Missing"), errors.Invalid, errors.Invalid),
    ],
)
def test_a_lost_reply_is_unknown_and_a_connection_that_was_never_made_is_not(
    error, of_an_effect, of_a_read
):
    for effect, kind in ((True, of_an_effect), (False, of_a_read)):
        with pytest.raises(errors.IsthmusError) as found, translated("this", effect=effect):
            raise error
        assert type(found.value) is kind


def test_our_own_mistakes_pass_untouched():
    with pytest.raises(ZeroDivisionError), translated("this"):
        raise ZeroDivisionError


def test_a_page_of_status_500_is_no_reason_to_try_again_and_its_html_is_not_repeated():
    page = said("500", "<!doctype html><title>500</title>", 500)
    page.response["ResponseMetadata"]["HTTPHeaders"] = {"content-type": "text/html; charset=utf-8"}
    read = from_client(page, "reading")
    assert type(read) is errors.Unavailable
    assert "try again" not in read.remedy
    assert "<" not in read.message
    assert type(from_client(page, "writing", effect=True)) is errors.OutcomeUnknown


@pytest.mark.parametrize(
    ("effect", "kind"), [(False, errors.Unavailable), (True, errors.OutcomeUnknown)]
)
def test_a_page_in_the_place_of_xml_is_no_reason_to_try_again_either(effect, kind):
    """botocore reads no code out of it, and raises what is no ClientError."""
    page = (
        "Unable to parse response (syntax error), invalid XML received. Further retries may "
        "succeed:\nb'<!doctype html>'"
    )
    with pytest.raises(errors.IsthmusError) as told, translated("this", effect=effect):
        raise ResponseParserError(page)
    assert type(told.value) is kind
    assert "try again" not in told.value.remedy
    assert "<" not in told.value.message
