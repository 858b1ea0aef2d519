"""InvokeEndpoint on the wire: one blob in, one out, and headers.

It uses the shapes of botocore's model, but not moto's general router, parser and serializer: they
take longer than a small model does, and the serializer writes its own Content-Type over the member
of that name.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from ..moto_internals import OperationModel, get_service_router

SERVICE = "sagemaker-runtime"
_PATH = re.compile(r"/endpoints/([^/]+)/invocations")


def read(environ: Mapping[str, Any]) -> tuple[OperationModel, dict[str, Any]] | None:
    """Return the operation and the parameters of an InvokeEndpoint request.

    None for another path or method. The body has been read into memory before.
    """
    match = _PATH.fullmatch(environ.get("PATH_INFO", ""))
    if match is None or environ["REQUEST_METHOD"] != "POST":
        return None
    params: dict[str, Any] = {"EndpointName": match[1]}
    for member, key in _members():
        value = environ.get(key)
        if value:
            params[member] = value
    params["Body"] = environ["wsgi.input"].getvalue()
    return _model(), params


def response(result: Mapping[str, Any]) -> tuple[tuple[tuple[str, str], ...], bytes] | None:
    """Return headers and body of InvokeEndpoint's response; None if its body is not bytes."""
    body = result.get("Body")
    if isinstance(body, str):  # botocore's parser makes text of a blob that moto answered
        body = body.encode()
    if not isinstance(body, bytes):
        return None
    return tuple(
        (header, str(result[member]))
        for member, header in _response_headers()
        if result.get(member) is not None
    ), body


@lru_cache(maxsize=1)
def _model() -> OperationModel:
    """Return botocore's model of InvokeEndpoint."""
    router: Any = get_service_router(SERVICE)
    model: OperationModel = router._service_model.operation_model("InvokeEndpoint")  # noqa: SLF001
    return model


@lru_cache(maxsize=1)
def _members() -> tuple[tuple[str, str], ...]:
    """Return each parameter of InvokeEndpoint that is a header, with its WSGI name."""
    named = (
        (member, header.upper().replace("-", "_"))
        for member, header in _headers(_model().input_shape)
    )
    return tuple((member, key if key == "CONTENT_TYPE" else f"HTTP_{key}") for member, key in named)


@lru_cache(maxsize=1)
def _response_headers() -> tuple[tuple[str, str], ...]:
    """Return the members of InvokeEndpoint's result that are headers, with the headers' names."""
    return _headers(_model().output_shape)


def _headers(shape: Any) -> tuple[tuple[str, str], ...]:
    """Return the members of a botocore shape that are HTTP headers, with the headers' names."""
    return tuple(
        (k, m.serialization["name"])
        for k, m in shape.members.items()
        if m.serialization.get("location") == "header"
    )
