"""Key pairs that sign access tokens or tickets: Ed25519 or P-256, read from PEM files."""

import hashlib
import json
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from cryptography.hazmat.primitives.serialization import load_pem_private_key, load_pem_public_key
from jwt.algorithms import ECAlgorithm, OKPAlgorithm

from cinema_grpc.application.account_ports import JsonWebKey
from cinema_grpc.files import read_regular

PEM_BLOCK = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
IGNORED_BLOCKS = frozenset({"EC PARAMETERS"})
"""openssl writes it before an EC key, which repeats its content."""


class BadKeys(Exception):
    """The keys can't be used. The message names the file and the remedy."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A key pair, or only its public key.

    Attributes:
        algorithm: EdDSA (RFC 8037) for Ed25519, ES256 (RFC 7518) for P-256.
        private: The private key, which signs; None if only the public key is known.
        public: The public key, which verifies.
        jwk: The public key for clients. Its kid is the thumbprint by RFC 7638, so it is equal on all replicas.
    """

    algorithm: str
    private: Ed25519PrivateKey | EllipticCurvePrivateKey | None
    public: Ed25519PublicKey | EllipticCurvePublicKey
    jwk: JsonWebKey

    @property
    def kid(self) -> str:
        """The key identifier in the header of a token."""
        return self.jwk["kid"]


def load_keys(path: Path) -> tuple[SigningKey, ...]:
    """Return the keys of a file, or of the .pem files in a folder in the order of their names. The first key signs.

    Raises:
        BadKeys: A file can't be read or is invalid, there is no file, or the first key is a public key.
    """
    keys: dict[str, SigningKey] = {}
    try:
        files = key_files(path)
        for file in files:
            for key in _keys_in(file):
                keys.setdefault(key.kid, key)
    except OSError as error:
        raise BadKeys(f"names {error.filename}, which can't be read: {error.strerror}") from error
    if not keys:
        raise BadKeys(f"names {path}, which contains no file that ends in .pem")
    found = tuple(keys.values())
    if found[0].private is None:
        raise BadKeys(f"names {files[0]}, whose first key is public; the first key signs, so it must be a private one")
    return found


def derived_key(secret: bytes, purpose: bytes) -> SigningKey:
    """Return the Ed25519 key that a secret stands for: the same on all replicas, and another for each purpose."""
    seed = HKDF(SHA256(), length=32, salt=None, info=purpose).derive(secret)
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key()
    return SigningKey("EdDSA", private, public, _jwk("EdDSA", OKPAlgorithm.to_jwk(public, as_dict=True)))


def key_files(path: Path) -> list[Path]:
    """Return the file itself, or the .pem files of the folder in the order of their names."""
    if not path.is_dir():
        return [path]
    return sorted(each for each in path.glob("*.pem") if not each.name.startswith("."))


def _keys_in(file: Path) -> list[SigningKey]:
    content = read_regular(file, private=True)
    blocks = [each for each in PEM_BLOCK.finditer(content.decode("latin-1")) if each[1] not in IGNORED_BLOCKS]
    if not blocks:
        raise BadKeys(f"names {file}, which contains no key in PEM; `openssl genpkey -algorithm ed25519` makes one")
    return [_key(file, kind=each[1], pem=each[0].encode("latin-1")) for each in blocks]


def _key(file: Path, *, kind: str, pem: bytes) -> SigningKey:
    if "ENCRYPTED" in kind or b"ENCRYPTED" in pem:
        raise BadKeys(f"names {file}, which is encrypted; the keys must have no passphrase")
    private: Any = None
    try:
        if kind.endswith("PRIVATE KEY"):
            private = load_pem_private_key(pem, password=None)
            public: Any = private.public_key()
        else:
            public = load_pem_public_key(pem)
    except (ValueError, TypeError) as error:  # not repeated below: it may quote the key
        raise BadKeys(f"names {file}, which contains a damaged or unknown {kind}") from error
    if isinstance(public, Ed25519PublicKey):
        algorithm, members = "EdDSA", OKPAlgorithm.to_jwk(public, as_dict=True)
    elif isinstance(public, EllipticCurvePublicKey) and isinstance(public.curve, SECP256R1):
        algorithm, members = "ES256", ECAlgorithm.to_jwk(public, as_dict=True)
    else:
        raise BadKeys(f"names {file}, which contains a key of another kind; keys must be Ed25519 or P-256")
    return SigningKey(algorithm, private, public, _jwk(algorithm, members))


def _jwk(algorithm: str, members: dict[str, Any]) -> JsonWebKey:
    required = {name: members[name] for name in ("crv", "kty", "x", "y") if name in members}
    thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    return required | {"kid": urlsafe_b64encode(thumbprint).rstrip(b"=").decode(), "alg": algorithm, "use": "sig"}
