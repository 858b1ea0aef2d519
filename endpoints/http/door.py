"""Rules of who may come in: programs, not web pages. Pure.

One function serves all that speaks HTTP here, with two settings.

`ours`: the gateway, the router, a page. A Host that is loopback, the address that it listens on, or
named with `--allow-host`; bodies of a type that no page can send to another site without asking
first; a token, which beyond loopback there must be, or where there is none a user of this machine
who may come (peers.py).

A provider's wire (the model server in a container): any Host, the provider's content types, no
token of ours; nothing with an Origin.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping
from ipaddress import ip_address

import msgspec

JSON_ONLY = frozenset({b"application/json"})
OPEN_PATHS = frozenset(
    {b"/health", b"/ping"}
)  # with GET: never need a Host or a token, as probes have none
READ = (
    b"host",
    b"origin",
    b"sec-fetch-site",
    b"authorization",
    b"x-api-key",
    b"content-type",
)  # headers that decide
TOKEN = "ISTHMUS_TOKEN"  # noqa: S105  the variable's name
_LOOPBACK = frozenset({b"localhost", b"127.0.0.1", b"[::1]"})
_BODIES = frozenset({b"POST", b"PUT", b"PATCH"})


class Refusal(msgspec.Struct, frozen=True):
    """An answer that refuses a request."""

    status: int
    error: str
    message: str


class AccessRules(msgspec.Struct, frozen=True):
    """The settings by which a server lets requests in."""

    ours: bool = True
    hosts: frozenset[bytes] = _LOOPBACK  # lower case, without a port
    bodies: frozenset[bytes] = (
        # content types; what a page may send anywhere without a preflight must not be among them
        JSON_ONLY
    )
    token: bytes | None = None
    users: frozenset[int] | None = (
        # of this machine who may come beside the server's own and root; None: it is not asked whose
        None
    )


PROVIDERS = AccessRules(ours=False)


def door(
    *,
    listen: str,
    allow_hosts: Iterable[str] = (),
    token: str | None = None,
    users: frozenset[int] | None = frozenset(),
    bodies: frozenset[bytes] = JSON_ONLY,
) -> AccessRules:
    """Return the rules (host names, users, token) by which a server admits requests.

    Args:
        listen: The address at which the server listens.
        allow_hosts: Further host names under which the server may be asked.
        token: A token that callers must send. With it any user of this machine is admitted.
        users: The Unix users who are admitted, as peers.allowed_users returns them.
        bodies: The content types that bodies may have.

    Raises:
        ValueError: It listens beyond loopback without a token; or a host name is not valid.
    """
    token = (
        token.strip() if token else None
    )  # a secret's file ends with a newline, which no header can send
    if not is_loopback(listen) and not token:
        raise ValueError(
            f"{listen} can be reached from other machines: set {TOKEN} to a secret, which "
            "callers send as a Bearer token or X-API-Key"
        )
    names = {_host_name(host.strip().lower()) for host in allow_hosts if host.strip()}
    names |= set() if listen in ("0.0.0.0", "::", "") else {_host_literal(listen)}  # noqa: S104  compared, not bound
    return AccessRules(
        hosts=_LOOPBACK | names,
        token=token.encode() if token else None,
        users=None if token else users,
        bodies=bodies,
    )


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine alone."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def refusal(
    entrance: AccessRules,
    method: bytes,
    path: bytes,
    headers: Mapping[bytes, bytes],
    stranger: Callable[[], Refusal | None] = lambda: None,
) -> Refusal | None:
    """Return the error that refuses a request by its method, path and headers; None admits it.

    Args:
        entrance: The server's access rules.
        method: The HTTP method, such as GET.
        path: The path without the query.
        headers: The headers by name in lower case.
        stranger: Returns why the connection's user may not come, as peers.stranger does. It is
            asked where nothing else has refused the request.
    """
    if not entrance.ours:
        if b"origin" in headers or _of_another_site(headers):
            return Refusal(403, "Forbidden", "this endpoint answers programs, not web pages")
        return stranger()
    host = headers.get(b"host", b"").lower()
    origin = headers.get(b"origin")
    if (origin is not None and origin.partition(b"://")[2].lower() != host) or _of_another_site(
        headers
    ):
        return Refusal(403, "Forbidden", "a web page of another site may not ask this server")
    if method == b"GET" and path in OPEN_PATHS:
        return None
    refused = _unknown_host(entrance, host) or _without_token(entrance, headers) or stranger()
    return refused or (_wrong_body(entrance, headers) if method in _BODIES else None)


def ambiguous(headers: Iterable[tuple[bytes, bytes]], also: Iterable[bytes] = ()) -> Refusal | None:
    """Return the error for a request that has a security-relevant header twice, or None.

    A proxy in front of this server might read the first of the two, and this server the last.
    `also` has further headers to check.
    """
    names = [name for name, _ in headers]
    if len(set(names)) == len(names):
        return None
    twice = next((name for name in (*READ, *also) if names.count(name) > 1), None)
    return Refusal(400, "BadRequest", f"the request has {twice.decode()} twice") if twice else None


def _of_another_site(headers: Mapping[bytes, bytes]) -> bool:
    """Return whether a browser sends this request for a web page of another site."""
    return headers.get(b"sec-fetch-site", b"none") not in (b"none", b"same-origin")


def _unknown_host(entrance: AccessRules, host: bytes) -> Refusal | None:
    """Return the error for a Host header that is not a name of this server, or None."""
    if without_port(host) in entrance.hosts:
        return None
    shown = host.decode("latin-1")[:200]
    words = (
        f"the Host {shown!r} is not one of this server: start it with --allow-host NAME if it "
        "stands behind a proxy"
    )
    return Refusal(403, "Forbidden", words)


def _without_token(entrance: AccessRules, headers: Mapping[bytes, bytes]) -> Refusal | None:
    """Return the error for a request without the right token, or None.

    The token comes in the header Authorization (Bearer) or X-API-Key.
    """
    if entrance.token is None:
        return None
    scheme, _, bearer = headers.get(b"authorization", b"").partition(b" ")
    sent = bearer.strip() if scheme.lower() == b"bearer" else headers.get(b"x-api-key", b"")
    if hmac.compare_digest(sent, entrance.token):
        return None
    return Refusal(
        401,
        "Unauthorized",
        f"send the value of {TOKEN} as `Authorization: Bearer ...` or as `X-API-Key: ...`",
    )


def _wrong_body(entrance: AccessRules, headers: Mapping[bytes, bytes]) -> Refusal | None:
    """Return the error for a body whose content type this server does not take, or None."""
    if headers.get(b"content-type", b"").partition(b";")[0].strip().lower() in entrance.bodies:
        return None
    accepted = " or ".join(sorted(name.decode() for name in entrance.bodies))
    return Refusal(415, "UnsupportedMediaType", f"the content type must be {accepted}")


def without_port(host: bytes) -> bytes:
    """Return a Host header without its port: `[::1]:8800` -> `[::1]`."""
    if host.startswith(b"["):
        return host.partition(b"]")[0] + b"]"
    return host.partition(b":")[0]


def _host_name(host: str) -> bytes:
    """Return an allowed host name in the form of a Host header without its port.

    Raises ValueError for a URL or a pattern.
    """
    try:
        return _host_literal(str(ip_address(host.strip("[]"))))
    except ValueError:
        pass
    name, _, port = host.partition(":")
    if (
        not name
        or "/" in host
        or "*" in host
        or not host.isascii()
        or (port and not port.isdigit())
    ):
        raise ValueError(
            f"the allowed host {host} is no name: give it as callers do, for example "
            "rank.example, without scheme and path"
        )
    return name.encode()


def _host_literal(host: str) -> bytes:
    """Return a host in the form of a Host header: an IPv6 address in brackets."""
    return f"[{host}]".encode() if ":" in host else host.encode()
