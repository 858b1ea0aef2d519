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
    """Return the environment variables for connecting to the stack at `url`, for each way."""
    return _fetch(url)


def variables(url: str) -> dict[str, str]:
    """Return the environment variables that make Google's SDKs talk to the stack at `url`."""
    return ways_into(url).door


def proxy(url: str, environ: Mapping[str, str]) -> dict[str, str]:  # noqa: ARG001  as every cloud's
    """Return no variables: those for a proxy are part of `variables` here."""
    return {}


def ways(url: str) -> tuple[tuple[str, dict[str, str]], ...]:
    """Return each way to connect an SDK: a remark for the user, and its environment variables."""
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
    """Return what `up` prints of this stack: whether GoogleSQL's analyzer checks its queries."""
    from .googlesql import compiled

    return (
        "queries are checked by GoogleSQL's analyzer"
        if compiled.available()
        else "queries are not checked: zetasql is not installed"
    )


def stray(name: str) -> bool:
    """Return whether a variable in the user's environment would override the stack's own."""
    return name in STRAY or name.startswith("CLOUDSDK_")


@functools.lru_cache(maxsize=16)
def _fetch(url: str) -> Environment:
    """Ask the stack at `url` for its environment variables, and cache the answer."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/_stack/environment", timeout=60) as answer:
        return msgspec.json.decode(answer.read(), type=Environment)
