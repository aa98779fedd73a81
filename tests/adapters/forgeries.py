"""Access tokens that are not ours, or not what ours look like, made by somebody who knows a key, or none."""

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
# Long enough for HS512 too, so that a token of that kind is refused for its kind.
SECRET = b"a secret of at least 64 bytes for tests, which signs tokens of any HMAC kind"
ABSENT = object()
OTHER_ALGORITHMS = ("HS256", "HS384", "RS256", "PS256", "ES256", "ES256K", "ES384", "EdDSA", "Ed25519", "Ed448", "dir")
ORDER = 2**252 + 27742317777372353535851937790883648493
"""Of the base point of Ed25519 (RFC 8032, 5.1)."""


def segment(content: object) -> str:
    """Write a part of a token: JSON, unless it is bytes already."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class Forger:
    """Makes tokens of one kind, however odd, with a key of its own.

    Attributes:
        header: The header of a good token.
        good: A good token.
    """

    def __init__(self, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> None:
        self.header = header
        self._sign = sign
        self.good = self.signed(header, CLAIMS)

    def signed(self, header: object, claims: object) -> str:
        """Sign any header and any claims."""
        text = f"{segment(header)}.{segment(claims)}"
        return f"{text}.{segment(self._sign(text.encode()))}"

    def with_claims(self, **changes: object) -> str:
        """Sign claims of which some are different, or ABSENT."""
        return self.signed(self.header, _changed(CLAIMS, changes))

    def with_header(self, **changes: object) -> str:
        """Sign a header of which some parts are different, or ABSENT."""
        return self.signed(_changed(self.header, changes), CLAIMS)


def _changed(members: dict[str, Any], changes: dict[str, object]) -> dict[str, Any]:
    return {name: value for name, value in (members | changes).items() if value is not ABSENT}


def by_secret(secret: bytes = SECRET, digest: str = "sha256", **header: object) -> Forger:
    """Sign with a secret."""
    return Forger({"alg": "HS256", "typ": "at+jwt"} | header, lambda text: hmac.digest(secret, text, digest))


def _raw(signature: bytes) -> bytes:
    """Write a signature of P-256 as RFC 7518, 3.4, has it."""
    return b"".join(number.to_bytes(32, "big") for number in decode_dss_signature(signature))


def by_ed25519(private: Ed25519PrivateKey, **header: object) -> Forger:
    """Sign with a key of Ed25519."""
    return Forger({"alg": "EdDSA", "typ": "at+jwt", "kid": signing_key(private).kid} | header, private.sign)


def by_p256(private: ec.EllipticCurvePrivateKey, **header: object) -> Forger:
    """Sign with a key of P-256."""
    return Forger(
        {"alg": "ES256", "typ": "at+jwt", "kid": signing_key(private).kid} | header,
        lambda text: _raw(private.sign(text, ec.ECDSA(SHA256()))),
    )


def pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Write a private key."""
    return private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def public_pem(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> bytes:
    """Write the public half of a key."""
    return private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def signing_key(private: Ed25519PrivateKey | ec.EllipticCurvePrivateKey) -> SigningKey:
    """Give a key as the server has it."""
    return read_key(Path("a.pem"), kind="PRIVATE KEY", pem=pem(private))


ED25519 = Ed25519PrivateKey.from_private_bytes(b"our own key".ljust(32))
P256 = ec.derive_private_key(int.from_bytes(b"our own key".ljust(31)), ec.SECP256R1())
THEIRS = Ed25519PrivateKey.from_private_bytes(b"a stranger's key".ljust(32))
THEIRS_P256 = ec.derive_private_key(int.from_bytes(b"a stranger's key".ljust(31)), ec.SECP256R1())
FORGERS = {"HS256": by_secret(), "EdDSA": by_ed25519(ED25519), "ES256": by_p256(P256)}
"""Whoever has our own keys: one of each kind."""


def respelled(good: str) -> str:
    """Give a good token with an unused bit of its signature's last character set."""
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    return good[:-1] + alphabet[alphabet.index(good[-1]) + 1]


def abnormal(forger: Forger) -> dict[str, str]:
    """Make everything that is wrong with a token though the right key has signed it, or that was done to it after."""
    header, good = forger.header, forger.good
    head, body, signature = good.split(".")

    def unsigned(**changes: object) -> str:
        return f"{segment(header | changes)}.{body}."

    return {
        "empty": "",
        "a dot": ".",
        "two dots": "..",
        "words": "not a token",
        "one part": head,
        "two parts": f"{head}.{body}",
        "no signature": f"{head}.{body}.",
        "no header": f".{body}.{signature}",
        "no payload": f"{head}..{signature}",
        "four parts": f"{good}.{signature}",
        "five parts": f"{good}.{signature}.{signature}",
        "truncated": good[:-1],
        "half a signature": good[:-21],
        "padded": f"{good}=",
        "a blank before": f" {good}",
        "a line end after": f"{good}\n",
        "the scheme before": f"Bearer {good}",
        "signature spelled otherwise": respelled(good),
        "junk in the signature": f"{head}.{body}.{signature[:20]}!{signature[20:]}",
        "the other base64": forger.signed(header, CLAIMS | {"x": "~~~???>>>"}).replace("-", "+").replace("_", "/")
        + "+",
        "not ASCII": good.replace("e", "é", 1),
        "lone surrogate": f"{good}\udc80",
        "NUL": f"{good}\0",
        "alg none with a signature of nothing": unsigned(alg="none") + segment(b""),
        **{f"alg {name}, signed": forger.with_header(alg=name) for name in ("none", "None", "NONE", "nOnE", "")},
        **{f"alg {name}": unsigned(alg=name) for name in ("none", "None", "NONE", "nOnE", "")},
        "alg HS512": by_secret(digest="sha512").signed(header | {"alg": "HS512"}, CLAIMS),
        "alg HS384": by_secret(digest="sha384").signed(header | {"alg": "HS384"}, CLAIMS),
        **{f"alg {name}": forger.with_header(alg=name) for name in OTHER_ALGORITHMS if name != header["alg"]},
        "alg in lower case": forger.with_header(alg=header["alg"].lower()),
        "alg missing": forger.with_header(alg=ABSENT),
        "alg null": forger.with_header(alg=None),
        "alg a list": forger.with_header(alg=[header["alg"]]),
        "alg an object": forger.with_header(alg={header["alg"]: 1}),
        "typ missing": forger.with_header(typ=ABSENT),
        "typ JWT": forger.with_header(typ="JWT"),
        "typ of an ID token": forger.with_header(typ="id+jwt"),
        "typ null": forger.with_header(typ=None),
        "typ a list": forger.with_header(typ=["at+jwt"]),
        "typ with a tail": forger.with_header(typ="at+jwt; x"),
        "kid a number": forger.with_header(kid=1),
        "kid a list": forger.with_header(kid=["../../dev/null"]),
        "kid null": forger.with_header(kid=None),
        "kid of an empty file": by_secret(b"").signed(header | {"kid": "../../../../dev/null"}, CLAIMS),
        "key in the header": by_secret(b"k" * 32).signed(
            header | {"jwk": {"kty": "oct", "k": segment(b"k" * 32)}}, CLAIMS
        ),
        "crit unknown": forger.with_header(crit=["exp2"], exp2=1),
        "crit empty": forger.with_header(crit=[]),
        "crit no list": forger.with_header(crit="exp"),
        "b64 false": forger.with_header(b64=False, crit=["b64"]),
        "header a list": forger.signed([header], CLAIMS),
        "header a string": forger.signed(header["alg"], CLAIMS),
        "header no JSON": forger.signed(b"{alg:HS256}", CLAIMS),
        "header no text": forger.signed(b"\xff\xfe\xfd", CLAIMS),
        "header nested without end": f"{segment(b'[' * 2500)}.{body}.{signature}",
        "another secret": by_secret(b"x" * 32).signed(header, CLAIMS),
        "empty secret": by_secret(b"").signed(header, CLAIMS),
        **{f"signature of {size} zeros": f"{head}.{body}.{segment(bytes(size))}" for size in (1, 32, 64, 512)},
        "another's payload": f"{head}.{segment(CLAIMS | {'role': 'STAFF'})}.{signature}",
        "another's header": f"{segment(header | {'kid': 'x'})}.{body}.{signature}",
        "parts swapped": f"{body}.{head}.{signature}",
        "iss another": forger.with_claims(iss="https://evil.example"),
        "iss a list": forger.with_claims(iss=["cinema"]),
        "iss a longer name": forger.with_claims(iss="cinema "),
        "aud another": forger.with_claims(aud="cinema.v2"),
        "aud a list without us": forger.with_claims(aud=["cinema", "v1"]),
        "aud empty": forger.with_claims(aud=[]),
        "aud a number": forger.with_claims(aud=1),
        "aud an object": forger.with_claims(aud={"cinema.v1": 1}),
        **{f"{name} missing": forger.with_claims(**{name: ABSENT}) for name in CLAIMS if name != "client_id"},
        **{f"{name} null": forger.with_claims(**{name: None}) for name in CLAIMS if name != "client_id"},
        "sub a number": forger.with_claims(sub=1),
        "sub empty": forger.with_claims(sub=""),
        "sub too long": forger.with_claims(sub="x" * 65),
        "sub with NUL": forger.with_claims(sub="user\0"),
        "sub half a character": forger.with_claims(sub="\ud800"),
        "jti a number": forger.with_claims(jti=1),
        "role unknown": forger.with_claims(role="OWNER"),
        "role in lower case": forger.with_claims(role="staff"),
        "role a list": forger.with_claims(role=["STAFF"]),
        "role an object": forger.with_claims(role={"STAFF": True}),
        "exp a string": forger.with_claims(exp=str(SECONDS + 3600)),
        "exp a fraction": forger.with_claims(exp=SECONDS + 3600.5),
        "exp a whole float": forger.with_claims(exp=float(SECONDS + 3600)),
        "exp NaN": forger.with_claims(exp=float("nan")),
        "exp infinite": forger.with_claims(exp=float("inf")),
        "exp true": forger.with_claims(exp=True),
        "exp a list": forger.with_claims(exp=[SECONDS + 3600]),
        "exp beyond the calendar": forger.with_claims(exp=10**15),
        "exp beyond any number": forger.with_claims(exp=10**400),
        "exp before the calendar": forger.with_claims(exp=-(10**15)),
        "iat a string": forger.with_claims(iat=str(SECONDS)),
        "iat a fraction": forger.with_claims(iat=SECONDS + 0.5),
        "iat NaN": forger.with_claims(iat=float("nan")),
        "iat before the calendar": forger.with_claims(iat=-62135596800),
        "iat ahead": forger.with_claims(iat=SECONDS + 61),
        "nbf ahead": forger.with_claims(nbf=SECONDS + 1),
        "nbf a string": forger.with_claims(nbf=str(SECONDS)),
        "nbf null": forger.with_claims(nbf=None),
        "nbf beyond the calendar": forger.with_claims(nbf=10**15),
        "payload a list": forger.signed(header, [CLAIMS]),
        "payload a string": forger.signed(header, "claims"),
        "payload a number": forger.signed(header, 1),
        "payload null": forger.signed(header, None),
        "payload empty": forger.signed(header, b""),
        "payload no JSON": forger.signed(header, b"{sub:1}"),
        "payload no text": forger.signed(header, b"\xff\xfe\xfd"),
        "payload nested without end": forger.signed(header, b"[" * 2500),
        "a token in a token": forger.signed(header | {"cty": "JWT"}, good.encode()),
        "a number of 3000 digits": forger.signed(header, b'{"exp":' + b"9" * 2800 + b"}"),
        "huge": forger.with_claims(sub="x" * 5000),
        "good but for its size": forger.with_claims(padding="x" * 3000),
        "a megabyte of dots": "." * 1_000_000,
    }


def confused() -> dict[str, str]:
    """Make what a reader takes who believes what a token says of its own key."""
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
        members = {"crv": key.published.crv, "kty": key.published.kty, "x": key.published.x, "y": key.published.y}
        form = PublicFormat.SubjectPublicKeyInfo
        raw = PublicFormat.Raw if kind == "EdDSA" else PublicFormat.UncompressedPoint
        secrets = {
            "PEM": public_pem(private),
            "PEM without the last line's end": public_pem(private).rstrip(),
            "DER": public.public_bytes(Encoding.DER, form),
            "bytes": public.public_bytes(Encoding.Raw if kind == "EdDSA" else Encoding.X962, raw),
            "JWK": json.dumps(members, separators=(",", ":")).encode(),
            "x": key.published.x.encode(),
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
        stranger = signing_key(THEIRS if kind == "EdDSA" else THEIRS_P256).published
        jwk = {name: getattr(stranger, name) for name in ("kid", "kty", "alg", "crv", "x", "y")}
        url = "https://evil.example/keys.json"
        claims = {"jwk": jwk, "jku": url, "x5u": url, "x5c": [segment(public_pem(THEIRS))], "x5t": "x", "none": None}
        for name, value in claims.items():
            for whose, kid in (("their", stranger.kid), ("our", signing_key(ours).kid), ("no", ABSENT)):
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
