"""moto's server below the stack: its answers to requests, and its crashes as answers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import nullcontext
from functools import cache, lru_cache
from typing import Any

import msgspec

from ....core.error_log import tell
from ....core.http.answers import WsgiAnswer
from ..environment import ACCOUNT, NOTEBOOK_ROLE, NOTEBOOK_ROLE_ID
from ..incoming import IncomingRequest
from ..moto_internals import (
    BackendRequest,
    DomainDispatcherApplication,
    IAMBackend,
    backend_url_patterns,
    core_responses,
    create_backend_app,
    default_user_config,
    list_of_moto_modules,
    method_names_from_class,
    moto_api_backend,
)
from ..registry import AwsError
from .moto_operations import MADE_UP, moto_has
from .wire import malformed_error, refusal, rewind


class _Dispatcher(DomainDispatcherApplication):
    def get_backend_for_host(self, host: str | None) -> Any:
        """Return moto's service for a host name.

        An unknown service is an error response then, not a message on stdout and a crash.
        """
        return host if host is None or host == "moto_api" else _backend(host)


@lru_cache(maxsize=256)  # a listing of moto's folder and 250 patterns otherwise, for every request
def _backend(host: str) -> Any:
    """Return moto's service for a host, found by its name or by its URL pattern."""
    if host in list_of_moto_modules():
        return host
    for backend, pattern in backend_url_patterns:
        if pattern.match(f"http://{host}"):
            return backend
    raise NotImplementedError(host)


class _ObjectsRequest(BackendRequest):
    @property
    def want_form_data_parsed(self) -> bool:
        """Whether Flask is to parse the request's body as a form.

        Only a POST is parsed. The content of an object that is put must stay as it is, also where
        curl or urllib call it a form: moto would lose it.
        """
        return self.method == "POST" and super().want_form_data_parsed


def _backend_app(service: Any) -> Any:
    """Return moto's Flask application that serves one service."""
    app = create_backend_app(service)
    if service == "s3":
        app.request_class = _ObjectsRequest
    return app


_dispatcher = _Dispatcher(_backend_app)
# moto's backends are plain dicts: of two requests at once an ADD of DynamoDB was lost, and a list
# beside a creation crashed
SERIAL = threading.RLock()
# whose calls may wait for other calls; SNS for its HTTP subscribers, who may ask the stack before
# they answer
_WAITING = frozenset({"sqs", "sns", "stepfunctions", "lambda", "batch"})


def answer(incoming: IncomingRequest) -> WsgiAnswer:
    """Return moto's HTTP response to a request.

    What it does not have, or cannot do, is an error that no SDK retries.
    """
    if (
        incoming.service == "s3"
        and incoming.model is not None
        and incoming.operation not in moto_has("s3")
    ):
        # moto would take ?metrics for a listing of the bucket
        return refusal(incoming, not_there(incoming))
    try:
        with nullcontext() if incoming.service in _WAITING else SERIAL:
            done = call(_dispatcher, rewind(incoming.environ))
    except NotImplementedError:
        return refusal(incoming, not_there(incoming))
    except Exception as error:  # noqa: BLE001  moto's mistakes are of every kind, and a client would wait through its retries
        rewind(incoming.environ)  # moto has read it
        if (wrong := malformed_error(incoming)) is not None:
            return refusal(incoming, wrong)
        tell(f"moto failed at {incoming.service}:{incoming.operation}", error)
        operation = f"{incoming.service}:{incoming.operation}"
        text = (
            f"the AWS stack cannot do {operation} with this request: moto raised "
            f"{type(error).__name__}: {error}"
        )
        return refusal(incoming, AwsError("NotImplemented", text, 501))
    if done.status in (404, 405) and incoming.service != "s3" and _no_answer(done):
        return refusal(incoming, not_there(incoming))
    return done


def made_up(incoming: IncomingRequest) -> AwsError | None:
    """Return an error for an operation whose response moto only makes up, else None."""
    if incoming.operation not in MADE_UP.get(incoming.service, ()):
        return None
    return AwsError(
        "NotImplemented",
        f"the AWS stack does not execute {incoming.service}:{incoming.operation} yet, and does "
        "not answer as if it had; --moto-answers gives moto's canned answer",
        501,
    )


def not_there(incoming: IncomingRequest) -> AwsError:
    """Return the error for an operation that neither the stack nor moto has."""
    return AwsError(
        "NotImplemented",
        f"the AWS stack has no {incoming.service}:{incoming.operation}; `isthmus-stack "
        "coverage aws` lists what it has",
        501,
    )


def reset() -> None:
    """Reset moto: remove the state of all its services."""
    moto_api_backend.reset()


def call(app: Any, environ: dict[str, Any]) -> WsgiAnswer:
    """Call a WSGI application, and return its whole response."""
    statuses: list[tuple[str, list[tuple[str, str]]]] = []

    def start_response(
        status: str, headers: list[tuple[str, str]], _exc_info: object = None
    ) -> Any:
        statuses.append((status, headers))
        return lambda _data: None

    chunks: Any = app(environ, start_response)
    try:
        body = b"".join(chunks)
    finally:
        if hasattr(chunks, "close"):
            chunks.close()
    status, headers = statuses[-1]
    code = int(status.split(" ", 1)[0])
    return WsgiAnswer(code, tuple(headers), body, _error_code(code, headers, body))


def _error_code(status: int, headers: list[tuple[str, str]], body: bytes) -> str | None:
    """Return the AWS error code in an HTTP response, from its headers or body, or None."""
    if status < 400:
        return None
    for key, value in headers:
        if key.lower() == "x-amzn-errortype":
            return value.split(":")[0].rpartition("#")[2]
    text = body[:4000].decode("utf-8", "replace")
    for start, end in (("<Code>", "</Code>"), ('"__type": "', '"'), ('"__type":"', '"')):
        if start in text:
            return text.split(start, 1)[1].split(end, 1)[0].rpartition("#")[2]
    return str(status)


def _no_answer(done: WsgiAnswer) -> bool:
    """Return whether moto did not answer: Flask's page for an unknown path, or moto's empty 404."""
    kind: Mapping[str, str] = {key.lower(): value for key, value in done.headers}
    return (
        not done.body
        or (kind.get("content-type", "").startswith("text/html") and b"<title>404" in done.body)
        or done.status == 405
    )


# moto goes through all that a class has, for every request
_methods = cache(method_names_from_class)


def configure(*, moto_answers: bool) -> None:
    """Configure moto: no containers, real state machines, and the role of the default keys."""
    dispatching: Any = core_responses
    dispatching.method_names_from_class = _methods
    iam: Any = IAMBackend
    # moto's own place for them: empty, and called
    iam.initialize_service_roles = _no_roles if moto_answers else _notebook_role
    default_user_config["batch"] = {"use_docker": False}
    default_user_config["lambda"] = {"use_docker": False}
    default_user_config["stepfunctions"] = {"execute_state_machine": True}


def _no_roles(_iam: IAMBackend) -> None:
    """Return no IAM roles, as moto has none at the start."""


def _notebook_role(iam: IAMBackend) -> None:
    """Create the IAM role that SageMaker's console creates for a notebook.

    The sagemaker SDK reads the caller's role with its trust policy and permissions. The permissions
    are attached once AWS's managed policies are loaded (policy/managed.py).
    """
    if iam.account_id != ACCOUNT:
        return
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "sagemaker.amazonaws.com"},
        "Action": "sts:AssumeRole",
    }
    document = msgspec.json.encode({"Version": "2012-10-17", "Statement": [trust]}).decode()
    words = "SageMaker execution role created from the SageMaker AWS Management Console."
    role = iam.create_role(NOTEBOOK_ROLE, document, "/service-role/", None, words, [], "3600")
    iam.roles[NOTEBOOK_ROLE_ID] = iam.roles.pop(role.id)
    role.id = NOTEBOOK_ROLE_ID
