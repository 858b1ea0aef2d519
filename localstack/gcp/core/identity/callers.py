"""The callers that a stack admits: bearers of its account's tokens, and its user's programs.

The emulator variables of Google's SDKs send no credentials. Linux says which user is at the other
end of a loopback connection; where it does not, a token is needed. A token is what `/token` issued,
or a JWT signed by the account's key, which lies in a file that only the stack's user can read.
"""

from __future__ import annotations

import base64
import binascii
import secrets
import time
from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any
from urllib.parse import parse_qs

import msgspec

from ....core.http import peers
from ....core.http.tunnel import Pipe
from ....core.state import Stack
from ..environment import ACCOUNT
from ..errors import GcpError
from ..http_messages import HttpAnswer, HttpRequest

_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_LIFE = 3600.0  # seconds, at most, of a token
_SKEW = 600.0  # between two clocks
_MOST = 1000  # tokens, beyond which those whose time is over are forgotten
_JSON = (("Content-Type", "application/json; charset=utf-8"),)
_EXPECTED = "Expected OAuth 2 access token, login cookie or other valid authentication credential."
_NOBODY = (
    "",
    "Bearer owner",
)  # the second is what Firestore's client sends to what its emulator's variable names
_REMEDY = (
    "This stack takes tokens of the account in GOOGLE_APPLICATION_CREDENTIALS that it prints, "
    "or, with --open, any."
)


class _Claims(msgspec.Struct):
    iss: str
    iat: float
    exp: float


_claims = msgspec.json.Decoder(
    _Claims
)  # here: two threads that are the first to decode one kind end the process (msgspec 0.22)


class Callers:
    """The callers that one stack accepts, and the tokens that it has issued to them."""

    def __init__(self, stack: Stack, key: Any) -> None:
        """Accept tokens that `key`, the account's private key, has signed."""
        self._stack = stack
        self._key = key.public_key()
        self._until: dict[str, float] = {}  # token -> seconds since 1970
        self._led: set[tuple[str, int]] = (
            set()
        )  # the door's own connections to gRPC, for a client that nobody knows

    def refusal(self, authorization: str, is_own: Callable[[], bool]) -> GcpError | None:
        """Return the UNAUTHENTICATED error for a request to refuse, or None if it is admitted.

        Args:
            authorization: The request's Authorization header, empty if it has none.
            is_own: Returns whether the caller is the stack's own user; called only for a request
                that brings no token.
        """
        if self._stack.any_key:
            return None
        if authorization in _NOBODY:
            return (
                None
                if is_own()
                else _refusal("required", "Request is missing required authentication credential.")
            )
        scheme, _, token = authorization.partition(" ")
        if scheme.lower() == "bearer" and self._until_of(token.strip()) > time.time():
            return None
        return _refusal("authError", "Request had invalid authentication credentials.")

    def is_own(self, peer: tuple[str, int] | None, port: int) -> bool:
        """Return whether `peer`, connected to our `port`, is a process of this user or of root."""
        return peer is not None and peer not in self._led and peers.is_own(peer, port)

    def grpc_pipe(self, own: bool) -> Callable[[Any], Pipe]:
        """Return a factory of the asyncio protocol that forwards a client's bytes to the gRPC port.

        The gRPC server sees a connection of our own user in either case. If the client is not this
        user (`own` is False), the protocol records the connection, so that its calls need a token.
        """
        return Pipe if own else partial(_Led, self._led)

    def token(self, request: HttpRequest) -> HttpAnswer:
        """Answer a service account's request for a token as oauth2.googleapis.com/token does."""
        form = {
            name: values[-1] for name, values in parse_qs(request.body.decode("latin-1")).items()
        }
        if form.get("grant_type") != _GRANT:
            return _oauth_error(
                "unsupported_grant_type", f"Invalid grant_type: {form.get('grant_type', '')}"
            )
        try:
            self._verify(form.get("assertion", ""))
        except ValueError as error:
            return _oauth_error("invalid_grant", str(error))
        token = secrets.token_urlsafe(32)
        self._note(token, time.time() + _LIFE)
        return HttpAnswer(
            headers=_JSON,
            body=msgspec.json.encode(
                {"access_token": token, "expires_in": 3599, "token_type": "Bearer"}
            ),
        )

    def _until_of(self, token: str) -> float:
        """Return when a token expires, in seconds since 1970; 0 for a token that is not valid."""
        until = self._until.get(token)
        if until is None:
            try:
                until = self._verify(token)
            except ValueError:
                return 0.0
            self._note(token, until)
        return until

    def _note(self, token: str, until: float) -> None:
        """Store a valid token with its expiry `until`; drop expired tokens if there are many."""
        if len(self._until) >= _MOST:
            now = time.time()
            self._until = {issued: ends for issued, ends in self._until.items() if ends > now}
        self._until[token] = until

    def _verify(self, jwt: str) -> float:
        """Return when a JWT of the account expires, in seconds since 1970.

        Raises:
            ValueError: It is not one, or it has expired; in Google's words.
        """
        signed, _, signature = jwt.rpartition(".")
        try:
            claims = _claims.decode(_decoded(signed.partition(".")[2]))
            self._check(signed, _decoded(signature))
        except (msgspec.DecodeError, binascii.Error, UnicodeError) as error:
            raise ValueError("Invalid JWT Signature.") from error
        if claims.iss != ACCOUNT:
            raise ValueError("Invalid grant: account not found")
        now = time.time()
        if not (claims.iat - _SKEW <= now < claims.exp <= claims.iat + _LIFE):
            raise ValueError(
                "Invalid JWT: Token must be a short-lived token (60 minutes) and in a reasonable "
                "timeframe. Check your iat and exp values in the JWT claim."
            )
        return claims.exp

    def _check(self, signed: str, signature: bytes) -> None:
        """Raise ValueError unless the account's key made this signature."""
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives.asymmetric import padding
        from cryptography.hazmat.primitives.hashes import SHA256

        try:
            self._key.verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())
        except InvalidSignature as error:
            raise ValueError("Invalid JWT Signature.") from error


class _Led(Pipe):
    """A pipe that lists its local address in `led` as long as it is connected."""

    def __init__(self, led: set[tuple[str, int]], other: Any) -> None:
        super().__init__(other)
        self._led = led
        self._name: tuple[str, int] = ("", 0)

    def connection_made(self, transport: Any) -> None:
        """Record the local address of a new connection, whose client is not the stack's user."""
        super().connection_made(transport)
        self._name = transport.get_extra_info("sockname")[:2]
        self._led.add(self._name)

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget the local address of a closed connection."""
        self._led.discard(self._name)
        super().connection_lost(exc)


@lru_cache(maxsize=256)
def peer_of(name: str) -> tuple[str, int] | None:
    """Parse a gRPC peer's address, such as ipv4:127.0.0.1:53412, into host and port, or None."""
    kind, _, address = name.partition(":")
    host, _, port = address.rpartition(":")
    return (host, int(port)) if kind == "ipv4" and port.isdecimal() else None


def _decoded(part: str) -> bytes:
    """Decode one part of a JWT: URL-safe base64 without padding."""
    return base64.b64decode(part + "=" * (-len(part) % 4), altchars=b"-_", validate=True)


def _refusal(reason: str, words: str) -> GcpError:
    """Return an UNAUTHENTICATED error in the words of Google's front end."""
    return GcpError(
        "UNAUTHENTICATED",
        f"{words} {_EXPECTED} {_REMEDY}",
        reason=reason,
        location="Authorization",
        locationType="header",
    )


def _oauth_error(error: str, description: str) -> HttpAnswer:
    """Return the error response of an OAuth token endpoint, as JSON."""
    return HttpAnswer(
        status=400,
        headers=_JSON,
        body=msgspec.json.encode({"error": error, "error_description": description}),
    )
