"""The keys of one stack: its authority's for Google's hosts, and a service account that nobody has."""

from __future__ import annotations

from pathlib import Path

import msgspec

from ..certificates import Authority
from .environment import ACCOUNT, PROJECT


class Keys(Authority):
    """Its hosts speak h2 and HTTP/1.1."""

    def __init__(self, folder: Path, token_uri: str) -> None:
        super().__init__(folder, "Isthmus offline GCP", ["h2", "http/1.1"])
        self.account = self.write("service-account.json", _account(token_uri))


def _account(token_uri: str) -> bytes:
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import rsa

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
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
