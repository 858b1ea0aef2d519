"""The variables that lead Google's SDKs to a stack, and those that would lead them away."""

from __future__ import annotations

import functools
import urllib.request

import msgspec

PROJECT = "offline-project"
LOCATION = "us-central1"
STRAY = (
    "STORAGE_EMULATOR_HOST",
    "BIGQUERY_EMULATOR_HOST",
    "PUBSUB_EMULATOR_HOST",
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


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """What a stack says of the ways in."""

    door: dict[str, str]  # nothing in the code: these lead every client through the stack's door
    emulators: dict[str, str]  # the SDKs' own variables
    grpc_address: str


def of(url: str) -> Environment:
    """Ask the stack at `url`: its keys and its gRPC port are its own."""
    return _asked(url)


def variables(url: str) -> dict[str, str]:
    """With these every SDK of Google's talks to the stack at `url` and to nothing else."""
    return of(url).door


def stray(name: str) -> bool:
    """Whether a variable must not be there beside them."""
    return name in STRAY or name.startswith("CLOUDSDK_")


@functools.lru_cache(maxsize=16)
def _asked(url: str) -> Environment:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"{url}/_stack/environment", timeout=60) as answer:
        return msgspec.json.decode(answer.read(), type=Environment)
