"""The control routes of a local stack of ours, whatever its cloud."""

from __future__ import annotations

import urllib.error
import urllib.request

from ...errors import Invalid, Unavailable

_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # the door of a stack is no way to the stack itself


def post(url: str, path: str, body: bytes) -> None:
    """To a route such as _stack/clock. Invalid, in the stack's words; Unavailable when nothing answers."""
    request = urllib.request.Request(f"{url.rstrip('/')}/{path}", data=body, method="POST")  # noqa: S310  profiles.yaml takes http(s) only
    try:
        with _direct.open(request, timeout=60):
            pass
    except urllib.error.HTTPError as error:
        raise Invalid(f"{path}: {error.read().decode('utf-8', 'replace')}") from error
    except OSError as error:
        raise Unavailable(f"nothing answers at {url}: {error}", remedy="start the local stack again") from error
