"""One call of an endpoint, by plain HTTP.

A dedicated endpoint has a host of its own, and the bodies are JSON as they are.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from ....endpoints.port import Reply
from ....errors import Busy, Denied, ModelError, NotFound, Throttled, Unavailable
from ..errors import LOGIN, translated
from ..session import VertexSession
from . import deployed_models

_JSON = "application/json"
_SECONDS = 60  # that a shared endpoint gives a model


class _Answer(msgspec.Struct):
    """An answer of predictions."""

    predictions: tuple[object, ...]
    deployedModelId: str = ""  # noqa: N815  the API's name
    modelVersionId: str = ""  # noqa: N815


class _Error(msgspec.Struct):
    """An error's message and status."""

    message: str = ""
    status: str = ""


class _Refusal(msgspec.Struct):
    """An answer of an error."""

    error: _Error


class _Place(msgspec.Struct, frozen=True):
    """An endpoint's URL, and our names of its DeployedModels."""

    url: str
    names: Mapping[str, str]


_answer = msgspec.json.Decoder(_Answer)
_refusal = msgspec.json.Decoder(_Refusal)


class Invoker:
    """Calls of a target's endpoints.

    `answering` returns the endpoint of Vertex AI that answers for a variant, or for any. It is
    remembered until an answer does not fit it.
    """

    def __init__(self, session: VertexSession, answering: Callable[[str, str | None], Any]) -> None:
        self._session = session
        self._answering = answering
        self._places: dict[tuple[str, str | None], _Place] = {}
        self._local = threading.local()

    def invoke(self, endpoint: str, variant: str | None, body: bytes, *, request_id: str) -> Reply:
        """Send one prediction request to an endpoint, and return the reply.

        It is not repeated if a model was asked: that would count twice in the split and the
        metrics.

        Raises:
            NotFound: There is no such endpoint or variant.
            ModelError: The model failed.
            Busy: No model that takes traffic is deployed.
        """
        key = endpoint, variant
        place = self._places.get(key) or self._place(endpoint, variant)
        answer = self._post(endpoint, place, body, request_id)
        if _asked_nobody(
            answer
        ):  # it is gone, or on its way: then it is NotFound, or another one answers
            self._places.pop(key, None)
            if (now := self._place(endpoint, variant)).url != place.url:
                place, answer = now, self._post(endpoint, now, body, request_id)
        if answer.status_code != 200:
            self._places.pop(key, None)
            raise _model_error(endpoint, answer.status_code, answer.content)
        try:
            reply = _answer.decode(answer.content)
        except msgspec.MsgspecError as error:
            text = answer.text
            raise ModelError(
                f"{endpoint}: the model's answer has no predictions: {error}", status=200, body=text
            ) from error
        name = place.names.get(reply.deployedModelId)
        if name is None:  # deployed since
            name = self._place(endpoint, variant).names.get(reply.deployedModelId, "")
        version = reply.modelVersionId
        return Reply(
            predictions=reply.predictions,
            variant=name,
            version=int(version) if version.isdigit() else None,
        )

    def _post(self, endpoint: str, place: _Place, body: bytes, request_id: str) -> Any:
        """Post a prediction request to an endpoint's URL, and return the HTTP response."""
        headers = {"Content-Type": _JSON, "X-Request-Id": request_id}
        with translated(f"invoking {endpoint}"):
            return self._http().post(place.url, data=body, headers=headers, timeout=_SECONDS + 5)

    def _place(self, endpoint: str, variant: str | None) -> _Place:
        """Return the URL of the endpoint that answers for a variant, cached after its look-up."""
        described = self._answering(endpoint, variant)
        session = self._session
        host = described.dedicated_endpoint_dns or f"{session.location}-aiplatform.googleapis.com"
        root = (session.endpoint_url or f"https://{host}").rstrip("/")
        place = _Place(f"{root}/v1/{described.name}:predict", deployed_models.names(described))
        self._places[endpoint, variant] = place
        return place

    def _http(self) -> Any:
        """Return this thread's HTTP session, as threads cannot share one."""
        http = getattr(self._local, "http", None)
        if http is None:
            http = self._local.http = self._session.http()
        return http


def _asked_nobody(answer: Any) -> bool:
    """Return whether an HTTP response shows that no model has received the request."""
    return answer.status_code == 404 or (
        answer.status_code == 400 and _error_of(answer.content).status == "FAILED_PRECONDITION"
    )


def _error_of(body: bytes) -> _Error:
    """Parse the error message and status in the body of a response."""
    try:
        return _refusal.decode(body).error
    except msgspec.MsgspecError:
        return _Error(message=body.decode("utf-8", "replace"))


def _model_error(endpoint: str, status: int, body: bytes) -> Exception:
    """Return the error for a response of an endpoint that is no prediction."""
    error = _error_of(body)
    text = f"invoking {endpoint}: {error.message} ({status} {error.status})"
    if status == 404 and "endpoint" in error.message.lower():
        return NotFound(text, remedy=f"isthmus deploy {endpoint}")
    if status == 400 and error.status == "FAILED_PRECONDITION":
        return Busy(text, remedy="try again when a model is deployed that takes traffic")
    if status in (401, 403):
        return Denied(text, remedy=LOGIN)
    if status == 429:
        return Throttled(text, remedy="try again in a moment")
    if status == 503:
        return Unavailable(text, remedy="try again in a moment")
    return ModelError(
        f"{endpoint}: the model answered {status}: {error.message}",
        status=status,
        body=error.message,
    )
