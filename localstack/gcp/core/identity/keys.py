"""The keys of one stack: a certificate authority for Google's hosts, and a made-up account."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from ....core.http.certificates import Authority
from ..environment import ACCOUNT, PROJECT


class Keys(Authority):
    """The certificate authority, whose hosts speak h2 and HTTP/1.1, and the account's key."""

    def __init__(self, folder: Path, token_uri: str) -> None:
        super().__init__(folder, "Isthmus offline GCP", ["h2", "http/1.1"])
        self.account_key = _new_key()
        self.account = self.write("service-account.json", _account(self.account_key, token_uri))


def _new_key() -> Any:
    """Generate a new RSA private key, and return it."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def _account(key: Any, token_uri: str) -> bytes:
    """Return the JSON key file of the stack's service account."""
    from cryptography.hazmat.primitives import serialization

    pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return msgspec.json.encode(
        {
            "type": "service_account",
            "project_id": PROJECT,
            "private_key_id": "offline",
            "private_key": pem.decode(),
            "client_email": ACCOUNT,
            "client_id": "100000000000000000000",
            "token_uri": token_uri,
            "universe_domain": "googleapis.com",
        }
    )
