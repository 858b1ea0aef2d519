"""Calls of the stack to itself: boto3 clients without a socket, and single operations of moto."""

from __future__ import annotations

import io
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cache, lru_cache, partial
from typing import Any
from urllib.parse import unquote, urlsplit

import botocore.awsrequest
import botocore.parsers
import botocore.serialize
import botocore.session
from botocore import UNSIGNED
from botocore.awsrequest import AWSPreparedRequest, AWSResponse
from botocore.config import Config
from botocore.model import OperationModel, ServiceModel

from ...core.http.answers import WsgiAnswer
from .environment import ACCOUNT, ANY
from .registry import AwsError

_HERE = "http://127.0.0.1"
_OF_A_CONNECTION = frozenset({"CONTENT_LENGTH", "TRANSFER_ENCODING", "EXPECT"})


class Clients:
    """boto3's clients for each service, account and region, whose requests stay in the process.

    Requests go to `send` as WSGI environments.
    """

    def __init__(self, send: Callable[[dict[str, Any]], WsgiAnswer]) -> None:
        self._send = send
        self._made: dict[tuple[str, str, str], Any] = {}
        self._lock = threading.Lock()

    def get(self, service: str, account: str, region: str) -> Any:
        """Return the boto3 client of a service for an account and region; make it on first use."""
        key = (service, account, region)
        with self._lock:
            if key not in self._made:
                self._made[key] = self._make(service, account, region)
            return self._made[key]

    def _make(self, service: str, account: str, region: str) -> Any:
        """Make a client whose requests are answered within this process."""
        client = _session().create_client(
            service,
            region_name=region,
            endpoint_url=_HERE,
            config=Config(
                signature_version=UNSIGNED,  # nobody would check it
                retries={"total_max_attempts": 1},
                parameter_validation=False,
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )
        authorization = _authorization(account, region, client.meta.service_model)
        client.meta.events.register("before-send", partial(self._answer, authorization))
        return client

    def _answer(self, authorization: str, request: AWSPreparedRequest, **_: object) -> AWSResponse:
        """Answer a boto3 client's HTTP request inside this process, without a socket.

        `authorization` is the header that says whose client it is.
        """
        headers = {**request.headers, "Authorization": authorization}
        done = self._send(_environ(request.method, request.url, headers, _body(request.body)))
        return AWSResponse(request.url, done.status, dict(done.headers), _Raw(done.body))


class _Raw(io.BytesIO):
    """The body of an answer, in the form in which botocore expects urllib3's."""

    def stream(self, *_: object, **__: object) -> Iterator[bytes]:
        """Yield the bytes of the response's body in chunks, as urllib3 does."""
        while chunk := self.read(1 << 20):
            yield chunk


def environ_of_call(
    service: str, operation: str, params: Mapping[str, Any], account: str, region: str
) -> dict[str, Any]:
    """Return the request that botocore would send for an operation, as a WSGI environment.

    `params` are the operation's parameters. The request is not signed, but names the account and
    the region.
    """
    model = operation_model(service, operation)
    serializer = botocore.serialize.create_serializer(
        model.service_model.resolved_protocol, include_validation=False
    )
    wire: dict[str, Any] = serializer.serialize_to_request(dict(params), model)
    query = wire.get("query_string") or {}
    headers = {str(k): str(v) for k, v in wire["headers"].items()}
    headers["Authorization"] = _authorization(account, region, model.service_model)
    request = botocore.awsrequest.AWSRequest(
        method=wire["method"],
        url=_HERE + wire["url_path"],
        params=query,
        data=wire["body"],
        headers=headers,
    ).prepare()
    return _environ(request.method, request.url, dict(request.headers.items()), _body(request.body))


def parsed(service: str, operation: str, done: WsgiAnswer) -> dict[str, Any]:
    """Return a response of an operation parsed as botocore would, without ResponseMetadata.

    Raises:
        AwsError: The response is an error.
    """
    model = operation_model(service, operation)
    parser = botocore.parsers.create_parser(model.service_model.resolved_protocol)
    headers = botocore.awsrequest.HeadersDict(dict(done.headers))
    result: dict[str, Any] = parser.parse(
        {"status_code": done.status, "headers": headers, "body": done.body}, model.output_shape
    )
    result.pop("ResponseMetadata", None)
    if done.status >= 300:
        error = result.pop("Error", {})
        raise AwsError(
            str(error.get("Code") or done.error or done.status),
            str(error.get("Message", "")),
            done.status,
            **result,
        )
    return result


def _session() -> botocore.session.Session:
    """Return a botocore session that shares loaded models: one is megabytes of JSON."""
    session = botocore.session.Session()
    session.register_component("data_loader", _loader())
    return session


@cache
def _loader() -> Any:
    """Return botocore's loader, which keeps the models that it has read."""
    return botocore.session.Session().get_component("data_loader")


@lru_cache(maxsize=64)
def _service_model(service: str) -> ServiceModel:
    """Return botocore's model of a service."""
    model: ServiceModel = _session().get_service_model(service)
    return model


def operation_model(service: str, operation: str) -> OperationModel:
    """Return botocore's model of an operation, with the shapes of its input and output."""
    return _service_model(service).operation_model(operation)


def _authorization(account: str, region: str, model: ServiceModel) -> str:
    """Return an Authorization header that names account, region and service, unsigned."""
    key = ANY.access_key if account == ACCOUNT else account
    return f"AWS4-HMAC-SHA256 Credential={key}/20200101/{region}/{model.signing_name}/aws4_request"


def _body(body: Any) -> bytes:
    """Return the body of a botocore request (text, bytes, file or None) as bytes."""
    if body is None:
        return b""
    if hasattr(body, "read"):
        body = body.read()
    return body.encode() if isinstance(body, str) else bytes(body)


def _environ(method: str, url: str, headers: Mapping[str, Any], body: bytes) -> dict[str, Any]:
    """Return a request's parts as the WSGI environment (PEP 3333) that a server would make."""
    parts = urlsplit(url)
    path = parts.path or "/"
    environ: dict[str, Any] = {
        "REQUEST_METHOD": method,
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote(path, "latin-1"),
        "QUERY_STRING": parts.query,
        "RAW_URI": f"{path}?{parts.query}" if parts.query else path,
        "SERVER_NAME": parts.hostname,
        "SERVER_PORT": str(parts.port or 80),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "HTTP_HOST": parts.netloc,
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": parts.scheme,
        "wsgi.input": io.BytesIO(body),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
    }
    for name, value in headers.items():
        variable = name.upper().replace("-", "_")
        text = value.decode("latin-1") if isinstance(value, bytes) else str(value)
        if variable == "CONTENT_TYPE":
            environ[variable] = text
        elif variable not in _OF_A_CONNECTION:
            environ[f"HTTP_{variable}"] = text
    return environ | {"REQUEST_URI": environ["RAW_URI"], "CONTENT_LENGTH": str(len(body))}
