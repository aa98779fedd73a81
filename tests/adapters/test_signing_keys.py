"""Signing keys are read from PEM files in order. An error names the file and the problem in one line."""

import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from jwt.algorithms import OKPAlgorithm
from jwt.utils import base64url_decode

from cinema_grpc.adapters.access_tokens import JwtAccessTokens
from cinema_grpc.adapters.signing_keys import BadKeys, load_keys
from cinema_grpc.application.errors import TokenInvalid
from tests.adapters.forgeries import ADA, ED25519, P256, THEIRS, pem, public_pem, signing_key
from tests.builders import FakeClock

PEM, PKCS8, LEGACY = Encoding.PEM, PrivateFormat.PKCS8, PrivateFormat.TraditionalOpenSSL
RSA = rsa.generate_private_key(65537, 2048)


def kids(path: Path) -> list[str]:
    return [key.kid for key in load_keys(path)]


def test_a_file_of_keys(tmp_path: Path) -> None:
    """Private and public keys, with any text between them."""
    file = tmp_path / "keys.pem"
    file.write_bytes(b"# ours\n" + pem(P256) + b"\nnext:\n" + public_pem(ED25519) + pem(P256))
    signing, verifying = load_keys(file)
    assert (signing.algorithm, signing.kid) == ("ES256", signing_key(P256).kid)
    assert (verifying.algorithm, verifying.kid, verifying.private) == ("EdDSA", signing_key(ED25519).kid, None)


def test_a_folder_of_files_in_the_order_of_their_names(tmp_path: Path) -> None:
    """Other files and hidden ones are ignored."""
    for name, content in {"2.pem": pem(ED25519), "1.pem": pem(P256), ".0.pem": b"?", "a.txt": b"?"}.items():
        (tmp_path / name).write_bytes(content)
    assert kids(tmp_path) == [signing_key(P256).kid, signing_key(ED25519).kid]


def test_a_key_as_openssl_writes_it(tmp_path: Path) -> None:
    """`openssl ecparam -genkey` writes the curve before the key."""
    parameters = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    file = tmp_path / "key.pem"
    file.write_bytes(parameters + P256.private_bytes(PEM, LEGACY, NoEncryption()))
    assert kids(file) == [signing_key(P256).kid]


def test_a_kid_is_the_thumbprint_of_rfc_7638() -> None:
    """The example of RFC 8037, A.3."""
    members = {"kty": "OKP", "crv": "Ed25519", "d": "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A"}
    private = OKPAlgorithm.from_jwk(json.dumps(members | {"x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}))
    assert isinstance(private, Ed25519PrivateKey)
    assert signing_key(private).jwk == {
        "kid": "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k",
        "kty": "OKP",
        "crv": "Ed25519",
        "alg": "EdDSA",
        "use": "sig",
        "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo",
    }


def test_coordinates_have_their_full_length() -> None:
    """Leading zeros are kept, as RFC 7518, 6.2.1.2, demands."""
    for number in range(1, 400):
        jwk = signing_key(ec.derive_private_key(number, ec.SECP256R1())).jwk
        assert (len(base64url_decode(jwk["x"])), len(base64url_decode(jwk["y"]))) == (32, 32)


BAD = {
    "no key in PEM": b"",
    "contains no key in PEM;": b"secret",
    "keys must have no passphrase": P256.private_bytes(PEM, PKCS8, BestAvailableEncryption(b"secret")),
    "which is encrypted": P256.private_bytes(PEM, LEGACY, BestAvailableEncryption(b"secret")),
    "of another kind; keys must be Ed25519 or P-256": RSA.private_bytes(PEM, PKCS8, NoEncryption()),
    "keys must be Ed25519": ec.generate_private_key(ec.SECP384R1()).private_bytes(PEM, PKCS8, NoEncryption()),
    "damaged or unknown PRIVATE KEY": pem(ED25519).replace(b"MC4CAQ", b"MC4CAX"),
    "unknown CERTIFICATE": b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    "must be a private one": public_pem(ED25519) + pem(P256),
}


@pytest.mark.parametrize(("problem", "content"), BAD.items(), ids=BAD.keys())
def test_an_error_names_the_problem_and_quotes_no_key(tmp_path: Path, problem: str, content: bytes) -> None:
    file = tmp_path / "key.pem"
    file.write_bytes(content)
    with pytest.raises(BadKeys, match=problem) as raised:
        load_keys(file)
    assert str(file) in str(raised.value)
    assert not any(line in str(raised.value) for line in content.decode().splitlines() if len(line) > 20)


def test_missing_files(tmp_path: Path) -> None:
    with pytest.raises(BadKeys, match=r"ends in \.pem"):
        load_keys(tmp_path)
    with pytest.raises(BadKeys, match="missing, which can't be read: No such file"):
        load_keys(tmp_path / "missing")


def test_the_keys_can_be_replaced() -> None:
    """Tokens of a removed key are refused, even cached ones; tokens of the others stay valid."""
    tokens = JwtAccessTokens(None, FakeClock(), keys=[signing_key(ED25519)])
    first = tokens.issue(ADA).text
    tokens.use_keys([signing_key(P256), signing_key(ED25519)])
    second = tokens.issue(ADA).text
    assert {tokens.read(text).user_id for text in (first, second)} == {ADA.user_id}
    tokens.use_keys([signing_key(P256)])
    assert tokens.read(second).user_id == ADA.user_id
    with pytest.raises(TokenInvalid):
        tokens.read(first)


def test_a_secret_or_a_private_key_is_required() -> None:
    with pytest.raises(ValueError, match="need a secret or a private key"):
        JwtAccessTokens(None, FakeClock())
    tokens = JwtAccessTokens(None, FakeClock(), keys=[signing_key(THEIRS)])
    with pytest.raises(ValueError, match="need a secret or a private key"):
        tokens.use_keys([])
    assert [key["kid"] for key in tokens.public_keys()] == [signing_key(THEIRS).kid]
    assert tokens.read(tokens.issue(ADA).text).user_id == ADA.user_id
