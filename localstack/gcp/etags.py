"""Etags of endpoints and models: each read of the same version answers another one, and any of them will do. Pure but for its chance.

Recorded of the real service: 9 of 9 states that were read twice had two etags with equal content, cloud-custodian df800e9e,
tools/c7n_gcp/tests/data/flights/vertexai-*. That any etag of the current version is accepted, and none of an older one, is an assumption.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from .registry import GcpError

_PREFIX = "AMEw9y"  # as recorded
_NONCE = 9  # bytes


def fresh(version: str) -> str:
    """Return a new etag of a version, which `version` names in words of the stack."""
    return _etag(secrets.token_bytes(_NONCE), version)


def check(etag: str, version: str, name: str) -> None:
    """Raise GcpError ABORTED (AIP-154) unless the etag is one of this version, or empty: a blind overwrite."""
    if etag and etag != _etag(_nonce(etag), version):
        raise GcpError("ABORTED", f"The etag does not match the current one of {name}: it was changed since it was read.")


def _etag(nonce: bytes, version: str) -> str:
    digest = sha256(nonce + version.encode()).digest()
    return _PREFIX + urlsafe_b64encode(nonce + digest[:21]).decode()


def _nonce(etag: str) -> bytes:
    """The nonce of an etag; of what is none of ours, anything that makes another one."""
    try:
        return urlsafe_b64decode(etag.removeprefix(_PREFIX))[:_NONCE]
    except ValueError:
        return b""
