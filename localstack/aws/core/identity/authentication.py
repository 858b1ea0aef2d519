"""Admission to this stack, of callers who sign with its pair of keys or with keys that it issued.

With --open everybody is admitted. The words and statuses of a refusal are the service's own (IAM
and S3 API Reference, "Common errors"; botocore's issues quote them).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from typing import Any
from urllib.parse import unquote

import msgspec

from ....core.state import Stack
from ..caller import Caller
from ..environment import ACCOUNT, REGION
from ..incoming import IncomingRequest
from ..moto_internals import iam_backends, s3_backends, sts_backends
from ..registry import AwsError
from ..sessions import Session, Sessions
from . import signatures as signing
from .signatures import Malformed, OldUrl, Signature

_SKEW = timedelta(minutes=15)
_FAR = 4102444800  # 2100
_BASIC = "%Y%m%dT%H%M%SZ"
_STALE = "The difference between the request time and the current time is too large."
_WRONG = (
    "The request signature we calculated does not match the signature you provided. Check "
    "your AWS Secret Access Key and signing method. "
    "Consult the service documentation for details."
)
_TOKEN = "The security token included in the request is invalid."  # noqa: S105  the error's words
_OPEN = "--open takes any key, and unsigned requests"
_BY_TOKEN = ("Action=AssumeRoleWithWebIdentity", "Action=AssumeRoleWithSAML")

# kind -> S3, the query protocol (STS, IAM, CloudWatch), JSON; each code and status, which is 403
# where JSON is REST
_ERRORS = {
    "unsigned": (
        ("AccessDenied", 403),
        ("MissingAuthenticationToken", 403),
        ("MissingAuthenticationTokenException", 400),
    ),
    "malformed": (
        ("AuthorizationHeaderMalformed", 400),
        ("IncompleteSignature", 400),
        ("IncompleteSignatureException", 400),
    ),
    "unknown": (
        ("InvalidAccessKeyId", 403),
        ("InvalidClientTokenId", 403),
        ("UnrecognizedClientException", 400),
    ),
    "token": (
        ("InvalidToken", 400),
        ("InvalidClientTokenId", 403),
        ("UnrecognizedClientException", 400),
    ),
    "ended": (("ExpiredToken", 400), ("ExpiredToken", 403), ("ExpiredTokenException", 400)),
    "wrong": (
        ("SignatureDoesNotMatch", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
    ),
    "stale": (
        ("RequestTimeTooSkewed", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
    ),
    "more": (
        ("AccessDenied", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
    ),
    "expired": (
        ("AccessDenied", 403),
        ("SignatureDoesNotMatch", 403),
        ("InvalidSignatureException", 400),
    ),
}


class IssuedKey(msgspec.Struct, frozen=True, kw_only=True):
    """An access key that the stack has issued."""

    secret: str
    account: str
    caller: Caller
    token: str = ""  # the session token that belongs to it
    until: datetime | None = None


def admit(stack: Stack, incoming: IncomingRequest) -> AwsError | None:
    """Authenticate a request; return an error if its sender may not use the stack, else None.

    The caller and the account are set in `incoming`. The body can be read again.
    """
    try:
        signed = signing.read(incoming.environ)
    except Malformed as error:
        return None if stack.any_key else _error(incoming, "malformed", str(error))
    if signed is None:
        return None if stack.any_key else _check_unsigned(incoming)
    owner = _key_owner(stack, signed.key)
    if owner is not None:
        incoming.caller, incoming.account = owner.caller, owner.account
        if owner.account != ACCOUNT:
            incoming.environ["HTTP_X_MOTO_ACCOUNT_ID"] = owner.account
    return None if stack.any_key else _refusal(incoming, signed, owner)


def _refusal(
    incoming: IncomingRequest, signed: Signature | OldUrl, owner: IssuedKey | None
) -> AwsError | None:
    """Return the error for a request whose key, signature or time is not valid, or None.

    `signed` is the request's signature, and `owner` has its access key; None: nobody has it.
    """
    if owner is None:
        s3 = incoming.service == "s3" or isinstance(signed, OldUrl)
        return _error(
            incoming,
            "unknown",
            "The AWS Access Key Id you provided does not exist in our records." if s3 else _TOKEN,
        )
    if not compare_digest(signed.token.encode(errors="replace"), owner.token.encode()):
        return _error(incoming, "token", _TOKEN)
    if not signing.is_signed_with(signed, incoming.environ, owner.secret):
        return _error(incoming, "wrong", _WRONG)
    if isinstance(signed, Signature) and (
        more := signing.unsigned_headers(signed, incoming.environ)
    ):
        return _error(
            incoming,
            "more",
            f"There were headers present in the request which were not signed: {', '.join(more)}",
        )
    now = datetime.now(UTC)
    if owner.until is not None and now > owner.until:
        return _error(incoming, "ended", "The security token included in the request is expired")
    return _untimely(incoming, signed, now)


def _untimely(
    incoming: IncomingRequest, signed: Signature | OldUrl, now: datetime
) -> AwsError | None:
    """Return the error for a request signed too early or too long ago, or None."""
    if isinstance(signed, OldUrl):
        begins, ends = now, datetime.fromtimestamp(min(signed.expires, _FAR), UTC)
    elif signed.expires is not None:
        begins, ends = signed.at - _SKEW, signed.at + timedelta(seconds=signed.expires)
    elif abs(now - signed.at) > _SKEW:
        return _error(
            incoming, "stale", _STALE if incoming.service == "s3" else _clock_skew(signed.at, now)
        )
    else:
        return None
    return (
        None
        if begins <= now <= ends
        else _error(incoming, "expired", "Request has expired" if now > ends else _STALE)
    )


def _clock_skew(signed_at: datetime, now: datetime) -> str:
    """Return the text with which AWS says that a signature is too old or too new."""
    when = f"{signed_at:{_BASIC}}"
    if signed_at < now:
        return (
            f"Signature expired: {when} is now earlier than {now - _SKEW:{_BASIC}} "
            f"({now:{_BASIC}} - 15 min.)"
        )
    return (
        f"Signature not yet current: {when} is still later than {now + _SKEW:{_BASIC}} "
        f"({now:{_BASIC}} + 15 min.)"
    )


def _key_owner(stack: Stack, key: str) -> IssuedKey | None:
    """Return the owner of an access key: the stack, one of its sessions, a user or a role of IAM.

    None: nobody has such a key.
    """
    if stack.keys is None:
        return None
    pair = stack.keys.pair
    # twelve digits: that account
    if key == pair.access_key or (len(key) == 12 and key.isascii() and key.isdecimal()):
        return IssuedKey(
            secret=pair.secret_key,
            account=ACCOUNT if key == pair.access_key else key,
            caller=Caller(key),
        )
    if (session := sessions(stack).get(key)) is not None:
        return _key_of_session(session)
    for account, partitions in list(iam_backends.items()):
        for partition, backend in list(partitions.items()):
            if (issued := backend.access_keys.get(key)) is not None:
                return _key_of_moto(account, partition, backend, issued)
    return None


def _key_of_session(session: Session) -> IssuedKey:
    """Return the owner, role and secret behind a temporary access key of the stack."""
    caller = session.owner or Caller(session.key, session.token, role=session.role)
    return IssuedKey(
        secret=session.secret,
        account=session.account,
        caller=caller,
        token=session.token,
        until=session.until,
    )


def _key_of_moto(account: str, partition: str, backend: Any, issued: Any) -> IssuedKey | None:
    """Return the owner of an access key that moto's IAM or STS has issued, or None.

    `issued` is moto's record of the key, and `backend` the account's IAM. None: the key's user is
    gone or the key not active, or the session of the key's role has ended.
    """
    key, secret = issued.access_key_id, issued.secret_access_key
    if not issued.role_arn:
        user = backend.users.get(issued.user_name)
        is_active = (
            user is not None
            and any(own.access_key_id == key for own in user.access_keys)
            and issued.status == "Active"
        )
        return IssuedKey(secret=secret, account=account, caller=Caller(key)) if is_active else None
    role = sts_backends[account][partition].get_assumed_role_from_access_key(key)
    if role is None:
        return None
    until = role.expiration.replace(tzinfo=UTC)
    return IssuedKey(
        secret=secret,
        account=account,
        caller=Caller(key, role.session_token),
        token=role.session_token,
        until=until,
    )


def sessions(stack: Stack) -> Sessions:
    """Return the session keys that the stack has issued, of all accounts; a reset drops them."""
    return stack.state.store((ACCOUNT, REGION), Sessions)


def _check_unsigned(incoming: IncomingRequest) -> AwsError | None:
    """Return the error for an unsigned request, or None if it reads a public S3 object."""
    environ = incoming.environ
    if _is_public(environ):
        return None
    body = environ["wsgi.input"].getvalue()[:4096].decode("latin-1") + environ.get(
        "QUERY_STRING", ""
    )
    if any(action in body for action in _BY_TOKEN):
        incoming.service = "sts"
        return AwsError(
            "InvalidIdentityToken",
            f"the AWS stack cannot judge another provider's token; {_OPEN}",
            400,
        )
    return _error(incoming, "unsigned", f"Request is missing Authentication Token; {_OPEN}")


def _is_public(environ: Mapping[str, Any]) -> bool:
    """Return whether an unsigned request reads an S3 object that everybody may read."""
    path, query = signing.split(environ)
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    if (
        environ["REQUEST_METHOD"] not in ("GET", "HEAD")
        or query
        or not key
        or "HTTP_X_AMZ_TARGET" in environ
    ):
        return False
    partition, account = s3_backends.bucket_accounts.get(bucket, ("", ""))
    stored = s3_backends[account][partition].buckets[bucket].keys.get(key) if account else None
    acl = getattr(stored, "acl", None)  # the mark of a deleted version has none
    return acl is not None and bool(acl.public_read)


def _error(incoming: IncomingRequest, kind: str, message: str) -> AwsError:
    """Return an authentication error with the code and HTTP status of the request's protocol.

    `kind` is what is wrong: unknown, token, wrong, stale, expired ...
    """
    code, status = _ERRORS[kind][_family(incoming)]
    model: Any = incoming.model
    rest = model is not None and model.service_model.protocol == "rest-json"
    return AwsError(code, message, 403 if rest else status)


def _family(incoming: IncomingRequest) -> int:
    """Return the protocol family of a request: 0 is S3's, 1 the query protocol, 2 JSON.

    AWS answers authentication errors with other codes in each.
    """
    model: Any = incoming.model
    protocol = model.service_model.protocol if model is not None else ""
    kind = incoming.environ.get("CONTENT_TYPE", "")
    if (
        "json" in protocol + kind
        or "HTTP_X_AMZ_TARGET" in incoming.environ
        or incoming.service.startswith("sagemaker")
    ):
        return 2
    return 1 if protocol in ("query", "ec2") or "x-www-form-urlencoded" in kind else 0
