"""A certificate authority of a stack's own.

It makes a certificate for each host that is asked for through the stack's door.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

_DAY = timedelta(days=1)


class Authority:
    """An authority with its files in `folder` (0700; each file 0600).

    `name` is what it calls itself; `protocols` are what its hosts speak, by ALPN.
    """

    def __init__(self, folder: Path, name: str, protocols: Sequence[str]) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec

        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._host_key = ec.generate_private_key(ec.SECP256R1())
        self._name = _name(name)
        self._protocols = list(protocols)
        self._authority = self._signed(self._name, self._key, ca=True)
        self._contexts: dict[str, ssl.SSLContext] = {}
        self._lock = threading.Lock()
        self.ca = self.write("ca.pem", _pem(self._authority))
        self.bundle = self.write("bundle.pem", _certifi() + _pem(self._authority))

    def context(self, host: str) -> ssl.SSLContext:
        """Return a TLS context with a certificate for `host` that this authority has signed."""
        with self._lock:
            if host not in self._contexts:
                self._contexts[host] = self._minted(host)
            return self._contexts[host]

    def _minted(self, host: str) -> ssl.SSLContext:
        """Create a certificate for a host, and return a TLS context with the certificate."""
        from cryptography import x509
        from cryptography.hazmat.primitives import serialization

        names = x509.SubjectAlternativeName([x509.DNSName(host)])
        certificate = self._signed(_name(host[:64]), self._host_key, names=names)
        plain = serialization.NoEncryption()
        key = self._host_key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
        )
        path = self.write(f"host-{len(self._contexts)}.pem", key + _pem(certificate))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        context.set_alpn_protocols(self._protocols)
        context.load_cert_chain(path)
        return context

    def _signed(self, name: Any, key: Any, *, ca: bool = False, names: Any = None) -> Any:
        """Create an X.509 certificate, signed by this authority.

        `name` is its subject, `key` the subject's key, `ca` whether it may sign others, and `names`
        an extension with its host names.
        """
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes

        now = datetime.now(UTC)
        builder = (
            x509.CertificateBuilder()
            .subject_name(name)
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + 365 * _DAY)
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )
        if ca:
            usage = x509.KeyUsage(
                digital_signature=True,
                key_cert_sign=True,
                crl_sign=True,
                content_commitment=False,
                key_encipherment=False,
                data_encipherment=False,
                key_agreement=False,
                encipher_only=False,
                decipher_only=False,
            )
            builder = builder.add_extension(usage, critical=True)
        if names is not None:
            builder = builder.add_extension(names, critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def write(self, name: str, content: bytes) -> Path:
        """Write a file into the authority's folder, for this user only, and return its path."""
        path = self._folder / name
        path.touch(mode=0o600)
        path.write_bytes(content)
        return path


def _name(text: str) -> Any:
    """Return an X.509 name with this common name."""
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])


def _pem(certificate: Any) -> bytes:
    """Encode a certificate as PEM."""
    from cryptography.hazmat.primitives import serialization

    content: bytes = certificate.public_bytes(serialization.Encoding.PEM)
    return content


def _certifi() -> bytes:
    """Return the public root certificates (PEM), for hosts that are passed through."""
    try:
        import certifi
    except ImportError:
        return b""
    return Path(certifi.where()).read_bytes()
