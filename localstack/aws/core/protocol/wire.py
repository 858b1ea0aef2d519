"""HTTP as AWS speaks it: which operation a request is, its parameters, and how answers are written.

It stands on moto's router, parsers and serializers, which read botocore's models. They are private
to moto: the version is pinned, and tests/aws/protocol/test_front.py watches what is used of them.
"""

from __future__ import annotations

import io
import json
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs, unquote
from xml.sax.saxutils import escape

import msgspec
from botocore.exceptions import DataNotFoundError
from botocore.utils import parse_timestamp
from botocore.validate import ParamValidator
from werkzeug.exceptions import NotFound

from ....core.http.answers import WsgiAnswer
from ..caller import Caller
from ..environment import ACCOUNT, REGION
from ..incoming import IncomingRequest
from ..moto_internals import (
    PROTOCOL_PARSERS,
    Request,
    RequestParserError,
    determine_request_protocol,
    get_serializer_class,
    get_service_model,
    get_service_router,
)
from ..registry import AwsError
from . import invoke_wire, json_wire

BAD_XML = "MalformedXML"
_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
# Signing names that are not the name of botocore's service.
SIGNED_AS = {
    "monitoring": "cloudwatch",
    "states": "stepfunctions",
    "elasticloadbalancing": "elbv2",
    "email": "ses",
    "tagging": "resourcegroupstaggingapi",
}
# Services that sign alike, and only their paths tell apart.
_PATHS = {
    "sagemaker": (
        ("/endpoints/", "sagemaker-runtime"),
        ("/FeatureGroup/", "sagemaker-featurestore-runtime"),
        ("/BatchGetRecord", "sagemaker-featurestore-runtime"),
        ("/BatchWriteRecord", "sagemaker-featurestore-runtime"),
        ("/ListRecords", "sagemaker-featurestore-runtime"),
        ("/BatchPutMetrics", "sagemaker-metrics"),
        ("/BatchGetMetrics", "sagemaker-metrics"),
    ),
    "bedrock": (("/model/", "bedrock-runtime"),),
}


def understand(environ: dict[str, Any]) -> IncomingRequest:
    """Parse an HTTP request: its service, operation, parameters and sender.

    The body is read once and can be read again from environ["wsgi.input"].
    """
    access_key, region, signed = credential(environ)
    account = access_key if len(access_key) == 12 and access_key.isdigit() else ACCOUNT
    target = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
    service = _service(signed, environ.get("PATH_INFO", ""), target)
    incoming = IncomingRequest(
        environ=environ,
        account=account,
        region=region,
        caller=Caller(access_key, _token(environ)),
        service=service,
    )
    environ.setdefault("RAW_URI", environ.get("REQUEST_URI") or environ.get("PATH_INFO", "/"))
    if account != ACCOUNT:
        environ["HTTP_X_MOTO_ACCOUNT_ID"] = account
    if not signed:
        return incoming
    if incoming.service == invoke_wire.SERVICE and (blob := invoke_wire.read(environ)):
        model, incoming.params = blob
        incoming.model, incoming.operation = model, str(model.name)
        return incoming
    request = incoming.request = Request(environ)
    try:
        router: Any = get_service_router(incoming.service)
        if router._service_model.protocol == "rest-json":  # noqa: SLF001  a body of any content type may go to an endpoint
            router = router._get_router("rest-json")  # noqa: SLF001
        model, incoming.url_params = router.match(request)
        incoming.model, incoming.operation = model, str(model.name)
    except (
        NotFound,
        NotImplementedError,
        DataNotFoundError,
    ):  # no such operation, protocol or service
        incoming.operation = target or f"{request.method} {request.path}"
    return incoming


def parameters(incoming: IncomingRequest) -> dict[str, Any]:
    """Return a request's parameters, parsed by botocore's model of the operation.

    Raises:
        AwsError: The request cannot be read.
    """
    if incoming.params is None:
        if incoming.model is None or incoming.request is None:
            return {}
        parser = PROTOCOL_PARSERS[_protocol(incoming)](incoming.model, timestamp_parser=_aware)
        request = incoming.request
        body = request.get_data()  # before `values`, which would take a form out of it
        parts: Any = {
            "method": request.method,
            "values": request.values,
            "headers": request.headers,
            "body": body,
            "url_path": request.path,
            "url_params": incoming.url_params,
        }
        try:
            if has_json_body(incoming) and body:
                _check_json(incoming, body)
            params: dict[str, Any] = parser.parse(parts) or {}
            incoming.params = params
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise AwsError(
                "SerializationException", f"the request cannot be read: {error}", 400
            ) from error
        except RequestParserError as error:
            raise AwsError(
                BAD_XML, f"The XML you provided was not well-formed: {error}", 400
            ) from error
    return incoming.params


def _check_json(incoming: IncomingRequest, body: bytes) -> None:
    """Check that a request's body is a JSON object where its protocol wants one.

    moto's parser takes anything else for an empty one.

    Raises:
        ValueError: The body is not JSON.
        TypeError: The body is JSON, but not an object.
    """
    shape: Any = incoming.model.input_shape if incoming.model is not None else None
    payload = shape.members.get(shape.serialization.get("payload")) if shape is not None else None
    if payload is not None and payload.type_name != "structure":
        return
    try:
        _object(body)
    except msgspec.DecodeError:  # it is stricter than AWS is over numbers and escapes
        if not isinstance(json.loads(body), dict):
            raise TypeError("the body is no JSON object") from None


def malformed_error(incoming: IncomingRequest) -> AwsError | None:
    """Return the error for a request that does not match botocore's model, or None.

    It does not parse, lacks required parameters, or has values of other types.
    """
    try:
        params = parameters(incoming)
    except AwsError as error:
        return error
    shape = incoming.model.input_shape if incoming.model is not None else None
    report = ParamValidator().validate(params, shape) if shape is not None else None
    if report is None or not report.has_errors():
        return None
    return AwsError(
        "InvalidRequest" if incoming.service == "s3" else "ValidationException",
        report.generate_report(),
        400,
    )


def has_json_body(incoming: IncomingRequest) -> bool:
    """Return whether the parameters of a request's operation are sent as JSON."""
    return incoming.model is not None and "json" in _protocol(incoming)


def check_body(incoming: IncomingRequest) -> None:
    """Check that a request's body is valid JSON or XML where its protocol wants that.

    moto would fail over it, or take it for an empty one.

    Raises:
        AwsError: The body is not valid.
    """
    try:
        parameters(incoming)
    except AwsError as error:
        if error.code == BAD_XML or has_json_body(incoming):
            raise


def unreadable(environ: dict[str, Any], error: AwsError) -> WsgiAnswer:
    """Return the HTTP error response to a request that cannot be parsed, in its protocol."""
    service = _service(credential(environ)[2], "", "")
    incoming = IncomingRequest(
        environ=environ, account=ACCOUNT, region=REGION, caller=Caller(""), service=service
    )
    return _plain_refusal(incoming, error)


def answer(incoming: IncomingRequest, result: Mapping[str, Any] | None) -> WsgiAnswer:
    """Serialize a handler's result as the HTTP response of the operation."""
    blob = (
        invoke_wire.response(result) if result and incoming.service == invoke_wire.SERVICE else None
    )
    return _serialized(incoming, result or {}) if blob is None else WsgiAnswer(200, *blob)


def refusal(incoming: IncomingRequest, error: AwsError) -> WsgiAnswer:
    """Serialize an error as an HTTP response, from which botocore raises its exception."""
    if incoming.model is None:
        return _plain_refusal(incoming, error)
    shaped = _Shaped(error.message)
    shaped.__dict__.update(error.fields, code=error.code, message=error.message)
    with warnings.catch_warnings():
        # codes such as ThrottlingException are in no model, and are right
        warnings.simplefilter("ignore")
        written = _serialized(incoming, shaped)
    return WsgiAnswer(error.status or written.status, written.headers, written.body, error.code)


class _Shaped(Exception):
    pass


def _serialized(incoming: IncomingRequest, result: object) -> WsgiAnswer:
    """Serialize a result or an error in the operation's protocol (JSON, XML ...)."""
    if incoming.model is None:
        raise ValueError("an operation without a model cannot be answered")
    protocol = _protocol(incoming)
    plain = (
        json_wire.answer(incoming.service, protocol, incoming.model, result)
        if protocol in json_wire.PROTOCOLS
        else None
    )
    if plain is not None:
        return plain
    serializer = get_serializer_class(incoming.service, protocol)(operation_model=incoming.model)
    done = serializer.serialize(result)
    body = done["body"]
    data = body.encode() if isinstance(body, str) else bytes(body or b"")
    return WsgiAnswer(
        done["status_code"], tuple((k, str(v)) for k, v in done["headers"].items()), data
    )


def _plain_refusal(incoming: IncomingRequest, error: AwsError) -> WsgiAnswer:
    """Serialize an error for a request whose operation is unknown, guessing its protocol."""
    status = error.status or 400
    if "json" in incoming.environ.get("CONTENT_TYPE", "") or incoming.service.startswith(
        "sagemaker"
    ):
        body = json.dumps(
            {"__type": error.code, "Message": error.message, "message": error.message}
        )
        return WsgiAnswer(
            status,
            (("Content-Type", "application/json"), ("X-Amzn-Errortype", error.code)),
            body.encode(),
            error.code,
        )
    code, message = escape(error.code), escape(error.message)
    text = f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
    if incoming.service not in ("s3", "") or "x-www-form-urlencoded" in incoming.environ.get(
        "CONTENT_TYPE", ""
    ):
        text = f"<ErrorResponse>{text}</ErrorResponse>"
    return WsgiAnswer(status, (("Content-Type", "text/xml"),), text.encode(), error.code)


def _protocol(incoming: IncomingRequest) -> str:
    """Return the name of the AWS protocol of a request, such as json or query."""
    if incoming.model is None:
        raise ValueError("a request without a model has no protocol")
    service_model: Any = incoming.model.service_model
    if service_model.protocol == "rest-json":
        return "rest-json"
    if incoming.request is None:
        raise ValueError("the request was not read")
    return determine_request_protocol(service_model, incoming.request.content_type)


def _aware(value: Any) -> datetime:
    """Return a timestamp (text, number or datetime) as a datetime with a time zone, UTC if none."""
    parsed: datetime = parse_timestamp(value)
    return parsed.astimezone(UTC)


def credential(environ: Mapping[str, Any]) -> tuple[str, str, str]:
    """Return the access key, the region and the service's signing name in a request's signature.

    They stand in the header of Signature Version 4 or in a presigned URL; the signing name is empty
    when nothing is signed.
    """
    scope = ""
    header, query = environ.get("HTTP_AUTHORIZATION", ""), environ.get("QUERY_STRING", "")
    if "Credential=" in header:
        scope = header.split("Credential=", 1)[1].split(",", 1)[0].strip()
    elif "X-Amz-Credential" in query:
        scope = unquote(parse_qs(query).get("X-Amz-Credential", [""])[0])
    elif "AWSAccessKeyId=" in query:  # S3's URLs of version 2
        return parse_qs(query).get("AWSAccessKeyId", [""])[-1], REGION, "s3"
    parts = scope.split("/")
    if len(parts) != 5:
        return "", REGION, ""
    return parts[0], parts[2], parts[3].lower()


def _token(environ: Mapping[str, Any]) -> str:
    """Return the session token of a request, or an empty text."""
    query = environ.get("QUERY_STRING", "")
    return str(
        environ.get("HTTP_X_AMZ_SECURITY_TOKEN")
        or (query and parse_qs(query).get("X-Amz-Security-Token", [""])[0])
    )


def _service(signed: str, path: str, target: str) -> str:
    """Return botocore's name of the service that a request is for, by signature and path.

    `signed` is the service's name in the signature, and `target` the operation in the headers.
    """
    if signed == "timestream":  # two services, and one path for all of their operations
        operations: Any = get_service_model("timestream-query").operation_names
        return "timestream-query" if target in operations else "timestream-write"
    of_path = (name for start, name in _PATHS.get(signed, ()) if path.startswith(start))
    return next(of_path, SIGNED_AS.get(signed, signed))


def buffer_body(environ: dict[str, Any]) -> None:
    """Read the body once into memory, so that both a handler and moto can read it."""
    length = int(environ.get("CONTENT_LENGTH") or 0)
    environ["wsgi.input"] = io.BytesIO(environ["wsgi.input"].read(length) if length else b"")


def rewind(environ: dict[str, Any]) -> dict[str, Any]:
    """Return the WSGI environment with the body, already in memory, set back to its start.

    What werkzeug has cached in it is left out.
    """
    environ["wsgi.input"].seek(0)
    return {key: value for key, value in environ.items() if not key.startswith("werkzeug.")}
