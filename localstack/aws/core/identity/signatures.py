"""AWS Signature Version 4 and S3's older signed URLs: read from a request, and checked.

Source: IAM User Guide, "Create a signed AWS API request"; S3 API Reference, "Authenticating
Requests (AWS Signature Version 4)" and "Signing and authenticating REST requests (AWS signature
version 2)".
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache
from hashlib import sha256
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

import msgspec
from botocore.auth import HmacV1QueryAuth
from botocore.awsrequest import HTTPHeaders
from botocore.credentials import Credentials
from botocore.utils import normalize_url_path

ALGORITHM = "AWS4-HMAC-SHA256"
_HASH = re.compile(r"[0-9a-f]{64}")
_UNSIGNED = "UNSIGNED-PAYLOAD"
_DATE = "%Y%m%dT%H%M%SZ"
# in what is signed, listed or not
_BOUND = {
    "HTTP_X_AMZ_CONTENT_SHA256",
    "HTTP_X_AMZ_DATE",
    "HTTP_X_AMZ_SECURITY_TOKEN",
}


class Malformed(ValueError):
    """A signature that is not whole. The message says what is missing, as AWS does."""


class Signature(msgspec.Struct, frozen=True, kw_only=True):
    """A signature of version 4, as a request carries it."""

    key: str  # access key
    token: str  # session token; "": none
    date: str  # of the scope: YYYYMMDD
    region: str
    service: str  # signing name
    headers: tuple[str, ...]  # those that are signed, in lower case
    signature: str
    at: datetime
    expires: int | None = None  # seconds; None: the request itself is signed, not a URL


class OldUrl(msgspec.Struct, frozen=True, kw_only=True):
    """A presigned URL of S3's Signature Version 2."""

    key: str
    token: str
    signature: str
    expires: int  # seconds since 1970


def read(environ: Mapping[str, Any]) -> Signature | OldUrl | None:
    """Return the AWS signature of a request, from its header or URL; None where it has none.

    Raises:
        Malformed: The signature is not whole.
    """
    header = environ.get("HTTP_AUTHORIZATION", "")
    if header:
        return _signature_in_header(header, environ)
    query = dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True))
    if "X-Amz-Algorithm" in query or "X-Amz-Signature" in query:
        return _signature_in_query(query)
    if {"AWSAccessKeyId", "Signature", "Expires"} <= query.keys() and query["Expires"].isdecimal():
        token = query.get("x-amz-security-token", "")
        return OldUrl(
            key=query["AWSAccessKeyId"],
            token=token,
            signature=query["Signature"],
            expires=int(query["Expires"]),
        )
    return None


def is_signed_with(signed: Signature | OldUrl, environ: Mapping[str, Any], secret: str) -> bool:
    """Return whether the request's sender knows the secret key and has signed this very request."""
    if isinstance(signed, OldUrl):
        return hmac.compare_digest(
            _version_2_signature(signed, environ, secret).encode(),
            signed.signature.encode(errors="replace"),
        )
    payload = _payload(signed, environ)
    if payload is None:
        return False
    text = "\n".join(
        (
            ALGORITHM,
            signed.at.strftime(_DATE),
            f"{signed.date}/{signed.region}/{signed.service}/aws4_request",
            sha256(_canonical(signed, environ, payload)).hexdigest(),
        )
    )
    expected = hmac.new(
        _signing_key(secret, signed.date, signed.region, signed.service), text.encode(), sha256
    ).hexdigest()
    return hmac.compare_digest(expected, signed.signature)


def unsigned_headers(signed: Signature, environ: Mapping[str, Any]) -> list[str]:
    """Return the names of unsigned headers that would change what a presigned URL does.

    Whoever gets hold of such a URL could ask for a copy with them, or set an ACL.
    """
    if signed.service != "s3":
        return []
    names = {f"HTTP_{name.upper().replace('-', '_')}" for name in signed.headers} | _BOUND
    return sorted(
        name.removeprefix("HTTP_").replace("_", "-").lower()
        for name in environ
        if name.startswith("HTTP_X_AMZ_") and name not in names
    )


def _signature_in_header(header: str, environ: Mapping[str, Any]) -> Signature:
    """Return the signature in an Authorization header."""
    algorithm, _, rest = header.strip().partition(" ")
    if algorithm != ALGORITHM:
        raise Malformed(f"Unsupported AWS 'algorithm': '{algorithm}'. Please use {ALGORITHM}.")
    parts = {
        name.strip(): value.strip()
        for name, _, value in (part.partition("=") for part in rest.split(","))
    }
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not parts.get(name)]
    date = environ.get("HTTP_X_AMZ_DATE") or _compact_date(environ.get("HTTP_DATE", ""))
    words = [f"Authorization header requires '{name}' parameter." for name in missing]
    if not date:
        words.append(
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        )
    if words:
        raise Malformed(" ".join(words))
    return _signature(
        parts["Credential"],
        parts["SignedHeaders"],
        parts["Signature"],
        date,
        token=environ.get("HTTP_X_AMZ_SECURITY_TOKEN") or "",
    )


def _compact_date(date: str) -> str:
    """Return an HTTP date as text in the form of signatures (20240131T120000Z); "" for no date."""
    try:
        return parsedate_to_datetime(date).astimezone(UTC).strftime(_DATE)
    except ValueError:
        return ""


def _signature_in_query(query: Mapping[str, str]) -> Signature:
    """Return the signature in the query of a presigned URL."""
    if query.get("X-Amz-Algorithm") != ALGORITHM:
        raise Malformed(f"X-Amz-Algorithm only supports '{ALGORITHM}'.")
    required = (
        "X-Amz-Credential",
        "X-Amz-SignedHeaders",
        "X-Amz-Signature",
        "X-Amz-Date",
        "X-Amz-Expires",
    )
    if missing := [name for name in required if not query.get(name)]:
        raise Malformed(
            f"AWS query-string parameters must include {', '.join(required)}: there is no "
            f"{', '.join(missing)}."
        )
    expires = query["X-Amz-Expires"]
    if not (expires.isdecimal() and int(expires) <= 7 * 86400):
        raise Malformed("X-Amz-Expires must be a number of seconds, 604800 at most.")
    scope, headers, signature, date, _ = (query[name] for name in required)
    return _signature(
        scope,
        headers,
        signature,
        date,
        token=query.get("X-Amz-Security-Token", ""),
        expires=int(expires),
    )


def _signature(
    scope: str, headers: str, signature: str, date: str, *, token: str, expires: int | None = None
) -> Signature:
    """Return the Signature that these texts of a request's signature make.

    Args:
        scope: The credential: access key, date, region, service.
        headers: The names of the signed headers.
        signature: The signature itself.
        date: When it was made.
        token: The session token; "": there is none.
        expires: The seconds for which a presigned URL is valid; None: it is no such URL.

    Raises:
        Malformed: One of them is not well formed.
    """
    words = scope.split("/")
    if len(words) < 5 or words[-1] != "aws4_request":
        raise Malformed(
            "Credential must have at least 5 slash-delimited elements, e.g. "
            "keyid/date/region/service/term."
        )
    try:
        signed_at = _time(date)
    except ValueError:
        raise Malformed(f"Date must be in ISO-8601 'basic format'. Got '{date}'.") from None
    if words[-4] != date[:8]:
        raise Malformed(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date "
            f"from HTTP: '{words[-4]}'."
        )
    names = tuple(headers.lower().split(";"))
    if "host" not in names:
        raise Malformed("'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.")
    return Signature(
        key="/".join(words[:-4]),
        token=token,
        date=words[-4],
        region=words[-3],
        service=words[-2],
        headers=names,
        signature=signature if signature.isascii() else "",
        at=signed_at,
        expires=expires,
    )


@lru_cache(maxsize=256)
def _time(date: str) -> datetime:
    """Return the time that a signature's date means; the calls of one second share theirs.

    Raises:
        ValueError: It is no date in ISO 8601's basic format.
    """
    return datetime.strptime(date, _DATE).replace(tzinfo=UTC)


def _canonical(signed: Signature, environ: Mapping[str, Any], payload: str) -> bytes:
    """Return the bytes of the canonical request that Signature Version 4 hashes.

    `payload` is the hash of the request's body.
    """
    path, query = split(environ)
    if signed.service != "s3":
        path = _signed_path(path)
    if query:
        pairs = sorted(_signed_pair(pair) for pair in query.split("&") if pair)
        query = "&".join(f"{name}={value}" for name, value in pairs if name != "X-Amz-Signature")
    headers = "".join(
        f"{name}:{' '.join(_header(environ, name).split())}\n" for name in signed.headers
    )
    lines = (
        environ["REQUEST_METHOD"],
        path or "/",
        query,
        headers,
        ";".join(signed.headers),
        payload,
    )
    # as the server read them: what came is hashed, byte by byte
    return "\n".join(lines).encode("latin-1", "replace")


@lru_cache(maxsize=1024)
def _signed_path(path: str) -> str:
    """Return a request's path in the form that all services but S3 sign."""
    return quote(normalize_url_path(path), safe="/~")


def _signed_pair(text: str) -> tuple[str, str]:
    """Return a query parameter's name and value in the percent encoding that is signed.

    Clients write the same parameter in several ways in their URLs.
    """
    name, _, value = text.partition("=")
    return _encoded(name), _encoded(value)


def _encoded(text: str) -> str:
    """Return a text in the percent encoding of Signature Version 4."""
    return quote(unquote(text, "latin-1"), safe="-_.~", encoding="latin-1", errors="replace")


def _header(environ: Mapping[str, Any], name: str) -> str:
    """Return the value of a request's header as it is signed; "" where the request has none."""
    variable = name.upper().replace("-", "_")
    value = environ.get(f"HTTP_{variable}")
    if value is None and variable in ("CONTENT_TYPE", "CONTENT_LENGTH"):
        value = environ.get(variable)
    return str(value or "")


def _payload(signed: Signature, environ: Mapping[str, Any]) -> str | None:
    """Return the hash of a request's body as the signed text contains it.

    None: the body does not match the hash that the request declares.
    """
    declared = str(environ.get("HTTP_X_AMZ_CONTENT_SHA256") or "")
    if not declared and signed.expires is not None and signed.service == "s3":
        return _UNSIGNED
    if declared and not _HASH.fullmatch(declared):
        return declared  # unsigned, or signed chunk by chunk: who sends it is known all the same
    real = sha256(environ["wsgi.input"].getbuffer()).hexdigest()
    return real if declared in ("", real) else None


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Return the signing key derived from a secret key for a day, a region and a service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.digest(key, part.encode(), "sha256")
    return key


def split(environ: Mapping[str, Any]) -> tuple[str, str]:
    """Return a request's path and query string as they were sent, still percent-encoded."""
    target = str(environ.get("RAW_URI") or environ.get("REQUEST_URI") or "/")
    if not target.startswith("/"):  # a proxy's form
        parts = urlsplit(target)
        return parts.path, parts.query
    path, _, query = target.partition("?")
    return path, query


class _OldSigner(HmacV1QueryAuth):  # type: ignore[misc]  # botocore has no types
    def _get_date(self) -> str:
        """Return the expiry time in the presigned URL instead of the present time."""
        return str(self._expires)  # of the URL, not of one that is made now


def _version_2_signature(signed: OldUrl, environ: Mapping[str, Any], secret: str) -> str:
    """Return the signature that S3's Signature Version 2 gives a presigned URL.

    Headers that were signed may stand in its query.
    """
    path, query = split(environ)
    # a bucket is signed as /bucket/, whatever the URL has (botocore's `authPath`)
    if path.count("/") == 1 and path != "/":
        path += "/"
    sent = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): str(value)
        for name, value in environ.items()
        if value
        and (name.startswith("HTTP_X_AMZ_") or name in ("CONTENT_TYPE", "HTTP_CONTENT_MD5"))
    }
    named = {
        name.lower(): value
        for name, value in parse_qsl(query)
        if name.lower().startswith(("x-amz-", "content-"))
    }
    headers = HTTPHeaders()
    for name, value in (sent | named).items():
        headers[name] = value
    signer = _OldSigner(Credentials(signed.key, secret), expires=signed.expires)
    return str(
        signer.get_signature(
            environ["REQUEST_METHOD"], urlsplit(f"http://s3{path}?{query}"), headers
        )
    )
