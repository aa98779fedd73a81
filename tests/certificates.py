"""Certificates for tests: an authority, what it vouches for, and files of it that a server reads."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import trustme


class Authority:
    """A certificate authority for tests."""

    def __init__(self) -> None:
        self._authority = trustme.CA(key_type=trustme.KeyType.ECDSA)

    @property
    def certificate(self) -> bytes:
        """What to trust it by, in PEM."""
        return self._authority.cert_pem.bytes()

    def issue(self, *names: str, days: float = 1, begins: timedelta = timedelta(days=-2)) -> tuple[bytes, bytes]:
        """Return a private key and its certificate, both in PEM; it is valid for so many days from now.

        Args:
            names: Whom it is for; this machine if left out.
            days: As above.
            begins: From when on it is valid, seen from now.
        """
        now = datetime.now(UTC)
        made = self._authority.issue_cert(
            *(names or ("127.0.0.1", "localhost")),
            not_before=now + begins,
            not_after=now + timedelta(days=days),
            key_type=trustme.KeyType.ECDSA,
        )
        return made.private_key_pem.bytes(), b"".join(each.bytes() for each in made.cert_chain_pems)

    def client(self, name: str | None = None, trust: bytes | None = None) -> grpc.ChannelCredentials:
        """Return the credentials of a client: its trusted authority, and its own certificate if it has a name."""
        key, chain = (None, None) if name is None else self.issue(name)
        return grpc.ssl_channel_credentials(trust or self.certificate, key, chain)


def write(folder: Path, key: bytes, certificate: bytes, client_ca: bytes | None = None) -> dict[str, Any]:
    """Write the files of a server, and return its settings."""
    content = {"tls_key": key, "tls_certificate": certificate, "tls_client_ca": client_ca}
    settings = {}
    for name, each in content.items():
        if each is not None:
            settings[name] = folder / f"{name}.pem"
            settings[name].write_bytes(each)
    return settings
