"""Makers of valid and forged access tokens, with known and unknown keys."""

import base64
import hmac
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

from cinema_grpc.adapters.signing_keys import SigningKey
from cinema_grpc.adapters.signing_keys import _key as read_key
from cinema_grpc.domain.account import Role, User
from tests.builders import NOW

ADA = User("0190b6f0-7a3c-7d3e-9f27-2f1c1a4b5c6d", "ada", "Ada Lovelace", "ada@example.com", Role.CUSTOMER, NOW)
SECONDS = int(NOW.timestamp())
CLAIMS: dict[str, Any] = {
    "iss": "cinema",
    "sub": ADA.user_id,
    "aud": "cinema.v1",
    "iat": SECONDS,
    "exp": SECONDS + 3600,
    "jti": "0190b6f0-0000-7000-8000-000000000000",
    "client_id": "cinema",
    "role": "CUSTOMER",
}
# Long enough for HS512, so that such a token is refused because of its algorithm.
SECRET = b"a secret of at least 64 bytes for tests, which signs tokens of any HMAC kind"
ABSENT = object()


def segment(content: object) -> str:
    """Return an encoded part of a token: the bytes, or the JSON of anything else."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Signs tokens of any content with one key.

    Attributes:
        header: The header of a valid token.
        good: A valid token.
    """

    def __init__(self, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> None:
        self.header = header
        self._sign = sign
        self.good = self.signed(header, CLAIMS)

    def signed(self, header: object, claims: object) -> str:
        """Return a token with any header and claims."""
        text = f"{segment(header)}.{segment(claims)}"
        return f"{text}.{segment(self._sign(text.encode()))}"

    def with_claims(self, **changes: object) -> str:
        """Return a token with some claims changed or ABSENT."""
        return self.signed(self.header, _changed(CLAIMS, changes))

    def with_header(self, **changes: object) -> str:
        """Return a token with some header parameters changed or ABSENT."""
        return self.signed(_changed(self.header, changes), CLAIMS)


def _changed(members: dict[str, Any], changes: dict[str, object]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}


def by_secret(secret: bytes = SECRET, digest: str = "sha256", **header: object) -> Forger:
    """Return a forger with a secret."""
    return Forger({"alg": "HS256", "typ": "at+jwt"} | header, lambda text: hmac.digest(secret, text, digest))


def _raw(signature: bytes) -> bytes:
    """Return a P-256 signature in the form of RFC 7518, 3.4."""
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def by_ed25519(private: Ed25519PrivateKey, **header: object) -> Forger:
    """Return a forger with an Ed25519 key."""
    return Forger({"alg": "EdDSA", "typ": "at+jwt", "kid": signing_key(private).kid} | header, private.sign)


def by_p256(private: ec.EllipticCurvePrivateKey, **header: object) -> Forger:
    """Return a forger with a P-256 key."""
    return Forger(
        {"alg": "ES256", "typ": "at+jwt", "kid": signing_key(private).kid} | header,
        lambda text: _raw(private.sign(text, ec.ECDSA(SHA256()))),
    )


def pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return a private key in PEM."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public key of a private key in PEM."""
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signing_key(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> SigningKey:
    """Return the key pair of a private key."""
    return read_key(Path("a.pem"), kind="PRIVATE KEY", pem=pem(private))


ED25519 = Ed25519PrivateKey.from_private_bytes(b"our own key".ljust(32))
P256 = ec.derive_private_key(int.from_bytes(b"our own key".ljust(31)), ec.SECP256R1())
THEIRS = Ed25519PrivateKey.from_private_bytes(b"a stranger's key".ljust(32))
THEIRS_P256 = ec.derive_private_key(int.from_bytes(b"a stranger's key".ljust(31)), ec.SECP256R1())
FORGERS = {"HS256": by_secret(), "EdDSA": by_ed25519(ED25519), "ES256": by_p256(P256)}
"""One for each of the keys that the service uses."""
