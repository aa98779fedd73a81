"""Tokens that attack a verifier which trusts what a token says about its own key."""

import base64
import json

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.adapters.forgeries import (
    ABSENT,
    ED25519,
    FORGERS,
    P256,
    THEIRS,
    THEIRS_P256,
    by_ed25519,
    by_p256,
    by_secret,
    public_pem,
    segment,
    signing_key,
)

ORDER = 2**252 + 27742317777372353535851937790883648493
"""The order of the base point of Ed25519 (RFC 8032, 5.1)."""


def confused() -> dict[str, str]:
    """Return the tokens by attack."""
    return _kids() | _swaps() | _injections() | _signatures()


ODD_KIDS = {
    "empty": "",
    "unknown": "unknown",
    "a path": "../../../../dev/null",
    "a path with NUL": "/dev/null\0.pem",
    "a URL": "https://evil.example/key.pem",
    "SQL": "x' UNION SELECT 'secret' --",
    "a command": "x; cat /etc/passwd",
    "percent-encoded": "%2e%2e%2fkey",
    "huge": "x" * 2_900,
    "not ASCII": "k\u00e9y",
    "lone surrogate": "\ud800",
    "a number": 1,
    "true": True,
    "a list": ["a"],
    "an object": {"a": 1},
    "None": None,
}


def _kids() -> dict[str, str]:
    made = {}
    for name, kid in ODD_KIDS.items():
        for kind, forger in FORGERS.items():
            made[f"kid {name}, {kind}"] = forger.with_header(kid=kid)
        made[f"kid {name}, empty secret"] = by_secret(b"").with_header(kid=kid)
    for kind in ("EdDSA", "ES256"):
        forger, kid = FORGERS[kind], FORGERS[kind].header["kid"]
        made[f"kid absent, {kind}"] = forger.with_header(kid=ABSENT)
        for name, other in (("in capitals", kid.upper()), ("with a blank", f"{kid} "), ("cut", kid[:-1])):
            made[f"kid {name}, {kind}"] = forger.with_header(kid=other)
    return made


def _swaps() -> dict[str, str]:
    ours: dict[str, Ed25519PrivateKey | ec.EllipticCurvePrivateKey] = {"EdDSA": ED25519, "ES256": P256}
    made = {
        "EdDSA with the kid of ES256": by_ed25519(ED25519, kid=signing_key(P256).kid).good,
        "ES256 with the kid of EdDSA": by_p256(P256, kid=signing_key(ED25519).kid).good,
        "EdDSA as ES256": by_ed25519(ED25519, alg="ES256", kid=signing_key(P256).kid).good,
        "ES256 as EdDSA": by_p256(P256, alg="EdDSA", kid=signing_key(ED25519).kid).good,
    }
    for kind, private in ours.items():
        public, key = private.public_key(), signing_key(private)
        members = {name: key.jwk.get(name, "") for name in ("crv", "kty", "x", "y")}
        form = PublicFormat.SubjectPublicKeyInfo
        raw = PublicFormat.Raw if kind == "EdDSA" else PublicFormat.UncompressedPoint
        secrets = {
            "PEM": public_pem(private),
            "PEM without the last line's end": public_pem(private).rstrip(),
            "DER": public.public_bytes(Encoding.DER, form),
            "bytes": public.public_bytes(Encoding.Raw if kind == "EdDSA" else Encoding.X962, raw),
            "JWK": json.dumps(members, separators=(",", ":")).encode(),
            "x": key.jwk["x"].encode(),
            "kid": key.kid.encode(),
        }
        for name, secret in secrets.items():
            made[f"public {name} of {kind} as secret"] = by_secret(secret).good
            made[f"public {name} of {kind} as secret, with kid"] = by_secret(secret, kid=key.kid).good
            made[f"public {name} of {kind} as secret, as {kind}"] = by_secret(secret, kid=key.kid, alg=kind).good
        made[f"secret with the kid of {kind}"] = by_secret(kid=key.kid).good
        made[f"secret as {kind}"] = by_secret(kid=key.kid, alg=kind).good
    return made


def _injections() -> dict[str, str]:
    made = {}
    for kind, ours, theirs in (("EdDSA", ED25519, by_ed25519(THEIRS)), ("ES256", P256, by_p256(THEIRS_P256))):
        stranger = signing_key(THEIRS if kind == "EdDSA" else THEIRS_P256).jwk
        jwk = {name: stranger.get(name, "") for name in ("kid", "kty", "alg", "crv", "x", "y")}
        url = "https://evil.example/keys.json"
        claims = {"jwk": jwk, "jku": url, "x5u": url, "x5c": [segment(public_pem(THEIRS))], "x5t": "x", "none": None}
        for name, value in claims.items():
            for whose, kid in (("their", stranger["kid"]), ("our", signing_key(ours).kid), ("no", ABSENT)):
                made[f"{name} of a stranger with {whose} kid, {kind}"] = theirs.with_header(**{name: value}, kid=kid)
    return made


def _signatures() -> dict[str, str]:
    made = {}
    head, body, signature = FORGERS["ES256"].good.split(".")
    prime = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    text = f"{head}.{body}"
    padded = base64.urlsafe_b64decode(signature + "==")
    for name, numbers in (("0, 0", (0, 0)), ("1, 1", (1, 1)), ("n, n", (prime, prime)), ("0, n", (0, prime))):
        made[f"ES256 signature {name}"] = f"{text}.{segment(b''.join(each.to_bytes(32, 'big') for each in numbers))}"
    made["ES256 signature in DER"] = f"{text}.{segment(P256.sign(text.encode(), ec.ECDSA(SHA256())))}"
    made["ES256 signature with zeros before"] = f"{text}.{segment(bytes(1) + padded[:32] + bytes(1) + padded[32:])}"
    head, body, signature = FORGERS["EdDSA"].good.split(".")
    padded = base64.urlsafe_b64decode(signature + "==")
    shifted = (int.from_bytes(padded[32:], "little") + ORDER).to_bytes(32, "little")
    made["EdDSA signature, other s"] = f"{head}.{body}.{segment(padded[:32] + shifted)}"
    made["EdDSA signature, neutral point"] = f"{head}.{body}.{segment(bytes([1]) + bytes(63))}"
    return made
