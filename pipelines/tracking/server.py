"""Connect to the MLflow server that `tracking: {mlflow: URI}` of profiles.yaml names."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Generator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ...errors import Denied, Invalid, Refused, Unavailable
from ...project.profiles.options import on_this_machine
from ...project.profiles.profiles import FILE, mlflow
from ...target import Packages, require

if TYPE_CHECKING:
    from mlflow import MlflowClient

    from ...core.runtime.project import Project

NEEDS = Packages(modules=("mlflow",), install="isthmus[mlflow]")
_REACHED = 3.0  # seconds until a server that does not take connections is called away
_AGAIN = "isthmus runs export --to mlflow"
# MLflow's own variables, where the user has not set them
_DEFAULTS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",  # seconds; with its own it asks for four minutes
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # what it tells its makers
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",  # where our result goes
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_LOGGING_LEVEL": "WARNING",
}


def uri(project: Project) -> str | None:
    """Return the MLflow server's URI; None if profiles.yaml names no server.

    Raises:
        ProjectError: its variable is not set.
    """
    return mlflow(project.description)


@contextmanager
def client(project: Project, server: str) -> Generator[MlflowClient]:
    """Yield MLflow's client, once the server accepts connections, and translate its errors.

    Raises:
        Refused: the target is an offline stack, and the MLflow server is not on this machine.
        MissingDependency: MLflow is not installed.
        Unavailable: the server does not answer.
        Denied: the server says no.
        Invalid: the server refuses the request.
    """
    target = project.target
    if (
        target.adapter.remote
        and "endpoint_url" in target.profile.options
        and not on_this_machine(server)
    ):
        raise Refused(
            f"{server} is not on this machine, and --offline sends nothing elsewhere",
            remedy="name a server on 127.0.0.1",
        )
    require(NEEDS, f"tracking.mlflow of {FILE}")
    _reach(server)
    for name, value in _DEFAULTS.items():
        os.environ.setdefault(name, value)
    from mlflow import MlflowClient
    from mlflow.exceptions import MlflowException
    from requests import HTTPError

    # with the package sagemaker-mlflow installed, which sagemaker brings, it warns at each call
    # that the server is none of SageMaker's
    logging.getLogger("mlflow.tracking.request_header.registry").setLevel(logging.ERROR)
    try:
        yield MlflowClient(tracking_uri=server, registry_uri=server)
    except (
        MlflowException,
        HTTPError,
    ) as error:  # the second is an artifact's, which MLflow passes on as it is
        raise _as_isthmus_error(error, server) from error


def _reach(server: str) -> None:
    """Raise Unavailable if the MLflow server does not accept connections."""
    parts = urlsplit(server)
    place = (parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80))
    try:
        with closing(socket.create_connection(place, timeout=_REACHED)):
            return
    except OSError as error:
        raise Unavailable(
            f"MLflow at {server} does not answer: {error.strerror or error}",
            remedy=f"once it does: {_AGAIN}",
        ) from error


def _as_isthmus_error(error: Any, server: str) -> Denied | Invalid | Unavailable:
    """Return an error of MLflow as the matching Isthmus error, by its HTTP status."""
    words = f"MLflow at {server}: {str(error).partition(chr(10))[0]}"
    response = getattr(error, "response", None)
    status = error.get_http_status_code() if response is None else response.status_code
    if status in (401, 403):
        return Denied(
            words,
            remedy="MLflow reads MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or "
            "MLFLOW_TRACKING_TOKEN",
        )
    return Invalid(words) if 400 <= status < 500 else Unavailable(words, remedy=_AGAIN)
