"""Identification of the server at an offline target's URL, and of the operations that it lacks.

Our own stack is only asked who it is.
"""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

from ...errors import IsthmusError, Unavailable, Unsupported
from .errors import translated

OURS = "our stack"
MOTO = "a moto server"
LOCALSTACK = "LocalStack"
_UNKNOWN = "an unknown server"

# One listing for each service, and for each part of SageMaker that an emulator has or lacks as a
# whole.
_PROBES = (
    ("s3", "ListBuckets"),
    ("glue", "GetDatabases"),
    ("athena", "ListWorkGroups"),
    ("kinesis", "ListStreams"),
    ("firehose", "ListDeliveryStreams"),
    ("cloudwatch", "ListMetrics"),
    ("logs", "DescribeLogGroups"),
    ("dynamodb", "ListTables"),
    ("resourcegroupstaggingapi", "GetResources"),
    ("sagemaker", "ListFeatureGroups"),
    ("sagemaker", "ListPipelines"),
    ("sagemaker", "ListModelPackageGroups"),
    ("sagemaker", "ListEndpoints"),
)
_REMEDY = "for a stack of our own, unset AWS_ENDPOINT_URL and take `offline:` out of profiles.yaml"
_UNKNOWN_OPERATION = re.compile(rb"\b(UnknownOperation(Exception)?|InvalidAction)\b")


def server(url: str) -> str:
    """Return which server answers at `url`: isthmus_stack, LocalStack, moto or an unknown one.

    Each is recognized by a page that only it has.
    """
    if "pid" in _document(url, "_stack/health"):
        return OURS
    if "services" in _document(url, "_localstack/health"):
        return LOCALSTACK
    return MOTO if b"moto" in _page(url, "moto-api/").lower() else _UNKNOWN


def description(url: str, client: Callable[[str], Any]) -> str:
    """Return a line of text on the server at `url` and the AWS operations that it lacks.

    It is "" for our own stack. `client` makes a boto3 client of a service. Raises Unavailable if
    nothing answers.
    """
    name = server(url)
    if name == OURS:
        return ""
    missing = [
        operation for service, operation in _PROBES if not _is_there(client(service), operation)
    ]
    return f"this is {name}" + (f": {_absent(missing)}" if missing else "")


def _is_there(client: Any, operation: str) -> bool:
    """Return whether the server implements an operation, by calling it.

    Only the error that it lacks the operation counts as no.
    """
    from botocore import xform_name
    from botocore.parsers import ResponseParserError

    try:
        with translated(operation):
            getattr(client, xform_name(operation))()
    except (Unsupported, ResponseParserError):
        return False
    except Unavailable:
        raise
    except IsthmusError:  # a refusal comes from an operation that is there
        return True
    return True


def refuse_missing_operations(url: str, session: Any) -> None:
    """Make all clients of a botocore session raise Unsupported where the server lacks an operation.

    It is for servers such as moto in place of AWS. The call is not repeated.
    """

    def refuse(
        operation_model: Any, response_dict: Any, **_: Any
    ) -> None:  # before it is parsed: a page is no XML
        if _means_missing(response_dict["status_code"], response_dict["body"]):
            name, operation = server(url), operation_model.name
            if name != OURS:  # which answers what it lacks in AWS's words
                raise Unsupported(
                    f"this is {name}: {_absent([operation])}", capability=operation, remedy=_REMEDY
                )

    session.register("before-parse", refuse)


def _absent(operations: list[str]) -> str:
    """Return a clause for a message that names the operations that a server lacks."""
    return (
        f"{', '.join(operations)} {'is' if len(operations) == 1 else 'are'} not there; see "
        "localstack/docs/other-servers.md"
    )


def _means_missing(status: int, body: bytes) -> bool:
    """Return whether an HTTP answer says that the server does not implement an operation."""
    return (
        status == 501
        or (status in {400, 404} and bool(_UNKNOWN_OPERATION.search(body)))
        or (status in {404, 405, 500} and _html(body))
    )


def _html(body: object) -> bool:
    """Return whether an HTTP body is an HTML page.

    Its text tells, as moto sends JSON as text/html, too.
    """
    return isinstance(body, bytes) and b"<html" in body[:200].lower()


def _document(url: str, path: str) -> dict[str, Any]:
    """Return the JSON object at a path of the server, or an empty dictionary."""
    try:
        document = json.loads(_page(url, path))
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _page(url: str, path: str) -> bytes:
    """Fetch the bytes of the page at a path of the server; empty if it has none.

    Raises:
        Unavailable: Nothing answers.
    """
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}/{path}", timeout=10) as answer:  # noqa: S310  profiles.yaml takes http(s) only
            page: bytes = answer.read()
            return page
    except urllib.error.HTTPError:
        return b""
    except OSError as error:
        raise Unavailable(
            f"nothing answers at {url}: {error}",
            remedy="start what stands for AWS, or change `offline:` in profiles.yaml",
        ) from error
