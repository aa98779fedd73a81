"""Which server a command calls, and whether with TLS."""

from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from cinema_grpc.cli.client.servers import BadInput, TlsFiles, parse_server, system_roots
from tests.certificates import Authority


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("127.0.0.1:50051", "http://127.0.0.1:50051"),
        ("127.8.9.1:50051", "http://127.8.9.1:50051"),
        ("localhost:50051", "http://localhost:50051"),
        ("[::1]:50051", "http://[::1]:50051"),
        ("10.0.0.1:50051", "https://10.0.0.1:50051"),
        ("cinema.example:443", "https://cinema.example:443"),
        ("localhost.example:443", "https://localhost.example:443"),
        ("https://127.0.0.1:50051", "https://127.0.0.1:50051"),
        ("https://cinema.example:443/", "https://cinema.example:443"),
        ("http://cinema.example:80", "http://cinema.example:80"),
    ],
)
def test_plaintext_only_to_loopback(text: str, url: str) -> None:
    """Unless the address says otherwise."""
    assert parse_server(text, TlsFiles()).url == url


@pytest.mark.parametrize(
    "text", ["", "cinema.example", "cinema.example:", "::1:50051", "ftp://cinema.example:21", "a b:1"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(BadInput, match=r"--server: must be HOST:PORT, .*; http:// or https:// may stand before it"):
        parse_server(text, TlsFiles())


def test_certificates(tmp_path: Path) -> None:
    """A file of them means TLS, also on loopback. It must have some."""
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority().certificate)
    server = parse_server("127.0.0.1:50051", TlsFiles(file))
    assert (server.plaintext, server.root_certificates) == (False, file.read_bytes())
    with pytest.raises(BadInput, match="--ca: needs TLS"):
        parse_server("http://127.0.0.1:50051", TlsFiles(file))
    for content in (b"", b"no certificate", b"\xff"):
        file.write_bytes(content)
        with pytest.raises(BadInput, match="must have certificates in PEM"):
            parse_server("127.0.0.1:50051", TlsFiles(file))
    with pytest.raises(BadInput, match="can't read"):
        parse_server("127.0.0.1:50051", TlsFiles(tmp_path / "none.pem"))


def test_own_certificates(tmp_path: Path) -> None:
    """A certificate needs its key, and means TLS on loopback too."""
    key, chain = Authority().issue("desk.example")
    files = {"key.pem": key, "cert.pem": chain, "other.pem": Authority().issue()[0], "locked.pem": locked(key)}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    cert = tmp_path / "cert.pem"
    server = parse_server("127.0.0.1:50051", TlsFiles(cert=cert, key=tmp_path / "key.pem"))
    assert (server.plaintext, server.certificate_chain, server.private_key) == (False, chain, key)
    for given in (TlsFiles(cert=cert), TlsFiles(key=tmp_path / "key.pem")):
        with pytest.raises(BadInput, match="--cert and --key need each other"):
            parse_server("cinema.example:443", given)
    for name in ("other.pem", "locked.pem", "cert.pem"):
        with pytest.raises(BadInput, match="its private key without a password"):
            parse_server("cinema.example:443", TlsFiles(cert=cert, key=tmp_path / name))
    with pytest.raises(BadInput, match="--key: can't read"):
        parse_server("cinema.example:443", TlsFiles(cert=cert, key=tmp_path / "none.pem"))
    with pytest.raises(BadInput, match="--cert: needs TLS"):
        parse_server("http://cinema.example:80", TlsFiles(cert=cert, key=tmp_path / "key.pem"))


def locked(key: bytes) -> bytes:
    """Return a private key with a password."""
    private = serialization.load_pem_private_key(key, None)
    lock = serialization.BestAvailableEncryption(b"a password")
    return private.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, lock)


def test_the_system_s_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are those of SSL_CERT_FILE and SSL_CERT_DIR, if they are set."""
    file = tmp_path / "roots.pem"
    file.write_bytes(Authority().certificate)
    monkeypatch.delenv("SSL_CERT_DIR", raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert system_roots() == file.read_bytes()
    assert parse_server("cinema.example:443", TlsFiles()).root_certificates == file.read_bytes()
    others = [Authority().certificate for _ in range(2)]
    for number, content in enumerate(others):
        (tmp_path / f"0a1b2c3d.{number}").write_bytes(content)
    (tmp_path / "ffffffff.0").symlink_to(tmp_path / "removed.pem")
    monkeypatch.setenv("SSL_CERT_DIR", str(tmp_path))
    assert system_roots() == b"\n".join([file.read_bytes(), *others])
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "none.pem"))
    assert system_roots() == b"\n".join(others)
