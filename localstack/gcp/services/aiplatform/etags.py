"""Etags of endpoints and models: each read of the same state returns another one, all valid.

Recorded of the real service: 9 of 9 states that were read twice had two etags with equal content,
cloud-custodian df800e9e, tools/c7n_gcp/tests/data/flights/vertexai-*. That any etag of the current
version is accepted, and none of an older one, is an assumption.
"""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256

from ...core.errors import GcpError

_PREFIX = "AMEw9y"  # as recorded
_NONCE = 9  # bytes


def fresh(revision: str) -> str:
    """Return a new etag for the state of a resource that is named `revision`.

    Two etags of one state differ, as Google's do.
    """
    return _etag(secrets.token_bytes(_NONCE), revision)


def check(etag: str, revision: str, name: str) -> None:
    """Raise ABORTED (AIP-154) unless `etag` was made of `revision`, the resource's current state.

    An empty etag passes: such a write overwrites whatever is there. `name` is the resource's.
    """
    if etag and etag != _etag(_nonce(etag), revision):
        raise GcpError(
            "ABORTED",
            f"The etag does not match the current one of {name}: it was changed since it was read.",
        )


def _etag(nonce: bytes, revision: str) -> str:
    """Return the etag made of a revision and random bytes (nonce)."""
    digest = sha256(nonce + revision.encode()).digest()
    return _PREFIX + urlsafe_b64encode(nonce + digest[:21]).decode()


def _nonce(etag: str) -> bytes:
    """Return the random bytes (nonce) in an etag; none if this stack did not make it."""
    try:
        return urlsafe_b64decode(etag.removeprefix(_PREFIX))[:_NONCE]
    except ValueError:
        return b""
