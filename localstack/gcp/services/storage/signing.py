"""Signed URLs and signed forms (V4 and V2).

They are signed with the key of the stack's own account, and last as long as they say. What is
signed follows Google's "Canonical requests", "Signatures" and "V2 signing process".
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import msgspec

from ...core.call import Call
from ...core.environment import ACCOUNT
from ...core.errors import GcpError
from ...core.http_messages import HttpRequest

_LONGEST = 604800  # seconds that a V4 signature may hold
_ALGORITHM = "GOOG4-RSA-SHA256"
_SECRET = ("x-goog-encryption-key", "x-goog-encryption-key-sha256")  # headers that V2 does not sign
_OWN_V2 = frozenset(
    {
        "GoogleAccessId",
        "Expires",
        "Signature",
        "generation",
        "response-content-type",
        "response-content-disposition",
    }
)


def verify(call: Call, request: HttpRequest) -> None:
    """Raise GcpError if a request's URL has a signature, and it is not valid or has expired."""
    if "X-Goog-Signature" in request.query_lists:
        _verify_v4(call, request)
    elif "Signature" in request.query_lists:
        _verify_v2(call, request)


def _verify_v4(call: Call, request: HttpRequest) -> None:
    """Raise an error unless the V4 signature of a request's URL is valid."""
    query = request.query
    email, _, scope = query.get("X-Goog-Credential", "").partition("/")
    moment = _moment(query.get("X-Goog-Date", ""))
    seconds = query.get("X-Goog-Expires", "")
    if (
        query.get("X-Goog-Algorithm") != _ALGORITHM
        or not seconds.isdecimal()
        or not 0 < int(seconds) <= _LONGEST
    ):
        raise _malformed_error(
            f"X-Goog-Algorithm must be {_ALGORITHM}, X-Goog-Expires 1 to {_LONGEST} seconds."
        )
    _check_account(email)
    if (
        not moment - timedelta(minutes=15)
        <= call.clock.now()
        <= moment + timedelta(seconds=int(seconds))
    ):
        raise GcpError(
            "INVALID_ARGUMENT",
            "Invalid argument. The signature's time is over, or has not come.",
            reason="ExpiredToken",
        )
    names = query.get("X-Goog-SignedHeaders", "").split(";")
    pairs = [
        (name, value)
        for name, values in request.query_lists.items()
        for value in values
        if name != "X-Goog-Signature"
    ]
    canonical = [
        request.method,
        request.path,
        "&".join(
            sorted(f"{quote(name, safe='~')}={quote(value, safe='~')}" for name, value in pairs)
        ),
        *(f"{name}:{' '.join(request.headers.get(name, '').split())}" for name in names),
        "",
        ";".join(names),
        request.headers.get("x-goog-content-sha256", "UNSIGNED-PAYLOAD"),
    ]
    digest = hashlib.sha256("\n".join(canonical).encode()).hexdigest()
    _check(
        call,
        "\n".join((_ALGORITHM, query["X-Goog-Date"], scope, digest)),
        _bytes_of_hex(query["X-Goog-Signature"]),
    )


def _verify_v2(call: Call, request: HttpRequest) -> None:
    """Raise an error unless the V2 signature of a request's URL is valid."""
    query, headers = request.query, request.headers
    _check_account(query.get("GoogleAccessId", ""))
    expires = query.get("Expires", "")
    if not expires.isdecimal():
        raise _malformed_error("Expires must be seconds since 1970.")
    if int(expires) < call.clock.now().timestamp():
        raise GcpError(
            "INVALID_ARGUMENT", f"Request signature expired at: {expires}", reason="ExpiredToken"
        )
    extension = sorted(
        name for name in headers if name.startswith("x-goog-") and name not in _SECRET
    )
    others = sorted((name.lower(), value) for name, value in query.items() if name not in _OWN_V2)
    signed = [
        request.method,
        headers.get("content-md5", ""),
        headers.get("content-type", ""),
        expires,
        *(f"{name}:{' '.join(headers[name].split())}" for name in extension),
        request.path + (f"?{urlencode(others)}" if others else ""),
    ]
    try:
        signature = base64.b64decode(query["Signature"], validate=True)
    except binascii.Error:
        signature = b""
    _check(call, "\n".join(signed), signature)


def verify_form(call: Call, fields: dict[str, str]) -> dict[str, Any]:
    """Check the signature of a form upload's policy, and return the policy.

    Raises:
        GcpError: Its signature is not valid.
    """
    email = fields.get("x-goog-credential", "").partition("/")[0]
    if fields.get("x-goog-algorithm") != _ALGORITHM:
        raise _malformed_error(f"x-goog-algorithm must be {_ALGORITHM}.")
    _check_account(email)
    _check(call, fields.get("policy", ""), _bytes_of_hex(fields.get("x-goog-signature", "")))
    try:
        policy = msgspec.json.decode(base64.b64decode(fields["policy"]))
        over = datetime.fromisoformat(policy["expiration"]) < call.clock.now()
    except (binascii.Error, msgspec.DecodeError, KeyError, TypeError, ValueError) as error:
        raise _malformed_error(
            f"The policy document is not in the correct format: {error}"
        ) from error
    if over:
        raise GcpError("INVALID_ARGUMENT", "The policy has expired.", reason="ExpiredToken")
    return dict(policy)


def _check_account(email: str) -> None:
    """Raise an error unless a signature names the stack's service account."""
    if email != ACCOUNT:
        raise GcpError(
            "PERMISSION_DENIED",
            f"The account of the signature, {email!r}, is not there.",
            reason="AccessDenied",
        )


def _check(call: Call, signed: str, signature: bytes) -> None:
    """Raise an error unless the service account's key made `signature` for `signed`."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import padding
    from cryptography.hazmat.primitives.hashes import SHA256

    key = _public_key(Path(call.env["GOOGLE_APPLICATION_CREDENTIALS"]))
    try:
        key.verify(signature, signed.encode(), padding.PKCS1v15(), SHA256())
    except InvalidSignature as error:
        text = (
            "Access denied. The request signature we calculated does not match the signature you "
            "provided."
        )
        raise GcpError(
            "PERMISSION_DENIED",
            f"{text} What was signed should be: {signed!r}",
            reason="SignatureDoesNotMatch",
        ) from error


@cache
def _public_key(account: Path) -> Any:
    """Return the public key of the service account in a key file; cached."""
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    private = msgspec.json.decode(account.read_bytes())["private_key"]
    return load_pem_private_key(private.encode(), password=None).public_key()


def _moment(text: str) -> datetime:
    """Parse the time in a V4 signature, such as 20240101T120000Z."""
    try:
        return datetime.strptime(text, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError as error:
        raise _malformed_error(f"X-Goog-Date is {text!r}, and not as 20261125T203000Z.") from error


def _bytes_of_hex(text: str) -> bytes:
    """Decode hexadecimal text to bytes; empty if it is not hexadecimal."""
    try:
        return bytes.fromhex(text)
    except ValueError:
        return b""


def _malformed_error(text: str) -> GcpError:
    """Return the error for a signature that cannot be parsed."""
    return GcpError(
        "INVALID_ARGUMENT", f"Invalid argument. {text}", reason="AuthenticationRequired"
    )
