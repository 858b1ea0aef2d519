"""Identification of the stack at an offline target's URL, and the address of its gRPC door.

A profile carries both addresses.
"""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from typing import Any

from ...errors import Unavailable, Unsupported

_SECONDS = 10.0
_REMEDY = (
    "for a stack of the project's own, unset the variable that names this one, and take "
    "`offline:` out of profiles.yaml"
)
# the door of a stack is no way to the stack itself
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def address(url: str) -> dict[str, str]:
    """Return the gRPC address of the local stack at `url`, as options of a profile.

    Raises:
        Unsupported: The server is not our stack; no other has all services.
    """
    return {"grpc_address": str(_ask(url, "grpc_address"))}


def account(url: str) -> str:
    """Return the path of the key file of the local stack's service account.

    Raises Unsupported if the server at `url` is not our stack.
    """
    return str(_ask(url, "door")["GOOGLE_APPLICATION_CREDENTIALS"])


def _ask(url: str, member: str) -> Any:
    """Return a member of the local stack's JSON description of its environment."""
    try:
        with _direct.open(f"{url.rstrip('/')}/_stack/environment", timeout=_SECONDS) as answer:
            return json.loads(answer.read())[member]
    except (urllib.error.HTTPError, ValueError, KeyError, TypeError) as error:
        raise Unsupported(
            f"what answers at {url} is not a GCP stack of Isthmus",
            capability="offline",
            remedy=_REMEDY,
        ) from error
    except OSError as error:
        raise Unavailable(f"nothing answers at {url}: {error}", remedy=_REMEDY) from error
