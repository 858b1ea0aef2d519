"""The variables that lead Google's SDKs to a stack, and those that would lead them away."""

from __future__ import annotations

import functools
import urllib.request
from collections.abc import Mapping

import msgspec

from .core.environment import STACK, Environment

TITLE = "GCP"
PORT = 4600
NEEDS = ("google.cloud.aiplatform_v1", "grpc", "uvloop")
OPTIONS = frozenset({"any_key"})
SERVICES = "aiplatform storage bigquery pubsub firestore monitoring logging resourcemanager"
ADDRESS = STACK
STRAY = (
    STACK,
    "STORAGE_EMULATOR_HOST",
    "BIGQUERY_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
    "FIRESTORE_EMULATOR_HOST",
    "GOOGLE_APPLICATION_CREDENTIALS",
    "GOOGLE_CLOUD_QUOTA_PROJECT",
    "GOOGLE_CLOUD_PROJECT",
    "GCLOUD_PROJECT",
    "GOOGLE_CLOUD_REGION",
    "GOOGLE_CLOUD_UNIVERSE_DOMAIN",
    "GOOGLE_API_USE_CLIENT_CERTIFICATE",
    "GOOGLE_API_USE_MTLS_ENDPOINT",
    "CURL_CA_BUNDLE",
    "grpc_proxy",
    "http_proxy",
    "all_proxy",
    "HTTP_PROXY",
    "ALL_PROXY",
)


def ways_into(url: str) -> Environment:
    """Return the ways to connect to the stack at `url`."""
    return _fetch(url)


def variables(url: str) -> dict[str, str]:
    """Return the variables with which every SDK of Google's talks to the stack at `url` only."""
    return ways_into(url).door


def proxy(url: str, environ: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG001  as every cloud's
    """Return no variables: the stack's door is part of `variables`."""
    return {}


def ways(url: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return the variables to export for each way to connect, with a remark."""
    stack = ways_into(url)
    rest = f'api_endpoint="{url}", api_transport="rest"'
    return (
        ("nothing in the code: every client of Google's comes here", stack.door),
        (
            (
                f"or the SDKs' own variables, and for Vertex AI {rest}, or "
                f'grpc.insecure_channel("{stack.grpc_address}")'
            ),
            stack.emulators,
        ),
    )


def summary(url: str) -> str:  # noqa: ARG001  as every cloud's
    """Return a line for the user to read before anything is called."""
    from .googlesql import compiled

    return (
        "queries are checked by GoogleSQL's analyzer"
        if compiled.available()
        else "queries are not checked: zetasql is not installed"
    )


def stray(name: str) -> bool:
    """Return whether a variable conflicts with the stack's own."""
    return name in STRAY or name.startswith("CLOUDSDK_")


@functools.lru_cache(maxsize=16)
def _fetch(url: str) -> Environment:
    """Ask a stack for the ways into it; cached by its URL."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/_stack/environment", timeout=60) as answer:
        return msgspec.json.decode(answer.read(), type=Environment)
