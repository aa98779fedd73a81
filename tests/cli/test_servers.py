"""Which server a command calls, and whether with TLS."""

from pathlib import Path

import pytest

from cinema_grpc.cli.client.servers import BadServer, parse_server, system_roots
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
    assert parse_server(text, None).url == url


@pytest.mark.parametrize(
    "text", ["", "cinema.example", "cinema.example:", "::1:50051", "ftp://cinema.example:21", "a b:1"]
)
def test_other_forms_are_refused(text: str) -> None:
    with pytest.raises(BadServer, match=r"--server: must be HOST:PORT, .*; http:// or https:// may stand before it"):
        parse_server(text, None)


def test_certificates(tmp_path: Path) -> None:
    """A file of them means TLS, also on loopback. It must have some."""
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority().certificate)
    server = parse_server("127.0.0.1:50051", file)
    assert (server.plaintext, server.root_certificates) == (False, file.read_bytes())
    with pytest.raises(BadServer, match="--ca: needs TLS"):
        parse_server("http://127.0.0.1:50051", file)
    for content in (b"", b"no certificate", b"\xff"):
        file.write_bytes(content)
        with pytest.raises(BadServer, match="must have certificates in PEM"):
            parse_server("127.0.0.1:50051", file)
    with pytest.raises(BadServer, match="can't read"):
        parse_server("127.0.0.1:50051", tmp_path / "none.pem")


def test_the_system_s_certificates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Are those of SSL_CERT_FILE, if it is set."""
    file = tmp_path / "roots.pem"
    file.write_bytes(Authority().certificate)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    assert system_roots() == file.read_bytes()
    assert parse_server("cinema.example:443", None).root_certificates == file.read_bytes()
