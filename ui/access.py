"""Decide who may see a page, who may change something from it, and by which name. Pure.

Every request passes endpoints/http/door.py; the token beyond loopback may also come as the
password that a browser asks for. A change must carry the Origin of this server and a token that
only its own pages have: tied to a cookie that is sent with no request of another site.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from ..endpoints.http.door import OPEN_PATHS, AccessRules, Refusal, ambiguous, refusal

COOKIE = "isthmus_ui"
FORM = b"application/x-www-form-urlencoded"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src "
    "'self' data:; "
    "connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",  # with no-referrer the Origin of a form of ours would be null
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
_HELD = "whoever has ISTHMUS_TOKEN"  # in the history, where nobody says a name
_LONGEST = 200  # characters of a name


class UiAccessRules(msgspec.Struct, frozen=True, kw_only=True):
    """The rules by which requests are let in.

    `proxy`: the header, in lower case, in which a proxy names who asks.

    `secret`: of this process, for the tokens of its forms.

    `drawn`: the door's token is this process's own, which the address has that it prints: whoever
    has it is the user of this machine.
    """

    door: AccessRules
    write: bool = False
    proxy: bytes | None = None
    drawn: bool = False
    secret: bytes = msgspec.field(default_factory=lambda: secrets.token_bytes(32))


def access_refusal(
    access: UiAccessRules,
    method: str,
    path: str,
    headers: list[tuple[bytes, bytes]],
    stranger: Callable[[], Refusal | None] = lambda: None,
) -> Refusal | None:
    """Return why a request to the pages is refused, as an HTTP error; None if it is allowed.

    Args:
        access: The access rules.
        method: The HTTP method.
        path: The URL's path.
        headers: The headers, with names in lower case, as ASGI has them.
        stranger: Returns the refusal if the client's process belongs to a user who is not allowed.
    """
    also = (access.proxy,) if access.proxy else ()
    by_name = _with_password(dict(headers))
    if comes_from_elsewhere(method, by_name):
        by_name.pop(b"sec-fetch-site")
    answer = ambiguous(headers, also) or refusal(
        access.door, method.encode(), path.encode(), by_name, stranger
    )
    if answer is not None:
        return answer
    if path.encode() in OPEN_PATHS:  # the door asks nothing of these
        return Refusal(404, "NotFound", f"there is no {path} here")
    if access.proxy is not None and not _name(by_name.get(access.proxy, b"")):
        return Refusal(
            401,
            "Unauthorized",
            f"{access.proxy.decode()} does not say who asks: come by the proxy that sets it",
        )
    return _write_refusal(access, method, by_name)


def comes_from_elsewhere(method: str, headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a request follows a link from another site to one of the pages here.

    So does a request that a proxy redirects here after its log-in. Such a request carries no cookie
    for forms and starts no costly query: it gets a page with a link to click on.
    """
    elsewhere = headers.get(b"sec-fetch-site") in (b"cross-site", b"same-site")
    navigates = (headers.get(b"sec-fetch-mode"), headers.get(b"sec-fetch-dest")) == (
        b"navigate",
        b"document",
    )
    return method == "GET" and elsewhere and navigates and b"origin" not in headers


def _write_refusal(
    access: UiAccessRules, method: str, headers: Mapping[bytes, bytes]
) -> Refusal | None:
    """Return why a form (POST) is refused: read-only mode, or no Origin header; None if allowed."""
    if method in ("GET", "HEAD"):
        return None
    if not access.write:
        return Refusal(
            403,
            "Forbidden",
            "these pages only read: start them with --write, or use the command that the "
            "page shows",
        )
    if b"origin" not in headers:  # where there is one the door has compared it
        return Refusal(403, "Forbidden", "a change needs the Origin of the page that asks for it")
    return None


def _with_password(headers: dict[bytes, bytes]) -> dict[bytes, bytes]:
    """Return request headers in which the password of HTTP's Basic scheme is a bearer token.

    Browsers send the access token as that password (RFC 7617), with any user name.
    """
    scheme, _, encoded = headers.get(b"authorization", b"").partition(b" ")
    if scheme.lower() != b"basic":
        return headers
    with suppress(binascii.Error):
        password = base64.b64decode(encoded.strip(), validate=True).partition(b":")[2]
        return headers | {b"authorization": b"Bearer " + password}
    return headers


def who(access: UiAccessRules, headers: Mapping[bytes, bytes]) -> str | None:
    """Return the user's name for the change history, from the proxy's header or the token.

    None stands for the user of this machine, whom alone the server then admits.
    """
    if access.proxy is not None:
        return _name(headers.get(access.proxy, b""))
    return _HELD if access.door.token is not None and not access.drawn else None


def _name(value: bytes) -> str:
    """Return an HTTP header's value as a user name, decoded and cut to a maximum length."""
    return value.decode("utf-8", "replace").strip()[:_LONGEST]


def new_cookie() -> str:
    """Return a new random value for the browser's session cookie."""
    return secrets.token_urlsafe(24)


def token(access: UiAccessRules, cookie: str) -> str:
    """Return the anti-forgery token that forms carry on pages drawn for this session cookie."""
    return hmac.new(access.secret, cookie.encode(), hashlib.sha256).hexdigest()


def is_ours(access: UiAccessRules, cookie: str, sent: str) -> bool:
    """Return whether a form's anti-forgery token `sent` was made for this session cookie."""
    return bool(cookie) and hmac.compare_digest(token(access, cookie).encode(), sent.encode())
